"""Upbit's websocket: tickers, trades, order books and candles, by their DEFAULT and SIMPLE names.

https://docs.upbit.com/kr/reference/websocket-guide, `-ticker`, `-trade`, `-orderbook` and `-candle`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import msgspec

from mdstore.core.timeframe import Timeframe
from mdstore.sources.local_exchange.sockets import POLICY, Socket
from mdstore.sources.local_exchange.tape import Day, Forming, Tape, Traded
from mdstore.sources.local_exchange.trades_of_bar import Bar
from mdstore.sources.local_exchange.upbit_rest import UpbitRest, times_of

__all__ = ["UpbitStream"]

Format = Literal["DEFAULT", "SIMPLE", "JSON_LIST", "SIMPLE_LIST"]
FORMATS: tuple[Format, ...] = get_args(Format)
CANDLES = {
    f"candle.{name}": Timeframe.parse(name)
    for name in ("1s", "1m", "3m", "5m", "10m", "15m", "30m", "60m", "240m")
}
KINDS = ("ticker", "trade", "orderbook", *CANDLES)
SHORT = {
    "type": "ty", "code": "cd", "timestamp": "tms", "stream_type": "st", "trade_date": "td",
    "trade_time": "ttm",
    "trade_timestamp": "ttms", "trade_price": "tp", "trade_volume": "tv", "ask_bid": "ab",
    "prev_closing_price": "pcp", "change": "c", "change_price": "cp", "sequential_id": "sid",
    "best_ask_price": "bap", "best_ask_size": "bas", "best_bid_price": "bbp", "best_bid_size": "bbs",
    "opening_price": "op", "high_price": "hp", "low_price": "lp", "signed_change_price": "scp",
    "change_rate": "cr", "signed_change_rate": "scr", "acc_trade_price": "atp", "acc_trade_volume": "atv",
    "acc_trade_price_24h": "atp24h", "acc_trade_volume_24h": "atv24h", "acc_ask_volume": "aav",
    "acc_bid_volume": "abv", "highest_52_week_price": "h52wp", "highest_52_week_date": "h52wdt",
    "lowest_52_week_price": "l52wp", "lowest_52_week_date": "l52wdt", "market_state": "ms",
    "is_trading_suspended": "its", "delisting_date": "dd", "market_warning": "mw",
    "orderbook_units": "obu", "total_ask_size": "tas", "total_bid_size": "tbs", "level": "lv",
    "ask_price": "ap", "bid_price": "bp", "ask_size": "as", "bid_size": "bs",
    "candle_date_time_utc": "cdttmu", "candle_date_time_kst": "cdttmk",
    "candle_acc_trade_volume": "catv", "candle_acc_trade_price": "catp",
}  # fmt: skip
LEVELS = 15
A_SECOND, A_MINUTE = 5, 100  # messages of a client
encode = msgspec.json.Encoder().encode


class UpbitStream:
    """Who has subscribed to what, and what they are sent."""

    def __init__(self, tape: Tape, rest: UpbitRest) -> None:
        self._tape, self._rest = tape, rest
        self._wanted: dict[tuple[str, str], dict[Socket, Format]] = defaultdict(dict)
        # By symbol, and by kind of candle.
        self._forming: dict[str, dict[str, Forming]] = defaultdict(dict)
        self._days: dict[str, Day] = {}

    def received(self, socket: Socket, text: str, now: float) -> None:
        """Take a message of a client: a subscription, which replaces the one before, or PING."""
        if socket.is_too_fast(now, second=A_SECOND, minute=A_MINUTE):
            socket.send(_error("TOO_MANY_REQUEST", "too many messages"))
            socket.close(POLICY, "too many messages")
        elif text == "PING":
            socket.send('{"status":"UP"}')
        elif (wrong := _wrong(text)) is not None:
            socket.send(_error(*wrong))
        else:
            self.left(socket)
            parts = msgspec.json.decode(text)
            form = _format(parts)
            for one in parts:
                if "type" in one:
                    self._subscribe(socket, form, one)

    def left(self, socket: Socket) -> None:
        """Forget a connection."""
        for sockets in self._wanted.values():
            sockets.pop(socket, None)

    def traded(self, trades: Iterable[Traded]) -> None:
        """Send what trades bring: the trade, the ticker, the book; candles note them."""
        for trade in trades:
            for kind in ("trade", "ticker", "orderbook"):
                if sockets := self._wanted.get((kind, trade.symbol)):
                    self._send(sockets, self._message(kind, trade, "REALTIME"))
            if (day := self._days.get(trade.symbol)) is not None:
                day.add(trade)
            for forming in self._forming[trade.symbol].values():
                forming.add(trade)

    def second(self) -> None:
        """Send the candles that have changed."""
        for symbol, kinds in self._forming.items():
            for kind, forming in kinds.items():
                if forming.changed and forming.bar is not None and (sockets := self._wanted[kind, symbol]):
                    forming.changed = False
                    self._send(sockets, _candle(kind, symbol, forming.bar, "REALTIME"))

    def _subscribe(self, socket: Socket, form: Format, one: dict[str, Any]) -> None:
        kind, trading = one["type"], set(self._rest.trading())
        only_snapshot = one.get("is_only_snapshot", one.get("isOnlySnapshot", False))
        only_realtime = one.get("is_only_realtime", one.get("isOnlyRealtime", False))
        for symbol in one["codes"]:
            if symbol not in trading:
                continue
            if not only_realtime:
                self._snapshot(socket, form, kind, symbol)
            if not only_snapshot:
                self._watch(kind, symbol)
                self._wanted[kind, symbol][socket] = form

    def _watch(self, kind: str, symbol: str) -> None:
        self._tape.watch(symbol)
        self._days.setdefault(symbol, Day(self._tape, symbol))
        timeframe = CANDLES.get(kind)
        if timeframe is not None and kind not in self._forming[symbol]:
            self._forming[symbol][kind] = Forming(self._tape.truth, symbol, timeframe, self._tape.until)

    def _snapshot(self, socket: Socket, form: Format, kind: str, symbol: str) -> None:
        timeframe = CANDLES.get(kind)
        bar = self._rest.latest(symbol, timeframe or CANDLES["candle.1m"])
        if bar is not None and timeframe is not None:
            self._send({socket: form}, _candle(kind, symbol, bar, "SNAPSHOT"))
        elif bar is not None:
            last = self._tape.last(symbol, bar.last)
            self._send({socket: form}, self._message(kind, last, "SNAPSHOT"))

    def _message(self, kind: str, trade: Traded, stream: str) -> dict[str, Any]:
        if kind == "orderbook":
            return _book(trade, stream)
        day = self._days.get(trade.symbol)
        if day is None:
            day = self._days[trade.symbol] = Day(self._tape, trade.symbol)
        return _trade(trade, day, stream) if kind == "trade" else _ticker(trade, day, stream)

    @staticmethod
    def _send(sockets: dict[Socket, Format], message: dict[str, Any]) -> None:
        """Send a message to all who want it, in each format once made."""
        made: dict[Format, bytes] = {}
        for socket, form in sockets.items():
            text = made.get(form)
            if text is None:
                text = made[form] = encode(_in_format(message, form))
            socket.send(text)


def _trade(trade: Traded, day: Day, stream: str) -> dict[str, Any]:
    at = datetime.fromtimestamp(trade.time / 1000, UTC)
    before = day.before or trade.price
    change = trade.price - before
    return {
        "type": "trade", "code": trade.symbol, "timestamp": trade.time, "trade_date": f"{at:%Y-%m-%d}",
        "trade_time": f"{at:%H:%M:%S}", "trade_timestamp": trade.time, "trade_price": trade.price,
        "trade_volume": trade.size, "ask_bid": "BID" if trade.bid else "ASK", "prev_closing_price": before,
        "change": _direction(change), "change_price": abs(change), "sequential_id": trade.id,
        "best_ask_price": trade.price, "best_ask_size": 1.0, "best_bid_price": trade.price,
        "best_bid_size": 1.0, "stream_type": stream,
    }  # fmt: skip


def _ticker(trade: Traded, day: Day, stream: str) -> dict[str, Any]:
    at = datetime.fromtimestamp(trade.time / 1000, UTC)
    bar = day.bar or Bar(0, *(trade.price,) * 4, 0.0, 0.0, 0)
    before = day.before or bar.open
    change = trade.price - before
    return {
        "type": "ticker", "code": trade.symbol, "opening_price": bar.open,
        "high_price": max(bar.high, trade.price), "low_price": min(bar.low, trade.price),
        "trade_price": trade.price, "prev_closing_price": before, "acc_trade_price": bar.value,
        "change": _direction(change), "change_price": abs(change), "signed_change_price": change,
        "change_rate": abs(change) / before, "signed_change_rate": change / before,
        "ask_bid": "BID" if trade.bid else "ASK", "trade_volume": trade.size, "acc_trade_volume": bar.volume,
        "trade_date": f"{at:%Y%m%d}", "trade_time": f"{at:%H%M%S}", "trade_timestamp": trade.time,
        "acc_ask_volume": bar.volume / 2, "acc_bid_volume": bar.volume / 2,
        "highest_52_week_price": bar.high, "highest_52_week_date": f"{at:%Y-%m-%d}",
        "lowest_52_week_price": bar.low, "lowest_52_week_date": f"{at:%Y-%m-%d}", "market_state": "ACTIVE",
        "is_trading_suspended": False, "delisting_date": None, "market_warning": "NONE",
        "timestamp": trade.time, "acc_trade_price_24h": day.value, "acc_trade_volume_24h": day.volume,
        "stream_type": stream,
    }  # fmt: skip


def _book(trade: Traded, stream: str) -> dict[str, Any]:
    tick = trade.price * 1e-4
    units = [
        {"ask_price": trade.price + level * tick, "bid_price": trade.price - level * tick,
         "ask_size": trade.size * level, "bid_size": trade.size * (LEVELS + 1 - level)}
        for level in range(1, LEVELS + 1)
    ]  # fmt: skip
    return {
        "type": "orderbook", "code": trade.symbol, "timestamp": trade.time,
        "total_ask_size": sum(unit["ask_size"] for unit in units),
        "total_bid_size": sum(unit["bid_size"] for unit in units), "orderbook_units": units,
        "stream_type": stream, "level": 0,
    }  # fmt: skip


def _candle(kind: str, symbol: str, bar: Bar, stream: str) -> dict[str, Any]:
    utc, kst = times_of(bar)
    return {
        "type": kind, "code": symbol, "candle_date_time_utc": utc, "candle_date_time_kst": kst,
        "opening_price": bar.open, "high_price": bar.high, "low_price": bar.low, "trade_price": bar.close,
        "candle_acc_trade_volume": bar.volume, "candle_acc_trade_price": bar.value, "timestamp": bar.last,
        "stream_type": stream,
    }  # fmt: skip


def _wrong(text: str) -> tuple[str, str] | None:
    """Return what is wrong with a subscription, as Upbit calls it; None where nothing is."""
    try:
        parts = msgspec.json.decode(text, type=list[dict[str, Any]])
    except msgspec.DecodeError:
        return "WRONG_FORMAT", "the message is no list of objects"
    wanted = [part for part in parts if "type" in part]
    if not any("ticket" in part for part in parts):
        return "NO_TICKET", "ticket is missing"
    if not wanted:
        return "NO_TYPE", "type is missing"
    if any(not part.get("codes") for part in wanted):
        return "NO_CODES", "codes are missing"
    if _format(parts) not in FORMATS or any(part["type"] not in KINDS for part in wanted):
        return "INVALID_PARAM", "a type or format is not known"
    return None


def _format(parts: list[dict[str, Any]]) -> Format:
    return next((part["format"] for part in parts if "format" in part), "DEFAULT")


def _in_format(message: dict[str, Any], form: Format) -> object:
    if form.startswith("SIMPLE"):
        # A ticker's day has a short name of its own.
        day = {"trade_date": "tdt"} if message["type"] == "ticker" else {}
        message = {day.get(name) or SHORT[name]: value for name, value in message.items()}
        if "obu" in message:
            message["obu"] = [{SHORT[name]: value for name, value in unit.items()} for unit in message["obu"]]
    return [message] if form.endswith("LIST") else message


def _direction(change: float) -> str:
    return "EVEN" if not change else "RISE" if change > 0 else "FALL"


def _error(name: str, message: str) -> str:
    return encode({"error": {"name": name, "message": message}}).decode()
