"""Upkeep of the packs: small ones are merged, dead ones dropped, and the budget of the folder kept.

It can be interrupted, or killed, anywhere: a pack is complete before the SQLite file points to it, a cell
that has changed meanwhile is left as it is, and a file is deleted when nothing points to it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

import apsw
import pyarrow as pa

from mdstore.candles.file.database import Database
from mdstore.candles.file.wide_rows import wide
from mdstore.candles.packs import cells
from mdstore.candles.packs.cells import CELL_ROWS, Cell
from mdstore.candles.packs.columns import ROW_BYTES, Piece
from mdstore.candles.packs.first_digests import prove_cells
from mdstore.candles.packs.pack_files import PackLostError, Packs, extras_in, row_bytes
from mdstore.candles.packs.sealing import BATCH_ROWS, Sealer, by_rows, hour_of
from mdstore.errors import StoreFileError

__all__ = ["Compaction", "Progress"]

Progress = Callable[[int, int], None]

PACK_ROWS = 4 * BATCH_ROWS  # 200 MB
# Packs are merged when so many are of one size, sizes by powers of four: each row is written again
# a handful of times in its life, and there are never many packs.
MERGE = 8
SIZES = 4
# What a merge that nobody asked for may rewrite: 50 MB, 40 ms.
AUTOMATIC_ROWS = 1_048_576
DEAD_SHARE = 0.5
PASSES = 3
USED_HOURS = 1  # how exactly it is known when a cell was read


class Compaction:
    """Keeps the packs of one file few and their folder within its budget."""

    def __init__(
        self,
        database: Database,
        packs: Packs,
        *,
        budget: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._packs = packs
        self._budget = budget
        self._clock = clock
        self._used: dict[tuple[str, str, int], Cell] = {}
        self.trouble = ""
        """Why packs could not be written the last time; else empty."""

    @property
    def budget(self) -> int:
        """The bytes that packs may take: as was asked, else half of what is free on the disk without them."""
        if self._budget is not None:
            return self._budget
        return (self._bytes() + shutil.disk_usage(self._database.path.parent).free) // 2

    def has_room(self, rows: int) -> bool:
        """Tell whether so many rows could stay within the budget."""
        budget = self.budget
        return rows * ROW_BYTES <= budget - budget // 10

    def sweep(self, *, young: float | None = None) -> None:
        """Delete the files that no cell points to, or put it off."""
        with self._put_off():
            with self._database.reading() as con:
                live = set(cells.pack_rows(con))
            self._packs.sweep(live, now=time.time(), young=young)

    @contextmanager
    def _put_off(self) -> Iterator[None]:
        """Do what nobody has asked for, after a write or before a read: it is no reason for those to fail."""
        try:
            yield
        except Exception as error:  # whatever it is: the next write tries again
            self.trouble = f"the upkeep of {self._packs.folder} was put off: {error}"

    def lose(self, lost: PackLostError) -> None:
        """Take note that a pack, or a cell in it, is gone or damaged: its rows are loose again.

        Raises `DamagedDataError` where the digests of a cell are all that says what its candles were, and the
        table holds others.
        """
        self._packs.close(lost.name)
        if self._database.read_only is not None:
            self._give_up(lost)
        elif not lost.may_come_back:
            with self._database.reading() as con:
                prove_cells(con, self._without_packs(con, lost))
            self._database.note(lambda con: self._forget_lost(con, lost))

    def _give_up(self, lost: PackLostError) -> None:
        """Do without a pack that is lost, or the cell in it, and without all that are gone."""
        with self._database.reading() as con:
            found = self._without_packs(con, lost)
            prove_cells(con, found)
        gone = {(cell.pack, None) for cell in found} if lost.place is None else set()
        self._packs.given_up |= {(lost.name, lost.place), *gone}

    def usable(self, found: list[Cell]) -> list[Cell]:
        """Return the cells whose packs have not been given up."""
        given_up = self._packs.given_up
        return [
            cell
            for cell in found
            if (cell.pack, None) not in given_up and (cell.pack, cell.place) not in given_up
        ]

    def _forget_lost(self, con: apsw.Connection, lost: PackLostError) -> int:
        if lost.place is not None or self._packs.exists(lost.name):
            return cells.forget_pack(con, lost.name, lost.place)
        # Listed inside the transaction: nobody can publish a pack meanwhile that is not in the list.
        missing = cells.pack_rows(con).keys() - self._packs.files().keys()
        return sum(cells.forget_pack(con, name, None) for name in missing)

    def _without_packs(self, con: apsw.Connection, lost: PackLostError) -> list[Cell]:
        """Return the cells of a pack that is lost, or the one in it, and those of all that are gone."""
        there = self._packs.files().keys() - ({lost.name} if lost.place is None else set())
        found = [cell for cell in cells.all_cells(con) if cell.pack not in there]
        return [*found, *cells.of_packs(con, {lost.name}, lost.place)] if lost.place is not None else found

    def use(self, found: Iterable[Cell]) -> None:
        """Take note that cells are read; written down now and then."""
        hour = hour_of(self._clock())
        for cell in found:
            if cell.used + USED_HOURS <= hour:
                self._used[cell.timeframe, cell.symbol, cell.start] = cell

    def write_used(self) -> None:
        """Write down which cells have been read."""
        if self._used:
            used, self._used = list(self._used.values()), {}
            hour = hour_of(self._clock())
            self._database.note(lambda con: cells.touch(con, used, hour))

    def merge(self) -> None:
        """Merge packs where many are small or one is mostly dead, no more than a little work at a time.

        What goes wrong is told in `trouble`: the write that has led to this is done.
        """
        self.trouble = ""
        self.sweep()
        with self._put_off():
            groups = self._mergeable()
            if groups:
                self._rewrite(groups)
            self._keep_budget(self.budget, wait=False)

    def compact(self, progress: Progress | None = None) -> int:
        """Write all cells anew, in order and in few packs, unless they lie so; return the bytes saved."""
        before = self._bytes()
        self.write_used()
        with self._database.reading() as con:
            found = cells.all_cells(con)
        if not self._in_order(found):
            total, done = sum(cell.rows for cell in found), 0
            for group in by_rows(found, PACK_ROWS):
                self._rewrite_cells(group, wait=True)
                done += sum(cell.rows for cell in group)
                if progress is not None:
                    progress(done, total)
        self.sweep()
        self._keep_budget(self.budget, wait=True)
        return before - self._bytes()

    def _mergeable(self) -> list[list[str]]:
        """Return groups of packs to be merged, few rows in all."""
        with self._database.reading() as con:
            live = cells.pack_rows(con)
        sizes = self._packs.files()
        small: dict[tuple[int, int], list[str]] = {}  # with as many declared columns: others stay apart
        groups: list[list[str]] = []
        for name, rows in live.items():
            held = sizes.get(name, 0) // row_bytes(name)
            if held and rows < held * DEAD_SHARE and rows <= AUTOMATIC_ROWS:
                groups.append([name])
            elif rows < AUTOMATIC_ROWS:
                small.setdefault((extras_in(name), _size(rows)), []).append(name)
        groups += [names for names in small.values() if len(names) >= MERGE]
        return [_first_rows(names, live) for names in groups[:2]]

    def _rewrite(self, groups: Sequence[Sequence[str]]) -> None:
        with self._database.reading() as con:
            found = cells.all_cells(con)
        for names in groups:
            chosen = set(names)
            self._rewrite_cells([cell for cell in found if cell.pack in chosen], wait=False)

    def _rewrite_cells(self, olds: Sequence[Cell], *, wait: bool) -> None:
        """Write cells into one new pack, those side by side as one, and drop packs that this leaves empty."""
        sealer = Sealer(self._packs, self._clock)
        replaced: list[list[Cell]] = []
        done = 0
        try:
            for run in _runs(olds):
                rows = self._verified(run)
                if rows is not None:
                    sealer.add(run[0].symbol, run[0].timeframe, run[0].start, run[-1].end, rows)
                    replaced.append(run)
            made = sealer.finish()
            # Moved, not read: what was not read for longest is to leave first all the same.
            pairs = [
                (olds, replace(new, used=max(old.used for old in olds)))
                for olds, new in zip(replaced, made, strict=True)
            ]
            done = self._database.note(lambda con: _replace_all(con, pairs), wait=wait) or 0
        except StoreFileError:
            raise
        except OSError as error:
            self.trouble = f"the packs in {self._packs.folder} cannot be written: {error}"
        finally:
            if not done:
                sealer.take_back(self._database)
        self._drop_dead({cell.pack for cell in olds})

    def _verified(self, run: Sequence[Cell]) -> pa.RecordBatch | None:
        """Return the rows of adjacent cells, or None where one is damaged: nothing unproven is copied."""
        parts, extras = [], max(extras_in(cell.pack) for cell in run)
        for cell in run:
            try:
                pack = self._packs.open(cell.pack)
                piece = Piece.of(pack.rows(*cell.place, cell.rows), cell, pack)
                piece.verify(0, cell.rows)
            except PackLostError as lost:
                self.lose(lost)
                return None
            parts.append(wide(piece.rows, extras))
        return pa.concat_batches(parts) if len(parts) > 1 else parts[0]

    def _drop_dead(self, names: Iterable[str]) -> None:
        with self._database.reading() as con:
            live = cells.pack_rows(con)
        for name in names:
            if name not in live:
                with suppress(OSError):
                    self._packs.remove(name)

    def _in_order(self, found: Sequence[Cell]) -> bool:
        """Tell whether cells lie as `compact` would lay them.

        Those with so many declared columns lie in packs of their own, and between the others in their order.
        """
        places: dict[str, int] = {}
        orders: dict[int, list[tuple[int, ...]]] = {}
        for cell in found:
            place = places.setdefault(cell.pack, len(places))
            orders.setdefault(extras_in(cell.pack), []).append((place, *cell.place))
        rows = sum(cell.rows for cell in found)
        held = sum(self._packs.files().get(name, 0) // row_bytes(name) for name in places)
        return (
            all(order == sorted(order) for order in orders.values())
            and len(places) <= len(orders) * -(-rows // (PACK_ROWS // 2))
            and rows >= held * 0.99 - MERGE * BATCH_ROWS * 0.01
            and all(len(run) == 1 for run in _runs(found))
        )

    def _keep_budget(self, budget: int, *, wait: bool) -> None:
        """Let the least recently read cells go until the packs fit."""
        if self._bytes() <= budget:
            return
        self.write_used()
        self.sweep()
        room = budget
        # Again, since what files hold besides rows is known only when they are written.
        for _ in range(PASSES):
            if self._live_bytes() <= budget:
                return
            self._evict(room, wait=wait)
            room -= max(0, self._live_bytes() - budget)

    def _bytes(self) -> int:
        return sum(self._packs.files().values())

    def _live_bytes(self) -> int:
        """Return the bytes of the packs that are pointed to; the others go when they are a minute old."""
        with self._database.reading() as con:
            live = cells.pack_rows(con)
        return sum(size for name, size in self._packs.files().items() if name in live)

    def _evict(self, room: int, *, wait: bool) -> None:
        """Keep the latest read cells, `room` bytes of them less a tenth; the others go."""
        with self._database.reading() as con:
            found = cells.all_cells(con)
        # A tenth is kept free, so that the next pack does not start this again.
        left, kept, gone = room - room // 10, set[Cell](), list[Cell]()
        for cell in sorted(found, key=lambda cell: cell.used, reverse=True):
            left -= cell.rows * row_bytes(cell.pack)
            if left >= 0:
                kept.add(cell)
            else:
                gone.append(cell)
        self._database.note(lambda con: sum(cells.forget(con, cell) for cell in gone), wait=wait)
        packs = {cell.pack for cell in gone}
        self._drop_dead(packs)
        for group in by_rows([cell for cell in found if cell in kept and cell.pack in packs], PACK_ROWS):
            self._rewrite_cells(group, wait=wait)


def _runs(found: Sequence[Cell]) -> Iterator[list[Cell]]:
    """Put cells together that lie side by side in time and are small enough to be one."""
    run: list[Cell] = []
    rows = 0
    for cell in found:
        beside = run and (run[-1].symbol, run[-1].timeframe, run[-1].end) == (
            cell.symbol,
            cell.timeframe,
            cell.start,
        )
        if run and not (beside and rows + cell.rows <= CELL_ROWS):
            yield run
            run, rows = [], 0
        run.append(cell)
        rows += cell.rows
    if run:
        yield run


def _replace_all(con: apsw.Connection, pairs: Sequence[tuple[list[Cell], Cell]]) -> int:
    return sum([cells.replace(con, olds, new) for olds, new in pairs])


def _size(rows: int) -> int:
    """Return the power of `SIZES` that a number of rows has reached."""
    size = 0
    while rows >= SIZES:
        rows //= SIZES
        size += 1
    return size


def _first_rows(names: Sequence[str], live: dict[str, int]) -> list[str]:
    """Return as many packs as a merge may rewrite, the smallest first."""
    chosen: list[str] = []
    rows = 0
    for name in sorted(names, key=lambda name: live[name]):
        rows += live[name]
        if chosen and rows > AUTOMATIC_ROWS:
            break
        chosen.append(name)
    return chosen
