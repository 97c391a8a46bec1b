"""Binance's messages as rows: spot and futures streams, and the REST answers that books start from.

https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams
https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from mdstore.core.timeframe import Timeframe
from mdstore.errors import InvalidInputError
from mdstore.realtime.order_book import NS_PER_MS, OrderBook
from mdstore.realtime.rows import Kline, Ticker, Trade
from mdstore.sources.exchanges.messages import Event, Fields, Raw, decode, refusal
from mdstore.sources.exchanges.registry import Reader
from mdstore.sources.exchanges.snapshots import FetchDepth, Snapshots

__all__ = ["VENUES", "BinanceFeed", "Market"]

Market = Literal["spot", "futures"]
NAMES: dict[Market, str] = {"spot": "binance", "futures": "binance-futures"}
FUTURES_HOSTS = ("fapi", "fstream", "dapi", "dstream")
LIKELY = 0.5  # many messages of spot are as those of futures
PERCENT = 100
# Whole books of 5, 10 or 20 levels. On futures they look like diffs: only the name of the stream tells.
PARTIAL = re.compile(r"@depth(5|10|20)(@|$)")
BEST = {"bid": "b", "bid_size": "B", "ask": "a", "ask_size": "A"}
# What of a ticker each kind of message tells; trades tell the price, too.
PARTS = {"bookTicker": ("best",), "24hrTicker": ("price", "day", "best")}
DAY = {"price": "c", "open": "o", "high": "h", "low": "l", "volume_24h": "v", "value_24h": "q"}


class BinanceFeed:
    """Reads Binance's messages; one for each connection, or `reset` between two, as a session does.

    An order book starts from an answer to a request, and again after each diff that was lost. `snapshots`, a
    function or a coroutine function of a symbol, returns that answer (`/api/v3/depth?symbol=...&limit=5000`)
    as it came. It is called when a book needs one, for one after the other, by a thread (a coroutine in the
    loop that reads the messages), and again after a pause where it fails or the answer is too old, which is
    logged; the book is among the `rows` of the next message. Without it, `needs_snapshot` says which
    symbols wait, and `snapshot` takes the answer.

    Subscribe to `trade` or to `aggTrade` of a symbol, not to both: they are the same trades, with ids of
    their own.

    >>> feed = BinanceFeed()
    >>> feed.rows('{"e":"depthUpdate","E":1723161255508,"s":"BTCUSDT","U":4,"u":6,"b":[["9","1"]],"a":[]}')
    []
    >>> feed.needs_snapshot()
    ['BTCUSDT']
    >>> answer = '{"lastUpdateId":5,"bids":[["8","1"]],"asks":[]}'
    >>> feed.rows(answer, symbol="BTCUSDT")[0][:4]
    ('BTCUSDT', 1723161255508, [9.0, 8.0], [1.0, 1.0])
    """

    def __init__(self, market: Market = "spot", *, snapshots: FetchDepth | None = None) -> None:
        if market not in NAMES:
            raise InvalidInputError(f"market: {market!r} is neither 'spot' nor 'futures'")
        if snapshots is not None and not callable(snapshots):
            raise InvalidInputError(f"snapshots={snapshots!r:.80} is no function of a symbol")
        self.market = market
        self.venue = NAMES[market]
        self._snapshots = None if snapshots is None else Snapshots(snapshots, self.venue)
        self._books: dict[str, OrderBook] = {}
        self._resynced: set[str] = set()
        # By symbol: what is known of a Ticker so far.
        self._tickers: dict[str, dict[str, Any]] = {}
        # By symbol and kind of message: when the latest was made.
        self._times: dict[str, dict[str, int]] = {}
        # By symbol and part of a Ticker: when it was seen, by one clock (ms).
        self._seen: dict[str, dict[str, int]] = {}
        self._readers: dict[str, Callable[[Fields, int | None], list[Event]]] = {
            "trade": self._trade, "aggTrade": self._trade, "depthUpdate": self._diff,
            "bookTicker": self._best, "24hrTicker": self._day, "kline": self._kline,
        }  # fmt: skip

    def rows(self, message: Raw, received: int | None = None, *, symbol: str | None = None) -> list[Event]:
        """Return what a message holds; an empty list for no market data, or for what only adds to a book.

        What the exchange refuses is a `Notice`. `received` is this machine's time in nanoseconds. `symbol` is
        that of a REST depth snapshot, which does not say it. A Ticker comes with a bookTicker or a
        24hrTicker, once a price is known. A Depth (best 30) comes with each diff, once the book is in sync;
        the first has `snapshot` set. Times are those of the event (`E`), of trades that of the trade (`T`),
        in milli- or microseconds; spot's bookTicker has none, and `received` stands in. Raises
        `MessageError` naming the kind and the field, also for a text that is no JSON.
        """
        data, stream = decode(message, self.venue), ""
        if isinstance(data, Mapping) and "stream" in data and "data" in data:
            data, stream = data["data"], str(data["stream"])
            symbol = stream.partition("@")[0].upper() or symbol
        events = self._events(data, received, symbol, stream)
        return events if self._snapshots is None else [*events, *self._fetched(self._snapshots)]

    def snapshot(self, symbol: str, message: Raw, received: int | None = None) -> list[Event]:
        """Start a symbol's book from a REST depth answer; return its Depth if the book is in sync then.

        Where it is not, the answer was too old for the diffs that wait: `needs_snapshot` still names it.
        """
        return self._snapshot(self._fields_of(decode(message, self.venue), "depth"), received, symbol)

    def reset(self) -> None:
        """Forget books and tickers, which live as long as a connection."""
        for known in (self._books, self._resynced, self._tickers, self._times, self._seen):
            known.clear()
        if self._snapshots is not None:
            self._snapshots.forget()

    def needs_snapshot(self) -> list[str]:
        """Return the symbols whose book waits for a snapshot, in the order their diffs first came."""
        return [symbol for symbol, book in self._books.items() if not book.synced]

    def _fields_of(self, data: Any, kind: str) -> Fields:
        if not isinstance(data, Mapping):
            raise InvalidInputError(f"{self.venue} {kind}: {data!r:.80} is no object")
        return Fields(data, self.venue, kind)

    def _events(self, data: Any, received: int | None, symbol: str | None, stream: str = "") -> list[Event]:
        if isinstance(data, list):  # such as !ticker@arr
            return list(chain.from_iterable(self._events(item, received, symbol, stream) for item in data))
        if not isinstance(data, Mapping):
            return []
        if PARTIAL.search(stream):
            return self._partial(self._fields_of(data, "partial depth"), received, symbol or "")
        if "lastUpdateId" in data and "e" not in data:
            return self._snapshot(self._fields_of(data, "depth"), received, symbol)
        kind = str(data.get("e", "bookTicker" if {"u", "b", "B", "a", "A"} <= data.keys() else ""))
        reader = self._readers.get(kind)
        return refusal(self.venue, data) if reader is None else reader(self._fields_of(data, kind), received)

    # --- books ---------------------------------------------------------------------------------------

    def _snapshot(self, fields: Fields, received: int | None, symbol: str | None) -> list[Event]:
        symbol = symbol or fields.get("symbol")  # said by coin-margined futures only
        if not symbol:
            raise InvalidInputError(f"{self.venue} depth: the message does not say its symbol: give symbol=")
        book = self._book(symbol)
        before = book.last_id
        self._change(
            fields, book.snapshot, fields.whole("lastUpdateId"),
            bids=fields.items("bids"), asks=fields.items("asks"), timestamp=_whole_or_none(fields, "E"),
        )  # fmt: skip
        self._books[symbol] = book
        if book.last_id is None or book.last_id == before:
            return []
        self._resynced.add(symbol)
        return self._depth(book, received)

    def _diff(self, fields: Fields, received: int | None) -> list[Event]:
        symbol = fields.text("s")
        # Spot has no `pu`; a futures diff without one could not be told from one out of order.
        previous = fields.whole("pu") if self.market == "futures" else _whole_or_none(fields, "pu")
        book = self._book(symbol)
        before = book.last_id
        self._change(
            fields, book.apply, fields.whole("U"), fields.whole("u"),
            bids=fields.items("b"), asks=fields.items("a"),
            previous_id=previous, timestamp=fields.time("E"),
        )  # fmt: skip
        self._books[symbol] = book
        if self._snapshots is not None and not book.synced:
            self._snapshots.ask(symbol)
        return [] if book.last_id in (None, before) else self._depth(book, received)

    def _fetched(self, snapshots: Snapshots) -> list[Event]:
        """Start books from what was fetched; nothing that is wrong with an answer is raised.

        One that has no time of the exchange yet, as spot's answers, is given with the next diff: by this
        machine's time, diffs after it would be late where that is ahead.
        """
        found: list[Event] = []
        for symbol, answer in snapshots.answers():
            try:
                found += self.snapshot(symbol, answer)
            except InvalidInputError as error:
                snapshots.refused(symbol, error)
                continue
            if self._books[symbol].synced:
                snapshots.accepted(symbol)
            else:
                snapshots.refused(symbol, "the answer is older than what has come since")
        return found

    def _book(self, symbol: str) -> OrderBook:
        book = self._books.get(symbol)
        # Not `or`: an empty book is false. Kept by the caller, once the message has proved to be sound.
        return OrderBook(symbol) if book is None else book

    def _depth(self, book: OrderBook, received: int | None) -> list[Event]:
        """Return the book as a row; none while nobody has said what time it is, which the next diff does."""
        depth = None if book.timestamp is None and received is None else book.depth(received=received)
        if depth is None:
            return []
        resynced = book.symbol in self._resynced
        self._resynced.discard(book.symbol)
        return [depth._replace(snapshot=resynced)]

    def _partial(self, fields: Fields, received: int | None, symbol: str) -> list[Event]:
        bids, asks = ("b", "a") if fields.get("e") else ("bids", "asks")
        book = OrderBook(symbol)
        self._change(
            fields, book.snapshot, 0,
            bids=fields.items(bids), asks=fields.items(asks), timestamp=_time(fields, received),
        )  # fmt: skip
        depth = book.depth(received=received)
        return [] if depth is None else [depth]

    def _change(self, fields: Fields, change: Callable[..., bool], *ids: int, **levels: Any) -> None:
        try:
            change(*ids, **levels)
        except InvalidInputError as error:
            raise InvalidInputError(f"{self.venue} {fields.kind}: {error.message}") from error

    # --- tickers, trades and candles -----------------------------------------------------------------

    def _best(self, fields: Fields, received: int | None) -> list[Event]:
        best: dict[str, Any] = {name: fields.amount(key) for name, key in BEST.items()}
        return self._ticker(fields, best, _time(fields, received), received)

    def _day(self, fields: Fields, received: int | None) -> list[Event]:
        day: dict[str, Any] = {name: fields.amount(key) for name, key in DAY.items()}
        day["change"] = fields.number("p")
        day["change_rate"] = fields.number("P") / PERCENT
        if fields.get("b") is not None:  # not on futures
            day |= {name: fields.amount(key) for name, key in BEST.items()}
        return self._ticker(fields, day, fields.time("E"), received)

    def _ticker(
        self, fields: Fields, news: dict[str, Any], timestamp: int, received: int | None
    ) -> list[Event]:
        """Return what is known of a symbol; nothing where the news is older than others of its kind.

        Kinds have clocks of their own (spot's bookTicker has this machine's, 1.25 s behind the exchange's in
        a recording): each is late by itself only, and a row is as new as the newest of what it is made of.
        """
        symbol = fields.text("s")
        times = self._times.setdefault(symbol, {})
        if timestamp < times.get(fields.kind, timestamp):
            return []
        times[fields.kind] = timestamp
        known = self._tickers.setdefault(symbol, {})
        known |= news
        seen, now = self._seen.setdefault(symbol, {}), _moment(timestamp, received)
        seen |= dict.fromkeys(PARTS[fields.kind], now)
        if "price" not in known:
            return []
        newest = max(times.values())
        ages: dict[str, Any] = {
            f"{part}_age": (now - then) / 1000 for part, then in seen.items() if then < now
        }
        return [Ticker(symbol=symbol, timestamp=newest, received=received, **known, **ages)]

    def _trade(self, fields: Fields, received: int | None) -> list[Event]:
        # Futures' trade stream, which is not documented, also has settlements of the insurance fund and of
        # auto-deleveraging, up to 10 % off the market:
        # https://github.com/QuantConnect/Lean.Brokerages.Binance/issues/28
        if fields.data.get("X", "MARKET") != "MARKET":
            return []
        trade = Trade(
            symbol=fields.text("s"),
            timestamp=fields.time("T"),
            price=fields.amount("p"),
            size=fields.amount("q"),
            # m: the buyer was the maker, so the taker sold.
            side="sell" if fields.flag("m") else "buy",
            id=fields.whole("a" if fields.kind == "aggTrade" else "t"),
            received=received,
        )
        self._tickers.setdefault(trade.symbol, {})["price"] = trade.price
        times = self._times.setdefault(trade.symbol, {})
        times["trade"] = max(trade.timestamp, times.get("trade", 0))
        self._seen.setdefault(trade.symbol, {})["price"] = _moment(trade.timestamp, received)
        return [trade]

    def _kline(self, fields: Fields, received: int | None) -> list[Event]:
        bar = fields.inner("k")
        return [
            Kline(
                symbol=fields.text("s"),
                timeframe=_timeframe(bar),
                timestamp=bar.time("t"),
                open=bar.amount("o"),
                high=bar.amount("h"),
                low=bar.amount("l"),
                close=bar.amount("c"),
                volume=bar.amount("v"),
                closed=bar.flag("x"),
                received=received,
            )
        ]


def _whole_or_none(fields: Fields, field: str) -> int | None:
    return None if fields.get(field) is None else fields.whole(field)


def _time(fields: Fields, received: int | None) -> int:
    """Return the event's time in milliseconds, or when it was received if it has none."""
    if fields.get("E") is not None:
        return fields.time("E")
    if received is None:
        raise InvalidInputError(f"{fields.venue} {fields.kind}: it has no time of its own: give received=")
    return received // NS_PER_MS


def _moment(timestamp: int, received: int | None) -> int:
    """Return when something was seen (ms): by this machine's clock, which is one for all, if it is told."""
    return timestamp if received is None else received // NS_PER_MS


def _timeframe(bar: Fields) -> str:
    text = bar.text("i")
    if not Timeframe.is_name(text):
        raise bar.wrong("i", text, "no timeframe")
    return text


class BinanceVenue:
    """A market of Binance, as the registry of exchanges has it."""

    def __init__(self, market: Market) -> None:
        self.name = NAMES[market]
        self._market: Market = market

    def reader(self) -> Reader:
        """Return a reader of its messages."""
        feed = BinanceFeed(self._market)

        def rows(text: str, received: int, url: str | None) -> list[Event]:
            return feed.rows(text, received, symbol=_asked(url, feed))

        return Reader(rows, feed.needs_snapshot)

    def is_host(self, host: Sequence[str]) -> bool:
        """Tell whether a host is of this market of Binance."""
        return "binance" in host and (host[0] in FUTURES_HOSTS) == (self._market == "futures")

    def is_likely(self, message: Mapping[str, Any]) -> float:
        """Tell spot from futures where they differ: in depth diffs, bookTickers and depth snapshots."""
        data = message.get("data", message)
        keys = data.keys() if isinstance(data, Mapping) else set()
        if "lastUpdateId" in keys or {"u", "s", "b", "a"} <= keys:
            futures = "pu" in keys or ("E" in keys and data.get("e") != "depthUpdate")
            return float(futures == (self._market == "futures"))
        return LIKELY if {"e", "E"} <= keys and self._market == "spot" else 0


def _asked(url: str | None, feed: BinanceFeed) -> str | None:
    """Return whose a depth snapshot is: the request says, or there is but one book that waits for one."""
    if url is not None:
        return next(iter(parse_qs(urlsplit(url).query).get("symbol", [])), None)
    waiting = feed.needs_snapshot()
    return waiting[0] if len(waiting) == 1 else None


VENUES = {NAMES[market]: BinanceVenue(market) for market in NAMES}
