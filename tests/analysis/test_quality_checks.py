"""What verification finds: each fault at its place, by name and severity."""

import datetime as dt
import math
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from mdstore.analysis.quality_checks import CHECKS, FINDING, SEVERITIES, disagreements, findings
from mdstore.core.schema import PRICES, VALUES
from mdstore.core.timeframe import DAY, HOUR
from tests.support.candles import MINUTE, START, candle_frames, moments, timeframes, walk
from tests.support.doses import dose
from tests.support.quality import BARS, LATER, calm, found, made_of, only, put, stamps, tf, times_of

# ---- the frame of findings


def test_calm_bars_have_no_findings():
    assert found(calm()).is_empty()
    assert found(calm(50, step=DAY), "1d").is_empty()


@pytest.mark.parametrize("bars", range(4))
def test_a_few_bars_have_no_findings(bars):
    result = found(calm(bars))
    assert result.is_empty()
    assert result.schema == FINDING
    assert disagreements(calm(bars), made_of(calm(bars), "1m", "5m"), tf("1m"), tf("5m")).is_empty()


def test_a_finding_says_what_where_and_how_bad():
    frame = calm()
    before, after = frame["close"][299], frame["close"][301]
    spoiled = put(put(frame, "close", i300=90_000.5), "high", i300=90_000.5)
    finding = only(spoiled, "spike")
    scale = finding["value"]
    assert scale > 100
    assert finding == {
        "check": "spike",
        "severity": "warning",
        "start": frame["timestamp"][300],
        "end": frame["timestamp"][301],
        "bars": 1,
        "value": scale,
        "detail": f"close 90,000.5 after {before:,}, back at {after:,}: {scale:,.0f} times the usual move",
    }


def test_every_check_is_described_in_a_sentence_and_has_a_severity():
    assert len(CHECKS) == 22
    for text in CHECKS.values():
        assert text[0].isupper()
        assert text.endswith(".")
    spoiled = put(put(calm(), "low", i4=60_000.0, i9=-1.0), "volume", i300=None, i400=1e9)
    result = found(pl.concat([spoiled, spoiled]))
    assert set(result["check"]) == {
        "ohlc",
        "price",
        "number",
        "spike",
        "volume_outlier",
        "duplicate",
        "order",
    }
    assert set(result["severity"]) == set(SEVERITIES)


def test_findings_come_by_time_and_then_by_check():
    frame = put(put(calm(), "volume", i9=-1.0), "low", i3=60_000.0)
    frame = put(frame, "volume", i3=math.inf)
    result = found(put(frame, "high", i7=1.0))
    assert result.select("start", "check").rows() == sorted(result.select("start", "check").rows())
    assert {"ohlc", "number"} <= set(result["check"])


def test_an_end_is_the_start_of_the_next_bar_even_of_months():
    months = stamps([int(dt.datetime(2024, m, 1, tzinfo=dt.UTC).timestamp() * 1000) for m in (1, 2, 3)])
    frame = put(calm(3).with_columns(months), "volume", i1=-1.0)
    finding = only(frame, "number", "1M")
    assert (finding["start"], finding["end"]) == (
        dt.datetime(2024, 2, 1, tzinfo=dt.UTC),
        dt.datetime(2024, 3, 1, tzinfo=dt.UTC),
    )


def test_of_many_findings_the_weightiest_stay_and_the_others_are_one():
    rows = range(10, 60, 2)
    spoiled = put(calm(), "low", **{f"i{row}": 60_000.0 + (row * 37) % 50 for row in rows})
    everything = found(spoiled).filter(check="ohlc")
    result = found(spoiled, most=4).filter(check="ohlc")
    assert len(everything) == 25
    shown = pl.col("detail").str.starts_with("low")
    kept, (rest,) = result.filter(shown), result.filter(~shown).rows(named=True)
    assert sorted(kept["value"]) == sorted(everything["value"])[-4:]
    others = everything.join(kept, on="start", how="anti")
    assert rest == {
        "check": "ohlc",
        "severity": "error",
        "start": others["start"].min(),
        "end": others["end"].max(),
        "bars": 21,
        "value": None,
        "detail": "... and 21 more",
    }
    assert len(found(spoiled, most=25).filter(check="ohlc")) == 25


@pytest.mark.parametrize("time", [START * 1000, -START * 1000, 2**62])
def test_a_time_of_no_year_is_told_in_words(time):
    frame = calm(50)
    spoiled = pl.concat([frame, frame[:1].with_columns(stamps([time]))]).sort("timestamp")
    finding = found(spoiled).filter(check="unit").row(0, named=True)
    assert (finding["severity"], finding["start"], finding["end"]) == ("error", None, None)
    assert finding["detail"] == f"timestamp {time} is not in ms since 1970"


# ---- times


def test_a_repeated_time_is_a_duplicate():
    frame = calm()
    finding = only(pl.concat([frame[:8], frame[7:8], frame[7:]]), "duplicate")
    assert (finding["start"], finding["bars"], finding["value"]) == (frame["timestamp"][7], 3, 3)
    assert finding["detail"] == "2025-09-01 00:07:00 comes 3 times"


def test_a_time_that_comes_again_far_below_is_a_duplicate_out_of_order():
    frame = calm()
    result = found(pl.concat([frame[:20], frame[7:8], frame[20:]]))
    assert result["check"].to_list() == ["duplicate", "order"]
    assert result["start"].to_list() == times_of(frame, 7, 7)


def test_a_time_before_the_one_above_is_out_of_order():
    frame = calm()
    finding = only(pl.concat([frame[:7], frame[8:20], frame[7:8], frame[20:]]), "order")
    assert (finding["start"], finding["value"]) == (frame["timestamp"][7], 12 * MINUTE)
    assert finding["detail"] == "2025-09-01 00:07:00 stands after 2025-09-01 00:19:00"


def test_a_time_between_two_bars_is_off_the_grid():
    frame = calm()
    finding = only(put(frame, "timestamp", i5=frame["timestamp"][5] + dt.timedelta(seconds=30)), "grid")
    assert finding["detail"] == "30 s after the start of a 1m bar"
    assert (finding["value"], finding["end"]) == (30_000, frame["timestamp"][6])


@pytest.mark.parametrize(("timeframe", "step", "slack"), [("1m", MINUTE, HOUR), ("1d", DAY, DAY)])
def test_a_bar_is_in_the_future_when_no_clock_and_no_zone_explains_it(timeframe, step, slack):
    frame = calm(30, step=step)
    last = START + 29 * step
    assert found(frame, timeframe, now=last - slack).is_empty()
    finding = only(frame, "future", timeframe, now=last - slack - 1)
    assert (finding["start"], finding["value"]) == (frame["timestamp"][29], slack + 1)


# ---- values


def test_a_high_below_the_close_is_no_candle():
    frame = calm()
    finding = only(put(frame, "high", i4=frame["close"][4] * 0.9999), "ohlc")
    assert finding["start"] == frame["timestamp"][4]
    assert finding["value"] == pytest.approx(
        max(frame["close"][4], frame["open"][4]) - frame["close"][4] * 0.9999
    )
    assert "is below" in finding["detail"]


@pytest.mark.parametrize("name", ["open", "close"])
def test_low_and_high_are_held_against_either_end(name):
    frame = calm()
    top, bottom = frame["high"][4], frame["low"][4]
    assert only(put(frame, name, i4=top * 1.00001), "ohlc")["detail"].startswith(
        f"high {top:,} is below {name}"
    )
    assert only(put(frame, name, i4=bottom / 1.00001), "ohlc")["detail"].startswith(
        f"low {bottom:,} is above {name}"
    )


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize(
    ("value", "text"), [(None, "null"), (math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf")]
)
def test_what_is_no_number_is_an_error(name, value, text):
    frame = calm()
    finding = only(put(frame, name, i4=value), "number")
    assert (finding["start"], finding["detail"]) == (frame["timestamp"][4], f"{name} is {text}")
    assert (finding["severity"], finding["value"]) == ("error", None)


def test_a_negative_volume_is_an_error():
    finding = only(put(calm(), "volume", i4=-2.5), "number")
    assert (finding["detail"], finding["value"]) == ("volume is -2.5", -2.5)


def test_a_bar_without_a_time_is_an_error():
    finding = only(put(calm(), "timestamp", i4=None), "number")
    assert (finding["detail"], finding["start"], finding["end"]) == ("timestamp is null", None, None)


def test_broken_numbers_hide_nothing_else():
    frame = put(put(calm(), "close", i299=math.nan, i301=None), "volume", i302=-1.0)
    result = found(put(frame, "low", i300=5_000.0, i4=frame["high"][4]))
    assert result["check"].to_list() == ["ohlc", "number", "spike", "number", "number"]
    assert result["start"].to_list() == times_of(frame, 4, 299, 300, 301, 302)


@pytest.mark.parametrize("price", [0.0, -37.63])
def test_a_price_of_nothing_or_less_is_a_warning(price):
    frame = calm()
    finding = only(put(frame, "low", i4=price), "price")
    assert (finding["start"], finding["severity"], finding["value"]) == (
        frame["timestamp"][4],
        "warning",
        price,
    )
    assert finding["detail"] == f"low is {price:g}"


# ---- runs


def test_a_long_run_without_volume_is_one_finding():
    frame = put(calm(), "volume", **{f"i{row}": 0.0 for row in (*range(100, 130), *range(200, 229), 300)})
    finding = only(frame, "zero_volume")
    assert (finding["start"], finding["end"]) == (frame["timestamp"][100], frame["timestamp"][130])
    assert (finding["bars"], finding["value"], finding["severity"]) == (30, 30, "info")


def flat(frame, start, end, price, **volumes):
    for name in PRICES:
        frame = put(frame, name, **{f"i{row}": price for row in range(start, end)})
    return put(frame, "volume", **{f"i{row}": 0.0 for row in range(start, end)} | volumes)


def test_a_feed_that_repeats_itself_is_stuck():
    frame = flat(calm(), 100, 140, 50_000.0, i139=2.0, i110=3.0)
    frame = flat(frame, 200, 229, 50_001.0, i205=2.0)  # one bar too few
    stuck = found(frame).filter(check="stuck").row(0, named=True)
    assert len(found(frame).filter(check="stuck")) == 1
    assert (stuck["start"], stuck["end"], stuck["bars"]) == (*times_of(frame, 100, 140), 40)
    assert (stuck["severity"], stuck["detail"]) == ("warning", "40 bars at 50,000, 2 of them with volume")


def copy_rows(frame, row, bars):
    """Return the frame with `bars` times the values of a row, from that on."""
    again = frame[[row] * bars].with_columns(frame["timestamp"][row : row + bars])
    return pl.concat([frame.head(row), again, frame.slice(row + bars)])


def test_a_row_that_was_copied_is_repeated():
    frame = calm()
    copied = copy_rows(frame, 200, 3)
    finding = found(copied).filter(check="repeated").row(0, named=True)
    assert (finding["start"], finding["end"], finding["bars"]) == (*times_of(frame, 200, 203), 3)
    assert finding["severity"] == "warning"
    assert finding["detail"].startswith("3 bars in a row are the same: open 4")


@pytest.mark.parametrize("change", [{"volume": 0.0}, {"open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0}])
def test_bars_without_volume_or_range_are_not_repeated(change):
    frame = calm(60).with_columns(pl.lit(value).alias(name) for name, value in change.items())
    assert "repeated" not in found(copy_rows(frame, 29, 2))["check"]


def test_flat_filling_without_volume_is_not_stuck():
    frame = flat(calm(), 100, 140, 50_000.0, i99=9.0, i140=9.0)
    assert found(frame)["check"].to_list() == ["zero_volume"]


def test_flat_bars_at_changing_prices_are_not_stuck():
    frame = flat(calm(), 100, 129, 50_000.0, i105=9.0)
    frame = flat(frame, 129, 158, 50_001.0, i135=9.0)
    assert "stuck" not in found(frame)["check"]


def test_bars_that_end_where_they_began_are_not_stuck():
    frame = flat(calm(), 100, 140, 50_000.0, **{f"i{row}": 2.0 + row / 100 for row in range(100, 140)})
    assert found(put(frame, "high", **{f"i{row}": 50_000.5 for row in range(100, 140)})).is_empty()


# ---- laws


@given(bars=st.integers(0, 300), seed=st.integers(0, 1000), start=moments.map(tf("1m").floor))
@settings(max_examples=dose(30))
def test_a_valid_walk_has_no_errors(bars, seed, start):
    result = found(walk(bars, seed=seed, start=start), now=4_200_000_000_000)
    assert "error" not in result["severity"]


@given(st.data())
@settings(max_examples=dose(60))
def test_any_valid_candles_have_no_errors(data):
    timeframe = data.draw(timeframes)
    frame = data.draw(candle_frames(timeframe)).sort("timestamp")
    assert "error" not in findings(frame, timeframe, now=LATER)["severity"]


rubbish = st.none() | st.floats() | st.sampled_from([0.0, -1.0, 100.0, 101.0])
rows = st.tuples(st.none() | st.integers(0, 40).map(lambda i: i * 20_000), *([rubbish] * 5))


@pytest.mark.slow
@given(st.lists(rows, max_size=80), st.integers(0, 5))
@settings(max_examples=dose(60))
def test_rubbish_is_judged_without_a_fall_and_left_alone(rows, most):
    columns = zip(*rows, strict=True) if rows else [[]] * 6
    times, *values = map(list, columns)
    frame = pl.DataFrame(
        [
            stamps(times),
            *(pl.Series(name, column, dtype=pl.Float64) for name, column in zip(VALUES, values, strict=True)),
        ]
    )
    copy = frame.clone()
    everything, few = found(frame), found(frame, most=most)
    assert_frame_equal(frame, copy)
    assert everything.schema == few.schema == FINDING
    for check, part in few.group_by("check"):
        whole = everything.filter(check=check[0])
        assert len(part) == min(len(whole), most + 1)
        assert part["bars"].sum() == whole["bars"].sum()


@given(cuts=st.lists(st.integers(0, BARS), max_size=5))
@settings(max_examples=dose(15))
def test_chunks_make_no_difference(cuts):
    frame = put(flat(calm(), 100, 140, 50_000.0, i120=5.0), "low", i300=5_000.0, i50=60_000.0)
    edges = [0, *sorted(cuts), BARS]
    chunks = pl.concat([frame[a:b] for a, b in pairwise(edges)], rechunk=False)
    assert_frame_equal(found(chunks), found(frame))
