"""Kill -9 in the middle of sealing, publishing and compacting: nothing wrong is served, nothing is lost."""

import random
import signal
import time
from contextlib import ExitStack

import polars as pl
import pytest

import mdstore
from tests.support.candles import bits, walk
from tests.support.doses import dose
from tests.support.processes import start
from tests.support.small import cut_down

pytestmark = pytest.mark.slow

BARS = 3_000
# Where a process can die: just before or just after each step that others can see.
POINTS = {
    "before a pack is begun": ("packs.PackWriter", "add", "before"),
    "with half a pack on disk": ("packs.PackWriter", "add", "after"),
    "before a pack is synced and named": ("packs.PackWriter", "finish", "before"),
    "with a pack that nothing points to": ("packs.PackWriter", "finish", "after"),
    "before cells are published": ("upkeep", "_publish", "before"),
    "with cells that are not committed": ("upkeep", "_publish", "after"),
    "before cells are replaced": ("compaction", "_replace_all", "before"),
    "with cells that are replaced but not committed": ("compaction", "_replace_all", "after"),
    "before dead packs are dropped": ("compaction.Compaction", "_drop_dead", "before"),
    "after dead packs are dropped": ("compaction.Compaction", "_drop_dead", "after"),
    "before cells are forgotten": ("cells", "forget", "before"),
    "with cells that are forgotten but not committed": ("cells", "forget", "after"),
}
CHILD = """
    import os, signal, sys
    import mdstore
    from mdstore.candles.packs import cells
    from mdstore.candles.packs import merging as compaction
    from mdstore.candles.packs import pack_files as packs
    from mdstore.candles.packs import seal_policy as upkeep
    from tests.candles.packs.test_kill import valued
    from tests.support.candles import START, MINUTE

    place, name, when = sys.argv[1:]
    owner = eval(place, {"cells": cells, "compaction": compaction, "packs": packs, "upkeep": upkeep})
    original = getattr(owner, name)

    def dying(*args, **options):
        if when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        original(*args, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    with mdstore.open("market_data.sqlite3") as store:
        store.write("D", "1m", valued(1_500, seed=4))
        print("ready", flush=True)
        setattr(owner, name, dying)
        store.maintenance.compact()
        store.maintenance.warm()
        store.write("A", "1m", valued(1, seed=9, start=START + 100 * MINUTE))
        store.write("B", "1m", valued(3_000, seed=7))
"""
WORKER = """
    import random, sys
    import mdstore
    from tests.support.candles import walk, START, MINUTE
    from tests.support.small import cut_down

    for size in cut_down():
        size.start()
    chance = random.Random(int(sys.argv[1]))
    with mdstore.open("market_data.sqlite3") as store:
        number = len(store.series().filter(symbol="N")) and int(store.candles("N", "1m")["volume"][0])
        while True:
            number += 1
            first = chance.randrange(200)
            bars = walk(chance.randrange(1, 60), start=START + first * MINUTE)
            bars = bars.with_columns(volume=float(number))
            store.write("A", "1m", bars)
            store.write("N", "1m", walk(1).with_columns(volume=float(number)))
            print(number, first, len(bars), flush=True)
            upkeep = store.maintenance
            chance.choice([upkeep.compact, upkeep.warm, lambda: store.candles(None, "1m")])()
"""


INTERRUPTED = """
    import random, signal, sys, threading, time
    import mdstore
    from tests.support.candles import bits, walk

    kind, chance, seen, armed = sys.argv[1], random.Random(3), 0, 0

    def on_ctrl_c(*_):
        global armed
        if armed:
            armed -= 1
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, on_ctrl_c)
    store = mdstore.open("market_data.sqlite3", memory_bytes=0 if kind == "cold" else 1 << 26)
    work = {
        "hot": lambda: store.candles("A", "1m", limit=5),
        "cold": lambda: store.candles(None, "1m", limit=5),
        "write": lambda: store.write("W", "1m", walk(40, seed=chance.randrange(9))),
    }[kind]

    def interrupt():
        while seen < 300:
            time.sleep(chance.random() * 0.004)
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    while seen < 300:
        try:
            try:
                armed = 2  # a second may come while the first is dealt with
                while True:
                    work()
            except KeyboardInterrupt:
                seen += 1
                armed = 0
        except KeyboardInterrupt:
            seen += 1
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    time.sleep(0.05)
    assert store.write("V", "1m", walk(5)).rows == 5
    assert bits(store.candles("A", "1m")) == bits(walk(3_000))
    assert store.maintenance.check() == []
    assert not store._candles._database._uses
    store.close()
    print("fine")
"""


@pytest.mark.variants(1)
@pytest.mark.parametrize("kind", ["hot", "cold", "write"])
def test_ctrl_c_at_any_moment_leaves_a_store_that_works_and_closes(tmp_path, kind):
    with mdstore.open(tmp_path / "market_data.sqlite3") as store:
        store.write("A", "1m", walk(BARS))
        store.write("B", "1m", walk(100))
    child = start(INTERRUPTED, kind, cwd=tmp_path)
    assert child.communicate(timeout=80)[0].split() == ["fine"]


def valued(bars, **options):
    """Return bars with a column more, which says of which bar it is."""
    return walk(bars, **options).with_columns(value=pl.col("volume") * 3)


@pytest.mark.variants(5)
@pytest.mark.parametrize(
    "declared",
    [pytest.param(False, id="candles"), pytest.param(True, id="a declared column")],
)
@pytest.mark.parametrize("point", POINTS)
def test_a_process_that_is_killed_leaves_a_store_that_is_true(tmp_path, point, declared):
    with mdstore.open(tmp_path / "market_data.sqlite3") as store:
        if declared:
            store.declare("value", resample="sum")
        for seed, symbol in enumerate("ABC"):
            store.write(symbol, "1m", valued(BARS, seed=seed))
        child = start(CHILD, *POINTS[point], cwd=tmp_path)
        assert child.stdout.readline() == "ready\n"
        assert child.wait(60) == -signal.SIGKILL
        child.stdout.close()
        for reader in (store, None):
            with reader or mdstore.open(tmp_path / "market_data.sqlite3") as found:
                read = {symbol: bits(found.candles(symbol, "1m")) for symbol in "ABCD"}
                assert read["C"] == bits(walk(BARS, seed=2))
                assert read["D"] == bits(walk(1_500, seed=4))
                # What was being written is there as a whole or not at all.
                assert read["A"] == bits(walk(BARS)) or len(read["A"]["close"]) == 8 * BARS
                assert read["B"] in (bits(walk(BARS, seed=1)), bits(walk(BARS, seed=7)))
                if declared:
                    both = found.candles(None, "1m", columns=["volume", "value"])
                    assert (both["value"] == both["volume"] * 3).all()
                    assert not both["value"].null_count()
    with mdstore.open(tmp_path / "market_data.sqlite3") as store:
        store.maintenance.warm()
        assert store.maintenance.check() == []


def kill_at_random(folder, rounds, seed):
    chance = random.Random(seed)
    expected = {}
    for number in range(rounds):
        child = start(WORKER, str(number), cwd=folder)
        lines = [child.stdout.readline()]
        time.sleep(chance.random() * 0.4)
        child.kill()
        lines += child.stdout.read().splitlines()
        child.wait()
        child.stdout.close()
        for line in filter(str.strip, lines):
            commit, first, count = map(int, line.split())
            expected |= dict.fromkeys(range(first, first + count), commit)
        with ExitStack() as stack:
            for size in cut_down():
                stack.enter_context(size)
            store = stack.enter_context(mdstore.open(folder / "market_data.sqlite3"))
            rows = store.candles("A", "1m").select("timestamp", "volume")
            places = [(t - 1_756_684_800_000) // 60_000 for t in rows["timestamp"].to_physical()]
            found = dict(zip(places, map(int, rows["volume"]), strict=True))
            # The last commit may have been made and not been told.
            later = {place: commit for place, commit in found.items() if commit != expected.get(place)}
            assert all(commit > max(expected.values(), default=0) for commit in later.values())
            assert set(found) >= set(expected)
            expected |= found
            store.maintenance.warm()
            assert store.maintenance.check() == []


@pytest.mark.long
def test_kills_at_random_moments_lose_nothing(tmp_path):
    kill_at_random(tmp_path, dose(15), 1)


@pytest.mark.long
def test_many_kills_at_random_moments_lose_nothing(tmp_path):
    kill_at_random(tmp_path, 400, 2)
