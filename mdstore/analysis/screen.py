"""Screens: one question, asked of every symbol at its latest bar.

A question is an expression, or a Python function of one symbol's candles. Most expressions are answered for
all the symbols by one grouped query, which costs a tenth of a query for each symbol; where the symbols have
many bars, by queries of their slices, run together. Where grouping might change what an expression means, it
is answered one symbol at a time (`_shape` decides).
"""

from __future__ import annotations

import json
import os
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from queue import Empty, SimpleQueue
from typing import Any

import polars as pl
from polars.exceptions import ColumnNotFoundError, DuplicateError, PanicException, PolarsError

from mdstore.analysis.expressions import parse
from mdstore.analysis.slices import Part, reduced, sliced
from mdstore.core.did_you_mean import did_you_mean
from mdstore.core.html import table_html
from mdstore.errors import Hint, InvalidInputError, QueryError

__all__ = ["Function", "Progress", "Question", "Screen", "screen"]

Progress = Callable[[int, int], None]
Function = Callable[[pl.DataFrame], object]
Question = pl.Expr | str | Sequence[pl.Expr | str] | Mapping[str, pl.Expr | str] | Function

Answer = pl.DataFrame | str | None
"""One row, or why it failed, or None for a symbol that is left out."""

CODE = "__code__"
WAKE_SECONDS = 0.1
SCALARS = (bool, int, float, str, date, time, timedelta, Decimal)
FAILED = {"symbol": pl.Categorical, "error": pl.String}

# From so many bars a symbol on, each symbol's slice is asked: a grouped query copies chunked data. Mean, max
# and sum of 200 symbols of 50,000 bars take 8 ms of columns, 11 of slices' queries, 32 of a grouped one.
MANY_BARS = 10_000

# What a part of an expression gives: a value a row, one value, or one that is the same for all symbols; or
# some of the rows, which only an aggregate may take.
EACH, ONE, CONSTANT, SOME = "each", "one", "constant", "some"
OPERATORS = {
    "Eq", "NotEq", "EqValidity", "NotEqValidity", "Lt", "LtEq", "Gt", "GtEq", "And", "Or", "Xor",
    "LogicalAnd", "LogicalOr", "Plus", "Minus", "Multiply", "TrueDivide",
}  # fmt: skip
# Where the results of these jump depends on the last bit of the divisor, and in that bit a grouped sum may
# differ from the sum of one symbol alone.
STEPS = {"FloorDivide", "Modulus"}
AGGREGATES = {
    "Mean", "Sum", "Min", "Max", "Std", "Var", "Median", "First", "Last", "Count", "NUnique"
}  # fmt: skip
A_ROW = {
    "Abs", "Sign", "Negate", "Floor", "Ceil", "Round", "Clip", "Exp", "Log", "Pow.Generic", "Pow.Sqrt",
    "FillNull", "MaxHorizontal", "MinHorizontal", "Boolean.Not", "Boolean.IsNull", "Boolean.IsNotNull",
    "Boolean.IsNan", "Boolean.IsNotNan", "Boolean.IsFinite", "Boolean.IsInfinite", "Boolean.IsBetween",
}  # fmt: skip
ALONG = {
    "RollingExpr", "Shift", "Diff.Ignore", "PctChange", "EwmMean", "EwmStd", "EwmVar", "CumSum", "CumMax",
    "CumMin", "CumCount", "CumProd", "Rank",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Screen:
    """What a screen gave.

    `rows` has one row a symbol: `symbol` (Categorical), then the results. `failed` has `symbol` and `error`
    (String) of those whose evaluation failed. Both keep the order of the symbols.
    """

    rows: pl.DataFrame
    failed: pl.DataFrame

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the rows, and how many symbols failed, with the first reasons."""
        count = len(self.rows)
        title = "1 symbol" if count == 1 else f"{count:,} symbols"
        made = table_html(title, self.rows.columns, self.rows.iter_rows(), count)
        if self.failed.is_empty():
            return made
        failed = table_html(
            f"{len(self.failed):,} failed", self.failed.columns, self.failed.iter_rows(), len(self.failed)
        )
        return made + failed


def screen(
    frame: pl.DataFrame, ends: Sequence[int], what: Question, *, progress: Progress | None = None
) -> Screen:
    """Answer a question for every symbol of a long frame.

    `frame` is sorted by symbol and time, with `symbol` (Categorical) first; the rows of the i-th symbol end
    at `ends[i]`, and a symbol without rows is not in the result. `what` is an expression or a text in the
    language of `expressions`, a list or a dict of them (its keys name the results), or a function.

    An expression sees one symbol's candles, without the symbol. One that gives several values is taken at
    the latest bar, one that gives none is null. Sums, means, deviations and quotients may differ in the last
    bits from those of a symbol on its own.

    A function is given one symbol's candles, with the symbol, and returns a value (the column `value`), a
    dict or a frame of one row (a symbol in it is ignored); None, an empty dict or frame leaves the symbol
    out. It runs in as many threads as there are processors, so it must not change what others use.

    A symbol whose evaluation raises is in `failed`. `progress` is called with the symbols done and all, from
    the calling thread; once, at the end, where one query answers for all.

    Raises `InvalidInputError` for a question that is none or has two results of one name, `QueryError` for
    an expression that is wrong for every symbol.

    >>> frame = pl.DataFrame({
    ...     "symbol": pl.Series(["A", "A", "B"], dtype=pl.Categorical), "close": [1.0, 3.0, 7.0]
    ... })
    >>> screen(frame, [2, 3], {"change": "close - close.shift(1)", "bars": pl.len()}).rows.rows()
    [('A', 2.0, 2), ('B', None, 1)]
    >>> screen(frame, [2, 3], lambda candles: candles["close"].max()).rows.rows()
    [('A', 3.0), ('B', 7.0)]
    """
    parts = [(start, end - start) for start, end in zip((0, *ends), ends, strict=False) if start < end]
    symbols = frame["symbol"].gather([start for start, _ in parts])
    if callable(what):
        return _screen(symbols, _each(lambda part: _row(what(frame.slice(*part))), parts, progress))
    exprs = _expressions(what, frame.columns)
    nobody = _resolve(frame, exprs)
    shapes = [_shape_of(expr) for expr in exprs]
    candles, trusted = frame.drop("symbol"), None not in shapes
    table = _all_at_once(frame, candles, parts, exprs) if trusted else None
    if table is not None:
        if progress is not None and parts:
            progress(len(parts), len(parts))
        return Screen(table.insert_column(0, symbols), pl.DataFrame(schema=FAILED))
    results = [expr if shape == ONE else expr.last() for expr, shape in zip(exprs, shapes, strict=True)]
    if trusted:
        answers = _of_slices(candles, results, parts, progress)
    else:
        answers = _each(lambda part: candles.slice(*part).select(results), parts, progress)
    _refuse_what_fails_for_all(answers)
    return _screen(symbols, answers, nobody)


def _expressions(what: object, columns: Sequence[str]) -> list[pl.Expr]:
    """Return the expressions of a question, each under the name of its result."""
    if isinstance(what, Mapping):
        named = [(_name(name), _expression(part, columns)) for name, part in what.items()]
        exprs = [expr.alias(name) for name, expr in named]
    elif isinstance(what, Sequence) and not isinstance(what, str):
        exprs = [_expression(part, columns) for part in what]
    else:
        exprs = [_expression(what, columns)]
    if not exprs:
        raise InvalidInputError("the screen asks nothing: give at least one expression")
    return exprs


def _expression(part: object, columns: Sequence[str]) -> pl.Expr:
    if isinstance(part, str):
        return parse(part, columns).alias(part)
    if isinstance(part, pl.Expr):
        return part
    raise InvalidInputError(
        f"{part!r} is nothing to screen by: give a Polars expression, a text such as 'close > open', "
        "a list or a dict of them, or a function of one symbol's candles"
    )


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise InvalidInputError(f"a result is named by a text, not {name!r}")
    return name


def _resolve(frame: pl.DataFrame, exprs: list[pl.Expr]) -> pl.DataFrame:
    """Return the result for no symbols; raise for what is wrong whatever the data."""
    candles = frame.lazy().drop("symbol")
    try:
        schema = candles.select(expr.last() for expr in exprs).collect_schema()
    except ColumnNotFoundError as error:
        raise _no_column(_quoted(error), frame.columns[1:]) from error
    except DuplicateError as error:
        raise InvalidInputError(
            f"two results are named {_quoted(error)!r}",
            hint=Hint("name them with a dict, or with .alias()", "ask for each once"),
        ) from error
    except PolarsError:
        return pl.DataFrame()  # what it gives is seen when it is run
    if "symbol" in schema:
        raise InvalidInputError("a result cannot be named 'symbol': that column says whose the results are")
    return pl.DataFrame(schema=schema)


def _no_column(name: str, columns: list[str]) -> QueryError:
    known = f"there is no column {name!r}; an expression sees one symbol's {', '.join(columns)}"
    return QueryError(known, hint=did_you_mean(name, columns))


def _quoted(error: Exception) -> str:
    """Return the first name that an error of Polars puts in quotes."""
    found = re.search(r"""(["'])(.*?)\1""", str(error))
    return found[2] if found else str(error)


def _all_at_once(
    frame: pl.DataFrame, candles: pl.DataFrame, parts: list[Part], exprs: list[pl.Expr]
) -> pl.DataFrame | None:
    if len(frame) > MANY_BARS * len(parts):
        return reduced(candles, exprs, parts)
    return _together(frame, len(parts), exprs)


def _together(frame: pl.DataFrame, count: int, exprs: list[pl.Expr]) -> pl.DataFrame | None:
    """Answer for all symbols in one grouped query, or return None where that is not sure to be right."""
    results = [expr.last() for expr in exprs]
    # Runs of a symbol, numbered and known to be sorted: grouping by the Categorical itself costs six times.
    code = frame["symbol"].rle_id().alias(CODE).set_sorted()
    query = frame.lazy().drop("symbol").with_columns(code).group_by(CODE, maintain_order=True).agg(results)
    try:
        table = query.drop(CODE).collect(engine="in-memory")  # a fourth of what the automatic one takes
    except (PolarsError, PanicException):
        return None  # one symbol's data may be what it fails for
    return table if len(table) == count else None


def _shape_of(expr: pl.Expr) -> str | None:
    """Return what an expression gives, or None where grouping might change what it means."""
    # Rolling, shift and the like are evaluated group by group and the rest is blind to groups, but there are
    # exceptions (arg_max; lengths that filter, head or drop_nulls change), and Polars may bring new ones. So
    # the expression is read, and anything that is not known to be the same is not trusted.
    try:
        shape = _shape(json.loads(expr.meta.serialize(format="json")))
    except (Exception, PanicException):  # Python functions that cannot be pickled, forms of other versions
        return None
    return None if shape == SOME else shape


def _shape(node: Any) -> str | None:
    if node == "Len":
        return ONE
    ((kind, inner),) = node.items()
    reader = SHAPES.get(kind)
    return None if reader is None else reader(inner)


def _joined(*nodes: Any) -> str | None:
    shapes = {_shape(node) for node in nodes}
    return None if shapes & {None, SOME} else next(one for one in (EACH, ONE, CONSTANT) if one in shapes)


def _literal(inner: dict[str, Any]) -> str | None:
    return None if "Series" in inner else CONSTANT


def _binary(inner: dict[str, Any]) -> str | None:
    step = inner["op"] in STEPS and _shape(inner["right"]) == CONSTANT
    return _joined(inner["left"], inner["right"]) if step or inner["op"] in OPERATORS else None


def _aggregate(inner: dict[str, Any]) -> str | None:
    ((kind, subject),) = inner.items()
    if isinstance(subject, list):
        subject = subject[0]
    subject = subject.get("input", subject)
    return ONE if kind in AGGREGATES and _shape(subject) in {EACH, SOME} else None


def _slice(inner: dict[str, Any]) -> str | None:
    bounds = all(_shape(inner[bound]) == CONSTANT for bound in ("offset", "length"))
    return SOME if bounds and _shape(inner["input"]) == EACH else None


def _filter(inner: dict[str, Any]) -> str | None:
    return SOME if _shape(inner["input"]) == EACH and _shape(inner["by"]) == EACH else None


def _function(inner: dict[str, Any]) -> str | None:
    """Judge a function: values of a row, or along the rows with settings that are the same for all."""
    name, inputs = _function_name(inner["function"]), inner["input"]
    if name in A_ROW:
        return _joined(*inputs)
    settings = all(_shape(node) == CONSTANT for node in inputs[1:])
    return EACH if name in ALONG and settings and _shape(inputs[0]) == EACH else None


def _function_name(function: str | dict[str, Any]) -> str:
    if isinstance(function, str):
        return function
    ((name, options),) = function.items()
    if name == "Boolean" and isinstance(options, dict):
        (options,) = options
    return f"{name}.{options}" if isinstance(options, str) else name


SHAPES: dict[str, Callable[[Any], str | None]] = {
    "Column": lambda _: EACH,
    "Selector": lambda _: EACH,
    "Literal": _literal,
    "Alias": lambda inner: _shape(inner[0]),
    "KeepName": _shape,
    "RenameAlias": lambda inner: _shape(inner["expr"]),
    "Cast": lambda inner: _shape(inner["expr"]),
    "BinaryExpr": _binary,
    "Ternary": lambda inner: _joined(inner["predicate"], inner["truthy"], inner["falsy"]),
    "Agg": _aggregate,
    "Slice": _slice,
    "Filter": _filter,
    "Function": _function,
}


def _of_slices(
    candles: pl.DataFrame, results: list[pl.Expr], parts: list[Part], progress: Progress | None
) -> list[Answer]:
    """Return the answer for each part, or why it failed, of expressions whose shape is known."""
    answers: list[Answer] = []
    for some in sliced(candles, results, parts):
        answers += [_reason(one) if isinstance(one, BaseException) else one for one in some]
        if progress is not None:
            progress(len(answers), len(parts))
    return answers


def _each(answer: Callable[[Part], Answer], parts: list[Part], progress: Progress | None) -> list[Answer]:
    """Return the answer for each part, or why it failed; in threads, since Polars frees the interpreter."""
    answers: list[Answer] = [None] * len(parts)
    waiting = deque(range(len(parts)))
    finished: SimpleQueue[BaseException | None] = SimpleQueue()

    def work() -> None:
        try:
            while (place := _next(waiting)) is not None:
                answers[place] = _answer_or_reason(answer, parts[place])
                finished.put(None)
        except BaseException as error:  # raised again below, in the thread that asked
            finished.put(error)

    threads = ThreadPoolExecutor(os.cpu_count(), "mdstore-screen")
    try:
        for _ in range(min(len(parts), os.cpu_count() or 1)):
            threads.submit(work)
        for done in range(1, len(parts) + 1):
            _raise(_wait(finished))
            if progress is not None:
                progress(done, len(parts))
    finally:
        # On an interrupt the symbols under way are not waited for, and no others are begun.
        waiting.clear()
        threads.shutdown(wait=False)
    return answers


def _next(waiting: deque[int]) -> int | None:
    try:
        return waiting.popleft()
    except IndexError:
        return None


def _answer_or_reason(answer: Callable[[Part], Answer], part: Part) -> Answer:
    try:
        return answer(part)
    except (Exception, PanicException) as error:
        return _reason(error)


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".split("\n\n")[0]


def _wait(finished: SimpleQueue[BaseException | None]) -> BaseException | None:
    # Polars' handler of SIGINT restarts a system call that waits: without a limit Ctrl-C would wait for it.
    while True:
        with suppress(Empty):
            return finished.get(timeout=WAKE_SECONDS)


def _raise(error: BaseException | None) -> None:
    if error is not None:
        raise error


def _row(answer: object) -> pl.DataFrame | None:
    """Return what a function gave as one row."""
    if isinstance(answer, pl.DataFrame):
        if len(answer) > 1:
            raise InvalidInputError(f"the function gave {len(answer)} rows; one is wanted")
        row = answer.drop("symbol", strict=False)
        return row if row.width and len(row) else None
    values = answer if isinstance(answer, Mapping) else {"value": answer}
    row = pl.DataFrame({_name(name): [_scalar(value)] for name, value in values.items() if name != "symbol"})
    return row if row.width and answer is not None else None


def _scalar(value: object) -> object:
    """Return a value as Python's own, such as NumPy's and one-row columns have as `item()`."""
    if not isinstance(value, SCALARS) and hasattr(value, "item"):
        value = value.item()
    if value is None or isinstance(value, SCALARS):
        return value
    raise InvalidInputError(
        f"the function gave {type(value).__name__}; wanted are a number, text or time, a dict of them, "
        "a frame of one row, or None"
    )


def _refuse_what_fails_for_all(answers: list[Answer]) -> None:
    if answers and all(isinstance(answer, str) and answer == answers[0] for answer in answers):
        raise QueryError(f"this fails for every symbol: {answers[0]}")


def _screen(symbols: pl.Series, answers: list[Answer], nobody: pl.DataFrame | None = None) -> Screen:
    """Put the answers under their symbols; `nobody` is the result where there are none."""
    rows = {place: answer for place, answer in enumerate(answers) if isinstance(answer, pl.DataFrame)}
    reasons = {place: answer for place, answer in enumerate(answers) if isinstance(answer, str)}
    table = _concatenated(list(rows.values())) if rows else pl.DataFrame(nobody)
    failed = pl.DataFrame({"symbol": symbols.gather(list(reasons)), "error": list(reasons.values())}, FAILED)
    return Screen(table.insert_column(0, symbols.gather(list(rows))), failed)


def _concatenated(rows: list[pl.DataFrame]) -> pl.DataFrame:
    with suppress(PolarsError):  # of one type, as most are: a third of the time
        return pl.concat(rows, rechunk=True)
    try:
        return pl.concat(rows, how="diagonal_relaxed")
    except PolarsError as error:
        raise InvalidInputError(
            f"the results of different symbols have no type in common: {error}"
        ) from error
