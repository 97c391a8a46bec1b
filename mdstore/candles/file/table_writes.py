"""Rows into the table: upserts, as many rows in a statement as SQLite is quickest with.

Rows wait as bytes, and become Python's numbers just before they are bound: 60 ns a row, where lists of whole
columns took 240, held the interpreter's lock meanwhile, and were no longer in the processor's cache when they
were bound.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, repeat
from operator import sub
from typing import Final

import apsw
import polars as pl
import pyarrow as pa

from mdstore.candles.file import declared_columns
from mdstore.candles.file.bar_columns import columns_of_frame
from mdstore.candles.file.digests import Key
from mdstore.candles.file.wide_rows import values_of
from mdstore.core.schema import CANDLE_COLUMNS

__all__ = [
    "OF_SEVERAL_ROWS",
    "ROWS_PER_STATEMENT",
    "STATEMENTS",
    "packed",
    "parts",
    "upsert",
    "upsert_packed",
    "upsert_rows",
    "upsert_stack",
    "upsert_values",
]

# Rows in a statement (bench/upsert.py): 500 give 12 % more than 100, below 50 the calls count. A statement of
# more than 16 KB is parsed anew each time, which takes a third more. What is left over goes in smaller ones.
ROWS_PER_STATEMENT = (500, 100, 10, 1)
OF_SEVERAL_ROWS = (100, 10, 1)
UPSERT = """
INSERT INTO candles VALUES {rows}
ON CONFLICT DO UPDATE SET open = excluded.open, high = excluded.high, low = excluded.low,
  close = excluded.close, volume = excluded.volume
WHERE open IS NOT excluded.open OR high IS NOT excluded.high OR low IS NOT excluded.low
  OR close IS NOT excluded.close OR volume IS NOT excluded.volume
"""
WIDTH: Final = len(CANDLE_COLUMNS)
ROW_BYTES: Final = 8 * WIDTH
LEAST_ALONE: Final = 64  # rows of a series from which on it has statements of its own


def packed(columns: Sequence[pa.Array]) -> bytearray:
    """Return candles as bytes, row by row: their columns as `columns_of_frame` makes them."""
    rows = bytearray(ROW_BYTES * len(columns[0]))
    words = memoryview(rows).cast("q")
    for place, column in enumerate(columns[:WIDTH]):
        words[place::WIDTH] = values_of(column)
    return rows


def upsert(con: apsw.Connection, key: Key, rows: pl.DataFrame, extras: tuple[str, ...] = ()) -> None:
    """Write rows of a series, with these declared columns that they have besides; what is as given stays."""
    _upsert_packed(con, key, packed(columns_of_frame(rows[list(CANDLE_COLUMNS)])), 0, len(rows))
    if extras:
        upsert_values(con, key, rows, extras)


def upsert_packed(con: apsw.Connection, key: Key, rows: bytearray) -> None:
    """Write rows of a series, as `packed`. The last of them may be put behind them, so that statements fill.

    A row again changes nothing, and takes a tenth of what a statement of its own does.
    """
    count = len(rows) // ROW_BYTES
    filled = _filled(count)
    _upsert_packed(con, key, rows + rows[-ROW_BYTES:] * (filled - count), 0, filled)


def upsert_stack(
    con: apsw.Connection, timeframe: str, symbols: Sequence[str], ends: Sequence[int], rows: bytearray
) -> None:
    """Write rows of several series under each other, as `packed`, of which the i-th ends at `ends[i]`.

    Where most have many rows, a statement is of one series, whose key is bound once.
    """
    starts = (0, *ends)
    if ends[-1] >= len(symbols) * LEAST_ALONE:
        for symbol, low, high in zip(symbols, starts, ends, strict=False):
            _upsert_packed(con, (symbol, timeframe), rows, low, high)
        return
    names = list(chain.from_iterable(map(repeat, symbols, map(sub, ends, starts))))
    for size, at in parts(0, len(names), OF_SEVERAL_ROWS):
        values = _unpack(size)(rows, at * ROW_BYTES)
        con.execute(OF_SEVERAL[size], (timeframe, *names[at : at + size], *values))


def upsert_rows(con: apsw.Connection, key: Key, rows: Sequence[Sequence[object]]) -> None:
    """Write rows of a series that are tuples: time, open, high, low, close, volume."""
    for size, at in parts(0, len(rows)):
        con.execute(STATEMENTS[size], (*key, *chain.from_iterable(rows[at : at + size])))


def upsert_values(con: apsw.Connection, key: Key, rows: pl.DataFrame, extras: tuple[str, ...]) -> None:
    """Write the declared columns of rows alone."""
    given = rows[["timestamp", *extras]].rows()
    for size, at in parts(0, len(given), OF_SEVERAL_ROWS):
        bound = (*key, *chain.from_iterable(given[at : at + size]))
        con.execute(declared_columns.upsert(extras, size), bound)


def _upsert_packed(con: apsw.Connection, key: Key, rows: bytearray, low: int, high: int) -> None:
    for size, at in parts(low, high):
        con.execute(STATEMENTS[size], key + _unpack(size)(rows, at * ROW_BYTES))


def _filled(count: int) -> int:
    """Return so many rows, or a few more, that make less than half as many statements."""
    for size in ROWS_PER_STATEMENT[1:-1]:
        left = count % size
        if 2 * left >= size:
            return count - left + size
    return count


def parts(low: int, high: int, sizes: Sequence[int] | None = None) -> Iterator[tuple[int, int]]:
    """Yield how many of the rows `[low, high)` are written together, and where these begin."""
    for size in sizes or ROWS_PER_STATEMENT:
        while high - low >= size:
            yield size, low
            low += size


@lru_cache
def _unpack(size: int) -> Callable[[bytearray, int], tuple[float, ...]]:
    """Return what makes numbers of so many rows."""
    return struct.Struct(f"={'q5d' * size}").unpack_from


def _statement(size: int) -> str:
    """Write the UPSERT of `size` rows of one series, whose key is ?1 and ?2, bound once for all of them."""
    return UPSERT.format(rows=",".join([f"(?1,?2{',?' * WIDTH})"] * size))


def _of_several(size: int) -> str:
    """Write that of rows of several series: ?1 is their timeframe, then come the symbols, then the values."""
    rows = []
    for row in range(size):
        first = 2 + size + row * WIDTH
        values = ",".join(f"?{first + place}" for place in range(WIDTH))
        rows.append(f"(?{2 + row},?1,{values})")
    return UPSERT.format(rows=",".join(rows))


STATEMENTS = {size: _statement(size) for size in ROWS_PER_STATEMENT}
OF_SEVERAL = {size: _of_several(size) for size in OF_SEVERAL_ROWS}
