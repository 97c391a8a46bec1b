"""Market-data storage for Python quants: candles in one SQLite file, read back as Polars frames.

>>> with mdstore.open(folder / "market_data.sqlite3") as store:
...     result = store.write("KRW-BTC", "1d", [("2025-09-01", 150.0, 152.0, 149.0, 151.0, 1.5)])
...     store.candles("KRW-BTC", "1d", limit=1).row(0)[1:]
(150.0, 152.0, 149.0, 151.0, 1.5)
"""

from mdstore.candles.repository import CandleRepository, Explanation
from mdstore.candles.writer import WriteResult
from mdstore.errors import (
    FileFormatError,
    ForkedError,
    InvalidInputError,
    LiveFileError,
    MarketDataError,
    NewerSchemaError,
    NoSuchSeriesError,
    QueryError,
    ScannerError,
    StoreBusyError,
    StoreClosedError,
    StoreFileError,
    TimeframeError,
    TimestampError,
    ValidationError,
)
from mdstore.store import MarketDataStore, open  # noqa: A004 - `mdstore.open`
from mdstore.timeframe import Timeframe

__all__ = [
    "CandleRepository",
    "Explanation",
    "FileFormatError",
    "ForkedError",
    "InvalidInputError",
    "LiveFileError",
    "MarketDataError",
    "MarketDataStore",
    "NewerSchemaError",
    "NoSuchSeriesError",
    "QueryError",
    "ScannerError",
    "StoreBusyError",
    "StoreClosedError",
    "StoreFileError",
    "Timeframe",
    "TimeframeError",
    "TimestampError",
    "ValidationError",
    "WriteResult",
    "open",
]
