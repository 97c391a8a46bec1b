"""Reads that include the bar that is forming: which of the file's and the live one is shown."""

from datetime import UTC, datetime

import pytest

import mdstore
from mdstore import (
    InvalidInputError,
)
from tests.support.realtime import Clock, now_ms


def test_forming_bars_are_read_and_never_stored(store):
    minute = now_ms() // 60_000 * 60_000
    store.write("A", "1m", [(minute - 180_000, 1, 1, 1, 1, 1)])
    store.live.build("1m", from_start=True, persist=True)
    for at, price in ((-120_000, 5.0), (-119_000, 7.0), (-60_000, 6.0), (0, 8.0)):
        store.trades.push(("A", minute + at, price, 1.0))
    store.trades.push(("B", minute, 1.0, 1.0))
    store.live.flush()
    frame = store.candles("A", "1m", include_forming=True)
    assert frame["close"].to_list()[:2] == [1.0, 7.0]
    assert frame["closed"].to_list()[:2] == [True, True]
    assert frame.columns[-2:] == ["closed", "partial"]
    assert not frame["partial"].any()
    assert not frame["closed"][-1]
    assert frame["timestamp"].is_sorted()
    assert frame["timestamp"].is_unique().all()
    assert len(store.candles("A", "1m", include_forming=True, limit=1)) == 1
    long = store.candles(["A", "B"], "1m", include_forming=True, columns=["close", "closed"])
    assert long.columns == ["symbol", "close", "closed"]
    assert long["symbol"].to_list() == ["A"] * (len(long) - 1) + ["B"]
    assert len(store.candles(None, "1m", include_forming=True, limit=1)) == 2
    assert store.candles("B", "1m", include_forming=True)["closed"].to_list() == [False]
    with pytest.raises(mdstore.NoSuchSeriesError, match="C"):
        store.candles(["A", "C"], "1m", include_forming=True)
    with pytest.raises(mdstore.NoSuchSeriesError):
        store.candles("C", "1m", include_forming=True)
    with pytest.raises(InvalidInputError, match="include_forming"):
        store.candles("A", "1m", fill="flat", include_forming=True)
    with pytest.raises(InvalidInputError, match="have not ended"):
        store.write("A", "1m", frame)
    path = store.path
    store.close()
    with mdstore.open(path) as again:
        stored = again.candles("A", "1m")
        assert stored["timestamp"][-1] < datetime.fromtimestamp(minute / 1000, UTC)
        with pytest.raises(mdstore.NoSuchSeriesError):
            again.candles("B", "1m")


def test_a_partial_live_bar_does_not_hide_a_stored_one(store):
    minute = now_ms() // 60_000 * 60_000
    store.realtime.clock = Clock(minute + 20_000)
    store.write("A", "1m", [(minute, 10, 20, 5, 12, 100)])
    store.live.build("1m")
    store.trades.push(("A", minute + 15_000, 13.0, 0.1, "buy", 1))
    row = store.candles("A", "1m", include_forming=True).row(-1, named=True)
    assert (row["high"], row["volume"], row["closed"]) == (20.0, 100.0, False)
    assert row["partial"] is False
    assert store.live.frame("A", "1m")["partial"].to_list() == [True]
    store.live.build("5m")
    store.trades.push(("A", minute + 16_000, 13.0, 0.1, "buy", 2))
    shown = store.candles("A", "5m", include_forming=True)
    assert shown.select("closed", "partial").rows() == [(False, True)]


def test_a_stored_correction_is_not_hidden_by_the_bar_that_was_live(store):
    minute = now_ms() // 60_000 * 60_000 - 120_000
    clock = Clock(minute)
    store.realtime.clock = clock
    store.live.build("1m", persist=True, from_start=True)
    store.trades.push(("A", minute, 1.0, 1.0, "buy", 1))
    clock.ms += 63_000
    store.live.heartbeat(clock.ms)
    store.live.flush()
    store.write("A", "1m", [(minute, 1, 9, 1, 2, 77)])
    assert store.candles("A", "1m", include_forming=True)["high"].to_list() == [9.0]


def test_live_symbols_outside_of_the_range_give_an_empty_frame(store):
    store.live.build("1m")
    store.trades.push(("A", now_ms(), 1.0, 1.0, "buy", 1))
    assert store.candles("A", "1m", end="2020-01-01", include_forming=True).is_empty()
    assert store.candles(["A"], "1m", end="2020-01-01", include_forming=True).is_empty()


def test_a_closed_bar_that_is_not_whole_is_not_shown_as_closed(store):
    minute = now_ms() // 60_000 * 60_000 - 600_000
    clock = Clock(minute)
    store.realtime.clock = clock
    store.live.build("1m", from_start=True)
    for at in (10, 70, 130):
        clock.ms = minute + at * 1000
        store.trades.push(("A", clock.ms, 1.0, 1.0, "buy", at))
    store.live.missed("A", minute + 75_000)
    frame = store.candles("A", "1m", include_forming=True)
    assert frame["closed"].to_list() == [True, False]
