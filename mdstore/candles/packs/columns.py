"""Candles as they lie in memory: a series of mapped and loose pieces, and many series under each other."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain

import polars as pl
import pyarrow as pa

from mdstore.candles.file.bar_digests import sum_of_bars, sums_of_batches
from mdstore.candles.file.wide_rows import WIDTH, named, table_of, union, wide, with_nulls
from mdstore.candles.packs.cells import Cell
from mdstore.candles.packs.gathered import Gathered, Runs
from mdstore.candles.packs.pack_files import Pack
from mdstore.core.long_table import Long, as_frame
from mdstore.core.once import once
from mdstore.core.schema import CANDLE, wide_candle
from mdstore.core.time_bounds import FOREVER

__all__ = ["Panel", "Piece", "SeriesView", "Stretch", "is_few", "is_short", "know_sums", "one_piece"]

# What the objects around the columns take, rather too much: 2.1 KB a view of one piece, by tracemalloc over
# 2,000 of them, to which its frame comes.
VIEW_BYTES = 3_000
PIECE_BYTES = 1_500
VALUE_BYTES = 8
ROW_BYTES = VALUE_BYTES * len(CANDLE)
# Up to so many rows of many pieces are put together (3 ms), which everything after it is quicker for; more
# are left where they are.
GATHER_ROWS = 1_000_000
# More of them are, too, where they come in pieces of so few: the end of each series, a bar behind it. A frame
# of 20,000 pieces takes half a second to make, and every query over it its time again. Up to so many bytes,
# 90,000 series of 250 bars: what is mapped the system can take back, and this it cannot.
SHORT_ROWS, MOST_BYTES = 1_000, 1 << 30
Source = tuple[pa.RecordBatch, int]
_Run = tuple[pa.RecordBatch, int, int]
"""Rows of a batch, `[first, end)` by number."""
SUMMED = 1_000  # cells of which the last bars are hashed together, 128 of each at most: 6 MB


@dataclass(slots=True)
class Piece:
    """Adjacent rows of a series: those of a cell in a mapped pack, or loose ones read from the table."""

    rows: pa.RecordBatch
    times: memoryview
    cell: Cell | None = None
    pack: Pack | None = None
    shared: Source | None = None

    @classmethod
    def of(
        cls,
        rows: pa.RecordBatch,
        cell: Cell | None = None,
        pack: Pack | None = None,
        shared: Source | None = None,
    ) -> Piece:
        """Make a piece of at least one row; `shared` is where loose rows lie beside those of other series."""
        column = rows.column(0)
        values = memoryview(column.buffers()[1]).cast("q")
        return cls(rows, values[column.offset : column.offset + rows.num_rows], cell, pack, shared)

    @property
    def source(self) -> Source:
        """The batch that its rows are a part of, and the number of the first."""
        if self.cell is not None and self.pack is not None:
            return self.pack.batch(self.cell.batch), self.cell.offset
        return self.shared or (self.rows, 0)

    def verify(self, start: int, end: int) -> None:
        """Compare rows with the digests of their cell. Raises `PackLostError`."""
        if self.cell is not None and self.pack is not None:
            self.pack.verify(self.cell.place, self.cell.digests, self.cell.rows, start, end)

    def place_of(self, time: int) -> int:
        """Return how many of its rows start before `time`. Raises `PackLostError`.

        The rows beside that place are verified: times that are damaged told of other places, and bars were
        missing of which every one that was served was sound.
        """
        place = bisect_left(self.times, time)
        self.verify(max(place - 1, 0), min(place + 1, self.rows.num_rows))
        return place

    def lacks_sum(self, time: int) -> bool:
        """Tell whether `sum_from` can tell, and would have to compute it; not of declared columns."""
        if self.cell is None or self.pack is None or self.cell.start > time or self.rows.num_columns > WIDTH:
            return False
        return (self.cell.place, time) not in self.pack.sums

    def know_sum(self, time: int, found: int) -> None:
        """Take note of the sum over the bars of a cell from a time on."""
        assert self.cell is not None  # noqa: S101 - it lacks a sum; for mypy
        assert self.pack is not None  # noqa: S101
        self.pack.sums[self.cell.place, time] = found

    def sum_from(self, time: int) -> int | None:
        """Return the sum over the bars of a cell from a time on; None where it begins later.

        It is computed once for the pack: each bar of a feed asks for it. Raises `PackLostError`.
        """
        if self.cell is None or self.pack is None or self.cell.start > time:
            return None
        key = (self.cell.place, time)
        known = self.pack.sums.get(key)
        if known is None:
            low, high = self.place_of(time), self.rows.num_rows
            self.verify(low, high)
            known = self.pack.sums[key] = sum_of_bars(self.rows.slice(low)) if low < high else 0
        return known


def know_sums(wanted: Sequence[tuple[Piece, int]]) -> None:
    """Compute together what `Piece.sum_from` is to be asked of many pieces. Raises `PackLostError`.

    One by one 10,000 take 700 ms.
    """
    unknown = [(piece, time) for piece, time in wanted if piece.lacks_sum(time)]
    for at in range(0, len(unknown), SUMMED):
        group, batches = unknown[at : at + SUMMED], []
        for piece, time in group:
            low, high = piece.place_of(time), piece.rows.num_rows
            piece.verify(low, high)
            batches.append(piece.rows.slice(low))
        for (piece, time), found in zip(group, sums_of_batches(batches), strict=True):
            piece.know_sum(time, found)


class SeriesView:
    """One whole series at one revision. Its rows are verified when they are asked for, and never changed.

    `extras` are the declared columns that it has values of. A piece may lack the last of them.
    """

    def __init__(  # noqa: PLR0917 - what a series is
        self,
        symbol: str,
        timeframe: str,
        revision: int,
        last: int,
        pieces: Sequence[Piece],
        extras: tuple[str, ...] = (),
    ) -> None:
        self.symbol = symbol
        self.extras = extras
        self.timeframe = timeframe
        self.revision = revision
        self.last = last
        """The time of the last candle that there is, in the range or behind it."""
        self.pieces = tuple(pieces)
        self.offsets = (0, *accumulate(piece.rows.num_rows for piece in pieces))
        self.packs = tuple({piece.pack.name: piece.pack for piece in pieces if piece.pack}.values())
        # Of a cell from the file: no time in a pack is believed before it is verified.
        self._starts = [piece.cell.start if piece.cell else piece.times[0] for piece in pieces]
        self._sound = 0, 0
        self.noted_until = 0.0
        """Until when its cells need not be noted as read again."""

    @property
    def rows(self) -> int:
        """The number of candles."""
        return int(self.offsets[-1])

    @once
    def bytes(self) -> int:
        """The bytes of memory it holds besides the map."""
        loose = sum(piece.rows.num_rows for piece in self.pieces if piece.cell is None)
        row = ROW_BYTES + VALUE_BYTES * len(self.extras)
        return int(VIEW_BYTES + PIECE_BYTES * len(self.pieces) + row * loose + self._lacking)

    @property
    def _lacking(self) -> int:
        """The bytes of the columns that are made for pieces which lack them, and of marks of nulls."""
        width = len(CANDLE) + len(self.extras)
        made = sum((width - piece.rows.num_columns) * piece.rows.num_rows for piece in self.pieces)
        return int(VALUE_BYTES * made + len(self.extras) * self.rows // 8)

    def intact(self) -> bool:
        """Tell whether every pack it lies in is still the file that was mapped."""
        for pack in self.packs:  # noqa: SIM110 - a hot read asks; `all` of a generator takes twice as long
            if not pack.intact():
                return False
        return True

    def within(self, start: int, end: int, limit: int | None) -> tuple[int, int]:
        """Return the row numbers `[low, high)` of the latest `limit` bars that start in `[start, end)`.

        Raises `PackLostError`.
        """
        low = 0 if start <= -FOREVER else self._place(start)
        high = self.offsets[-1] if end >= FOREVER else max(low, self._place(end))
        return (low if limit is None else max(low, high - limit)), high

    def verify(self, low: int, high: int) -> None:
        """Compare rows with their digests, those that were not yet. Raises `PackLostError`.

        Of rows among those of an earlier call nothing is asked: a pack that has changed since is not served.
        """
        first, end = self._sound
        if first <= low and high <= end:
            return
        for piece, offset in zip(self.pieces, self.offsets, strict=False):
            if low < high and offset < high and low < offset + piece.rows.num_rows:
                piece.verify(max(0, low - offset), min(piece.rows.num_rows, high - offset))
        self._sound = (min(first, low), max(end, high)) if low <= end and first <= high else (low, high)

    def parts(self, low: int, high: int) -> list[pa.RecordBatch]:
        """Return rows as batches that share memory with the pieces."""
        return [
            piece.rows.slice(
                max(0, low - offset), min(piece.rows.num_rows, high - offset) - max(0, low - offset)
            )
            for piece, offset in zip(self.pieces, self.offsets, strict=False)
            if offset < high and low < offset + piece.rows.num_rows
        ]

    @once
    def table(self) -> pa.Table:
        """The whole series as an Arrow table, sharing memory with the pieces."""
        if self.extras:
            rows = [piece.rows for piece in self.pieces]
            return table_of(rows, [self.extras] * len(rows), self.extras)
        return pa.Table.from_batches([piece.rows for piece in self.pieces], schema=CANDLE)

    @once
    def frame(self) -> pl.DataFrame:
        """The whole series as a Polars frame, sharing memory with the pieces."""
        return as_frame(self.table)

    def _place(self, time: int) -> int:
        """Return how many candles start before `time`."""
        at = bisect_right(self._starts, time) - 1
        if at < 0:
            return 0
        piece, first = self.pieces[at], self.offsets[at]
        place: int = first + bisect_left(piece.times, time)
        self.verify(max(place - 1, first), min(place + 1, self.offsets[at + 1]))  # see `Piece.place_of`
        return place


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows `[low, high)` of one series, as a part of an answer."""

    view: SeriesView
    low: int
    high: int

    def narrowed(self, start: int, end: int) -> Stretch:
        """Return the part of it that starts in `[start, end)`. Raises `PackLostError`."""
        low, high = self.view.within(start, end, None)
        low = max(low, self.low)
        return Stretch(self.view, low, max(low, min(high, self.high)))

    @property
    def rows(self) -> int:
        """The number of candles."""
        return self.high - self.low

    def parts(self) -> Iterator[tuple[Piece, int, int]]:
        """Yield each piece with the rows of it that are wanted."""
        view = self.view
        for piece, at in zip(view.pieces, view.offsets, strict=False):
            low, high = max(self.low - at, 0), min(self.high - at, piece.rows.num_rows)
            if low < high:
                yield piece, low, high


class Panel:
    """Stretches of many series of one timeframe under each other, sorted by symbol.

    `ends` are the row numbers at which each symbol's rows end.
    """

    def __init__(self, stretches: Sequence[Stretch], revision: int = -1) -> None:
        self.revision = revision
        self.stretches = tuple(stretches)
        self.symbols = [stretch.view.symbol for stretch in stretches]
        self.ends = list(accumulate(stretch.high - stretch.low for stretch in stretches))
        self.extras = union([stretch.view.extras for stretch in stretches])
        """The declared columns that any of the series has values of."""
        self._verified = False

    @property
    def rows(self) -> int:
        """The number of candles."""
        return self.ends[-1] if self.ends else 0

    @property
    def bytes(self) -> int:
        """The bytes of memory it can come to hold: symbols as codes, the values if they are put together.

        Of those that are put together by the column, what is so far, and what is expected to be.
        """
        gathered = self._gathered
        if gathered is not None:
            return self.light_bytes + gathered.held
        row = ROW_BYTES + VALUE_BYTES * len(self.extras)
        together = row * self.rows if self.is_gathered else 0
        return self.light_bytes + 8 * self.rows + together

    @property
    def light_bytes(self) -> int:
        """The bytes of what says where its rows lie."""
        return VIEW_BYTES + 200 * len(self.stretches)

    def expect(self, columns: Sequence[str]) -> bool:
        """Take note that columns will be asked for; tell whether it comes to hold more by that."""
        return self._gathered is not None and self._gathered.expect(columns)

    @once
    def packs(self) -> tuple[Pack, ...]:
        """The packs it lies in."""
        return tuple({p.name: p for stretch in self.stretches for p in stretch.view.packs}.values())

    def intact(self) -> bool:
        """Tell whether every pack it lies in is still the file that was mapped."""
        return all(pack.intact() for pack in self.packs)

    def verify(self) -> None:
        """Compare all rows with their digests, those that were not yet. Raises `PackLostError`."""
        if not self._verified:
            for stretch in self.stretches:
                stretch.view.verify(stretch.low, stretch.high)
            self._verified = True

    @once
    def values(self) -> pa.Table:
        """The columns besides the symbol, in as few pieces as they come."""
        if self._gathered is not None:
            return self._gathered.values
        table = pa.Table.from_batches(self._batches(), schema=wide_candle(len(self.extras)))
        return with_nulls(one_piece(table) if self.is_gathered else table, self.extras)

    @once
    def long(self) -> Long:
        """The same as it is handed out; what is put together, column by column as one is asked for."""
        return self._gathered or Long(self.values, self.symbols, self.ends)

    @once
    def _gathered(self) -> Gathered | None:
        """Its rows to be put together by the column; None where they are not, or not so."""
        if not self.is_gathered or self.extras or len(self._runs) == 1 or not self.rows:
            return None
        return Gathered(self.symbols, self.ends, _under_each_other(self._runs))

    def narrowed(self, symbols: Container[str] | None, start: int, end: int) -> Panel:
        """Return the part of some symbols, in a range of time. Raises `PackLostError`."""
        kept = [one for one in self.stretches if symbols is None or one.view.symbol in symbols]
        return Panel([one.narrowed(start, end) for one in kept], self.revision)

    def head(self, rows: int) -> Panel:
        """Return the first rows."""
        kept, left = [], rows
        for one in self.stretches:
            if left <= 0:
                break
            kept.append(Stretch(one.view, one.low, min(one.high, one.low + left)))
            left -= one.high - one.low
        return Panel(kept, self.revision)

    @once
    def is_gathered(self) -> bool:
        """Whether its rows are put together: not so many, or in so many pieces that all is slow with them."""
        return is_short(self.rows, len(self._runs))

    @once
    def _runs(self) -> list[_Run]:
        """The rows as stretches of batches; those that lie behind each other are one."""
        merged: list[_Run] = []
        batch, first, end = None, 0, 0
        for piece, low, high in chain.from_iterable(stretch.parts() for stretch in self.stretches):
            source, offset = piece.source
            if source is batch and offset + low == end:
                end = offset + high
                continue
            if batch is not None:
                merged.append((batch, first, end))
            batch, first, end = source, offset + low, offset + high
        return merged if batch is None else [*merged, (batch, first, end)]

    def _batches(self) -> list[pa.RecordBatch]:
        """Return the rows as batches; those that lie behind each other in a pack come as one."""
        if any(stretch.view.extras != self.extras for stretch in self.stretches):
            return [
                named(piece.rows.slice(low, high - low), stretch.view.extras, self.extras)
                for stretch in self.stretches
                for piece, low, high in stretch.parts()
            ]
        merged = [batch.slice(first, end - first) for batch, first, end in self._runs]
        return [wide(rows, len(self.extras)) for rows in merged] if self.extras else merged


def is_few(rows: int) -> bool:
    """Tell whether candles are so few that they are put together whatever they lie in."""
    return rows <= GATHER_ROWS


def is_short(rows: int, pieces: int) -> bool:
    """Tell whether candles in so many pieces are put together: few, or more in pieces of few."""
    return is_few(rows) or rows <= min(MOST_BYTES // ROW_BYTES, SHORT_ROWS * pieces)


def _under_each_other(runs: Sequence[_Run]) -> Runs:
    """Return runs of batches as such of all the batches, one under the other."""
    batches = {id(batch): batch for batch, _, _ in runs}
    starts = accumulate((batch.num_rows for batch in batches.values()), initial=0)
    offsets = dict(zip(batches, starts, strict=False))
    lows = [offsets[id(batch)] + first for batch, first, _ in runs]
    highs = [offsets[id(batch)] + end for batch, _, end in runs]
    return Runs(list(batches.values()), lows, highs)


def one_piece(table: pa.Table) -> pa.Table:
    """Return a table in one piece whose memory cannot be written: it is kept, and others are given it."""
    table, columns = table.combine_chunks(), []
    for column in table.columns:
        for chunk in column.chunks:
            values = pa.py_buffer(memoryview(chunk.buffers()[1]).toreadonly())
            columns.append(pa.Array.from_buffers(chunk.type, len(chunk), [None, values], 0, chunk.offset))
    return pa.Table.from_arrays(columns, schema=table.schema) if columns else table
