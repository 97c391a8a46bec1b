"""Upbit's messages as rows: websocket (DEFAULT and SIMPLE keys, lists of them, too) and REST answers.

https://docs.upbit.com/kr/reference/websocket-ticker, `-trade`, `-orderbook` and `-candle` list the keys.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from mdstore.core.schema import MAX_LEVELS
from mdstore.core.timeframe import Timeframe
from mdstore.errors import Hint, InvalidInputError, TimeframeError
from mdstore.realtime.rows import Depth, Kline, Side, Ticker, Trade
from mdstore.sources.exchanges.messages import Event, Fields, Raw, decode, refusal
from mdstore.sources.exchanges.registry import Reader

__all__ = ["VENUES", "UpbitFeed"]

VENUE = "upbit"
# DEFAULT keys by what the other formats call them: SIMPLE, and REST where it differs.
NAMES: dict[str, tuple[str, ...]] = {
    "type": ("ty",), "code": ("cd", "market"), "stream_type": ("st",),
    "timestamp": ("tms",), "trade_timestamp": ("ttms",), "candle_date_time_utc": ("cdttmu",),
    "opening_price": ("op",), "high_price": ("hp",), "low_price": ("lp",), "trade_price": ("tp",),
    "trade_volume": ("tv",), "ask_bid": ("ab",), "sequential_id": ("sid",),
    "signed_change_price": ("scp",), "signed_change_rate": ("scr",),
    "acc_trade_volume_24h": ("atv24h",), "acc_trade_price_24h": ("atp24h",),
    "candle_acc_trade_volume": ("catv",),
    "orderbook_units": ("obu",), "total_ask_size": ("tas",), "total_bid_size": ("tbs",),
    "ask_price": ("ap",), "bid_price": ("bp",), "ask_size": ("as",), "bid_size": ("bs",),
}  # fmt: skip
# REST answers do not say what they are; the first of these fields that is there tells. A ticker has no field
# of its own, so it comes last and is told by the day it sums up.
REST_KINDS = (
    ("orderbook_units", "orderbook"),
    ("candle_date_time_utc", "candle"),
    ("sequential_id", "trade"),
    ("acc_trade_price_24h", "ticker"),
)
CANDLE = "candle."
WORD = re.compile("[0-9]+[sm]", re.ASCII)
"""How Upbit writes the timeframe of a candle that comes by a websocket."""
# The side of the taker: an ASK sold into a bid.
SIDES: dict[str, Side] = {"ASK": "sell", "BID": "buy"}


class UpbitFeed:
    """Reads Upbit's messages.

    `timeframe` is that of REST candles that do not tell it: all but minutes.

    >>> UpbitFeed().rows('{"ty":"trade","cd":"KRW-BTC","ttms":1618678262000,"tp":7.5e7,"tv":0.1,"ab":"ASK",'
    ...                  '"sid":1618678262000003,"st":"REALTIME"}')[0][:6]
    ('KRW-BTC', 1618678262000, 75000000.0, 0.1, 'sell', 1618678262000003)
    """

    venue = VENUE

    def __init__(self, timeframe: str | None = None) -> None:
        self._timeframe = None if timeframe is None else str(Timeframe.parse(timeframe))
        self._readers: dict[str, Callable[[Fields, bool, int | None], Event]] = {
            "ticker": _ticker, "trade": _trade, "orderbook": _depth, "candle": self._candle,
        }  # fmt: skip

    def rows(self, message: Raw, received: int | None = None) -> list[Event]:
        """Return what a message holds, an empty list for one that is no market data.

        What the exchange refuses is a `Notice`. `received` is this machine's time in nanoseconds. REST
        answers are marked as snapshots. Candles are never `closed`: Upbit does not say when a bar is. Raises
        `MessageError` naming the kind and the field, also for a text that is no JSON.
        """
        data = decode(message, VENUE)
        if isinstance(data, list):
            return list(chain.from_iterable(self._event(item, received) for item in data))
        return self._event(data, received)

    def _event(self, data: object, received: int | None) -> list[Event]:
        if not isinstance(data, Mapping):
            return []
        kind = data.get("type", data.get("ty"))
        from_rest = kind is None
        if from_rest:
            kind = next((kind for field, kind in REST_KINDS if field in data), None)
        reader = self._readers.get(str(kind).partition(".")[0])
        if reader is None:
            return refusal(VENUE, data)
        fields = Fields(data, VENUE, str(kind), names=NAMES)
        return [reader(fields, from_rest or fields.get("stream_type") == "SNAPSHOT", received)]

    def _candle(self, fields: Fields, _snapshot: bool, received: int | None) -> Kline:
        return Kline(
            symbol=fields.text("code"),
            timeframe=self._timeframe_of(fields),
            timestamp=_utc_ms(fields),
            open=fields.amount("opening_price"),
            high=fields.amount("high_price"),
            low=fields.amount("low_price"),
            close=fields.amount("trade_price"),
            volume=fields.amount("candle_acc_trade_volume"),
            closed=False,
            received=received,
            snapshot=fields.kind == "candle",  # an answer to a request
        )

    def _timeframe_of(self, fields: Fields) -> str:
        """Return the bar's length; a REST candle says only its minutes."""
        if fields.kind.startswith(CANDLE):
            return _timeframe(fields, "type", fields.kind.removeprefix(CANDLE))
        if fields.get("unit") is not None:
            return _timeframe(fields, "unit", f"{fields.whole('unit')}m")
        if self._timeframe is None:
            raise InvalidInputError(
                f"{VENUE} candle: unit is missing, and with it the timeframe",
                hint=Hint("UpbitFeed(timeframe='1d') if they are days", "leave out answers that are of days"),
            )
        return self._timeframe


def _ticker(fields: Fields, snapshot: bool, received: int | None) -> Ticker:
    return Ticker(
        symbol=fields.text("code"),
        timestamp=_first_time(fields, "timestamp", "trade_timestamp"),
        price=fields.amount("trade_price"),
        open=fields.amount_or_none("opening_price"),
        high=fields.amount_or_none("high_price"),
        low=fields.amount_or_none("low_price"),
        change=fields.number_or_none("signed_change_price"),
        change_rate=fields.number_or_none("signed_change_rate"),
        volume_24h=fields.amount_or_none("acc_trade_volume_24h"),
        value_24h=fields.amount_or_none("acc_trade_price_24h"),
        snapshot=snapshot,
        received=received,
    )


def _trade(fields: Fields, snapshot: bool, received: int | None) -> Trade:
    side = SIDES.get(fields.text("ask_bid"))
    if side is None:
        raise fields.wrong("ask_bid", fields.get("ask_bid"), "neither ASK nor BID")
    return Trade(
        symbol=fields.text("code"),
        # On the websocket `timestamp` is when the message was made; REST has the trade's own under that name.
        timestamp=_first_time(fields, "trade_timestamp", "timestamp"),
        price=fields.amount("trade_price"),
        size=fields.amount("trade_volume"),
        side=side,
        id=fields.whole("sequential_id"),
        snapshot=snapshot,
        received=received,
    )


def _depth(fields: Fields, snapshot: bool, received: int | None) -> Depth:
    units = [
        fields.of(unit, f"orderbook_units[{index}]")
        for index, unit in enumerate(fields.items("orderbook_units")[:MAX_LEVELS])
    ]
    bid_prices, bid_sizes = _side(units, "bid_price", "bid_size")
    ask_prices, ask_sizes = _side(units, "ask_price", "ask_size")
    return Depth(
        symbol=fields.text("code"),
        timestamp=fields.whole("timestamp"),
        bid_prices=bid_prices,
        bid_sizes=bid_sizes,
        ask_prices=ask_prices,
        ask_sizes=ask_sizes,
        total_bid_size=fields.amount_or_none("total_bid_size"),
        total_ask_size=fields.amount_or_none("total_ask_size"),
        snapshot=snapshot,
        received=received,
    )


def _side(units: list[Fields], price: str, size: str) -> tuple[list[float], list[float]]:
    """Return prices and sizes; a side shorter than the other is filled up with zeros, which are left out."""
    prices, sizes = [unit.amount(price) for unit in units], [unit.amount(size) for unit in units]
    while prices and not (prices[-1] and sizes[-1]):
        prices.pop()
        sizes.pop()
    return prices, sizes


def _first_time(fields: Fields, field: str, otherwise: str) -> int:
    return fields.whole(otherwise if fields.get(field) is None else field)


def _timeframe(fields: Fields, field: str, text: str) -> str:
    """Return the one name of a timeframe: Upbit's 240m is 4h. A spelling of other tools is no word of it."""
    if WORD.fullmatch(text) is None:
        raise fields.wrong(field, fields.get(field), f"no timeframe of {VENUE}'s")
    try:
        return str(Timeframe.parse(text))
    except TimeframeError as error:
        raise fields.wrong(field, fields.get(field), f"no timeframe: {error.message}") from error


def _utc_ms(fields: Fields) -> int:
    text = fields.text("candle_date_time_utc")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise fields.wrong("candle_date_time_utc", text, "no time") from error
    return round(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1000)


class UpbitVenue:
    """Upbit, as the registry of exchanges has it."""

    name = VENUE

    def reader(self) -> Reader:
        """Return a reader of its messages; its books come whole, and wait for nothing."""
        feed = UpbitFeed()
        return Reader(lambda text, received, _: feed.rows(text, received), tuple)

    def is_host(self, host: Sequence[str]) -> bool:
        """Tell whether a host is of Upbit."""
        return "upbit" in host

    def is_likely(self, message: Mapping[str, Any]) -> float:
        """Return 1 for a message with Upbit's keys, which no other exchange has."""
        keys = message.keys()
        return float({"ty", "cd"} <= keys or {"type", "code"} <= keys or "market" in keys)


VENUES = {VENUE: UpbitVenue()}
