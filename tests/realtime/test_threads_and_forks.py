"""Many threads, forked children and interrupts share rings without spoiling them."""

import threading
import time

import polars as pl
import pytest

from mdstore.realtime.limits import TRADES
from mdstore.realtime.table import RealtimeTable
from tests.support.doses import dose
from tests.support.realtime import MS, NAMES, ids, trade


@pytest.mark.slow
@pytest.mark.parametrize("form", ["row", "batch"])
def test_one_writer_and_eight_readers_see_whole_rows_in_order(clock, form):
    table = RealtimeTable(TRADES, rows=3000, clock=time.time_ns)
    stop, failed = threading.Event(), []
    reads = [0] * 8

    def read(number):
        kept = None
        last = -1
        try:
            while not stop.is_set():
                frame = (
                    table.window("A", rows=2000)
                    if number % 2
                    else table.window(["A", "B"]).filter(pl.col("symbol") == "A")
                )
                if len(frame):
                    key = frame["id"]
                    assert (key.diff().drop_nulls() == 1).all(), "a hole or a repeated row"
                    assert (frame["price"] == key.cast(pl.Float64)).all(), "a torn row"
                    assert (frame["size"] == 2 * frame["price"]).all(), "a torn row"
                    assert key[-1] >= last, "back in time"
                    last = key[-1]
                row = table.latest("A")
                assert row is None or (row.price == row.id and row.size == 2 * row.price and row.id >= last)
                table.snapshot()
                table.stats()
                if kept is None and len(frame) > 100:
                    kept, copy = frame, frame.to_dict(as_series=False)
                reads[number] += 1
            assert kept is None or kept.to_dict(as_series=False) == copy, "a frame has changed"
        except BaseException as error:
            failed.append(error)
            stop.set()

    readers = [threading.Thread(target=read, args=(number,)) for number in range(8)]
    for reader in readers:
        reader.start()
    key = 0
    end = time.monotonic() + dose(3)
    while (time.monotonic() < end or min(reads) < 5) and not stop.is_set():
        now = time.time_ns() // MS
        rows = [("A", now, float(key + n), 2.0 * (key + n), "buy", key + n) for n in range(100)]
        key += 100
        if form == "row":
            for row in rows:
                table.push(row)
                table.push(("B", *row[1:]))
        else:
            table.push(pl.DataFrame(rows, schema=NAMES, orient="row"))
        time.sleep(0)
    stop.set()
    for reader in readers:
        reader.join()
    assert not failed, failed[0]
    assert min(reads) >= 5
    assert table.latest("A").id == key - 1


@pytest.mark.slow
def test_several_feeds_push_the_same_trades_and_each_is_kept_once(clock):
    table = RealtimeTable(TRADES, clock=clock)
    rows = [trade(at // 10 - 2000, key=at) for at in range(10_000)]
    threads = [threading.Thread(target=lambda: [table.push(row) for row in rows]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ids(table.window("KRW-BTC")) == list(range(10_000))
    assert table.stats()["duplicates"] == 30_000


@pytest.mark.slow
def test_a_forked_child_has_rings_of_its_own(python):
    """The parent's feed may hold the lock at the fork, and its bars are the parent's to store."""
    assert (
        python("""
        import os, tempfile, threading, time, mdstore
        folder = tempfile.mkdtemp()
        cache = mdstore.RealtimeDataCache(trades={"ttl": 5})
        store = mdstore.open(folder + "/market_data.sqlite3", realtime=cache)
        store.live.build("1m", persist=True)
        stop = threading.Event()
        def feed():
            key = 0
            while not stop.is_set():
                key += 1
                store.trades.push(("A", time.time_ns() // 10**6, 1.0, 1.0, "buy", key))
        thread = threading.Thread(target=feed)
        thread.start()
        codes = []
        for _ in range(10):
            child = os.fork()
            if child == 0:
                assert store.trades.latest("A") is None and store.trades.ttl == 5
                store.trades.push(("B", time.time_ns() // 10**6, 1.0, 1.0, "buy", 1))
                assert store.trades.latest("B").id == 1
                store.close()
                os._exit(7)
            codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        stop.set()
        thread.join()
        print(codes == [7] * 10, store.trades.latest("A") is not None, store.trades.latest("B"))
        store.close()
    """)
        == "True True None"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "form", ["row", *(pytest.param(form, marks=pytest.mark.long) for form in ("list", "batch"))]
)
def test_an_interrupt_leaves_no_sum_wrong(python, form):
    assert (
        python(f"""
        import signal, threading, time, polars as pl
        from mdstore.realtime.limits import TRADES
        from mdstore.realtime.table import RealtimeTable

        now = 1_700_000_000_000
        bounds = dict(rows=3000, bytes=150_000, total_bytes=400_000)
        table = RealtimeTable(TRADES, clock=lambda: now * 10**6, **bounds)
        names = ("symbol", "timestamp", "price", "size", "side", "id")

        def interrupt(*_):
            raise KeyboardInterrupt

        signal.signal(signal.SIGALRM, interrupt)
        key = hits = 0
        end = time.monotonic() + 2
        while time.monotonic() < end:
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0007)
                while True:
                    rows = [("S%d" % (n % 5), now, 1.0, 1.0, "buy", key + n) for n in range(200)]
                    key += 200
                    if {form!r} == "row":
                        for row in rows: table.push(row)
                    elif {form!r} == "list":
                        table.push(rows)
                    else:
                        table.push(pl.DataFrame(rows, schema=names, orient="row"))
            except BaseException:  # Polars makes other errors of an interrupt
                hits += 1
            for symbol in table.symbols:
                ring = table._rings.by_symbol[symbol]
                assert ring.state.rows == sum(len(b.times) for b in ring.state.sealed)
                assert ring.state.size == sum(b.size for b in ring.state.sealed)
                assert ring.tail is ring.state.tail
                window = table.window(symbol)
                assert window["id"].is_unique().all()
                assert table.latest(symbol).id == window["id"][-1]
        signal.setitimer(signal.ITIMER_REAL, 0)
        other = threading.Thread(target=table.stats, daemon=True)
        other.start()
        other.join(5)
        assert not other.is_alive(), "the lock was left held"
        table.stats()
        held = sum(ring.state.size for ring in table._rings.by_symbol.values())
        assert table._rings._sealed_bytes == held <= 400_000
        print(hits > 20)
    """)
        == "True"
    )
