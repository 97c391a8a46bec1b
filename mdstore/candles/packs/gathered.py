"""Candles of many series that lie in runs of batches: put together column by column, when one is asked for.

To put 10,000 series of 250 bars together takes 5 ms a column, and SQL that counts them wants none.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from operator import lt, sub

import polars as pl
import pyarrow as pa

from mdstore.core.long_table import SYMBOL_FIELD, Long, repeated
from mdstore.core.once import once
from mdstore.core.polars_forks import polars_is_broken
from mdstore.core.schema import CANDLE, CANDLE_COLUMNS, LONG_CANDLE

__all__ = ["Gathered", "Runs", "runs_of"]

NUMBER = pl.UInt32
VALUE_BYTES, CODE_BYTES = 8, 4
CODED = ("symbol_column", "names")
"""What is kept of the symbols of rows, for Arrow and for Polars."""
# Up to so many rows in so few runs are copied run by run: 200 runs of a row in 0.1 ms, where Polars takes 0.2
# and four times that after a rest, when its threads have gone to sleep; 1,000 of 200 rows in 0.9, where it
# takes 1.8. Of more runs or rows it is twice as quick.
FEW_RUNS, FEW_ROWS = 1_000, 200_000
_Span = tuple[int, int, int]
"""The number of a batch, and which bytes of its columns, `[low, high)`."""


@dataclass(frozen=True)
class Runs:
    """Candles as runs of rows, `[low, high)`, of batches under each other; there is one at least.

    A run may be empty. With `first`, rows are counted by place among those runs, and behind them those of the
    last batch.
    """

    batches: Sequence[pa.RecordBatch]
    lows: Sequence[int]
    highs: Sequence[int]
    first: Runs | None = None

    @property
    def held(self) -> int:
        """The rows of the batches, of runs or not."""
        return sum(batch.num_rows for batch in self.batches)

    def then(self, batch: pa.RecordBatch, lows: Sequence[int], highs: Sequence[int]) -> Runs:
        """Return runs of these rows, and of those of one more batch behind them."""
        is_all = self.first is None and list(self.lows) == [0] and self.highs[0] == self.held
        return Runs([*self.batches, batch], lows, highs, None if is_all else self)

    def rows(self) -> pa.RecordBatch:
        """Return the rows as one batch."""
        where = self.where()
        return pa.RecordBatch.from_arrays(
            [self.column(name, where) for name in CANDLE_COLUMNS], schema=CANDLE
        )

    def where(self) -> list[_Span] | pa.Array:
        """Return where the rows lie, as `column` takes it."""
        lows, highs = self.placed()
        runs, rows = sum(map(lt, lows, highs)), sum(highs) - sum(lows)
        is_few = runs <= FEW_RUNS and rows <= FEW_ROWS
        return list(self._spans(lows, highs)) if is_few else _numbers(lows, highs)

    def placed(self) -> tuple[Sequence[int], Sequence[int]]:
        """Return the runs as such of rows of the batches, whatever they are counted among."""
        return (self.lows, self.highs) if self.first is None else self.first.moved(self.lows, self.highs)

    def moved(self, lows: Iterable[int], highs: Iterable[int]) -> tuple[list[int], list[int]]:
        """Return runs among the rows of these, and behind them of one more batch, as runs of all batches."""
        starts, moves = self._moves
        run, last, behind = 0, len(moves) - 1, moves[-1]
        moved_lows, moved_highs = list[int](), list[int]()
        for low, high in zip(lows, highs, strict=True):
            if low >= starts[last]:
                moved_lows.append(low + behind)
                moved_highs.append(high + behind)
                continue
            at, run = low, run + (low >= starts[run + 1])  # most begin in this run or in the next
            if not starts[run] <= low < starts[run + 1]:
                run = bisect_right(starts, low) - 1
            while at < high:
                end = min(high, starts[run + 1])
                moved_lows.append(at + moves[run])
                moved_highs.append(end + moves[run])
                at, run = end, run + (end < high)
        return moved_lows, moved_highs

    @once
    def _moves(self) -> tuple[Sequence[int], Sequence[int]]:
        """Where each run begins by place, and what is behind all; and how far from there its rows lie."""
        lows, highs = self.placed()
        starts = list(accumulate(map(sub, highs, lows), initial=0))
        return [*starts, sys.maxsize], list(map(sub, (*lows, self.held), starts))

    def _spans(self, lows: Iterable[int], highs: Iterable[int]) -> Iterator[_Span]:
        """Yield runs, each batch's part of one by itself."""
        starts = list(accumulate((batch.num_rows for batch in self.batches), initial=0))
        for low, high in zip(lows, highs, strict=True):
            at, batch = low, bisect_right(starts, low) - 1
            while at < high:
                first, end = starts[batch], min(high, starts[batch + 1])
                yield batch, VALUE_BYTES * (at - first), VALUE_BYTES * (end - first)
                at, batch = end, batch + 1

    def column(self, name: str, where: list[_Span] | pa.Array) -> pa.Array:
        """Return the values of a column, in one piece whose memory cannot be written."""
        parts = [batch.column(name) for batch in self.batches]
        if isinstance(where, list):
            views = list(map(_bytes_of, parts))
            values = b"".join([views[batch][low:high] for batch, low, high in where])
            buffers = [None, pa.py_buffer(values)]
            return pa.Array.from_buffers(CANDLE.field(name).type, len(values) // VALUE_BYTES, buffers)
        return self._taken(name, parts, where)

    def _taken(self, name: str, parts: Sequence[pa.Array], numbers: pa.Array) -> pa.Array:
        """Return those at row numbers."""
        if polars_is_broken():
            return _read_only(pa.concat_arrays(parts).take(numbers))
        # Out of one piece they are taken three times as quickly as out of forty, which its copy is less than
        # where most of it is wanted.
        is_most = len(numbers) * 2 > self.held
        values = pl.concat([pl.Series(part) for part in parts], rechunk=is_most)
        # By an index: `gather` of a Series takes 20 us more.
        return _read_only(_one(values[pl.Series(numbers)]).cast(CANDLE.field(name).type))


class Gathered(Long):
    """Candles of several symbols under each other whose columns are put together when one asks for them.

    Threads may share it: a column is there whole, or not yet. Two that ask at once may both make it.
    """

    def __init__(self, symbols: Sequence[str], ends: Sequence[int], runs: Runs) -> None:
        self.symbols = symbols
        self.ends = ends
        self.runs = runs
        self._made: dict[str, pa.Array] = {}
        self._expected: frozenset[str] = frozenset()

    @property
    def values(self) -> pa.Table:
        """The columns besides the symbol."""
        return pa.Table.from_arrays(self._columns(CANDLE_COLUMNS), schema=CANDLE)

    @property
    def at_hand(self) -> Collection[str]:
        """The columns besides the symbol that need not be made."""
        return tuple(self._made)

    @property
    def held(self) -> int:
        """The bytes of what is put together so far, and of what is expected to be."""
        columns = self._expected.union(self._made)
        coded = "symbol" in columns or not vars(self).keys().isdisjoint(CODED)
        rows = self.ends[-1] if self.ends else 0
        return rows * (VALUE_BYTES * len(columns - {"symbol"}) + 2 * CODE_BYTES * coded)

    def expect(self, columns: Collection[str]) -> bool:
        """Take note that columns will be asked for; tell whether any of them is new."""
        known = len(self._expected)
        self._expected = self._expected.union(columns).intersection(LONG_CANDLE.names)
        return len(self._expected) > known

    @once
    def names(self) -> pl.Series:
        """The symbol of each row."""
        rows = [self.ends[-1] if self.ends else 0]
        return repeated(pl.Series("symbol", self.symbols, pl.Categorical), self.ends, rows)

    def table_of(self, columns: Collection[str]) -> pa.Table:
        """Return an Arrow table of some columns."""
        names = _stored(columns)
        fields, arrays = [CANDLE.field(name) for name in names], self._columns(names)
        if "symbol" in columns:
            fields, arrays = [SYMBOL_FIELD, *fields], [self.symbol_column, *arrays]
        return pa.Table.from_arrays(arrays, schema=pa.schema(fields))

    def frame_of(self, columns: Collection[str]) -> pl.DataFrame:
        """Return a Polars frame of some columns."""
        names = _stored(columns)
        if len(names) == len(CANDLE_COLUMNS):
            return super().frame_of(columns)
        values = [pl.Series(name, array) for name, array in zip(names, self._columns(names), strict=True)]
        return pl.DataFrame([self.names, *values] if "symbol" in columns else values)

    def bare(self) -> Gathered:
        """Return the same with nothing put together."""
        return Gathered(self.symbols, self.ends, self.runs)

    def _columns(self, names: Sequence[str]) -> list[pa.Array]:
        missing = [name for name in names if name not in self._made]
        if missing:
            where = self.runs.where()
            for name in missing:
                self._made[name] = self.runs.column(name, where)
        return [self._made[name] for name in names]


def _stored(columns: Collection[str]) -> Sequence[str]:
    """Return those that lie in batches; times where there is no other, to say how many rows there are."""
    names = [name for name in CANDLE_COLUMNS if name in columns]
    return names if names or "symbol" in columns else CANDLE_COLUMNS[:1]


def runs_of(long: Long) -> Runs:
    """Return candles as runs of the batches they lie in."""
    if isinstance(long, Gathered):
        return long.runs
    nothing = pa.RecordBatch.from_arrays([pa.nulls(0, kind) for kind in CANDLE.types], schema=CANDLE)
    return Runs(long.values.to_batches() or [nothing], [0], [long.values.num_rows])


def _numbers(lows: Sequence[int], highs: Sequence[int]) -> pa.Array:
    """Return the number of each row of runs."""
    if polars_is_broken():
        found = array("I", chain.from_iterable(map(range, lows, highs)))
        return pa.Array.from_buffers(pa.uint32(), len(found), [None, pa.py_buffer(found)])
    # By row numbers: to cut each run out of each column makes 120,000 objects.
    spans = pl.DataFrame([pl.Series("low", lows, pl.Int64), pl.Series("high", highs, pl.Int64)])
    return _one(
        spans.select(pl.int_ranges("low", "high", dtype=NUMBER).explode(empty_as_null=False)).to_series()
    )


def _bytes_of(column: pa.Array) -> memoryview:
    start, end = VALUE_BYTES * column.offset, VALUE_BYTES * (column.offset + len(column))
    return memoryview(column.buffers()[1])[start:end]


def _one(values: pl.Series) -> pa.Array:
    return (values if values.n_chunks() == 1 else values.rechunk()).to_arrow()


def _read_only(column: pa.Array) -> pa.Array:
    """Return a column whose memory cannot be written: it is kept, and others are given it."""
    if not len(column):
        return column
    values = pa.py_buffer(memoryview(column.buffers()[1]).toreadonly())
    return pa.Array.from_buffers(column.type, len(column), [None, values], 0, column.offset)
