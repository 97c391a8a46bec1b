"""A stretch of a series is asked of a source: its pages land as they come, and what is left is asked anew."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence, Sized
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count

from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import ms_to_datetime
from mdstore.errors import InvalidInputError
from mdstore.realtime.ranges import Ranges
from mdstore.sources.sync.clocks import refuse_far
from mdstore.sources.sync.coordinator import Coordinator, Metrics, Page, refuse_endless
from mdstore.sources.sync.lander import Arrived, Landed, Lander
from mdstore.sources.sync.page_rows import refuse_no_page, settled_from
from mdstore.sources.sync.result import SeriesSync
from mdstore.sources.sync.source_facts import SourceFacts
from mdstore.sources.sync.sync_place import Key, Range, SyncPlace

__all__ = ["Asking", "Job", "all_landed", "left_of"]


@dataclass(slots=True)
class Job:
    """One series under way."""

    to: SeriesSync
    timeframe: Timeframe
    ranges: Sequence[Range]
    first_stored: int | None
    handed_out: asyncio.Event = field(default_factory=asyncio.Event)
    landing: set[asyncio.Future[Landed]] = field(default_factory=set)
    begins_here: bool = False
    """Whether a page has come that reaches back before the listing."""
    is_gone: bool = False
    """Whether the source trades it no more: nothing else is asked for."""

    @property
    def key(self) -> Key:
        """Which series it is."""
        return self.to.key


class Asking:
    """Asks one source. `slots` are how many requests it takes at a time, `landed` hears of each page."""

    def __init__(  # noqa: PLR0917 - the parts of one sync
        self,
        place: SyncPlace,
        source: Coordinator,
        facts: SourceFacts,
        lander: Lander,
        slots: asyncio.Semaphore,
        landed: Callable[[Job, Landed], None],
    ) -> None:
        self._place, self._source, self._facts = place, source, facts
        self._lander, self._slots, self._landed = lander, slots, landed

    async def fetch(self, job: Job, stretch: Range) -> None:
        """Ask for a stretch, and again for what an answer has not proven. The slot is taken already."""
        before, left = [stretch], await self._ask(job, stretch)
        while left:
            self._refuse_the_same(job, before, left)
            before, left = left, []
            for one in before:
                await self._slots.acquire()
                left += await self._ask(job, one)

    def _refuse_the_same(self, job: Job, before: Sequence[Range], left: Sequence[Range]) -> None:
        """Refuse that nothing comes of an answer."""
        if left == before:
            part = "[{}, {})".format(*map(ms_to_datetime, left[0]))
            raise InvalidInputError(
                f"{self._source.name} answers, and what it gives of {job.to} proves nothing of {part}"
            )

    async def _ask(self, job: Job, part: Range) -> list[Range]:
        """Ask for a range, have its pages landed as they come, and return what they have not proven."""
        clock, rows, error = time.perf_counter(), 0, "cancelled"
        now, shown = self._place.now(), None
        landing: list[asyncio.Future[Landed]] = []
        try:
            try:
                async for page in self._pages(job, part):
                    rows += _rows_in(page)
                    most = None if self._facts.proves else self._source.limits.page_bars
                    job.begins_here |= page.absent == "before_listing"
                    now, shown = min(now, page.clock or now), page.clock or shown
                    settled = settled_from(job.timeframe, now, self._facts.settles)
                    one = Arrived(job.to.symbol, job.timeframe, page, part, settled, most)
                    landing.append(await self._lander.put(one))
                    job.landing.add(landing[-1])
                    landing[-1].add_done_callback(lambda done: self._told(job, done))
            finally:
                self._slots.release()
            if landing:
                await asyncio.wait(landing)  # which a cancellation of this task leaves as they are
            proven, error = [one.result().range for one in landing], ""
        except BaseException as failed:
            error = f"{type(failed).__name__}: {failed}"
            raise
        finally:
            taken_ms = (time.perf_counter() - clock) * 1e3
            with suppress(Exception):  # what it makes of that is its own affair
                self._source.report(Metrics(*job.key, *part, rows, taken_ms, error))
        if self._facts.proves:
            shown = shown or self._facts.clock
            refuse_far(self._source.name, shown, self._place.now(), job.timeframe, part[1])
            now = min(now, shown or now)  # of what lies behind it there is no page
        left = left_of(part, proven)
        # What has just ended comes late, or the clock of the exchange is behind: then it is not so far.
        over = settled_from(job.timeframe, now, self._facts.settles if self._facts.proves else 0)
        return [(low, min(high, over) if self._facts.proves else high) for low, high in left if low < over]

    async def _pages(self, job: Job, part: Range) -> AsyncIterator[Page]:
        """Give the pages of a range; a source that proves them has timeouts of its own, and sits out bans."""
        pages = self._source.candles(*job.key, *part)
        seconds = None if self._facts.proves else self._source.limits.timeout
        try:
            for number in count(1):
                try:
                    async with asyncio.timeout(seconds):
                        page = await anext(pages)
                except StopAsyncIteration:
                    return
                except TimeoutError:
                    raise TimeoutError(f"no answer within {seconds:g} s") from None
                refuse_no_page(self._source.name, str(job.to), page)
                refuse_endless(self._source.name, number, job.timeframe, *part)
                self._facts.count()
                yield page
        finally:
            if hasattr(pages, "aclose"):
                await pages.aclose()

    def _told(self, job: Job, done: asyncio.Future[Landed]) -> None:
        job.landing.discard(done)
        if not done.cancelled() and done.exception() is None:
            self._landed(job, done.result())


async def all_landed(job: Job, asked: Sequence[asyncio.Task[None]]) -> None:
    """Wait for what was begun: the lease is held until the last page has landed, however that ends."""
    try:
        if asked:
            await asyncio.wait(asked)
    except asyncio.CancelledError:
        for task in asked:
            task.cancel()
        await asyncio.wait(asked)
        raise
    finally:
        if job.landing:
            await asyncio.wait(job.landing)


def _rows_in(page: Page) -> int:
    return len(page.rows) if isinstance(page.rows, Sized) else 0


def left_of(part: Range, proven: Iterable[Range]) -> list[Range]:
    """Return what is left of a range without others."""
    left = Ranges()
    left.add(*part)
    for one in proven:
        left.remove(*one)
    return list(left)
