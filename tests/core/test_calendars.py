"""When markets are open: by laws, and as exchange_calendars itself answers, bar for bar."""

import datetime as dt
import sqlite3
import sys
import threading
import warnings
from functools import cache
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mdstore.core import calendars
from mdstore.core.calendars import ALWAYS, Grid, calendar_of, check_calendar
from mdstore.core.timeframe import DAY, MINUTE, Timeframe
from mdstore.errors import InvalidInputError
from tests.support.doses import dose

tf = Timeframe.parse
KOREA, NEW_YORK, HONG_KONG, TOKYO, CHICAGO = "XKRX", "XNYS", "XHKG", "XTKS", "CMES"
FRAMES = ("1m", "5m", "30m", "1h", "4h", "1d", "3d", "1w", "1M")
UNBOUNDED = 2**63 - 1
steady = settings(max_examples=dose(25))


def utc(text):
    return int(dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp() * 1000)


def texts(moments):
    return [f"{moment:%m-%d %H:%M}" for moment in moments.cast(pl.Datetime("ms"))]


@pytest.fixture(params=[ALWAYS, KOREA, NEW_YORK, HONG_KONG, TOKYO, CHICAGO], scope="module")
def calendar(request):
    if request.param != ALWAYS:
        pytest.importorskip("exchange_calendars")
    return request.param


@pytest.fixture(scope="module")
def library():
    return pytest.importorskip("exchange_calendars")


# ---- laws


moments = st.integers(utc("1890-01-01"), utc("2110-01-01")) | st.integers(
    utc("2012-01-01"), utc("2026-01-01")
)
frames = st.sampled_from((*FRAMES, "1s", "7m", "36h", "2w", "5M")).map(tf)


@st.composite
def spans(draw):
    """Draw a timeframe and a range of up to 3,000 bars; its ends need not be starts of bars."""
    frame, start = draw(frames), draw(moments)
    return frame, start, start + draw(st.integers(0, min(3000 * frame.shortest_ms, 40 * 366 * DAY)))


@pytest.mark.slow
@steady
@given(span=spans())
def test_open_and_closed_tile_the_grid(calendar, span):
    frame, start, end = span
    grid = Grid(frame, calendar)
    opened, closed = grid.stretches(start, end), grid.closed(start, end)
    tiles = sorted([*zip(*opened, strict=True), *zip(*closed, strict=True)])
    assert all(low < high for low, high in tiles)
    assert all(one[1] == other[0] for one, other in pairwise(tiles))
    assert sum(grid.count(*runs).sum() for runs in (opened, closed)) == frame.span(start, end)
    if tiles:
        assert (tiles[0][0], tiles[-1][1]) == (frame.next(start - 1), frame.next(end - 1))
    for starts, ends in (opened, closed):
        assert (starts[1:] > ends[:-1]).all()  # the longest: they never touch


@steady
@given(span=spans())
def test_the_expected_bars_are_those_of_the_stretches(calendar, span):
    frame, start, end = span
    grid, listed = Grid(frame, calendar), []
    for low, high in zip(*grid.stretches(start, end), strict=True):
        bar = low
        while bar < high:
            listed.append(bar)
            bar = frame.next(bar)
    assert grid.starts(start, end).to_list() == listed
    assert grid.expected(start, end) == len(listed)


@steady
@given(frame=frames, moment=moments, number=st.integers(1, 3000))
def test_after_is_the_least_end_that_holds_so_many_bars(calendar, frame, moment, number):
    grid, start = Grid(frame, calendar), frame.floor(moment)
    end = grid.after(start, number)
    assert frame.floor(end) == end
    assert grid.expected(start, end) == number
    assert grid.expected(start, frame.floor(end - 1)) == number - 1
    assert grid.after(start, 0) == start


@steady
@given(frame=frames, ends=st.lists(moments, min_size=3, max_size=3).map(sorted))
def test_expected_bars_add_up(calendar, frame, ends):
    grid, (start, middle, end) = Grid(frame, calendar), ends
    assert grid.expected(start, middle) + grid.expected(middle, end) == grid.expected(start, end)
    assert grid.expected(end, start) == 0


@steady
@given(frame=frames, pairs=st.lists(st.tuples(moments, moments)), whole=st.booleans())
@example(frame=tf("5M"), pairs=[(0, utc("2025-09-01")), (-1, 1)], whole=True)
def test_count_is_the_span_of_each(frame, pairs, whole):
    pairs = [(frame.floor(start), end) if whole else (start, end) for start, end in pairs]
    columns = [pl.Series([pair[side] for pair in pairs], dtype=pl.Int64) for side in (0, 1)]
    counts = Grid(frame).count(*columns)
    assert counts.dtype == pl.Int64
    assert counts.to_list() == [frame.span(*pair) for pair in pairs]


@steady
@given(
    pair=st.sampled_from([("1h", "5m"), ("4h", "1h"), ("1w", "1d"), ("3d", "1d"), ("1M", "1d")]),
    moment=moments,
)
def test_a_bar_is_expected_if_one_of_its_parts_is(calendar, pair, moment):
    whole, part = map(tf, pair)
    start = whole.floor(moment)
    end = whole.next(start)
    expected = Grid(part, calendar).expected(start, end) > 0
    assert (Grid(whole, calendar).expected(start, end) == 1) is expected


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), min_size=1).map(sorted))
def test_runs_that_overlap_or_touch_are_joined(drawn):
    runs = calendars.Runs.of(*map(pl.Series, zip(*[(low, low + size) for low, size in drawn], strict=True)))
    numbers = sorted({number for low, size in drawn for number in range(low, low + size)})
    joined = list(zip(runs.lows, runs.highs, strict=True))
    assert [number for low, high in joined for number in range(low, high)] == numbers
    assert all(one[1] < other[0] for one, other in pairwise(joined))
    assert [runs.before(number) for number in numbers] == list(range(len(numbers)))
    assert [runs.past(bars + 1) for bars in range(len(numbers))] == [number + 1 for number in numbers]


# ---- 24/7


@pytest.mark.parametrize("frame", FRAMES)
def test_always_is_one_stretch_even_of_an_open_range(frame):
    grid = Grid(tf(frame))
    start, end = (tf(frame).floor(utc(day)) for day in ("2025-09-01", "2025-12-01"))
    assert [runs.to_list() for runs in grid.stretches(start, end)] == [[start], [end]]
    assert [runs.to_list() for runs in grid.closed(start, end)] == [[], []]
    assert [len(runs) for runs in grid.stretches(start, start)] == [0, 0]
    assert [len(runs) for runs in grid.stretches(-UNBOUNDED, UNBOUNDED)] == [1, 1]
    assert [len(runs) for runs in grid.closed(-UNBOUNDED, UNBOUNDED)] == [0, 0]
    everything = grid.count(*grid.stretches(-UNBOUNDED, UNBOUNDED)).item()
    assert grid.expected(-UNBOUNDED, UNBOUNDED) == everything > 0
    assert grid.count(pl.Series([-UNBOUNDED]), pl.Series([UNBOUNDED])).item() == everything


def test_always_never_imports_the_package(python):
    script = """
        import sys
        from mdstore.core.calendars import Grid, calendar_of, check_calendar
        from mdstore.core.timeframe import Timeframe
        for frame in ("1m", "1d", "1M"):
            grid = Grid(Timeframe.parse(frame), check_calendar("crypto"))
            grid.stretches(0, 10**12), grid.closed(0, 10**12), grid.expected(0, 10**12), grid.after(0, 9)
        calendar_of("BTC", {"KRX:*": "XKRX"})
        print({"exchange_calendars", "pandas", "numpy"} & set(sys.modules))
    """
    assert python(script) == "set()"


# ---- the exchanges, bar for bar


WEEKS = [
    (NEW_YORK, "2024-10-28", "2024-11-11"),  # the clocks go back on 3 November
    (NEW_YORK, "2025-03-03", "2025-03-17"),  # and forward on 9 March
    (NEW_YORK, "2024-11-25", "2024-12-03"),  # Thanksgiving, and half a day after it
    (NEW_YORK, "2018-12-03", "2018-12-08"),
    (NEW_YORK, "2012-10-26", "2012-11-02"),
    (KOREA, "2025-09-29", "2025-10-13"),
    (KOREA, "2024-11-11", "2024-11-18"),  # opened an hour later on 14 November, the day of the Suneung
    (HONG_KONG, "2024-12-20", "2025-01-03"),  # no lunch break on the half days
    (TOKYO, "2024-10-31", "2024-11-08"),  # closes half an hour later from 5 November on
    (CHICAGO, "2025-03-03", "2025-03-17"),  # opens on the evening before
]


@cache
def asked(library, calendar):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return library.get_calendar(calendar, start="2012-01-01", end="2026-06-30")


@cache
def trading_times(library, calendar, start, end):
    """List every minute of trade, and 00:00 of the date of every session, as the package does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        minutes = asked(library, calendar).minutes_in_range(start, end)
        dates = asked(library, calendar).sessions_in_range(start, end)
        return {int(m.timestamp()) * 1000 for m in minutes}, {utc(str(d.date())) for d in dates}


@pytest.mark.variants(10)
@pytest.mark.slow
@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("week", WEEKS, ids=lambda week: "-".join(week[:2]))
def test_the_bars_are_those_on_which_the_package_sees_trade(library, week, frame):
    calendar, start, end = week[0], utc(week[1]), utc(week[2])
    frame, starts, runs, was_open = tf(frame), [], {True: [], False: []}, None
    far = str(dt.date.fromisoformat(week[2]) + dt.timedelta(40))  # the last bar may go on for a month
    minutes, dates = trading_times(library, calendar, week[1], far)
    times, step = (dates, DAY) if frame.shortest_ms >= DAY else (minutes, MINUTE)
    bar = frame.next(start - 1)
    while bar < end:
        following = frame.next(bar)
        is_open = any(time in times for time in range(bar, following, step))
        if is_open:
            starts.append(bar)
        if is_open is not was_open:
            runs[is_open].append([bar, following])
        runs[is_open][-1][1] = following
        bar, was_open = following, is_open

    grid = Grid(frame, calendar)
    assert grid.starts(start, end).to_list() == starts
    assert [list(run) for run in zip(*grid.stretches(start, end), strict=True)] == runs[True]
    assert [list(run) for run in zip(*grid.closed(start, end), strict=True)] == runs[False]


@pytest.mark.parametrize("name", [KOREA, NEW_YORK, HONG_KONG, TOKYO])
@steady
@given(minute=st.integers(utc("2012-02-01") // MINUTE, utc("2026-06-01") // MINUTE))
def test_any_minute_is_open_if_the_package_says_so(library, name, minute):
    start = minute * MINUTE
    moment = dt.datetime.fromtimestamp(start // 1000, dt.UTC)
    is_open = asked(library, name).is_open_on_minute(moment)
    assert Grid(tf("1m"), name).expected(start, start + MINUTE) == is_open


@pytest.mark.parametrize(
    ("calendar", "closed"),
    [
        (NEW_YORK, ["2018-12-05", "2012-10-29", "2012-10-30", "2024-11-28", "2001-09-11"]),
        (KOREA, [f"2025-10-0{day}" for day in range(3, 10)]),
        (HONG_KONG, ["2024-12-25", "2024-12-26"]),
        (TOKYO, ["2024-11-04", "2025-01-01"]),
    ],
)
def test_known_days_without_trade(library, calendar, closed):
    days = Grid(tf("1d"), calendar)
    assert [day for day in closed if days.expected(utc(day), utc(day) + DAY)] == []


@pytest.mark.parametrize(
    ("calendar", "day", "stretches"),
    [
        (NEW_YORK, "2024-11-01", [("11-01 13:00", "11-01 20:00")]),
        (NEW_YORK, "2024-11-04", [("11-04 14:00", "11-04 21:00")]),
        (NEW_YORK, "2024-11-29", [("11-29 14:00", "11-29 18:00")]),
        (HONG_KONG, "2024-12-23", [("12-23 01:00", "12-23 04:00"), ("12-23 05:00", "12-23 08:00")]),
        (HONG_KONG, "2024-12-24", [("12-24 01:00", "12-24 04:00")]),
        (
            TOKYO,
            "2024-11-05",
            [("11-05 00:00", "11-05 07:00")],
        ),  # of its lunch, 2:30 to 3:30, no hour is left
        (KOREA, "2025-09-30", [("09-30 00:00", "09-30 07:00")]),
        (KOREA, "2025-10-03", []),
    ],
)
def test_hours_of_known_days(library, calendar, day, stretches):
    starts, ends = Grid(tf("1h"), calendar).stretches(utc(day), utc(day) + DAY)
    assert list(zip(texts(starts), texts(ends), strict=True)) == stretches


def test_after_a_friday_comes_monday(library):
    days, hours = Grid(tf("1d"), KOREA), Grid(tf("1h"), KOREA)
    assert days.after(utc("2025-09-26"), 2) == utc("2025-09-30")
    assert days.after(utc("2025-10-03"), 1) == utc(
        "2025-10-11"
    )  # the first session after Chuseok is on the 10th
    assert hours.after(utc("2025-09-26T06:00"), 2) == utc("2025-09-29T01:00")


@pytest.mark.variants(4)
@pytest.mark.parametrize(
    ("calendar", "edge", "unknown"),
    [
        (TOKYO, "1997-01-01", -1),
        (KOREA, "1956-01-01", -1),
        (HONG_KONG, "2050-01-01", 1),
        ("XSAU", "2030-01-01", 1),
        (NEW_YORK, "1900-01-01", -1),
        (NEW_YORK, "2100-01-01", 1),
    ],
)
@pytest.mark.parametrize("frame", ["1h", "1d"])
def test_what_the_package_cannot_tell_is_open(library, calendar, edge, unknown, frame):
    grid, edge = Grid(tf(frame), calendar), utc(edge)
    beyond, within = sorted([edge, edge + unknown * 60 * DAY]), sorted([edge, edge - unknown * 60 * DAY])
    assert grid.expected(*beyond) == tf(frame).span(*beyond)
    assert grid.expected(*within) < 0.9 * tf(frame).span(*within)  # Seoul traded on Saturdays


def test_the_first_and_the_last_known_day_may_be_closed(library):
    for calendar, known, unknown in (
        (TOKYO, "1997-01-01", "1996-12-31"),
        (KOREA, "2050-12-31", "2051-01-01"),
    ):
        for frame in (tf("1d"), tf("1h")):
            grid = Grid(frame, calendar)
            assert grid.expected(utc(known), utc(known) + DAY) == 0
            assert grid.expected(utc(unknown), utc(unknown) + DAY) == frame.span(0, DAY)


def test_open_ranges_are_answered(library):
    days = Grid(tf("1d"), NEW_YORK)
    starts, ends = days.stretches(-UNBOUNDED, UNBOUNDED)
    assert days.count(starts, ends).sum() == days.expected(-UNBOUNDED, UNBOUNDED)
    assert starts[1] > utc("1900-01-01")
    assert ends[-2] <= utc("2100-01-01")


# ---- names


@pytest.mark.parametrize("name", ["24/7", "crypto", "CRYPTO", "always_open", "Always_Open"])
def test_always_by_any_name_needs_no_package(monkeypatch, name):
    monkeypatch.setitem(sys.modules, "exchange_calendars", None)
    assert check_calendar(name) == ALWAYS
    assert Grid(tf("1h"), name).expected(0, DAY) == 24


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("XKRX", "XKRX"), ("xkrx", "XKRX"), ("NYSE", "XNYS"), ("nasdaq", "XNYS"), ("CME", "CMES"),
        ("US_FUTURES", "us_futures"), ("24/5", "24/5"),
    ],
)  # fmt: skip
def test_other_names_become_the_one_of_the_package(library, name, canonical):
    assert check_calendar(name) == canonical
    assert Grid(tf("1d"), name).calendar == canonical


@pytest.mark.parametrize(("name", "near"), [("KRX", "XKRX"), ("XNYSE", "XNYS"), ("nasdak", "NASDAQ")])
def test_an_unknown_name_is_refused_with_near_ones(library, name, near):
    with pytest.raises(InvalidInputError, match=rf"'{name}' is no calendar.*Hint: did you mean.*\b{near}\b"):
        check_calendar(name)


@pytest.mark.parametrize("name", ["", "Seoul Stock Market Hours"])
def test_a_name_like_no_other_is_refused_without_a_hint(library, name):
    with pytest.raises(InvalidInputError, match="is no calendar") as error:
        check_calendar(name)
    assert "Hint" not in str(error.value)


def test_a_name_in_the_wrong_case_must_mean_one_calendar(library):
    kind = type(asked(library, NEW_YORK))
    library.register_calendar_type("xNyS", kind)
    try:
        assert check_calendar("xNyS") == "xNyS"
        with pytest.raises(InvalidInputError, match="is no calendar"):
            check_calendar("xnys")
    finally:
        library.deregister_calendar("xNyS")


@pytest.mark.parametrize("name", [None, 5, b"XNYS", ["XNYS"]])
def test_what_is_no_text_is_refused(name):
    with pytest.raises(InvalidInputError, match="a calendar is a text"):
        check_calendar(name)


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "exchange_calendars", None)
    for ask in (check_calendar, lambda name: Grid(tf("1d"), name)):
        with pytest.raises(InvalidInputError, match="needs the package exchange_calendars") as error:
            ask("XKRX")
        assert "pip install 'mdstore[calendars]'" in str(error.value)


def test_a_calendar_that_the_package_fails_to_make_is_named(library):
    class Broken(type(asked(library, NEW_YORK))):
        def __init__(self, **bounds):
            raise NotImplementedError("no holidays")

    library.register_calendar_type("BROKEN", Broken)
    try:
        with pytest.raises(InvalidInputError, match=r"cannot make its calendar 'BROKEN'.*no holidays"):
            Grid(tf("1d"), "BROKEN").expected(0, DAY)
    finally:
        library.deregister_calendar("BROKEN")


@pytest.mark.long
def test_threads_that_make_calendars_leave_the_warnings_as_they_were(library):
    calendars._schedule.cache_clear()
    before, grids = (
        list(warnings.filters),
        [Grid(tf("1d"), name) for name in ("XLON", "XPAR", "XETR", "XASX")],
    )
    threads = [threading.Thread(target=grid.expected, args=(0, DAY)) for grid in grids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calendars._schedule.cache_info().currsize == len(grids)
    assert list(warnings.filters) == before


@pytest.mark.parametrize("keep", [calendars._schedule, calendars._runs])
def test_what_is_kept_is_bounded(keep):
    assert keep.cache_info().maxsize <= 64


# ---- patterns


PATTERNS = {"*": "24/7", "KRX:*": "XKRX", "KRX:BTC*": "crypto", "*:AAPL": "XNYS", "?????:BTC": "CMES"}


@pytest.mark.parametrize(
    ("symbol", "calendar"),
    [
        ("KRX:005930", "XKRX"), ("KRX:BTCKRW", "crypto"), ("krx:005930", "24/7"), ("Q:AAPL", "XNYS"),
        ("HYPER:BTC", "CMES"), ("", "24/7"),
    ],
)  # fmt: skip
def test_the_longest_pattern_wins(symbol, calendar):
    assert calendar_of(symbol, PATTERNS) == calendar
    assert calendar_of("ZAB", {"Z*": "1", "*AB": "2"}) == "2"  # length before sort order


def test_of_equally_long_patterns_the_last_in_sort_order_wins():
    for patterns in ({"A*": "1", "*B": "2", "?B": "3"}, {"?B": "3", "*B": "2", "A*": "1"}):
        assert calendar_of("AB", patterns) == "1"
    assert calendar_of("CB", {"?B": "3", "*B": "2"}) == "3"


def test_a_symbol_without_a_pattern_trades_always():
    assert calendar_of("BTC", {}) == ALWAYS
    assert calendar_of("BTC", {"ETH*": "XNYS"}) == ALWAYS


@pytest.mark.parametrize("pattern", ["a[bc]d", "a[^b]d", "a[b-d]*", "A*", "a?d", "*[?]*", "a.d", "", "*"])
def test_patterns_match_as_in_sqlite(pattern):
    with sqlite3.connect(":memory:") as database:
        for symbol in ("abd", "acd", "aed", "ABD", "a?d", "a.d", "a^d", "", "abdd"):
            globs = database.execute("SELECT ? GLOB ?", (symbol, pattern)).fetchone()[0]
            assert calendar_of(symbol, {pattern: "it"}) == ("it" if globs else ALWAYS)
    database.close()
