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

__all__ = ["ROWS_PER_STATEMENT", "STATEMENTS", "upsert", "upsert_rows", "upsert_stack", "upsert_values"]

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


def upsert(con: apsw.Connection, key: Key, rows: pl.DataFrame, extras: tuple[str, ...] = ()) -> None:
    """Write rows of a series, with these declared columns that they have besides; what is as given stays."""
    _upsert(con, key, _flat(rows[list(CANDLE_COLUMNS)] if extras else rows))
    if extras:
        upsert_values(con, key, rows, extras)


def upsert_stack(
    con: apsw.Connection, timeframe: str, symbols: Sequence[str], ends: Sequence[int], rows: pl.DataFrame
) -> None:
    """Write rows of several series of a timeframe under each other; those of the i-th end at `ends[i]`.

    Where each has many its key is bound once for a statement, else once for each row.
    """
    counts = list(map(sub, ends, chain((0,), ends)))
    if len(rows) >= len(symbols) * LEAST_ALONE:
        values, at = _flat(rows), 0
        for symbol, end in zip(symbols, ends, strict=True):
            _upsert(con, (symbol, timeframe), values[at * WIDTH : end * WIDTH])
            at = end
        return
    flat: list[object] = [None] * ((1 + WIDTH) * len(rows))
    flat[:: 1 + WIDTH] = chain.from_iterable(map(repeat, symbols, counts))
    for place, column in enumerate(rows.iter_columns(), 1):
        flat[place :: 1 + WIDTH] = column.to_list()
    for size, some in _pieces(flat, 1 + WIDTH):
        con.execute(OF_SEVERAL[size], [timeframe, *some])


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


def _pieces(flat: list[object], columns: int) -> Iterator[tuple[int, list[object]]]:
    """Yield how many rows are written together, and their values, the largest first."""
    done = 0
    for size in ROWS_PER_STATEMENT:
        width = size * columns
        while len(flat) - done >= width:
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
