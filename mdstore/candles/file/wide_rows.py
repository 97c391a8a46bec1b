"""Rows of candles with declared columns behind them.

As long as rows are read, hashed and packed, their declared columns are those of their own series, in its
order, and a value that a bar lacks is NaN: so no schema but that of `wide_candle` is needed. Whoever gives
rows out names the columns, puts those of several series under each other, and makes nulls of the NaNs.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from math import nan
from typing import Final

import pyarrow as pa

from mdstore.core.schema import CANDLE, named_candle, wide_candle

__all__ = [
    "WIDTH", "between", "named", "positive_zeros", "table_of", "times_of", "union", "values_of",
    "wide", "with_nulls", "with_others", "without_values",
]  # fmt: skip

WIDTH: Final = len(CANDLE)
NUMBER: Final = pa.float64()


def wide(rows: pa.RecordBatch, extras: int) -> pa.RecordBatch:
    """Return rows with so many declared columns, those that they lack without a value."""
    lacking = WIDTH + extras - rows.num_columns
    if not lacking:
        return rows
    if lacking < 0:
        return pa.RecordBatch.from_arrays(rows.columns[: WIDTH + extras], schema=wide_candle(extras))
    return pa.RecordBatch.from_arrays(
        [*rows.columns, *[without_values(rows.num_rows)] * lacking], schema=wide_candle(extras)
    )


def without_values(rows: int) -> pa.Array:
    """Return a column in which no bar has a value."""
    return pa.Array.from_buffers(NUMBER, rows, [None, pa.py_buffer(array("d", [nan]) * rows)])


def union(names: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the columns that any of some series has, each once."""
    return tuple(dict.fromkeys(name for one in names for name in one))


def named(rows: pa.RecordBatch, own: tuple[str, ...], wanted: tuple[str, ...]) -> pa.RecordBatch:
    """Return rows of a series, whose declared columns are its `own`, with those that are `wanted`."""
    if own == wanted:
        return wide(rows, len(own))
    there = dict(zip(own, rows.columns[WIDTH:], strict=False))
    none = None if all(name in there for name in wanted) else without_values(rows.num_rows)
    columns = [there.get(name, none) for name in wanted]
    return pa.RecordBatch.from_arrays([*rows.columns[:WIDTH], *columns], schema=wide_candle(len(wanted)))


def table_of(
    parts: Sequence[pa.RecordBatch], names: Sequence[tuple[str, ...]], wanted: tuple[str, ...]
) -> pa.Table:
    """Return rows of several series, whose declared columns have these names, under each other."""
    if not wanted and not any(names):
        return pa.Table.from_batches(parts, CANDLE)
    rows = [named(part, own, wanted) for part, own in zip(parts, names, strict=True)]
    return with_nulls(pa.Table.from_batches(rows, wide_candle(len(wanted))), wanted)


def with_nulls(table: pa.Table, names: tuple[str, ...]) -> pa.Table:
    """Name the declared columns of a table, and make nulls of what bars lack."""
    if not names:
        return table
    columns = [pa.chunked_array(map(_with_nulls, one.chunks), NUMBER) for one in table.columns[WIDTH:]]
    return pa.Table.from_arrays([*table.columns[:WIDTH], *columns], schema=named_candle(names))


def with_others(table: pa.Table, wanted: Sequence[str]) -> pa.Table:
    """Add the declared columns that are wanted and that no row of a table has."""
    for name in wanted:
        if name not in table.column_names:
            table = table.append_column(pa.field(name, NUMBER), pa.nulls(table.num_rows, NUMBER))
    return table


def _with_nulls(values: pa.Array) -> pa.Array:
    """Return values with nulls for NaNs; the values themselves are not copied."""
    import pyarrow.compute as pc  # noqa: PLC0415 - 20 ms that a process which only reads candles need not wait for

    there = pc.invert(pc.is_nan(values))
    if not len(values) or pc.all(there).as_py():
        return values
    if there.offset:
        return pc.if_else(there, values, pa.scalar(None, NUMBER))
    count, width = len(values), NUMBER.bit_width // 8
    held = values.buffers()[1].slice(values.offset * width, count * width)
    return pa.Array.from_buffers(NUMBER, count, [there.buffers()[1], held])


def positive_zeros(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Return rows as SQLite gives them back: it keeps no negative zero."""
    import pyarrow.compute as pc  # noqa: PLC0415 - see above

    zero = pa.scalar(0.0)
    arrays = [rows.column(0), *(pc.add(column, zero) for column in rows.columns[1:])]
    return pa.RecordBatch.from_arrays(arrays, schema=rows.schema)


def times_of(bars: pa.RecordBatch) -> memoryview:
    """Return the times (ms) of candles, sharing their memory."""
    return values_of(bars.column(0))


def values_of(times: pa.Array) -> memoryview:
    """Return the values of a column of times, sharing their memory."""
    values = memoryview(times.buffers()[1]).cast("q")
    return values[times.offset : times.offset + len(times)]


def between(bars: pa.RecordBatch, start: int, end: int) -> pa.RecordBatch:
    """Return the candles in `[start, end)`."""
    times = times_of(bars)
    low = bisect_left(times, start)
    return bars.slice(low, max(low, bisect_left(times, end)) - low)
