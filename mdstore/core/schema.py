"""What a candle, a ticker, an order book and a trade are: their columns and types.

The Arrow schemas here are the contract every reader and writer keeps.
"""

from __future__ import annotations

from functools import lru_cache

import pyarrow as pa

__all__ = [
    "CANDLE", "CANDLE_COLUMNS", "LONG_CANDLE", "MAX_LEVELS", "ORDERBOOK",
    "PRICES", "QUARANTINE", "SIDES", "TICKER", "TRADE", "VALUES", "named_candle",
    "wide_candle", "wide_names",
]  # fmt: skip

PRICES = ("open", "high", "low", "close")
VALUES = (*PRICES, "volume")
CANDLE_COLUMNS = ("timestamp", *VALUES)

TIMESTAMP = pa.timestamp("ms", "UTC")
"""Start of the bar."""

CANDLE = pa.schema([("timestamp", TIMESTAMP), *((name, pa.float64()) for name in VALUES)])
"""One series: start of the bar, prices in the quote currency, volume in the base currency or in shares."""


@lru_cache
def wide_candle(extras: int) -> pa.Schema:
    """Return the schema of one series with so many declared columns, by their number in that series.

    A value that a bar lacks is NaN in them: packs hold no validity bits, and no NaN is stored.
    """
    more = [pa.field(name, pa.float64()) for name in wide_names(extras)]
    return pa.schema([*CANDLE, *more]) if extras else CANDLE


def wide_names(extras: int) -> list[str]:
    """Return the names of so many declared columns, by their number."""
    return [f"extra {number}" for number in range(1, extras + 1)]


@lru_cache
def named_candle(extras: tuple[str, ...]) -> pa.Schema:
    """Return the schema of one series with declared columns of these names."""
    return pa.schema([*CANDLE, *(pa.field(name, pa.float64()) for name in extras)]) if extras else CANDLE


SYMBOL = pa.dictionary(pa.int32(), pa.string())

LONG_CANDLE = pa.schema([("symbol", SYMBOL), *CANDLE])
"""Several series of one timeframe under each other, sorted by (symbol, timestamp)."""

QUARANTINE = pa.schema([
    ("id", pa.int64()), ("quarantined_at", pa.int64()), ("symbol", pa.string()), ("timeframe", pa.string()),
    ("row", pa.int64()), ("column", pa.string()), ("rule", pa.string()), ("value", pa.string()),
    ("record", pa.string()),
])  # fmt: skip
"""Rows that were set aside: when (ms), which rule they break, and the row as JSON."""

MAX_LEVELS = 30
"""Levels an order book may have on each side: what Upbit sends."""

SIDES = ("buy", "sell")
LEVELS = pa.list_(pa.float64())
# `snapshot`: it is the state at a (re)connection and no update. `received`: when it came to this machine.
ORIGIN = (("snapshot", pa.bool_()), ("received", pa.timestamp("ns", "UTC")))

TICKER = pa.schema([
    ("timestamp", TIMESTAMP),
    *((name, pa.float64()) for name in (
        "price", "open", "high", "low", "change", "change_rate", "volume_24h", "value_24h",
        "bid", "bid_size", "ask", "ask_size", "price_age", "day_age", "best_age",
    )),
    *ORIGIN,
])  # fmt: skip
"""Tickers of one symbol; see `realtime.rows.Ticker`."""

ORDERBOOK = pa.schema([
    ("timestamp", TIMESTAMP),
    *((name, LEVELS) for name in ("bid_prices", "bid_sizes", "ask_prices", "ask_sizes")),
    *((name, pa.float64()) for name in ("total_bid_size", "total_ask_size")),
    *ORIGIN,
])  # fmt: skip
"""Order books of one symbol, best level first; see `realtime.rows.Depth`."""

TRADE = pa.schema(
    [
        ("timestamp", TIMESTAMP),
        ("price", pa.float64()),
        ("size", pa.float64()),
        ("side", pa.dictionary(pa.int8(), pa.string())),
        ("id", pa.int64()),
        *ORIGIN,
    ]
)
"""Trades of one symbol; see `realtime.rows.Trade`."""
