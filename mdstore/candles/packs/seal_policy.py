"""Upkeep of a series: what lies loose in the table is sealed in a pack, when somebody wants it there.

It can be interrupted, or killed, anywhere: a pack is complete before the SQLite file points to it, and
whether the rows are still those that were taken is asked in the transaction that says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from math import nan
from typing import TypeVar

import apsw
import pyarrow as pa

from mdstore.candles.file import catalogue, frozen
from mdstore.candles.file import table_reads as reader
from mdstore.candles.file.bar_digests import Proof, read_proven, readable_parts
from mdstore.candles.file.bar_places import nth_bar
from mdstore.candles.file.catalogue import Series
from mdstore.candles.file.database import Database
from mdstore.candles.file.declared_columns import held_by_series, hold, names_of
from mdstore.candles.file.digests import accept, ceiling, floor, span_of
from mdstore.candles.file.scan_views import Views
from mdstore.candles.file.scanner import Scanner
from mdstore.candles.file.thawing import settle_strays
from mdstore.candles.file.wide_rows import between
from mdstore.candles.ledger import arrivals
from mdstore.candles.packs import cells
from mdstore.candles.packs.cells import CELL_ROWS, Cell
from mdstore.candles.packs.merging import Compaction, Progress
from mdstore.candles.packs.pack_files import Packs
from mdstore.candles.packs.sealing import Sealer, by_rows
from mdstore.core.schema import CANDLE, wide_candle
from mdstore.core.time_bounds import FOREVER
from mdstore.core.timeframe import Timeframe
from mdstore.errors import DamagedDataError, ScannerError, StoreFileError, TimestampError

__all__ = ["SEAL_BATCH", "SEAL_LEAST", "SEAL_ROWS", "Hand", "Loose", "Upkeep", "loose_of"]

# From so many new rows on, a write puts them into a pack as well; fewer wait in the table for a read.
SEAL_ROWS = 2_000
SEAL_LEAST = 32  # of one series in one chunk; a bar or two of many series are a feed, which is left to reads
SEAL_BATCH = 262_144  # rows held for it at a time
T = TypeVar("T")

# Where the scanner overtakes APSW (bench/roads.py): it costs a millisecond to ask and 0.22 us a row where
# APSW takes 0.43, and holds the interpreter meanwhile; to start its process takes a third of a second.
SCAN_ROWS = 10_000
SCAN_ROWS_COLD = 1_500_000
RECOUNT = f"""
INSERT INTO series (symbol, timeframe, first, last, rows, revision)
SELECT counted.*, ? FROM ({catalogue.COUNTED}) AS counted
"""  # noqa: S608 - of constants
PROVEN_ROWS = 65_536  # read before they are hashed together, 3 MB: one by one 2,000 rows take a fifth more
BUILD_ROWS = 1_000_000  # asked of the scanner at a time: 56 MB on the way, a third of a second


@dataclass(frozen=True, slots=True)
class Loose:
    """A stretch of a series without a cell, of `rows` candles at most."""

    symbol: str
    timeframe: str
    start: int
    end: int
    rows: int


Stretches = list[tuple[Loose, pa.RecordBatch]]


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
    """Seals the loose rows of one file."""

    def __init__(
        self,
        database: Database,
        packs: Packs,
        scanner: Scanner,
        views: Views,
        compaction: Compaction,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._packs = packs
        self._scanner = scanner
        self._views = views
        self._compaction = compaction
        self._clock = clock
        self._damaged: DamagedDataError | None = None
        self.scanned = 0
        """How often rows were taken from the scanner."""
        self.trouble = self.scanner_trouble = ""
        """Why rows could not be put into packs the last time, or not by the scanner; else empty."""

    def seal_hands(self, hands: Sequence[Hand]) -> int:
        """Put rows in hand into a pack and return how many; nobody is waited for."""

        def take(sealer: Sealer) -> None:
            for hand in hands:
                sealer.add(hand.symbol, hand.timeframe, hand.start, hand.end, hand.rows)

        return self._seal(take, {(hand.symbol, hand.timeframe): hand.revision for hand in hands})

    def seal(self, pieces: Sequence[Loose], progress: Progress | None = None, *, wait: bool = False) -> int:
        """Put loose stretches into packs, by the scanner where they are large; return the rows sealed.

        Raises `DamagedDataError` where some are not what was written, once the others are sealed.
        """
        total = sum(piece.rows for piece in pieces)
        if not self._compaction.has_room(1 if wait else total):
            self.trouble = f"the budget of {self._packs.folder} has no room for {total:,} rows"
            return 0
        limit = SCAN_ROWS if self._scanner.running else SCAN_ROWS_COLD
        sealed = done = 0
        self._damaged = None
        for group in by_rows(pieces, BUILD_ROWS):
            got = self._scan(group, wait) if total > limit else self._walk(group, wait)
            tried = got or self.trouble or self._damaged or not wait
            sealed += got if tried else sum(map(self._insist, group))
            done += sum(piece.rows for piece in group)
            if progress is not None:
                progress(done, total)
        if self._damaged is not None:
            raise self._damaged
        return sealed

    def loose(self) -> list[Loose]:
        """Return the loose stretches of every series, forming bars not among them."""
        now, found = int(self._clock() * 1000), list[Loose]()
        with self._database.reading() as con:
            for one in catalogue.all_series(con):
                if Timeframe.is_name(one.timeframe):
                    with suppress(TimestampError):  # another program's, in a unit that is not ours: it stays
                        known = cells.cells_of(con, one.symbol, one.timeframe)
                        found += loose_of(con, one, known, now=now)
        return found

    def forget_all(self) -> None:
        """Make every row loose, count them anew, and delete every pack.

        Whatever the file holds is taken for right: nothing of it is under the digests that it had. Raises
        `DamagedDataError`, and changes nothing, where that would lose bars, see `mend_all`.
        """
        from mdstore.candles.packs.mended_pieces import mend_all  # noqa: PLC0415 - no read needs it

        with self._database.writing() as con:
            mend_all(con, self._packs)
            settle_strays(con)
            con.preupdate_hook(None)  # all is summed up anew
            con.execute("DELETE FROM cells")
            # Series that other processes hold in memory are taken for changed.
            at_revision = catalogue.bump(con, int(self._clock() * 1000))
            arrivals.spill(con)
            held = held_by_series(con)
            con.execute("DELETE FROM series")
            con.execute(RECOUNT, (at_revision,))
            for key, names in held.items():
                hold(con, key, names)
            con.carried.drop()
            accept(con)
        self._compaction.sweep(young=0.0)

    def _seal(
        self,
        fill: Callable[[Sealer], None],
        revisions: dict[tuple[str, str], int],
        *,
        wait: bool = False,
    ) -> int:
        sealer = Sealer(self._packs, self._clock)
        published = 0
        try:
            fill(sealer)
            made = sealer.finish()
            published = self._database.note(lambda con: _publish(con, made, revisions), wait=wait) or 0
            self.trouble = ""
        except StoreFileError:
            raise
        except OSError as error:
            # No folder, no room, no permission: the rows are where they were, and reads go on.
            self._cannot_write(error)
        finally:
            if not published:
                sealer.take_back(self._database)
        if published:
            self._compaction.merge()
        return published

    def _walk(self, group: Sequence[Loose], wait: bool) -> int:
        """Seal by APSW: the rows and what they are worth are of one moment."""
        revisions: dict[tuple[str, str], int] = {}

        def fill(sealer: Sealer) -> None:
            with self._database.reading() as con:
                for some in by_rows(group, PROVEN_ROWS):
                    for piece, rows in self._proven(con, some):
                        series = catalogue.find(con, piece.symbol, piece.timeframe)
                        if series is not None and rows.num_rows:
                            revisions[piece.symbol, piece.timeframe] = series.revision
                            sealer.add(piece.symbol, piece.timeframe, piece.start, piece.end, rows)

        return self._seal(fill, revisions, wait=wait)

    def _proven(self, con: apsw.Connection, pieces: Sequence[Loose]) -> Stretches:
        """Return the rows of stretches; those that are damaged are left out, which `seal` says at its end."""
        proof, read = Proof(con), Stretches()
        for piece in pieces:
            key = (piece.symbol, piece.timeframe)
            try:
                parts, errors = readable_parts(con, key, *_widened(piece), names_of(con, key))
            except DamagedDataError as error:
                parts, errors = [], [error]
            self._damaged = self._damaged or next(iter(errors), None)
            for low, high, rows in parts:
                part = replace(piece, start=max(low, piece.start), end=min(high, piece.end))
                proof.claim(key, rows, low, high)
                read.append((part, between(rows, part.start, part.end)))
        return self._sound(proof, read)

    def _sound(self, proof: Proof, read: Stretches) -> Stretches:
        found = proof.findings()
        self._damaged = self._damaged or next(filter(None, found), None)
        return [one for one, error in zip(read, found, strict=True) if error is None]

    def _insist(self, piece: Loose) -> int:
        """Seal a stretch of a series that is written to all the time; writers wait, for a cell at a time."""
        at, sealed = piece.start, 0
        while at < piece.end:
            with self._database.writing() as con:
                key = (piece.symbol, piece.timeframe)
                cut = nth_bar(con, key, at, piece.end, CELL_ROWS) or piece.end
                rows = read_proven(con, key, at, cut, names_of(con, key))
                if rows.num_rows and not cells.covering(con, piece.symbol, piece.timeframe, at, cut - 1):
                    sealer = Sealer(self._packs, self._clock)
                    sealer.add(piece.symbol, piece.timeframe, at, cut, rows)
                    made = self._finished(sealer)
                    cells.insert(con, made)
                    sealed += sum(cell.rows for cell in made)
            if self.trouble:
                break
            at = cut
        return sealed

    def _finished(self, sealer: Sealer) -> list[Cell]:
        """Return the cells of a pack, none where it cannot be written; then `trouble` says why."""
        try:
            return sealer.finish()
        except OSError as error:
            self._cannot_write(error)
            with suppress(OSError):
                sealer.discard()
            return []

    def _cannot_write(self, error: OSError) -> None:
        self.trouble = f"the packs in {self._packs.folder} cannot be written: {error}"

    def _scan(self, group: Sequence[Loose], wait: bool) -> int:
        """Seal by the scanner: a series whose revision is the same afterwards has not changed meanwhile.

        It knows nothing of frozen pieces, which APSW reads at a tenth of the time that rows take.
        """
        with self._database.reading() as con:
            cold = [_is_frozen(con, one) for one in group]
            frozen_ones = [one for one, is_frozen in zip(group, cold, strict=True) if is_frozen]
            group = [one for one, is_frozen in zip(group, cold, strict=True) if not is_frozen]
            keys = {(piece.symbol, piece.timeframe) for piece in group}
            known = {key: series for key in keys if (series := catalogue.find(con, *key)) is not None}
        extras = {series.names for series in known.values()}
        walked = self._walk(frozen_ones, wait) if frozen_ones else 0
        # The scanner gives one table: of the series in it, all have the same columns.
        table = self._scanned(group, *extras) if len(extras) == 1 else None
        if table is None:
            return walked + (self._walk(group, wait) if group else 0)
        revisions = {key: series.revision for key, series in known.items()}
        pieces = self._proven_of(table, group, revisions)
        return walked + self._seal(lambda sealer: _take(sealer, pieces), revisions, wait=wait)

    def _proven_of(
        self, table: pa.Table, group: Sequence[Loose], revisions: dict[tuple[str, str], int]
    ) -> Stretches:
        """Return the rows of each stretch that the scanner has read, as far as they are proven.

        Their digests are those of series that have not changed since; of others nothing is published.
        """
        read = Stretches()
        with self._database.reading() as con:
            proof = Proof(con)
            for piece, rows in _cut(table, group):
                key = (piece.symbol, piece.timeframe)
                series = catalogue.find(con, *key)
                if series is not None and series.revision == revisions.get(key):
                    proof.claim(key, rows, piece.start, piece.end)
                    read.append((piece, between(rows, piece.start, piece.end)))
            return self._sound(proof, read)

    def _scanned(self, group: Sequence[Loose], extras: tuple[str, ...]) -> pa.Table | None:
        wanted = [(piece.symbol, piece.timeframe, *_widened(piece)) for piece in group]
        try:
            with self._views.holding(reader.stretches_view(wanted, extras)) as view:
                table = None if view is None else self._scanner.scan(view)
        except ScannerError as error:
            self.scanner_trouble = error.message
            return None  # APSW reads them as well, in more time
        self.scanner_trouble = ""
        self.scanned += table is not None
        return table


def loose_of(
    con: apsw.Connection,
    series: Series,
    found: Sequence[Cell],
    *,
    now: int,
    start: int = -FOREVER,
    end: int = FOREVER,
) -> list[Loose]:
    """Return the loose stretches of a series in `[start, end)`, up to its last bar that has ended at `now`.

    `found` are all its cells. Long ones come in pieces of `BUILD_ROWS` candles.
    """
    timeframe = Timeframe.parse(series.timeframe)
    left = series.rows - sum(cell.rows for cell in found)
    last = series.last if timeframe.next(series.last) <= now else timeframe.floor(min(series.last, now))
    high = series.last + 1 if timeframe.next(series.last) <= now else last
    pieces: list[Loose] = []
    for low, top in cells.loose_ranges(found) if left > 0 else ():
        inner_low, inner_top = max(low, start, series.first), min(top, end, high)
        if inner_low >= inner_top or timeframe.span(inner_low, inner_top) == 0:
            continue
        whole_low = low if low > -FOREVER and low >= start else inner_low
        whole_top = top if top < FOREVER and top <= min(end, high) else inner_top
        most = min(left, timeframe.span(whole_low, whole_top))
        pieces += _pieces(con, series, whole_low, whole_top, most)
    return pieces


def _pieces(con: apsw.Connection, series: Series, low: int, high: int, most: int) -> Iterator[Loose]:
    """Cut a stretch of at most `most` candles by counting those that there are."""
    while most > BUILD_ROWS:
        cut = nth_bar(con, (series.symbol, series.timeframe), low, high, BUILD_ROWS)
        if cut is None:
            break
        yield Loose(series.symbol, series.timeframe, low, cut, BUILD_ROWS)
        low, most = cut, most - BUILD_ROWS
    yield Loose(series.symbol, series.timeframe, low, high, min(most, BUILD_ROWS))


def _is_frozen(con: apsw.Connection, piece: Loose) -> bool:
    """Tell whether any of a stretch is frozen, or of the buckets that prove it."""
    return bool(frozen.pieces(con, (piece.symbol, piece.timeframe), *_widened(piece)))


def _widened(piece: Loose) -> tuple[int, int]:
    """Return the range of the buckets that a stretch reaches into, which prove it."""
    span = span_of(piece.timeframe)
    return floor(piece.start, span), ceiling(piece.end, span)


def _cut(table: pa.Table, group: Sequence[Loose]) -> Iterator[tuple[Loose, pa.RecordBatch]]:
    """Cut what the scanner gave into the stretches that were asked for."""
    import pyarrow.compute as pc  # noqa: PLC0415 - 20 ms that a process which only reads need not wait for

    if not table.num_rows:
        return
    numbers = pc.run_end_encode(table["number"].cast(pa.int32()).combine_chunks())
    schema = wide_candle(table.num_columns - 1 - len(CANDLE))
    # A value that a bar lacks is a null here, and NaN in a pack.
    columns = [table[field.name].cast(field.type) for field in schema]
    columns[len(CANDLE) :] = [pc.fill_null(one, nan) for one in columns[len(CANDLE) :]]
    whole, at = pa.RecordBatch.from_arrays([one.combine_chunks() for one in columns], schema=schema), 0
    for number, end in zip(numbers.values.to_pylist(), numbers.run_ends.to_pylist(), strict=True):
        yield group[number], whole.slice(at, end - at)
        at = end


def _take(sealer: Sealer, pieces: Stretches) -> None:
    for piece, rows in pieces:
        if rows.num_rows:
            sealer.add(piece.symbol, piece.timeframe, piece.start, piece.end, rows)


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
