"""Frames for eyes and for programs: aligned tables, and JSON records."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time
from typing import Any

import polars as pl
from rich.console import Console

from mdstore.cli.grid import Column, print_grid
from mdstore.cli.shell import WIDTH_OF_NO_TERMINAL
from mdstore.core.schema import PRICES
from mdstore.reports.text_chart import digits

__all__ = [
    "count",
    "is_intraday",
    "json_text",
    "moment",
    "number_texts",
    "print_frame",
    "records",
    "room",
    "size_text",
]

SIZES = ("B", "KB", "MB", "GB", "TB")
KILO = 1024
# From here on doubles have no decimals, and their digits say little.
HUGE = 1e15


def print_frame(
    out: Console,
    frame: pl.DataFrame,
    *,
    spare: Sequence[str] = (),
    grouped: bool = True,
    intraday: bool = False,
) -> None:
    """Print a frame as a table; numbers to the right, prices with the digits they need.

    Columns in `spare` are left out, in this order, where the terminal is too narrow. `grouped` puts commas
    between thousands. `intraday` shows the time of day also where all are midnights.
    """
    decimals = _decimals(frame)
    columns = [
        Column(
            name,
            _cells(frame[name], decimals.get(name, 0), grouped=grouped, intraday=intraday),
            right=dtype.is_numeric(),
            cut=None if dtype.is_numeric() or dtype.is_temporal() else "end",
            spare=spare.index(name) if name in spare else None,
        )
        for name, dtype in frame.schema.items()
    ]
    print_grid(out, columns, room(out))


def room(out: Console) -> int | None:
    """Return how many cells a line has; None where there is no terminal."""
    return None if out.width >= WIDTH_OF_NO_TERMINAL else out.width


def records(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a frame as values that JSON has."""
    return [{name: _plain(value) for name, value in row.items()} for row in frame.iter_rows(named=True)]


def json_text(value: Any) -> str:
    """Write JSON, a list one item a line; doubles in full."""
    escaped = not (sys.stdout.encoding or "").lower().startswith("utf")
    if isinstance(value, list):
        return "[" + ",\n ".join(json.dumps(_plain(item), ensure_ascii=escaped) for item in value) + "]"
    return json.dumps(_plain(value), ensure_ascii=escaped)


def moment(value: datetime | date | None, *, intraday: bool = False) -> str:
    """Write a time as shortly as it can be: a midnight as its date, unless it is a bar's of minutes or hours.

    >>> moment(datetime(2025, 9, 1)), moment(datetime(2025, 9, 1), intraday=True)
    ('2025-09-01', '2025-09-01 00:00')
    """
    return _moments([value], intraday=intraday)[0]


def is_intraday(timeframe: str) -> bool:
    """Tell bars that are shorter than a day.

    >>> is_intraday("4h"), is_intraday("1d"), is_intraday("1M")
    (True, False, False)
    """
    return timeframe.endswith(("s", "m", "h"))


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


def number_texts(values: Sequence[float]) -> list[str]:
    """Write numbers with the digits that all of them need.

    >>> number_texts([1519.0, 1519.25])
    ['1,519.00', '1,519.25']
    """
    decimals = digits(values)
    return [_cell(value, decimals, ",") for value in values]


def _decimals(frame: pl.DataFrame) -> dict[str, int]:
    """Choose decimals by column; the prices of a candle share theirs."""
    found = {name: _needed(frame[name]) for name, dtype in frame.schema.items() if dtype.is_float()}
    prices = [name for name in PRICES if name in found]
    shared = max((found[name] for name in prices), default=0)
    return {**found, **dict.fromkeys(prices, shared)}


def _needed(column: pl.Series) -> int:
    return digits(column.drop_nulls().cast(pl.Float64).to_list())


def _cells(column: pl.Series, decimals: int, *, grouped: bool, intraday: bool) -> list[str]:
    values = column.to_list()
    if column.dtype == pl.Date or isinstance(column.dtype, pl.Datetime):
        return _moments(values, intraday=intraday)
    comma = "," if grouped else ""
    return [_cell(value, decimals, comma) for value in values]


def _cell(value: Any, decimals: int, comma: str) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(value) if abs(value) >= HUGE else f"{value:{comma}.{decimals}f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:{comma}}"
    return "".join(letter if letter.isprintable() else " " for letter in str(value))


def _moments(values: Sequence[datetime | date | None], *, intraday: bool) -> list[str]:
    """Write times alike: as finely as the finest of them needs."""
    times = [value for value in values if isinstance(value, datetime)]
    clock = intraday or any(time.hour or time.minute or time.second or time.microsecond for time in times)
    pattern = "%Y-%m-%d"
    if clock:
        pattern += " %H:%M:%S" if any(time.second or time.microsecond for time in times) else " %H:%M"
    return [
        "" if value is None else f"{value:{pattern}}" if isinstance(value, datetime) else value.isoformat()
        for value in values
    ]


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
