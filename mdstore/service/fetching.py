"""Bars that are missing, from the router or the coordinator: asked for once, landed page by page.

The ledger of the store is the state: what is missing is asked for, what came is stored with the range that it
proves, and then it is looked again. So whatever is interrupted goes on where it was, and whoever waited for
another finds that nothing is missing any more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING

import polars as pl

from mdstore.core.logs import logger
from mdstore.core.schema import CANDLE_COLUMNS
from mdstore.core.timeframe import Timeframe
from mdstore.errors import InvalidInputError, MarketDataError, StoreFileError
from mdstore.service.meters import Meters
from mdstore.service.page_landing import PageLanding
from mdstore.service.policies import ServicePolicies
from mdstore.service.source_calls import SourceCalls, is_cancelled
from mdstore.service.troubles import Trouble, Troubles, is_of_host
from mdstore.service.wanted import NO_TIMES, Got, Outcome, Wanted
from mdstore.sources.sync.coordinator import Coordinator, Metrics
from mdstore.sources.sync.leasing import TakenOverError, leased

if TYPE_CHECKING:
    from mdstore.service.router import RoutedBar, SmartRouter
    from mdstore.store.store import MarketDataStore

__all__ = ["Fetcher"]

log = logger("service")
LEAVES = 0.8
"""A request is given up before the call that waits for it, so that it counts as failed."""
VALUE_BYTES = 8
BAR_BYTES = VALUE_BYTES * len(CANDLE_COLUMNS)


class Fetcher:
    """Fills what is missing in a store. Its coroutines run in one event loop, the service's own."""

    def __init__(
        self,
        store: MarketDataStore,
        policies: ServicePolicies,
        meters: Meters,
        *,
        router: SmartRouter | None,
        coordinator: Coordinator | None,
        timer: Callable[[], float],
    ) -> None:
        from mdstore.store.store_place import StorePlace  # noqa: PLC0415 - which loads SQLite

        self._store, self._policies, self._meters = store, policies, meters
        self._leases = store._candles.leases
        self._router, self._coordinator = router, coordinator
        self.calls = SourceCalls()
        self.troubles = Troubles(policies, timer)
        self._place = StorePlace(store._candles, store._declared, store._now)
        self._landing = PageLanding(store, self._place, policies, timer)
        self._late = round(policies.late_seconds * 1000)
        self._locks: dict[tuple[str, str], asyncio.Lock] = {}
        self._waiting: dict[tuple[str, str], int] = {}
        self._slots: asyncio.Semaphore | None = None

    async def fill(
        self, symbols: Sequence[str], timeframe: Timeframe, start: int | None, end: int
    ) -> Outcome:
        """Get what is missing of series in `[start, end)` (ms); without a start from the first stored bar on.

        Never raises for what an upstream does: that is in the outcome.
        """
        outcome = Outcome()
        if not symbols or (start is not None and start >= end):
            return outcome
        lacking = await asyncio.to_thread(self._place.to_ask, symbols, timeframe, start, end, None)
        try:
            async with asyncio.TaskGroup() as group:
                for symbol, ranges in lacking.items():
                    wanted = Wanted(symbol, timeframe, ranges[0][0], ranges[-1][1])
                    group.create_task(self._fill(wanted, outcome))
        except BaseExceptionGroup as errors:  # of the store, which is the same for all
            raise errors.exceptions[0] from None
        return outcome

    async def _fill(self, wanted: Wanted, outcome: Outcome) -> None:
        async with self._alone(wanted.key):
            if self._router is not None:
                for part in await self._parts(wanted):
                    outcome.parts.append(await self._from_router(self._router, part))
            parts = await self._parts(wanted)
            if self._coordinator is None or not parts:
                self._wait_for(parts, outcome)
                return
            trouble = self.troubles.of(wanted.key)
            if trouble is not None:
                outcome.troubles[wanted.symbol] = self.troubles.said(trouble)
                return
            try:
                async with leased(self._leases, wanted.key):
                    await self._from_coordinator(self._coordinator, wanted, outcome)
            except (TakenOverError, StoreFileError) as error:  # nobody asks unless it can be noted who does
                outcome.troubles[wanted.symbol] = error.message

    # ---- the router

    async def _from_router(self, router: SmartRouter, wanted: Wanted) -> Got:
        clock = time.perf_counter()
        try:
            asked = (*wanted.key, wanted.start, wanted.end)
            bars = await self.calls.routed(lambda: router.candles(*asked))
            rows = await asyncio.to_thread(self._land_routed, router.name, wanted, bars)
        except Exception as error:  # a router is somebody else's code: without it there is the next tier
            self._meters.failed(f"{router.name}: {wanted}", error)
            rows = 0
        taken = (time.perf_counter() - clock) * 1e6
        self._meters.add("router", taken, hit=rows > 0, rows=rows, size=BAR_BYTES * rows)
        return wanted.got("router", rows, taken)

    def _land_routed(self, name: str, wanted: Wanted, bars: Sequence[RoutedBar]) -> int:
        """Store a router's bars, those of each kind with its own provenance; they prove themselves only."""
        closed = [bar for bar in bars if bar.closed and wanted.start <= bar.timestamp < wanted.end]
        for kind in dict.fromkeys(bar.kind for bar in closed):
            rows = [tuple(bar[:6]) for bar in closed if bar.kind == kind]
            source = name if kind == "realtime" else f"{name} ({kind})"
            self._store.write(wanted.symbol, wanted.timeframe, rows, unit="ms", source=source)
            if kind != "realtime":
                log.info("%s: %s: %d bars (%s)", name, wanted, len(rows), kind)
        return len(closed)

    # ---- the coordinator

    async def _from_coordinator(self, source: Coordinator, wanted: Wanted, outcome: Outcome) -> None:
        before: list[Wanted] | None = None
        try:
            # A page may prove less than it was asked for, so it is looked again.
            while parts := await asyncio.to_thread(self._worth, wanted, source.limits.page_bars, outcome):
                if parts == before:
                    self._refuse_old(source, parts[0])
                    self._wait_for(parts, outcome)
                    break
                before = parts
                for part in reversed(parts):
                    await self._ask(source, part, outcome)
            self._tell_well(source, wanted)
        except BaseException as error:  # of a source: a timeout, sys.exit, a cancellation
            if isinstance(error, asyncio.CancelledError) and is_cancelled():
                raise
            # A file that is busy or full is no fault of the source, which others may still ask.
            is_here, text = isinstance(error, StoreFileError), _text_of(error)
            said = text if is_here else f"{source.name} failed: {text}"
            is_host = not is_here and is_of_host(error)
            trouble = self.troubles.failed(wanted.key, said, is_host=is_host)
            outcome.troubles[wanted.symbol] = self.troubles.said(trouble)
            self._tell_trouble(source, wanted, trouble, text)
            with suppress(MarketDataError):  # the file may be busy: that is the lesser trouble
                between = wanted.start, wanted.end
                await asyncio.to_thread(self._place.state_failed, wanted.key, *between, source.name)

    def _tell_trouble(self, source: Coordinator, wanted: Wanted, trouble: Trouble, text: str) -> None:
        """Log what failed, when it is tried again, and whether anything is asked until then."""
        left, alone = self.troubles.seconds_left(trouble), self.troubles.left_alone()
        row = (source.name, wanted, trouble.failures, text, left)
        log.warning("%s: %s failed, %d in a row: %s; tried again in %.0f s", *row)
        if alone is not None:
            left = self.troubles.seconds_left(alone)
            log.warning("%s: nothing is asked of it for %.0f s: %s", source.name, left, alone.error)

    def _tell_well(self, source: Coordinator, wanted: Wanted) -> None:
        failures = self.troubles.went_well(wanted.key)
        if failures:
            times = "a failure" if failures == 1 else f"{failures:,} failures"
            log.info("%s: %s has come again, after %s", source.name, wanted, times)

    def _worth(self, wanted: Wanted, page: int, outcome: Outcome) -> list[Wanted]:
        """Return the pages that are to be asked for just now."""
        return self._landing.worth(self._lacking(wanted, page), outcome)

    def _refuse_old(self, source: Coordinator, part: Wanted) -> None:
        """Refuse that nothing comes of an answer, but for the latest bars, which may come late."""
        if part.start < self._oldest_late(part.timeframe):
            raise InvalidInputError(f"{source.name} answers, and {part} lacks the same bars as before")

    def _wait_for(self, parts: Sequence[Wanted], outcome: Outcome) -> None:
        """Take note where the newest bar that is missing may come yet."""
        if parts and parts[-1].end > self._oldest_late(parts[-1].timeframe):
            outcome.wait_for(parts[-1].end)

    def _oldest_late(self, timeframe: Timeframe) -> int:
        """Return from when on (ms) bars may come late."""
        return timeframe.floor(self._store._now() - self._late)

    async def _ask(self, source: Coordinator, wanted: Wanted, outcome: Outcome) -> None:
        """Ask for a range, and land its pages as they come; those before a failure have come, too."""
        async with self._slot(source):
            clock, rows, size, kept, error = time.perf_counter(), 0, 0, NO_TIMES, "cancelled"
            seconds = min(source.limits.timeout, LEAVES * self._policies.wait_seconds)
            asked = (*wanted.key, wanted.start, wanted.end)
            try:
                async with aclosing(self.calls.pages(source, asked, seconds)) as pages:
                    async for page in pages:
                        new, here = await asyncio.to_thread(self._landing.land, source, wanted, page, outcome)
                        rows, size = rows + len(new), size + VALUE_BYTES * new.width * len(new)
                        kept = pl.concat([kept, here])
                error = ""
            except BaseException as failed:
                error = f"{type(failed).__name__}: {failed}"
                raise
            finally:
                taken = (time.perf_counter() - clock) * 1e3
                self._meters.add("coordinator", taken * 1e3, hit=not error, rows=rows, size=size)
                outcome.parts.append(wanted.got("coordinator", rows, taken * 1e3, kept))
                await self.calls.report(source, Metrics(*asked, rows, taken, error))
        log.info("%s: %s: %d bars in %.0f ms", source.name, wanted, rows, taken)

    # ---- what is missing

    async def _parts(self, wanted: Wanted) -> list[Wanted]:
        """Return the parts of a range that are missing."""
        return await asyncio.to_thread(self._lacking, wanted, None)

    def _lacking(self, wanted: Wanted, page: int | None) -> list[Wanted]:
        """Return the parts of a range that are missing, each of at most a page."""
        between = wanted.start, wanted.end
        found = self._place.to_ask([wanted.symbol], wanted.timeframe, *between, page)
        return [wanted.within(*one) for one in found.get(wanted.symbol, [])]

    @asynccontextmanager
    async def _alone(self, key: tuple[str, str]) -> AsyncIterator[None]:
        """One at a time asks for a series in this process; the others find then that nothing is missing."""
        lock = self._locks.setdefault(key, asyncio.Lock())
        self._waiting[key] = self._waiting.get(key, 0) + 1
        try:
            async with lock:
                yield
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key], self._locks[key]

    @asynccontextmanager
    async def _slot(self, source: Coordinator) -> AsyncIterator[None]:
        if self._slots is None:
            self._slots = asyncio.Semaphore(source.limits.concurrency)
        async with self._slots:
            yield


def _text_of(error: BaseException) -> str:
    return str(error) if isinstance(error, MarketDataError) else f"{type(error).__name__}: {error}"
