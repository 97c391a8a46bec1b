"""A writer beside readers that never rest: the log stays bounded, and what pins it is told."""

import random
import signal
import statistics
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import polars as pl
import pytest

import mdstore
from mdstore.candles.file import log
from tests.support.candles import MINUTE, START, walk
from tests.support.processes import start

SYMBOLS, BARS, ROWS = 20, 5_000, 200
MOST_BYTES = 64_000_000
# Nothing is kept in memory, so every read goes to the file; or a read that is slow, and always under way.
READERS = {
    "candles": """
        import random, sys, mdstore
        chance = random.Random(int(sys.argv[1]))
        with mdstore.open("s.sqlite3", memory_bytes=0) as store:
            print("ready", flush=True)
            while True:
                store.candles(f"S{chance.randrange(20)}", "1m", limit=chance.choice([10, 1_000]))
    """,
    "slow": """
        import sys, time, mdstore
        with mdstore.open("s.sqlite3") as store:
            print("ready", flush=True)
            while True:
                with store._candles._database.reading() as con:
                    con.execute("SELECT * FROM series").fetchall()
                    time.sleep(0.003 + 0.002 * int(sys.argv[1]))
    """,
}
WRITER = """
    import sys, time, mdstore
    from tests.attack.test_log_growth import writes

    times = []
    with mdstore.open("s.sqlite3") as store:
        until = time.monotonic() + float(sys.argv[1])
        for write in writes(store):
            began = time.perf_counter()
            write()
            times.append((time.perf_counter() - began) * 1000)
            if time.monotonic() > until:
                break
    with open("times.txt", "w") as file:  # a pipe would be full before the end
        print(*times, file=file)
"""


def filled(folder):
    store = mdstore.open(folder / "s.sqlite3")
    for symbol in range(SYMBOLS):
        store.write(f"S{symbol}", "1m", walk(BARS, seed=symbol))
    return store


def writes(store):
    """Yield calls that write 200 rows: corrections here and there in all series, and new bars of one."""
    chance, ends = random.Random(7), dict.fromkeys(range(SYMBOLS), BARS)
    for number in range(1_000_000):
        if number % 3:
            data = corrections(chance, number)
            yield lambda data=data: store.write_many(data, timeframe="1m")
        else:
            symbol = chance.randrange(SYMBOLS)
            data = walk(ROWS, start=START + ends[symbol] * MINUTE, seed=number)
            ends[symbol] += ROWS
            yield lambda symbol=symbol, data=data: store.write(f"S{symbol}", "1m", data)


def corrections(chance, number):
    each = ROWS // SYMBOLS
    starts = [START + chance.randrange(BARS - each) * MINUTE for _ in range(SYMBOLS)]
    return pl.concat(
        walk(each, start=at, seed=number).with_columns(symbol=pl.lit(f"S{symbol}"))
        for symbol, at in enumerate(starts)
    )


def log_bytes(store):
    return Path(f"{store.path}-wal").stat().st_size


@contextmanager
def busy_readers(store):
    """Read all the time, each a few milliseconds, so that somebody always does."""
    stop = threading.Event()

    def read(seconds):
        while not stop.is_set():
            with store._candles._database.reading() as con:
                con.execute("SELECT * FROM series").fetchall()
                time.sleep(seconds)

    threads = [threading.Thread(target=read, args=(seconds,)) for seconds in (0.003, 0.005, 0.007)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.long
def test_the_log_is_bounded_beside_busy_readers(tmp_path):
    largest, seen = 0, 0
    with filled(tmp_path) as store, busy_readers(store):
        for number, write in enumerate(writes(store)):
            largest, before = max(largest, log_bytes(store)), log_bytes(store)
            write()
            seen += max(0, log_bytes(store) - before)  # as much as it would have grown to
            if number > 40 and seen > 1.25 * MOST_BYTES:
                break
        assert largest < MOST_BYTES
    with mdstore.open(tmp_path / "s.sqlite3") as store:
        assert store.maintenance.check() == []


def test_a_reader_that_pins_the_log_is_told_of_and_costs_no_write(tmp_path, monkeypatch):
    monkeypatch.setattr(log, "LOG_BYTES", 1_000_000)
    monkeypatch.setattr(log, "RETRY_SECONDS", 0.0)
    with filled(tmp_path) as store:
        todo = writes(store)
        next(todo)()
        assert store.maintenance.stats()["wal_pinned_since"] == ""
        with ExitStack() as stack:
            con = stack.enter_context(store._candles._database.reading())
            con.execute("SELECT * FROM series").fetchall()
            for _ in range(12):
                next(todo)()
            stats = store.maintenance.stats()
            assert stats["wal_bytes"] == log_bytes(store) > 1_000_000
            assert stats["wal_pinned_since"].endswith("+00:00")
            next(todo)()
            assert store.maintenance.stats()["wal_pinned_since"] == stats["wal_pinned_since"]
        next(todo)()
        stats = store.maintenance.stats()
        assert stats["wal_bytes"] == log_bytes(store) < 1_000_000  # begun anew before the write
        assert stats["wal_pinned_since"] == ""
        assert store._candles._database._writer.pragma("busy_timeout") == 10_000


@pytest.mark.long
@pytest.mark.parametrize("kind", READERS)
def test_the_log_is_bounded_for_a_minute(tmp_path, kind):
    filled(tmp_path).close()
    readers = [start(READERS[kind], str(number), cwd=tmp_path) for number in range(3)]
    assert [reader.stdout.readline() for reader in readers] == ["ready\n"] * 3
    writer = start(WRITER, "60", cwd=tmp_path)
    path, largest = tmp_path / "s.sqlite3-wal", 0
    while writer.poll() is None:
        largest = max(largest, path.stat().st_size if path.exists() else 0)
        time.sleep(0.02)
    times = list(map(float, (tmp_path / "times.txt").read_text().split()))
    for child in (*readers, writer):
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
    cuts = statistics.quantiles(times, n=100)
    print(f"\n{'readers':<9}{'writes':>8}{'MB of log':>12}{'p50 ms':>9}{'p99 ms':>9}{'most ms':>9}")
    figures = f"{largest / 1e6:>12.1f}{cuts[49]:>9.1f}{cuts[98]:>9.1f}{max(times):>9.1f}"
    print(f"{kind:<9}{len(times):>8,}{figures}")
    assert 0 < largest < MOST_BYTES
