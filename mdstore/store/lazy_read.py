"""Candles as a Polars LazyFrame: what a query asks of symbol and time says which cells it touches."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import polars as pl
from polars.io.plugins import register_io_source

from mdstore.candles.packs.columns import Panel
from mdstore.candles.packs.pack_files import PackLostError
from mdstore.candles.reads.answer import Answer, completed, picked
from mdstore.core.long_table import Long
from mdstore.core.time_bounds import FOREVER
from mdstore.errors import Hint, StoreFileError

__all__ = ["lazy_frame"]

# Given to Polars at a time: its threads share the pieces.
ROWS = 500_000
FLIPPED = {"Lt": "Gt", "LtEq": "GtEq", "Gt": "Lt", "GtEq": "LtEq", "Eq": "Eq"}
PER_MS = {"Milliseconds": 1, "Microseconds": 1_000, "Nanoseconds": 1_000_000}
Bounds = tuple[int, int]


def lazy_frame(
    answer: Answer, lose: Callable[[PackLostError], None], again: Callable[[], Answer]
) -> pl.LazyFrame:
    """Return an answer as a LazyFrame, of the moment it was read at however often it is collected.

    `lose` is told of a pack that turns out to be damaged; `again` then reads the same once more.
    """
    panel = answer.panel()
    if panel is None:
        return answer.frame().lazy()
    columns = list(answer.columns)

    def source(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        try:
            part = _part(panel, n_rows, predicate)
            part.verify()
            long = part.long
        except PackLostError as error:
            lose(error)
            long = _unchanged(again(), answer, error)
        frame = long.frame if "symbol" in (with_columns or columns) else long.value_frame
        frame = frame if n_rows is None else frame.head(n_rows)
        frame = completed(frame, [name for name in columns if name != "symbol"])
        wanted = columns if with_columns is None else [name for name in columns if name in with_columns]
        for at in range(0, max(len(frame), 1), ROWS):
            piece = frame.slice(at, ROWS)
            yield (piece if predicate is None else piece.filter(predicate)).select(wanted)

    return register_io_source(source, schema=picked(panel.head(0).long.frame, columns).schema)


def _unchanged(fresh: Answer, answer: Answer, lost: PackLostError) -> Long:
    """Return all of what was read again, wherever it came from, if it is as it was."""
    if (fresh.symbols, fresh.revision) != (answer.symbols, answer.revision):
        raise StoreFileError(
            "a pack was damaged, and the candles have changed since this scan was made; nothing is lost",
            hint=Hint("call store.scan again", "run the command again"),
        ) from lost
    if isinstance(fresh.source, Long):
        return fresh.source
    panel = fresh.panel()
    assert panel is not None  # noqa: S101 - what is no Long comes in pieces; for mypy
    return panel.long


def _part(panel: Panel, n_rows: int | None, predicate: pl.Expr | None) -> Panel:
    part = panel if n_rows is None else panel.head(n_rows)
    return part if predicate is None else _narrowed(part, predicate)


def _narrowed(panel: Panel, predicate: pl.Expr) -> Panel:
    """Leave out the symbols and times that a predicate surely does not want."""
    try:
        parts = list(_conjuncts(json.loads(_text(predicate))))
        symbols = _symbols(panel, [part for part in map(_expression, parts) if _is_of(part, "symbol")])
        bounds = [_bounds(part) for part in parts]
    except (ValueError, TypeError, KeyError, IndexError, pl.exceptions.PolarsError):
        return panel  # how Polars writes expressions down is its own affair; not to read one costs time only
    start, end = (
        max((low for low, _ in bounds), default=-FOREVER),
        min((high for _, high in bounds), default=FOREVER),
    )
    return panel.narrowed(symbols, start, end)


def _text(expression: pl.Expr) -> str:
    return expression.meta.serialize(format="json")


def _expression(part: Any) -> pl.Expr:
    return pl.Expr.deserialize(io.BytesIO(json.dumps(part).encode()), format="json")


def _is_of(expression: pl.Expr, column: str) -> bool:
    return set(expression.meta.root_names()) == {column}


def _symbols(panel: Panel, conditions: list[pl.Expr]) -> set[str] | None:
    """Return the symbols for which conditions on the symbol alone hold, by asking Polars."""
    if not conditions:
        return None
    names = pl.DataFrame({"symbol": pl.Series(panel.symbols, dtype=pl.Categorical)})
    return set(names.filter(conditions)["symbol"].cast(pl.String))


def _conjuncts(node: Any) -> Iterator[Any]:
    binary = node.get("BinaryExpr") if isinstance(node, dict) else None
    if binary is not None and binary["op"] in ("And", "LogicalAnd"):
        yield from _conjuncts(binary["left"])
        yield from _conjuncts(binary["right"])
    else:
        yield node


def _bounds(node: Any) -> Bounds:
    """Return a range of times outside of which a condition is not true; all where it is no bound on time."""
    if "BinaryExpr" in node:
        left, op, right = (node["BinaryExpr"][part] for part in ("left", "op", "right"))
        if _is_time(right):
            left, op, right = right, FLIPPED.get(op, op), left
        moment = _moment(right) if _is_time(left) else None
        return (-FOREVER, FOREVER) if moment is None else _side(op, moment)
    between = node.get("Function", {})
    if "IsBetween" in between.get("function", {}).get("Boolean", {}) and _is_time(between["input"][0]):
        low, high = (_moment(one) for one in between["input"][1:])
        return (-FOREVER if low is None else low - 1), (FOREVER if high is None else high + 2)
    return -FOREVER, FOREVER


def _side(op: str, moment: int) -> Bounds:
    # A millisecond to either side: Polars itself decides on the edge.
    low, high = moment - 1, moment + 2
    return {
        "Gt": (low, FOREVER),
        "GtEq": (low, FOREVER),
        "Lt": (-FOREVER, high),
        "LtEq": (-FOREVER, high),
    }.get(op, (low, high) if op == "Eq" else (-FOREVER, FOREVER))


def _is_time(node: Any) -> bool:
    return bool(node == {"Column": "timestamp"})


def _moment(node: Any) -> int | None:
    """Return a literal UTC datetime in milliseconds, rounded down; None for anything else."""
    value = node.get("Literal", {}).get("Scalar", {}).get("Datetime")
    if value is None:
        return None
    number, unit, _ = value
    return int(number) // PER_MS[unit]
