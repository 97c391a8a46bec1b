"""Candles as Arrow columns: of a frame that is about to be written, and of rows as SQLite gives them."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import islice
from math import nan
from typing import Any, Final

import polars as pl
import pyarrow as pa

from mdstore.candles.file.table_reads import PIECE
from mdstore.candles.file.wide_rows import WIDTH
from mdstore.core.schema import CANDLE, TIMESTAMP, VALUES, wide_candle

__all__ = ["ZERO", "batch_of", "batch_of_bars", "columns_of_bars", "columns_of_frame", "of_columns"]

KINDS: Final = CANDLE.types  # to ask a schema for each takes 1 us
ZERO: Final = pl.Series([0.0])
"""What is added to it is no negative zero, which SQLite does not keep."""


def columns_of_frame(rows: pl.DataFrame) -> list[pa.Array]:
    """Return the columns of candles that are about to be written, as SQLite will give them."""
    zeros = ZERO.new_from_index(0, len(rows))  # of one zero Polars knows that it changes nothing
    values = [rows["timestamp"], *(rows[name] + zeros for name in VALUES)]
    values += [rows[name].fill_null(nan) + zeros for name in rows.columns[WIDTH:]]
    return [one.to_arrow() if one.n_chunks() == 1 else one.rechunk().to_arrow() for one in values]


def batch_of(rows: pl.DataFrame) -> pa.RecordBatch:
    """Return the same as a batch of the schema."""
    return of_columns(columns_of_frame(rows))


def of_columns(columns: Sequence[pa.Array]) -> pa.RecordBatch:
    """Return columns that `columns_of_frame` has made as a batch of the schema."""
    schema = wide_candle(len(columns) - WIDTH)
    return pa.RecordBatch.from_arrays([columns[0].view(TIMESTAMP), *columns[1:]], schema=schema)


def columns_of_bars(bars: Iterable[Sequence[float]]) -> list[pa.Array]:
    """Return candles that are given as rows as columns, of the types that `CANDLE` has."""
    columns: list[array[Any]] = [array("q"), *(array("d") for _ in VALUES)]
    rows = iter(bars)
    while piece := list(islice(rows, PIECE)):
        for column, values in zip(columns, zip(*piece, strict=True), strict=True):
            column.extend(array(column.typecode, values))  # from values one by one it takes twice as long
    return [
        pa.Array.from_buffers(kind, len(column), [None, pa.py_buffer(column)])
        for kind, column in zip(KINDS, columns, strict=True)
    ]


def batch_of_bars(bars: Iterable[Sequence[float]]) -> pa.RecordBatch:
    """Return the same as a batch."""
    return pa.RecordBatch.from_arrays(columns_of_bars(bars), schema=CANDLE)
