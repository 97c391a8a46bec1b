"""Bars that are missing, from the router or the coordinator: asked for once, landed page by page.

The ledger of the store is the state: what is missing is asked for, what came is stored with the range that it
proves, and then it is looked again. So whatever is interrupted goes on where it was, and whoever waited for
another finds that nothing is missing any more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from mdstore.core.logs import logger
from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import ms_to_datetime
from mdstore.errors import InvalidInputError, MarketDataError
from mdstore.service.meters import Meters
from mdstore.service.policies import ServicePolicies
from mdstore.service.troubles import Trouble, Troubles
from mdstore.sources.sync.coordinator import Coordinator, Metrics, Page
from mdstore.sources.sync.landing import land
from mdstore.sources.sync.leasing import leased
from mdstore.sources.sync.page_proof import proven

if TYPE_CHECKING:
    from mdstore.service.router import RoutedBar, SmartRouter
    from mdstore.store.store import MarketDataStore

__all__ = ["Fetcher", "Got", "Outcome"]

log = logger("service")
Range = tuple[int, int]
LEAVES = 0.8
"""A request is given up before the call that waits for it, so that it counts as failed."""


@dataclass(frozen=True, slots=True)
class Got:
    """What a tier gave of a range (ms) of a symbol, and the microseconds that took."""

    tier: str
    symbol: str
    start: int
    end: int
    rows: int
    microseconds: float


@dataclass(slots=True)
class Outcome:
    """What asking brought: rows by tier, and why something did not come, by symbol."""

    parts: list[Got] = field(default_factory=list)
    troubles: dict[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> dict[str, int]:
        """The rows that came, by tier; a tier that gave none is not among them."""
        found: dict[str, int] = {}
        for part in self.parts:
            if part.rows:
                found[part.tier] = found.get(part.tier, 0) + part.rows
        return found

    def join(self, other: Outcome) -> None:
        """Add what another brought."""
        self.parts += other.parts
        self.troubles.update(other.troubles)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Bars of one series in `[start, end)` (ms)."""

    symbol: str
    timeframe: Timeframe
    start: int
    end: int

    @property
    def key(self) -> tuple[str, str]:
        """Which series it is."""
        return self.symbol, str(self.timeframe)

    def within(self, start: int, end: int) -> Wanted:
        """Return a part of it."""
        return Wanted(self.symbol, self.timeframe, max(start, self.start), min(end, self.end))

    def got(self, tier: str, rows: int, microseconds: float) -> Got:
        """Return what a tier gave of it."""
        return Got(tier, self.symbol, self.start, self.end, rows, microseconds)

    def __str__(self) -> str:
        return f"{self.symbol} {self.timeframe}"


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
        self._store, self._policies, self._meters = store, policies, meters
        self._leases = store._candles.leases
        self._router, self._coordinator = router, coordinator
        self.troubles = Troubles(policies, timer)
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
        missing = await asyncio.to_thread(self._missing, symbols, timeframe, start, end)
        try:
            async with asyncio.TaskGroup() as group:
                for symbol, ranges in missing.items():
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
            if self._coordinator is None or not await self._parts(wanted):
                return
            trouble = self.troubles.of(wanted.key)
            if trouble is not None:
                outcome.troubles[wanted.symbol] = self._said(trouble)
                return
            async with leased(self._leases, wanted.key):
                await self._from_coordinator(self._coordinator, wanted, outcome)

    # ---- the router

    async def _from_router(self, router: SmartRouter, wanted: Wanted) -> Got:
        clock = time.perf_counter()
        try:
            bars = router.candles(*wanted.key, wanted.start, wanted.end)
            rows = await asyncio.to_thread(self._land_routed, router.name, wanted, bars)
        except Exception as error:  # a router is somebody else's code: without it there is the next tier
            self._meters.failed(f"{router.name}: {wanted}", error)
            rows = 0
        taken = (time.perf_counter() - clock) * 1e6
        self._meters.add("router", taken, hit=rows > 0, rows=rows)
        return wanted.got("router", rows, taken)

    def _land_routed(self, name: str, wanted: Wanted, bars: Sequence[RoutedBar]) -> int:
        """Store a router's bars, those of each kind with its own provenance; they prove themselves only."""
        closed = [bar for bar in bars if bar.closed and wanted.start <= bar.timestamp < wanted.end]
        for kind in dict.fromkeys(bar.kind for bar in closed):
            rows = [tuple(bar[:6]) for bar in closed if bar.kind == kind]
            source = name if kind == "realtime" else f"{name} ({kind})"
            self._store.write(wanted.symbol, wanted.timeframe, rows, unit="ms", source=source)
        return len(closed)

    # ---- the coordinator

    async def _from_coordinator(self, source: Coordinator, wanted: Wanted, outcome: Outcome) -> None:
        before: list[Wanted] | None = None
        try:
            # A page may prove less than it was asked for, so it is looked again.
            while parts := await self._parts(wanted, source.limits.page_bars):
                if parts == before:
                    self._refuse_old(source, parts[0])
                    break
                before = parts
                for part in parts:
                    outcome.parts.append(await self._ask(source, part))
            self.troubles.went_well(wanted.key)
        except BaseException as error:  # of a source: a timeout, sys.exit, a cancellation
            if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                raise
            text = error.message if isinstance(error, MarketDataError) else f"{type(error).__name__}: {error}"
            trouble = self.troubles.failed(wanted.key, f"{source.name} failed: {text}")
            outcome.troubles[wanted.symbol] = self._said(trouble)
            log.warning("%s: %s failed, %d in a row: %s", source.name, wanted, trouble.failures, text)
            with suppress(MarketDataError):  # the file may be busy: that is the lesser trouble
                await asyncio.to_thread(self._state_failed, source.name, wanted)

    def _refuse_old(self, source: Coordinator, part: Wanted) -> None:
        """Refuse that nothing comes of an answer, but for the latest bars, which may come late."""
        if part.start < part.timeframe.floor(self._store._now() - self._late):
            raise InvalidInputError(f"{source.name} answers, and {part} lacks the same bars as before")

    async def _ask(self, source: Coordinator, wanted: Wanted) -> Got:
        """Ask for a range, and land its pages as they come."""
        async with self._slot(source):
            clock, rows, error = time.perf_counter(), 0, "cancelled"
            try:
                pages = source.candles(*wanted.key, wanted.start, wanted.end)
                async for page in _timed(
                    pages, min(source.limits.timeout, LEAVES * self._policies.wait_seconds)
                ):
                    rows += await asyncio.to_thread(self._land, source, wanted, page)
                error = ""
            except BaseException as failed:
                error = f"{type(failed).__name__}: {failed}"
                raise
            finally:
                taken = (time.perf_counter() - clock) * 1e3
                self._meters.add("coordinator", taken * 1e3, hit=not error, rows=rows)
                with suppress(Exception):  # what it makes of that is its own affair
                    source.report(Metrics(*wanted.key, wanted.start, wanted.end, rows, taken, error))
        log.info("%s: %s: %d bars in %.0f ms", source.name, wanted, rows, taken)
        return wanted.got("coordinator", rows, taken * 1e3)

    def _land(self, source: Coordinator, wanted: Wanted, page: Page) -> int:
        """Store a page with the range that it proves."""
        if not isinstance(page, Page):
            raise InvalidInputError(f"{source.name} gave {type(page).__name__} for a page of {wanted}")
        part = wanted.within(page.start, page.end)
        page = Page(part.start, part.end, page.rows, page.absent)
        most, now = source.limits.page_bars, self._store._now()
        good = proven(page, wanted.symbol, wanted.timeframe, most, (now, self._late))
        series = (wanted.symbol, wanted.timeframe)
        return land(self._store, series, good, source=source.name, absent=page.absent)

    def _state_failed(self, source: str, wanted: Wanted) -> None:
        found = self._missing([wanted.symbol], wanted.timeframe, wanted.start, wanted.end)
        for low, high in found.get(wanted.symbol, []):
            self._store.cover(
                wanted.symbol, wanted.timeframe, start=ms_to_datetime(low), end=ms_to_datetime(high),
                reason="fetch_failed", source=source,
            )  # fmt: skip

    def _said(self, trouble: Trouble) -> str:
        return f"{trouble.error}; tried again in {self.troubles.seconds_left(trouble):.0f} s"

    # ---- what is missing

    async def _parts(self, wanted: Wanted, page: int | None = None) -> list[Wanted]:
        """Return the parts of a range that are missing, each of at most a page."""
        found = await asyncio.to_thread(
            self._missing, [wanted.symbol], wanted.timeframe, wanted.start, wanted.end, page
        )
        return [wanted.within(*one) for one in found.get(wanted.symbol, [])]

    def _missing(
        self,
        symbols: Sequence[str],
        timeframe: Timeframe,
        start: int | None,
        end: int,
        page: int | None = None,
    ) -> dict[str, list[Range]]:
        first = None if start is None else ms_to_datetime(start)
        missing = self._store.missing(
            list(symbols), timeframe, start=first, end=ms_to_datetime(end), page=page
        )
        names = missing["symbol"].cast(pl.String)
        ranges = zip(names, missing["start"].to_physical(), missing["end"].to_physical(), strict=True)
        found: dict[str, list[Range]] = {}
        for symbol, low, high in ranges:
            found.setdefault(symbol, []).append((low, high))
        return found

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


async def _timed(pages: AsyncIterator[Page], seconds: float) -> AsyncIterator[Page]:
    """Give pages, each of which must come within so many seconds."""
    while True:
        try:
            async with asyncio.timeout(seconds):
                page = await anext(pages)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise TimeoutError(f"no answer within {seconds:g} s") from None
        yield page


def _is_cancelled() -> bool:
    """Tell whether the task itself is cancelled, rather than something that it has waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
