"""Longer bars of stored and live ones: the hour so far, and today as a zone counts days."""

from datetime import UTC, datetime

import polars as pl
import pytest

from tests.support.candles import MINUTE, walk
from tests.support.realtime import Clock

# 2025-09-02T06:30:20Z is 15:30:20 of the same day in Seoul, whose midnight was at 2025-09-01T15:00Z.
NOW = int(datetime(2025, 9, 2, 6, 30, 20, tzinfo=UTC).timestamp() * 1000)
MIDNIGHT = int(datetime(2025, 9, 1, 15, tzinfo=UTC).timestamp() * 1000)
SO_FAR = (NOW - MIDNIGHT) // MINUTE  # whole minutes
PRICES = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
DAY = {"derive_from": "1m", "tz": "Asia/Seoul", "include_forming": True}


@pytest.fixture
def clock():
    return lambda: NOW / 1000


@pytest.fixture
def live(store):
    """A 1m: two days stored up to two minutes ago; one minute live and over, one forming."""
    store.realtime.clock = Clock(NOW)
    minute = NOW // MINUTE * MINUTE
    store.write("A", "1m", walk(2 * 1440, start=minute - (2 * 1440 + 1) * MINUTE))
    store.live.build("1m", from_start=True)
    for at, price, number in ((-55_000, 500.0, 1), (-30_000, 505.0, 2), (5_000, 510.0, 3), (10_000, 40.0, 4)):
        store.trades.push(("A", minute + at, price, 2.0, "buy", number))
    return store


def expected(store, start):
    """Return open, high, low, close and volume of all minutes from `start` on, stored and live."""
    minutes = store.candles("A", "1m", include_forming=True).filter(
        pl.col("timestamp").dt.epoch("ms") >= start
    )
    return minutes.select(*(getattr(pl.col(name), how)() for name, how in PRICES.items())).row(0)


def test_today_so_far_as_seoul_counts_days(live):
    day = live.candles("A", "1d", **DAY, limit=1)
    assert day.columns == ["timestamp", *PRICES, "closed", "bars", "of", "partial"]
    row = day.row(0, named=True)
    assert row["timestamp"] == datetime(2025, 9, 1, 15, tzinfo=UTC)
    assert tuple(row[name] for name in PRICES)[:4] == expected(live, MIDNIGHT)[:4]
    assert row["volume"] == pytest.approx(expected(live, MIDNIGHT)[4], rel=1e-12)
    assert (row["close"], row["low"]) == (40.0, 40.0)
    assert (row["closed"], row["bars"], row["of"], row["partial"]) == (False, SO_FAR + 1, 1440, False)
    assert live.resample("A", "1d", source="1m", tz="Asia/Seoul", include_forming=True, limit=1).equals(day)


def test_bars_before_are_those_that_stored_bars_make(live):
    both = live.candles("A", "1h", derive_from="1m", include_forming=True)
    stored = live.candles("A", "1h", derive_from="1m")
    assert both.head(len(both) - 1).drop("partial").equals(stored.head(len(stored) - 1))
    assert len(both) == len(stored)
    assert both["closed"].to_list() == [True] * (len(both) - 1) + [False]
    assert live.candles("A", "1h", derive_from="1m", include_forming=True, limit=3).equals(both.tail(3))
    for frame in (live.arrow, live.scan):
        made = frame("A", "1h", derive_from="1m", include_forming=True)
        made = made.collect() if isinstance(made, pl.LazyFrame) else pl.DataFrame(made)
        assert made["close"].to_list() == both["close"].to_list()
    assert "with what is live" in live.explain("A", "1h", derive_from="1m", include_forming=True).reason


def test_a_bar_is_closed_when_its_last_minute_is_over_and_not_before(live):
    """A forming minute at the end of an hour is there, and the hour is not over for it."""
    clock = live.realtime.clock
    for minute, number in ((58, 10), (59, 11)):
        clock.ms = int(datetime(2025, 9, 2, 6, minute, 10, tzinfo=UTC).timestamp() * 1000)
        live.trades.push(("A", clock.ms, 600.0, 1.0, "buy", number))
    hour = live.candles("A", "1h", derive_from="1m", include_forming=True, limit=1)
    assert hour.select("close", "closed").row(0) == (600.0, False)
    clock.ms += 60_000
    live.trades.push(("A", clock.ms, 601.0, 1.0, "buy", 12))
    hours = live.candles("A", "1h", derive_from="1m", include_forming=True, limit=2)
    assert hours.select("close", "closed").rows() == [(600.0, True), (601.0, False)]


def test_several_symbols_and_those_that_are_live_only(live):
    live.trades.push(("B", NOW, 7.0, 1.0, "buy", 1))
    live.write("C", "1m", walk(60, start=MIDNIGHT))
    days = live.candles(["A", "B", "C"], "1d", **DAY, limit=1)
    assert days["symbol"].to_list() == ["A", "B", "C"]
    assert days.select("close", "bars", "closed").rows()[1:] == [
        (7.0, 1, False),
        (walk(60)["close"][-1], 60, False),
    ]
    assert live.candles(None, "1d", **DAY, columns=["close", "partial"]).columns == [
        "symbol",
        "close",
        "partial",
    ]
    alone = live.candles("B", "1d", **DAY)
    assert alone.select("close", "closed").row(0) == (7.0, False)
    assert live.candles("A", "1m", derive_from="1m", include_forming=True)["closed"].to_list()[-1] is False
    assert live.candles("A", "1d", **DAY, end="2020-01-01").is_empty()


def test_a_minute_that_was_not_seen_from_its_start_marks_the_day(store):
    store.realtime.clock = Clock(NOW)
    store.write("A", "1m", walk(60, start=NOW // MINUTE * MINUTE - 60 * MINUTE))
    store.live.build("1m")  # in the middle of a minute
    store.trades.push(("A", NOW, 9.0, 1.0, "buy", 1))
    day = store.candles("A", "1h", derive_from="1m", include_forming=True)
    assert day["partial"].to_list() == [False, True]
    assert store.candles(None, "1h", derive_from="1m", include_forming=True)["partial"].to_list() == [
        False,
        True,
    ]
