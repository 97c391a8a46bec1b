"""What people call the columns of candles, and which column is meant.

To have another name recognised, add it to `COLUMN_ALIASES`.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["COLUMN_ALIASES", "recognise"]

# Names in order of preference, lower case. Upbit's REST candles carry `timestamp` as the time of the last
# tick beside `candle_date_time_utc`, the bar's own key; so the explicit names come before the general ones.
COLUMN_ALIASES = {
    "symbol": ("symbol", "ticker", "market", "code", "pair", "instrument", "name", "stock", "s"),
    "timeframe": ("timeframe", "interval", "resolution"),
    "timestamp": (
        "candle_date_time_utc", "open_time", "opentime", "open time", "timestamp", "datetime", "date_time",
        "date", "time", "unix", "t", "ts_event", "ts",
    ),
    "open": ("open", "opening_price", "open_price", "o"),
    "high": ("high", "high_price", "h"),
    "low": ("low", "low_price", "l"),
    "close": ("close", "trade_price", "close_price", "last", "c"),
    "volume": ("volume", "candle_acc_trade_volume", "vol", "v", "qty"),
}  # fmt: skip


def recognise(columns: Sequence[str]) -> dict[str, str]:
    """Map the canonical names found among `columns` to the names they have there.

    Case and surrounding space do not matter; where several columns could serve, the order of
    `COLUMN_ALIASES` decides; columns that are nothing to a candle are left out.

    >>> recognise(["Date", "Open", "Adj Close", "Close", "Name"])
    {'symbol': 'Name', 'timestamp': 'Date', 'open': 'Open', 'close': 'Close'}
    """
    lower = {name.strip().lower(): name for name in reversed(columns)}
    found = {}
    for canonical, aliases in COLUMN_ALIASES.items():
        alias = next((alias for alias in aliases if alias in lower), None)
        if alias is not None:
            found[canonical] = lower[alias]
    return found
