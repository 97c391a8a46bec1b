"""New rows of a write go into a pack from the batch in hand, and are published with its commit."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import polars as pl
import pyarrow as pa

from mdstore.candles.file.database import Database
from mdstore.candles.file.wide_rows import times_of
from mdstore.candles.packs.cells import Cell
from mdstore.candles.packs.pack_files import Packs
from mdstore.candles.packs.seal_policy import SEAL_BATCH, SEAL_LEAST, SEAL_ROWS
from mdstore.candles.packs.sealing import Sealer, closed_rows
from mdstore.core.time_bounds import FOREVER
from mdstore.core.timeframe import Timeframe

__all__ = ["SEAL_LEAST", "SEAL_ROWS", "BatchSealer"]


class BatchSealer:
    """Seals the new rows of one write, if they are many; the packs are no reason for a write to fail."""

    def __init__(self, packs: Packs, clock: Callable[[], float], has_room: Callable[[int], bool]) -> None:
        self._has_room = has_room
        self._sealer = Sealer(packs, clock, batch_rows=SEAL_BATCH)
        self._now = int(clock() * 1000)
        self._broken = False
        self._spoiled: list[tuple[str, str, int, int]] = []
        self._taken: dict[tuple[str, str], int] = {}

    def spoil(self, key: tuple[str, str], rows: pl.DataFrame) -> None:
        """Leave out what was taken of a series, where a later chunk of the same write changes it."""
        taken = self._taken.get(key)
        if taken is not None and rows["timestamp"][0] <= taken:
            first, last = rows["timestamp"][0], rows["timestamp"][-1]
            self._spoiled.append((*key, first, last))

    def take(self, key: tuple[str, str], start: int, rows: pa.RecordBatch) -> None:
        """Take the rows of a series from `start` on, behind its end, as far as their bars have ended."""
        closed = closed_rows(rows, Timeframe.parse(key[1]), self._now)
        if closed and not self._broken:
            self._taken[key] = times_of(rows)[-1]
            try:
                self._sealer.add(*key, start, FOREVER, rows.slice(0, closed))
            except OSError:
                self._give_up()

    def finish(self) -> list[Cell]:
        """Return the cells of the pack, which is on disk; none if it was not worth one or could not be."""
        try:
            if self._sealer.rows >= SEAL_ROWS and not self._broken and self._has_room(self._sealer.rows):
                return [cell for cell in self._sealer.finish() if not self._is_spoiled(cell)]
            self._sealer.discard()
        except OSError:
            self._give_up()
        return []

    def _is_spoiled(self, cell: Cell) -> bool:
        return any(
            (symbol, timeframe) == (cell.symbol, cell.timeframe) and first < cell.end and last >= cell.start
            for symbol, timeframe, first, last in self._spoiled
        )

    def take_back(self, database: Database) -> None:
        """Take the pack back unless the file points to it."""
        self._sealer.take_back(database)

    def _give_up(self) -> None:
        # A full disk, or a folder that cannot be written: the rows are in SQLite, and are read from there.
        self._broken = True
        with contextlib.suppress(OSError):
            self._sealer.discard()
