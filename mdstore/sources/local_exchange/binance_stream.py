"""Binance's websocket streams of spot and futures: trades, best prices and klines, alone or combined.

https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams
https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec

from mdstore.core.timeframe import Timeframe
from mdstore.sources.local_exchange.binance_rest import INTERVALS, kline_values
from mdstore.sources.local_exchange.sockets import POLICY, Socket
from mdstore.sources.local_exchange.tape import DAY, Day, Forming, Tape, Traded
from mdstore.sources.local_exchange.trades_of_bar import Bar

__all__ = ["BinanceStream"]

MOST_STREAMS = 1024  # of a connection
BAD = 2  # the code of a request that cannot be read
encode = msgspec.json.Encoder().encode


class BinanceStream:
    """Who has subscribed to which streams, and what they are sent; `futures` names what spot leaves out."""

    def __init__(self, tape: Tape, *, futures: bool) -> None:
        self._tape, self._futures = tape, futures
        self._a_second = 10 if futures else 5
        # By stream: who is sent it, and whether with its name around it.
        self._wanted: dict[str, dict[Socket, bool]] = defaultdict(dict)
        self._days: dict[str, Day] = {}
        # By symbol, and by stream.
        self._forming: dict[str, dict[str, Forming]] = defaultdict(dict)

    def opened(self, socket: Socket, path: str, streams: str) -> None:
        """Take the streams that the address names: `/ws/<stream>` or `/stream?streams=<one>/<other>`."""
        combined = path.endswith("/stream")
        named = streams if combined else path.partition("/ws")[2].strip("/")
        for stream in filter(None, named.split("/")):
            self._subscribe(socket, stream, combined=combined)

    def received(self, socket: Socket, text: str, now: float, *, combined: bool) -> None:
        """Take a request: SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS."""
        if socket.is_too_fast(now, second=self._a_second):
            return socket.close(POLICY, "Too many requests")
        try:
            asked = msgspec.json.decode(text, type=dict[str, Any])
        except msgspec.DecodeError:
            return socket.send(_refused(None, "Invalid JSON: expected value at line 1 column 1"))
        method, streams = asked.get("method"), asked.get("params", [])
        result: list[str] | None = None
        if method == "SUBSCRIBE":
            for stream in streams:
                self._subscribe(socket, stream, combined=combined)
        elif method == "UNSUBSCRIBE":
            for stream in streams:
                self._wanted[stream].pop(socket, None)
        elif method == "LIST_SUBSCRIPTIONS":
            result = [stream for stream, sockets in self._wanted.items() if socket in sockets]
        else:
            return socket.send(_refused(asked.get("id"), f"Invalid request: unknown variant {method}"))
        return socket.send(encode({"result": result, "id": asked.get("id")}).decode())

    def left(self, socket: Socket) -> None:
        """Forget a connection."""
        for sockets in self._wanted.values():
            sockets.pop(socket, None)

    def traded(self, trades: Iterable[Traded]) -> None:
        """Send what trades bring; klines note them."""
        for trade in trades:
            name = trade.symbol.lower()
            for kind in ("trade", "aggTrade", "bookTicker"):
                if sockets := self._wanted.get(f"{name}@{kind}"):
                    self._send(f"{name}@{kind}", sockets, self._message(kind, trade))
            if (day := self._days.get(trade.symbol)) is not None:
                day.add(trade)
            for stream, forming in self._forming[trade.symbol].items():
                self._end(stream, trade.symbol, forming, trade.time)
                forming.add(trade)

    def second(self, now: int) -> None:
        """Send the klines that have changed, and those that have ended."""
        for symbol, day in self._days.items():
            if day.changed and day.bar is not None:
                day.changed = False
                stream = f"{symbol.lower()}@ticker"
                self._send(
                    stream, self._wanted[stream], _day(symbol, day, day.bar, now, spot=not self._futures)
                )
        for symbol, streams in self._forming.items():
            for stream, forming in streams.items():
                self._end(stream, symbol, forming, now)
                if forming.changed and forming.bar is not None:
                    forming.changed = False
                    self._send(stream, self._wanted[stream], _kline(symbol, forming, forming.bar, now))

    def _end(self, stream: str, symbol: str, forming: Forming, now: int) -> None:
        """Send a kline for the last time, once its time is over."""
        bar = forming.bar
        if bar is not None and forming.timeframe.next(bar.timestamp) <= now:
            forming.bar, forming.changed = None, False
            self._send(stream, self._wanted[stream], _kline(symbol, forming, bar, now))

    def _subscribe(self, socket: Socket, stream: str, *, combined: bool) -> None:
        """Note who wants a stream; one that is not known is taken without a word, as Binance does."""
        name, _, kind = stream.partition("@")
        symbol = name.upper()
        if sum(socket in sockets for sockets in self._wanted.values()) >= MOST_STREAMS:
            return socket.close(POLICY, "Too many streams")
        if symbol not in self._tape.truth.markets or "-" in symbol:
            return None
        self._tape.watch(symbol)
        if kind == "ticker" and symbol not in self._days:
            self._days[symbol] = Day(self._tape, symbol)
        interval = kind.removeprefix("kline_")
        is_kline = kind != interval and interval in ("1s", *INTERVALS)
        if is_kline and stream not in self._forming[symbol]:
            forming = Forming(self._tape.truth, symbol, Timeframe.parse(interval), self._tape.until)
            self._forming[symbol][stream] = forming
        self._wanted[stream][socket] = combined
        return None

    def _message(self, kind: str, trade: Traded) -> dict[str, Any]:
        price, size, one = f"{trade.price:.8f}", f"{trade.size:.8f}", "1.00000000"
        if kind == "bookTicker":
            best = {
                "u": trade.id,
                "s": trade.symbol,
                "b": price,
                "B": one,
                "a": f"{trade.price * 1.0001:.8f}",
                "A": one,
            }
            return {"e": kind, **best, "T": trade.time, "E": trade.time} if self._futures else best
        number = {"a": trade.id} if kind == "aggTrade" else {"t": trade.id}
        message = {"e": kind, "E": trade.time, "s": trade.symbol, **number, "p": price, "q": size}
        if kind == "aggTrade":
            message |= {"f": trade.id, "l": trade.id}
        message |= {"T": trade.time, "m": not trade.bid}
        return message | ({"X": "MARKET"} if self._futures and kind == "trade" else {"M": True})

    @staticmethod
    def _send(stream: str, sockets: dict[Socket, bool], message: dict[str, Any]) -> None:
        if not sockets:
            return
        alone = encode(message).decode()
        for socket, combined in sockets.items():
            socket.send(f'{{"stream":"{stream}","data":{alone}}}' if combined else alone)


def _kline(symbol: str, forming: Forming, bar: Bar, now: int) -> dict[str, Any]:
    values = kline_values(forming.timeframe, bar)
    return {
        "e": "kline", "E": now, "s": symbol,
        "k": {
            "t": bar.timestamp, "T": int(values[6]), "s": symbol, "i": str(forming.timeframe),
            "f": -1, "L": -1, "o": values[1], "c": values[4], "h": values[2], "l": values[3], "v": values[5],
            "n": int(values[8]), "x": forming.bar is None, "q": values[7], "V": values[9],
            "Q": values[10], "B": "0",
        },
    }  # fmt: skip


def _day(symbol: str, day: Day, bar: Bar, now: int, *, spot: bool) -> dict[str, Any]:
    """Return the statistics of the day; futures have no best prices among them."""
    change = bar.close - bar.open
    message = {
        "e": "24hrTicker", "E": now, "s": symbol, "p": f"{change:.8f}", "P": f"{change / bar.open * 100:.3f}",
        "w": f"{day.value / day.volume if day.volume else bar.close:.8f}", "c": f"{bar.close:.8f}",
        "Q": "0.01000000", "o": f"{bar.open:.8f}", "h": f"{bar.high:.8f}", "l": f"{bar.low:.8f}",
        "v": f"{day.volume:.8f}", "q": f"{day.value:.8f}", "O": now - DAY, "C": now, "F": 0, "L": 0, "n": 1,
    }  # fmt: skip
    price = f"{bar.close:.8f}"
    best = {"x": price, "b": price, "B": "1.00000000", "a": f"{bar.close * 1.0001:.8f}", "A": "1.00000000"}
    return message | (best if spot else {})


def _refused(asked: object, message: str) -> str:
    return encode({"error": {"code": BAD, "msg": message}, "id": asked}).decode()
