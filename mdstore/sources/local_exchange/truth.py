"""What the local exchange has traded: markets with their minutes, and why a minute has no bar."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor, log10
from typing import Any

import polars as pl

from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import Moment, to_ms
from mdstore.errors import InvalidInputError
from mdstore.sources.local_exchange.generated_bars import MINUTE, generated
from mdstore.sources.local_exchange.trades_of_bar import Bar, Minute, last_trade

__all__ = ["BAR", "LocalMarket", "Truth"]

BAR = Bar._fields
SECOND = Timeframe.parse("1s")
PRICES = {"KRW-BTC": 150e6, "KRW-ETH": 5.4e6, "KRW-XRP": 3_900.0, "BTCUSDT": 110e3, "ETHUSDT": 3_900.0}
LISTED = "2024-01-01"
SILENT = {True: 0.02, False: 0.0}  # Upbit, Binance
MERGE = (
    pl.col("open").first(), pl.col("high").max(), pl.col("low").min(), pl.col("close").last(),
    pl.col("volume").sum().round(8), pl.col("value").sum().round(5), pl.col("last").max(),
)  # fmt: skip
Span = tuple[Moment, Moment]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalMarket:
    """A market of the local exchange.

    Symbols with a hyphen (KRW-BTC) are Upbit's, others (BTCUSDT) Binance's. `candles` are recorded minutes, a
    Polars frame with timestamp, open, high, low, close, volume and, if it has one, value; where there are
    none, they are generated: about `price`, a share `silent` of them without a trade (by default 0.02 at
    Upbit, none at Binance, which has a bar of every minute), each of the others made of `trades_per_minute`
    trades, at least 4.
    """

    symbol: str
    candles: pl.DataFrame | None = None
    listed: Moment | None = None
    delisted: Moment | None = None
    price: float | None = None
    silent: float | None = None
    trades_per_minute: int = 20


class Truth:
    """All bars of all markets, whether a client has seen them or not.

    `maintenance` are ranges `(start, end)` in which the whole exchange stood still. Bars are the same for the
    same seed.

    >>> truth = Truth([LocalMarket(symbol="KRW-BTC", listed="2025-09-01")], seed=7)
    >>> len(truth.bars("KRW-BTC", "1h", "2025-08-31", "2025-09-02"))
    24
    """

    def __init__(
        self, markets: Sequence[LocalMarket | str], *, seed: int = 0, maintenance: Sequence[Span] = ()
    ) -> None:
        listed = [LocalMarket(symbol=one) if isinstance(one, str) else one for one in markets]
        self.markets = {one.symbol: _Traded(one, seed) for one in listed}
        self.maintenance = sorted((to_ms(start), to_ms(end)) for start, end in maintenance)

    def bars(
        self, symbol: str, timeframe: str | Timeframe, start: Moment, end: Moment, *, now: int | None = None
    ) -> pl.DataFrame:
        """Return the bars that start in `[start, end)`, with value and the time of the last trade (both ms).

        `now` leaves out what is traded later, so that the last may be forming.
        """
        timeframe = Timeframe.parse(timeframe)
        low, high = to_ms(start), to_ms(end)
        if timeframe == SECOND:
            return self._seconds(symbol, low, high, now)
        low = low if low == timeframe.floor(low) else timeframe.next(low)
        high = timeframe.floor(high - 1) if high > low else low
        minutes = self.minutes(symbol, low, timeframe.next(high), now=now) if high >= low else _NONE
        if str(timeframe) == "1m":
            return minutes
        time = timeframe.floor_expr(pl.col("timestamp"))
        return minutes.group_by(time, maintain_order=True).agg(*MERGE)

    def minutes(self, symbol: str, start: int, end: int, *, now: int | None = None) -> pl.DataFrame:
        """Return the minutes of `[start, end)` (ms); those before `now`, and what it has seen of its own."""
        traded = self.markets[symbol]
        if now is None or now >= end:
            return traded.minutes(start, end, self.maintenance)
        forming = now - now % MINUTE
        whole = traded.minutes(start, min(end, forming), self.maintenance)
        minute = self.minute(symbol, forming) if start <= forming < end else None
        until = 0 if minute is None else minute.until(now)
        if minute is None or not until:
            return whole
        return pl.concat([whole, pl.DataFrame([minute.part(0, until)], schema=whole.schema, orient="row")])

    def minute(self, symbol: str, start: int) -> Minute | None:
        """Return the trades of the minute that starts at a time (ms); None where there are none."""
        traded = self.markets[symbol]
        rows = traded.minutes(start, start + MINUTE, self.maintenance).rows()
        return traded.trades(Bar._make(rows[0])) if rows else None

    def reason(self, symbol: str, timestamp: int) -> str | None:
        """Return why a minute (ms) has no bar; None where it has one."""
        traded = self.markets[symbol]
        if timestamp < traded.listed:
            return "before_listing"
        if traded.delisted is not None and timestamp >= traded.delisted:
            return "after_delisting"
        if any(start <= timestamp < end for start, end in self.maintenance):
            return "exchange_down"
        return None if len(self.minutes(symbol, timestamp, timestamp + MINUTE)) else "no_trade"

    def amend(self, symbol: str, timestamp: Moment, values: Mapping[str, float]) -> None:
        """Change a minute that has a bar, as an exchange corrects itself. Raises `InvalidInputError`."""
        at = to_ms(timestamp)
        if self.reason(symbol, at) is not None:
            raise InvalidInputError(f"{symbol} has no bar at {at}: {self.reason(symbol, at)}")
        self.markets[symbol].amended[at] = {**self.markets[symbol].amended.get(at, {}), **values}

    def _seconds(self, symbol: str, start: int, end: int, now: int | None) -> pl.DataFrame:
        traded, bars = self.markets[symbol], []
        first = start - start % MINUTE
        for row in traded.minutes(first, end - end % -MINUTE, self.maintenance).iter_rows():
            minute = traded.trades(Bar._make(row))
            bars += minute.seconds(minute.count if now is None else minute.until(now))
        return pl.DataFrame([one for one in bars if start <= one[0] < end], schema=_SCHEMA, orient="row")


class _Traded:
    """A market with its minutes."""

    def __init__(self, market: LocalMarket, seed: int) -> None:
        self.market = market
        self.recorded = None if market.candles is None else _as_recorded(market.candles)
        listed = self._first() if market.listed is None else market.listed
        self.listed = to_ms(listed)
        self.delisted = None if market.delisted is None else to_ms(market.delisted)
        self.price = market.price or PRICES.get(market.symbol) or self._about()
        self.digits = 5 - floor(log10(self.price))
        self.last_trade = last_trade(market.trades_per_minute)
        self.amended: dict[int, dict[str, float]] = {}
        # Of the name, too: `hash` of a text differs from process to process.
        self._seed = seed * 1_000_003 + zlib.crc32(market.symbol.encode())

    def minutes(self, start: int, end: int, maintenance: Sequence[tuple[int, int]]) -> pl.DataFrame:
        start, end = max(start, self.listed), end if self.delisted is None else min(end, self.delisted)
        if end <= start:
            return _NONE
        time = pl.col("timestamp")
        rows = self._generated(start, end) if self.recorded is None else self._recorded(start, end)
        for low, high in maintenance:
            if low < end and high > start:
                rows = rows.filter((time < low) | (time >= high))
        return self._as_amended(rows.with_columns(last=time + self.last_trade))

    def trades(self, bar: Bar) -> Minute:
        return Minute(bar, self.market.trades_per_minute, self.digits)

    def _generated(self, start: int, end: int) -> pl.DataFrame:
        start, end = start - start % -MINUTE, end - end % -MINUTE
        won, silent = self.market.symbol.startswith("KRW-"), self.market.silent
        silent = SILENT["-" in self.market.symbol] if silent is None else silent
        return generated((start, end), self._seed, self.price, silent=silent, won=won)

    def _recorded(self, start: int, end: int) -> pl.DataFrame:
        assert self.recorded is not None  # noqa: S101  # the caller looks first
        times = self.recorded["timestamp"]
        low, high = times.search_sorted(start), times.search_sorted(end)
        return self.recorded[low:high]

    def _as_amended(self, rows: pl.DataFrame) -> pl.DataFrame:
        for at, values in self.amended.items():
            is_it = pl.col("timestamp") == at
            rows = rows.with_columns(
                pl.when(is_it).then(pl.lit(value)).otherwise(pl.col(name)).alias(name)
                for name, value in values.items()
            )
        return rows

    def _first(self) -> Moment:
        if self.recorded is None:
            return LISTED
        if self.recorded.is_empty():
            raise InvalidInputError(f"{self.market.symbol}: candles= has no rows")
        return int(self.recorded["timestamp"][0])

    def _about(self) -> float:
        if self.recorded is not None:
            return float(self.recorded["close"][0])
        return float(10 ** (1 + zlib.crc32(self.market.symbol.encode()) % 4))


def _as_recorded(candles: pl.DataFrame) -> pl.DataFrame:
    """Return recorded minutes with all columns, ascending."""
    time: Any = pl.col("timestamp")
    if candles["timestamp"].dtype.is_temporal():
        time = time.dt.timestamp("ms")
    if "value" not in candles.columns:
        prices = pl.mean_horizontal("open", "high", "low", "close")
        candles = candles.with_columns(value=(pl.col("volume") * prices).round(5))
    columns = [name for name in BAR if name not in ("timestamp", "last")]
    return candles.select(time.cast(pl.Int64), *(pl.col(name).cast(pl.Float64) for name in columns)).sort(
        "timestamp"
    )


_SCHEMA = {name: pl.Int64 if name in ("timestamp", "last") else pl.Float64 for name in BAR}
_NONE = pl.DataFrame(schema=_SCHEMA)
