"""The Smart Router: an upstream that holds realtime data in memory, asked before the disk is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import pyarrow as pa

from mdstore.core.symbols import check_symbol
from mdstore.core.timeframe import Timeframe
from mdstore.realtime.cache import RealtimeDataCache
from mdstore.realtime.rows import Depth, Ticker

__all__ = ["RingRouter", "RoutedBar", "RoutedKind", "SmartRouter"]

RoutedKind = Literal["realtime", "snapshot", "recovered"]
"""How a router came by a bar: from its stream, from an answer to a request, or fetched after a failure."""


class RoutedBar(NamedTuple):
    """A bar that a router holds: whole, or still forming where it is not `closed`. `timestamp` is in ms."""

    timestamp: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    closed: bool = True
    kind: RoutedKind = "realtime"


class SmartRouter(Protocol):
    """What a service asks of an upstream that has realtime data in memory; no call may wait for a network.

    A service asks for bars in a thread, for a second at most, and for the rest in that of its caller.
    What it does not have is None, or an empty list. Bars that it gives are whole, but for one that is not
    `closed`: it never gives a part of a bar for the bar.
    """

    @property
    def name(self) -> str:
        """What the router is called in `provenance` and in answers."""

    def latest_ticker(self, symbol: str) -> Ticker | None:
        """Give the newest ticker."""

    def orderbook(self, symbol: str) -> Depth | None:
        """Give the newest order book."""

    def trades(self, symbol: str, seconds: float | None = None) -> pa.Table:
        """Give the trades of the last `seconds`, or all that it holds, ascending, as `schema.TRADE`."""

    def candles(self, symbol: str, timeframe: str, start: int, end: int) -> Sequence[RoutedBar]:
        """Give the bars that it holds of `[start, end)` (ms), ascending."""

    def subscribe(self, callback: Callable[[Any], object], symbols: Sequence[str] | None = None) -> Any:
        """Call back with each ticker, book and trade from now on; what is returned has a `close`."""


class RingRouter:
    """A `SmartRouter` over realtime rings of this process: those that another part of a program feeds.

    >>> router = RingRouter(RealtimeDataCache())
    >>> router.latest_ticker("KRW-BTC") is None, router.candles("KRW-BTC", "1m", 0, 60_000)
    (True, [])
    """

    def __init__(self, realtime: RealtimeDataCache, *, name: str = "router") -> None:
        self.name = name
        self._realtime = realtime

    def latest_ticker(self, symbol: str) -> Ticker | None:
        """Give the newest ticker within its TTL."""
        found: Ticker | None = self._realtime.tickers.latest(symbol)
        return found

    def orderbook(self, symbol: str) -> Depth | None:
        """Give the newest order book within its TTL."""
        found: Depth | None = self._realtime.orderbooks.latest(symbol)
        return found

    def trades(self, symbol: str, seconds: float | None = None) -> pa.Table:
        """Give the live trades, ascending."""
        return self._realtime.trades.arrow(check_symbol(symbol), seconds=seconds)

    def candles(self, symbol: str, timeframe: str, start: int, end: int) -> Sequence[RoutedBar]:
        """Give the live bars that were seen whole, and the forming one if it was seen from its start."""
        name = str(Timeframe.parse(timeframe))
        known = self._realtime.live.known(check_symbol(symbol), name)
        return [
            RoutedBar(*bar[:6], closed=bool(bar[6]))
            for bar, partial, _ in known
            if not partial and start <= bar[0] < end
        ]

    def subscribe(self, callback: Callable[[Any], object], symbols: Sequence[str] | None = None) -> Any:
        """Call back with each ticker, book and trade that is kept from now on."""
        return _Several(
            [table.subscribe(callback, symbols=symbols) for table in self._realtime.tables.values()]
        )


class _Several:
    """Subscriptions that are closed together."""

    def __init__(self, parts: Sequence[Any]) -> None:
        self._parts = parts

    def close(self) -> None:
        """End all of them."""
        for part in self._parts:
            part.close()
