"""Frozen pieces go back into `candles`, in the transaction of whoever writes or deletes in their stretch."""

from __future__ import annotations

from contextlib import suppress
from typing import cast

import polars as pl
import pyarrow as pa

from mdstore.candles.file import frozen
from mdstore.candles.file.carried import Writer
from mdstore.candles.file.declared_columns import names_of
from mdstore.candles.file.digests import Key
from mdstore.candles.file.frozen import FrozenPiece
from mdstore.candles.file.table_reads import read_table
from mdstore.candles.file.table_writes import upsert, upsert_values
from mdstore.core.schema import CANDLE_COLUMNS
from mdstore.errors import DamagedDataError

__all__ = ["drop", "frame_of", "settle_strays", "thaw"]

STRAYS = """
SELECT symbol, timeframe, start, "end", rows FROM frozen AS piece WHERE EXISTS (
  SELECT 1 FROM candles WHERE symbol = piece.symbol AND timeframe = piece.timeframe
    AND timestamp >= piece.start AND timestamp < piece."end")
"""


def thaw(con: Writer, key: Key, start: int, end: int) -> int:
    """Put the pieces of a series that reach into `[start, end)` back into `candles`; return their rows.

    No digest changes, since no candle does. Raises `DamagedDataError`.
    """
    found = frozen.pieces(con, key, start, end)
    for piece in found:
        _put_back(con, key, piece)
    return sum(piece.rows for piece in found)


def drop(con: Writer, key: Key, start: int, end: int) -> int:
    """Delete the pieces of a series that lie in `[start, end)`; return how many rows went with them.

    Those that reach out of it are thawed: their rows are then in `candles`, and the caller's.
    """
    rows = 0
    for piece in frozen.pieces(con, key, start, end):
        if start <= piece.start and piece.end <= end:
            with con.telling(None):
                frozen.forget(con, key, piece.start, piece.end)
            rows += piece.rows
        else:
            _put_back(con, key, piece)
    return rows


def settle_strays(con: Writer) -> None:
    """Thaw the pieces in whose stretch another program has put candles; what it has put there counts.

    A piece that cannot be unpacked stays, and so does what is beside it.
    """
    strayed = cast("list[tuple[str, str, int, int, int]]", con.execute(STRAYS).fetchall())
    for symbol, timeframe, start, end, rows in strayed:
        key, piece = (symbol, timeframe), FrozenPiece(start, end, rows)
        strays = read_table(con, *key, piece.start, piece.end)
        with suppress(DamagedDataError):
            _put_back(con, key, piece)
            upsert(con, key, _frame(strays, ()))


def frame_of(con: Writer, key: Key, piece: FrozenPiece, names: tuple[str, ...]) -> pl.DataFrame:
    """Return the rows of a piece as rows that are written: times in ms, and nulls for what bars lack."""
    return _frame(frozen.rows_of(con, key, piece, names), names)


def _put_back(con: Writer, key: Key, piece: FrozenPiece) -> None:
    names = names_of(con, key)
    rows = frame_of(con, key, piece, names)
    with con.telling(None):
        frozen.forget(con, key, piece.start, piece.end)
        upsert(con, key, rows[list(CANDLE_COLUMNS)])
        if names:  # a row only for bars that have a value
            upsert_values(con, key, rows.filter(~pl.all_horizontal(pl.col(names).is_null())), names)


def _frame(rows: pa.RecordBatch, names: tuple[str, ...]) -> pl.DataFrame:
    values = zip((*CANDLE_COLUMNS, *names), (rows.column(0).cast(pa.int64()), *rows.columns[1:]), strict=True)
    frame = pl.DataFrame([pl.Series(name, column) for name, column in values])
    return frame.with_columns(pl.col(names).fill_nan(None)) if names else frame
