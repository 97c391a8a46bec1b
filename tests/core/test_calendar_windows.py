"""Calendars are worked out for twenty years at first: what they answer is what all years answer."""

import datetime as dt

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdstore.core import calendars
from mdstore.core.calendars import ALL, Grid
from mdstore.core.timeframe import DAY, Timeframe
from tests.support.doses import dose

pytest.importorskip("exchange_calendars")

NAMES = ("XKRX", "XNYS", "XHKG", "CMES", "XTKS", "XASX")
FRAMES = ("1m", "1h", "4h", "1d", "3d", "1w", "1M", "3M")


def utc(year, month=1, day=1):
    return int(dt.datetime(year, month, day, tzinfo=dt.UTC).timestamp() * 1000)


def sessions(schedule, low, high):
    """Return the sessions of the days in a range, and when they trade."""
    dates = schedule.dates.filter((schedule.dates >= low) & (schedule.dates < high))
    inside = (schedule.opens >= low + DAY) & (schedule.closes < high - DAY)
    return dates.to_list(), schedule.opens.filter(inside).to_list(), schedule.closes.filter(inside).to_list()


def hold_the_same_sessions(name, decade):
    whole, window = calendars._schedule(name, ALL), calendars._recent(utc(decade) - 1)
    part = calendars._schedule(name, window)
    low, high = max(part.first, window[0]), min(part.last, window[1])
    assert window == (utc(decade - 20), utc(decade))
    assert len(part.dates) <= len(whole.dates)
    assert sessions(part, low, high) == sessions(whole, low, high)


@pytest.mark.parametrize("name", NAMES)
def test_the_years_at_first_have_the_sessions_of_the_whole_calendar(name):
    hold_the_same_sessions(name, 2030)


@pytest.mark.long
def test_they_have_in_each_calendar_of_the_package():
    import exchange_calendars

    names = exchange_calendars.get_calendar_names(include_aliases=False)
    for name in set(names) - {"24/7"}:
        for decade in (2030, 2040):
            hold_the_same_sessions(name, decade)


edges = st.sampled_from((utc(2010), utc(2030))).flatmap(
    lambda edge: st.integers(edge - 40 * DAY, edge + 9 * DAY)
)
moments = st.integers(utc(2004), utc(2034)) | edges


@settings(max_examples=dose(200), deadline=None)
@given(
    name=st.sampled_from(NAMES[1:4]), frame=st.sampled_from(FRAMES), start=moments,
    length=st.integers(0, 900 * DAY), bars=st.integers(0, 500),
)  # fmt: skip
def test_whatever_is_asked_is_answered_as_by_all_years(name, frame, start, length, bars):
    grid, end = Grid(Timeframe.parse(frame), name), start + length // (60 if frame == "1m" else 1)

    def answers():
        ends = [start, (start + end) // 2, end]
        return [
            *(column.to_list() for column in (*grid.stretches(start, end), *grid.closed(start, end))),
            grid.starts(start, end).to_list(), grid.expected(start, end), grid.after(start, bars),
            grid.expected_in(pl.Series(ends[:2]), pl.Series(ends[1:])).to_list(),
        ]  # fmt: skip

    calendars._windows.pop(name, None)
    found = answers()
    calendars._windows[name] = ALL
    assert found == answers()


def test_the_years_that_are_asked_for_are_worked_out_and_all_at_most_once():
    calendars._windows.pop("XNYS", None)
    calendars._schedule.cache_clear()
    calendars._runs.cache_clear()
    grid = Grid(Timeframe.parse("1d"), "XNYS")
    for year in (2019, 2024, 2026, 2015):
        assert grid.expected(utc(year), utc(year + 1)) in range(248, 255)
    assert calendars._windows["XNYS"] == (utc(2010), utc(2030))
    assert calendars._schedule.cache_info().misses == 1
    for year in (1995, 2031, 1975, 2019):
        assert grid.expected(utc(year), utc(year + 1)) in range(248, 255)
    assert calendars._windows["XNYS"] == ALL
    assert calendars._schedule.cache_info().misses == 2


def test_an_answer_that_lies_beyond_the_window_is_that_of_all_years():
    calendars._windows.pop("XNYS", None)
    grid = Grid(Timeframe.parse("1w"), "XNYS")
    found = grid.after(utc(2025), 1_000)
    assert grid.expected(utc(2025), found) == 1_000
    assert found > utc(2043)
