"""The grid, by its laws."""

import datetime as dt

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdstore import TimeframeError
from mdstore.core.timeframe import DAY, Timeframe, of_anchor
from tests.support.candles import moments, timeframes

counts = st.integers(1, 500)
plain = st.builds(lambda n, u: Timeframe.parse(f"{n}{u}"), counts, st.sampled_from("smhdwM"))
elsewhere = st.builds(
    lambda bar, moment: of_anchor(bar, moment * 1000),
    plain.filter(lambda bar: bar.ms is not None),
    st.integers(0, 10**9),
)
any_timeframe = timeframes | plain | elsewhere


def utc(text):
    return int(dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp() * 1000)


@given(any_timeframe, moments)
def test_floor_is_at_or_before_and_idempotent(frame, moment):
    start = frame.floor(moment)
    assert start <= moment
    assert frame.floor(start) == start


@given(any_timeframe, moments)
def test_a_moment_lies_before_the_next_bar_and_the_next_bar_is_on_the_grid(frame, moment):
    following = frame.next(moment)
    assert frame.floor(moment) <= moment < following
    assert frame.floor(following) == following
    assert frame.floor(following - 1) == frame.floor(moment)


@given(any_timeframe, moments, st.integers(0, 40))
def test_span_counts_the_bars_that_next_visits(frame, moment, bars):
    start = end = frame.floor(moment)
    for _ in range(bars):
        end = frame.next(end)
    assert frame.span(start, end) == bars
    assert frame.span(start, end + 1) == bars + 1
    assert frame.span(start + 1, end) == max(bars - 1, 0)


@given(any_timeframe, moments, st.integers(0, 10**11), st.integers(0, 10**11))
def test_spans_add_up(frame, start, first, second):
    middle, end = start + first, start + first + second
    assert frame.span(start, middle) + frame.span(middle, end) == frame.span(start, end)


@given(any_timeframe, st.lists(moments, min_size=1))
def test_the_expression_floors_as_the_function_does(frame, stamps):
    column = pl.DataFrame({"t": pl.Series(stamps, dtype=pl.Int64)})
    floored = column.select(frame.floor_expr(pl.col("t"))).to_series().to_list()
    assert floored == [frame.floor(stamp) for stamp in stamps]


@given(any_timeframe, any_timeframe, moments)
def test_bars_of_a_multiple_start_on_bars_of_its_part(one, other, moment):
    anchored = one.behind or other.behind or "w" in (one.unit, other.unit)
    if one.ms and other.ms and other.ms % one.ms == 0 and not anchored:
        assert one.floor(other.floor(moment)) == other.floor(moment)


small = st.builds(lambda n, u: Timeframe.parse(f"{n}{u}"), st.integers(1, 12), st.sampled_from("smhdwM"))
small |= st.sampled_from(["1h@30m", "30m@15m", "15m@5m", "4h@2h", "1d@15h", "1w@Sun", "1w@Fri", "2d@1d"]).map(
    Timeframe.parse
)


@given(small, small)
def test_a_bar_holds_another_if_all_its_bars_start_on_those(one, other):
    starts = [one.floor(0)]
    for _ in range(100):
        starts.append(one.next(starts[-1]))
    assert one.holds(other) == all(other.floor(start) == start for start in starts)


@pytest.mark.parametrize(
    ("whole", "part", "holds"),
    [("1h", "5m", True), ("1h", "7m", False), ("1M", "1d", True), ("1M", "1w", False), ("3M", "1M", True),
     ("1w", "4h", True), ("1h@30m", "30m", True), ("1d", "1h@30m", False), ("1w@Sun", "1d", True),
     ("1M", "1d@15h", False), ("1d@15h", "1h", True),
     ("1w", "7d", False), ("7d", "1w", False), ("1m", "1h", False), ("1d", "1d", True)],
)  # fmt: skip
def test_what_a_bar_holds(whole, part, holds):
    assert Timeframe.parse(whole).holds(Timeframe.parse(part)) is holds


@given(any_timeframe, moments)
def test_no_bar_is_longer_or_shorter_than_it_says(frame, moment):
    assert frame.shortest_ms <= frame.next(moment) - frame.floor(moment) <= frame.longest_ms


@given(any_timeframe)
def test_the_name_parses_to_the_same_timeframe(frame):
    assert Timeframe.parse(str(frame)) == frame


@pytest.mark.parametrize(
    ("frame", "moment", "start"),
    [
        ("1w", "2025-09-03T12:00", "2025-09-01"),  # a Wednesday; the Monday before
        ("1w", "1970-01-04T23:59", "1969-12-29"),
        ("1M", "2024-02-29T12:00", "2024-02-01"),
        ("3M", "2024-12-31", "2024-10-01"),
        ("1M", "1969-12-31T23:59:59", "1969-12-01"),
        ("4h", "2025-09-01T03:59:59.999", "2025-09-01T00:00"),
        ("1d", "2025-09-01T23:59", "2025-09-01"),
        ("7m", "1970-01-01T00:13", "1970-01-01T00:07"),
        ("1h@30m", "2025-09-01T14:29", "2025-09-01T13:30"),
        ("1w@Sun", "2025-09-03T12:00", "2025-08-31"),
        ("1d@15h", "2025-09-01T14:59", "2025-08-31T15:00"),
    ],
)
def test_floor_by_the_calendar(frame, moment, start):
    assert Timeframe.parse(frame).floor(utc(moment)) == utc(start)


def test_months_differ_in_length():
    month = Timeframe.parse("1M")
    assert month.ms is None
    assert month.next(utc("2024-02-10")) - month.floor(utc("2024-02-10")) == 29 * DAY
    assert month.span(utc("2024-01-01"), utc("2025-01-01")) == 12


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("60s", "1m"),
        ("60m", "1h"),
        ("240m", "4h"),
        ("24h", "1d"),
        ("7d", "7d"),
        ("12M", "12M"),
        ("3600s", "1h"),
        ("90s", "90s"),
        ("60min", "1h"),
        ("1H", "1h"),
        ("1D", "1d"),
        ("1mo", "1M"),
        ("M15", "15m"),
        ("minute60", "1h"),
        ("daily", "1d"),
        ("60min@30m", "1h@30m"),
        ("1h@1800s", "1h@30m"),
        ("1w@Sunday", "1w@Sun"),
        ("1w@Mon", "1w"),
        ("1w@Thu", "7d"),
        ("7d@3d", "1w@Sun"),
        ("7d@4d", "1w"),
        ("1d@15h", "1d@15h"),
    ],
)
def test_equal_lengths_have_one_name(text, name):
    assert str(Timeframe.parse(text)) == name


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("D", "'1d'"),
        ("5 minutes", ""),
        ("15T", "'15m'"),
        ("60", "1h"),
        ("1h@60m", "'1w@Sun'"),
        ("1M@3d", "their first"),
    ],
)
def test_other_spellings_are_refused_with_a_hint(text, hint):
    with pytest.raises(TimeframeError, match="is no timeframe") as error:
        Timeframe.parse(text)
    assert hint in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "m",
        "0m",
        "-1m",
        "1.5h",
        "1x",
        "m1",
        "99999999d",
        "9999999999s",
        None,
        5,
        "1m ",
        "@30m",
        "1h@",
        "1h@1x",
        "1w@1d",
    ],
)
def test_what_is_no_timeframe_is_refused(text):
    with pytest.raises(TimeframeError):
        Timeframe.parse(text)
