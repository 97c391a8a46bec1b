"""Quiet hours: stated in a zone, over midnight, over changes of the clocks, or observed."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdstore import InvalidInputError
from mdstore.optimization.quiet_window import QuietWindow

zones = st.sampled_from(["UTC", "Asia/Seoul", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])
clocks = st.tuples(st.integers(0, 23), st.integers(0, 59))


@given(clocks, clocks, zones, st.integers(1_600_000_000, 1_900_000_000))
def test_a_time_is_in_the_window_or_in_that_of_the_other_hours(start, end, zone, now):
    window = QuietWindow.parse(f"{start[0]:02}:{start[1]:02}-{end[0]:02}:{end[1]:02}", zone)
    shown = datetime.fromtimestamp(now, ZoneInfo(zone))
    minute = shown.hour * 60 + shown.minute
    first, last = start[0] * 60 + start[1], end[0] * 60 + end[1]
    expected = (minute - first) % 1440 < ((last - first) % 1440 or 1440)
    assert window.holds(now) is expected


def test_when_the_clocks_go_forward_the_hours_are_those_that_they_show():
    window = QuietWindow.parse("02:00-04:00", "America/New_York")
    midnight = datetime(2026, 3, 8, 5, tzinfo=UTC)  # at two it is three
    held = [
        minute
        for minute in range(0, 300, 30)
        if window.holds((midnight + timedelta(minutes=minute)).timestamp())
    ]
    assert held == [120, 150]


@pytest.mark.parametrize("hours", ["2-4", "02:00", "", "25:00-26:00", "night", None, "02:00-04:00-06:00"])
def test_what_are_no_hours_is_refused(hours):
    with pytest.raises(InvalidInputError, match=r"no hours of a day.*such as 02:00-04:00"):
        QuietWindow.parse(hours)


@pytest.mark.parametrize("zone", ["Nowhere/City", "", "/etc/passwd", "../x", None])
def test_what_is_no_zone_is_refused(zone):
    with pytest.raises(InvalidInputError, match="no time zone"):
        QuietWindow.parse("02:00-04:00", zone)


@given(st.lists(st.integers(0, 50), min_size=24, max_size=24), st.integers(20_000, 21_000))
def test_the_quietest_hours_are_those_with_the_least(rows, day):
    by_hour = {day * 24 + hour: count for hour, count in enumerate(rows)} | {0: 1_000_000}
    window = QuietWindow.quietest(by_hour)
    first = window.start.hour
    least = rows[first] + rows[(first + 1) % 24]
    assert least == min(rows[hour] + rows[(hour + 1) % 24] for hour in range(24))
    assert (window.end.hour - first) % 24 == 2


def test_nothing_observed_is_the_usual_night():
    assert str(QuietWindow.quietest({})) == "02:00-04:00 UTC (observed)"
