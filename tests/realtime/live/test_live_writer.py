"""How closed bars are stored: tried again, amended, flushed, withdrawn; and what a frame shows meanwhile."""

import threading
import time

import polars as pl
import pytest

import mdstore
from mdstore import StoreBusyError, StoreClosedError, ValidationError
from mdstore.realtime import live_writer as lander
from mdstore.realtime.forming_bars import KEPT
from mdstore.realtime.live import LiveCandles
from mdstore.realtime.rows import Trade
from tests.support.interrupts import interrupted
from tests.support.live import GRACE_MS, MINUTE, OHLCV, SYMBOL, T0, Sink, bar, grouped, kline, play, trade

# ---- frames


def test_a_frame_has_the_columns_of_candles_and_whether_each_is_closed(live, clock):
    play(
        live,
        clock,
        [trade(0, symbol="B"), trade(0, symbol="A"), trade(63, symbol="A"), trade(63, symbol="B")],
    )
    schema = {
        "timestamp": pl.Datetime("ms", "UTC"), **dict.fromkeys(OHLCV, pl.Float64), "closed": pl.Boolean,
        "partial": pl.Boolean,
    }  # fmt: skip
    one, many, every = live.frame("A", "1m"), live.frame(["B", "A", "C"], "1m"), live.frame(None, "60s")
    assert dict(one.schema) == schema
    assert dict(many.schema) == {"symbol": pl.Categorical, **schema}
    assert many.equals(every)
    assert many.select("symbol", "closed").rows() == [("A", True), ("A", False), ("B", True), ("B", False)]
    assert one.rows() == many.filter(pl.col("symbol") == "A").drop("symbol").rows()
    assert one["timestamp"].dt.epoch("ms").to_list() == [T0, T0 + MINUTE]
    assert live.frame("nothing", "1m").schema == one.schema
    assert live.frame(None, "4h").schema == many.schema


def test_a_frame_shows_bars_that_wait_to_be_stored_unless_told_not_to(landing, clock):
    live = landing(Sink(always=OSError("no space left")))
    play(live, clock, [trade(60 * minute) for minute in range(8)])
    live.heartbeat(T0 + 7 * MINUTE + GRACE_MS)
    with pytest.raises(OSError, match="no space"):
        live.flush()
    starts = [T0 + minute * MINUTE for minute in range(8)]
    assert live.frame(SYMBOL, "1m")["timestamp"].dt.epoch("ms").to_list() == starts
    assert live.frame([SYMBOL], "1m", pending=False)["timestamp"].dt.epoch("ms").to_list() == starts[4:]
    live.clear()
    assert live.frame(None, "1m")["timestamp"].dt.epoch("ms").to_list() == starts[:7]


def test_clear_forgets_bars_and_counts_and_goes_on_with_partial_ones(live, clock):
    play(live, clock, [trade(0), trade(63)])
    live.tick()
    live.clear()
    assert live.frame(None, "1m").is_empty()
    assert set(live.stats().values()) == {0, None}
    play(live, clock, [trade(64), trade(120), trade(200)])
    assert [one[0] for one in live.bars(SYMBOL, "1m") if one[6]] == [T0 + 2 * MINUTE]
    assert live.stats()["partial"] == 1


# ---- storing


def test_closed_bars_are_in_the_file_and_the_forming_one_is_not(tmp_path, clock):
    with mdstore.open(tmp_path / "live.sqlite3") as store:
        live = LiveCandles(clock=clock, land=store.write)
        live.build(["1m", "1h"], persist=True, from_start=True)
        play(live, clock, [trade(second, 10 + second % 7, 2) for second in range(0, 300, 5)])
        live.flush()
        closed = live.frame([SYMBOL], "1m").filter("closed").drop("symbol", "closed", "partial")
        live.close()
        live.close()
        assert store.candles(SYMBOL, "1m")[-KEPT:].equals(closed)
    with mdstore.open(tmp_path / "live.sqlite3") as store:
        stored = store.candles(SYMBOL, "1m")
        model = grouped([trade(second, 10 + second % 7, 2) for second in range(0, 300, 5)], "1m")
        assert stored["timestamp"].dt.epoch("ms").to_list() == [row[0] for row in model[:-1]]
        assert stored.select(OHLCV).rows() == [row[1:] for row in model[:-1]]
        assert store.series()["timeframe"].to_list() == ["1m"]


def test_a_bar_that_the_store_refuses_does_not_keep_the_others_out(tmp_path, clock):
    with mdstore.open(tmp_path / "live.sqlite3") as store:
        gate = threading.Event()

        def gated(*args):  # the first write waits until all the bars are queued, so that the next has all
            assert gate.wait(5)
            return store.write(*args)

        live = LiveCandles(clock=clock, land=gated)
        live.build("1m", persist=True)
        future = (time.time_ns() // 1_000_000 // MINUTE + 10_000) * MINUTE
        clock.at(future)  # ahead of the store's, which refuses the bar
        live.update(kline(0)._replace(timestamp=future, closed=True))
        for minute in range(3):
            live.update(kline(minute, closed=True))
        gate.set()
        with pytest.raises(ValidationError, match="future"):
            live.flush()
        assert len(store.candles(SYMBOL, "1m")) == 3
        assert live.stats()["pending"] == 1
        with pytest.raises(ValidationError, match="future"):
            live.close()


def test_only_series_built_to_persist_are_stored(landing, clock):
    sink = Sink()
    live = landing(sink, symbols=["A"])
    live.build(["1m", "3m"], from_start=True)
    play(live, clock, [trade(second, symbol=name) for second in (0, 200, 400) for name in "AB"])
    live.update(kline(0, closed=True, symbol="B"))
    live.update(kline(0, closed=True, symbol="A", timeframe="5m")._replace(timestamp=T0 - T0 % 300_000))
    live.flush()
    assert set(sink.rows) == {("A", "1m")}


def test_a_busy_store_is_tried_again(landing, clock):
    sink = Sink(StoreBusyError("busy"), StoreBusyError("busy"))
    live = landing(sink)
    play(live, clock, [trade(0), trade(63)])
    live.flush()
    assert len(sink.calls) == 3
    assert sink.sorted() == [bar(0, 10, 10, 10, 10, 1)[:6]]
    assert (live.stats()["landed"], live.stats()["pending"], live.stats()["land_error"]) == (1, 0, None)


def test_a_store_that_stays_busy_is_given_up_when_time_is_up(landing, clock):
    live = landing(Sink(always=StoreBusyError("another is writing")))
    play(live, clock, [trade(0), trade(63)])
    with pytest.raises(StoreBusyError, match="another is writing"):
        live.flush(timeout=0.1)
    assert live.stats()["pending"] == 1


def test_a_failure_is_named_and_nothing_is_lost(landing, clock, monkeypatch):
    monkeypatch.setattr(lander, "RETRY_SECONDS", 1000)  # flush does not wait for that
    sink = Sink(always=OSError("no space left"))
    live = landing(sink)
    play(live, clock, [trade(0), trade(63), trade(130)])
    with pytest.raises(OSError, match="no space left"):
        live.flush()
    assert live.stats()["land_error"] == "KRW-BTC 1m: OSError: no space left"
    assert live.stats()["pending"] == 2
    sink.always = None
    live.flush(timeout=5)
    assert len(sink.sorted()) == 2
    assert (live.stats()["land_error"], live.stats()["pending"]) == (None, 0)


def test_a_failure_is_tried_again_without_being_asked(landing, clock, monkeypatch):
    monkeypatch.setattr(lander, "RETRY_SECONDS", 0.01)
    sink = Sink(OSError("once"), OSError("twice"))
    live = landing(sink)
    play(live, clock, [trade(0), trade(63)])
    until = time.monotonic() + 5
    while live.stats()["pending"] and time.monotonic() < until:
        time.sleep(0.01)
    assert len(sink.calls) == 3
    assert len(sink.sorted()) == 1


def test_a_bar_that_is_amended_while_it_is_being_stored_is_stored_again(landing, clock):
    began, go_on, sink = threading.Event(), threading.Event(), Sink()

    def slow(*args):
        began.set()
        assert go_on.wait(5)
        sink(*args)

    live = landing(slow)
    play(live, clock, [trade(0), trade(63)])
    assert began.wait(5)
    live.offer(trade(1, 77))
    go_on.set()
    live.flush()
    assert [rows for _, _, rows in sink.calls] == [
        [bar(0, 10, 10, 10, 10, 1)[:6]], [bar(0, 10, 77, 10, 77, 2)[:6]],
    ]  # fmt: skip
    assert live.stats()["pending"] == 0


def test_a_flush_waits_for_what_became_of_a_bar_that_was_amended_meanwhile(landing, clock):
    gates = [threading.Event(), threading.Event()]
    began = [threading.Event(), threading.Event()]
    calls = iter(range(2))

    def slow(*_):
        call = next(calls)
        began[call].set()
        assert gates[call].wait(5)

    live = landing(slow)
    play(live, clock, [trade(0), trade(63)])
    assert began[0].wait(5)
    flusher = threading.Thread(target=live.flush)
    flusher.start()
    time.sleep(0.05)  # for it to begin
    live.offer(trade(1, 77))
    gates[0].set()
    assert began[1].wait(5)
    flusher.join(0.15)
    assert flusher.is_alive()
    gates[1].set()
    flusher.join(5)
    assert not flusher.is_alive()


def test_a_shutdown_that_cannot_store_says_so_and_ends_the_thread(landing, clock):
    live = landing(Sink(always=OSError("no space left")))
    play(live, clock, [trade(0), trade(63)])
    thread = live._lander._thread
    with pytest.raises(OSError, match="no space left"):
        live.close()
    assert not thread.is_alive()
    assert live.stats()["pending"] == 1
    live.close()
    with pytest.raises(OSError, match="no space left"):
        live.flush()


def test_a_shutdown_stores_what_is_closed_and_ends_everything(landing, clock):
    sink = Sink()
    live = landing(sink)
    play(live, clock, [trade(0), trade(63)])
    thread = live._lander._thread
    live.close()
    assert not thread.is_alive()
    live.offer(trade(200))
    clock.at(T0 + 3_600_000)
    live.update(kline(9))
    assert sink.sorted() == [bar(0, 10, 10, 10, 10, 1)[:6]]
    assert [one[0] for one in live.bars(SYMBOL, "1m")] == [T0, T0 + MINUTE]
    with pytest.raises(StoreClosedError, match="closed"):
        live.build("5m")


def test_no_thread_is_started_before_bars_are_to_be_stored(clock):
    threads = set(threading.enumerate())
    live = LiveCandles(clock=clock, land=Sink())
    live.build("1m", from_start=True)
    play(live, clock, [trade(0), trade(63)])
    live.close()
    assert set(threading.enumerate()) <= threads


def test_ctrl_c_ends_a_flush(landing, clock):
    """Also while the store does not come back, so that nothing wakes the one who waits."""
    go_on, came_back = threading.Event(), []
    live = landing(lambda *_: came_back.append(go_on.wait(30)))
    play(live, clock, [trade(0), trade(63)])
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupted(0.2, lambda: live.flush(timeout=30))
        assert not came_back
    finally:
        go_on.set()


def test_threads_share_live_candles(landing, clock):
    sink = Sink()
    live = landing(sink, timeframes=["1s", "1m"])
    names, stop = [f"S{number}" for number in range(4)], threading.Event()
    clock.at(T0 + 600_000)
    failures = []

    def feed(name):
        for number in range(2000):
            live.offer(Trade(name, T0 + number * 50, 10.0, 1.0))
            live.offer(Trade("shared", T0 + number * 50, 10.0, 1.0))

    def read():
        try:
            while not stop.is_set():
                frame = live.frame(None, "1m")
                assert frame.select("symbol", "timestamp").is_duplicated().sum() == 0
                live.stats()
        except BaseException as error:
            failures.append(error)

    reader = threading.Thread(target=read)
    feeders = [threading.Thread(target=feed, args=(name,)) for name in names]
    for thread in (reader, *feeders):
        thread.start()
    for thread in feeders:
        thread.join()
    stop.set()
    reader.join()
    live.heartbeat(T0 + 600_000)
    live.close()
    assert not failures
    assert live.stats()["forming"] == 0
    for name in names:
        assert sum(row[5] for row in sink.sorted(name, "1m")) == 2000
    stats = live.stats()
    assert sum(row[5] for row in sink.sorted("shared", "1m")) == 8000
    assert stats["pending"] == 0


def test_sizes_that_add_up_to_no_number_make_no_bar(landing, clock):
    live = landing(Sink())
    play(live, clock, [trade(0, size=1.5e308), trade(1, size=1.5e308), trade(63)])
    live.heartbeat(T0 + 2 * MINUTE + GRACE_MS)
    live.flush()
    assert (live.stats()["partial"], live.stats()["landed"]) == (1, 1)


def test_the_last_bar_of_a_quiet_symbol_is_stored_by_itself(landing, clock):
    sink = Sink()
    live = landing(sink)
    play(live, clock, [trade(0), trade(1)])
    live.heartbeat(T0 + MINUTE + GRACE_MS)
    end = time.monotonic() + 10
    while not sink.sorted() and time.monotonic() < end:
        time.sleep(0.01)
    assert [row[0] for row in sink.sorted()] == [T0]


def test_an_interrupt_of_what_stores_bars_does_not_end_it(landing, clock):
    """Polars raises KeyboardInterrupt in whichever thread it is at work."""
    sink = Sink(KeyboardInterrupt(), KeyboardInterrupt())
    live = landing(sink)
    play(live, clock, [trade(0), trade(63)])
    live.flush(timeout=20)
    assert len(sink.sorted()) == 1
