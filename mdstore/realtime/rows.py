"""The rows of realtime data, one at a time, as they go in and come out.

Each is a tuple with named fields in the order of its Arrow schema (`schema.TICKER`, `ORDERBOOK`, `TRADE`).
`timestamp` is the exchange's time in milliseconds since 1970, UTC; `received` this machine's, in nanoseconds.
What the exchange did not say is None.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

__all__ = ["ClosedBar", "Depth", "Hole", "Kline", "Notice", "Side", "Ticker", "Trade"]

Side = Literal["buy", "sell"]


class Ticker(NamedTuple):
    """What a symbol trades at: last price, the best bid and ask, and what changed over the day.

    `open`, `high`, `low` and `change` are of the exchange's day: since 00:00 UTC (Upbit; `change` is from the
    close before), or the last 24 hours (Binance). `change_rate` is a fraction: 0.01 is one percent.
    """

    symbol: str
    timestamp: int
    price: float
    open: float | None = None
    high: float | None = None
    low: float | None = None
    change: float | None = None
    change_rate: float | None = None
    volume_24h: float | None = None
    """In the base currency."""
    value_24h: float | None = None
    """In the quote currency: KRW for KRW-BTC."""
    bid: float | None = None
    bid_size: float | None = None
    ask: float | None = None
    ask_size: float | None = None
    price_age: float | None = None
    """By how many seconds the price is older than `timestamp`, where it is; see `latest(max_age=)`."""
    day_age: float | None = None
    """By how many seconds what is of the day is older."""
    best_age: float | None = None
    """By how many seconds bid and ask are older."""
    snapshot: bool = False
    """Whether it is the state at a (re)connection or an answer to a request, rather than an update."""
    received: int | None = None


class Depth(NamedTuple):
    """An order book at one moment, best level first: bids descend, asks ascend, up to 30 levels each."""

    symbol: str
    timestamp: int
    bid_prices: Sequence[float]
    bid_sizes: Sequence[float]
    ask_prices: Sequence[float]
    ask_sizes: Sequence[float]
    total_bid_size: float | None = None
    """Of the whole book where the exchange says so (Upbit), else None."""
    total_ask_size: float | None = None
    snapshot: bool = False
    received: int | None = None


class Trade(NamedTuple):
    """One execution. `side` is the taker's: "buy" lifted an ask, "sell" hit a bid. `id` is a whole number."""

    symbol: str
    timestamp: int
    price: float
    size: float
    side: Side | None = None
    id: int | None = None
    snapshot: bool = False
    received: int | None = None


class Kline(NamedTuple):
    """An exchange's own word on a bar that is forming, or that has just `closed`.

    `timestamp` is the start of the bar in milliseconds; volume is in the base currency. A `snapshot` is an
    answer to a request: candles of the past, which say nothing of what a live series is made of.
    """

    symbol: str
    timeframe: str
    timestamp: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    closed: bool
    received: int | None = None
    snapshot: bool = False


class ClosedBar(NamedTuple):
    """A bar that has ended: whole, or `partial`, and then neither stored nor final.

    One that is `amended` corrects what was told before: other values, or that nothing was traded. One that
    was missed, and fetched, is none; it comes behind later ones.
    """

    symbol: str
    timeframe: str
    timestamp: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    partial: bool = False
    amended: bool = False


class Hole(NamedTuple):
    """Bars that were not seen whole: `[start, end)` in milliseconds; without an end as long as it goes on."""

    symbol: str
    timeframe: str
    start: int
    end: int | None


class Notice(NamedTuple):
    """What an exchange says that is no market data: that it refuses something."""

    venue: str
    message: str
    code: str | None = None
