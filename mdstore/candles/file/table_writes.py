"""Rows into the table: upserts, as many rows in a statement as SQLite is quickest with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat
from operator import sub
from typing import Final

import apsw
import polars as pl

from mdstore.candles.file import declared_columns
from mdstore.candles.file.digests import Key
from mdstore.core.schema import CANDLE_COLUMNS

__all__ = [
    "ROWS_PER_STATEMENT", "STATEMENTS", "Statement", "statements_of", "upsert", "upsert_rows",
    "upsert_values",
]  # fmt: skip

# Rows in a statement (bench/upsert.py): 200 or 300 give a few percent more than 100, 500 lose a third, below
# 50 the calls count. What is left over goes in smaller ones, since each size is parsed once and then cached.
ROWS_PER_STATEMENT = (100, 10, 1)
UPSERT = """
INSERT INTO candles VALUES {rows}
ON CONFLICT DO UPDATE SET open = excluded.open, high = excluded.high, low = excluded.low,
  close = excluded.close, volume = excluded.volume
WHERE open IS NOT excluded.open OR high IS NOT excluded.high OR low IS NOT excluded.low
  OR close IS NOT excluded.close OR volume IS NOT excluded.volume
"""
WIDTH: Final = len(CANDLE_COLUMNS)
LEAST_ALONE: Final = 64  # rows of a series from which on it has statements of its own
Statement = tuple[str, list[object]]
"""SQL, and what is bound to it."""


def upsert(con: apsw.Connection, key: Key, rows: pl.DataFrame, extras: tuple[str, ...] = ()) -> None:
    """Write rows of a series, with these declared columns that they have besides; what is as given stays."""
    _upsert(con, key, _flat(rows[list(CANDLE_COLUMNS)] if extras else rows))
    if extras:
        upsert_values(con, key, rows, extras)


def statements_of(
    timeframe: str, symbols: Sequence[str], ends: Sequence[int], rows: pl.DataFrame
) -> list[Statement]:
    """Return what writes rows of several series under each other, of which the i-th ends at `ends[i]`.

    Where most have many rows, a statement is of one series, whose key is bound once.
    """
    if len(rows) >= len(symbols) * LEAST_ALONE:
        flat, starts = _flat(rows), (0, *ends)
        return [
            (STATEMENTS[size], [symbol, timeframe, *values])
            for symbol, low, high in zip(symbols, starts, ends, strict=False)
            for size, values in _pieces(flat, WIDTH, low, high)
        ]
    named: list[object] = [None] * ((1 + WIDTH) * len(rows))
    counts = map(sub, ends, chain((0,), ends))
    named[:: 1 + WIDTH] = chain.from_iterable(map(repeat, symbols, counts))
    for place, column in enumerate(rows.iter_columns(), 1):
        named[place :: 1 + WIDTH] = column.to_list()
    return [(OF_SEVERAL[size], [timeframe, *values]) for size, values in _pieces(named, 1 + WIDTH)]


def upsert_rows(con: apsw.Connection, key: Key, rows: Iterable[Sequence[object]]) -> None:
    """Write rows of a series that are tuples: time, open, high, low, close, volume."""
    _upsert(con, key, list(chain.from_iterable(rows)))


def upsert_values(con: apsw.Connection, key: Key, rows: pl.DataFrame, extras: tuple[str, ...]) -> None:
    """Write the declared columns of rows alone."""
    bound: list[object] = list(key)
    for size, values in _pieces(_flat(rows[["timestamp", *extras]]), 1 + len(extras)):
        con.execute(declared_columns.upsert(extras, size), bound + values)


def _upsert(con: apsw.Connection, key: Key, candles: list[object]) -> None:
    bound: list[object] = list(key)
    for size, values in _pieces(candles, WIDTH):
        con.execute(STATEMENTS[size], bound + values)


def _flat(rows: pl.DataFrame) -> list[object]:
    """Return all values of a frame, row by row."""
    if len(rows) == 1:  # a feed's next bar: 6 us less
        return list(rows.row(0))
    flat: list[object] = [None] * (rows.width * len(rows))
    for place, column in enumerate(rows.iter_columns()):
        flat[place :: rows.width] = column.to_list()
    return flat


def _pieces(
    flat: list[object], columns: int, low: int = 0, high: int | None = None
) -> Iterator[tuple[int, list[object]]]:
    """Yield how many of the rows `[low, high)` are written together, and their values, the largest first."""
    done, end = low * columns, len(flat) if high is None else high * columns
    for size in ROWS_PER_STATEMENT:
        width = size * columns
        while end - done >= width:
            yield size, flat[done : done + width]
            done += width


def _statement(size: int) -> str:
    """Write the UPSERT of `size` rows; ?1 and ?2 are the series, bound once for all rows."""
    return UPSERT.format(
        rows=",".join(
            "(?1,?2," + ",".join(f"?{3 + row * WIDTH + place}" for place in range(WIDTH)) + ")"
            for row in range(size)
        )
    )


def _statement_of_several(size: int) -> str:
    """Write the UPSERT of `size` rows of as many series; ?1 is their timeframe."""
    return UPSERT.format(
        rows=",".join(
            f"(?{2 + row * (1 + WIDTH)},?1,"
            + ",".join(f"?{3 + row * (1 + WIDTH) + place}" for place in range(WIDTH))
            + ")"
            for row in range(size)
        )
    )


STATEMENTS = {size: _statement(size) for size in ROWS_PER_STATEMENT}
OF_SEVERAL = {size: _statement_of_several(size) for size in ROWS_PER_STATEMENT}
