"""What type checkers know of live rows: read by mypy in `test_types`, and never run."""

from typing import assert_type

import mdstore
from mdstore.cache.compressed import CompressedCache
from mdstore.cache.disk import DiskCache
from mdstore.cache.memory import MemoryCache
from mdstore.realtime.rows import ClosedBar
from mdstore.realtime.subscription import Subscription
from mdstore.service.answer import MarketAnswer
from mdstore.service.memory_coordinator import MemoryCoordinator
from mdstore.service.router import RingRouter
from mdstore.sources.sync.coordinator import Source


def latest(store: mdstore.MarketDataStore, cache: mdstore.RealtimeDataCache) -> None:
    assert_type(store.trades.latest("KRW-BTC"), mdstore.Trade | None)
    assert_type(store.trades.latest("KRW-BTC", max_age=1.0, on_stale="none"), mdstore.Trade | None)
    assert_type(store.trades.latest("KRW-BTC", on_stale="raise"), mdstore.Trade)
    assert_type(store.trades.latest("KRW-BTC", on_stale="raise").price, float)
    assert_type(store.tickers.latest("KRW-BTC"), mdstore.Ticker | None)
    assert_type(store.orderbooks.latest("KRW-BTC"), mdstore.Depth | None)
    assert_type(cache.trades.latest("KRW-BTC"), mdstore.Trade | None)
    assert_type(store.live.forming("KRW-BTC", "1m"), mdstore.Kline | None)


def attached(path: str) -> None:
    with mdstore.attach(path) as bot:
        assert_type(bot.trades.latest("KRW-BTC"), mdstore.Trade | None)
        assert_type(bot.orderbooks.latest("KRW-BTC", on_stale="raise"), mdstore.Depth)


def subscriptions(store: mdstore.MarketDataStore) -> None:
    assert_type(store.trades.subscribe(), Subscription[mdstore.Trade])
    assert_type(store.tickers.subscribe(symbols="KRW-BTC"), Subscription[mdstore.Ticker])
    assert_type(store.orderbooks.subscribe(overflow="latest"), Subscription[mdstore.Depth])
    assert_type(store.live.subscribe("1m"), Subscription[ClosedBar])
    with store.live.subscribe("1m") as bars:
        for bar in bars:
            assert_type(bar, ClosedBar)
        assert_type(bars.drain(), list[ClosedBar])
        assert_type(bars.get(timeout=1.0), ClosedBar | None)


async def asynchronous(store: mdstore.MarketDataStore) -> None:
    async with store.trades.subscribe() as trades:
        async for trade in trades:
            assert_type(trade, mdstore.Trade)


def callbacks(store: mdstore.MarketDataStore) -> None:
    def of_a_bar(bar: ClosedBar) -> None: ...
    def of_a_ticker(ticker: mdstore.Ticker) -> None: ...

    store.live.subscribe("1m", callback=of_a_bar)
    store.tickers.subscribe(of_a_ticker)
    store.trades.subscribe(of_a_ticker)  # type: ignore[arg-type]
    store.live.subscribe("1m", callback=of_a_ticker)  # type: ignore[arg-type]


def storage(store: mdstore.MarketDataStore) -> mdstore.MarketDataStorage:
    return store


def repositories(store: mdstore.MarketDataStore) -> list[mdstore.Repository]:
    return [store._candles, store.tickers, store.orderbooks, store.trades, store.realtime]


def upstreams(
    rings: mdstore.RealtimeDataCache, fetch: Source
) -> tuple[mdstore.SmartRouter, list[mdstore.Coordinator]]:
    return RingRouter(rings), [mdstore.FunctionCoordinator(fetch), MemoryCoordinator({})]


def caches() -> list[mdstore.DataCache]:
    return [MemoryCache(1), CompressedCache(1), DiskCache("folder", 1)]


async def coroutines(service: mdstore.AsyncMarketDataService) -> None:
    assert_type(await service.get_ticker_data("KRW-BTC"), MarketAnswer)
