"""Screens: the same answers as each symbol on its own, by whichever road; nothing lost, nothing fatal."""

import datetime as dt
import decimal
import math
import os
import threading
import time

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_series_equal

from mdstore import InvalidInputError, QueryError
from mdstore.analysis import screen as module
from mdstore.analysis.screen import Screen, screen
from tests.support.candles import START, walk
from tests.support.interrupts import interrupted
from tests.support.real import real

open_, high, low, close, volume = map(pl.col, ("open", "high", "low", "close", "volume"))
VALUES = ("open", "high", "low", "close", "volume")


def together(frames, *, chunks=False):
    """Return a long frame of symbols' frames, and where each ends."""
    named = [
        frame.select(pl.lit(name).cast(pl.Categorical).alias("symbol"), pl.all())
        for name, frame in frames.items()
        if len(frame)
    ]
    long = pl.concat(named, rechunk=not chunks)
    assert not chunks or long.n_chunks() == len(named)
    ends = [sum(len(frame) for frame in list(frames.values())[: i + 1]) for i in range(len(frames))]
    return long, ends


MARKET = {"KRW-BTC": walk(60), "KRW-ETH": walk(25, seed=1), "A": walk(1, seed=2), "B": walk(2, seed=3)}
LONG, ENDS = together(MARKET)


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


# --- the law: a screen is each symbol on its own ------------------------------------------------------------

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


@pytest.mark.parametrize("name", [*GROUPED, *AWKWARD])
@settings(max_examples=12)
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


@settings(max_examples=250)
@given(markets(), trees, st.booleans())
def test_so_is_any_tree_of_them(frames, expr, chunks):
    try:
        for frame in frames.values():
            alone(frame, expr)
    except pl.exceptions.PolarsError:
        return
    assert_as_alone(frames, expr, chunks=chunks)


@pytest.mark.parametrize("name", GROUPED)
def test_what_grouping_leaves_alone_is_grouped(name):
    assert module._together(LONG, len(MARKET), [GROUPED[name].alias("x")]) is not None


@pytest.mark.parametrize("name", AWKWARD)
def test_what_grouping_may_change_is_not(name):
    assert module._together(LONG, len(MARKET), [AWKWARD[name].alias("x")]) is None


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
        assert module._together(LONG, len(MARKET), [module.parse(text)]) is not None, text


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
    monkeypatch.setattr(module, "_shape_of", asked.append)
    assert len(screen(LONG, ENDS, close.mean()).rows) == 4
    assert asked == []


def test_an_unreadable_expression_takes_the_safe_road(monkeypatch):
    def broken(*_, **__):
        raise ValueError("a format of another version")

    monkeypatch.setattr(module.json, "loads", broken)
    assert module._together(LONG, len(MARKET), [close]) is None
    assert screen(LONG, ENDS, close).rows["close"].to_list() == [
        frame["close"][-1] for frame in MARKET.values()
    ]


# --- what comes back ---------------------------------------------------------------------------------------


def test_symbols_come_first_and_in_order():
    pl.Series(["Z", "Y", "X"], dtype=pl.Categorical)  # the categories' own order is another
    frames = dict(zip("XYZ", MARKET.values(), strict=False))
    for what in (close, close.filter(close > 0), lambda frame: frame["close"][-1]):
        rows = screen(*together(frames), what).rows
        assert rows.schema["symbol"] == pl.Categorical
        assert rows.rows() == [(name, frame["close"][-1]) for name, frame in frames.items()]


def test_names():
    rows = screen(LONG, ENDS, [close, "close > open", high.max().alias("top"), pl.len()]).rows
    assert rows.columns == ["symbol", "close", "close > open", "top", "len"]
    rows = screen(LONG, ENDS, {"a": close, "b": "close > open"}).rows
    assert rows.columns == ["symbol", "a", "b"]
    assert screen(LONG, ENDS, "close").rows.columns == ["symbol", "close"]
    assert screen(LONG, ENDS, pl.col("open", "close").mean()).rows.columns == ["symbol", "open", "close"]
    assert screen(LONG, ENDS, pl.all().last()).rows.columns == ["symbol", *LONG.columns[1:]]
    assert screen(LONG, ENDS, (close, "open")).rows.columns == ["symbol", "close", "open"]


@pytest.mark.parametrize(
    "what",
    [
        [close, close.shift(1)],
        ["close", "close"],
        ["close", close],
        [pl.all().last(), close],
        {"a": pl.col("open", "close")},
        [close.filter(close > 1), close],
    ],
)
def test_two_results_of_one_name_are_refused(what):
    with pytest.raises(InvalidInputError, match=r"two results are named '(a|close)'"):
        screen(LONG, ENDS, what)


def test_nothing_runs_where_names_clash():
    ran = []
    spy = close.map_batches(lambda s: ran.append(s) or s, return_dtype=pl.Float64)
    with pytest.raises(InvalidInputError):
        screen(LONG, ENDS, [spy, close])
    assert ran == []


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (5, "5 is nothing to screen by"),
        (None, "None is nothing to screen by"),
        ([], "asks nothing"),
        ({}, "asks nothing"),
        ([close, 5], "5 is nothing"),
        ({"a": None}, "None is nothing"),
        ({5: close}, "named by a text, not 5"),
        ({"symbol": close}, "cannot be named 'symbol'"),
        (close.alias("symbol"), "cannot be named 'symbol'"),
        (["close", len], "is nothing to screen by"),
    ],
)
def test_what_is_no_question_is_refused(what, said):
    with pytest.raises(InvalidInputError, match=said):
        screen(LONG, ENDS, what)


def test_results_of_other_lengths_stand_side_by_side():
    rows = screen(LONG, ENDS, {"a": close.filter(close > 1e9), "b": close, "c": close.head(1)}).rows
    assert rows["a"].to_list() == [None] * 4
    assert rows["a"].dtype == pl.Float64
    assert rows["c"].to_list() == [frame["close"][0] for frame in MARKET.values()]


def test_no_symbols():
    empty = LONG.clear()
    result = screen(empty, [], {"a": close > open_, "b": "close.quantile(0.5)"})
    assert dict(result.rows.schema) == {"symbol": pl.Categorical, "a": pl.Boolean, "b": pl.Float64}
    assert dict(result.failed.schema) == {"symbol": pl.Categorical, "error": pl.String}
    assert len(result.rows) == len(result.failed) == 0
    assert screen(empty, [], close.filter(close > 1)).rows.schema["close"] == pl.Float64
    assert screen(empty, [], lambda frame: 1).rows.columns == ["symbol"]


def test_symbols_without_rows_are_not_there():
    frames = {"A": walk(3), "B": walk(0), "C": walk(2), "D": walk(0)}
    long, ends = together(frames)
    assert ends == [3, 3, 5, 5]
    for what in ("close", "close.quantile(0.5)", len):
        result = screen(long, ends, what)
        assert result.rows["symbol"].to_list() == ["A", "C"]
        assert len(result.failed) == 0


def test_the_result_says_what_it_is():
    result = screen(LONG, ENDS, "close")
    assert isinstance(result, Screen)
    with pytest.raises(AttributeError):
        result.rows = None


# --- what fails --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bars", [0, 10**9])
def test_a_symbol_that_fails_is_told_and_the_others_are_answered(monkeypatch, bars):
    monkeypatch.setattr(module, "MANY_BARS", bars)
    frames = MARKET | {"HUGE": walk(3).with_columns(close + 1e30)}
    result = screen(*together(frames), {"a": close.cast(pl.Int64), "b": close})
    assert result.rows["symbol"].to_list() == list(MARKET)
    assert result.rows["a"].to_list() == [int(frame["close"][-1]) for frame in MARKET.values()]
    assert result.failed["symbol"].to_list() == ["HUGE"]
    assert result.failed["error"][0].startswith(
        "InvalidOperationError: conversion from `f64` to `i64` failed"
    )
    assert "\n" not in result.failed["error"][0]


def test_a_python_error_in_an_expression_fails_its_symbol():
    def fussy(series):
        if len(series) == 2:
            raise LookupError("two bars only")
        return series

    result = screen(LONG, ENDS, close.map_batches(fussy, return_dtype=pl.Float64))
    assert result.rows["symbol"].to_list() == ["KRW-BTC", "KRW-ETH", "A"]
    assert result.failed["symbol"].to_list() == ["B"]
    assert "LookupError" in result.failed["error"][0]


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (
            pl.col("clsoe"),
            "no column 'clsoe'.*timestamp, open, high, low, close, volume. Hint: did you mean close?",
        ),
        (close.mean() / pl.col("Volume").mean(), "'Volume'.*Hint: did you mean volume?"),
        (pl.col("turnover").filter(close > 1), "no column 'turnover'"),
        (pl.col("symbol"), "no column 'symbol'; an expression sees one symbol's"),
        (close.str.len_chars(), "this fails for every symbol: SchemaError: .*`String`"),
        (close & open_, "this fails for every symbol: InvalidOperationError"),
        (close.gather([100]), "this fails for every symbol: OutOfBoundsError"),
        ("close > wolume", "did you mean volume"),
        ({"a": "close >"}, "cannot be read"),
    ],
)
def test_what_is_wrong_for_all_is_an_error(what, said):
    with pytest.raises(QueryError, match=said):
        screen(LONG, ENDS, what)


def test_what_fails_for_all_in_different_ways_is_told_symbol_by_symbol():
    def fussy(series):
        raise LookupError(len(series))

    result = screen(LONG, ENDS, close.map_batches(fussy, return_dtype=pl.Float64))
    assert len(result.rows) == 0
    assert result.failed["symbol"].to_list() == list(MARKET)
    assert result.rows.schema["close"] == pl.Float64


# --- functions ---------------------------------------------------------------------------------------------


def test_a_function_sees_one_symbol_at_a_time_and_all_of_it():
    seen = {}

    def look(frame):
        seen[frame["symbol"][0]] = frame
        return len(frame)

    rows = screen(LONG, ENDS, look).rows
    assert rows.rows() == [(name, len(frame)) for name, frame in MARKET.items()]
    assert rows.columns == ["symbol", "value"]
    for name, frame in MARKET.items():
        assert seen[name].drop("symbol").equals(frame)
        assert set(seen[name]["symbol"]) == {name}


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (3, pl.Int64),
        (2.5, pl.Float64),
        (True, pl.Boolean),
        ("x", pl.String),
        (dt.date(2025, 9, 1), pl.Date),
        (dt.datetime(2025, 9, 1), pl.Datetime("us")),
        (dt.timedelta(hours=1), pl.Duration("us")),
        (decimal.Decimal("1.5"), pl.Decimal(38, 1)),
        (np.float64(2.5), pl.Float64),
        (np.float32(2.5), pl.Float64),
        (np.int64(3), pl.Int64),
        (np.bool_(True), pl.Boolean),
        (np.array(2.5), pl.Float64),
        (pl.Series([2.5]), pl.Float64),
    ],
)
def test_a_function_may_give_any_value(value, dtype):
    rows = screen(LONG, ENDS, lambda frame: value).rows
    assert rows.schema["value"] == dtype
    assert rows["value"].to_list() == [value.item() if hasattr(value, "item") else value] * 4


def test_a_function_may_give_a_dict_or_a_row():
    expected = [(name, frame["close"][-1], len(frame)) for name, frame in MARKET.items()]
    as_dict = screen(LONG, ENDS, lambda frame: {"close": frame["close"][-1], "bars": len(frame)}).rows
    as_row = screen(
        LONG, ENDS, lambda frame: frame.select(pl.col("symbol").last(), close.last(), pl.len().alias("bars"))
    ).rows
    assert as_dict.rows() == as_row.rows() == expected
    assert as_dict.columns == as_row.columns == ["symbol", "close", "bars"]
    assert as_row.schema["bars"] == pl.get_index_type()
    assert screen(LONG, ENDS, lambda frame: {"symbol": "other", "n": 1}).rows["symbol"].to_list() == list(
        MARKET
    )


@pytest.mark.parametrize("nothing", [None, {}, {"symbol": "x"}, LONG.clear(), pl.DataFrame()])
def test_a_function_leaves_a_symbol_out(nothing):
    result = screen(LONG, ENDS, lambda frame: nothing if len(frame) < 10 else {"bars": len(frame)})
    assert result.rows.rows() == [("KRW-BTC", 60), ("KRW-ETH", 25)]
    assert len(result.failed) == 0


def test_types_are_found_over_all_symbols():
    kinds = {60: 1, 25: 2.5, 1: None, 2: 3}
    rows = screen(LONG, ENDS, lambda frame: {"x": kinds[len(frame)]}).rows
    assert rows["x"].to_list() == [1.0, 2.5, None, 3.0]
    assert rows.schema["x"] == pl.Float64
    rows = screen(LONG, ENDS, lambda frame: {"x": 1} if len(frame) > 2 else {"y": True}).rows
    assert rows.rows() == [("KRW-BTC", 1, None), ("KRW-ETH", 1, None), ("A", None, True), ("B", None, True)]
    assert screen(LONG, ENDS, lambda frame: {"x": None}).rows["x"].to_list() == [None] * 4


def test_results_that_have_no_common_type_are_refused():
    kinds = {60: pl.DataFrame({"x": [[1]]}), 25: {"x": dt.date(2025, 9, 1)}}
    with pytest.raises(InvalidInputError, match="no type in common"):
        screen(LONG, ENDS, lambda frame: kinds.get(len(frame)))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (LONG, "InvalidInputError: the function gave 88 rows; one is wanted"),
        (object(), "InvalidInputError: the function gave object"),
        ([1, 2], "InvalidInputError: the function gave list"),
        (1j, "InvalidInputError: the function gave complex"),
        ({"a": {}}, "InvalidInputError: the function gave dict"),
        ({5: 1}, "InvalidInputError: a result is named by a text, not 5"),
        (pl.Series([1, 2]), "ValueError"),
    ],
)
def test_what_is_no_answer_fails_the_symbol(answer, said):
    result = screen(LONG, ENDS, lambda frame: answer if len(frame) == 60 else 1)
    assert result.rows["symbol"].to_list() == ["KRW-ETH", "A", "B"]
    assert result.failed["symbol"].to_list() == ["KRW-BTC"]
    assert result.failed["error"][0].startswith(said)


def test_a_function_that_raises_fails_its_symbols_only():
    def risky(frame):
        if len(frame) < 10:
            raise ZeroDivisionError(f"only {len(frame)} bars")
        if len(frame) == 25:
            return frame.select(pl.col("nothing"))
        return 1

    result = screen(LONG, ENDS, risky)
    assert result.rows.rows() == [("KRW-BTC", 1)]
    assert result.failed["symbol"].to_list() == ["KRW-ETH", "A", "B"]
    assert result.failed["error"][1:].to_list() == [
        "ZeroDivisionError: only 1 bars", "ZeroDivisionError: only 2 bars"
    ]  # fmt: skip
    assert result.failed["error"][0].startswith('ColumnNotFoundError: unable to find column "nothing"')


def test_a_function_that_raises_for_all_loses_nothing():
    result = screen(LONG, ENDS, lambda frame: 1 / 0)
    assert len(result.rows) == 0
    assert result.failed["error"].to_list() == ["ZeroDivisionError: division by zero"] * 4


def test_an_error_without_words_does_not_hang():
    class MuteError(Exception):
        def __str__(self):
            raise RuntimeError("no words")

    def mute(frame):
        raise MuteError

    with pytest.raises(RuntimeError, match="no words"):
        screen(LONG, ENDS, mute)


def test_functions_run_at_the_same_time(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    barrier = threading.Barrier(4, timeout=10)
    result = screen(LONG, ENDS, lambda frame: barrier.wait() >= 0 and threading.current_thread().name)
    assert result.rows["value"].n_unique() == 4
    assert threading.current_thread().name not in result.rows["value"].to_list()


@pytest.mark.parametrize("cores", [None, 1, 3])
def test_results_keep_the_order_of_the_symbols(monkeypatch, cores):
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    frames = {f"S{i:03}": walk(1 + i % 7, seed=i) for i in range(200)}
    rows = screen(*together(frames), lambda frame: {"name": frame["symbol"][0], "bars": len(frame)}).rows
    assert rows["name"].to_list() == rows["symbol"].to_list() == list(frames)
    assert rows["bars"].to_list() == [len(frame) for frame in frames.values()]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_a_function_cannot_swallow_an_interrupt(kind):
    calls = []

    def interrupted(frame):
        calls.append(1)
        raise kind

    frames = {f"S{i:03}": walk(1) for i in range(100)}
    with pytest.raises(kind):
        screen(*together(frames), interrupted)
    assert len(calls) <= os.cpu_count()


def test_ctrl_c_ends_a_screen_at_once():
    asked, release = [], threading.Event()

    def slow(frame):
        asked.append(1)
        release.wait(30)

    frames = together({f"S{i:03}": walk(1) for i in range(100)})
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupted(0.2, lambda: screen(*frames, slow))
        assert not release.is_set()
    finally:
        release.set()
    time.sleep(0.1)
    assert len(asked) <= os.cpu_count()  # those that had begun; no other does


# --- progress ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["close.quantile(0.5)", lambda frame: 1, lambda frame: 1 / 0])
def test_progress_counts_the_symbols_in_the_calling_thread(what):
    told = []
    try:
        screen(LONG, ENDS, what, progress=lambda *done: told.append((*done, threading.get_ident())))
    finally:
        assert told == [(i, 4, threading.get_ident()) for i in (1, 2, 3, 4)]


def test_progress_of_one_query_is_told_once():
    told = []
    screen(LONG, ENDS, "close", progress=lambda *done: told.append(done))
    assert told == [(4, 4)]
    screen(LONG.clear(), [], "close", progress=lambda *done: told.append(done))
    screen(LONG.clear(), [], len, progress=lambda *done: told.append(done))
    assert told == [(4, 4)]


def test_an_error_in_progress_ends_the_screen():
    def broken(done, total):
        raise OSError("no terminal")

    calls = []
    frames = {f"S{i:03}": walk(1) for i in range(500)}
    with pytest.raises(OSError, match="no terminal"):
        screen(*together(frames), lambda frame: calls.append(time.sleep(0.001)), progress=broken)
    time.sleep(0.1)
    assert len(calls) < 500


# --- recorded prices ---------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("name", [*GROUPED, *AWKWARD])
def test_a_screen_of_the_market_is_each_symbol_on_its_own(sp500, name):
    assert_as_alone(sp500, GROUPED.get(name, AWKWARD.get(name)), chunks=True)
