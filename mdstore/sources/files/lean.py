"""Files of QuantConnect's Lean: dates and markets are in names and folders, stocks' prices are times 10,000.

The format is described in the readme files of https://github.com/QuantConnect/Lean/tree/master/Data.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import polars as pl

from mdstore.core.canonical import divided
from mdstore.core.schema import CANDLE_COLUMNS, PRICES
from mdstore.core.timeframe import DAY
from mdstore.core.timestamps import column_to_ms
from mdstore.core.zones import in_zone
from mdstore.errors import FileFormatError
from mdstore.sources.files.opening import Source

__all__ = ["Lean", "lean", "lean_name"]

MINUTES = re.compile(r"(?P<date>\d{8})_(?P<symbol>[^_]+)_(?P<resolution>second|minute)_trade")
ZIPPED = re.compile(r"(?:.*_)?(?P<symbol>[^_]+)_trade")
TIMEFRAMES = {"second": "1s", "minute": "1m", "hour": "1h", "daily": "1d"}
TIME = re.compile(r"\d{8} \d\d:\d\d")
WHOLE = re.compile(r"\s*\d+\s*")
FRACTION = r"^\d+\.\d*[1-9]"
# The folders of a market say what is traded; without them the digits of the prices do.
STOCKS, COINS = ("equity", "option", "indexoption"), ("crypto", "cryptofuture")
KINDS = (*STOCKS, *COINS, "forex", "cfd", "future", "futureoption", "index")
ZONES = {"usa": "America/New_York", "india": "Asia/Kolkata"}
SCALE = 10_000
QUOTES = ("USD", "USDT", "USDC", "EUR", "BTC", "ETH", "BUSD", "GBP", "JPY", "KRW")
LONGEST_STOCK = 5
ORDER = "put the file where Lean has it, as in equity/usa/minute/ or crypto/coinbase/minute/"


@dataclass(frozen=True, slots=True)
class Lean:
    """A file of Lean: its symbol, and what makes its rows candles.

    `midnight` (ms) is that of its one day, None where rows bear their own dates.
    """

    symbol: str
    timeframe: str | None
    midnight: int | None
    zone: str | None
    scaled: bool

    @property
    def note(self) -> str:
        """What must be said of it."""
        zone = self.zone or "UTC"
        times = f"times are of {zone}"
        if self.midnight is not None:
            times = f"times count from midnight {'in ' if self.zone else ''}{zone} of the day in its name"
        prices = f"prices are divided by {SCALE:,}" if self.scaled else "prices are taken as they stand"
        return f"a Lean file: {times}, {prices}"

    def frame(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return rows with times in UTC and prices in their unit."""
        made = frame.with_columns(self._times(frame["timestamp"]).alias("timestamp"))
        return made.with_columns(_divided(frame[name]) for name in PRICES) if self.scaled else made

    def _times(self, column: pl.Series) -> pl.Series:
        if self.midnight is None:
            times = column_to_ms(column)[0]
            if self.zone is None or (times % DAY == 0).all():  # days bear their date
                return column
        else:
            since = column.cast(pl.Int64, strict=False)
            times = since.set((~since.is_between(0, DAY - 1)).fill_null(value=False), None) + self.midnight
        made = in_zone(times.alias("timestamp").cast(pl.Datetime("ms")), self.zone)
        return _judged(made.cast(pl.Datetime("ms", "UTC")).to_physical(), column)


def _judged(made: pl.Series, column: pl.Series) -> pl.Series:
    """Return times, and what is none as a text that says so: a bare 86400000 would be read as one."""
    if made.null_count() == column.null_count():
        return made
    return made.cast(pl.String).fill_null(column.cast(pl.String) + " is no time here")


class Name(NamedTuple):
    """What the names of a Lean file say; `kind` is what is traded, where they say that."""

    symbol: str
    timeframe: str | None = None
    midnight: int | None = None
    kind: str | None = None


def lean(source: Source, rows: Sequence[Sequence[str]]) -> Lean | None:
    """Tell a Lean file by its names and first rows; None if it is none.

    Raises `FileFormatError` where it may be of stocks or of coins, whose prices and times differ.
    """
    named, folders = lean_name(source.stems), _folders(source.path)
    if named is None or not (folders or named.kind != STOCKS[0] or _is_of_stocks(rows)):
        return None
    kind, market, resolution = folders or (named.kind or _kind_by_digits(source, named, rows), "usa", None)
    timeframe = named.timeframe or (None if resolution is None else TIMEFRAMES[resolution])
    if kind in COINS:
        return Lean(named.symbol, timeframe, named.midnight, None, scaled=False)
    if kind not in STOCKS or market not in ZONES:
        raise FileFormatError(
            f"{source.name}: a Lean file of {kind} in {market}, whose times and prices are not known here",
            hint="write it as CSV with a header, times in UTC and prices as they were traded",
        )
    return Lean(named.symbol, timeframe, named.midnight, ZONES[market], scaled=True)


def lean_name(stems: tuple[str, ...]) -> Name | None:
    """Read the names of a file; symbols are in capitals, in all of its files.

    >>> lean_name(("20161007_btcusd_minute_trade", "20161007_trade"))
    Name(symbol='BTCUSD', timeframe='1m', midnight=1475798400000, kind=None)
    >>> lean_name(("btcusd", "daily_btcusd_trade"))
    Name(symbol='BTCUSD', timeframe=None, midnight=None, kind='crypto')
    >>> lean_name(("spy", "spy"))
    Name(symbol='SPY', timeframe=None, midnight=None, kind='equity')
    """
    minutes = MINUTES.fullmatch(stems[0])
    if minutes is not None:
        try:
            midnight = datetime.strptime(minutes["date"], "%Y%m%d").replace(tzinfo=UTC)
        except ValueError:
            return None
        ms = int(midnight.timestamp()) * 1000
        return Name(minutes["symbol"].upper(), TIMEFRAMES[minutes["resolution"]], ms)
    if len(stems) == 1:
        return None
    zipped = ZIPPED.fullmatch(stems[1])
    if zipped is not None and zipped["symbol"] == stems[0]:
        return Name(stems[0].upper(), kind=COINS[0])
    return Name(stems[0].upper(), kind=STOCKS[0]) if stems[0] == stems[1] else None


def _is_of_stocks(rows: Sequence[Sequence[str]]) -> bool:
    """Tell a zipped stock of Lean from any other file that is zipped under its own name."""
    plain = len(CANDLE_COLUMNS)
    return all(len(row) == plain and TIME.fullmatch(row[0]) and _is_whole(row) for row in rows[:-1] or rows)


def _is_whole(row: Sequence[str]) -> bool:
    return all(map(WHOLE.fullmatch, row[1:5]))


def _folders(path: Path) -> tuple[str, str, str] | None:
    """Return what is traded, where, and the resolution, as folders say: .../equity/usa/daily/spy.zip."""
    parts = [part.lower() for part in path.absolute().parts[:-1]]
    for kind, market, resolution in zip(parts, parts[1:], parts[2:], strict=False):
        if kind in KINDS and resolution in TIMEFRAMES:
            return kind, market, resolution
    return None


def _kind_by_digits(source: Source, named: Name, rows: Sequence[Sequence[str]]) -> str:
    """Tell stocks, whose prices are whole numbers here, from coins, whose are not."""
    if not all(map(_is_whole, rows[:-1] or rows)):
        return COINS[0]
    if len(named.symbol) > LONGEST_STOCK and named.symbol.endswith(QUOTES):
        raise FileFormatError(
            f"{source.name}: a Lean file: is {named.symbol} a coin, or a stock with prices times {SCALE:,}?",
            hint=ORDER,
        )
    return STOCKS[0]


def _divided(prices: pl.Series) -> pl.Series:
    """Divide prices by what Lean multiplies them with."""
    if prices.dtype == pl.String and prices.str.contains(FRACTION).any():
        raise FileFormatError("a Lean file of a stock with prices that are no whole numbers", hint=ORDER)
    return divided(prices, SCALE)
