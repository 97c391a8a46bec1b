"""Frames for eyes and for programs: aligned tables, and JSON records."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time
from typing import Any

import polars as pl
from rich.table import Table

from mdstore.plot import digits
from mdstore.schema import PRICES

__all__ = ["count", "frame_table", "json_text", "moment", "records", "size_text"]

SIZES = ("B", "KB", "MB", "GB", "TB")
KILO = 1024


def frame_table(frame: pl.DataFrame) -> Table:
    """Return a frame as a table; numbers to the right, prices with the digits they need."""
    table = Table(header_style="bold", box=None)
    decimals = _decimals(frame)
    for name, dtype in frame.schema.items():
        text = dtype == pl.String
        table.add_column(
            name, justify="right" if dtype.is_numeric() else "left", no_wrap=not text, overflow="fold"
        )
    cells = [_cells(frame[name], decimals.get(name, 0)) for name in frame.columns]
    for row in zip(*cells, strict=True):
        table.add_row(*row)
    return table


def records(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a frame as values that JSON has."""
    return [{name: _plain(value) for name, value in row.items()} for row in frame.iter_rows(named=True)]


def json_text(value: Any) -> str:
    """Write JSON, a list one item a line; doubles in full."""
    if isinstance(value, list):
        return "[" + ",\n ".join(json.dumps(_plain(item), ensure_ascii=False) for item in value) + "]"
    return json.dumps(_plain(value), ensure_ascii=False)


def moment(value: datetime | date | None) -> str:
    """Write a time as shortly as it can be: a midnight as its date."""
    if not isinstance(value, datetime):
        return "" if value is None else value.isoformat()
    if (value.hour, value.minute, value.second, value.microsecond) == (0, 0, 0, 0):
        return f"{value:%Y-%m-%d}"
    return (
        f"{value:%Y-%m-%d %H:%M}" if value.second == value.microsecond == 0 else f"{value:%Y-%m-%d %H:%M:%S}"
    )


def size_text(size: float) -> str:
    """Write a number of bytes.

    >>> size_text(123), size_text(5 * 1024 * 1024)
    ('123 B', '5.0 MB')
    """
    for unit in SIZES:
        if size < KILO or unit == SIZES[-1]:
            break
        size /= KILO
    return f"{size:.0f} {unit}" if unit == SIZES[0] else f"{size:.1f} {unit}"


def count(number: int, noun: str) -> str:
    """Write a number of things.

    >>> count(1, "row"), count(12154, "row")
    ('1 row', '12,154 rows')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _decimals(frame: pl.DataFrame) -> dict[str, int]:
    """Choose decimals by column; the prices of a candle share theirs."""
    found = {name: _needed(frame[name]) for name, dtype in frame.schema.items() if dtype.is_float()}
    prices = [name for name in PRICES if name in found]
    shared = max((found[name] for name in prices), default=0)
    return {**found, **dict.fromkeys(prices, shared)}


def _needed(column: pl.Series) -> int:
    return digits(column.drop_nulls().cast(pl.Float64).to_list())


def _cells(column: pl.Series, decimals: int) -> Sequence[str]:
    return [_cell(value, decimals) for value in column.to_list()]


def _cell(value: Any, decimals: int) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.{decimals}f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return moment(value) if isinstance(value, date) else str(value)


def _plain(value: Any) -> Any:
    """Turn a value into one that JSON has; times become ISO 8601, what is not finite null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | None) else str(value)
