"""All realtime data of a store: tickers, order books, trades and the candles that they are forming."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from mdstore.errors import Hint, InvalidInputError
from mdstore.realtime.limits import ORDERBOOKS, TICKERS, TRADES, Kind
from mdstore.realtime.live import LiveCandles
from mdstore.realtime.rows import Depth, Kline, Ticker, Trade
from mdstore.realtime.table import Clock, RealtimeTable

__all__ = ["RealtimeDataCache"]

R = TypeVar("R", Ticker, Depth, Trade)
OPTIONS = ("ttl", "rows", "bytes", "total_bytes", "symbols")


class RealtimeDataCache:
    """Tickers, order books and trades in memory, each row until its TTL; nothing of it is ever on a disk.

    A store has one, with the defaults; another is given to `mdstore.open(..., realtime=)`, or used alone.
    Each of `tickers`, `orderbooks` and `trades` takes options of `RealtimeTable`: `ttl` (seconds), `rows` and
    `bytes` of a symbol, `total_bytes`, `symbols`.

    >>> cache = RealtimeDataCache(orderbooks={"ttl": 10}, trades={"ttl": 3600, "rows": 1_000_000})
    >>> cache.trades.push(("KRW-BTC", time.time_ns() // 10**6, 148_601_000.0, 0.01, "buy", 1))
    1
    >>> cache.trades.latest("KRW-BTC").price
    148601000.0
    """

    def __init__(
        self,
        *,
        tickers: Mapping[str, Any] | None = None,
        orderbooks: Mapping[str, Any] | None = None,
        trades: Mapping[str, Any] | None = None,
        clock: Clock = time.time_ns,
    ) -> None:
        self._options: dict[str, Any] = {
            "tickers": tickers,
            "orderbooks": orderbooks,
            "trades": trades,
            "clock": clock,
        }
        self.tickers = _table(TICKERS, tickers, clock)
        self.orderbooks = _table(ORDERBOOKS, orderbooks, clock)
        self.trades = _table(TRADES, trades, clock)
        self.live = LiveCandles(clock=clock, join=self.trades.add_listener)
        self._takers: dict[type, Callable[[Any], object]] = {
            Ticker: self.tickers.push, Depth: self.orderbooks.push,
            Trade: self.trades.push, Kline: self.live.update,
        }  # fmt: skip
        self.live.takers = self._takers
        self.live.forget = self._forget

    @property
    def clock(self) -> Clock:
        """What tells the time to all of them, in nanoseconds since 1970."""
        return self.trades.clock

    @clock.setter
    def clock(self, clock: Clock) -> None:
        for part in (self.tickers, self.orderbooks, self.trades, self.live):
            part.clock = clock

    @property
    def tables(self) -> dict[str, RealtimeTable[Any]]:
        """The tables by their names in SQL."""
        return {"tickers": self.tickers, "orderbooks": self.orderbooks, "trades": self.trades}

    @property
    def is_empty(self) -> bool:
        """Whether nothing is held."""
        return all(table.is_empty for table in self.tables.values()) and not self.live.stats()["series"]

    def push(self, rows: Iterable[Ticker | Depth | Trade | Kline]) -> None:
        """Take what a feed made of a message, each row where it belongs.

        Raises `ValidationError` or `InvalidInputError`; the rows before the bad one were taken.
        """
        if isinstance(rows, str | bytes | Mapping):
            raise InvalidInputError(
                f"{rows!r:.80} is a message, not rows",
                hint=Hint("UpbitFeed().rows(message) makes rows of it", "`mdstore replay` reads messages"),
            )
        if not isinstance(rows, Iterable):
            raise InvalidInputError(f"{rows!r} is no list of rows")
        for row in (rows,) if isinstance(rows, Ticker | Depth | Trade | Kline) else rows:
            taker = self._takers.get(type(row))
            if taker is None:
                raise InvalidInputError(f"{row!r} is no Ticker, Depth, Trade or Kline")
            taker(row)

    def _forget(self, symbols: Iterable[str] | None) -> None:
        """Let go of the states that a lost connection has left: they are not what is now."""
        for table in (self.tickers, self.orderbooks):
            table.forget(symbols)

    def stats(self) -> dict[str, dict[str, Any]]:
        """Return what each part holds and what became of the rows that came."""
        return {**{name: table.stats() for name, table in self.tables.items()}, "live": self.live.stats()}

    def clear(self) -> None:
        """Forget all rows, and go by one's own clock again after a replay; subscriptions stay."""
        # Bars first: by another clock, those that are forming would seem to have ended.
        self.live.clear()
        for table in self.tables.values():
            table.clear()
        self.clock = self._options["clock"]

    def fresh(self) -> RealtimeDataCache:
        """Return an empty one with the same bounds, as a forked process needs it."""
        return RealtimeDataCache(**self._options)

    def close(self) -> None:
        """Store the closed candles that wait for it, and end the subscriptions.

        Raises what kept the candles from being stored.
        """
        try:
            self.live.close()
        finally:
            for table in self.tables.values():
                table.close()

    def __repr__(self) -> str:
        return f"<RealtimeDataCache: {self.tickers!r}, {self.orderbooks!r}, {self.trades!r}>"


def _table(kind: Kind[R], options: Mapping[str, Any] | None, clock: Clock) -> RealtimeTable[R]:
    if not isinstance(options, Mapping | None):
        raise InvalidInputError(f"{kind.name}={options!r}: give a dict of {', '.join(OPTIONS)}")
    unknown = [name for name in options or () if name not in OPTIONS]
    if unknown:
        raise InvalidInputError(
            f"{kind.name}: there is no option {unknown[0]!r}; there are {', '.join(OPTIONS)}"
        )
    return RealtimeTable(kind, **(options or {}), clock=clock)
