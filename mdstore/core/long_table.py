"""Rows of several symbols under each other, as Arrow tables and Polars frames."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Sequence
from itertools import accumulate
from operator import eq

import polars as pl
import pyarrow as pa

from mdstore.core.once import once
from mdstore.core.schema import SYMBOL

__all__ = ["SYMBOL_FIELD", "Long", "as_frame", "latest_of_each", "repeated"]

SYMBOL_FIELD = pa.field("symbol", SYMBOL)
MANY_ROWS = 200_000
"""The codes of more rows are written by Arrow: 2.5M of 10,000 symbols in 1 to 2 ms, by a loop in 12."""


class Long:
    """Rows of several symbols under each other, sorted by symbol.

    `values` are the columns besides the symbol; the rows of the i-th symbol end at `ends[i]`.
    """

    def __init__(self, values: pa.Table, symbols: Sequence[str], ends: Sequence[int]) -> None:
        self._values = values
        self.symbols = symbols
        self.ends = ends

    @property
    def values(self) -> pa.Table:
        """The columns besides the symbol."""
        return self._values

    @once
    def table(self) -> pa.Table:
        """All columns as an Arrow table, the symbol first."""
        return self.values.add_column(0, SYMBOL_FIELD, self.symbol_column)

    @once
    def symbol_column(self) -> pa.ChunkedArray:
        """The symbol of each row as an Arrow column, in one piece."""
        return _symbol_array(_codes(self.ends), self.symbols)

    @property
    def at_hand(self) -> Collection[str]:
        """The columns besides the symbol that cost nothing to ask for."""
        return list(self.values.column_names)

    def table_of(self, columns: Collection[str]) -> pa.Table:
        """Return an Arrow table that has some columns; others may be in it, too."""
        return self.table if "symbol" in columns else self.values

    def frame_of(self, columns: Collection[str]) -> pl.DataFrame:
        """Return a Polars frame that has some columns; others may be in it, too."""
        return self.frame if "symbol" in columns else self.value_frame

    def bare(self) -> Long:
        """Return the same with nothing made of it."""
        return Long(self.values, self.symbols, self.ends)

    @once
    def frame(self) -> pl.DataFrame:
        """All columns as a Polars frame, the symbol first."""
        return self.value_frame.clone().insert_column(0, self.names)

    @once
    def names(self) -> pl.Series:
        """The symbol of each row."""
        # Chunked as the values are: where chunks differ, Polars copies.
        sizes = [chunk.num_rows for chunk in self.values.to_batches()]
        return repeated(pl.Series("symbol", self.symbols, pl.Categorical), self.ends, sizes)

    @once
    def value_frame(self) -> pl.DataFrame:
        """The columns besides the symbol as a Polars frame."""
        return as_frame(self.values)

    def share_names(self, other: Long) -> None:
        """Take over the symbols of rows, if they were made: two million take 10 ms. They must be the same."""
        names = vars(other).get("names")
        if names is not None and names.n_chunks() == 1:
            vars(self)["names"] = names


def as_frame(table: pa.Table) -> pl.DataFrame:
    """Return an Arrow table as a Polars frame, sharing its memory."""
    batches = table.to_batches()
    if len(batches) == 1:
        return pl.DataFrame(batches[0])  # half the time that the same takes as a table
    frame = pl.from_arrow(table, rechunk=False)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table never becomes a series; for mypy
    return frame


def latest_of_each(bars: pl.DataFrame, limit: int | None) -> pl.DataFrame:
    """Return the last `limit` rows, of each symbol where there is a column of them; None is all."""
    if limit is None:
        return bars
    if "symbol" not in bars.columns:
        return bars.tail(limit)
    most = min(limit, max(len(bars), 1))  # Polars counts a group's rows in 32 bits
    return bars.group_by("symbol", maintain_order=True).tail(most)


def _codes(ends: Sequence[int]) -> pa.Array:
    """Return 0 up to the first end, 1 up to the second, and so on."""
    starts = (0, *ends)
    if starts[-1] > MANY_ROWS:
        return _decoded([(code, end) for code, end in enumerate(ends) if starts[code] < end])
    numbers = array("i")
    for code, (low, high) in enumerate(zip(starts, ends, strict=False)):
        numbers.extend(array("i", (code,)) * (high - low))
    return pa.Array.from_buffers(pa.int32(), len(numbers), [None, pa.py_buffer(numbers)])


def _decoded(runs: Sequence[tuple[int, int]]) -> pa.Array:
    """Return each code up to its end, which lies behind the one before."""
    import pyarrow.compute as pc  # noqa: PLC0415 - 20 ms that few rows are spared

    codes, ends = array("i", [code for code, _ in runs]), array("q", [end for _, end in runs])
    values = pa.Array.from_buffers(pa.int32(), len(runs), [None, pa.py_buffer(codes)])
    stops = pa.Array.from_buffers(pa.int64(), len(runs), [None, pa.py_buffer(ends)])
    return pc.run_end_decode(pa.RunEndEncodedArray.from_arrays(stops, values))


def _symbol_array(numbers: pa.Array, symbols: Sequence[str]) -> pa.ChunkedArray:
    """Turn places in `symbols` into the symbols, dictionary-encoded."""
    # Made of buffers: pa.array would import pandas where it is installed (0.2 s).
    ends = list(accumulate(len(symbol.encode()) for symbol in symbols))
    texts = [None, pa.py_buffer(array("i", (0, *ends))), pa.py_buffer("".join(symbols).encode())]
    names = pa.Array.from_buffers(pa.string(), len(ends), texts)
    return pa.chunked_array([pa.DictionaryArray.from_arrays(numbers, names)], SYMBOL)


def repeated(names: pl.Series, ends: Sequence[int], sizes: Sequence[int]) -> pl.Series:
    """Repeat each name up to its end, in chunks of the given sizes."""
    if len(sizes) == 1 and len(names) == sizes[0] and all(map(eq, ends, range(1, sizes[0] + 1))):
        return names  # one row each: saves 5 us a symbol
    if len(sizes) == 1:
        return names.gather(pl.Series(_codes(ends)))
    chunks: list[pl.Series] = []
    at, start = 0, 0
    for size in sizes:
        stop, parts = start + size, []
        while start < stop:
            high = min(ends[at], stop)
            if high > start:
                parts.append(names.slice(at, 1).new_from_index(0, high - start))
                start = high
            at += ends[at] <= start
        if parts:  # a batch may be empty, as where all rows of a piece are of another time
            chunks.append(parts[0] if len(parts) == 1 else pl.concat(parts, rechunk=True))
    return pl.concat(chunks, rechunk=False) if chunks else names.clear()
