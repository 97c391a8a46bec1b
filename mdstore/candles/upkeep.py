"""Upkeep of the packs: loose rows are sealed, small packs merged, dead ones dropped, and the budget kept.

All of it can be interrupted, or killed, anywhere: a pack is complete before the SQLite file points to it, and
what points to it is checked again in the transaction that says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import apsw
import pyarrow as pa

from mdstore.candles import catalogue, cells, reader
from mdstore.candles.catalogue import Series
from mdstore.candles.cells import FOREVER, Cell
from mdstore.candles.columns import Piece
from mdstore.candles.database import Database
from mdstore.candles.packs import PackLostError, Packs
from mdstore.candles.scanner import Scanner
from mdstore.candles.sealing import BATCH_ROWS, CELL_ROWS, Sealer, hour_of
from mdstore.candles.views import Views
from mdstore.errors import ScannerError
from mdstore.schema import CANDLE, CANDLE_COLUMNS
from mdstore.timeframe import Timeframe

__all__ = ["Hand", "Loose", "Progress", "Upkeep", "loose_of"]

T = TypeVar("T")
Progress = Callable[[int, int], None]

# Where the scanner overtakes APSW (bench/roads.py): it costs a few ms to ask and 0.3 us a row where APSW
# takes 0.5; starting its process takes about half a second first.
SCAN_ROWS = 20_000
SCAN_ROWS_COLD = 2_000_000
BUILD_ROWS = 1_000_000  # asked of the scanner at a time: 56 MB on the way, a third of a second
PACK_ROWS = 4 * BATCH_ROWS  # 200 MB
# Packs are merged when so many are of one size, sizes by powers of four: each row is written again
# a handful of times in its life, and there are never many packs.
MERGE = 8
SIZES = 4
# What a merge that nobody asked for may rewrite: 50 MB, 40 ms.
AUTOMATIC_ROWS = 1_048_576
DEAD_SHARE = 0.5
USED_HOURS = 1


@dataclass(frozen=True, slots=True)
class Loose:
    """A stretch of a series without a cell, of `rows` candles at most."""

    symbol: str
    timeframe: str
    start: int
    end: int
    rows: int


@dataclass(frozen=True, slots=True)
class Hand:
    """Loose rows in hand: all that there are of a series in `[start, end)` at its `revision`."""

    symbol: str
    timeframe: str
    start: int
    end: int
    revision: int
    rows: pa.RecordBatch


class Upkeep:
    """Keeps the packs of one file."""

    def __init__(
        self,
        database: Database,
        packs: Packs,
        scanner: Scanner,
        views: Views,
        *,
        budget: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._packs = packs
        self._scanner = scanner
        self._views = views
        self._budget = budget
        self._clock = clock
        self._used: dict[tuple[str, str, int], Cell] = {}
        self.scanned = 0
        """How often rows were taken from the scanner."""
        self.trouble = self.scanner_trouble = ""
        """Why rows could not be put into packs the last time, or not by the scanner; else empty."""

    def sweep(self, *, young: float | None = None) -> int:
        """Delete the files that no cell points to, and return how many."""
        with self._database.reading() as con:
            live = set(cells.pack_rows(con))
        return self._packs.sweep(live, now=time.time(), young=young)

    def lose(self, lost: PackLostError) -> None:
        """Take note that a pack, or a cell in it, is gone or damaged: its rows are loose again."""
        self._packs.close(lost.name)
        self._database.note(lambda con: cells.forget_pack(con, lost.name, lost.place))

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

    def seal_hands(self, hands: Sequence[Hand]) -> int:
        """Put rows in hand into a pack and return how many; nobody is waited for."""

        def take(sealer: Sealer) -> None:
            for hand in hands:
                sealer.add(hand.symbol, hand.timeframe, hand.start, hand.end, hand.rows)

        return self._seal(take, {(hand.symbol, hand.timeframe): hand.revision for hand in hands})

    def seal(self, pieces: Sequence[Loose], progress: Progress | None = None, *, wait: bool = False) -> int:
        """Put loose stretches into packs, by the scanner where they are large; return the rows sealed."""
        total = sum(piece.rows for piece in pieces)
        limit = SCAN_ROWS if self._scanner.running else SCAN_ROWS_COLD
        sealed = done = 0
        for group in _groups(pieces):
            sealed += self._scan(group, wait) if total > limit else self._walk(group, wait)
            done += sum(piece.rows for piece in group)
            if progress is not None:
                progress(done, total)
        return sealed

    def loose(self, series: Sequence[Series] | None = None) -> list[Loose]:
        """Return the loose stretches of series, all if none are named, forming bars not among them."""
        now = int(self._clock() * 1000)
        with self._database.reading() as con:
            found = catalogue.all_series(con) if series is None else series
            return [
                piece
                for one in found
                for piece in loose_of(one, cells.cells_of(con, one.symbol, one.timeframe), now=now)
            ]

    def merge(self) -> None:
        """Merge packs where many are small or one is mostly dead, no more than a little work at a time."""
        self.sweep()
        groups = self._mergeable()
        if groups:
            self._rewrite(groups)
        if self._budget is not None:
            self._keep_budget(self._budget, wait=False)

    def compact(self, progress: Progress | None = None) -> int:
        """Write all cells anew, in order and in few packs, unless they lie so; return the bytes saved."""
        before = sum(self._packs.files().values())
        self.write_used()
        with self._database.reading() as con:
            found = cells.all_cells(con)
        if not self._in_order(found):
            total, done = sum(cell.rows for cell in found), 0
            for group in _by_rows(found, PACK_ROWS):
                self._rewrite_cells(group, wait=True)
                done += sum(cell.rows for cell in group)
                if progress is not None:
                    progress(done, total)
        self.sweep()
        if self._budget is not None:
            self._keep_budget(self._budget, wait=True)
        return before - sum(self._packs.files().values())

    def forget_all(self) -> None:
        """Make every row loose and delete every pack."""
        with self._database.writing() as con:
            con.execute("DELETE FROM cells")
            # Series that other processes hold in memory are taken for changed.
            at_revision = catalogue.bump(con)
            con.execute("UPDATE series SET revision = ?", (at_revision,))
        self.sweep(young=0.0)

    def _seal(
        self,
        fill: Callable[[Sealer], None],
        revisions: dict[tuple[str, str], int],
        *,
        wait: bool = False,
    ) -> int:
        sealer = Sealer(self._packs)
        published = 0
        try:
            fill(sealer)
            made = sealer.finish()
            published = self._database.note(lambda con: _publish(con, made, revisions), wait=wait) or 0
            self.trouble = ""
        except OSError as error:
            # No folder, no room, no permission: the rows are where they were, and reads go on.
            self.trouble = f"the packs in {self._packs.folder} cannot be written: {error}"
        finally:
            if not published:
                with suppress(OSError):
                    sealer.discard()
        if published:
            self.merge()
        return published

    def _walk(self, group: Sequence[Loose], wait: bool) -> int:
        """Seal by APSW: the rows and what they are worth are of one moment."""
        revisions: dict[tuple[str, str], int] = {}

        def fill(sealer: Sealer) -> None:
            with self._database.reading() as con:
                for piece in group:
                    series = catalogue.find(con, piece.symbol, piece.timeframe)
                    rows = reader.read_range(con, piece.symbol, piece.timeframe, piece.start, piece.end)
                    if series is not None and rows.num_rows:
                        revisions[piece.symbol, piece.timeframe] = series.revision
                        sealer.add(piece.symbol, piece.timeframe, piece.start, piece.end, rows)

        return self._seal(fill, revisions, wait=wait)

    def _scan(self, group: Sequence[Loose], wait: bool) -> int:
        """Seal by the scanner: a series whose revision is the same afterwards has not changed meanwhile."""
        with self._database.reading() as con:
            keys = {(piece.symbol, piece.timeframe) for piece in group}
            known = {key: series for key in keys if (series := catalogue.find(con, *key)) is not None}
        table = self._scanned(group)
        if table is None:
            return self._walk(group, wait)
        revisions = {key: series.revision for key, series in known.items()}
        return self._seal(lambda sealer: _take(sealer, group, table), revisions, wait=wait)

    def _scanned(self, group: Sequence[Loose]) -> pa.Table | None:
        wanted = [(piece.symbol, piece.timeframe, piece.start, piece.end) for piece in group]
        try:
            with self._views.holding(reader.stretches_view(wanted)) as view:
                table = None if view is None else self._scanner.scan(view)
        except ScannerError as error:
            self.scanner_trouble = str(error)
            return None  # APSW reads them as well, in more time
        self.scanner_trouble = ""
        self.scanned += table is not None
        return table

    def _mergeable(self) -> list[list[str]]:
        """Return groups of packs to be merged, few rows in all."""
        with self._database.reading() as con:
            live = cells.pack_rows(con)
        sizes = self._packs.files()
        small: dict[int, list[str]] = {}
        groups: list[list[str]] = []
        for name, rows in live.items():
            held = sizes.get(name, 0) // (8 * len(CANDLE))
            if held and rows < held * DEAD_SHARE and rows <= AUTOMATIC_ROWS:
                groups.append([name])
            elif rows < AUTOMATIC_ROWS:
                small.setdefault(_size(rows), []).append(name)
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
        sealer = Sealer(self._packs)
        replaced: list[list[Cell]] = []
        done = 0
        try:
            for run in _runs(olds):
                rows = self._verified(run)
                if rows is not None:
                    sealer.add(run[0].symbol, run[0].timeframe, run[0].start, run[-1].end, rows)
                    replaced.append(run)
            made = sealer.finish()
            pairs = list(zip(replaced, made, strict=True))
            done = self._database.note(lambda con: _replace_all(con, pairs), wait=wait) or 0
        except OSError as error:
            self.trouble = f"the packs in {self._packs.folder} cannot be written: {error}"
        finally:
            if not done:
                with suppress(OSError):
                    sealer.discard()
        self._drop_dead({cell.pack for cell in olds})

    def _verified(self, run: Sequence[Cell]) -> pa.RecordBatch | None:
        """Return the rows of adjacent cells, or None where one is damaged: nothing unproven is copied."""
        parts = []
        for cell in run:
            try:
                pack = self._packs.open(cell.pack)
                piece = Piece.of(pack.rows(*cell.place, cell.rows), cell, pack)
                piece.verify(0, cell.rows)
            except PackLostError as lost:
                self.lose(lost)
                return None
            parts.append(piece.rows)
        return pa.concat_batches(parts) if len(parts) > 1 else parts[0]

    def _drop_dead(self, names: Iterable[str]) -> None:
        with self._database.reading() as con:
            live = cells.pack_rows(con)
        for name in names:
            if name not in live:
                with suppress(OSError):
                    self._packs.remove(name)

    def _in_order(self, found: Sequence[Cell]) -> bool:
        """Tell whether cells lie as `compact` would lay them."""
        places: dict[str, int] = {}
        order = [(places.setdefault(cell.pack, len(places)), *cell.place) for cell in found]
        rows = sum(cell.rows for cell in found)
        held = sum(self._packs.files().get(name, 0) for name in places) // (8 * len(CANDLE))
        return (
            order == sorted(order)
            and len(places) <= -(-rows // (PACK_ROWS // 2))
            and rows >= held * 0.99 - MERGE * BATCH_ROWS * 0.01
            and all(len(run) == 1 for run in _runs(found))
        )

    def _keep_budget(self, budget: int, *, wait: bool) -> None:
        """Let the least recently read cells go until the packs fit."""
        self.write_used()
        self.sweep()
        if sum(self._packs.files().values()) <= budget:
            return
        with self._database.reading() as con:
            found = cells.all_cells(con)
        room = budget
        kept: list[Cell] = []
        gone: list[Cell] = []
        # A tenth is kept free, so that the next pack does not start this again.
        for cell in sorted(found, key=lambda cell: cell.used, reverse=True):
            room -= cell.rows * 8 * len(CANDLE)
            (kept if room >= budget // 10 else gone).append(cell)
        self._database.note(lambda con: [cells.forget(con, cell) for cell in gone], wait=wait)
        self._drop_dead({cell.pack for cell in gone})
        mixed = {cell.pack for cell in gone} & {cell.pack for cell in kept}
        order = {cell: place for place, cell in enumerate(found)}
        stay = sorted((cell for cell in kept if cell.pack in mixed), key=lambda cell: order[cell])
        for group in _by_rows(stay, PACK_ROWS):
            self._rewrite_cells(group, wait=wait)


def loose_of(
    series: Series, found: Sequence[Cell], *, now: int, start: int = -FOREVER, end: int = FOREVER
) -> list[Loose]:
    """Return the loose stretches of a series in `[start, end)`, up to its last bar that has ended at `now`.

    `found` are all its cells. Long ones come in pieces of `BUILD_ROWS` bars at most.
    """
    timeframe = Timeframe.parse(series.timeframe)
    left = series.rows - sum(cell.rows for cell in found)
    last = series.last if timeframe.next(series.last) <= now else timeframe.floor(min(series.last, now))
    high = series.last + 1 if timeframe.next(series.last) <= now else last
    pieces: list[Loose] = []
    if left > 0:
        for low, top in cells.loose_ranges(found):
            inner_low, inner_top = max(low, start, series.first), min(top, end, high)
            if inner_low >= inner_top or timeframe.span(inner_low, inner_top) == 0:
                continue
            whole_low = low if low > -FOREVER and low >= start else inner_low
            whole_top = top if top < FOREVER and top <= min(end, high) else inner_top
            pieces += _pieces(series, timeframe, whole_low, whole_top, left)
    return pieces


def _pieces(series: Series, timeframe: Timeframe, low: int, high: int, left: int) -> Iterator[Loose]:
    step = BUILD_ROWS * timeframe.shortest_ms
    # Where the bars are sparse, as many as there are fit into one piece.
    for at in range(low, high, step) if left > BUILD_ROWS else (low,):
        top = min(high, at + step) if left > BUILD_ROWS else high
        yield Loose(series.symbol, series.timeframe, at, top, min(left, timeframe.span(at, top)))


def _groups(pieces: Sequence[Loose]) -> Iterator[list[Loose]]:
    """Put pieces together until they are worth asking the scanner."""
    group: list[Loose] = []
    rows = 0
    for piece in pieces:
        if group and rows + piece.rows > BUILD_ROWS:
            yield group
            group, rows = [], 0
        group.append(piece)
        rows += piece.rows
    if group:
        yield group


def _by_rows(found: Sequence[Cell], most: int) -> Iterator[list[Cell]]:
    group: list[Cell] = []
    rows = 0
    for cell in found:
        if group and rows + cell.rows > most:
            yield group
            group, rows = [], 0
        group.append(cell)
        rows += cell.rows
    if group:
        yield group


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


def _take(sealer: Sealer, group: Sequence[Loose], table: pa.Table) -> None:
    """Cut what the scanner gave into the stretches that were asked for."""
    import pyarrow.compute as pc  # noqa: PLC0415 - 20 ms that a process which only reads need not wait for

    if not table.num_rows:
        return
    numbers = pc.run_end_encode(table["number"].cast(pa.int32()).combine_chunks())
    columns = [table[name].cast(CANDLE.field(name).type).combine_chunks() for name in CANDLE_COLUMNS]
    whole, at = pa.RecordBatch.from_arrays(columns, schema=CANDLE), 0
    for number, end in zip(numbers.values.to_pylist(), numbers.run_ends.to_pylist(), strict=True):
        piece = group[number]
        sealer.add(piece.symbol, piece.timeframe, piece.start, piece.end, whole.slice(at, end - at))
        at = end


def _publish(con: apsw.Connection, made: Sequence[Cell], revisions: dict[tuple[str, str], int]) -> int:
    """Publish the cells of series that have not changed since, unless others did; return the rows."""
    by_series: dict[tuple[str, str], list[Cell]] = {}
    for cell in made:
        by_series.setdefault((cell.symbol, cell.timeframe), []).append(cell)
    rows = 0
    for key, new in by_series.items():
        series = catalogue.find(con, *key)
        if series is None or series.revision != revisions.get(key):
            continue
        fresh = [cell for cell in new if not cells.covering(con, *key, cell.start, cell.end - 1)]
        cells.insert(con, fresh)
        rows += sum(cell.rows for cell in fresh)
    return rows


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
