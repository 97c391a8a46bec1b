"""A recorder and a notebook, each with a service on one file: right answers, and no lock in the way."""

import json
import time

import pytest

import mdstore
from tests.support.candles import bits, walk
from tests.support.doses import dose
from tests.support.processes import start

# The truth is of a fixed number of bars; time goes on quicker, so that there is something new all the time.
COMMON = """
    import json, random, sys, time, mdstore
    from pathlib import Path
    from mdstore.service.memory_coordinator import MemoryCoordinator
    from tests.support.candles import MINUTE, START, bits, walk

    BARS, name, seconds = 5_000, sys.argv[1], float(sys.argv[2])
    truth = {f"S{number}": walk(BARS, seed=number) for number in range(8)}
    Path(f"ready-{name}").touch()  # time begins when both are there, however busy the machine is
    while not Path("began").exists():
        time.sleep(0.01)
    began = float(Path("began").read_text())

    def clock():
        gone = min(time.time() - began, seconds)
        return START / 1000 + 1_000 * 60 + gone * 60 * (BARS - 1_100) / seconds

    def ended(symbol, now=None):
        rows = truth[symbol]
        return rows.filter(rows["timestamp"].to_physical() + MINUTE <= (now or clock()) * 1000)

    def fetch(symbol, timeframe, low, high):
        rows = ended(symbol)
        times = rows["timestamp"].to_physical()
        return rows.filter((times >= low) & (times < high))

    source = mdstore.FunctionCoordinator(fetch, name="exchange", page_bars=200)
    chance, wrong, errors, asked = random.Random(name), 0, [], 0
    with mdstore.MarketDataStore("market_data.sqlite3", clock=clock) as store:
        with mdstore.MarketDataService(store, coordinator=source) as service:
            while time.time() < began + seconds or asked + len(errors) <= seconds:
                try:
"""
RECORDER = (
    COMMON
    + """
                    symbol = chance.choice(list(truth))
                    rows = ended(symbol).tail(3)
                    store.write(symbol, "1m", rows, source="socket")
                    asked += 1
                    time.sleep(0.01)
"""
)
NOTEBOOK = (
    COMMON
    + """
                    before, symbol = clock(), chance.choice(list(truth))
                    if chance.random() < 0.5:
                        low = START + chance.randrange(3_000) * MINUTE
                        high = min(low + 300 * MINUTE, int((before - 60) * 1000) // MINUTE * MINUTE)
                        if low >= high:
                            continue
                        answer = service.get_candle_data(symbol, "1m", low, high)
                        times = truth[symbol]["timestamp"].to_physical()
                        right = truth[symbol].filter((times >= low) & (times < high))
                        wrong += bits(answer.frame) != bits(right) and not answer.about.is_stale
                    else:
                        answer = service.get_candle_data(symbol, "1m", count=50)
                        frame = answer.frame
                        at = truth[symbol]["timestamp"].search_sorted(frame["timestamp"][-1])
                        right = truth[symbol].slice(at - len(frame) + 1, len(frame))
                        wrong += bits(frame) != bits(right) and not answer.about.is_stale
                    asked += 1
"""
)
END = """
                except mdstore.MarketDataError as error:
                    errors.append(repr(error)[:300])
            calls = service.stats()["tiers"].get("coordinator", {}).get("calls", 0)
    print(json.dumps({"asked": asked, "wrong": wrong, "errors": errors[:5], "calls": calls}), flush=True)
"""


def played(folder, seconds):
    mdstore.open(folder / "market_data.sqlite3").close()
    scripts = {"recorder": RECORDER, "notebook": NOTEBOOK}
    children = [start(script + END, name, str(seconds), cwd=folder) for name, script in scripts.items()]
    while not all((folder / f"ready-{name}").exists() for name in scripts):
        assert all(child.poll() is None for child in children)
        time.sleep(0.01)
    (folder / "soon").write_text(str(time.time()))
    (folder / "soon").rename(folder / "began")
    return [json.loads(child.communicate(timeout=seconds + 120)[0].splitlines()[-1]) for child in children]


def judged(folder, seconds):
    recorder, notebook = played(folder, seconds)
    print(f"\nrecorder: {recorder}\nnotebook: {notebook}")
    assert recorder["errors"] == notebook["errors"] == []
    assert notebook["wrong"] == 0
    assert recorder["asked"] > seconds
    assert notebook["asked"] > seconds
    with mdstore.open(folder / "market_data.sqlite3") as store:
        for symbol, _ in store:
            found = store.candles(symbol, "1m")
            whole = walk(5_000, seed=int(symbol[1:]))
            assert bits(found) == bits(whole.join(found.select("timestamp"), on="timestamp", how="semi"))
        assert len(store) > 0
        assert store.maintenance.check() == []


@pytest.mark.slow
def test_a_recorder_and_a_notebook_for_a_moment(tmp_path):
    judged(tmp_path, dose(6))


@pytest.mark.long
def test_a_recorder_and_a_notebook_for_a_minute(tmp_path):
    judged(tmp_path, 60)
