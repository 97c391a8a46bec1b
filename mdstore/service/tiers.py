"""The walk down the tiers, one for both faces of a service.

What is here is read at once, in the caller's thread. Only where something is missing that an upstream may
have, a flight starts in the service's own event loop; whoever wants the same meanwhile waits for it as well.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from mdstore.cache.ages import Clocks, End
from mdstore.core.time_bounds import FOREVER
from mdstore.core.timeframe import Timeframe
from mdstore.errors import MarketDataError, NoSuchSeriesError, StoreClosedError
from mdstore.service.answer import MarketAnswer, Step
from mdstore.service.fetching import Fetcher
from mdstore.service.flights import Flights
from mdstore.service.local_reads import LocalReads
from mdstore.service.meters import Meters
from mdstore.service.policies import ServicePolicies
from mdstore.service.requests import CandleRequest
from mdstore.service.roads import Road, is_stored, stored_road
from mdstore.service.wanted import Outcome
from mdstore.sources.sync.background import Background

if TYPE_CHECKING:
    from mdstore.service.router import SmartRouter
    from mdstore.sources.sync.coordinator import Coordinator
    from mdstore.store.store import MarketDataStore

__all__ = ["Tiers"]

KNOWN = 10_000
"""Of so many requests it is remembered that nothing was missing."""
ATTEMPTS = 3
"""So often it is looked which way bars come: somebody may delete them in between."""
LONG_AGO = End(-math.inf, -math.inf)
UNBEGUN = "no {bar} bar is stored: to fetch it, give start= or count="
LONGEST_SECONDS = 60.0
"""Not longer than that: somebody may have deleted bars."""


class Tiers:
    """The store, what stands above it, and what is asked for what is missing."""

    def __init__(
        self,
        store: MarketDataStore,
        policies: ServicePolicies,
        *,
        router: SmartRouter | None,
        coordinator: Coordinator | None,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timer, self._clocks = timer, Clocks(store._clock, timer)
        self._store, self._policies = store, policies
        self._router, self._coordinator = router, coordinator
        self._has_upstream = router is not None or coordinator is not None
        self.meters = Meters()
        self.background = Background("mdstore-service")
        self.fetcher = self._new_fetcher()
        self.local = LocalReads(store, policies, self.meters, router=router, has_upstream=self._has_upstream)
        self._whole: dict[tuple[object, ...], tuple[End, tuple[Road, ...]]] = {}
        self._flights = Flights[MarketAnswer]()
        self._is_closed = False

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._is_closed

    def refuse_closed(self) -> None:
        """Raise `StoreClosedError` once it is closed; begin anew in a forked process."""
        if self._is_closed:
            raise StoreClosedError("the service is closed", hint="make another: it costs nothing")
        if self.background.mind_forks():  # its parent's flights are not its own
            self._flights = Flights[MarketAnswer]()
            self.fetcher = self._new_fetcher()
            self.local.usage.forget()

    def quick(self, request: CandleRequest, *, explain: bool) -> MarketAnswer | None:
        """Answer from what is here; None where something may be missing that an upstream has."""
        if self._is_for_upstream(request):
            end, roads = self._whole.get(request.key, (LONG_AGO, ()))
            if self._clocks.is_over(end) or self._leads_elsewhere(request, roads):
                return None
            try:
                return self.local.read(request, roads, explain=explain)
            except NoSuchSeriesError:  # it was deleted since
                return None
        # Of a list, what is not stored as it is asked for would be left out, where there is an upstream.
        looks_first = request.may_be_plain and not (self._has_upstream and request.is_long)
        roads = stored_road(request) if looks_first else self.local.roads(request)
        for attempt in range(ATTEMPTS):
            try:
                return self.local.read(request, roads, explain=explain)
            except NoSuchSeriesError:
                tried, roads = roads, self.local.roads(request)
                if roads == tried or attempt + 1 == ATTEMPTS:
                    raise
        return None

    def _leads_elsewhere(self, request: CandleRequest, roads: tuple[Road, ...]) -> bool:
        """Tell whether bars come another way by now; what is stored by its name is not looked up for that."""
        if is_stored(roads) and request.may_be_plain:
            return False
        return roads != self.local.roads(request)

    def fly(self, request: CandleRequest, *, explain: bool) -> Future[MarketAnswer]:
        """Start to answer, or join those who wait for the same.

        Raises `StoreClosedError`, and `InvalidInputError` in a call of its own source.
        """
        self.fetcher.calls.refuse_itself()
        return self.background.submit(self._joined(request, explain=explain))

    async def _joined(self, request: CandleRequest, *, explain: bool) -> MarketAnswer:
        try:
            return await self._flights.join(
                (request, explain), lambda depart: self._answer(request, depart, explain=explain)
            )
        except asyncio.CancelledError:
            if self._is_closed:  # not the caller's doing, so it is told
                raise StoreClosedError("the service was closed meanwhile; what had come is stored") from None
            raise

    async def _answer(
        self, request: CandleRequest, depart: Callable[[], None], *, explain: bool
    ) -> MarketAnswer:
        """Get what is missing, then read; `depart` is called in between."""
        roads = await asyncio.to_thread(self.local.roads, request)
        outcome = await self._filled(request, roads)

        depart()

        def read() -> MarketAnswer:
            return self.local.read(request, roads, outcome, explain=explain)

        answer = await asyncio.to_thread(read)
        return _with_steps(answer, outcome) if explain else answer

    async def _filled(self, request: CandleRequest, roads: tuple[Road, ...]) -> Outcome:
        """Get what is missing, for as long as a call may wait; what came by then is stored."""
        outcome, now = Outcome(), self._now() - self._settle
        ways = [(road, await asyncio.to_thread(self._named, road.of(request), road)) for road in roads]
        try:
            async with asyncio.timeout(self._policies.wait_seconds), asyncio.TaskGroup() as group:
                for road, symbols in ways:
                    asked = road.of(request), road.source, symbols, outcome, now
                    group.create_task(self._fill(*asked, is_all=len(ways) == 1))
        except TimeoutError:
            text = (
                f"after {self._policies.wait_seconds:g} s not all that is missing had come; what came stays"
            )
            late = [symbol for _, symbols in ways for symbol in symbols]
            outcome.troubles = {**dict.fromkeys(late, text), **outcome.troubles}
        except BaseExceptionGroup as errors:  # of the file, which is the same for all
            raise errors.exceptions[0] from None
        if not outcome.troubles:
            self._remember(request, roads, now, outcome.late)
        return outcome

    async def _fill(
        self,
        request: CandleRequest,
        source: Timeframe | None,
        symbols: list[str],
        outcome: Outcome,
        now: int,
        *,
        is_all: bool,
    ) -> None:
        """Get what is missing of some symbols; `is_all` is whether no others are asked for with them."""
        wanted = request.timeframe if source is None else source
        low, high = request.range_upstream(now, source)
        reach, top = request.count or 0, high
        start = None if low == -FOREVER else low
        if start is None:
            # Of one that is live there is something, though nothing is stored.
            may_fail = is_all and not request.include_forming
            symbols = await asyncio.to_thread(self._begun, wanted, symbols, outcome, may_fail=may_fail)
        while True:
            outcome.join(await self.fetcher.fill(symbols, wanted, start, high))
            reach *= 2
            if not self._may_reach(request, reach):
                return
            symbols = [symbol for symbol in symbols if symbol not in outcome.troubles]
            symbols = await asyncio.to_thread(self._short, request, source, symbols, start)
            if not symbols:
                return
            start, high = request.first_of(top, reach), start  # what is behind was asked for just now

    def _begun(self, bar: Timeframe, symbols: list[str], outcome: Outcome, *, may_fail: bool) -> list[str]:
        """Leave out, of several symbols, those of which nobody knows where to begin, and say so."""
        stored = self._store._candles.stored(str(bar))
        known = [symbol for symbol in symbols if symbol in stored]
        if not known and may_fail:
            return symbols  # which is refused with what to do
        outcome.troubles |= {symbol: UNBEGUN.format(bar=bar) for symbol in symbols if symbol not in stored}
        return known

    def _may_reach(self, request: CandleRequest, reach: int) -> bool:
        """Tell whether it may be looked further back for the latest so many bars of each symbol."""
        if request.count is None or request.start > -FOREVER:
            return False
        return reach <= request.count * self._policies.reach

    def _short(
        self, request: CandleRequest, source: Timeframe | None, symbols: list[str], start: int | None
    ) -> list[str]:
        """Return those symbols of which fewer bars than asked for are there: there may be earlier ones.

        From `start` (ms) on, up to where it was looked: of what is stored before that, others may lack.
        """
        stored = self._store._candles.stored(str(source or request.timeframe))
        known, count = [symbol for symbol in symbols if symbol in stored], request.count or 0
        if not known:
            return symbols
        since = request.start if start is None else start
        asked = replace(request, symbols=tuple(known), is_long=True, start=since, include_forming=False)
        found = self.local.bars(asked, source).frame()
        whole = found.group_by(pl.col("symbol").cast(pl.String)).len().filter(pl.col("len") >= count)
        enough = set(whole["symbol"])
        return [symbol for symbol in symbols if symbol not in enough]

    def _remember(self, request: CandleRequest, roads: tuple[Road, ...], now: int, late: int | None) -> None:
        """Know that nothing is missing until the next bar has ended behind `now`, when it was looked (ms).

        Where a bar that ended at `late` (ms) has not come yet, that is for as long again as it is late: one
        that comes after 5 s is seen after 8, and one that never comes costs but a few requests.
        """
        seconds = LONGEST_SECONDS
        if request.end > now:
            ends = min((road.source or request.timeframe).next(now) for road in roads)
            seconds = (ends - (self._now() - self._settle)) / 1000
        if late is not None:
            seconds = min(seconds, max(self._policies.retry_seconds, (self._now() - late) / 1000))
        while len(self._whole) >= KNOWN:
            del self._whole[next(iter(self._whole))]
        end = self._clocks.end(self._now() + min(seconds, LONGEST_SECONDS) * 1000)
        self._whole[request.key] = end, roads

    def close(self) -> None:
        """End what is under way, and keep what was asked for often."""
        self._is_closed = True
        self.background.close()
        self.fetcher.calls.close()
        with suppress(MarketDataError):  # the store was closed before: what was asked for is forgotten
            self.local.usage.flush()

    def _new_fetcher(self) -> Fetcher:
        return Fetcher(
            self._store,
            self._policies,
            self.meters,
            router=self._router,
            coordinator=self._coordinator,
            timer=self._timer,
        )

    def _named(self, request: CandleRequest, road: Road) -> list[str]:
        if request.symbols is not None:
            return list(request.symbols)
        return sorted(self._store._candles.stored(str(road.source or request.timeframe)))

    def _is_for_upstream(self, request: CandleRequest) -> bool:
        """Tell whether an upstream may be asked: never for what was known at some time in the past."""
        return self._has_upstream and not self.local.why_alone and request.as_of is None

    @property
    def _settle(self) -> int:
        return round(self._policies.settle_seconds * 1000)

    def _now(self) -> int:
        return self._store._now()


def _with_steps(answer: MarketAnswer, outcome: Outcome) -> MarketAnswer:
    """Say what each tier of an upstream was asked, before what was read."""
    steps = []
    for tier in dict.fromkeys(part.tier for part in outcome.parts):
        parts = [part for part in outcome.parts if part.tier == tier]
        had = f"{sum(part.rows for part in parts):,} rows in {len(parts):,} request{'s'[: len(parts) > 1]}"
        steps.append(Step(tier, had, sum(part.microseconds for part in parts)))
    facts = answer.facts()
    return replace(answer, facts=lambda: replace(facts, steps=(*steps, *facts.steps)))
