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
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

from mdstore.core.did_you_mean import did_you_mean
from mdstore.core.hole_reasons import Stated
from mdstore.core.logs import logger
from mdstore.core.time_bounds import EARLIEST
from mdstore.core.timeframe import Timeframe
from mdstore.errors import (
    ClockError,
    Hint,
    InvalidInputError,
    MarketDataError,
    NoSuchMarketError,
    NoSuchSeriesError,
    StoreClosedError,
    StoreFileError,
)
from mdstore.sources.sync.asking import Asking, Job, all_landed, left_of
from mdstore.sources.sync.background import is_cancelled
from mdstore.sources.sync.bad_bars import BadBars
from mdstore.sources.sync.clocks import ahead
from mdstore.sources.sync.coordinator import Coordinator, cut
from mdstore.sources.sync.lander import Landed, Lander, NotStoredError
from mdstore.sources.sync.leasing import LOOK_SECONDS, TakenOverError, held, taken
from mdstore.sources.sync.other_exchanges import OtherExchanges
from mdstore.sources.sync.page_rows import settled_from
from mdstore.sources.sync.patience import Patience
from mdstore.sources.sync.result import SeriesSync, SyncResult
from mdstore.sources.sync.source_facts import SourceFacts, said_of
from mdstore.sources.sync.sync_place import Key, Range, SyncPlace
from mdstore.sources.sync.worth_asking import Wanted, WorthAsking, joined

if TYPE_CHECKING:
    from mdstore.candles.file.leases import Lease
    from mdstore.sources.sync.candle_source import Wait

__all__ = ["LISTING", "SyncRun"]

log = logger("sync")
LISTING = EARLIEST
"""A start that is before every market: from the first bar that the exchange has."""
OF_THE_STORE = (NotStoredError, StoreFileError, StoreClosedError)
"""What fails for one series for these reasons fails for all."""
UNSAID = (NoSuchMarketError, ClockError)
"""After these nothing is stated: a range may be one that no market has, or lie in the future."""


class SyncRun:
    """Fills what is missing of some series from a source. It is used once, in one event loop."""

    def __init__(
        self,
        place: SyncPlace,
        source: Coordinator,
        wanted: Wanted,
        *,
        facts: SourceFacts | None = None,
        bad: BadBars | None = None,
        others: OtherExchanges | None = None,
        progress: Callable[[SyncResult], object] | None = None,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._place, self._source, self._wanted = place, source, wanted
        self._facts = facts or SourceFacts(source)
        self._worth = WorthAsking(place, source.name, wanted, bad or BadBars(place.now))
        self._others = others
        self._progress, self._timer = progress, timer
        self._began = timer()
        self._lander = Lander(place, source.name)
        self._slots = asyncio.Semaphore(source.limits.concurrency)
        self._asking = Asking(place, source, self._facts, self._lander, self._slots, self._landed)
        self.result = SyncResult(source.name, pace=self._facts.pace)
        self.trouble: Exception | None = None
        """What `progress` has raised: the run ends there, and it is not called again."""
        self._patience = Patience(self._facts, self._waits, timer)
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
            self.result.clock = self._clock()
            self.result.is_over = True
            self._tell()
            self._facts.told()
        return self.result

    def _clock(self) -> ClockError | None:
        """Return what is wrong with this machine's clock, by what the source has answered."""
        if not self._facts.requests or (shown := self._facts.clock) is None:
            return None
        if (error := ahead(self._source.name, shown, self._place.now())) is not None:
            log.warning("%s", error.message)
        return error

    async def plan(self) -> SyncResult:
        """Say what would be asked for; the source is asked for the listing only, where that is the start."""
        for job in await self._plan():
            if self._is_from_listing(job):
                begins = await self._first(job)
                left = (
                    [(max(low, begins), high) for low, high in job.ranges if begins < high] if begins else []
                )
                self._expect(job, left)
        self._tell()
        return self.result

    async def _plan(self) -> list[Job]:
        """Look at the ledger, once for all series of a timeframe; return those that lack something."""
        jobs: list[Job] = []
        for timeframe in self._wanted.timeframes:
            firsts = await asyncio.to_thread(self._place.first_bars, timeframe)
            known, lost = await asyncio.to_thread(self._known, timeframe, firsts)
            missing = await asyncio.to_thread(self._worth.of, known, timeframe)
            if self._others is not None:
                lost |= await asyncio.to_thread(self._others.refused, missing, timeframe)
            for symbol in self._wanted.symbols:
                series = SeriesSync(symbol, str(timeframe))
                series.bad = self._worth.bad_of(series.key)
                self.result.series.append(series)
                if symbol in lost:
                    self._fail(series, lost[symbol])
                elif symbol in missing and self._facts.is_left(symbol):
                    series.state = "delisted"
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
        stored |= self._place.failed([one for one in self._wanted.symbols if one not in stored], timeframe)
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
    ) -> Job:
        series.start, series.end, series.state = ranges[0][0], ranges[-1][1], "waiting"
        job = Job(series, timeframe, ranges, first)
        # From when on an exchange has what is wanted from its listing on is not known yet.
        self._expect(job, [] if self._is_from_listing(job) else ranges)
        return job

    def _expect(self, job: Job, ranges: Sequence[Range]) -> None:
        bars = [job.timeframe.span(*one) for one in ranges]
        page = self._source.limits.page_bars
        job.to.expect(sum(bars), sum(-(-one // page) for one in bars))

    async def _hand_out(self, jobs: Sequence[Job], group: asyncio.TaskGroup) -> None:
        """Begin one series after the other, as soon as all of the one before is under way."""
        waiting, later = deque(jobs), deque[Job]()
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

    async def _work(self, job: Job, lease: Lease, group: asyncio.TaskGroup) -> None:
        try:
            await self._held(job, lease, group)
        except TakenOverError as error:
            self._fail(job.to, error)
        await self._count_holes(job)
        if job.to.error is None:
            job.to.state = "delisted" if job.is_gone else "done"
            job.to.expect(0, 0)
        self._tell()

    async def _held(self, job: Job, lease: Lease, group: asyncio.TaskGroup) -> None:
        async with held(lease):
            job.to.state = "at work"
            asked: list[asyncio.Task[None]] = []
            try:
                stretches: Sequence[Range] = await self._stretches(job)
                if stretches and (job.first_stored is None or stretches[0][0] < job.first_stored):
                    stretches = await self._from_the_beginning(job, stretches, group)
                for stretch in stretches:
                    asked += await self._begin(job, stretch, group)
            except OF_THE_STORE:
                raise
            except asyncio.CancelledError:
                for task in asked:
                    task.cancel()
                raise
            except Exception as error:  # of the source, which may be anybody's: of this series alone
                await self._failed(job, None, error)
            finally:
                job.handed_out.set()
                await all_landed(job, asked)

    async def _begin(self, job: Job, stretch: Range, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Begin to ask for a stretch, once that may be; for nothing more of a series that has failed."""
        if job.to.error is None:
            await self._patience.sit_out()
        await self._slots.acquire()
        if job.to.error is not None or job.is_gone:
            self._slots.release()
            return []
        return [group.create_task(self._fetch(job, stretch))]

    async def _from_the_beginning(
        self, job: Job, stretches: Sequence[Range], group: asyncio.TaskGroup
    ) -> Sequence[Range]:
        """Ask for the first page of a series by itself, and return what is left to ask for.

        Where it is before the listing, as the source says, years of empty answers need not be asked for.
        """
        page = cut(job.timeframe, *stretches[0], self._source.limits.page_bars)[0]
        await all_landed(job, await self._begin(job, page, group))
        rest = left_of(stretches[0], [page]) + list(stretches[1:])
        if not job.begins_here:
            return rest
        return await self._stretches(job) if await self._state_listing(job) else rest

    async def _stretches(self, job: Job) -> list[Range]:
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
        return list(chain.from_iterable(self._facts.stretches(job.timeframe, *one) for one in joined(pages)))

    def _is_from_listing(self, job: Job) -> bool:
        """Tell whether it is not known yet from when on a series is wanted. Its grid may begin later."""
        return job.to.start is not None and job.to.start <= job.timeframe.next(LISTING - 1)

    async def _state_listing(self, job: Job) -> bool:
        """State that there is nothing before the first bar, if the source knows which that is."""
        begins = await self._first(job)
        if begins is not None:
            await self._state(job.key, None, begins, "before_listing")
        return begins is not None

    async def _first(self, job: Job) -> int | None:
        return await self._patience.asked(lambda: self._facts.first(*job.key))

    async def _state(
        self, key: Key, start: int | None, end: int | None, reason: Stated | Literal["unknown"]
    ) -> None:
        await asyncio.to_thread(self._place.state, key, start, end, reason, self._source.name)

    async def _fetch(self, job: Job, stretch: Range) -> None:
        """Ask for a stretch; what a source raises is of this series alone. The slot is taken already."""
        try:
            await self._asking.fetch(job, stretch)
        except OF_THE_STORE:
            raise
        except BaseException as error:  # somebody else's code, which may exit, too
            if isinstance(error, asyncio.CancelledError) and is_cancelled():
                raise
            if self._patience.outlasts(error):
                await self._fetch_the_rest(job, stretch)
            else:
                await self._failed(job, stretch, error)

    async def _fetch_the_rest(self, job: Job, stretch: Range) -> None:
        """Ask for what has not come of a stretch, once its host is asked again."""
        if job.landing:
            await asyncio.wait(job.landing)
        await self._patience.sit_out()
        low, high = stretch
        for start, end in joined(await asyncio.to_thread(self._missing_of, job, None)):
            if start < high and low < end and job.to.error is None:
                await self._slots.acquire()
                await self._fetch(job, (max(low, start), min(high, end)))

    def _landed(self, job: Job, landed: Landed) -> None:
        series = job.to
        self.result.wait = None
        self._patience.came()
        series.done += job.timeframe.span(*landed.range)
        series.pages_done += 1
        if landed.result is not None:
            series.inserted += landed.result.inserted
            series.updated += landed.result.updated
            series.unchanged += landed.result.unchanged
        self._worth.landed(series.key, landed.range, landed.bad)
        series.bad = self._worth.bad_of(series.key)
        series.pages, series.missing = max(series.pages, series.pages_done), max(series.missing, series.done)
        self._tell()

    # ---- what becomes of it

    async def _failed(self, job: Job, stretch: Range | None, error: BaseException) -> None:
        said = said_of(error)
        if isinstance(said, NoSuchMarketError) and (others := await self._facts.others(job.to.symbol)):
            if await self._is_delisted(job, stretch):
                return
            if (like := did_you_mean(job.to.symbol, others)) is not None:
                said.hint = Hint(like, like)
        self._fail(job.to, said)
        if stretch is None or self._facts.offline or isinstance(error, UNSAID):
            return  # nobody was asked, or it is not known whether there is anything to ask for again
        with suppress(MarketDataError):  # the file may be busy: that is the lesser trouble
            await asyncio.to_thread(self._place.state_failed, job.key, *stretch, self._source.name)

    async def _is_delisted(self, job: Job, stretch: Range | None) -> bool:
        """State that a market was delisted that the source gave once, and knows no more.

        Tell whether that explains all that was asked for: bars that lack before its end, but for the latest,
        are not explained by it.
        """
        ended = await asyncio.to_thread(self._place.given_until, job.key, self._source.name)
        if ended is None:
            return False
        await self._state(job.key, ended, self._wanted.end, "after_delisting")
        if stretch is None:
            return False
        # Bars that are all there were to be asked for again as they might be amended: nobody does that now.
        lacking = await asyncio.to_thread(self._place.holes, job.key, stretch[0], ended)
        if lacking and stretch[0] < settled_from(job.timeframe, ended, self._facts.settles):
            return False
        if stretch[0] < ended:
            await self._state(job.key, stretch[0], ended, "unknown")
        job.is_gone = True
        self._facts.leave(job.to.symbol)
        log.warning("%s has %s no more: it was delisted", self._source.name, job.to.symbol)
        return True

    def _fail(self, series: SeriesSync, error: MarketDataError) -> None:
        log.warning("%s: %s failed: %s", self._source.name, series, error)
        if series.error is None:
            series.state, series.error = "failed", error

    async def _count_holes(self, job: Job) -> None:
        start, end = job.to.start, job.to.end
        if start is not None and end is not None and not self._is_from_listing(job):
            job.to.holes = await asyncio.to_thread(self._place.holes, job.key, start, end)

    def _missing_of(self, job: Job, page: int | None) -> list[Range]:
        # The plan has found what failed before the first bar: it is not told once a part has been answered.
        start = job.to.start if self._wanted.start is None else None
        return self._worth.of([job.to.symbol], job.timeframe, page, start).get(job.to.symbol, [])

    def _waits(self, wait: Wait | None) -> None:
        self.result.wait = wait
        self._tell()

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
