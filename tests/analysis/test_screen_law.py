"""The law of screens: the same answers as each symbol on its own, by whichever road."""

import datetime as dt
import math

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_series_equal

from mdstore.analysis import screen as module
from mdstore.analysis.screen import screen
from tests.support.candles import START
from tests.support.doses import dose
from tests.support.markets import ENDS, LONG, MARKET, close, high, low, open_, together, volume
from tests.support.real import real

VALUES = ("open", "high", "low", "close", "volume")


def alone(frame, expr):
    """Return what an expression gives for one symbol's frame: its last value, None where it gives none."""
    values = frame.select(expr).to_series()
    return values.dtype, values[-1] if len(values) else None


def assert_as_alone(frames, expr, *, chunks=False):
    long, ends = together(frames, chunks=chunks)
    expected = {name: alone(frame, expr) for name, frame in frames.items() if len(frame)}
    rows = screen(long, ends, expr.alias("x")).rows
    assert rows["symbol"].to_list() == list(expected)
    dtype = next(dtype for dtype, _ in expected.values())
    values = pl.Series("x", [value for _, value in expected.values()], dtype=dtype)
    assert_series_equal(rows["x"], values, rel_tol=1e-9, abs_tol=1e-9)


# Quarters have exact sums, so that a comparison with a mean cannot hang on the order of adding up.
quarters = st.integers(1, 40).map(lambda n: n / 4)


@st.composite
def markets(draw):
    """Draw one to five symbols of one to thirty bars, most of them short, with ties and repeats."""
    frames = {}
    for i in range(draw(st.integers(1, 5))):
        bars = draw(st.one_of(st.integers(1, 4), st.integers(1, 30)))
        columns = {name: draw(st.lists(quarters, min_size=bars, max_size=bars)) for name in VALUES}
        times = pl.Series([START + j * 60_000 for j in range(bars)]).cast(pl.Datetime("ms", "UTC"))
        frames[f"S{i}"] = pl.DataFrame({"timestamp": times, **columns})
    return frames


GROUPED = {
    "column": close,
    "time": pl.col("timestamp"),
    "neighbours": close.shift(1) - open_.shift(-1),
    "sma": close.rolling_mean(3),
    "above sma": close > close.rolling_mean(3),
    "weights": close.rolling_mean(3, weights=[1.0, 2.0, 3.0]),
    "centred": close.rolling_max(3, center=True, min_samples=1),
    "shift of sma": close.rolling_sum(2).shift(1),
    "pct_change": close.pct_change(),
    "diff": close.diff(2).abs().sqrt(),
    "cum_sum": volume.cum_sum(),
    "reversed cum_max": close.cum_max(reverse=True),
    "ewm": close.ewm_mean(span=5, adjust=False, min_samples=2),
    "ewm_std": close.ewm_std(span=5),
    "rank": close.rank(),
    "rolling_std": close.rolling_std(4),
    "rolling_quantile": close.rolling_quantile(0.3, window_size=4),
    "share of the range": (close - low.min()) / (high.max() - low.min()),
    "mean": close.mean(),
    "means of parts": (high - low).mean() + volume.median(),
    "std": close.std(),
    "std over mean": close.rolling_mean(2).std() / close.mean(),
    "last": close.last() - close.first(),
    "count": close.count(),
    "n_unique": close.n_unique(),
    "len": pl.len(),
    "more than bars": volume.sum() > pl.len(),
    "literal": pl.lit(5),
    "two literals": pl.lit(1) + pl.lit(2.5),
    "text literal": pl.lit("x"),
    "null": pl.lit(None),
    "time literal": pl.col("timestamp") > dt.datetime(2025, 9, 1, 0, 3, tzinfo=dt.UTC),
    "logic": (close > open_) & ~(volume > volume.mean()) | (close == high.max()),
    "when": pl.when(close > open_).then(close.rolling_mean(2)).otherwise(low.min()),
    "when without otherwise": pl.when(close > 5).then(1),
    "clip": close.clip(2, 5).round(1),
    "power": close**2 // 3 % 2,
    "max_horizontal": pl.max_horizontal(high - low, (high - close.shift(1)).abs()),
    "is_between": close.is_between(low.min(), high.mean()),
    "fill_null": close.shift(3).fill_null(0.0),
    "cast": (close > open_).cast(pl.Int64).cum_sum(),
    "cast of a sum": volume.sum().cast(pl.Int64),
    "suffix": close.mean().name.suffix("_mean"),
    "mean of a filter": close.filter(close > open_).mean(),
    "sum of a filter by a mean": volume.filter(close > close.mean()).sum(),
    "last of nothing": close.filter(close > 1e9).last(),
    "sum of nothing": close.filter(close > 1e9).sum(),
    "count of a filter": close.filter(close > 5).count(),
    "mean of a tail": close.tail(3).mean(),
    "std of a tail of a difference": close.diff().tail(4).std(),
    "sum of a head": volume.head(2).sum(),
    "max of a slice": high.slice(1, 3).max(),
    "first of a slice": close.slice(-3, 2).first(),
    "median of a slice that is not there": close.slice(25, 3).median(),
    "a tail against a head": close.tail(2).mean() / close.head(2).mean() - 1,
}
AWKWARD = {
    "filter": close.filter(close > 5),
    "filter of nothing": close.filter(close > 1e9),
    "head": close.head(2),
    "tail": close.tail(3),
    "slice": close.slice(1, 2),
    "get": close.get(0),
    "gather": close.gather([0]),
    "drop_nulls": close.shift(1).drop_nulls(),
    "unique": close.unique(maintain_order=True),
    "sort": close.sort(),
    "sort_by": close.sort_by("volume", maintain_order=True),
    "reverse": close.reverse(),
    "top_k": close.top_k(2).min(),
    "over": close.mean().over(open_),
    "rank over": close.rank().over(close > open_),
    "rolling by time": close.rolling_mean_by("timestamp", "3m"),
    "arg_max": close.arg_max(),
    "bars since the high": pl.len() - high.arg_max(),
    "first of ties": close.is_first_distinct(),
    "duplicates": close.is_duplicated(),
    "any": (close > 9).any(),
    "all": (close > 1).all(),
    "quantile": close.quantile(0.3),
    "shift by a mean": close.shift(volume.mean().cast(pl.Int64) % 2),
    "shift and fill": close.shift(1, fill_value=0.0),
    "diff that drops": close.diff(null_behavior="drop"),
    "fill forward": close.shift(2).forward_fill(),
    "int_range": pl.int_range(pl.len()),
    "step of a sum": close // close.sum(),
    "mean of one": close.mean().mean(),
    "series": pl.lit(pl.Series([1, 2, 3])),
    "is_in": close.is_in([1.0, 2.0]),
    "implode": close.implode(),
    "list": close.implode().list.len(),
    "corr": pl.corr("open", "close"),
    "map_batches": close.map_batches(lambda s: s + 1, return_dtype=pl.Float64),
    "map_elements": close.map_elements(hash, return_dtype=pl.Int64),
    "rle_id": close.rle_id(),
    "hour": pl.col("timestamp").dt.minute(),
    "struct": pl.struct("open", "close"),
    "repeat": pl.repeat(1.5, 4),
    "append": close.append(open_),
    "mode": close.mode().min(),
    "hist": close.value_counts(sort=True).struct.field("count"),
}


# ---- made markets


@pytest.mark.variants(40)
@pytest.mark.slow
@pytest.mark.parametrize("name", [*GROUPED, *AWKWARD])
@settings(max_examples=dose(12))
@given(frames=markets(), chunks=st.booleans())
def test_a_screen_is_each_symbol_on_its_own(name, frames, chunks):
    assert_as_alone(frames, GROUPED.get(name, AWKWARD.get(name)), chunks=chunks)


def along(inner):
    return st.one_of(
        st.builds(lambda x, n: x.rolling_mean(n), inner, st.integers(1, 4)),
        st.builds(lambda x, n: x.rolling_max(n, min_samples=1), inner, st.integers(1, 4)),
        st.builds(lambda x, n: x.shift(n), inner, st.integers(-3, 3)),
        st.builds(lambda x: x.diff(), inner),
        st.builds(lambda x: x.cum_max(), inner),
        st.builds(lambda x: x.ewm_mean(span=3, adjust=False), inner),
        st.builds(lambda x: x.rank(), inner),
        st.builds(lambda x: x.abs(), inner),
        st.builds(lambda x: x.filter(close > 3).mean(), inner),
        st.builds(lambda x, y: x.filter(y > 3).last(), inner, inner),
        st.builds(lambda x, n: x.tail(n).max(), inner, st.integers(0, 4)),
        st.builds(lambda x, n: x.slice(n, 3).first(), inner, st.integers(-4, 4)),
        st.builds(lambda x: x.last(), inner),
        st.builds(lambda x: x.min(), inner),
        st.builds(lambda x: x.drop_nulls().max(), inner),
        st.builds(lambda x: x.mean().over(open_ > 3), inner),
        st.builds(lambda x, y: x - y, inner, inner),
        st.builds(lambda x, y: pl.when(x > y).then(x).otherwise(y), inner, inner),
        st.builds(lambda x, y: (x >= y).cast(pl.Float64), inner, inner),
        st.builds(pl.max_horizontal, inner, inner),
    )


trees = st.recursive(st.sampled_from([*map(pl.col, VALUES), pl.lit(2.5)]), along, max_leaves=5)


@pytest.mark.slow
@settings(max_examples=dose(250))
@given(markets(), trees, st.booleans())
def test_so_is_any_tree_of_them(frames, expr, chunks):
    try:
        for frame in frames.values():
            alone(frame, expr)
    except pl.exceptions.PolarsError:
        return
    assert_as_alone(frames, expr, chunks=chunks)


def grouped(expr):
    """Answer by one grouped query, or return None where that might change what an expression means."""
    return None if module._shape_of(expr) is None else module._together(LONG, len(MARKET), [expr])


@pytest.mark.parametrize("name", GROUPED)
def test_what_grouping_leaves_alone_is_grouped(name):
    assert grouped(GROUPED[name].alias("x")) is not None


@pytest.mark.parametrize("name", AWKWARD)
def test_what_grouping_may_change_is_not(name):
    assert grouped(AWKWARD[name].alias("x")) is None


def test_texts_are_grouped():
    texts = [
        "close > close.rolling_mean(20)",
        "rsi(close, 14) < 30",
        "atr(14)",
        "crossed_above(ema(close, 12), ema(close, 26))",
        "volume > 2 * volume.rolling_mean(20) and close == high.rolling_max(250)",
        "(high - low).mean() / close.last()",
        "count(close) - 5",
    ]
    for text in texts:
        assert grouped(module.parse(text)) is not None, text


@pytest.mark.parametrize("bars", [0, 10**9])
def test_both_roads_give_the_same(monkeypatch, bars):
    expected = screen(LONG, ENDS, GROUPED)
    monkeypatch.setattr(module, "MANY_BARS", bars)
    got = screen(LONG, ENDS, GROUPED)
    assert got.rows.schema == expected.rows.schema
    pl.testing.assert_frame_equal(got.rows, expected.rows, rel_tol=1e-12)


def test_many_bars_are_not_copied(monkeypatch):
    asked = []
    monkeypatch.setattr(module, "MANY_BARS", 21)  # 88 bars, 4 symbols
    monkeypatch.setattr(module, "_together", asked.append)
    assert len(screen(LONG, ENDS, close.mean()).rows) == 4
    assert asked == []


def test_an_unreadable_expression_takes_the_safe_road(monkeypatch):
    def broken(*_, **__):
        raise ValueError("a format of another version")

    monkeypatch.setattr(module.json, "loads", broken)
    assert grouped(close) is None
    assert screen(LONG, ENDS, close).rows["close"].to_list() == [
        frame["close"][-1] for frame in MARKET.values()
    ]


# ---- recorded prices


@pytest.fixture(scope="module")
def sp500():
    frames = {}
    for path in sorted(real("sp500").glob("*_data.csv")):
        rows = pl.read_csv(path, try_parse_dates=True).drop_nulls()
        stamp = pl.col("date").cast(pl.Datetime("ms")).dt.replace_time_zone("UTC").alias("timestamp")
        frames[path.name.split("_")[0]] = rows.select(
            stamp, *(pl.col(name).cast(pl.Float64) for name in VALUES)
        )
    return frames


def test_a_screen_of_the_market_is_plain_python(sp500):
    long, ends = together(sp500, chunks=True)
    texts = {
        "sma": "sma(close, 50)",
        "above": "close > sma(close, 50)",
        "high": "highest(high, 250)",
        "mean": "close.mean()",
    }
    rows = screen(long, ends, {**texts, "volume": volume, "bars": pl.len()}).rows
    assert rows["symbol"].to_list() == list(sp500)
    for row, frame in zip(rows.iter_rows(named=True), sp500.values(), strict=True):
        prices = frame["close"].to_list()
        if len(prices) >= 250:
            assert row["sma"] == pytest.approx(math.fsum(prices[-50:]) / 50, rel=1e-12)
            assert row["above"] == (prices[-1] > row["sma"])
            assert row["high"] == max(frame["high"].to_list()[-250:])
        assert row["mean"] == pytest.approx(math.fsum(prices) / len(prices), rel=1e-12)
        assert (row["volume"], row["bars"]) == (frame["volume"][-1], len(frame))


@pytest.mark.variants(40)
@pytest.mark.parametrize("name", [*GROUPED, *AWKWARD])
def test_a_screen_of_the_market_is_each_symbol_on_its_own(sp500, name):
    assert_as_alone(sp500, GROUPED.get(name, AWKWARD.get(name)), chunks=True)
