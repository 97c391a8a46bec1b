"""Rows of one series into the table: those that differ from what is stored are written."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from functools import partial

import polars as pl

from mdstore.candles.file import catalogue, declared_columns, frozen, thawing
from mdstore.candles.file.carried import Writer
from mdstore.candles.file.frozen import FrozenPiece
from mdstore.candles.file.table_writes import upsert, upsert_values
from mdstore.candles.packs import cells
from mdstore.candles.packs.cells import Cell
from mdstore.candles.writes.bar_changes import WATCH_ROWS
from mdstore.candles.writes.batch_sealer import BatchSealer
from mdstore.candles.writes.seen import Seen
from mdstore.core.once import once
from mdstore.core.schema import CANDLE_COLUMNS
from mdstore.core.time_bounds import FOREVER

__all__ = ["Upserts"]

ANY = "SELECT 1 FROM candles WHERE symbol = ? AND timeframe = ? AND timestamp BETWEEN ? AND ? LIMIT 1"
WATCH_MORE = 64  # so many new ones behind known ones are, which costs less than statements of their own
PUT_ROWS = 4_096  # so many are compared at a time: as tuples they take 2 MB


class Upserts:
    """Writes rows of series, one at a time, in one transaction."""

    def __init__(self, con: Writer, sealer: BatchSealer) -> None:
        self._con = con
        self._sealer = sealer

    @once
    def table_names(self) -> tuple[str, ...]:
        """The declared columns, in the order of their table."""
        return tuple(declared_columns.table_names(self._con))

    def end_of(self, seen: Seen) -> int:
        """Return the last time of a series so far; what comes behind it is all that there is there."""
        if seen.end is None:
            stored = catalogue.find(self._con, *seen.changes.key)
            seen.end = -FOREVER - 1 if stored is None else stored.last
        return seen.end if seen.last is None else max(seen.end, seen.last)

    def upsert(self, seen: Seen, rows: pl.DataFrame) -> tuple[int, int]:
        """Write rows of one series, and return how many were inserted and how many updated.

        A cell over rows that change is forgotten, and a frozen piece thawed; those over rows that are as they
        were stay.
        """
        rows = self._without_frozen(seen, rows)
        if not len(rows):
            return 0, 0
        times = rows["timestamp"]
        over = cells.covering(self._con, *seen.changes.key, times[0], times[-1])
        if not over:
            return self._upsert_rows(seen, rows)
        inserted = updated = 0
        for cell, part in _by_cell(rows, over):
            new, changed = self._upsert_rows(seen, part)
            inserted, updated = inserted + new, updated + changed
            if cell is not None and (new or changed):
                cells.forget(self._con, cell)
        return inserted, updated

    def _without_frozen(self, seen: Seen, rows: pl.DataFrame) -> pl.DataFrame:
        """Leave out rows that are frozen as they are given; pieces that others reach into are thawed."""
        if not len(rows):
            return rows
        key, times = seen.changes.key, rows["timestamp"]
        left, at = [], 0
        for piece in frozen.pieces(self._con, key, times[0], times[-1] + 1):
            low, high = bisect_left(times, piece.start), bisect_left(times, piece.end)
            if low == high:
                continue  # there are rows on both sides of it only
            if self._is_frozen(seen, rows.slice(low, high - low), piece):
                left.append(rows.slice(at, low - at))
                at = high
            else:
                thawing.thaw(self._con, key, piece.start, piece.end)
        return pl.concat([*left, rows.slice(at)]) if left else rows

    def _is_frozen(self, seen: Seen, rows: pl.DataFrame, piece: FrozenPiece) -> bool:
        """Tell whether rows are all in a piece, with the values that they have."""
        stored = thawing.frame_of(self._con, seen.changes.key, piece, seen.given)
        there = stored.filter(stored["timestamp"].is_in(rows["timestamp"].implode()))
        return there.equals(rows[[*CANDLE_COLUMNS, *seen.given]])

    def _upsert_rows(self, seen: Seen, rows: pl.DataFrame) -> tuple[int, int]:
        if len(rows) <= WATCH_ROWS:
            inserted, updated = self._watch(seen, rows)
        else:
            # What lies behind the end is new without a look; a few such rows go with those before them.
            # Python's bisect: Polars plans a query, which takes as long as to write a hundred rows.
            known = bisect_right(rows["timestamp"], self.end_of(seen))
            known = len(rows) if known > 0 and len(rows) - known <= WATCH_MORE else known
            inserted, updated = self._upsert_known(seen, rows.head(known))
            inserted += self._insert(seen, rows.slice(known))
        if inserted or updated:
            seen.changed = True
            self._sealer.spoil(seen.changes.key, rows)
        return inserted, updated

    def _upsert_known(self, seen: Seen, rows: pl.DataFrame) -> tuple[int, int]:
        """Write rows of times up to the end of the series."""
        if not len(rows):
            return 0, 0
        key = (*seen.changes.key, rows["timestamp"][0], rows["timestamp"][-1])
        if self._con.execute(ANY, key).get is None:
            return self._insert(seen, rows), 0
        return self._watch(seen, rows)

    def _watch(self, seen: Seen, rows: pl.DataFrame) -> tuple[int, int]:
        """Write rows some of which may be there."""
        con, key, inserted, updated = self._con, seen.changes.key, 0, 0
        for part in rows.iter_slices(PUT_ROWS) if len(rows) > PUT_ROWS else (rows,):
            candles = part[list(CANDLE_COLUMNS)] if seen.given else part
            new, changed = seen.changes.put(con, candles)
            if seen.given:
                write = partial(upsert_values, con, key, part, seen.given)
                changed += seen.changes.put_extras(con, (self.table_names, seen.extras), write)
            inserted, updated = inserted + new, updated + changed
        return inserted, updated

    def _insert(self, seen: Seen, rows: pl.DataFrame) -> int:
        """Write rows between the first and last of which there are none."""
        if len(rows):
            with self._con.telling(None):
                upsert(self._con, seen.changes.key, rows, seen.given)
            seen.changes.insert(self._con, rows)
        return len(rows)


def _by_cell(rows: pl.DataFrame, over: Sequence[Cell]) -> Iterator[tuple[Cell | None, pl.DataFrame]]:
    """Cut sorted rows at the ends of cells; yield each part with the cell that covers it, if one does."""
    times = rows["timestamp"]
    bounds = sorted({bound for cell in over for bound in (cell.start, cell.end)})
    at = 0
    for bound, place in zip(
        (*bounds, None), (*times.search_sorted(pl.Series(bounds, dtype=pl.Int64)), len(rows)), strict=True
    ):
        if place > at:
            first = times[at]
            cell = next((cell for cell in over if cell.start <= first < cell.end), None)
            yield cell, rows.slice(at, place - at)
            at = place
        if bound is None:
            return
