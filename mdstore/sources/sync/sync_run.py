"""One sync: what the ledger says is missing is asked of a source once, and lands page by page.

- The ledger is the state. A page is whole in its transaction, with what it proves; whatever ends a sync, the
  next one asks for what is still missing, and for nothing else.
- Series that lack least come first, so that one that is interrupted has brought most of them up to date; of a
  series the oldest bars come first: up to some time it is whole, and a later sync without a start goes on.
- One process at a time asks for a series (a lease). What another one is asking for is looked at again later,
  and is there by then: two that sync the same series share the work.
- A series that fails does not stop the others.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence, Sized
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

from mdstore.core.hole_reasons import Stated
from mdstore.core.logs import logger
from mdstore.core.time_bounds import EARLIEST
from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import ms_to_datetime
from mdstore.errors import (
    Hint,
    InvalidInputError,
    MarketDataError,
    NoSuchMarketError,
    NoSuchSeriesError,
    StoreClosedError,
    StoreFileError,
)
from mdstore.realtime.ranges import Ranges
from mdstore.sources.sync.coordinator import Coordinator, Metrics, Page, cut
from mdstore.sources.sync.lander import Arrived, Landed, Lander, NotStoredError
from mdstore.sources.sync.leasing import LOOK_SECONDS, held, taken
from mdstore.sources.sync.page_rows import LATE_MS
from mdstore.sources.sync.result import SeriesSync, SyncResult
from mdstore.sources.sync.source_facts import SourceFacts, said_of
from mdstore.sources.sync.sync_place import Key, Range, SyncPlace

if TYPE_CHECKING:
    from mdstore.candles.file.leases import Lease

__all__ = ["LISTING", "SyncRun", "Wanted"]

log = logger("sync")
LISTING = EARLIEST
"""A start that is before every market: from the first bar that the exchange has."""
OF_THE_STORE = (NotStoredError, StoreFileError, StoreClosedError)
"""What fails for one series for these reasons fails for all."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which series a sync is of: symbols and timeframes, in `[start, end)` (ms).

    Without a start each is wanted from its first stored bar on.
    """

    symbols: Sequence[str]
    timeframes: Sequence[Timeframe]
    start: int | None
    end: int


@dataclass(slots=True)
class _Job:
    """One series under way."""

    to: SeriesSync
    timeframe: Timeframe
    ranges: Sequence[Range]
    first_stored: int | None
    handed_out: asyncio.Event = field(default_factory=asyncio.Event)
    landing: set[asyncio.Future[Landed]] = field(default_factory=set)
    begins_here: bool = False
    """Whether a page has come that reaches back before the listing."""

    @property
    def key(self) -> Key:
        return self.to.key


class SyncRun:
    """Fills what is missing of some series from a source. It is used once, in one event loop."""

    def __init__(
        self,
        place: SyncPlace,
        source: Coordinator,
        wanted: Wanted,
        *,
        facts: SourceFacts | None = None,
        progress: Callable[[SyncResult], object] | None = None,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._place, self._source, self._wanted = place, source, wanted
        self._facts = facts or SourceFacts(source)
        self._progress, self._timer = progress, timer
        self._began = timer()
        self._lander = Lander(place, source.name)
        self._slots = asyncio.Semaphore(source.limits.concurrency)
        self.result = SyncResult(source.name, pace=self._facts.pace)
        self.trouble: Exception | None = None
        """What `progress` has raised: the run ends there, and it is not called again."""
        self._running: asyncio.Task[Any] | None = None

    # ---- as a whole

    async def run(self) -> SyncResult:
        """Ask for all that is missing. Raises what keeps the store from taking it; the source's is told."""
        self._running = asyncio.current_task()
        try:
            jobs = await self._plan()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._hand_out(jobs, group))
        except asyncio.CancelledError:
            if self.trouble is None or self._running is None or self._running.uncancel():
                raise  # by somebody else, too
        except BaseExceptionGroup as errors:
            first = errors.exceptions[0]
            raise (first.error if isinstance(first, NotStoredError) else first) from None
        finally:
            await self._lander.at_rest()
            self.result.is_over = True
            self._tell()
            self._facts.told()
        return self.result

    async def plan(self) -> SyncResult:
        """Say what would be asked for; the source is asked for the listing only, where that is the start."""
        for job in await self._plan():
            if self._is_from_listing(job):
                begins = await self._facts.first(*job.key)
                left = (
                    [(max(low, begins), high) for low, high in job.ranges if begins < high] if begins else []
                )
                self._expect(job, left)
        self._tell()
        return self.result

    async def _plan(self) -> list[_Job]:
        """Look at the ledger, once for all series of a timeframe; return those that lack something."""
        jobs: list[_Job] = []
        for timeframe in self._wanted.timeframes:
            firsts = await asyncio.to_thread(self._place.first_bars, timeframe)
            known, lost = self._known(timeframe, firsts)
            missing = await asyncio.to_thread(self._missing, known, timeframe)
            for symbol in self._wanted.symbols:
                series = SeriesSync(symbol, str(timeframe))
                self.result.series.append(series)
                if symbol in lost:
                    self._fail(series, lost[symbol])
                elif symbol in missing:
                    jobs.append(self._job(series, timeframe, missing[symbol], firsts.get(symbol)))
        self._tell()
        return sorted(jobs, key=lambda job: job.to.pages)

    def _known(
        self, timeframe: Timeframe, firsts: Iterable[str]
    ) -> tuple[list[str], dict[str, MarketDataError]]:
        """Part the symbols into those of which it is known from when on they are wanted, and the others."""
        if self._wanted.start is not None:
            return list(self._wanted.symbols), {}
        stored = set(firsts)
        lost: dict[str, MarketDataError] = {
            symbol: NoSuchSeriesError(
                f"no candles of {symbol} {timeframe} are stored: from when on are they wanted?",
                hint=Hint("give since=, a time or 'listing'", "give --since, a time or 'listing'"),
            )
            for symbol in self._wanted.symbols
            if symbol not in stored
        }
        return [symbol for symbol in self._wanted.symbols if symbol in stored], lost

    def _job(
        self, series: SeriesSync, timeframe: Timeframe, ranges: Sequence[Range], first: int | None
    ) -> _Job:
        series.start, series.end, series.state = ranges[0][0], ranges[-1][1], "waiting"
        job = _Job(series, timeframe, ranges, first)
        # From when on an exchange has what is wanted from its listing on is not known yet.
        self._expect(job, [] if self._is_from_listing(job) else ranges)
        return job

    def _expect(self, job: _Job, ranges: Sequence[Range]) -> None:
        bars = [job.timeframe.span(*one) for one in ranges]
        page = self._source.limits.page_bars
        job.to.expect(sum(bars), sum(-(-one // page) for one in bars))

    async def _hand_out(self, jobs: Sequence[_Job], group: asyncio.TaskGroup) -> None:
        """Begin one series after the other, as soon as all of the one before is under way."""
        waiting, later = deque(jobs), deque[_Job]()
        while waiting or later:
            if not waiting:
                await asyncio.sleep(LOOK_SECONDS)
                waiting, later = later, deque()
            job = waiting.popleft()
            lease = await taken(self._place.leases, job.key)
            if lease is None:
                job.to.state = "elsewhere"
                later.append(job)
                continue
            group.create_task(self._work(job, lease, group))
            await job.handed_out.wait()

    # ---- one series

    async def _work(self, job: _Job, lease: Lease, group: asyncio.TaskGroup) -> None:
        async with held(lease):
            job.to.state = "at work"
            asked: list[asyncio.Task[None]] = []
            try:
                stretches: Sequence[Range] = await self._stretches(job)
                if stretches and (job.first_stored is None or stretches[0][0] < job.first_stored):
                    stretches = await self._from_the_beginning(job, stretches, group)
                for stretch in stretches:
                    asked += await self._begin(job, stretch, group)
            except MarketDataError as error:
                if isinstance(error, OF_THE_STORE):
                    raise
                await self._failed(job, None, error)
            finally:
                job.handed_out.set()
                await _all_landed(job, asked)
        await self._count_holes(job)
        if job.to.error is None:
            job.to.state = "done"
            job.to.expect(0, 0)
        self._tell()

    async def _begin(self, job: _Job, stretch: Range, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Begin to ask for a stretch, once that may be; for nothing more of a series that has failed."""
        await self._slots.acquire()
        if job.to.error is not None:
            self._slots.release()
            return []
        return [group.create_task(self._fetch(job, stretch))]

    async def _from_the_beginning(
        self, job: _Job, stretches: Sequence[Range], group: asyncio.TaskGroup
    ) -> Sequence[Range]:
        """Ask for the first page of a series by itself, and return what is left to ask for.

        Where it is before the listing, as the source says, years of empty answers need not be asked for.
        """
        page = cut(job.timeframe, *stretches[0], self._source.limits.page_bars)[0]
        await _all_landed(job, await self._begin(job, page, group))
        rest = _left(stretches[0], [page]) + list(stretches[1:])
        if not job.begins_here:
            return rest
        return await self._stretches(job) if await self._state_listing(job) else rest

    async def _stretches(self, job: _Job) -> list[Range]:
        """Return what to ask for, oldest first: what is missing now that nobody else asks for it."""
        if self._is_from_listing(job) and not await self._state_listing(job):
            raise InvalidInputError(
                f"{self._source.name} does not say when {job.to} was listed",
                hint=Hint("give since= a time", "give --since a time"),
            )
        ranges = await asyncio.to_thread(self._missing_of, job, None)
        self._expect(job, ranges)
        if not ranges:
            return []
        if self._is_from_listing(job):
            job.to.start = ranges[0][0]
        pages = await asyncio.to_thread(self._missing_of, job, self._source.limits.page_bars)
        return list(chain.from_iterable(self._facts.stretches(job.timeframe, *one) for one in _joined(pages)))

    def _is_from_listing(self, job: _Job) -> bool:
        return job.to.start is not None and job.to.start <= LISTING

    async def _state_listing(self, job: _Job) -> bool:
        """State that there is nothing before the first bar, if the source knows which that is."""
        begins = await self._facts.first(*job.key)
        if begins is not None:
            await self._state(job.key, None, begins, "before_listing")
        return begins is not None

    async def _state(self, key: Key, start: int | None, end: int | None, reason: Stated) -> None:
        await asyncio.to_thread(self._place.state, key, start, end, reason, self._source.name)

    # ---- one stretch

    async def _fetch(self, job: _Job, stretch: Range) -> None:
        """Ask for a stretch, and again for what an answer has not proven. The slot is taken already."""
        before, left = [stretch], []
        try:
            left = await self._ask(job, stretch)
            while left:
                self._refuse_the_same(job, before, left)
                before, left = left, []
                for one in before:
                    await self._slots.acquire()
                    left += await self._ask(job, one)
        except OF_THE_STORE:
            raise
        except Exception as error:  # somebody else's code: whatever it raises is of this series alone
            await self._failed(job, stretch, error)

    def _refuse_the_same(self, job: _Job, before: Sequence[Range], left: Sequence[Range]) -> None:
        """Refuse that nothing comes of an answer."""
        if left == before:
            part = "[{}, {})".format(*map(ms_to_datetime, left[0]))
            raise InvalidInputError(
                f"{self._source.name} answers, and what it gives of {job.to} proves nothing of {part}"
            )

    async def _ask(self, job: _Job, part: Range) -> list[Range]:
        """Ask for a range, have its pages landed as they come, and return what they have not proven."""
        clock, rows, error = time.perf_counter(), 0, "cancelled"
        settled = self._settled(job.timeframe)
        landing: list[asyncio.Future[Landed]] = []
        try:
            try:
                async for page in self._pages(job, part):
                    rows += _rows_in(page)
                    most = None if self._facts.proves else self._source.limits.page_bars
                    job.begins_here |= getattr(page, "absent", None) == "before_listing"
                    one = Arrived(job.to.symbol, job.timeframe, page, part, settled, most)
                    landing.append(await self._lander.put(one))
                    job.landing.add(landing[-1])
                    landing[-1].add_done_callback(lambda done: self._landed(job, done))
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
        left = _left(part, proven)
        if self._facts.proves and left and left[-1][1] == part[1] and (proven or part[0] >= settled):
            left.pop()  # the exchange is not so far: the latest bars come late, or its clock is behind
        over = job.timeframe.floor(self._place.now() - LATE_MS)
        return [one for one in left if one[0] < over]

    async def _pages(self, job: _Job, part: Range) -> AsyncIterator[Page]:
        """Give the pages of a range; a source that proves them has timeouts of its own, and sits out bans."""
        pages = self._source.candles(*job.key, *part)
        seconds = None if self._facts.proves else self._source.limits.timeout
        try:
            while True:
                try:
                    async with asyncio.timeout(seconds):
                        page = await anext(pages)
                except StopAsyncIteration:
                    return
                except TimeoutError:
                    raise TimeoutError(f"no answer within {seconds:g} s") from None
                self._facts.count()
                yield page
        finally:
            if hasattr(pages, "aclose"):
                await pages.aclose()

    def _settled(self, timeframe: Timeframe) -> int:
        """Return the start of the first bar that the source may yet amend."""
        settled = timeframe.floor(self._place.now() - LATE_MS)
        for _ in range(self._facts.settles):
            settled = timeframe.floor(settled - 1)
        return settled

    def _landed(self, job: _Job, done: asyncio.Future[Landed]) -> None:
        job.landing.discard(done)
        if done.cancelled() or done.exception() is not None:
            return
        landed, series = done.result(), job.to
        self.result.waiting = ""
        series.done += job.timeframe.span(*landed.range)
        series.pages_done += 1
        if landed.result is not None:
            series.inserted += landed.result.inserted
            series.updated += landed.result.updated
            series.unchanged += landed.result.unchanged
        series.pages, series.missing = max(series.pages, series.pages_done), max(series.missing, series.done)
        self._tell()

    # ---- what becomes of it

    async def _failed(self, job: _Job, stretch: Range | None, error: Exception) -> None:
        said = said_of(error)
        if (
            isinstance(said, NoSuchMarketError)
            and (like := await self._facts.like(job.to.symbol)) is not None
        ):
            said.hint = Hint(like, like)
        self._fail(job.to, said)
        if stretch is None or self._facts.offline or isinstance(error, NoSuchMarketError):
            return  # nobody was asked, or there is nothing that could be asked for again
        with suppress(MarketDataError):  # the file may be busy: that is the lesser trouble
            await asyncio.to_thread(self._place.state_failed, job.key, *stretch, self._source.name)

    def _fail(self, series: SeriesSync, error: MarketDataError) -> None:
        log.warning("%s: %s failed: %s", self._source.name, series, error)
        if series.error is None:
            series.state, series.error = "failed", error

    async def _count_holes(self, job: _Job) -> None:
        start, end = job.to.start, job.to.end
        if start is not None and end is not None and start > LISTING:
            job.to.holes = await asyncio.to_thread(self._place.holes, job.key, start, end)

    def _missing(
        self, symbols: Sequence[str], timeframe: Timeframe, page: int | None = None
    ) -> dict[str, list[Range]]:
        if not symbols:
            return {}
        return self._place.to_ask(symbols, timeframe, self._wanted.start, self._wanted.end, page)

    def _missing_of(self, job: _Job, page: int | None) -> list[Range]:
        return self._missing([job.to.symbol], job.timeframe, page).get(job.to.symbol, [])

    def _tell(self) -> None:
        self.result.seconds = self._timer() - self._began
        self.result.requests = self._facts.requests
        if self._progress is not None and self.trouble is None:
            try:
                self._progress(self.result)
            except Exception as error:  # it may be called where nobody hears of it
                self.trouble = error
                if self._running is not None:
                    self._running.cancel()


async def _all_landed(job: _Job, asked: Sequence[asyncio.Task[None]]) -> None:
    """Wait for what was begun: the lease is held until the last page has landed, however that ends."""
    try:
        if asked:
            await asyncio.wait(asked)
    finally:
        if job.landing:
            await asyncio.wait(job.landing)


def _rows_in(page: object) -> int:
    rows = getattr(page, "rows", None)
    return len(rows) if isinstance(rows, Sized) else 0


def _left(part: Range, proven: Iterable[Range]) -> list[Range]:
    """Return what is left of a range without others."""
    left = Ranges()
    left.add(*part)
    for one in proven:
        left.remove(*one)
    return list(left)


def _joined(ranges: Iterable[Range]) -> Ranges:
    """Make one range of those that touch."""
    made = Ranges()
    for one in ranges:
        made.add(*one)
    return made
