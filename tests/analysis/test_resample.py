"""Longer bars: as the exchanges make them, and as a model makes them that goes from minute to minute."""

import datetime as dt
import re
from functools import cache
from itertools import accumulate, pairwise
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import mdstore.analysis.resample
from mdstore import InvalidInputError, TimeframeError
from mdstore.analysis.resample import reach, resample
from mdstore.core.schema import VALUES
from mdstore.core.time_bounds import FOREVER
from mdstore.core.timeframe import DAY, HOUR, MINUTE, Timeframe
from mdstore.core.timestamps import column_to_ms
from mdstore.sources.files import read
from tests.support.candles import START, bits, moments, walk
from tests.support.doses import dose
from tests.support.real import real

tf = Timeframe.parse
NEW_YORK, LONDON, SEOUL, KOLKATA = "America/New_York", "Europe/London", "Asia/Seoul", "Asia/Kolkata"
ZONES = (None, "UTC", NEW_YORK, LONDON, SEOUL, KOLKATA, "Australia/Lord_Howe")
# New York's and London's clocks change, Lord Howe's by half an hour, and a leap day.
TURNS = (
    "2025-03-09T07:00", "2025-11-02T06:00", "2025-03-30T01:00", "2025-10-26T01:00", "2025-04-05T15:00",
    "2025-10-04T15:30", "2024-02-29T12:00", "1970-01-01", "1969-12-31T23:59",
)  # fmt: skip
BOUNDS = (-FOREVER, FOREVER)


def utc(text):
    return int(dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp() * 1000)


def stamps_of(frame):
    return frame["timestamp"].to_physical().to_list()


def times(bars):
    return [f"{stamp:%Y-%m-%dT%H:%M}" for stamp in bars["timestamp"]]


# ---- the recorded bars of exchanges


def recorded(*parts):
    (part,) = read(real(*parts))
    frame = pl.concat(part.frames)
    stamps = column_to_ms(frame["timestamp"])[0].cast(pl.Datetime("ms", "UTC"))
    return frame.select(stamps.alias("timestamp"), *(pl.col(VALUES).cast(pl.Float64),)).sort("timestamp")


def compared(derived, theirs):
    """Return derived bars and the exchange's over the bars which both have, without `closed`."""
    both = derived.join(theirs, on="timestamp", how="semi").drop("closed", "bars", "of")
    return both, theirs.join(derived, on="timestamp", how="semi")


def assert_same(derived, theirs):
    assert bits(derived.drop("volume")) == bits(theirs.drop("volume"))
    assert derived["volume"].to_list() == pytest.approx(theirs["volume"].to_list(), rel=1e-12)


def test_upbit_minutes_make_the_hours_of_the_exchange():
    minutes, hours = recorded("upbit", "BTC_KRW_1m.csv"), recorded("upbit", "BTC_KRW_1h.csv")
    derived, theirs = compared(resample(minutes, tf("1m"), tf("1h")), hours)
    assert len(theirs) == 696
    assert (times(theirs)[0], times(theirs)[-1]) == ("2025-09-01T00:00", "2025-09-29T23:00")
    assert_same(derived, theirs)


def test_upbit_minutes_end_in_an_hour_that_is_not_over():
    bars = resample(recorded("upbit", "BTC_KRW_1m.csv"), tf("1m"), tf("1h"))
    assert bars.filter(~pl.col("closed"))["timestamp"].to_list() == [
        dt.datetime(2025, 10, 4, 1, tzinfo=dt.UTC)
    ]


def test_upbit_hours_with_gaps_make_the_same_days_in_seoul_as_minutes():
    minutes, hours = recorded("upbit", "BTC_KRW_1m.csv"), recorded("upbit", "BTC_KRW_1h.csv")
    hours = hours.filter(pl.col("timestamp") >= dt.datetime(2025, 8, 31, 15, tzinfo=dt.UTC))
    days = resample(hours, tf("1h"), tf("1d"), tz=SEOUL)
    assert set(days["timestamp"].dt.hour()) == {15}
    derived, theirs = compared(
        resample(minutes, tf("1m"), tf("1d"), tz=SEOUL), days.drop("closed", "bars", "of")
    )
    assert len(theirs) == 30
    # The first day begins at 00:00 UTC in the minutes, the last ends at 23:00 in the hours.
    assert_same(derived[1:-1], theirs[1:-1])


def test_raw_upbit_pages_of_one_minute_make_those_of_three():
    pages = ("upbit_1m_20200220_170000-20200220_202000.json", "upbit_1m_20200220_202000-20200220_210000.json")
    minutes = pl.concat([recorded("smtm", page) for page in pages], rechunk=False)
    derived, theirs = compared(
        resample(minutes, tf("1m"), tf("3m")),
        recorded("smtm", "upbit_3m_20200220_170000-20200220_200000.json"),
    )
    assert len(theirs) == 60
    assert_same(derived, theirs)


def test_freqtrade_minutes_with_holes_make_all_of_its_706_five_minutes():
    minutes, fives = recorded("freqtrade", "XRP_ETH-1m.feather"), recorded("freqtrade", "XRP_ETH-5m.feather")
    assert len(minutes) == 2_469
    derived = resample(minutes, tf("1m"), tf("5m"))
    # Both run from 2019-10-11 00:00 to 2019-10-13 11:15.
    assert derived["timestamp"].equals(fives["timestamp"])
    assert len(fives) == 706
    assert bits(derived.drop("closed", "bars", "of")) == bits(fives)


# ---- the model


def clock(moment, tz):
    """Return what the clocks of a zone show at a time, in milliseconds as if it were UTC."""
    at = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=moment)
    return moment + at.astimezone(ZoneInfo(tz)).utcoffset() // dt.timedelta(milliseconds=1)


@cache
def bar_start(target, tz, moment, step):
    """Return the start of the bar that holds a moment; clocks change, and bars start, at whole steps."""
    if tz is None:
        return target.floor(moment)
    if target.ms is None or target.ms >= DAY:
        date = target.floor(clock(moment, tz))
        naive = dt.datetime(1970, 1, 1) + dt.timedelta(milliseconds=date)
        return int(naive.replace(tzinfo=ZoneInfo(tz)).timestamp()) * 1000  # fold=0: the first of two
    moment -= moment % step
    while not starts_a_bar(target.ms, tz, moment, step):
        moment -= step
    return moment


def starts_a_bar(length, tz, moment, step):
    shown, expected = clock(moment, tz), clock(moment - step, tz) + step
    multiple = shown - shown % DAY % length
    return multiple == shown or (multiple >= expected and (shown - expected) % length != 0)


def model_step(source):
    return min(source.ms or DAY, 30 * MINUTE)


def naive(frame, source, target, tz):
    """Resample row by row."""
    step = model_step(source)
    bars = {}
    rows = frame.with_columns(pl.col("timestamp").to_physical()).rows(named=True)
    for row in rows:
        start = bar_start(target, tz, row["timestamp"], step)
        bars.setdefault((row.get("symbol"), start), []).append(row)
    last = dict(bars.keys())  # pairs of symbol and start
    return [
        {
            **({"symbol": symbol} if symbol else {}),
            "timestamp": start,
            "open": rows[0]["open"],
            "high": max(row["high"] for row in rows),
            "low": min(row["low"] for row in rows),
            "close": rows[-1]["close"],
            "volume": sum(row["volume"] for row in rows),
            "closed": start != last[symbol]
            or bar_start(target, tz, source.next(rows[-1]["timestamp"]), step) != start,
            "bars": len(rows),
            # Going on to the next bar step by step takes minutes in a zone; see the days of clock changes.
            "of": source.span(start, target.next(start)) if tz is None else None,
        }
        for (symbol, start), rows in bars.items()
    ]


def assert_as_the_model(bars, expected):
    rows = bars.with_columns(pl.col("timestamp").to_physical()).rows(named=True)
    volumes = [row.pop("volume") for row in rows]
    assert volumes == pytest.approx([row.pop("volume") for row in expected], rel=1e-12, abs=1e-12)
    for row, model in zip(rows, expected, strict=True):
        assert row["bars"] <= row["of"]
        model["of"] = row["of"] if model["of"] is None else model["of"]
    assert rows == expected


# ---- strategies

SOURCES = tuple(map(tf, ("1s", "15s", "1m", "5m", "15m", "30m", "1h", "4h", "1d", "1w", "1M")))
TARGETS = (
    "45s",
    "7m",
    "45m",
    "1h",
    "90m",
    "2h",
    "3h",
    "4h",
    "5h",
    "8h",
    "36h",
    "1d",
    "2d",
    "1w",
    "2w",
    "1M",
    "5M",
)
any_target = st.builds(
    lambda count, unit: tf(f"{count}{unit}"), st.integers(1, 40), st.sampled_from("smhdwM")
)
targets = st.sampled_from(TARGETS).map(tf) | any_target


@st.composite
def pairs(draw, zones=(None,)):
    """Draw a source, a target made of whole bars of it by their lengths, and a zone."""
    target, tz = draw(targets), draw(st.sampled_from(zones))
    return draw(st.sampled_from([source for source in SOURCES if can_be(source, target, tz)])), target, tz


def can_be(source, target, tz):
    """Tell whether a source will do; the model goes back over a zone's bars step by step."""
    steps = target.ms is None or target.ms >= DAY or target.ms <= 120 * (source.ms or DAY)
    return target.holds(source) and (tz is None or (source.ms is not None and steps))


around = st.sampled_from([utc(text) for text in TURNS]) | moments


@st.composite
def series(draw, source, moment, *, rows=40):
    """Draw some bars of a series, with holes, about a moment."""
    skips = draw(st.lists(st.sampled_from((1, 1, 1, 1, 2, 3, 7, 50)), min_size=1, max_size=rows))
    length = source.ms or 28 * DAY
    first = moment - draw(st.integers(0, 20)) * length
    stamps = sorted({source.floor(first + skip * length) for skip in accumulate(skips)})
    frame = walk(len(stamps), seed=draw(st.integers(0, 1000)))
    return frame.with_columns(pl.Series("timestamp", stamps).cast(pl.Datetime("ms", "UTC")))


@st.composite
def frames(draw, source):
    """Draw a frame of one series, or a long one of several in which the categories are in no order."""
    moment = draw(around)
    if draw(st.booleans()):
        return draw(series(source, moment))
    count = draw(st.integers(1, 4))
    names = pl.Series("symbol", [f"S{9 - place}" for place in range(count)], dtype=pl.Categorical)
    parts = [draw(series(source, moment, rows=15)) for _ in range(count)]
    return pl.concat(
        part.select(names.slice(count - 1 - place, 1).new_from_index(0, len(part)), pl.all())
        for place, part in enumerate(parts)
    )


def cut(frame, places):
    """Return the same rows in chunks."""
    places = sorted({0, len(frame), *(place % (len(frame) + 1) for place in places)})
    return pl.concat([frame.slice(low, high - low) for low, high in pairwise(places)], rechunk=False)


def in_blocks(rows, *arguments, **options):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mdstore.analysis.resample, "BLOCK", rows)
        return resample(*arguments, **options)


def symbol_ends(frame):
    if "symbol" not in frame.columns:
        return [len(frame)]
    names = frame["symbol"].to_list()
    return [*(place for place in range(1, len(names)) if names[place] != names[place - 1]), len(names)]


# ---- laws

steady = settings(derandomize=True)


@given(st.data())
@settings(steady, max_examples=dose(200))
def test_bars_are_those_of_the_model(data):
    source, target, _ = data.draw(pairs())
    frame = data.draw(frames(source))
    assert_as_the_model(resample(frame, source, target), naive(frame, source, target, None))


@pytest.mark.slow
@given(st.data())
@settings(steady, max_examples=dose(200))
def test_bars_are_those_of_the_model_in_zones(data):
    source, target, tz = data.draw(pairs(zones=ZONES[1:]))
    frame = data.draw(frames(source))
    # Zones had odd minutes and seconds before, and Polars knows of no change of clocks after 2100.
    assume(frame["timestamp"].min().year >= 1975 and frame["timestamp"].max().year < 2099)
    starts = {bar_start(target, tz, stamp, model_step(source)) for stamp in stamps_of(frame)}
    try:
        bars = resample(frame, source, target, tz=tz)
    except TimeframeError as error:
        moment = utc(re.search(r"starts at (.*) UTC", str(error))[1])
        assert bar_start(target, tz, moment, model_step(source)) == moment != source.floor(moment)
    else:
        assert all(source.floor(start) == start for start in starts)
        assert_as_the_model(bars, naive(frame, source, target, tz))


@pytest.mark.slow
@given(st.data())
@steady
def test_chunks_blocks_and_known_ends_change_no_bit(data):
    source, target, tz = data.draw(pairs(zones=(None, SEOUL, NEW_YORK)))
    frame = data.draw(frames(source))
    try:
        whole = resample(frame, source, target, tz=tz)
    except TimeframeError:
        assume(False)
    pieces = cut(frame, data.draw(st.lists(st.integers(0, 100), max_size=6)))
    options = {"tz": tz, "ends": data.draw(st.sampled_from((None, symbol_ends(frame))))}
    for rows in (1, 20, 10**6):
        bars = in_blocks(rows, pieces, source, target, **options)
        assert bars.equals(whole)
        assert bits(bars) == bits(whole)


@pytest.mark.slow
@given(st.data())
@steady
def test_two_steps_make_the_same_bars_as_one(data):
    frame = data.draw(frames(tf("1m")))
    one = resample(frame, tf("1m"), tf("1h"))
    fives = resample(frame, tf("1m"), tf("5m"))
    two = resample(fives.drop("closed", "bars", "of"), tf("5m"), tf("1h"))
    assert bits(two.drop("volume", "closed", "bars", "of")) == bits(
        one.drop("volume", "closed", "bars", "of")
    )
    assert two["volume"].to_list() == pytest.approx(one["volume"].to_list(), rel=1e-12)


@given(st.data())
@steady
def test_bars_of_the_range_that_they_reach_are_whole(data):
    source, target, tz = data.draw(pairs(zones=(None, SEOUL, NEW_YORK)))
    frame = data.draw(series(source, data.draw(around)))
    stamps = stamps_of(frame)
    pick = st.sampled_from((*stamps, *(stamp + 1 for stamp in stamps))) | st.sampled_from(BOUNDS)
    start, end = data.draw(pick), data.draw(pick)
    low, high = reach(target, start, end, tz)
    try:
        whole = resample(frame, source, target, tz=tz)
    except TimeframeError:
        assume(False)
    part = frame.filter(pl.col("timestamp").to_physical().is_between(low, high, closed="left"))
    wanted = whole.filter(pl.col("timestamp").to_physical().is_between(start, end, closed="left"))
    assert resample(part, source, target, tz=tz, lasts=[stamps[-1]]).equals(wanted)


# ---- zones, by the calendar


def starts(source, target, tz, start, end):
    """Return when the bars start that every bar of a source in a range makes."""
    length = tf(source).ms
    frame = walk((utc(end) - utc(start)) // length, start=utc(start), step=length)
    return times(resample(frame, tf(source), tf(target), tz=tz))


@pytest.mark.parametrize(
    ("target", "tz", "start", "end", "expected"),
    [
        # A day of 23 hours, and one of 25.
        ("1d", NEW_YORK, "2025-03-09T05:00", "2025-03-10T05:00", ["2025-03-09T05:00", "2025-03-10T04:00"]),
        ("1d", NEW_YORK, "2025-11-02T04:00", "2025-11-03T06:00", ["2025-11-02T04:00", "2025-11-03T05:00"]),
        # 00:00, 04:00 and 08:00 on the clocks: the first four take three hours, or five.
        ("4h", NEW_YORK, "2025-03-09T05:00", "2025-03-09T13:00",
         ["2025-03-09T05:00", "2025-03-09T08:00", "2025-03-09T12:00"]),
        ("4h", NEW_YORK, "2025-11-02T04:00", "2025-11-02T14:00",
         ["2025-11-02T04:00", "2025-11-02T09:00", "2025-11-02T13:00"]),
        # 02:00 is shown by no clock; 01:00 is shown twice.
        ("2h", NEW_YORK, "2025-03-09T05:00", "2025-03-09T09:00",
         ["2025-03-09T05:00", "2025-03-09T07:00", "2025-03-09T08:00"]),
        ("1h", NEW_YORK, "2025-11-02T04:00", "2025-11-02T07:00",
         ["2025-11-02T04:00", "2025-11-02T05:00", "2025-11-02T06:00"]),
        ("90m", NEW_YORK, "2025-11-02T04:00", "2025-11-02T08:30",
         ["2025-11-02T04:00", "2025-11-02T05:30", "2025-11-02T06:30", "2025-11-02T08:00"]),
        # From 01:00 to 03:00, and from 00:01 to 01:01: by whole bars, within one that goes on.
        ("2h", "Antarctica/Davis", "2010-03-10T19:00", "2010-03-10T23:00",
         ["2010-03-10T19:00", "2010-03-10T21:00"]),
        ("30m", "America/St_Johns", "2010-03-14T03:00", "2010-03-14T04:00",
         ["2010-03-14T03:00", "2010-03-14T03:30"]),
        # 5h does not divide a day: the last bar before midnight has four.
        ("5h", SEOUL, "2025-09-01T09:00", "2025-09-01T21:00",
         ["2025-09-01T06:00", "2025-09-01T11:00", "2025-09-01T15:00", "2025-09-01T20:00"]),
        ("36h", SEOUL, "1969-12-31T15:00", "1970-01-03T15:00", ["1969-12-31T15:00", "1970-01-02T03:00"]),
        ("4h", "UTC", "2025-09-01T00:00", "2025-09-01T08:00", ["2025-09-01T00:00", "2025-09-01T04:00"]),
        ("1w", SEOUL, "2025-09-01T00:00", "2025-09-08T00:00", ["2025-08-31T15:00", "2025-09-07T15:00"]),
        ("1M", KOLKATA, "2025-08-31T00:00", "2025-09-02T00:00", ["2025-07-31T18:30", "2025-08-31T18:30"]),
        ("3M", LONDON, "2025-03-31T00:00", "2025-04-02T00:00", ["2025-01-01T00:00", "2025-03-31T23:00"]),
        # Two days are counted from 1970-01-01 on the local calendar; 2025-09-01 is its day 20,332.
        ("2d", SEOUL, "2025-08-31T15:00", "2025-09-03T15:00", ["2025-08-31T15:00", "2025-09-02T15:00"]),
        # Two weeks from 1970-01-05; 2025-09-01 begins its week 2,904.
        ("2w", SEOUL, "2025-08-31T00:00", "2025-09-15T00:00",
         ["2025-08-17T15:00", "2025-08-31T15:00", "2025-09-14T15:00"]),
        # Midnight was skipped: the day began at 01:00, at 03:00 UTC.
        ("1d", "America/Sao_Paulo", "2018-11-03T03:00", "2018-11-05T00:00",
         ["2018-11-03T03:00", "2018-11-04T03:00"]),
        # 24:00 was 23:00 again: the day had 25 hours.
        ("1d", "America/Sao_Paulo", "2018-02-17T02:00", "2018-02-18T04:00",
         ["2018-02-17T02:00", "2018-02-18T03:00"]),
        # Midnight came twice, the day began with the first.
        ("1d", "America/Havana", "2025-11-01T04:00", "2025-11-03T05:00",
         ["2025-11-01T04:00", "2025-11-02T04:00"]),
        # One minute after midnight it was 23:01 of the day before again.
        ("1d", "America/St_Johns", "2006-10-28T02:30", "2006-10-30T03:30",
         ["2006-10-28T02:30", "2006-10-29T02:30"]),
        # Samoa had no 30 December in 2011.
        ("1d", "Pacific/Apia", "2011-12-29T10:00", "2011-12-31T10:00",
         ["2011-12-29T10:00", "2011-12-30T10:00"]),
        # Half an hour is what the clocks of Lord Howe change by.
        ("1d", "Australia/Lord_Howe", "2025-04-05T13:00", "2025-04-06T13:30",
         ["2025-04-05T13:00"]),
    ],
)  # fmt: skip
def test_bars_as_the_clocks_of_a_zone_count_them(target, tz, start, end, expected):
    assert starts("30m", target, tz, start, end) == expected


def test_the_zones_own_midnight_cuts_to_the_second_where_clocks_were_so():
    # Before 1883-11-18 New York's clocks were 4:56:02 behind.
    assert starts("1s", "1d", NEW_YORK, "1883-11-17T04:56", "1883-11-17T04:57") == [
        "1883-11-16T04:56",
        "1883-11-17T04:56",
    ]
    assert reach(tf("1d"), utc("1883-11-17T00:00"), utc("1883-11-17T05:00"), NEW_YORK) == (
        utc("1883-11-17T04:56:02"),
        utc("1883-11-18T04:56:02"),
    )


def test_a_day_that_a_zone_left_out_is_no_bar():
    # Samoa went from 29 to 31 December.
    frame = walk(5 * 24, start=utc("2011-12-29T10:00"), step=60 * MINUTE)
    days = resample(frame, tf("1h"), tf("1d"), tz="Pacific/Apia")["timestamp"].to_physical().to_list()
    assert days[:2] == [utc("2011-12-29T10:00"), utc("2011-12-30T10:00")]


# ---- closed, empty, equal


@pytest.mark.parametrize(
    ("minutes", "closed"), [([0, 1, 2], [False]), ([0, 4], [True]), ([0, 1, 7], [True, False]), ([9], [True])]
)
def test_closed_says_whether_the_rows_reach_the_end_of_the_last_bar(minutes, closed):
    frame = walk(10)[minutes]
    assert resample(frame, tf("1m"), tf("5m"))["closed"].to_list() == closed


def test_closed_goes_by_each_symbol_and_by_what_is_known_beyond_the_frame():
    names = pl.Series("symbol", ["B"] * 3 + ["A"] * 5, dtype=pl.Categorical)
    frame = pl.concat([walk(3), walk(5)]).select(names, pl.all())
    assert resample(frame, tf("1m"), tf("5m")).select("symbol", "closed").rows() == [
        ("B", False),
        ("A", True),
    ]
    lasts = [START + 60 * MINUTE, START - HOUR, START + 4 * MINUTE]
    bars = resample(frame, tf("1m"), tf("5m"), ends=[3, 3, 8], lasts=lasts)
    assert bars.select("symbol", "closed").rows() == [("B", True), ("A", True)]


def test_months_are_closed_with_their_last_day():
    days = walk(59, start=utc("2024-01-01"), step=DAY)
    assert resample(days, tf("1d"), tf("1M"))["closed"].to_list() == [True, False]
    months = resample(walk(60, start=utc("2024-01-01"), step=DAY), tf("1d"), tf("1M"))
    assert months["closed"].to_list() == [True, True]
    quarters = resample(months.drop("closed", "bars", "of"), tf("1M"), tf("3M"))
    assert quarters.select("closed").rows() == [(False,)]
    assert times(quarters) == ["2024-01-01T00:00"]


@pytest.mark.parametrize("tz", [None, SEOUL])
def test_an_empty_frame_stays_empty_and_has_the_columns(tz):
    names = pl.Series("symbol", ["A"] * 5, dtype=pl.Categorical)
    for frame in (walk(5), walk(5).select(names, pl.all())):
        empty = resample(frame.clear(), tf("1m"), tf("1h"), tz=tz)
        assert empty.is_empty()
        assert empty.schema == resample(frame, tf("1m"), tf("1h"), tz=tz).schema
        assert empty.schema == {**frame.schema, "closed": pl.Boolean, "bars": pl.Int64, "of": pl.Int64}


def test_the_source_itself_comes_back_with_all_bars_closed():
    bars = resample(walk(5), tf("1m"), tf("1m"))
    assert bars.drop("closed", "bars", "of").equals(walk(5))
    assert bars["closed"].all()


def test_hours_in_a_zone_of_whole_hours_come_back_as_they_are():
    hours = walk(100, start=utc("2025-10-31"), step=HOUR)
    assert resample(hours, tf("1h"), tf("1h"), tz=NEW_YORK).drop("closed", "bars", "of").equals(hours)


# ---- bounds


def test_no_bound_stays_no_bound():
    assert reach(tf("1h"), -FOREVER, FOREVER) == (-FOREVER, FOREVER)
    assert reach(tf("1M"), -FOREVER, utc("2025-09-02"), SEOUL) == (-FOREVER, utc("2025-09-30T15:00"))


@pytest.mark.parametrize("tz", [None, NEW_YORK])
@pytest.mark.parametrize("target", ["1s", "1h", "1w", "1M", "4800M"])
def test_bounds_at_the_ends_of_the_calendar_are_no_errors(target, tz):
    low, high = reach(tf(target), utc("0001-01-01"), utc("9999-12-31"), tz)
    assert (low, high) == (utc("0001-01-01"), utc("9999-12-31"))
    low, high = reach(tf(target), utc("1000-01-02"), utc("8999-12-31"), tz)
    assert utc("1000-01-02") <= low < high


def test_a_range_without_a_bar_start_reaches_nothing():
    low, high = reach(tf("1h"), START + 1, START + 2)
    assert low == high == START + HOUR
    low, high = reach(tf("1h"), START + 5 * HOUR, START)
    assert low == high


# ---- errors


@pytest.mark.parametrize(
    ("source", "target", "hint"),
    [("7m", "1h", "1m"), ("1m", "90s", "1s"), ("1h", "1m", "1m"), ("1w", "1M", "1m"), ("7d", "1w", "1m"),
     ("1M", "1w", "1m"), ("2M", "3M", "1m"), ("1M", "365d", "1m"), ("1w", "7d", "1m"), ("45s", "1m", "1m")],
)  # fmt: skip
def test_a_target_that_is_no_multiple_is_refused(source, target, hint):
    message = (
        f"{target} bars cannot be made of {source} bars: {target} is no whole multiple of {source}. "
        f"Hint: derive it from {hint}$"
    )
    for frame in (walk(3), walk(0)):
        with pytest.raises(TimeframeError, match=message):
            resample(frame, tf(source), tf(target))


@pytest.mark.parametrize(
    ("bars", "tz", "start", "moment", "hint"),
    [
        (("4h", "1d"), SEOUL, "2025-09-01", "2025-08-31 15:00", "1m"),
        (("1d", "1d"), SEOUL, "2025-09-01", "2025-08-31 15:00", "1m"),
        (("1d", "1w"), LONDON, "2025-07-07", "2025-07-06 23:00", "1m"),
        (("1d", "1M"), NEW_YORK, "2025-07-01", "2025-06-01 04:00", "1m"),
        (("1M", "3M"), SEOUL, "2025-07-01", "2025-06-30 15:00", "1m"),
        (("1h", "1d"), KOLKATA, "2025-09-01", "2025-08-31 18:30", "1m"),
        (("1h", "1h"), KOLKATA, "2025-09-01", "2025-08-31 23:30", "1m"),
        (("4h", "4h"), SEOUL, "2025-09-01", "2025-08-31 23:00", "1m"),
        (("5h", "5h"), SEOUL, "2025-09-01", "2025-08-31 20:00", "1m"),
        (("1m", "1d"), NEW_YORK, "1880-01-01", "1879-12-31 04:56", "1s"),
    ],
)
def test_clocks_that_cut_inside_a_source_bar_are_refused(bars, tz, start, moment, hint):
    source, target = bars
    frame = walk(3, start=tf(source).floor(utc(start)), step=tf(source).shortest_ms)
    message = f"in {tz} one starts at {moment} UTC, inside a {source} bar. Hint: derive it from {hint}$"
    with pytest.raises(TimeframeError, match=message):
        resample(frame, tf(source), tf(target), tz=tz)


def test_london_days_are_utc_days_while_its_clocks_show_utc():
    winter = walk(90, start=utc("2024-11-01"), step=DAY)
    assert resample(winter, tf("1d"), tf("1d"), tz=LONDON).drop("closed", "bars", "of").equals(winter)
    # 2025-03-30 ends at 23:00 UTC.
    spring = walk(90, start=utc("2024-12-31"), step=DAY)
    assert times(spring)[-1] == "2025-03-30T00:00"
    assert len(resample(spring[:-1], tf("1d"), tf("1d"), tz=LONDON)) == 89
    with pytest.raises(TimeframeError, match="2025-03-30 23:00 UTC"):
        resample(spring, tf("1d"), tf("1d"), tz=LONDON)


@pytest.mark.parametrize(
    ("tz", "hint"),
    [
        ("Asia/Soul", "Hint: did you mean 'Asia/Seoul'?"),
        ("new york", "Hint: did you mean 'America/New_York'?"),
        ("KST", ""),
        ("", ""),
        (9, ""),
    ],
)
def test_a_zone_that_does_not_exist_is_refused_with_the_nearest(tz, hint):
    start = re.escape(f"{tz!r} is no time zone: give its IANA name, such as 'Asia/Seoul'")
    for call in (
        lambda: resample(walk(0), tf("1m"), tf("1h"), tz=tz),
        lambda: reach(tf("1h"), 0, 1, tz),
    ):
        with pytest.raises(InvalidInputError, match=start) as error:
            call()
        assert str(error.value).endswith(hint or "'Asia/Seoul'")
