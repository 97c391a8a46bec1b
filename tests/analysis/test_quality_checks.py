"""What verification finds: each fault at its place, and next to nothing in what markets really did."""

import datetime as dt
import math
from functools import cache
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from mdstore.analysis.outliers import splits
from mdstore.analysis.quality_checks import CHECKS, FINDING, SEVERITIES, disagreements, findings
from mdstore.analysis.resample import resample
from mdstore.core.schema import PRICES, VALUES
from mdstore.core.timeframe import DAY, HOUR, Timeframe
from mdstore.core.timestamps import column_to_ms
from mdstore.sources.files import read
from tests.support.candles import MINUTE, START, candle_frames, moments, timeframes, walk
from tests.support.real import real

tf = Timeframe.parse
LATER = 2_000_000_000_000  # 2033
BAD_TICKS = (10, 0.1, 2, 1.3, 1 / 1.3)
BARS = 600


def stamps(times):
    return pl.Series("timestamp", times, dtype=pl.Int64).cast(pl.Datetime("ms", "UTC"))


@cache
def calm(bars=BARS, *, step=MINUTE, start=START):
    """Return candles of a market that moves about 0.1 % a bar, and never on its own makes a finding."""
    noise = [(i * 7919 % 1009 / 1009 - 0.5) / 500 for i in range(bars)]
    closes = [50_000 * math.exp(math.sin(i / 40) / 50 + noise[i]) for i in range(bars)]
    opens = [*closes[:1], *closes[:-1]]
    pairs = list(zip(opens, closes, strict=True))
    return pl.DataFrame(
        {
            "timestamp": stamps([start + i * step for i in range(bars)]),
            "open": opens,
            "high": [max(pair) * 1.0003 for pair in pairs],
            "low": [min(pair) / 1.0003 for pair in pairs],
            "close": closes,
            "volume": [1 + (i * 31) % 97 / 10 for i in range(bars)],
        }
    )


def put(frame, name, **values):
    """Return the frame with other values in a column: `i7=3.0` puts 3.0 into row 7."""
    column = frame[name].to_list()
    for row, value in values.items():
        column[int(row[1:])] = value
    return frame.with_columns(pl.Series(name, column, dtype=frame.schema[name]))


def times_of(frame, *rows):
    return [frame["timestamp"][row] for row in rows]


def found(frame, timeframe="1m", **options):
    return findings(frame, tf(timeframe), **{"now": LATER, **options})


def only(frame, check, timeframe="1m", **options):
    """Return the only finding, which must be of `check`, as a dict."""
    result = found(frame, timeframe, **options)
    assert result["check"].to_list() == [check], result["detail"].to_list()
    return result.row(0, named=True)


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
    assert len(CHECKS) == 19
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


# ---- what sticks out


SLIPS = [
    *((name, factor) for name in ("close", "open") for factor in BAD_TICKS),
    *(("high", factor) for factor in BAD_TICKS if factor > 1),
    *(("low", factor) for factor in BAD_TICKS if factor < 1),
]


@pytest.mark.parametrize(("name", "factor"), SLIPS)
@pytest.mark.parametrize("row", [1, 255, 256, 300, 598])
def test_a_bad_tick_is_a_spike(name, factor, row):
    frame = calm()
    bad = frame[name][row] * factor
    spoiled = put(frame, name, **{f"i{row}": bad})
    # What an exchange would make of it: the high and the low cover it.
    spoiled = put(spoiled, "high", **{f"i{row}": max(bad, frame["high"][row])})
    if name != "high":
        spoiled = put(spoiled, "low", **{f"i{row}": min(bad, frame["low"][row])})
    finding = only(spoiled, "spike")
    assert (finding["start"], finding["detail"].split()[0]) == (frame["timestamp"][row], name)


@pytest.mark.parametrize("row", [0, 599])
def test_a_wick_of_the_first_or_last_bar_is_a_spike(row):
    frame = calm()
    finding = only(put(frame, "low", **{f"i{row}": 500.0}), "spike")
    assert finding["start"] == frame["timestamp"][row]
    assert finding["detail"].startswith("low 500 where open and close are")


def test_a_bad_price_that_the_next_bar_opens_with_is_one_spike():
    frame = calm()
    spoiled = put(put(frame, "close", i300=100_000.0), "high", i300=100_000.0, i301=100_000.0)
    assert only(put(spoiled, "open", i301=100_000.0), "spike")["start"] == frame["timestamp"][300]


@pytest.mark.parametrize(
    ("factor", "detail"), [(0.5, "divided by 2"), (1 / 1.5, "divided by 1.5"), (10, "times 10")]
)
@pytest.mark.parametrize("row", [1, 2, 300, BARS - 2])
def test_a_split_is_no_spike(row, factor, detail):
    frame = calm()
    adjusted = pl.when(pl.int_range(pl.len()) >= row).then(factor).otherwise(1.0)
    finding = only(frame.with_columns(pl.col(name) * adjusted for name in PRICES), "split")
    assert (finding["start"], finding["severity"]) == (frame["timestamp"][row], "warning")
    assert finding["detail"].endswith(f": {detail}")
    assert finding["detail"].startswith(f"open {frame['open'][row] * factor:,}".rstrip("0").rstrip("."))


@pytest.mark.parametrize("days", [13, 15])
def test_a_price_that_is_another_after_a_long_hole_is_not_split(days):
    frame = calm()
    later = pl.int_range(pl.len()) >= 300
    frame = frame.with_columns(pl.col(name) * pl.when(later).then(2.0).otherwise(1.0) for name in PRICES)
    shifted = pl.col("timestamp") + pl.when(later).then(dt.timedelta(days=days)).otherwise(dt.timedelta())
    checks = found(frame.with_columns(shifted))["check"].to_list()
    assert checks == (["split"] if days < 14 else [])


def test_a_drop_by_the_usual_move_is_not_split():
    """A market that moves by 8 % a bar may well halve."""
    wild = [1.04 if (row + (row >= 300)) % 2 else 1 / 1.04 for row in range(BARS)]
    halved = [price / 2 if row >= 300 else price for row, price in enumerate(wild)]
    assert (
        "split"
        not in found(calm().with_columns(pl.col(name) * pl.Series(halved) for name in PRICES))["check"]
    )


@pytest.mark.parametrize(("row", "name"), [(299, "open"), (300, "close")])
def test_one_price_beside_a_jump_that_does_not_fit_is_no_split(row, name):
    frame = calm()
    halves = pl.when(pl.int_range(pl.len()) >= 300).then(0.5).otherwise(1.0)
    frame = frame.with_columns(pl.col(price) * halves for price in PRICES)
    spoiled = put(frame, name, **{f"i{row}": frame[name][row] * 1.3})
    assert "split" in found(frame)["check"]
    assert "split" not in found(spoiled)["check"]


def test_a_zero_price_is_no_split():
    frame = put(put(calm(), "close", i300=0.0), "low", i300=0.0)
    assert "split" not in found(frame)["check"]


@pytest.mark.parametrize("time", [START * 1000, -START * 1000, 2**62])
def test_a_time_of_no_year_is_told_in_words(time):
    frame = calm(50)
    spoiled = pl.concat([frame, frame[:1].with_columns(stamps([time]))]).sort("timestamp")
    finding = found(spoiled).filter(check="unit").row(0, named=True)
    assert (finding["severity"], finding["start"], finding["end"]) == ("error", None, None)
    assert finding["detail"] == f"timestamp {time} is not in ms since 1970"


@pytest.mark.parametrize("factor", [1.39, 1.7, 2.2, 12])
def test_a_market_that_jumps_is_not_split(factor):
    frame = calm()
    higher = pl.when(pl.int_range(pl.len()) >= 300).then(factor).otherwise(1.0)
    assert found(frame.with_columns(pl.col(name) * higher for name in PRICES)).is_empty()


@pytest.mark.parametrize("ratio", [1.5, 2, 3, 7, 20])
def test_splits_of_recorded_stocks_are_found(ratio):
    missed = []
    for path in stocks():
        frame = stock(path).drop_nulls().rename({"timestamp": "start"})
        frame = frame.with_columns(pl.col("start").to_physical())
        assert splits(frame, 14 * DAY).is_empty()
        middle = len(frame) // 2
        before = pl.when(pl.int_range(pl.len()) < middle).then(ratio).otherwise(1.0)
        divided = splits(frame.with_columns(pl.col(name) * before for name in PRICES), 14 * DAY)
        if divided["start"].to_list() != [frame["start"][middle]]:
            missed.append(path.stem)
    assert missed == ["AMD_data"]  # which fell by 8 % in that night


def test_a_jump_on_the_way_of_others_adds_nothing_to_a_wick():
    frame = calm()
    higher = (
        pl.when(pl.int_range(pl.len()) == 300).then(2).when(pl.int_range(pl.len()) > 300).then(4).otherwise(1)
    )
    climbing = frame.with_columns(pl.col(name) * higher for name in PRICES)
    assert found(climbing).is_empty()
    wick = only(put(climbing, "high", i300=climbing["high"][300] * 1.1), "spike")
    assert wick["detail"].startswith("high ")


def test_spikes_are_sought_in_the_order_of_time():
    """One bar of the dear half stands among the cheap ones: out of order, but no spike."""
    frame = calm()
    dear = pl.when(pl.int_range(pl.len()) >= 300).then(2.5).otherwise(1.0)
    frame = frame.with_columns(pl.col(name) * dear for name in PRICES)
    moved = pl.concat([frame[:100], frame[400:401], frame[100:400], frame[401:]])
    assert found(moved)["check"].to_list() == ["order"]
    again = pl.concat([frame[:100], put(frame[100:101], "volume", i0=1e9), frame[100:]])
    assert found(again)["check"].to_list() == ["duplicate"]  # the last one of a time is the bar


def test_a_handful_of_moves_is_no_scale():
    assert found(put(calm(20), "high", i9=500_000.0)).is_empty()
    assert len(found(put(calm(21), "high", i9=500_000.0))) == 1
    assert found(put(calm(19), "volume", i9=1e12)).is_empty()
    assert len(found(put(calm(20), "volume", i9=1e12))) == 1


def test_a_volatile_day_is_not_full_of_spikes():
    """Forty times the moves, for a day: judged by the moves of that day."""
    frame = calm(3000)
    place = pl.int_range(pl.len())
    wild = frame.with_columns(
        pl.when(place.is_between(1000, 2000))
        .then((pl.col(name) / 50_000) ** 40 * 50_000)
        .otherwise(name)
        .alias(name)
        for name in PRICES
    )
    assert len(found(wild).filter(check="spike")) <= 2


def test_a_market_that_seldom_moves_has_the_scale_of_its_moves():
    """One bar in ten moves, by one tick; a spike of fifty ticks is found, single ticks are not."""
    frame = calm(1500)
    prices = [100 + (i // 10 * 7 % 3) * 0.01 for i in range(1500)]
    quiet = frame.with_columns(pl.Series(name, prices) for name in PRICES)
    assert found(quiet).is_empty()
    assert only(put(quiet, "high", i705=100.5), "spike")["start"] == frame["timestamp"][705]


def test_wavering_of_the_last_bit_is_no_scale():
    frame = calm().with_columns(
        pl.Series(name, [100 + i % 2 * 1e-11 for i in range(BARS)]) for name in PRICES
    )
    assert found(put(frame, "high", i300=100.01)).is_empty()


def test_a_volume_out_of_all_proportion_is_told():
    frame = calm()
    usual = frame["volume"].median()
    finding = only(put(frame, "volume", i300=usual * 1e6), "volume_outlier")
    assert (finding["start"], finding["severity"]) == (frame["timestamp"][300], "info")
    assert finding["value"] > 7
    assert "times the usual" in finding["detail"]
    assert only(put(frame, "volume", i300=usual / 1e6), "volume_outlier")["value"] < -7


def test_constant_volumes_may_double():
    frame = calm().with_columns(volume=pl.lit(5.0))
    assert found(put(frame, "volume", i300=10.0)).is_empty()
    assert only(put(frame, "volume", i300=100.0), "volume_outlier")["start"] == frame["timestamp"][300]


def test_volumes_are_judged_by_those_around_them():
    """Volumes grow a millionfold over the years, and no bar is an outlier."""
    frame = calm(5000).with_columns(volume=pl.col("volume") * (pl.int_range(pl.len()) / 360).exp())
    assert found(frame).is_empty()
    assert (
        only(put(frame, "volume", i4000=frame["volume"][0]), "volume_outlier")["start"]
        == frame["timestamp"][4000]
    )


# ---- laws


@given(bars=st.integers(0, 300), seed=st.integers(0, 1000), start=moments.map(tf("1m").floor))
@settings(max_examples=30)
def test_a_valid_walk_has_no_errors(bars, seed, start):
    result = found(walk(bars, seed=seed, start=start), now=4_200_000_000_000)
    assert "error" not in result["severity"]


@given(st.data())
@settings(max_examples=60)
def test_any_valid_candles_have_no_errors(data):
    timeframe = data.draw(timeframes)
    frame = data.draw(candle_frames(timeframe)).sort("timestamp")
    assert "error" not in findings(frame, timeframe, now=LATER)["severity"]


rubbish = st.none() | st.floats() | st.sampled_from([0.0, -1.0, 100.0, 101.0])
rows = st.tuples(st.none() | st.integers(0, 40).map(lambda i: i * 20_000), *([rubbish] * 5))


@given(st.lists(rows, max_size=80), st.integers(0, 5))
@settings(max_examples=60)
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
@settings(max_examples=15)
def test_chunks_make_no_difference(cuts):
    frame = put(flat(calm(), 100, 140, 50_000.0, i120=5.0), "low", i300=5_000.0, i50=60_000.0)
    edges = [0, *sorted(cuts), BARS]
    chunks = pl.concat([frame[a:b] for a, b in pairwise(edges)], rechunk=False)
    assert_frame_equal(found(chunks), found(frame))


@given(
    row=st.integers(1, BARS - 2), factor=st.sampled_from(BAD_TICKS), scale=st.sampled_from([1e-8, 1.0, 1e9])
)
@settings(max_examples=30)
def test_a_bad_close_is_found_wherever_it_is_and_in_whatever_unit(row, factor, scale):
    frame = calm().with_columns(pl.col(name) * scale for name in PRICES)
    bad = frame["close"][row] * factor
    spoiled = put(
        put(frame, "close", **{f"i{row}": bad}), "high", **{f"i{row}": max(bad, frame["high"][row])}
    )
    finding = only(put(spoiled, "low", **{f"i{row}": min(bad, frame["low"][row])}), "spike")
    assert finding["start"] == frame["timestamp"][row]


# ---- bars made of others


def made_of(frame, source, target):
    """Return bars made of others, with how many they are made of and of how many they could be."""
    source, target = tf(source), tf(target)
    start = target.floor_expr(pl.col("timestamp").to_physical()).cast(pl.Datetime("ms", "UTC"))
    parts = frame.group_by(start.alias("timestamp")).agg(pl.len().cast(pl.Int64).alias("parts"))
    bars = resample(frame, source, target).join(parts, on="timestamp", maintain_order="left")
    return bars.with_columns(whole=pl.lit(target.ms // source.ms, pl.Int64))


def judged(stored, minutes, **options):
    return disagreements(stored, made_of(minutes, "1m", "1h"), tf("1m"), tf("1h"), **options)


def hours_of(minutes):
    return resample(minutes, tf("1m"), tf("1h")).filter("closed").drop("closed")


def test_bars_agree_with_those_they_are_made_of():
    minutes = calm()
    assert len(hours_of(minutes)) == 10
    assert judged(hours_of(minutes), minutes).is_empty()


@pytest.mark.parametrize("name", VALUES)
def test_a_difference_is_an_error_that_names_the_column(name):
    minutes = calm()
    hours = hours_of(minutes)
    stored = put(hours, name, i4=hours[name][4] * 1.5)
    (finding,) = judged(stored, minutes).rows(named=True)
    assert (finding["check"], finding["severity"], finding["bars"]) == ("derived", "error", 1)
    assert (finding["start"], finding["end"]) == tuple(times_of(hours, 4, 5))
    assert finding["value"] == pytest.approx(1 / 3)
    assert finding["detail"] == f"{name} {stored[name][4]:,} is {hours[name][4]:,} by 60 1m bars"


def test_volumes_may_differ_in_the_last_digits_and_prices_may_not():
    minutes = calm()
    hours = hours_of(minutes)
    assert judged(put(hours, "volume", i4=hours["volume"][4] * (1 + 9e-10)), minutes).is_empty()
    assert len(judged(put(hours, "volume", i4=hours["volume"][4] * (1 + 2e-9)), minutes)) == 1
    assert len(judged(put(hours, "low", i4=math.nextafter(hours["low"][4], 0)), minutes)) == 1


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_what_is_no_number_differs(value):
    minutes = calm()
    for name in VALUES:
        assert judged(put(hours_of(minutes), name, i4=value), minutes)["severity"].to_list() == ["error"]


def test_bars_of_few_source_bars_may_differ():
    minutes = calm()
    hours = hours_of(minutes)
    gappy = minutes[:250].vstack(minutes[280:])
    (finding,) = judged(hours, gappy).rows(named=True)
    assert (finding["severity"], finding["start"]) == ("info", hours["timestamp"][4])
    assert finding["detail"].endswith("by 30 of 60 1m bars")


def test_a_bar_that_is_still_forming_is_not_compared():
    minutes = calm(590)
    assert judged(put(hours_of(calm()), "close", i9=1.0), minutes).is_empty()


def test_a_missing_bar_between_stored_ones_is_a_warning():
    minutes = calm()
    hours = hours_of(minutes)
    (finding,) = judged(hours[:3].vstack(hours[4:]), minutes).rows(named=True)
    assert (finding["check"], finding["severity"]) == ("derived_missing", "warning")
    assert (finding["start"], finding["end"]) == tuple(times_of(hours, 3, 4))
    close, volume = hours["close"][3], hours["volume"][3]
    assert finding["detail"] == f"not stored; 60 1m bars make it: close {close:,}, volume {volume:,}"


def test_bars_beyond_the_stored_ones_or_of_few_source_bars_are_not_missing():
    minutes = calm()
    hours = hours_of(minutes)
    assert judged(hours[2:7], minutes).is_empty()
    gappy = minutes[:200].vstack(minutes[210:])
    assert judged(hours[:3].vstack(hours[4:]), gappy).is_empty()
    assert judged(hours, minutes[:180].vstack(minutes[240:])).is_empty()  # stored, but without source
    assert judged(hours[:0], minutes).is_empty()


def test_errors_are_kept_before_infos():
    minutes = calm()
    hours = hours_of(minutes)
    gappy = minutes[:59].vstack(minutes[60:])
    stored = put(hours, "close", i0=1e9, i3=math.nextafter(hours["close"][3], 0), i5=hours["close"][5] * 2)
    result = judged(stored, gappy, most=1)
    assert result["severity"].to_list() == ["error", "error"]
    assert result["start"].to_list() == times_of(hours, 0, 5)
    assert result["detail"][0] == "... and 2 more"


# ---- recorded bars


@cache
def recorded(*parts):
    (part,) = read(real(*parts))
    frame = pl.concat(part.frames)
    times = column_to_ms(frame["timestamp"])[0].cast(pl.Datetime("ms", "UTC"))
    return frame.select(times.alias("timestamp"), pl.col(VALUES).cast(pl.Float64)).sort("timestamp")


@cache
def stock(path):
    frame = pl.read_csv(path, schema_overrides=dict.fromkeys(VALUES, pl.Float64))
    return frame.select(
        pl.col("date").str.to_datetime(time_unit="ms", time_zone="UTC").alias("timestamp"), *VALUES
    )


def stocks():
    return sorted(real("sp500").glob("*_data.csv"))


MARKETS = [
    (("upbit", "BTC_KRW_1m.csv"), "1m", 4, 0),
    (("upbit", "BTC_KRW_1h.csv"), "1h", 5, 11),
    (("freqtrade", "UNITTEST_BTC-1m.feather"), "1m", 0, 7),
    (("freqtrade", "TRX_BTC-5m.feather"), "5m", 0, 0),
    (("freqtrade", "XRP_ETH-1m.feather"), "1m", 0, 0),
]


@pytest.mark.parametrize(("parts", "timeframe", "spikes", "volumes"), MARKETS)
def test_recorded_markets_have_few_findings(parts, timeframe, spikes, volumes):
    result = found(recorded(*parts), timeframe)
    assert len(result.filter(check="spike")) == spikes
    assert len(result.filter(check="volume_outlier")) == volumes
    assert len(result) == spikes + volumes


def test_recorded_stocks_have_few_findings():
    results = pl.concat(found(stock(path), "1d").with_columns(name=pl.lit(path.stem)) for path in stocks())
    counts = dict(results.group_by("check").len().rows())
    # The days 2014-07-17 and 2014-08-01 stand twice in half of the files, with all their values.
    assert counts == {"spike": 3, "volume_outlier": 14, "ohlc": 1, "repeated": 31}
    worst = results.filter(check="spike").sort("value").row(-1, named=True)  # a wrong tick, never traded
    assert (worst["name"], f"{worst['start']:%Y-%m-%d}") == ("AME_data", "2013-10-29")


def test_the_flash_crash_of_coinbase_is_a_spike():
    """On 2017-04-15 someone sold down to 0.06 dollars."""
    result = found(recorded("lean", "daily_btcusd_trade.zip"), "1d").filter(check="spike").sort("value")
    assert f"{result['start'][-1]:%Y-%m-%d}" == "2017-04-15"
    assert result["detail"][-1].startswith("low 0.06 where")


def test_the_one_impossible_candle_among_the_stocks():
    frame = stock(real("sp500", "AOS_data.csv"))
    finding = found(frame, "1d").filter(check="ohlc").row(0, named=True)
    assert finding["start"] == dt.datetime(2014, 5, 19, tzinfo=dt.UTC)
    assert finding["detail"] == "high 23.595 is below open 23.89 and close 24.445"
    assert found(put(frame, "open", i7=None), "1d").filter(check="number")["start"].to_list() == times_of(
        frame, 7
    )


INJECTED = [
    *((parts, timeframe) for parts, timeframe, *_ in MARKETS),
    *((("sp500", f"{name}_data.csv"), "1d") for name in ("AAPL", "ABT", "ACN", "AFL")),
]


@pytest.mark.parametrize(("parts", "timeframe"), INJECTED)
def test_injected_bad_ticks_are_found_in_recorded_bars(parts, timeframe):
    frame = stock(real(*parts)) if parts[0] == "sp500" else recorded(*parts)
    already = set(found(frame, timeframe, most=1000).filter(check="spike")["start"])
    places = range(len(frame) // 12, len(frame) - 1, len(frame) // 12)
    for shift, (name, factor) in enumerate(
        [*(("close", f) for f in BAD_TICKS), ("high", 10), ("low", 0.1), ("open", 2)]
    ):
        rows = [place + shift for place in places if place + shift < len(frame) - 1]
        held = pl.int_range(pl.len()).is_in(rows)
        bad = pl.when(held).then(pl.col(name) * factor).otherwise(name)
        spoiled = frame.with_columns(bad.alias(name))
        if name in ("open", "close"):
            spoiled = spoiled.with_columns(high=pl.max_horizontal(PRICES), low=pl.min_horizontal(PRICES))
        spikes = set(found(spoiled, timeframe, most=1000).filter(check="spike")["start"])
        assert set(times_of(frame, *rows)) <= spikes
        assert len(spikes - already) <= len(rows)


def test_upbit_hours_are_those_its_minutes_make():
    minutes, hours = recorded("upbit", "BTC_KRW_1m.csv"), recorded("upbit", "BTC_KRW_1h.csv")
    made = made_of(minutes, "1m", "1h")
    assert disagreements(hours, made, tf("1m"), tf("1h")).is_empty()
    row = hours["timestamp"].to_list().index(dt.datetime(2025, 9, 10, 12, tzinfo=dt.UTC))
    changed = put(hours, "close", **{f"i{row}": math.nextafter(hours["close"][row], math.inf)})
    (finding,) = disagreements(changed, made, tf("1m"), tf("1h")).rows(named=True)
    assert (finding["check"], finding["severity"], finding["start"]) == (
        "derived",
        "error",
        hours["timestamp"][row],
    )
    gone = hours.filter(pl.int_range(pl.len()) != row)
    assert disagreements(gone, made, tf("1m"), tf("1h"))["check"].to_list() == ["derived_missing"]
