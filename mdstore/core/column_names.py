"""What people call the columns of candles, and which column is meant.

To have another name recognised, add it to `COLUMN_ALIASES`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

__all__ = [
    "COLUMN_ALIASES", "FIAT", "INDEX_NAMES", "KOREAN", "TIME_OF_DAY", "UPBIT_MINUTES", "ZONES", "clean",
    "recognise", "unused", "zone_in",
]  # fmt: skip

# Names in order of preference, lower case. Upbit's REST candles carry `timestamp` as the time of the last
# tick beside `candle_date_time_utc`, the bar's own key; so the explicit names come before the general ones.
COLUMN_ALIASES = {
    "symbol": (
        "symbol", "ticker", "market", "code", "pair", "instrument", "name", "stock", "s", "ts_code",
        "currency pair", "currency_pair", "currencypair", "symbol_id", "token_id", "tokenid", "token",
        "coin_id", "coin", "asset", "asset_id", "company", "company_name", "stockid", "stock_id",
        "stock_code", "stockcode", "security", "security_id", "contract", "isin", "tic", "ric", "secid",
        "instrument_id", "currency",
    ),
    "timeframe": ("timeframe", "interval", "resolution"),
    "timestamp": (
        "candle_date_time_utc", "candle_date_time_kst",
        "open_time", "opentime", "open time", "timeopen", "time_open", "timestamp",
        "datetime", "date_time", "date", "trade_date", "time", "unix", "t", "ts_event", "ts",
    ),
    "open": ("open", "opening_price", "open_price", "o"),
    "high": ("high", "high_price", "h"),
    "low": ("low", "low_price", "l"),
    "close": ("close", "trade_price", "close_price", "last", "c"),
    "volume": ("volume", "candle_acc_trade_volume", "vol", "v", "qty"),
}  # fmt: skip
TIME_OF_DAY = (
    "time", "time_of_day", "timeofday", "time of day", "tod", "hhmm", "hhmmss", "trade_time", "bar_time",
    "clock",
)  # fmt: skip
"""Names of a column that completes one of dates, which bears one of these:"""
DATES = ("date", "trade_date")

# Zones that a header may name, as in `Time (ET)`. EST and its like are not among them: people write EST in
# summer, too.
ZONES = {
    "utc": "UTC", "gmt": "UTC", "z": "UTC", "et": "America/New_York", "ct": "America/Chicago",
    "pt": "America/Los_Angeles", "new york": "America/New_York", "kst": "Asia/Seoul", "jst": "Asia/Tokyo",
    "hkt": "Asia/Hong_Kong", "msk": "Europe/Moscow",
}  # fmt: skip
# Upbit's: the start of the bar in Korean time. Where its UTC stands beside it, that is taken.
KOREAN = "candle_date_time_kst"
# What prices are in: a `currency` that is one of these in all rows says nothing of what is traded.
FIAT = {
    "USD", "EUR", "GBP", "JPY", "KRW", "CNY", "HKD", "TWD", "INR", "CAD", "AUD", "NZD", "CHF", "SEK", "NOK",
    "DKK", "PLN", "BRL", "MXN", "ZAR", "TRY", "RUB", "SGD", "THB", "IDR", "ILS", "GBp", "USDT", "USDC",
}  # fmt: skip
# The names an index gets that was saved without one.
INDEX_NAMES = ("", "unnamed: 0", "__index_level_0__", "index")
# Upbit's minute candles say their length as a number of minutes; elsewhere a `unit` is anything.
UPBIT_KEYS, UPBIT_MINUTES = {"candle_date_time_utc", KOREAN}, "unit"
# CoinMarketCap's `name` is the number of a currency that prices are in.
NUMBERED_NAME, ITS_NEIGHBOURS = "name", {"timeopen", "timehigh", "timelow"}
IN_BRACKETS = re.compile(r"(.*?)\s*\(([^()]*)\)")


def clean(name: str) -> str:
    """Return a column's name without what does not matter: case, space at the ends, MetaTrader's brackets."""
    return name.strip().strip("<>").lower()


def recognise(columns: Iterable[str]) -> dict[str, str]:
    """Map the canonical names found among `columns` to the names they have there.

    Case and surrounding space do not matter; where several columns could serve, the order of
    `COLUMN_ALIASES` decides; columns that are nothing to a candle are left out. `time of day` is a second
    column of times, which completes a date.

    >>> recognise(["Date", "Open", "Adj Close", "Close", "Name"])
    {'symbol': 'Name', 'timestamp': 'Date', 'open': 'Open', 'close': 'Close'}
    >>> recognise(["Date", "Time (ET)", "Close"])
    {'timestamp': 'Date', 'close': 'Close', 'time of day': 'Time (ET)'}
    """
    return dict(_recognise(tuple(columns)))


@lru_cache(maxsize=256)  # a feed writes a row at a time, always with the same names
def _recognise(columns: tuple[str, ...]) -> dict[str, str]:
    lower = {clean(name): name for name in reversed(columns)}
    zoned = {base: name for key, name in lower.items() if (base := _without_zone(key)) and base not in lower}
    if lower.keys() >= ITS_NEIGHBOURS:
        lower.pop(NUMBERED_NAME, None)
    found = {}
    for canonical, aliases in COLUMN_ALIASES.items():
        known = lower | zoned if canonical == "timestamp" else lower
        alias = next((alias for alias in aliases if alias in known), None)
        if alias is not None:
            found[canonical] = known[alias]
    if UPBIT_MINUTES in lower and UPBIT_KEYS & lower.keys():
        found.setdefault("timeframe", lower[UPBIT_MINUTES])
    if clean(found.get("timestamp", "")) in DATES:
        of_day = [name for key, name in lower.items() if (_in_brackets(key) or (key,))[0] in TIME_OF_DAY]
        if of_day:
            found["time of day"] = of_day[-1]
    return found


def unused(columns: Sequence[str], used: Sequence[str]) -> list[str]:
    """Return the columns that are not kept, without the unnamed one of a frame's index."""
    return [name for name in columns if name not in used and clean(name) not in INDEX_NAMES]


def zone_in(name: str) -> str | None:
    """Return the zone that a header names in brackets; the bracket's own text where that is no zone we know.

    Upbit's column of Korean times has a name of its own.

    >>> zone_in("Time (ET)"), zone_in("time"), zone_in("Time (Europe/Paris)"), zone_in("Time (EST)")
    ('America/New_York', None, 'Europe/Paris', 'est')
    """
    if clean(name) == KOREAN:
        return ZONES["kst"]
    bracket = _in_brackets(name.strip())
    if bracket is None:
        return None
    return bracket[1] if "/" in bracket[1] else ZONES.get(bracket[1].lower(), bracket[1].lower())


def _in_brackets(key: str) -> tuple[str, str] | None:
    bracket = IN_BRACKETS.fullmatch(key)
    return (bracket[1], bracket[2]) if bracket else None


def _without_zone(key: str) -> str | None:
    """Return a name without the zone in its brackets; None where there is no zone."""
    bracket = _in_brackets(key)
    return bracket[0] if bracket and (bracket[1] in ZONES or "/" in bracket[1]) else None
