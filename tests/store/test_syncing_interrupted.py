"""A sync that is interrupted, killed, or not alone: nothing is lost, and nothing is asked for twice."""

import json
import signal
import tempfile
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mdstore
from mdstore.candles.file.leases import Lease
from mdstore.store.store_place import StorePlace
from tests.support.candles import MINUTE, START
from tests.support.fake_exchange import FakeExchange, asked_twice, bars
from tests.support.interrupts import interrupted
from tests.support.processes import start
from tests.support.upstream import Clock

BARS = 6_000
TAKE = "UPDATE leases SET owner = '- - - 5' WHERE name = ? RETURNING 1"
SYMBOLS = "ABCD"
# Each answer of the exchange is a line in a file, so that what a killed process has asked for is known.
PROCESS = """
    import json, os, sys, time, mdstore
    from tests.support.candles import MINUTE, START
    from tests.support.fake_exchange import FakeExchange, bars
    from tests.support.upstream import Clock

    BARS, symbols, log, delay = int(sys.argv[1]), sys.argv[2], open(sys.argv[3], "a"), float(sys.argv[4])
    clock = Clock()
    clock.at(BARS)
    truth = {(symbol, "1m"): bars(BARS, seed=seed, without=(7, 9)) for seed, symbol in enumerate("ABCD")}

    class Logged(FakeExchange):
        def _page(self, symbol, timeframe, bar, start, end):
            low, rows = super()._page(symbol, timeframe, bar, start, end)
            log.write(json.dumps([symbol, timeframe, low, end]) + "\\n")
            log.flush()
            return low, rows

    source = Logged(truth, clock, delay=delay)
    with mdstore.MarketDataStore("market_data.sqlite3", clock=clock) as store:
        print("begun", flush=True)
        while sys.argv[5:] and not os.path.exists(sys.argv[5]):
            time.sleep(0.001)
        until = START + (BARS - 10) * MINUTE
        result = store.sync(source, list(symbols), "1m", since=START - 500 * MINUTE, until=until)
        print(json.dumps({"inserted": result.inserted, "failed": len(result.failed)}), flush=True)
"""


def truth_of(symbol):
    return bars(BARS, seed=SYMBOLS.index(symbol), without=(7, 9))


def asked(file):
    return [tuple(json.loads(line)) for line in file.read_text().splitlines() if line.endswith("]")]


def is_whole(store, symbols=SYMBOLS):
    end = START + (BARS - 10) * MINUTE
    for symbol in symbols:
        frame = store.candles(symbol, "1m")
        rows = list(frame.with_columns(frame["timestamp"].dt.epoch("ms")).iter_rows())
        assert rows == [row for row in truth_of(symbol) if row[0] < end], symbol
        holes = store.gaps(symbol, "1m", start=START - 500 * MINUTE, end=end)
        assert holes.select("bars", "reason").rows() == [
            (500, "before_listing"), (1, "no_trade"), (1, "no_trade"),
        ]  # fmt: skip
    return True


def missing_bars(path):
    clock = Clock()
    clock.at(BARS)
    with mdstore.MarketDataStore(path, clock=clock) as store:
        end = START + (BARS - 10) * MINUTE
        found = store.missing(list(SYMBOLS), "1m", start=START - 500 * MINUTE, end=end)
        times = zip(found["symbol"], found["start"].to_physical(), found["end"].to_physical(), strict=True)
        return {(symbol, at) for symbol, low, high in times for at in range(low, high, MINUTE)}


def bars_of(log):
    return {(symbol, at) for symbol, _, low, high in log for at in range(low, high, MINUTE)}


def is_killed_and_goes_on(tmp_path, pauses):
    path, log = tmp_path / "market_data.sqlite3", tmp_path / "log"
    log.touch()
    for pause in pauses:
        before = missing_bars(path)
        known = len(asked(log))
        process = start(PROCESS, str(BARS), SYMBOLS, str(log), "0.002", cwd=tmp_path)
        assert process.stdout.readline() == "begun\n"
        time.sleep(pause)
        process.kill()
        process.wait()
        process.stdout.close()
        new = asked(log)[known:]
        assert asked_twice(new) == {}
        assert bars_of(new) <= before, "what is known is not asked for again"
    before, known = missing_bars(path), len(asked(log))
    process = start(PROCESS, str(BARS), SYMBOLS, str(log), "0", cwd=tmp_path)
    assert process.communicate()[0].splitlines()[-1].endswith('"failed": 0}')
    assert bars_of(asked(log)[known:]) <= before
    assert missing_bars(path) == set()
    with mdstore.open(path) as store:
        assert is_whole(store)
        assert store.maintenance.check() == []


def test_what_is_killed_goes_on_where_it_was(tmp_path):
    is_killed_and_goes_on(tmp_path, [0.1, 0.05])


@pytest.mark.long
@settings(max_examples=30)
@given(st.lists(st.floats(0, 0.4), min_size=1, max_size=5))
def test_it_may_be_killed_at_any_moment_any_number_of_times(pauses):
    with tempfile.TemporaryDirectory() as folder:
        is_killed_and_goes_on(Path(folder), pauses)


def test_two_processes_that_sync_the_same_series_share_the_work(tmp_path):
    log = tmp_path / "log"
    log.touch()
    mdstore.open(tmp_path / "market_data.sqlite3").close()
    go = tmp_path / "go"
    both = [
        start(PROCESS, str(BARS), order, str(log), "0.002", str(go), cwd=tmp_path)
        for order in ("ABCD", "DCBA")
    ]
    assert [process.stdout.readline() for process in both] == ["begun\n"] * 2
    go.touch()  # on a busy machine one was done before the other had begun
    done = [json.loads(process.communicate()[0].splitlines()[-1]) for process in both]
    assert [one["failed"] for one in done] == [0, 0]
    assert all(one["inserted"] for one in done), "both have fetched some"
    assert sum(one["inserted"] for one in done) == len(SYMBOLS) * (BARS - 10 - 2)
    assert asked_twice(asked(log)) == {}
    with mdstore.open(tmp_path / "market_data.sqlite3") as store:
        assert is_whole(store)


def test_what_a_killed_process_was_asking_for_is_taken_over_at_once(tmp_path):
    log = tmp_path / "log"
    log.touch()
    slow = start(PROCESS, str(BARS), "A", str(log), "0.5", cwd=tmp_path)
    assert slow.stdout.readline() == "begun\n"
    time.sleep(0.3)
    quick = start(PROCESS, str(BARS), "A", str(log), "0", cwd=tmp_path)
    assert quick.stdout.readline() == "begun\n"
    slow.kill()
    slow.communicate()
    began = time.monotonic()
    quick.communicate()
    assert time.monotonic() - began < 10, "not the 15 s after which a holder that is silent is gone"
    with mdstore.open(tmp_path / "market_data.sqlite3") as store:
        assert is_whole(store, "A")


def test_ctrl_c_ends_it_soon_with_what_has_come_and_the_same_call_goes_on(tmp_path):
    clock = Clock()
    clock.at(BARS)
    source = FakeExchange({("A", "1m"): truth_of("A")}, clock, delay=0.1)
    seen, took, until = [], [], START + (BARS - 10) * MINUTE

    def fetch():
        with pytest.raises(KeyboardInterrupt) as raised:
            store.sync(source, "A", "1m", since=START, until=until, progress=seen.append)
        took.append(raised.value.__notes__)

    with mdstore.MarketDataStore(tmp_path / "market_data.sqlite3", clock=clock) as store:
        began = time.monotonic()
        interrupted(0.3, fetch)
        assert time.monotonic() - began < 5
        assert took == [["What had come is stored; the same call goes on from there."]]
        there = store.candles("A", "1m")
        assert seen[-1].inserted == len(there) > 0
        assert seen[-1].is_over
        assert source.under_way == 0
        known, source.delay = len(source.log), 0
        missing = store.missing("A", "1m", start=START, end=until)["bars"].sum()
        store.sync(source, "A", "1m", since=START, until=until)
        assert sum((high - low) // MINUTE for _, _, low, high in source.log[known:]) == missing
        assert len(store.candles("A", "1m")) == BARS - 10 - 2


def test_a_store_that_is_closed_ends_what_is_under_way(tmp_path):
    clock = Clock()
    clock.at(BARS)
    source = FakeExchange({("A", "1m"): truth_of("A")}, clock, delay=0.05)
    store = mdstore.MarketDataStore(tmp_path / "market_data.sqlite3", clock=clock)
    raised = []

    def fetch():
        try:
            store.sync(source, "A", "1m", since=START)
        except BaseException as error:
            raised.append(type(error).__name__)

    thread = threading.Thread(target=fetch)
    thread.start()
    time.sleep(0.3)
    store.close()
    thread.join(10)
    assert raised == ["StoreClosedError"]
    with mdstore.MarketDataStore(tmp_path / "market_data.sqlite3", clock=clock) as store:
        assert store.maintenance.check() == []


def test_a_store_that_is_closed_while_a_page_lands_keeps_it_and_ends_the_sync(tmp_path, monkeypatch):
    clock = Clock()
    clock.at(BARS)
    source = FakeExchange({("A", "1m"): truth_of("A")}, clock)
    store = mdstore.MarketDataStore(tmp_path / "market_data.sqlite3", clock=clock)
    land, lands = StorePlace.land, threading.Event()

    def slow(place, landings):
        lands.set()
        time.sleep(0.2)
        return land(place, landings)

    monkeypatch.setattr(StorePlace, "land", slow)
    raised = []

    def fetch():
        try:
            store.sync(source, "A", "1m", since=START)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=fetch)
    thread.start()
    assert lands.wait(10)
    store.close()
    thread.join(10)
    assert not thread.is_alive()
    assert isinstance(raised[0], mdstore.StoreClosedError)
    with mdstore.MarketDataStore(tmp_path / "market_data.sqlite3", clock=clock) as store:
        assert len(store.candles("A", "1m")) >= 198, "what had come was stored"
        began = time.monotonic()
        store.sync(source, "A", "1m", since=START, until=START + 1_000 * MINUTE)
        assert time.monotonic() - began < 10, "the lease was given back, rather than left to run out"


def test_a_store_that_is_closed_by_progress_ends_the_sync(tmp_path):
    clock = Clock()
    clock.at(BARS)
    source = FakeExchange({("A", "1m"): truth_of("A")}, clock)
    store = mdstore.MarketDataStore(tmp_path / "market_data.sqlite3", clock=clock)
    with pytest.raises(mdstore.StoreClosedError):
        store.sync(source, "A", "1m", since=START, progress=lambda now: now.done and store.close())


def test_a_series_that_somebody_else_has_taken_over_is_left_to_them(tmp_path, monkeypatch):
    clock = Clock()
    clock.at(BARS)
    source = FakeExchange({(one, "1m"): truth_of(one) for one in "AB"}, clock, delay=0.02)
    path = tmp_path / "market_data.sqlite3"
    monkeypatch.setattr(Lease, "beat_seconds", 0.05)
    with mdstore.MarketDataStore(path, clock=clock) as store:
        leases = store._candles.leases

        def progress(now):
            if now.done and not taken:
                name = "fetch A 1m"
                taken.append(leases._database.note(lambda con: con.execute(TAKE, (name,)).get, wait=True))

        taken = []
        began = time.monotonic()
        result = store.sync(source, ["A", "B"], "1m", since=START, progress=progress)
        assert "another process has taken over 'fetch A 1m'" in str(result.failed["A", "1m"])
        assert [one.state for one in result.series] == ["failed", "done"]
        assert time.monotonic() - began < 60
        assert len(store.candles("A", "1m")) < BARS - 1_000, "it was left off in between"


def rows_of(store):
    frame = store.candles("A", "1m")
    return list(frame.with_columns(frame["timestamp"].dt.epoch("ms")).iter_rows())


def in_vain(log):
    """Return the requests all of whose bars were known; one between others may be asked for with them."""
    seen, vain = set(), []
    for symbol, timeframe, low, high in log:
        new = {(symbol, timeframe, at) for at in range(low, high, MINUTE)}
        vain += [(symbol, timeframe, low, high)] if new <= seen else []
        seen |= new
    return vain


FAULTS = st.sampled_from([None, None, None, "fail", "lost"])


@settings(max_examples=30)
@given(
    st.lists(FAULTS, max_size=30),
    st.lists(st.integers(0, 900), max_size=40),
    st.integers(20, 300),
    st.integers(0, 3),
    st.lists(st.tuples(st.integers(-200, 1_000), st.integers(1, 900)), min_size=1, max_size=4),
)
def test_whatever_fails_in_the_end_the_store_is_the_truth_and_every_hole_has_its_reason(
    plan, without, page, settles, spans
):
    """The law of syncs: of any ranges, in any order, from an exchange that fails by any plan."""
    clock = Clock.behind(1_000)
    truth = bars(2_000, without=without) or bars(1)
    listed = truth[0][0]
    source = FakeExchange({("A", "1m"): truth}, clock, page=page, settles=settles, plan=plan)
    with (
        tempfile.TemporaryDirectory() as folder,
        mdstore.MarketDataStore(Path(folder) / "market_data.sqlite3", clock=clock) as store,
    ):
        wanted = set()
        for first, length in spans:
            low, high = START + first * MINUTE, START + min(first + length, 990) * MINUTE
            if low >= high:
                continue
            wanted |= set(range(low, high, MINUTE))
            failed, rounds = True, 0
            while failed:
                known, rounds = len(source.log), rounds + 1
                assert rounds <= len(plan) + 1, failed
                failed = store.sync(source, "A", "1m", since=low, until=high).failed
                assert all(isinstance(one, mdstore.MarketDataError) for one in failed.values())
                assert asked_twice(source.log[known:]) == {}
        assert in_vain(source.log) == [], "not even after failures: pages that came have landed"
        there = {row[0]: row for row in truth}
        if not wanted:
            return
        span = {"start": min(wanted), "end": max(wanted) + MINUTE}
        got = {row[0]: row for row in rows_of(store)} if len(store) else {}
        assert got == {at: there[at] for at in wanted if at in there}
        if got:
            reasons = {}
            for low, high, _, reason, *_ in store.gaps("A", "1m", **span).iter_rows():
                for at in range(int(low.timestamp() * 1000), int(high.timestamp() * 1000), MINUTE):
                    reasons[at] = reason
            for at in wanted - set(there):
                assert reasons[at] == ("before_listing" if at < listed else "no_trade")


def test_signals_are_as_before(tmp_path):
    clock = Clock.behind(10)
    source = FakeExchange({("A", "1m"): bars(10)}, clock)
    before = signal.getsignal(signal.SIGINT)
    with mdstore.MarketDataStore(tmp_path / "market_data.sqlite3", clock=clock) as store:
        store.sync(source, "A", "1m", since=START)
    assert signal.getsignal(signal.SIGINT) is before
