"""The same service for programs with an event loop, which nothing here holds up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakKeyDictionary

import polars as pl

from mdstore.analysis.screen import Question, Screen
from mdstore.cache.data_cache import DataCache
from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import Moment
from mdstore.service.answer import MarketAnswer
from mdstore.service.flights import Flights
from mdstore.service.policies import ServicePolicies
from mdstore.service.preload import Preloaded
from mdstore.service.requests import candle_request
from mdstore.service.service import MarketDataService

if TYPE_CHECKING:
    from mdstore.service.router import SmartRouter
    from mdstore.sources.sync.coordinator import Coordinator
    from mdstore.store.store import MarketDataStore

__all__ = ["AsyncMarketDataService"]

AT_A_TIME = 16
"""So many calls begin in one turn of the loop: a thousand at once would hold it for 40 ms."""


class AsyncMarketDataService:
    """`MarketDataService` with coroutines: the same calls, the same answers.

    Reads of the file run in a thread, and what is asked of an upstream in the service's own loop; the
    caller's loop is free. A call that is cancelled is over at once; what had come by then is stored.
    """

    def __init__(
        self,
        store: MarketDataStore,
        router: SmartRouter | None = None,
        coordinator: Coordinator | None = None,
        policies: ServicePolicies | None = None,
        *,
        cache: DataCache | None = None,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._service = MarketDataService(store, router, coordinator, policies, cache=cache, timer=timer)
        self._by_loop = WeakKeyDictionary[asyncio.AbstractEventLoop, _Shared]()

    async def get_candle_data(
        self,
        symbols: str | Sequence[str] | None,
        timeframe: str | Timeframe,
        start: Moment | None = None,
        end: Moment | None = None,
        count: int | None = None,
        *,
        include_forming: bool = False,
        as_of: Moment | None = None,
        tz: str | None = None,
        derive: str | Timeframe | bool | None = None,
        explain: bool = False,
    ) -> MarketAnswer:
        """Return candles; arguments and answer as in `MarketDataService.get_candle_data`."""
        request = candle_request(
            symbols,
            timeframe,
            start,
            end,
            count,
            include_forming=include_forming,
            as_of=as_of,
            tz=tz,
            derive=derive,
        )
        loop = asyncio.get_running_loop()
        shared = self._by_loop.get(loop)
        if shared is None:
            shared = self._by_loop[loop] = _Shared()
        answer = await shared.flights.join(
            (request, explain),
            lambda depart: self._service._candles_later(request, shared.gate, depart, explain=explain),
        )
        return answer.own()

    async def get_ticker_data(
        self, symbols: str | Sequence[str], *, max_age: float | None = None
    ) -> MarketAnswer:
        """Return the newest ticker of each symbol, from memory."""
        return self._service.get_ticker_data(symbols, max_age=max_age)

    async def get_orderbook_data(
        self, symbols: str | Sequence[str], *, max_age: float | None = None
    ) -> MarketAnswer:
        """Return the newest order book of each symbol, from memory."""
        return self._service.get_orderbook_data(symbols, max_age=max_age)

    async def get_trade_data(
        self, symbols: str | Sequence[str], *, seconds: float | None = None, count: int | None = None
    ) -> MarketAnswer:
        """Return the trades of the last `seconds`, from memory."""
        return self._service.get_trade_data(symbols, seconds=seconds, count=count)

    async def sql(self, query: str, *, params: Any = None, timeout: float | None = None) -> pl.DataFrame:
        """Return what `MarketDataService.sql` does, in a thread."""
        return await asyncio.to_thread(self._service.sql, query, params=params, timeout=timeout)

    async def screen(
        self,
        timeframe: str | Timeframe,
        what: Question,
        *,
        symbols: Sequence[str] | None = None,
        bars: int | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        derive_from: str | Timeframe | None = None,
        tz: str | None = None,
    ) -> Screen:
        """Return what `MarketDataService.screen` does, in a thread."""
        return await asyncio.to_thread(
            self._service.screen, timeframe, what,
            symbols=symbols, bars=bars, start=start, end=end, derive_from=derive_from, tz=tz,
        )  # fmt: skip

    async def resample(
        self,
        symbols: str | Sequence[str] | None,
        timeframe: str | Timeframe,
        *,
        source: str | Timeframe,
        tz: str | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        limit: int | None = None,
    ) -> pl.DataFrame:
        """Return what `MarketDataService.resample` does, in a thread."""
        return await asyncio.to_thread(
            self._service.resample,
            symbols,
            timeframe,
            source=source,
            tz=tz,
            start=start,
            end=end,
            limit=limit,
        )

    async def preload(self) -> Preloaded:
        """Do what `MarketDataService.preload` does, in a thread."""
        return await asyncio.to_thread(self._service.preload)

    async def used(self) -> pl.DataFrame:
        """Return what `MarketDataService.used` does, in a thread."""
        return await asyncio.to_thread(self._service.used)

    def stats(self) -> dict[str, Any]:
        """Return what `MarketDataService.stats` does."""
        return self._service.stats()

    async def close(self) -> None:
        """End what is asked of an upstream; the store stays open."""
        await asyncio.shield(asyncio.to_thread(self._service.close))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"Async{self._service!r}"


class _Shared:
    """What the calls of one event loop share."""

    def __init__(self) -> None:
        self.gate = asyncio.Semaphore(AT_A_TIME)
        self.flights = Flights[MarketAnswer]()
