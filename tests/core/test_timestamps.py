"""Times in: every type a column may have, and what is refused."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mdstore import TimestampError
from mdstore.core import timestamps
from mdstore.core.timestamps import column_to_ms, ms_to_datetime, to_ms

T = 1_756_684_800_000  # 2025-09-01T00:00Z
SEOUL = dt.timezone(dt.timedelta(hours=9))


def ms(values, unit=None, **kwargs):
    stamps, whole = column_to_ms(pl.Series("timestamp", values, **kwargs), unit)
    assert whole.all()
    return stamps.to_list()


@pytest.mark.parametrize(
    "moment",
    [
        T, "2025-09-01", "2025-09-01T00:00", "2025-09-01 00:00:00Z", "2025-09-01T09:00+09:00", "20250901",
        dt.date(2025, 9, 1), dt.datetime(2025, 9, 1), dt.datetime(2025, 9, 1, tzinfo=dt.UTC),
        dt.datetime(2025, 9, 1, 9, tzinfo=SEOUL),
    ],
)  # fmt: skip
def test_one_moment_in_every_form(moment):
    assert to_ms(moment) == T


def test_a_moment_between_milliseconds_is_rounded_up_so_that_ranges_stay_exact():
    assert to_ms(dt.datetime(2025, 9, 1, 0, 0, 0, 1)) == T + 1
    assert to_ms(dt.datetime(1969, 12, 31, 23, 59, 59, 999_999)) == 0


def test_a_number_has_the_unit_that_its_size_says():
    assert [to_ms(T // 1000), to_ms(T * 1000), to_ms(T * 10**6), to_ms(0), to_ms(-T)] == [T, T, T, 0, -T]
    assert to_ms(T * 1000 + 1) == T + 1


def test_numpy_moments_are_read():
    assert to_ms(np.datetime64("2025-09-01T00:00", "ns")) == T


@pytest.mark.parametrize(
    "moment",
    [
        "yesterday",
        1.5,
        None,
        True,
        b"2025",
        "01/09/2025",
        20250901,
        202509010000,
        60,
        10**20,
        "2024-13",
        "0024",
    ],
)
def test_what_is_no_moment_is_refused_by_name(moment):
    with pytest.raises(TimestampError, match=r"^start: "):
        to_ms(moment, "start")


@given(st.integers(-60_000_000_000_000, 250_000_000_000_000))
def test_ms_and_datetime_are_inverse(moment):
    assert to_ms(ms_to_datetime(moment)) == moment


@pytest.mark.parametrize(
    "column",
    [
        {"values": [T]}, {"values": [T // 1000]}, {"values": [T * 1000]}, {"values": [T * 10**6]},
        {"values": [T / 1000]}, {"values": [float(T)]},
        {"values": ["2025-09-01"]}, {"values": ["2025-09-01 00:00:00"]}, {"values": ["2025-09-01T00:00:00Z"]},
        {"values": ["2025-09-01T09:00:00+09:00"]}, {"values": ["2025-09-01T09:00:00+0900"]},
        {"values": ["2025-09-01 00:00:00 UTC"]}, {"values": ["2025/09/01"]}, {"values": ["20250901"]},
        {"values": ["20250901 00:00"]}, {"values": [" 2025-09-01 00:00:00.000 "]}, {"values": [str(T)]},
        {"values": [str(T // 1000)]},
        {"values": [dt.date(2025, 9, 1)]}, {"values": [dt.datetime(2025, 9, 1)]},
        {"values": [dt.datetime(2025, 9, 1, 9, tzinfo=SEOUL)]},
        {"values": [dt.datetime(2025, 9, 1)], "dtype": pl.Datetime("ns")},
        {"values": [dt.datetime(2025, 9, 1)], "dtype": pl.Datetime("ms")},
        {"values": [20250901]}, {"values": [202509010000]}, {"values": [20250901000000]},
        {"values": ["202509010000"]}, {"values": [20250901.0]}, {"values": [20250901], "dtype": pl.Object},
        {"values": ["2025-09-01"], "dtype": pl.Categorical},
        {"values": [dt.datetime(2025, 9, 1)], "dtype": pl.Object},
        {"values": ["2025-09-01"], "dtype": pl.Object},
    ],
)  # fmt: skip
def test_a_column_in_every_form(column):
    assert ms(**column) == [T]


def test_a_column_of_mixed_texts_and_objects():
    assert ms(["2025-09-01", "2025-09-01T00:00:00Z", "2025-09-01 09:00:00+09:00"]) == [T] * 3
    assert ms([T, dt.datetime(2025, 9, 1), "2025-09-01", dt.date(2025, 9, 1)], dtype=pl.Object) == [T] * 4


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_the_unit_is_told_by_magnitude_or_by_name(unit):
    factor = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    for second in (10**8, 1_756_684_800, 9 * 10**9):
        assert ms([second * factor]) == [second * 1000]
    assert ms([-5 * factor], unit) == [-5000]


@pytest.mark.parametrize(
    ("values", "hint"),
    [
        ([45355, 45356], "unit='excel'"),
        ([240102, 240103], "date_format='%y%m%d'"),
        ([241332, 241333], "unit='s'"),
        ([0, 60], "too small"),
    ],
)
def test_numbers_whose_unit_cannot_be_told_are_refused(values, hint):
    with pytest.raises(TimestampError, match=hint):
        column_to_ms(pl.Series(values))


def test_what_cannot_be_read_is_null_and_what_is_finer_than_a_millisecond_is_marked():
    stamps, _ = column_to_ms(pl.Series(["2025-09-01", "01/02/2025", "soon", None]))
    assert stamps.to_list() == [T, None, None, None]
    fine = pl.Series([dt.datetime(2025, 9, 1, 0, 0, 0, 500)])
    stamps, whole = column_to_ms(fine)
    assert (stamps.to_list(), whole.to_list()) == ([T], [False])
    stamps, whole = column_to_ms(pl.Series([T / 1000 + 0.0004, float("nan")]))
    assert (stamps.to_list(), whole.to_list()) == ([T, None], [False, True])


@pytest.mark.parametrize("values", [[True], [[1]], [dt.time(1)]])
def test_types_that_hold_no_times_are_refused(values):
    with pytest.raises(TimestampError, match="holds no times"):
        column_to_ms(pl.Series(values))


def test_an_unknown_unit_is_refused():
    with pytest.raises(TimestampError, match="minutes"):
        column_to_ms(pl.Series([1]), "minutes")


def test_digits_are_a_number_in_any_dress():
    for number in (1_712_123_000_000, np.int64(1_712_123_000_000), "1712123000000"):
        assert to_ms(number) == 1_712_123_000_000
    for text in ("20250901", "202509010000", "20250901000000"):
        assert to_ms(text) == T
        for number in (int(text), np.int64(text)):
            with pytest.raises(TimestampError, match=r"unit of .* looks like a date as it is written"):
                to_ms(number)


def test_a_year_and_a_month_are_their_first_moment():
    assert (to_ms("2024"), to_ms("2024-02")) == (to_ms("2024-01-01"), to_ms("2024-02-01"))


@pytest.mark.parametrize("first", [202_348_800_000, 200_003_190_000])
def test_milliseconds_of_the_summer_of_1976_are_no_dates_where_most_of_them_read_as_none(first):
    minutes = [first + 60_000 * number for number in range(500)]
    assert ms(minutes) == minutes


def test_a_bad_date_among_numbers_is_its_own_trouble():
    stamps, _ = column_to_ms(pl.Series([202509010000, 202509019900, 202509010100]))
    assert stamps.to_list() == [T, None, T + 3_600_000]


def test_days_of_excel_are_read_on_request():
    assert ms([45901.0, 45901.375], "excel") == [T, T + 9 * 3_600_000]
    assert ms(["45901", "45901.375"], "excel") == [T, T + 9 * 3_600_000]


SPELLINGS = (
    "%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M",
    "%Y-%m-%d %H:%M:%S+09:00", " %Y-%m-%d ", "%Y%m%d", "%Y%m%d%H%M", "%s", "%s000", "%s000000",
)  # fmt: skip
ODD = ["", "soon", "2025-02-30", "0999-01-01", "-175668480", "1756684800", "12:00", None]


@given(
    st.sampled_from(SPELLINGS),
    st.lists(st.datetimes(dt.datetime(1975, 1, 1), dt.datetime(2099, 1, 1)), min_size=1, max_size=5),
    st.lists(st.tuples(st.sampled_from(ODD), st.integers(0, 5)), max_size=2),
    st.sampled_from([None, "Asia/Seoul"]),
)
@example("%Y-%m-%d", [dt.datetime(2025, 9, 1)], [("0999-01-01", 1)], None)
@example("%s", [dt.datetime(2025, 9, 1)], [("-175668480", 1)], None)
def test_times_of_one_spelling_are_read_at_once_as_they_are_each_by_itself(spelling, moments, odd, tz):
    texts = [moment.strftime(spelling) for moment in moments]
    for text, at in odd:
        texts.insert(at, text)
    column = pl.Series("timestamp", texts, dtype=pl.String)
    assert outcome(column, tz) == outcome(column, tz, at_once=False)


def outcome(column, tz, *, at_once=True):
    """Return what is read of a column, or what is said of it."""
    with pytest.MonkeyPatch.context() as patch:
        if not at_once:
            for name in ("_counts", "_plainly"):
                patch.setattr(timestamps, name, lambda _: None)
            patch.setattr(timestamps, "_are_bare", lambda *_: False)
        try:
            style = timestamps.TimeStyle(tz=tz)
            stamps, whole = column_to_ms(column, style)
            wall = timestamps.wall_clock(column, style)
        except TimestampError as error:
            return str(error)
        return stamps.to_list(), whole.to_list(), None if wall is None else wall.to_list()
