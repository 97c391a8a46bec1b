"""Screens: what comes back, what fails, functions, progress; nothing lost, nothing fatal."""

import datetime as dt
import decimal
import os
import threading
import time

import numpy as np
import polars as pl
import pytest

from mdstore import InvalidInputError, QueryError
from mdstore.analysis import screen as module
from mdstore.analysis.screen import Screen, screen
from tests.support.candles import walk
from tests.support.interrupts import interrupted
from tests.support.markets import ENDS, LONG, MARKET, close, high, open_, together

# ---- what comes back


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


# ---- what fails


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


# ---- functions


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


# ---- progress


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
