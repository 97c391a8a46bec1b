"""The three kinds of realtime rows, and how long (TTL) and how many of each are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from mdstore.realtime.packing import DepthPacking, Packing, TickerPacking, TradePacking
from mdstore.realtime.rows import Depth, Ticker, Trade

__all__ = ["ORDERBOOKS", "TICKERS", "TRADES", "Kind"]

R = TypeVar("R", Ticker, Depth, Trade)

MIB = 1024 * 1024
# How many seconds rows are kept, counted from the exchange's timestamp.
TICKER_TTL, ORDERBOOK_TTL, TRADE_TTL = 300.0, 30.0, 600.0


@dataclass(frozen=True, slots=True)
class Kind(Generic[R]):
    """What rows of a table are, and how long and how many of a symbol are kept by default.

    Of `events` every one is kept, in the order of time. Of states only the newest counts; one that is older
    than it is dropped.
    """

    name: str
    row: type[R]
    packing: Packing
    events: bool
    ttl: float
    """Seconds."""
    rows: int
    bytes: int
    batch_rows: int
    columnar: bool = True
    """Whether a batch that comes as columns is packed by columns; lists of levels are not."""


# Half a minute of 10 order books a second: 300 rows of 1 KB. 600 s of 100 trades: 60,000, 3 MB.
TICKERS = Kind("tickers", Ticker, TickerPacking(), False, TICKER_TTL, 20_000, 4 * MIB, 256)
ORDERBOOKS = Kind("orderbooks", Depth, DepthPacking(), False, ORDERBOOK_TTL, 5_000, 8 * MIB, 64, False)
TRADES = Kind("trades", Trade, TradePacking(), True, TRADE_TTL, 250_000, 16 * MIB, 512)
