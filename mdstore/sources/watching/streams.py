"""How each exchange's websocket is connected to: addresses, subscriptions, and what a connection may carry.

https://docs.upbit.com/kr/reference/websocket-guide,
https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams and
https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from mdstore.core.did_you_mean import did_you_mean
from mdstore.errors import Hint, InvalidInputError
from mdstore.realtime.session import Reads
from mdstore.sources.exchanges.binance import BinanceFeed
from mdstore.sources.exchanges.registry import VOLUME_DIGITS
from mdstore.sources.exchanges.upbit import UpbitFeed

__all__ = ["STREAMS", "Stream", "Wanted", "stream_of"]

NAMES_A_MESSAGE: Final = 100
NO_LIMIT: Final = 2**31
TICKERS_AND_TRADES: Final = 2


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one connection is to bring."""

    symbols: Sequence[str]
    timeframes: Sequence[str]
    orderbooks: bool = False


@dataclass(frozen=True, slots=True)
class Stream:
    """One exchange's websocket.

    A connection is given at most `symbols` symbols, and `streams` streams of them; `pause` seconds lie
    between two messages to it, and `connects` connections are made a second. `path` comes behind the address;
    `local` stands before it where another address is asked in the exchange's place, since there one host may
    stand for several.
    """

    name: str
    address: str
    path: str
    feed: Callable[[], Reads]
    messages: Callable[[Wanted], list[str]]
    symbols: int
    connects: float
    pause: float
    streams: int = NO_LIMIT
    volume_digits: int = VOLUME_DIGITS
    local: str = ""

    def groups(self, wanted: Wanted) -> list[Wanted]:
        """Share symbols out among connections; a symbol has a stream of each kind."""
        kinds = TICKERS_AND_TRADES + len(wanted.timeframes) + wanted.orderbooks
        each = max(1, min(self.symbols, self.streams // kinds))
        return [replace(wanted, symbols=some) for some in _batches(wanted.symbols, each)]

    def url(self, base_url: str | None) -> str:
        """Return the address of a connection."""
        if base_url is None:
            return self.address + self.path
        scheme, _, rest = base_url.rstrip("/").partition("://")
        return f"{SCHEMES.get(scheme.lower(), scheme)}://{rest}{self.local}{self.path}"


SCHEMES: Final = {"http": "ws", "https": "wss"}


def _of_upbit(wanted: Wanted) -> list[str]:
    """Return the one message that says all. Bars are made of trades: Upbit does not say when they end."""
    kinds = ["ticker", "trade", *(["orderbook"] if wanted.orderbooks else [])]
    subscriptions = [{"type": kind, "codes": list(wanted.symbols)} for kind in kinds]
    return [json.dumps([{"ticket": str(uuid.uuid4())}, *subscriptions, {"format": "SIMPLE"}])]


def _of_binance(trade: str) -> Callable[[Wanted], list[str]]:
    def messages(wanted: Wanted) -> list[str]:
        kinds = [trade, "ticker", *(f"kline_{timeframe}" for timeframe in wanted.timeframes)]
        kinds += ["depth20@100ms"] if wanted.orderbooks else []
        names = [f"{symbol.lower()}@{kind}" for symbol in wanted.symbols for kind in kinds]
        return [
            json.dumps({"method": "SUBSCRIBE", "params": some, "id": number})
            for number, some in enumerate(_batches(names, NAMES_A_MESSAGE), 1)
        ]

    return messages


def _batches(names: Sequence[str], size: int) -> list[Sequence[str]]:
    return [names[at : at + size] for at in range(0, len(names), size)]


STREAMS: Final = {
    stream.name: stream
    for stream in (
        # Upbit states no limit of codes; with a hundred a connection, one that breaks breaks few.
        Stream(
            "upbit", "wss://api.upbit.com", "/websocket/v1", UpbitFeed, _of_upbit,
            symbols=100, connects=4.0, pause=0.25,
        ),
        # 1,024 streams a connection (futures: 200), five messages a second, pings among them.
        Stream(
            "binance", "wss://stream.binance.com:9443", "/stream", BinanceFeed, _of_binance("trade"),
            symbols=100, streams=1024, connects=1.0, pause=0.3,
        ),
        Stream(
            "binance-futures", "wss://fstream.binance.com", "/stream", lambda: BinanceFeed("futures"),
            _of_binance("aggTrade"), symbols=40, streams=200, connects=1.0, pause=0.3, local="/futures",
        ),
    )
}  # fmt: skip


def stream_of(name: str) -> Stream:
    """Return an exchange's websocket by name. Raises `InvalidInputError` for one that has none here."""
    if name in STREAMS:
        return STREAMS[name]
    near = did_you_mean(name, list(STREAMS), shown=repr)
    raise InvalidInputError(
        f"no websocket of {name!r} is known: there are {', '.join(STREAMS)}", hint=near and Hint(near, near)
    )
