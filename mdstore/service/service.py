"""One interface for screeners, backtests, charts and bots: wherever the data is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from inspect import isasyncgenfunction
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import polars as pl

from mdstore.analysis.screen import Question, Screen
from mdstore.cache.data_cache import DataCache
from mdstore.cache.memory import MemoryCache
from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import Moment
from mdstore.errors import Hint, InvalidInputError
from mdstore.service.answer import MarketAnswer
from mdstore.service.local_reads import OFFLINE
from mdstore.service.policies import ServicePolicies
from mdstore.service.preload import Preloaded, keep_ready, preload
from mdstore.service.realtime_reads import RealtimeReads
from mdstore.service.requests import CandleRequest, candle_request
from mdstore.service.results import Results
from mdstore.service.tiers import Tiers

if TYPE_CHECKING:
    from mdstore.service.router import SmartRouter
    from mdstore.sources.sync.coordinator import Coordinator
    from mdstore.store.store import MarketDataStore

__all__ = ["MarketDataService"]

R = TypeVar("R", pl.DataFrame, Screen)
RESULT_BYTES = 64 * 1024 * 1024
STORE = ("candles", "missing", "cover", "tickers")
ROUTER = ("name", "candles")
COORDINATOR = ("name", "limits", "candles", "report")
MOST_USED = 1_000
USED = {"symbol": pl.String, "timeframe": pl.String, "asks": pl.Float64}


class MarketDataService:
    """Candles and realtime rows from whichever tier has them: memory, router, disk, SQLite, coordinator.

    `router` holds realtime data in memory, `coordinator` is asked for candles that are missing, once, and
    what it gives is stored. Without either, a service reads the store alone. `cache` keeps what
    `sql`, `screen` and `resample` gave, 64 MB in memory by default. `policies` are what it does by
    itself. The store stays open when the service is closed. Threads may share it.

    >>> with mdstore.open(folder / "market_data.sqlite3") as store:
    ...     bars = [("2025-09-01T00:00", 1, 2, 1, 2, 5), ("2025-09-01T00:01", 2, 2, 1, 1, 4)]
    ...     source = mdstore.FunctionCoordinator(lambda *asked: bars, name="exchange")
    ...     with mdstore.MarketDataService(store, coordinator=source) as service:
    ...         answer = service.get_candle_data("KRW-BTC", "1m", "2025-09-01", "2025-09-01T00:02")
    ...     len(answer.frame), answer.about.sources, answer.about.is_stale
    (2, ('exchange',), False)
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
        if policies is not None and not isinstance(policies, ServicePolicies):
            raise InvalidInputError(
                f"policies={policies!r}: give mdstore.ServicePolicies(...), or None for the defaults"
            )
        _refuse_other(store, "store", STORE, "give what mdstore.open() returns")
        _refuse_other(router, "router", ROUTER, "see mdstore.SmartRouter for what a router has")
        if router is not None and isasyncgenfunction(router.candles):
            raise InvalidInputError(
                f"router={router!r:.80} gives candles as they come, as a coordinator does",
                hint=Hint("give it as coordinator=", "give a router"),
            )
        _refuse_other(
            coordinator, "coordinator", COORDINATOR, "mdstore.FunctionCoordinator(function) makes one"
        )
        self._store, self._policies = store, policies or ServicePolicies()
        self._tiers = Tiers(store, self._policies, router=router, coordinator=coordinator, timer=timer)
        self._cache = MemoryCache(RESULT_BYTES, clock=store._clock, timer=timer) if cache is None else cache
        self._results = Results(store, self._cache)
        is_offline = self._policies.offline and router is not None
        self._realtime = RealtimeReads(
            store, None if is_offline else router, self._tiers.meters, OFFLINE if is_offline else ""
        )
        if self._policies.preload:
            tiers = self._tiers
            ready = keep_ready(store, self._policies, tiers.local.usage.flush, lambda: tiers.is_closed)
            tiers.background.submit(ready)

    def get_candle_data(
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
        """Return candles of one symbol, of several, or of all that are stored (None).

        The frame is that of `store.candles`; `count` is the latest so many bars of each symbol. What is
        missing in the range is asked for and stored first, its latest pages before the others: from `start`,
        or as far back as `count` reaches (further where bars are sparse), or from the first bar that is
        stored. Bars that are stored stay as they are. A row that breaks a rule goes into
        `store.quarantine()`, and its bar is asked for again later. The call waits `wait_seconds` at most;
        `about.why_stale` says what did not come.

        `include_forming` adds bars that are forming, with `closed` and `partial` beside all; they count.
        Without it bars that are made are over, and stored ones are as they are stored. `as_of` gives bars
        as they were known then, and asks nobody; with `include_forming` that is for made bars only.

        `derive` makes bars of a shorter timeframe: by its name, or True for the longest that is stored of
        each symbol; None does so for those symbols of which the timeframe itself is not stored. Such bars
        have `closed`, `bars` and `of`, see `store.resample`; a stored one beside them is made of itself.
        `about.made_of` says what was made of which. `tz` is the zone in which derived days are cut.
        `explain` notes which tier was asked, what it had, and how long it took, in `about.steps`.

        Raises `NoSuchSeriesError` where nobody has the series, `InvalidInputError` and its kinds, also in a
        source or router of this service, which would wait for itself. What an upstream fails at raises
        nothing where there is something to show.
        """
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
        clock = time.perf_counter()
        self._tiers.refuse_closed()
        answer = self._candles(request, explain=explain)
        self._count(answer, clock)
        return answer

    def get_ticker_data(self, symbols: str | Sequence[str], *, max_age: float | None = None) -> MarketAnswer:
        """Return the newest ticker of each symbol: from the rings, else from the router."""
        return self._timed(lambda: self._realtime.tickers(symbols, max_age))

    def get_orderbook_data(
        self, symbols: str | Sequence[str], *, max_age: float | None = None
    ) -> MarketAnswer:
        """Return the newest order book of each symbol; as `get_ticker_data`."""
        return self._timed(lambda: self._realtime.orderbooks(symbols, max_age))

    def get_trade_data(
        self, symbols: str | Sequence[str], *, seconds: float | None = None, count: int | None = None
    ) -> MarketAnswer:
        """Return the trades of the last `seconds`, the latest `count` of each symbol, ascending.

        Those of the rings and those that the router has besides, each once; `about.ranges` tells them apart.
        Where not all have an id, trades of one millisecond, price, size and side are the same trade.
        """
        return self._timed(lambda: self._realtime.trades(symbols, seconds, count))

    def sql(self, query: str, *, params: Any = None, timeout: float | None = None) -> pl.DataFrame:
        """Return what `store.sql` gives, kept until anything changes that it was made of.

        What asks for the time, for chance or for what is live is asked each time.
        """
        return self._kept("sql", lambda: self._results.sql(query, params, timeout))

    def screen(
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
        """Return what `store.screen` gives, kept until a bar of it changes; one by a function is not kept."""
        asked = {
            "symbols": symbols, "bars": bars, "start": start, "end": end, "derive_from": derive_from, "tz": tz
        }  # fmt: skip
        return self._kept("screen", lambda: self._results.screen(timeframe, what, **asked))

    def resample(
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
        """Return what `store.resample` gives, kept until a bar of it, or what is known of it, changes."""
        asked = {"tz": tz, "start": start, "end": end, "limit": limit}
        return self._kept(
            "resample", lambda: self._results.resample(symbols, timeframe, source=source, **asked)
        )

    def preload(self) -> Preloaded:
        """Read what is asked for most, so that it is in memory; within bytes and seconds of the policies.

        What has been asked for by whom ever is kept in the file, see `used`: of a process that is killed, the
        last minute is lost. `ServicePolicies(preload=True)`
        does it in the background: as the service is made, and before a market opens.
        """
        self._tiers.refuse_closed()
        self._tiers.local.usage.flush()
        return preload(self._store, self._policies)

    def used(self) -> pl.DataFrame:
        """Return what is asked for most: symbol, timeframe, and `asks`, of which old ones count less."""
        self._tiers.local.usage.flush()
        rows = self._store._candles.most_used(MOST_USED)
        return pl.DataFrame(rows, USED, orient="row")

    def stats(self) -> dict[str, Any]:
        """Return calls, hits, misses, rows, bytes and latencies of each tier, and what fails upstream.

        Rows and bytes of a tier are what it gave in all; `results` says what the cache of results holds.
        """
        return {
            "tiers": self._tiers.meters.stats(),
            "upstream": self._tiers.fetcher.troubles.stats(),
            "results": self._cache.stats(),
        }

    def close(self) -> None:
        """End what is asked of an upstream; what has come is stored. The store stays open."""
        self._tiers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"MarketDataService({self._store!r})"

    def _candles(self, request: CandleRequest, *, explain: bool) -> MarketAnswer:
        found = self._tiers.quick(request, explain=explain)
        if found is not None:
            return found
        future = self._tiers.fly(request, explain=explain)
        try:
            return future.result().own()
        finally:
            future.cancel()  # Ctrl-C ends the wait; the last who waits ends the flight

    async def _candles_later(
        self, request: CandleRequest, gate: asyncio.Semaphore, depart: Callable[[], None], *, explain: bool
    ) -> MarketAnswer:
        """Answer in a task, as `get_candle_data` does in a thread; only so many at a time pass the gate.

        `depart` is called before anything is read.
        """
        clock = time.perf_counter()
        self._tiers.refuse_closed()
        flight = None
        async with gate:
            depart()
            found = await asyncio.to_thread(partial(self._tiers.quick, request, explain=explain))
            if found is None:
                flight = self._tiers.fly(request, explain=explain)
        if found is None:
            assert flight is not None  # noqa: S101 - as above; for mypy
            found = await asyncio.wrap_future(flight)
        self._count(found, clock)
        return found

    def _kept(self, kind: str, call: Callable[[], tuple[R, bool]]) -> R:
        clock = time.perf_counter()
        self._tiers.refuse_closed()
        answer, was_kept = call()
        taken, frame = (
            (time.perf_counter() - clock) * 1e6,
            answer.rows if isinstance(answer, Screen) else answer,
        )
        size = int(frame.estimated_size())
        self._tiers.meters.add(kind, taken, hit=was_kept, rows=len(frame), size=size)
        return answer

    def _timed(self, call: Callable[[], MarketAnswer]) -> MarketAnswer:
        clock = time.perf_counter()
        self._tiers.refuse_closed()
        answer = call()
        self._count(answer, clock)
        return answer

    def _count(self, answer: MarketAnswer, began: float) -> None:
        taken, (rows, size) = (time.perf_counter() - began) * 1e6, answer.size
        self._tiers.meters.add("calls", taken, rows=rows, size=size)


def _refuse_other(given: object, what: str, wanted: Sequence[str], hint: str) -> None:
    lacks = [name for name in wanted if not hasattr(given, name)]
    if lacks and (given is not None or what == "store"):
        raise InvalidInputError(
            f"{what}={given!r:.80} has no {', '.join(lacks)}", hint=Hint(hint, f"give a {what}")
        )
