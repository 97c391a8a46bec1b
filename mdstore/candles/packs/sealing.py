"""Sealing: rows in hand become the cells of one new pack."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, TypeVar

import pyarrow as pa

from mdstore.candles.file.database import Database
from mdstore.candles.file.wide_rows import WIDTH
from mdstore.candles.packs.cells import CELL_ROWS, Cell
from mdstore.candles.packs.pack_files import Packs, PackWriter, digests_of
from mdstore.core.time_bounds import FOREVER
from mdstore.core.timeframe import HOUR, Timeframe
from mdstore.errors import MarketDataError

__all__ = ["BATCH_ROWS", "Sealer", "by_rows", "closed_rows", "hour_of"]

# Rows under each other in one record batch: what an answer of many series can take in one piece, and what
# sealing holds in memory, 48 bytes a row.
BATCH_ROWS = 1_048_576
IS_LIVE = "SELECT 1 FROM cells WHERE pack = ? LIMIT 1"


class HasRows(Protocol):
    """What says how many rows it has."""

    @property
    def rows(self) -> int:
        """The number of rows."""


R = TypeVar("R", bound=HasRows)


@dataclass(frozen=True, slots=True)
class _Pending:
    """Rows that will be one cell, not yet written."""

    symbol: str
    timeframe: str
    start: int
    end: int
    rows: pa.RecordBatch


class Sealer:
    """Puts rows into a new pack, and says which cells that makes.

    Rows with declared columns go into one of their own, for each number of columns.
    """

    def __init__(self, packs: Packs, clock: Callable[[], float], *, batch_rows: int = BATCH_ROWS) -> None:
        self._folder = packs.folder
        self._writers: dict[int, PackWriter] = {}
        self._batch_rows = batch_rows
        self._pending: list[_Pending] = []
        self._waiting = 0
        self._hour = hour_of(clock())
        self.rows = 0
        self.cells: list[Cell] = []

    def add(self, symbol: str, timeframe: str, start: int, end: int, rows: pa.RecordBatch) -> None:
        """Take the rows of a series in `[start, end)`: all that there are, ascending, at least one.

        An end that is open is set behind the last row.
        """
        for at in range(0, rows.num_rows, CELL_ROWS):
            part = rows.slice(at, CELL_ROWS)
            first = start if at == 0 and start > -FOREVER else _time(part, 0)
            more = at + CELL_ROWS < rows.num_rows
            last = _time(rows, at + CELL_ROWS) if more else end if end < FOREVER else _time(part, -1) + 1
            self._pending.append(_Pending(symbol, timeframe, first, last, part))
            self._waiting += part.num_rows
            self.rows += part.num_rows
            if self._waiting >= self._batch_rows:
                self._flush()

    def finish(self) -> list[Cell]:
        """Write what is pending, and return the cells of the pack, in their order, to be published."""
        self._flush()
        for writer in self._writers.values():
            writer.finish()
        return self.cells

    def discard(self) -> None:
        """Take the pack back."""
        self._pending, self.cells = [], []
        for writer in self._writers.values():
            writer.discard()

    def take_back(self, database: Database) -> None:
        """Take the pack back unless the file points to it: Ctrl-C may come between a commit and the news.

        Where that is not to be known, the pack stays, and is swept when it turns out that nothing does.
        """
        with suppress(OSError, MarketDataError):
            for writer in self._writers.values():
                if database.peek(IS_LIVE, (writer.name,)) is None:
                    writer.discard()

    def _flush(self) -> None:
        if not self._pending:
            return
        pending, self._pending, self._waiting = self._pending, [], 0
        made: dict[int, Cell] = {}
        for extras in {one.rows.num_columns - WIDTH for one in pending}:
            alike = [place for place, one in enumerate(pending) if one.rows.num_columns - WIDTH == extras]
            cells = self._written(extras, [pending[place] for place in alike])
            made.update(zip(alike, cells, strict=True))
        self.cells += [made[place] for place in range(len(pending))]

    def _written(self, extras: int, pending: Sequence[_Pending]) -> Iterator[Cell]:
        """Write rows of so many declared columns as a batch; yield their cells."""
        writer = self._writers.get(extras) or self._writers.setdefault(
            extras, PackWriter(self._folder, extras)
        )
        batch = pa.concat_batches([one.rows for one in pending])
        number, offset = writer.add(batch), 0
        for one in pending:
            count = one.rows.num_rows
            digests = digests_of(batch.slice(offset, count))
            yield Cell(
                one.symbol, one.timeframe, one.start, one.end,
                writer.name, number, offset, count, digests, self._hour,
            )  # fmt: skip
            offset += count


def by_rows(items: Iterable[R], most: int) -> Iterator[list[R]]:
    """Put items together to at most `most` rows, in their order; one that has more stands alone."""
    group: list[R] = []
    rows = 0
    for item in items:
        if group and rows + item.rows > most:
            yield group
            group, rows = [], 0
        group.append(item)
        rows += item.rows
    if group:
        yield group


def closed_rows(rows: pa.RecordBatch, timeframe: Timeframe, now: int) -> int:
    """Return how many of the rows are bars that have ended at `now` (ms): a forming bar will yet change."""
    count: int = rows.num_rows
    while count and timeframe.next(_time(rows, count - 1)) > now:
        count -= 1
    return count


def hour_of(seconds: float) -> int:
    """Return the hour of a time, counted from 1970."""
    return int(seconds) * 1000 // HOUR


def _time(rows: pa.RecordBatch, at: int) -> int:
    column = rows.column(0)
    values = memoryview(column.buffers()[1]).cast("q")
    time: int = values[column.offset + (at if at >= 0 else rows.num_rows + at)]
    return time
