"""A small language for screens: a text in, a Polars expression out, and nothing that could do harm.

::

    close > close.rolling_mean(20)
    rsi(close, 14) < 30 and volume > 2 * sma(volume, 20)
    crossed_above(ema(close, 12), ema(close, 26)) or close == highest(high, 250)

Columns: timestamp, open, high, low, close, volume, and those that are declared. Operators, as in Python:
+ - * / // % **, comparisons (also 20 < rsi(close, 14) < 30), and or not (& | ~), parentheses. Numbers are
floats, as Polars has them: a division by zero is inf or nan, and nan is larger than any number. What is not
there (a window that is not full, the bar before the first) is null, and so is what is compared with it. A
condition counts as 1 or 0 where a number is wanted.

Functions are methods, too: `sma(close, 20)` is `close.sma(20)`. Windows and distances are counted in bars,
1 to 100,000. Settings may be named: `close.rolling_mean(window=20)`.

A value of every bar, out of a window that ends there:
    rolling_mean(x, window), or sma; rolling_min, or lowest; rolling_max, or highest; rolling_sum,
    rolling_median, rolling_std, rolling_quantile(x, quantile, window)
    ema(x, window): smoothed by 2 / (window + 1), started by the first value, null until a window is full
    ewm_mean(x, span): the same with the weights of the first bars made up for, from the first bar on
    rsi(x, window), atr(window): Wilder's relative strength index and average true range
A value of every bar, out of bars before it:
    shift(x, n=1), diff(x, n=1), pct_change(x, n=1), cum_sum, cum_max, cum_min
    crossed_above(x, other), crossed_below(x, other): true where it crosses, other may be a number
A value of every bar, out of the same bar:
    abs, sqrt, log (natural), exp, round(x, decimals=0), clip(x, lower, upper)
One value of all the bars:
    mean, sum, min, max, median, std, quantile(x, quantile), first, last, count
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, replace
from functools import reduce
from math import inf
from typing import Any, NoReturn

import polars as pl

from mdstore.analysis.indicators import ANY, FUNCTIONS, Function, Kind, Setting
from mdstore.core.did_you_mean import did_you_mean
from mdstore.core.schema import CANDLE_COLUMNS
from mdstore.errors import QueryError

__all__ = ["FUNCTIONS", "parse"]

Combine = Callable[[pl.Expr, pl.Expr], pl.Expr]

LONGEST_TEXT = 2_000
LONGEST_QUOTE = 60
DEEPEST = 100
MOST_OPERATIONS = 2_000  # nesting crossed_above doubles them each time: 100 deep, 2**100
HIGHEST_POWER = 100
TOO_DEEP = f"is nested too deeply; {DEEPEST} may be"

# The text may hold nothing that could be misread: no quotes, brackets, colons, backslashes or comments, no
# letters that Python takes for others (a wide c for c), no 0x10, 1j or 1if.
UNUSED = re.compile(r"[^A-Za-z0-9_ .,+\-*/%<>=!&|~()\t\r\n]")
NUMBERS = re.compile(r"(?<![\w.])\.?\d[\w.]*")
NUMBER = re.compile(r"(\d+(_\d+)*\.?\d*|\.\d+)([eE]\d*)?")
SLIPS = (
    (r"&&", "'and'"),
    (r"\|\|", "'or'"),
    (r"!(?!=)", "'not'"),
    (r"\^", "'**' for a power"),
    (r"\[", "close.shift(1) for the bar before"),
    (r"['\"]", "columns without quotes, as in close > open"),
)


@dataclass(frozen=True, slots=True)
class Value:
    """An expression and what is known of it.

    `each` says whether it has a value for every bar, `size` counts its operations, repeated ones as well, and
    `number` is its value where that is written out.
    """

    expr: pl.Expr
    kind: Kind
    each: bool
    size: int = 1
    number: float | None = None


class PieceError(Exception):
    """What is wrong with a piece of the text; `parse` says where it is."""

    def __init__(self, node: ast.expr | ast.keyword, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.node = node
        self.hint = hint


class Declared(ast.Name):
    """The name of a column that is no candle's, but known."""


class _Known(ast.NodeTransformer):
    """Tells declared columns from names that are not known."""

    def __init__(self, columns: Container[str]) -> None:
        self._columns = columns

    def visit_Name(self, node: ast.Name) -> ast.Name:
        is_declared = node.id in self._columns and node.id not in (*CANDLE_COLUMNS, *FUNCTIONS)
        return ast.copy_location(Declared(node.id, node.ctx), node) if is_declared else node


def parse(text: str, columns: Container[str] = ()) -> pl.Expr:
    """Return the Polars expression that a text stands for; the module says what can be written.

    `columns` are those that there are, a candle's and others. Raises `QueryError`, which quotes the piece
    that is wrong and says where it is.

    >>> frame = pl.DataFrame({"close": [1.0, 2.0, 4.0], "open": [2.0, 2.0, 2.0]})
    >>> frame.select(parse("close > open and close / close.shift(1) - 1 >= 1")).to_series().to_list()
    [False, False, True]
    >>> parse("close > close.roling_mean(20)")
    Traceback (most recent call last):
    mdstore.errors.QueryError: 'close.roling_mean' (column 9) is not known. Hint: did you mean rolling_mean?
    """
    if not isinstance(text, str):
        raise QueryError(f"an expression is a text such as 'close > open', not {text!r}")
    if len(text) > LONGEST_TEXT:
        raise QueryError(f"the expression has {len(text):,} characters; {LONGEST_TEXT:,} may be")
    text = re.sub(r"[\t\r\n]", " ", text).strip(" ")
    if not text:
        raise QueryError("the expression is empty")
    _refuse_what_is_not_used(text)
    try:
        tree = _tree(text)
        return _read(_Known(columns).visit(tree) if columns else tree, 0).expr
    except PieceError as wrong:
        where = _at(text, wrong.node.col_offset, wrong.node.end_col_offset, str(wrong))
        raise QueryError(where, hint=wrong.hint) from None
    except (RecursionError, MemoryError):
        raise QueryError(_at(text, 0, None, TOO_DEEP)) from None


def _refuse_what_is_not_used(text: str) -> None:
    unused = UNUSED.search(text)
    if unused:
        raise QueryError(_at(text, *unused.span(), "has no place in an expression"), hint=_slip(text))
    for number in NUMBERS.finditer(text):
        if not NUMBER.fullmatch(number[0]):
            raise QueryError(_at(text, *number.span(), "is no number"))


def _tree(text: str) -> ast.expr:
    """Return Python's reading of the text; nothing of it is ever run."""
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError as error:
        start = min(max((error.offset or 1) - 1, 0), len(text))
        equals = text[start : start + 1] == "=" or "==" in error.msg
        hint = "write '==' to compare" if equals else _slip(text)
        message = f"cannot be read from here on: {error.msg.split('.')[0]}"
        raise QueryError(_at(text, start, None, message), hint=hint) from None


def _at(text: str, start: int, end: int | None, message: str) -> str:
    piece = text[start:end]
    piece = piece if len(piece) <= LONGEST_QUOTE else f"{piece[:LONGEST_QUOTE]}..."
    return f"{piece!r} (column {start + 1}) {message}"


def _slip(text: str) -> str | None:
    hint = next((hint for slip, hint in SLIPS if re.search(slip, text)), None)
    return f"write {hint}" if hint else None


def _read(node: ast.expr, depth: int) -> Value:
    if depth > DEEPEST:
        raise PieceError(node, TOO_DEEP)
    reader = READERS.get(type(node))
    if reader is None:
        raise PieceError(node, f"is no part of the language ({type(node).__name__})")
    value = reader(node, depth + 1)
    if value.size > MOST_OPERATIONS:
        raise PieceError(node, f"comes to {value.size:,} operations; {MOST_OPERATIONS:,} may be")
    return value


def _column(node: ast.Name, _: int) -> Value:
    if node.id in CANDLE_COLUMNS:
        return Value(pl.col(node.id), "time" if node.id == "timestamp" else "number", each=True)
    raise _unknown(node, node.id, (*CANDLE_COLUMNS, *FUNCTIONS))


def _declared(node: Declared, _: int) -> Value:
    return Value(pl.col(node.id), "number", each=True)


def _unknown(node: ast.expr, name: str, known: Iterable[str]) -> PieceError:
    """Return the error for a name that stands where none of `known` does."""
    if name in FUNCTIONS:
        return PieceError(node, "is a function", hint=_write(name))
    hint = did_you_mean(name, known) or f"known are {', '.join(known)}"
    return PieceError(node, "is not known", hint=hint)


def _write(name: str) -> str:
    """Return the hint of how a function is called."""
    return f"write {_signature(name)}"


def _number(node: ast.Constant, _: int) -> Value:
    if isinstance(node.value, bool) or not isinstance(node.value, int | float):
        raise PieceError(node, "is no number")
    try:
        number = float(node.value)
    except OverflowError:
        number = inf
    if number == inf:
        raise PieceError(node, "is too large")
    return _written(number)


def _written(number: float) -> Value:
    return Value(pl.lit(number), "number", each=False, number=number)


def _unary(node: ast.UnaryOp, depth: int) -> Value:
    value = _read(node.operand, depth)
    if isinstance(node.op, ast.Not | ast.Invert):
        return replace(value, expr=~_condition(node.operand, value), size=value.size + 1)
    value = _as_number(node.operand, value)
    if isinstance(node.op, ast.UAdd):
        return value
    if value.number is not None:
        return _written(-value.number)
    return replace(value, expr=-value.expr, size=value.size + 1)


def _binary(node: ast.BinOp, depth: int) -> Value:
    left, right = _read(node.left, depth), _read(node.right, depth)
    if type(node.op) in LOGIC:
        return _logic(LOGIC[type(node.op)], [(node.left, left), (node.right, right)])
    if type(node.op) not in ARITHMETIC:
        raise PieceError(node, f"uses an operator that is not known ({type(node.op).__name__})")
    if isinstance(node.op, ast.Pow) and abs(right.number or 0) > HIGHEST_POWER:
        raise PieceError(node.right, f"is too high a power; {HIGHEST_POWER} may be")
    left, right = _as_number(node.left, left), _as_number(node.right, right)
    return _joined("number", ARITHMETIC[type(node.op)](left.expr, right.expr), left, right)


def _both(node: ast.BoolOp, depth: int) -> Value:
    return _logic(LOGIC[type(node.op)], [(part, _read(part, depth)) for part in node.values])


def _logic(combine: Combine, parts: list[tuple[ast.expr, Value]]) -> Value:
    exprs = [_condition(node, value) for node, value in parts]
    return _joined("condition", reduce(combine, exprs), *(value for _, value in parts))


def _compare(node: ast.Compare, depth: int) -> Value:
    """Read a comparison; in a chain each is of neighbours and all must hold, as in Python."""
    nodes = [node.left, *node.comparators]
    values = [_read(part, depth) for part in nodes]
    links = []
    for place, sign in enumerate(node.ops):
        left, right = values[place : place + 2]
        if type(sign) not in COMPARISONS:
            raise PieceError(node, f"compares by what is not known ({type(sign).__name__})")
        if left.kind != right.kind:
            raise PieceError(node, f"compares a {left.kind} with a {right.kind}")
        links.append(COMPARISONS[type(sign)](left.expr, right.expr))
    return _joined("condition", reduce(operator.and_, links), *values[:1], *values[1:-1] * 2, *values[-1:])


def _joined(kind: Kind, expr: pl.Expr, *values: Value) -> Value:
    return Value(expr, kind, any(value.each for value in values), 1 + sum(value.size for value in values))


def _as_number(node: ast.expr, value: Value) -> Value:
    if value.kind == "time":
        raise PieceError(node, "is a time, where a number is wanted")
    if value.kind == "number":
        return value
    return replace(value, expr=value.expr.cast(pl.Float64), kind="number", size=value.size + 1)


def _condition(node: ast.expr, value: Value) -> pl.Expr:
    if value.kind != "condition":
        raise PieceError(
            node,
            f"is a {value.kind}, no condition",
            hint="& and | bind closer than >; write 'and' and 'or'",
        )
    return value.expr


def _call(node: ast.Call, depth: int) -> Value:
    name, given = _called(node)
    function = FUNCTIONS[name]
    count = len(_subjects(function))
    if len(given) < count:
        raise PieceError(node, "lacks a value", hint=_write(name))
    values = [_subject(function, part, _read(part, depth)) for part in given[:count]]
    if values and function.shape != "row" and not values[0].each:
        raise PieceError(given[0], f"is one value, and {name} needs one of every bar", hint=_write(name))
    settings = _settings(node, name, given[count:], depth)
    expr = function.build(*(value.expr for value in values), *settings)
    each = function.shape == "along" or (function.shape == "row" and values[0].each)
    size = 1 + function.copies * sum(value.size for value in values)
    return Value(expr, function.gives or values[0].kind, each, size)


def _called(node: ast.Call) -> tuple[str, list[ast.expr]]:
    """Return the name of a function and its arguments, a method's subject first."""
    if isinstance(node.func, ast.Attribute):
        name, given = node.func.attr, [node.func.value, *node.args]
    elif isinstance(node.func, ast.Name):
        name, given = node.func.id, node.args
    else:
        raise PieceError(node.func, "cannot be called")
    if name in FUNCTIONS:
        return name, given
    if name in CANDLE_COLUMNS:
        raise PieceError(node.func, "is a column, no function")
    raise _unknown(node.func, name, FUNCTIONS)


def _attribute(node: ast.Attribute, _: int) -> NoReturn:
    raise _unknown(node, node.attr, FUNCTIONS)


def _subject(function: Function, node: ast.expr, value: Value) -> Value:
    return value if function.takes == ANY else _as_number(node, value)


def _settings(node: ast.Call, name: str, given: list[ast.expr], depth: int) -> list[float]:
    """Return a function's settings, in its order, from what is given in order and by name."""
    wanted = FUNCTIONS[name].settings
    if len(given) > len(wanted):
        raise PieceError(given[len(wanted)], "is one too many", hint=_write(name))
    parts = {setting.name: part for setting, part in zip(wanted, given, strict=False)}
    for keyword in node.keywords:
        if keyword.arg in parts or keyword.arg not in {setting.name for setting in wanted}:
            raise PieceError(keyword, "does not fit", hint=_write(name))
        parts[keyword.arg] = keyword.value
    return [_setting(node, name, setting, parts.get(setting.name), depth) for setting in wanted]


def _setting(node: ast.Call, name: str, setting: Setting, part: ast.expr | None, depth: int) -> float:
    if part is None:
        if setting.default is None:
            raise PieceError(node, f"lacks {setting.name}", hint=_write(name))
        return setting.default
    number = _read(part, depth).number
    whole = "a whole number" if setting.whole else "a number"
    if number is None or not setting.low <= number <= setting.high or (setting.whole and number % 1):
        raise PieceError(
            part, f"cannot be {setting.name}: {whole} from {setting.low:,g} to {setting.high:,g} is wanted"
        )
    return int(number) if setting.whole else number


def _subjects(function: Function) -> tuple[str, ...]:
    return ("x", *function.others) if function.takes else ()


def _signature(name: str) -> str:
    function = FUNCTIONS[name]
    settings = (
        one.name if one.default is None else f"{one.name}={one.default:g}" for one in function.settings
    )
    return f"{name}({', '.join((*_subjects(function), *settings))})"


ARITHMETIC: dict[type[ast.operator], Combine] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow,
}  # fmt: skip
LOGIC: dict[type[ast.operator] | type[ast.boolop], Combine] = {
    ast.And: operator.and_, ast.Or: operator.or_, ast.BitAnd: operator.and_, ast.BitOr: operator.or_
}  # fmt: skip
COMPARISONS: dict[type[ast.cmpop], Combine] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Gt: operator.gt, ast.GtE: operator.ge,
}  # fmt: skip
READERS: dict[type[ast.expr], Callable[[Any, int], Value]] = {
    ast.Name: _column, ast.Constant: _number, ast.UnaryOp: _unary, ast.BinOp: _binary, ast.BoolOp: _both,
    ast.Compare: _compare, ast.Call: _call, ast.Attribute: _attribute, Declared: _declared,
}  # fmt: skip
