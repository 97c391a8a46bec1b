"""Market-data storage for Python quants: candles in one SQLite file, read back as Polars frames.

>>> with mdstore.open(folder / "market_data.sqlite3") as store:
...     result = store.write("KRW-BTC", "1d", [("2025-09-01", 150.0, 152.0, 149.0, 151.0, 1.5)])
...     store.candles("KRW-BTC", "1d", limit=1).row(0)[1:]
(150.0, 152.0, 149.0, 151.0, 1.5)
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mdstore.analysis.fingerprints import fingerprint
    from mdstore.analysis.screen import Screen
    from mdstore.cache.data_cache import DataCache
    from mdstore.candles.reads.explanation import Explanation
    from mdstore.candles.repository import CandleRepository
    from mdstore.candles.upkeep.freezing import Frozen
    from mdstore.candles.writes.results import WriteResult
    from mdstore.core.timeframe import Timeframe
    from mdstore.errors import (
        BannedError,
        ClockError,
        ConflictError,
        DamagedDataError,
        FeedError,
        FileFormatError,
        ForkedError,
        HistoryTrimmedError,
        InvalidInputError,
        LiveFileError,
        MaintenanceStoppedError,
        MarketDataError,
        MessageError,
        NewerSchemaError,
        NoSuchMarketError,
        NoSuchSeriesError,
        QueryError,
        QueryTimeoutError,
        ReadOnlyError,
        ScannerError,
        SourceError,
        StaleDataError,
        StoreBusyError,
        StoreClosedError,
        StoreFileError,
        TimeframeError,
        TimestampError,
        ValidationError,
    )
    from mdstore.optimization.fragmentation import FragmentationMonitor
    from mdstore.optimization.indexes import IndexOptimizer
    from mdstore.optimization.metrics import MetricsCollector
    from mdstore.optimization.optimizing import Optimized
    from mdstore.optimization.queries import QueryAnalyzer
    from mdstore.optimization.quiet_window import QuietWindow
    from mdstore.optimization.vacuum import SmartVacuumScheduler
    from mdstore.realtime.attached import attach
    from mdstore.realtime.cache import RealtimeDataCache
    from mdstore.realtime.order_book import OrderBook
    from mdstore.realtime.rows import Depth, Kline, Ticker, Trade
    from mdstore.reports.store_report import write_report
    from mdstore.service.answer import MarketAnswer
    from mdstore.service.asynchronous import AsyncMarketDataService
    from mdstore.service.memory_coordinator import MemoryCoordinator
    from mdstore.service.policies import ServicePolicies
    from mdstore.service.router import RingRouter, RoutedBar, SmartRouter
    from mdstore.service.service import MarketDataService
    from mdstore.service.storage import MarketDataStorage, Repository
    from mdstore.sources.exchanges.binance import BinanceFeed
    from mdstore.sources.exchanges.candle_sources import open_source
    from mdstore.sources.exchanges.upbit import UpbitFeed
    from mdstore.sources.local_exchange.local_exchange import LocalExchange
    from mdstore.sources.local_exchange.truth import LocalMarket
    from mdstore.sources.recordings.recorder import Recorder
    from mdstore.sources.sync.candle_source import CandleSource, Market
    from mdstore.sources.sync.coordinator import Coordinator, FunctionCoordinator, Limits, Metrics, Page
    from mdstore.sources.sync.result import SyncResult
    from mdstore.store.store import MarketDataStore, open  # noqa: A004 - `mdstore.open`

    __version__: str

# Where each public name lives. They are imported on first use: Polars alone takes 0.15 s, and neither the
# command line's help nor the scanner process needs it.
_HOMES = {
    "mdstore.cache.data_cache": ("DataCache",),
    "mdstore.candles.reads.explanation": ("Explanation",),
    "mdstore.candles.repository": ("CandleRepository",),
    "mdstore.candles.upkeep.freezing": ("Frozen",),
    "mdstore.candles.writes.results": ("WriteResult",),
    "mdstore.errors": (
        "BannedError", "ClockError", "ConflictError", "DamagedDataError", "FeedError", "FileFormatError",
        "ForkedError", "HistoryTrimmedError", "InvalidInputError", "LiveFileError",
        "MaintenanceStoppedError", "MarketDataError", "MessageError",
        "NewerSchemaError", "NoSuchMarketError", "NoSuchSeriesError", "QueryError", "QueryTimeoutError",
        "ReadOnlyError", "ScannerError", "SourceError", "StaleDataError", "StoreBusyError",
        "StoreClosedError", "StoreFileError", "TimeframeError", "TimestampError", "ValidationError",
    ),
    "mdstore.optimization.fragmentation": ("FragmentationMonitor",),
    "mdstore.optimization.indexes": ("IndexOptimizer",),
    "mdstore.optimization.metrics": ("MetricsCollector",),
    "mdstore.optimization.optimizing": ("Optimized",),
    "mdstore.optimization.queries": ("QueryAnalyzer",),
    "mdstore.optimization.quiet_window": ("QuietWindow",),
    "mdstore.optimization.vacuum": ("SmartVacuumScheduler",),
    "mdstore.reports.store_report": ("write_report",),
    "mdstore.service.answer": ("MarketAnswer",),
    "mdstore.service.asynchronous": ("AsyncMarketDataService",),
    "mdstore.service.memory_coordinator": ("MemoryCoordinator",),
    "mdstore.sources.sync.coordinator": ("Coordinator", "FunctionCoordinator", "Limits", "Metrics", "Page"),
    "mdstore.sources.sync.candle_source": ("CandleSource", "Market"),
    "mdstore.sources.exchanges.candle_sources": ("open_source",),
    "mdstore.service.policies": ("ServicePolicies",),
    "mdstore.service.router": ("RingRouter", "RoutedBar", "SmartRouter"),
    "mdstore.service.service": ("MarketDataService",),
    "mdstore.service.storage": ("MarketDataStorage", "Repository"),
    "mdstore.sources.exchanges.binance": ("BinanceFeed",),
    "mdstore.sources.exchanges.upbit": ("UpbitFeed",),
    "mdstore.sources.local_exchange.local_exchange": ("LocalExchange",),
    "mdstore.sources.local_exchange.truth": ("LocalMarket",),
    "mdstore.sources.recordings.recorder": ("Recorder",),
    "mdstore.analysis.fingerprints": ("fingerprint",),
    "mdstore.realtime.attached": ("attach",),
    "mdstore.realtime.order_book": ("OrderBook",),
    "mdstore.realtime.cache": ("RealtimeDataCache",),
    "mdstore.realtime.rows": ("Depth", "Kline", "Ticker", "Trade"),
    "mdstore.analysis.screen": ("Screen",),
    "mdstore.sources.sync.result": ("SyncResult",),
    "mdstore.store.store": ("MarketDataStore", "open"),
    "mdstore.core.timeframe": ("Timeframe",),
}  # fmt: skip
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "AsyncMarketDataService",
    "BannedError",
    "BinanceFeed",
    "CandleRepository",
    "CandleSource",
    "ClockError",
    "ConflictError",
    "Coordinator",
    "DamagedDataError",
    "DataCache",
    "Depth",
    "Explanation",
    "FeedError",
    "FileFormatError",
    "ForkedError",
    "FragmentationMonitor",
    "Frozen",
    "FunctionCoordinator",
    "HistoryTrimmedError",
    "IndexOptimizer",
    "InvalidInputError",
    "Kline",
    "Limits",
    "LiveFileError",
    "LocalExchange",
    "LocalMarket",
    "MaintenanceStoppedError",
    "Market",
    "MarketAnswer",
    "MarketDataError",
    "MarketDataService",
    "MarketDataStorage",
    "MarketDataStore",
    "MemoryCoordinator",
    "MessageError",
    "Metrics",
    "MetricsCollector",
    "NewerSchemaError",
    "NoSuchMarketError",
    "NoSuchSeriesError",
    "Optimized",
    "OrderBook",
    "Page",
    "QueryAnalyzer",
    "QueryError",
    "QueryTimeoutError",
    "QuietWindow",
    "ReadOnlyError",
    "RealtimeDataCache",
    "Recorder",
    "Repository",
    "RingRouter",
    "RoutedBar",
    "ScannerError",
    "Screen",
    "ServicePolicies",
    "SmartRouter",
    "SmartVacuumScheduler",
    "SourceError",
    "StaleDataError",
    "StoreBusyError",
    "StoreClosedError",
    "StoreFileError",
    "SyncResult",
    "Ticker",
    "Timeframe",
    "TimeframeError",
    "TimestampError",
    "Trade",
    "UpbitFeed",
    "ValidationError",
    "WriteResult",
    "attach",
    "fingerprint",
    "open",
    "open_source",
    "write_report",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        value: object = import_module("importlib.metadata").version("mdstore")
    elif name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
    else:
        raise AttributeError(f"module 'mdstore' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
