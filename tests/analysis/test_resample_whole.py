"""Derived bars say of how many source bars they are made, of how many they could be, and if they are over."""

import polars as pl
import pytest

from mdstore.analysis.resample import resample
from tests.analysis.test_resample import HOUR, NEW_YORK, tf, utc
from tests.support.candles import walk

DAY = 24 * HOUR


def whole(bars):
    return bars.select("bars", "of").rows()


def test_a_first_day_that_begins_late_is_closed_and_not_whole():
    hours = walk(4 + 24 + 3, start=utc("2025-09-01T20:00"), step=HOUR)
    days = resample(hours, tf("1h"), tf("1d"))
    assert days["closed"].to_list() == [True, True, False]
    assert whole(days) == [(4, 24), (24, 24), (3, 24)]


def test_days_on_which_the_clocks_change_hold_23_and_25_hours():
    for first, hours in (("2025-03-08T05:00", [24, 23, 24]), ("2025-11-01T04:00", [24, 25, 24])):
        frame = walk(sum(hours), start=utc(first), step=HOUR)
        days = resample(frame, tf("1h"), tf("1d"), tz=NEW_YORK)
        assert whole(days) == [(number, number) for number in hours]


def test_months_hold_as_many_days_as_they_have():
    days = walk(60, start=utc("2024-01-01"), step=DAY)
    months = resample(days, tf("1d"), tf("1M"))
    assert whole(months) == [(31, 31), (29, 29)]
    assert whole(resample(months.drop("closed", "bars", "of"), tf("1M"), tf("3M"))) == [(2, 3)]


def test_a_week_of_a_market_is_closed_after_its_last_session_and_counts_its_sessions():
    pytest.importorskip("exchange_calendars")
    # Thanksgiving is on Thursday 2025-11-27; on 2025-12-05 the week has not ended for those who trade always.
    dates = ["11-24", "11-25", "11-26", "11-28", "12-01", "12-02", "12-03", "12-04", "12-05"]
    stamps = pl.Series("timestamp", [utc(f"2025-{date}") for date in dates]).cast(pl.Datetime("ms", "UTC"))
    days = walk(9).with_columns(stamps)
    weeks = resample(days, tf("1d"), tf("1w"), calendars=["XNYS"])
    assert weeks["closed"].to_list() == [True, True]
    assert whole(weeks) == [(4, 4), (5, 5)]
    assert resample(days[:-1], tf("1d"), tf("1w"), calendars=["XNYS"])["closed"].to_list() == [True, False]
    assert resample(days, tf("1d"), tf("1w"))["closed"].to_list() == [True, False]
    assert whole(resample(days, tf("1d"), tf("1w"))) == [(4, 7), (5, 7)]


def test_each_symbol_has_its_own_calendar():
    pytest.importorskip("exchange_calendars")
    days = walk(5, start=utc("2025-12-01"), step=DAY)
    names = pl.Series("symbol", ["S"] * 5 + ["C"] * 5, dtype=pl.Categorical)
    frame = pl.concat([days, days]).select(names, pl.all())
    weeks = resample(frame, tf("1d"), tf("1w"), ends=[5, 5, 10], calendars=["XNYS", "XKRX", "24/7"])
    assert weeks.select(pl.col("symbol").cast(pl.String), "closed", "bars", "of").rows() == [
        ("S", True, 5, 5), ("C", False, 5, 7),
    ]  # fmt: skip


def test_minutes_of_a_short_session_are_counted_to_its_close():
    pytest.importorskip("exchange_calendars")
    minutes = walk(210, start=utc("2025-11-28T14:30"))  # the day after Thanksgiving ends at 13:00
    day = resample(minutes, tf("1m"), tf("1d"), tz=NEW_YORK, calendars=["XNYS"])
    assert day.select("closed", "bars", "of").rows() == [(True, 210, 210)]
    late = resample(
        walk(220, start=utc("2025-11-28T14:20")), tf("1m"), tf("1d"), tz=NEW_YORK, calendars=["XNYS"]
    )
    assert whole(late) == [(220, 210)]  # ten minutes before the session
