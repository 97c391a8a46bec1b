"""Reading candles: from memory, else from mapped packs and what is loose in the table, all of one moment.

An answer is assembled in one read transaction: what its cells say is true in it, and what they do not cover
is read from the table in the same. So it is of one revision, whoever writes meanwhile. A series that is held
in memory is current as long as its revision in the file is the one it was assembled at (3 us to ask).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

import apsw

from mdstore.cache.memory_tier import MemoryTier, Sized
from mdstore.candles.file import catalogue
from mdstore.candles.file import table_reads as reader
from mdstore.candles.file.bar_digests import Proof, read_proven_rows
from mdstore.candles.file.catalogue import Series
from mdstore.candles.file.database import Database
from mdstore.candles.file.table_reads import Request
from mdstore.candles.file.wide_rows import table_of, union
from mdstore.candles.packs import cells
from mdstore.candles.packs.cells import Cell
from mdstore.candles.packs.columns import ROW_BYTES, Panel, SeriesView, Stretch, is_short, one_piece
from mdstore.candles.packs.merging import Compaction
from mdstore.candles.packs.pack_files import PackLostError, Packs
from mdstore.candles.packs.seal_policy import Hand, Loose, Upkeep, loose_of
from mdstore.candles.packs.sealing import closed_rows
from mdstore.candles.reads.answer import Answer
from mdstore.candles.reads.assembly import FEW, LOOSE_ROWS, Assembly, MismatchError, Plan
from mdstore.candles.reads.grown import Grown, GrownPanels, grown, light_of
from mdstore.candles.writes.written import Appended, NewBars, Written
from mdstore.core.long_table import Long
from mdstore.core.polars_forks import polars_is_broken
from mdstore.core.schema import CANDLE_COLUMNS
from mdstore.core.time_bounds import FOREVER
from mdstore.core.timeframe import Timeframe
from mdstore.errors import DamagedDataError

__all__ = ["Columnar"]

REVISION = "SELECT revision FROM revision"
REVISION_OF = "SELECT revision FROM series WHERE symbol = ? AND timeframe = ?"
# From so many on, the bars at the end of a series that have ended are sealed by whoever reads them.
TAIL_ROWS = 256
# A read of fewer rows goes straight to the table where more than it wants is loose: a feed's latest bars.
STRAIGHT_ROWS = 20_000
REMEMBERED = 1_000  # lists of symbols of which it is known how many rows they have taken so
ATTEMPTS = 4
USE_SECONDS = 3_600.0
GROWN = "kept, and what was written since put behind it"
LITTLE = "most of it is loose, and little of it is wanted"


class _TooLooseError(Exception):
    """Stretches that must be sealed before a read can be answered from packs."""

    def __init__(self, loose: list[Loose]) -> None:
        super().__init__(loose)
        self.loose = loose


class Columnar:
    """The reading side of one file."""

    def __init__(
        self,
        database: Database,
        packs: Packs,
        upkeep: Upkeep,
        compaction: Compaction,
        memory: MemoryTier,
        *,
        written: Written,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._packs = packs
        self._upkeep = upkeep
        self._compaction = compaction
        self._memory = memory
        self._written = written
        self._clock = clock
        self._seals = database.read_only is None
        self._straight_rows: dict[tuple[str, tuple[str, ...] | None], int] = {}

    def read(
        self, request: Request, *, verify: bool = True, keep: bool = True, used: Sequence[str] | None = None
    ) -> Answer:
        """Answer a request; without `verify`, whoever uses the answer verifies what it uses.

        An answer of several series that is wanted only once is put together without `keep`. `used` are the
        columns that are used of it, where they are not those of the request.

        Raises `NoSuchSeriesError`.
        """
        reason = "the packs cannot be used just now"
        for _ in range(ATTEMPTS):
            try:
                answer = (
                    self._panel(request, used or request.columns, keep=keep)
                    if request.is_long
                    else self._series(request)
                )
                if verify:
                    answer.verify()
            except PackLostError as lost:
                self.lose(lost)
            except _TooLooseError as error:
                if not self._upkeep.seal(error.loose):
                    reason = self._upkeep.trouble or "nothing could be sealed: somebody writes"
                    break
            except (MismatchError, DamagedDataError) as error:
                reason = str(error)  # what is sound of it can be had from the table, which is proven
                break
            else:
                return answer
        with self._database.reading() as con:
            listed = self._listed(con, request)
            try:
                return self._straight(con, listed, request, reason)
            except DamagedDataError:
                found = self._beside_damage(con, listed, request)
                if found is None:
                    raise
                return found

    def gather(
        self,
        con: apsw.Connection,
        listed: Sequence[Series],
        name: str,
        window: tuple[int, int, int | None],
        *,
        straight: bool = False,
    ) -> Panel | Long | list[Loose]:
        """Return series under each other, inside the caller's transaction; or what must be sealed first.

        `window` is start, end and how many of the latest bars of each. With `straight` they come from the
        table, whatever that takes, as do bars of another program whose length has no name here: a `Long`, of
        all in the range. Raises `PackLostError`, to be told to `lose`.
        """
        start, end, _ = window
        if straight or not Timeframe.is_name(name):
            proof = Proof(con)
            names = [series.names for series in listed]
            parts = [
                proof.read((series.symbol, name), start, end, extras=extras)
                for series, extras in zip(listed, names, strict=True)
            ]
            proof.settle()
            ends = list(accumulate(part.num_rows for part in parts))
            symbols = [series.symbol for series in listed]
            return Long(table_of(parts, names, union(names)), symbols, ends)
        try:
            plan = self._planned(con, listed, Timeframe.parse(name))
            loose = self._too_loose(con, plan, start, end)
            if loose:
                return loose
            views = self._views(con, plan, start, end)
        except (MismatchError, DamagedDataError):
            return self.gather(con, listed, name, window, straight=True)
        panel = Panel([Stretch(view, *view.within(*window)) for view in views])
        panel.verify()
        self._use(views)
        return panel

    def kept(self, key: Hashable, revision: int) -> Any:
        """Return what was put under a key, if it is of that revision of the store and its packs are there."""
        value = self._memory.get(key)
        if value is None or value.revision != revision or not value.intact():
            self._memory.miss()
            return None
        self._memory.hit()
        panels = [panel for panel in value.panels if isinstance(panel, Panel)]
        self._use([stretch.view for panel in panels for stretch in panel.stretches])
        return value

    def stale(self, key: Hashable) -> Any:
        """Return what was put under a key, of whichever revision, if its packs are there."""
        value = self._memory.get(key)
        return value if value is not None and value.intact() else None

    def grow(
        self,
        panels: Mapping[str, Panel | Grown],
        window: tuple[int, int, int | None],
        before: int,
        revision: int,
    ) -> GrownPanels | None:
        """Return panels of every symbol, by timeframe, with what this process has written since a revision.

        None where something else has changed. Raises `PackLostError`, to be told to `lose`.
        """
        since = self._written.between(before, revision)
        if since is None:
            return None
        found: dict[str, Grown] = {}
        for name, kept in panels.items():
            now = self._grown_by(kept, name, window, since, every=True)
            if now is None:
                return None
            found[name] = now
        return GrownPanels(found, {group.timeframe for one in since for group in one.groups})

    def keep(self, key: Hashable, value: Sized) -> None:
        """Keep what was made of panels: it has `panels`, a `revision` and `intact`."""
        self._memory.put(key, value)

    @property
    def limit(self) -> int:
        """The bytes that are kept at most."""
        return self._memory.limit

    def lightly(self, panel: Panel | Grown) -> Grown | None:
        """Return a panel as it is kept where it takes more than may be. Raises `PackLostError`.

        Its rows are put together each time that they are asked for, which takes 50 ns a row; to find out in
        the file where they lie takes 100 us a series.
        """
        return light_of(panel, self._clock())

    def lose(self, lost: PackLostError) -> None:
        """Take note that a pack is lost."""
        self._compaction.lose(lost)
        self._memory.clear()

    def _series(self, request: Request) -> Answer:
        assert request.symbols is not None  # noqa: S101 - only a long answer is of every symbol; for mypy
        symbol, timeframe = request.symbols[0], str(request.timeframe)
        view: SeriesView | None = self._memory.get((timeframe, symbol))
        if view is not None:
            row = self._database.peek(REVISION_OF, (symbol, timeframe))
            if row is not None and row[0] == view.revision and view.intact():
                self._memory.hit()
                return self._of_view(view, request, ("memory",))
        self._memory.miss()
        with self._database.reading() as con:
            series = catalogue.find(con, symbol, timeframe)
            if series is None:
                raise catalogue.no_such_series(con, symbol, timeframe, self._database.path.name)
            views = self._found(con, [series], request)
            if views is None:
                return self._straight(con, [series], request, LITTLE)
        self._seal_tails(views, request.timeframe)
        return self._of_view(views[0], request, _tiers(views))

    def _of_view(self, view: SeriesView, request: Request, tiers: tuple[str, ...]) -> Answer:
        low, high = view.within(request.start, request.end, request.limit)
        if self._clock() >= view.noted_until:
            self._use([view])
        return Answer(view, low, high, request.columns, tiers, [view])

    def _panel(self, request: Request, used: Sequence[str], *, keep: bool) -> Answer:
        key = (str(request.timeframe), request.symbols, request.start, request.end, request.limit)
        kept: Panel | Grown | None = self._memory.get(key)
        if kept is not None:
            row = self._database.peek(REVISION)
            if row is not None and kept.intact():
                now = kept if row[0] == kept.revision else self._grown(kept, request, int(str(row[0])))
                if now is not None:
                    self._memory.hit()
                    if (now.expect(used) or now is not kept) and keep:
                        self._keep(key, now)
                    return self._of_panel(now, request, ("memory",))
        self._memory.miss()
        with self._database.reading() as con:
            revision = catalogue.revision(con)
            listed = self._listed(con, request)
            views = self._found(con, listed, request)
            if views is None:
                answer = self._straight(con, listed, request, LITTLE)
                if keep and request.stored == CANDLE_COLUMNS and not any(one.extras for one in listed):
                    assert isinstance(answer.source, Long)  # noqa: S101 - as it comes straight; for mypy
                    plain = Grown(answer.source, answer.lasts, revision, answer.revision, self._clock())
                    self._keep(key, plain)
                return answer
        self._seal_tails(views, request.timeframe)
        window = request.start, request.end, request.limit
        panel = Panel([Stretch(view, *view.within(*window)) for view in views], revision)
        panel.expect(used)
        if keep:
            self._keep(key, panel)
        return self._of_panel(panel, request, _tiers(views))

    def _grown(self, kept: Panel | Grown, request: Request, revision: int) -> Grown | None:
        """Return what is kept with what this process has written since, if nothing else has changed.

        For an hour; then its cells are noted as read again. Raises `PackLostError`.
        """
        since = self._written.between(kept.revision, revision)
        if since is None:
            return None
        window = request.start, request.end, request.limit
        return self._grown_by(kept, str(request.timeframe), window, since, every=request.symbols is None)

    def _grown_by(
        self,
        kept: Panel | Grown,
        timeframe: str,
        window: tuple[int, int, int | None],
        since: Sequence[Appended[NewBars]],
        *,
        every: bool,
    ) -> Grown | None:
        now = self._clock()
        if polars_is_broken():  # in a forked child, which may read tables
            return None
        before = Grown.of(kept, now) if isinstance(kept, Panel) else kept
        if before is None or now >= before.made + USE_SECONDS:
            return None
        return grown(before, timeframe, window, since, every=every)

    def _keep(self, key: Hashable, panel: Panel | Grown) -> None:
        kept = panel if panel.bytes <= self._memory.limit else self.lightly(panel)
        if kept is not None:
            self._memory.put(key, kept)

    def _of_panel(self, panel: Panel | Grown, request: Request, tiers: tuple[str, ...]) -> Answer:
        if isinstance(panel, Grown):
            more = (GROWN, "", panel.lasts, panel.changed)
            return Answer(panel.answer(), 0, panel.rows, request.columns, tiers, (), *more)
        views = [stretch.view for stretch in panel.stretches]
        self._use(views)
        return Answer(panel, 0, panel.rows, request.columns, tiers, views)

    def _found(
        self, con: apsw.Connection, listed: Sequence[Series], request: Request
    ) -> list[SeriesView] | None:
        """Return series as they are now, as far as a request needs them; None where the table is as quick.

        Raises `_TooLooseError`.
        """
        plan = self._planned(con, listed, request.timeframe)
        if self._goes_straight(plan, request):
            return None
        loose = self._too_loose(con, plan, request.start, request.end)
        if loose:
            raise _TooLooseError(loose)
        return self._views(con, plan, request.start, request.end)

    def _use(self, views: Sequence[SeriesView]) -> None:
        now = self._clock()
        for view in views:
            if now >= view.noted_until:
                view.noted_until = now + USE_SECONDS
                self._compaction.use([piece.cell for piece in view.pieces if piece.cell is not None])

    def _planned(self, con: apsw.Connection, listed: Sequence[Series], timeframe: Timeframe) -> list[Plan]:
        """Say of each series whether it is in memory as it is now, or which cells it has."""
        name, seen = str(timeframe), dict[str, bool]()
        held = [self._held(series, seen) for series in listed]
        missing = [series for series, view in zip(listed, held, strict=True) if view is None]
        found = self._cells(con, missing, name)
        return [
            Plan(series, view, found.get(series.symbol, []) if view is None else [])
            for series, view in zip(listed, held, strict=True)
        ]

    def _held(self, series: Series, seen: dict[str, bool]) -> SeriesView | None:
        view: SeriesView | None = self._memory.get((series.timeframe, series.symbol))
        current = view is not None and view.revision == series.revision and _intact(view, seen)
        return view if current else None

    def _cells(self, con: apsw.Connection, listed: Sequence[Series], timeframe: str) -> dict[str, list[Cell]]:
        if len(listed) > FEW:
            found = cells.cells_of_timeframe(con, timeframe)
        else:
            found = {one.symbol: cells.cells_of(con, one.symbol, timeframe) for one in listed}
        if not self._packs.given_up:
            return found
        return {symbol: self._compaction.usable(one) for symbol, one in found.items()}

    def _goes_straight(self, plan: Sequence[Plan], request: Request) -> bool:
        """Tell whether a read wants so little beside what is loose that the table answers it sooner.

        Until such reads have taken as many rows as are loose: then these are read once, and kept or sealed.
        """
        left = sum(one.left for one in plan)
        bound = reader.row_bound(request, [one.series for one in plan]) if left else 0
        if not 0 < bound < left or bound > STRAIGHT_ROWS:
            return False
        if TAIL_ROWS * len(plan) <= left <= LOOSE_ROWS * len(plan):
            return False  # worth sealing, and little work
        key = (str(request.timeframe), request.symbols)
        taken = self._straight_rows.pop(key, 0) + bound
        if taken >= left:
            return False
        if len(self._straight_rows) >= REMEMBERED:
            self._straight_rows.clear()
        self._straight_rows[key] = taken
        return True

    def _too_loose(self, con: apsw.Connection, plan: Sequence[Plan], start: int, end: int) -> list[Loose]:
        """Return the loose stretches in a range of those series that have too much of it to read along."""
        now, loose = int(self._clock() * 1000), []
        for one in plan if self._seals else ():
            if one.left > LOOSE_ROWS:
                pieces = loose_of(con, one.series, one.found, now=now, start=start, end=end)
                if sum(piece.rows for piece in pieces) > LOOSE_ROWS:
                    loose += pieces
        return loose

    def _views(self, con: apsw.Connection, plan: Sequence[Plan], start: int, end: int) -> list[SeriesView]:
        kept = self._kept_rows(plan)
        views = Assembly(con, self._packs).views(plan, start, end, kept)
        for one, view in zip(plan, views, strict=True):
            if one.view is None and one.left <= kept:
                self._memory.put((view.timeframe, view.symbol), view)
        if self._packs.released:
            self._packs.released = False
            self._memory.prune(lambda value: value.intact())
        return views

    def _kept_rows(self, plan: Sequence[Plan]) -> int:
        """Return how many loose rows of a series are read whole, and kept in memory.

        Where nothing can be sealed that is all that memory holds: else each read would go to the table.
        """
        room = 0 if self._seals else self._memory.limit // ROW_BYTES
        return room if sum(one.left for one in plan) <= room else LOOSE_ROWS

    def _seal_tails(self, views: Sequence[SeriesView], timeframe: Timeframe) -> None:
        """Seal loose rows that were read just now, where they have become many or lie between cells."""
        if not self._seals:
            return
        now = int(self._clock() * 1000)
        hands, worth = [], False
        for view in views:
            for hand, enough in _hands(view, timeframe, now):
                hands.append(hand)
                worth = worth or enough
        if worth:
            self._upkeep.seal_hands(hands)

    def _straight(
        self, con: apsw.Connection, listed: Sequence[Series], request: Request, reason: str
    ) -> Answer:
        rows = read_proven_rows(con, request, listed)
        if len(listed) > 1 and not request.extras and is_short(rows.values.num_rows, len(listed)):
            # A bar of each of 10,000 series held the buckets that it was proven by: 160 MB.
            rows = Long(one_piece(rows.values), rows.symbols, rows.ends)
        count, sql = rows.values.num_rows, reader.rows_sql(request)
        lasts, revision = [one.last for one in listed], max((one.revision for one in listed), default=0)
        return Answer(rows, 0, count, request.columns, ("sqlite",), (), reason, sql, lasts, revision)

    def _beside_damage(
        self, con: apsw.Connection, listed: Sequence[Series], request: Request
    ) -> Answer | None:
        """Answer of packs, and of the table only what these lack of the range; None where that is damaged."""
        window = request.start, request.end, request.limit
        try:
            plan = self._planned(con, listed, request.timeframe)
            views = Assembly(con, self._packs).views(plan, request.start, request.end, kept=-1)
            panel = Panel([Stretch(view, *view.within(*window)) for view in views])
            panel.verify()
        except (DamagedDataError, PackLostError):
            return None
        if request.is_long:
            return self._of_panel(panel, request, _tiers(views))
        return self._of_view(views[0], request, _tiers(views))

    def _listed(self, con: apsw.Connection, request: Request) -> list[Series]:
        name, file = str(request.timeframe), self._database.path.name
        listed = catalogue.series_of(con, name)
        if request.symbols is None:
            if not listed:
                raise catalogue.no_such_series(con, None, name, file)
            return listed
        known = {series.symbol: series for series in listed}
        missing = next((symbol for symbol in request.symbols if symbol not in known), None)
        if missing is not None:
            raise catalogue.no_such_series(con, missing, name, file)
        return [known[symbol] for symbol in request.symbols]


def _tiers(views: Sequence[SeriesView]) -> tuple[str, ...]:
    packs = any(view.packs for view in views)
    loose = any(piece.cell is None for view in views for piece in view.pieces)
    return (*(("packs",) if packs else ()), *(("sqlite",) if loose or not packs else ()))


def _intact(view: SeriesView, seen: dict[str, bool]) -> bool:
    """Tell whether the packs of a view are; each is asked about once for all views."""
    for pack in view.packs:
        if pack.name not in seen:
            seen[pack.name] = pack.intact()
    return all(seen[pack.name] for pack in view.packs)


def _hands(view: SeriesView, timeframe: Timeframe, now: int) -> Iterator[tuple[Hand, bool]]:
    """Yield the loose rows of a view that could be sealed, and whether they are enough for a pack."""
    for at, piece in enumerate(view.pieces):
        if piece.cell is not None:
            continue
        before, after = (
            view.pieces[place].cell if 0 <= place < len(view.pieces) else None for place in (at - 1, at + 1)
        )
        if piece.rows.num_rows < TAIL_ROWS // 4 and after is None:
            continue  # as most are: 5 us less
        count = piece.rows.num_rows if after else closed_rows(piece.rows, timeframe, now)
        if count < TAIL_ROWS // 4 and after is None:
            continue
        start = before.end if before else -FOREVER
        end = after.start if after else FOREVER
        hand = Hand(view.symbol, str(timeframe), start, end, view.revision, piece.rows.slice(0, count))
        yield hand, after is not None or count >= TAIL_ROWS
