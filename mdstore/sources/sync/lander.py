"""Pages that wait land together: one synced commit for all of them, while the next ones come.

A commit that is synced takes 5 ms, and a page of 200 bars comes every 2 ms from a source without limits. So
what has come while one transaction was written is the next one. Every page is whole in its transaction, with
its rows and with what it proves; what was killed in between was never there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import polars as pl

from mdstore.core.candle_rules import NO_BAD
from mdstore.core.checked_rows import Checked, Group
from mdstore.core.timeframe import Timeframe
from mdstore.errors import MarketDataError
from mdstore.sources.sync.coordinator import Page
from mdstore.sources.sync.page_proof import Proven, without_edges
from mdstore.sources.sync.page_rows import rows_of, rows_together, said_of_page
from mdstore.sources.sync.sync_place import Key, Landing, Range, Said, SyncPlace

if TYPE_CHECKING:
    from mdstore.candles.writes.results import WriteResult

__all__ = ["Arrived", "Landed", "Lander", "NotStoredError"]

GATHER_SECONDS = 0.02
"""Where pages come quicker than commits, the next ones are waited for so long: a transaction costs 2 ms of a
core besides its rows, and a page of 200 bars a third of one."""
MOST_WAITING = 64
"""So many pages wait at most; a source that is quicker waits for the disk."""


@dataclass(frozen=True, slots=True, eq=False)
class Arrived:
    """A page of a series as a source gave it for `asked`; from `settled` on (ms) it may yet be amended.

    `most` is how many bars a page of the source has, where it is not the source that proves its pages.
    """

    symbol: str
    timeframe: Timeframe
    page: Page
    asked: Range
    settled: int
    most: int | None = None

    @property
    def key(self) -> Key:
        """Of which series it is."""
        return self.symbol, str(self.timeframe)


@dataclass(frozen=True, slots=True)
class Landed:
    """What a page has proven, now that it is stored; of the bars in it that are `bad` (ms), nothing is known.

    `result` is of all pages of its series in that commit, told with the first of them.
    """

    range: Range
    result: WriteResult | None
    bad: Sequence[int] = ()


class NotStoredError(Exception):
    """The store took nothing, of any series: `error` says why."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


Outcome = Landed | Exception
Waiting = tuple[Arrived, "asyncio.Future[Landed]"]


class Lander:
    """Stores what one source gives. Its coroutines run in one event loop, the work in threads."""

    def __init__(self, place: SyncPlace, source: str) -> None:
        self._place, self._source = place, source
        self._waiting: list[Waiting] = []
        self._room = asyncio.Semaphore(MOST_WAITING)
        self._work: asyncio.Task[None] | None = None

    async def put(self, page: Arrived) -> asyncio.Future[Landed]:
        """Take a page once there is room for it; the future tells what came of it."""
        await self._room.acquire()
        future: asyncio.Future[Landed] = asyncio.get_running_loop().create_future()
        self._waiting.append((page, future))
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._land_all())
        return future

    async def at_rest(self) -> None:
        """Wait until all that was taken is stored; not even a cancellation ends that."""
        if self._work is not None and not self._work.done():
            await asyncio.shield(self._work)

    async def _land_all(self) -> None:
        batch: list[Waiting] = []
        try:
            while self._waiting:
                if len(batch) > 1:
                    await asyncio.sleep(GATHER_SECONDS)
                batch, self._waiting = self._waiting, []
                await self._land_batch(batch)
        finally:  # the loop may end in between: whoever waits for a page would wait for ever
            for _, future in (*batch, *self._waiting):
                future.cancel()

    async def _land_batch(self, batch: Sequence[Waiting]) -> None:
        outcomes: Sequence[Outcome]
        try:
            outcomes = await asyncio.to_thread(self._land, [page for page, _ in batch])
        except Exception as error:  # of the store: of all that was in the transaction
            outcomes = [NotStoredError(error)] * len(batch)
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            self._room.release()
            if future.cancelled():
                continue
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
                future.exception()  # whoever waited for it may be gone
            else:
                future.set_result(outcome)

    def _land(self, pages: Sequence[Arrived]) -> list[Outcome]:
        """Store pages in one transaction, but for those that are none, and say of each what came of it."""
        by_series: dict[Key, list[Arrived]] = {}
        for page in pages:
            by_series.setdefault(page.key, []).append(page)
        proven: dict[Arrived, Range] = {}
        wrong: dict[Arrived, Exception] = {}
        landings = []
        for key, those in by_series.items():
            landing = self._together(key, those) or self._one_by_one(key, those, wrong)
            if landing is not None:
                landings.append(landing)
                proven.update(landing[1])
        done = self._place.land([landing for landing, _ in landings]) if landings else []
        results = {landing.key: result for (landing, _), result in zip(landings, done, strict=True)}
        bad = {landing.key: landing.rows.bad["time"].to_list() for landing, _ in landings}
        # What became of a series is told with its first page.
        return [
            wrong[page]
            if page in wrong
            else Landed(proven[page], results.pop(page.key, None), _within(bad[page.key], proven[page]))
            for page in pages
        ]

    def _together(self, key: Key, pages: Sequence[Arrived]) -> tuple[Landing, dict[Arrived, Range]] | None:
        if len(pages) == 1 or any(page.most is not None for page in pages):
            return None
        try:
            rows = rows_together([(page.page, page.asked) for page in pages], key, self._place)
        except MarketDataError:
            rows = None
        if rows is None:
            return None
        ranges = {page: (page.page.start, page.page.end) for page in pages}
        return self._landing(key, rows, NO_BAD, ranges), ranges

    def _one_by_one(
        self, key: Key, pages: Sequence[Arrived], wrong: dict[Arrived, Exception]
    ) -> tuple[Landing, dict[Arrived, Range]] | None:
        found: dict[Arrived, Proven] = {}
        for page in pages:
            try:
                one = rows_of(page.page, key, page.asked, page.most, self._place)
            except MarketDataError as error:
                wrong[page] = error
            else:
                is_proven = page.most is None or page.page.absent
                found[page] = one if is_proven else without_edges(one, page.timeframe)
        if not found:
            return None
        rows = pl.concat([one.rows for one in found.values()], how="diagonal")
        if len(found) > 1:  # of a bar that is in two pages the later one counts
            rows = rows.unique("timestamp", keep="last").sort("timestamp")
        bad = pl.concat([one.bad for one in found.values()])
        ranges = {page: (one.start, one.end) for page, one in found.items()}
        return self._landing(key, rows, bad, ranges), ranges

    def _landing(
        self, key: Key, rows: pl.DataFrame, bad: pl.DataFrame, ranges: Mapping[Arrived, Range]
    ) -> Landing:
        said = _said(ranges)
        groups = [Group(*key, part) for part in _runs(rows, said)]
        return Landing(key, Checked(groups, bad, 0, len(rows) + len(bad)), said, self._source)


def _within(times: Sequence[int], part: Range) -> list[int]:
    return [at for at in times if part[0] <= at < part[1]]


def _runs(rows: pl.DataFrame, said: Sequence[Said]) -> list[pl.DataFrame]:
    """Cut rows where one stretch ends and another begins.

    A run that is written where there are no bars is new without a look at each of them: 1 us a bar, not 7.
    """
    starts = pl.Series([one.start for one in said], dtype=pl.Int64)
    cuts = [*rows["timestamp"].search_sorted(starts, side="left"), len(rows)]
    return [rows.slice(low, high - low) for low, high in pairwise(cuts) if low < high]


def _said(ranges: Mapping[Arrived, Range]) -> list[Said]:
    """Say what pages cover; those behind each other of which the same is said are one."""
    made: list[Said] = []
    for one, (low, high) in sorted(ranges.items(), key=lambda item: item[1]):
        new = said_of_page(low, high, one.page, one.settled)
        last = made[-1] if made else None
        if last is not None and (last.end, last.absent, last.settled) == (new.start, new.absent, new.settled):
            new = Said(made.pop().start, new.end, new.absent, new.settled)
        made.append(new)
    return made
