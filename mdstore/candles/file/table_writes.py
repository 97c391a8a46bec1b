"""Rows into the table: upserts, as many rows in a statement as SQLite is quickest with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import apsw
import polars as pl

from mdstore.candles.file import declared_columns
from mdstore.candles.file.digests import Key
from mdstore.core.schema import CANDLE_COLUMNS

__all__ = ["ROWS_PER_STATEMENT", "STATEMENTS", "upsert", "upsert_values"]

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


def upsert(con: apsw.Connection, key: Key, rows: pl.DataFrame, extras: tuple[str, ...] = ()) -> None:
    """Write rows of a series, with these declared columns that they have besides; what is as given stays."""
    bound: list[object] = list(key)
    candles = rows[list(CANDLE_COLUMNS)] if extras else rows
    for size, values in _pieces(candles):
        con.execute(STATEMENTS[size], bound + values)
    if extras:
        upsert_values(con, key, rows, extras)


def upsert_values(con: apsw.Connection, key: Key, rows: pl.DataFrame, extras: tuple[str, ...]) -> None:
    """Write the declared columns of rows alone."""
    bound: list[object] = list(key)
    for size, values in _pieces(rows[["timestamp", *extras]]):
        con.execute(declared_columns.upsert(extras, size), bound + values)


def _pieces(rows: pl.DataFrame) -> Iterator[tuple[int, list[object]]]:
    """Yield how many rows are written together, and their values, the largest first."""
    if len(rows) == 1:  # a feed's next bar: 6 us less
        yield 1, list(rows.row(0))
        return
    columns = rows.width
    flat: list[object] = [None] * (columns * len(rows))
    for place, column in enumerate(rows.iter_columns()):
        flat[place::columns] = column.to_list()
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


STATEMENTS = {size: _statement(size) for size in ROWS_PER_STATEMENT}
