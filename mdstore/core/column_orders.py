"""What the columns of rows without a header are: by their number, and by the rules that a candle keeps.

Nobody's guess is stored: an order counts where low <= open, close <= high holds in all rows, and where two
orders fit that give different candles, both are named.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from mdstore.core.column_names import Choice, recognise
from mdstore.core.excerpts import excerpt
from mdstore.core.numbers import numbers_of
from mdstore.core.schema import CANDLE_COLUMNS, PRICES
from mdstore.errors import Hint, InvalidInputError

__all__ = ["ORDERS", "Order", "ordered"]


class Order(NamedTuple):
    """The names of columns by place, who writes them so, and two rows as an example."""

    names: tuple[str, ...]
    whose: str
    example: str


def _order(names: str, whose: str, example: str) -> Order:
    return Order(tuple(names.split(", ")), whose, example)


# Of orders that give the same candles the first is taken.
ORDERS = (
    _order("timestamp, open, high, low, close, volume", "most", "1704153600,10,14,9,12,5\n1704240000,12,13,8,9,7"),
    _order("timestamp, open, close, high, low, volume", "Bitfinex, Bithumb", "1704153600,10,12,14,9,5\n1704240000,12,9,13,8,7"),
    _order("timestamp, low, high, open, close, volume", "Coinbase", "1704153600,9,14,10,12,5\n1704240000,8,13,12,9,7"),
    _order("timestamp, open, high, low, close, volume, trades", "Kraken's files", "1704153600,10,14,9,12,5,90\n1704240000,12,13,8,9,70,3"),
    _order("timestamp, open, high, low, close, volume, turnover", "Bybit", "1704153600,10,14,9,12,5,59.5\n1704240000,12,13,8,9,70,651.25"),
    _order("timestamp, open, high, low, close, adjusted close, volume", "Yahoo", "2024-01-02,10,14,9,12,11.9,500\n2024-01-03,12,13,8,9,8.9,700\n2024-01-04,12,13,8,9,8.9,700"),
    _order("timestamp, open, close, high, low, volume, turnover", "KuCoin", "1704153600,10,12,14,9,5,60\n1704240000,12,9,13,8,7,65"),
    _order("date, time, open, high, low, close, volume", "MetaTrader", "2024.01.02,09:30,10,14,9,12,5\n2024.01.02,09:31,12,13,8,9,7"),
    _order("timestamp, open, high, low, close, vwap, volume, trades", "Kraken's API", "1704153600,10,14,9,12,11,5,3\n1704240000,12,13,8,9,11,7,4"),
    _order("timestamp, quote volume, close, high, low, open, volume, ended", "Gate.io", "1704153600,60,12,14,9,10,5,true\n1704240000,65,9,13,8,12,7,true"),
    _order("timestamp, open, high, low, close, volume, close_time, quote_volume", "MEXC", "1704153600000,10,14,9,12,5,1704240000000,60\n1704240000000,12,13,8,9,7,1704326400000,65"),
    _order("symbol, timestamp, open, high, low, close, volume", "MetaStock", "PKO,20240102,10,14,9,12,5\nPKO,20240103,12,13,8,9,7"),
    _order("symbol, timestamp, open, high, low, close, volume, open interest", "MetaStock", "PKO,20240102,10,14,9,12,5,0\nPKO,20240103,12,13,8,9,7,0"),
    _order("symbol, date, time, open, high, low, close, volume", "AmiBroker", "PKO,20240102,09:00,10,14,9,12,5\nPKO,20240102,09:01,12,13,8,9,7"),
    _order("symbol, date, time, open, high, low, close, volume, open interest", "AmiBroker", "PKO,20240102,09:00,10,14,9,12,5,0\nPKO,20240102,09:01,12,13,8,9,7,0"),
    _order("timestamp, open, high, low, close, volume, quote volume, quote turnover, ended", "OKX", "1704153600000,10,14,9,12,5,60,60,1\n1704240000000,12,13,8,9,7,65,65,1"),
    _order("symbol, period, date, time, open, high, low, close, volume, open interest", "MetaStock, stooq", "PKO,60,20240102,090000,10,14,9,12,5,0\nPKO,60,20240102,100000,12,13,8,9,7,0"),
    _order("timestamp, open, high, low, close, volume, close_time, quote_volume, trades, taker_volume, taker_quote_volume, ignore", "Binance", "1704153600000,10,14,9,12,5,1704239999999,60,3,2,24,0\n1704240000000,12,13,8,9,7,1704326399999,65,4,3,27,0"),
)  # fmt: skip
CLOCK = re.compile(r"\s*(?:\d{1,2}:\d\d(?::\d\d)?|\d{4}(?:\d\d)?)\s*")
DATE = re.compile(r"\s*\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}\s*|\s*\d{8}\s*")
# An adjusted close follows the close: their ratio changes slowly, and no volume does that.
FOLLOWS = 1.5
LEAST_ROWS = 3
LEAST_ADJUSTED, MOST_ADJUSTED = 0.1, 1.05
HALF = 0.5
# A turnover without its fraction is so far off; one that is plain beside that tells it from a count.
ROUNDED, PLAINLY = 0.5, 10.0
ABOVE = Hint(
    "put a line above that names the columns, as date,open,high,low,close,volume,trades, or name them so, "
    "as columns=['time', 'open', 'high', 'low', 'close', 'volume', 'trades']",
    "put a line above that names the columns, as date,open,high,low,close,volume,trades, or name them so, "
    "as --columns time,open,high,low,close,volume,trades",
)
NO_VOLUME = Hint("volume='none' where there is no volume", "--volume none where there is no volume")
Rows = Sequence[Sequence[str]]
Numbers = Sequence[Sequence[float | None]]
"""What the cells of rows are as numbers; None for one that is none."""


class Fit(NamedTuple):
    """An order and the share of rows that keep the rules in it."""

    order: Order
    share: float


def ordered(rows: Rows, choice: Choice | None = None) -> tuple[str, ...] | None:
    """Return the names of the columns of rows without a header; None where they are no candles.

    Raises `InvalidInputError` where several orders fit.

    >>> ordered([["1704153600", "9", "14", "10", "12", "5"], ["1704240000", "8", "13", "12", "9", "7"]])
    ('timestamp', 'low', 'high', 'open', 'close', 'volume')
    """
    if choice is not None and choice.placed:
        return choice.placed
    width = len(rows[0])
    alike = [row for row in rows if len(row) == width]
    numbers = list(zip(*map(numbers_of, zip(*alike, strict=True)), strict=True))
    first = rows[0], numbers[0]
    known = [order for order in ORDERS if len(order.names) == width and _is_of(order, *first)]
    if width == len(CANDLE_COLUMNS) - 1:
        known = [short for order in ORDERS if (short := _without_volume(order)) and _is_of(short, *first)]
        if known and (choice is None or choice.volume is None):
            raise InvalidInputError(
                "no header, and five columns: there is none for the volume", hint=NO_VOLUME
            )
    fitting = _fitting(known, numbers)
    if len(fitting) > 1:
        fitting = _of_seven(_counted(fitting, numbers), alike, numbers)
    if len({_candles(order, numbers) for order in fitting}) > 1:
        raise _of_several(fitting)
    return fitting[0].names if fitting else None


def _without_volume(order: Order) -> Order | None:
    plain = set(order.names) == set(CANDLE_COLUMNS)
    return Order(order.names[:-1], *order[1:]) if plain else None


def _fitting(known: Sequence[Order], numbers: Numbers) -> list[Order]:
    """Return the orders that fit most rows, or the first of `known` where none fits half of them."""
    fits = [Fit(order, _share(order, numbers)) for order in known]
    best = max((fit.share for fit in fits), default=0.0)
    if best > HALF:
        return [fit.order for fit in fits if fit.share == best]
    return list(known[:1])  # the rules refuse the rows, and say which


def _is_of(order: Order, row: Sequence[str], numbers: Sequence[float | None]) -> bool:
    """Tell whether the cells of a row are of the kinds that an order has."""
    places = {name: order.names.index(own) for name, own in recognise(order.names).items()}
    at = {name: row[place] for name, place in places.items() if place < len(row)}
    number = {name: numbers[places[name]] for name in at}
    if "time of day" in at and not (CLOCK.fullmatch(at["time of day"]) and DATE.fullmatch(at["timestamp"])):
        return False
    if "symbol" in at:
        return not at["symbol"].strip()[:1].isdigit() and all(number[name] is not None for name in PRICES)
    if not at["timestamp"].strip()[:1].isdigit():
        return False
    return all(value is not None for name, value in number.items() if name in CANDLE_COLUMNS[1:])


def _values(order: Order, row: Sequence[float | None], names: Sequence[str]) -> tuple[float | None, ...]:
    return tuple(row[order.names.index(name)] if name in order.names else None for name in names)


def _share(order: Order, numbers: Numbers) -> float:
    """Return the share of rows in which the rules hold."""
    return sum(_keeps(order, row) for row in numbers) / len(numbers)


def _keeps(order: Order, row: Sequence[float | None]) -> bool:
    prices = _values(order, row, PRICES)
    if None in prices:
        return False
    opened, high, low, close = prices
    keeps = low <= min(opened, close) and max(opened, close) <= high  # type: ignore[type-var,operator]
    # MEXC has the end of the bar where Kraken has a price: it was taken for a volume of 1.7e12.
    start, end, average = _values(order, row, ("timestamp", "close_time", "vwap"))
    keeps = keeps and (average in (None, 0) or low <= average <= high)  # type: ignore[operator]
    # Bybit has the turnover where Kraken has the trades: 565,275.7895 of them were stored.
    (trades,) = _values(order, row, ("trades",))
    keeps = keeps and (trades is None or trades.is_integer())
    return keeps and (start is None or end is None or start < end)


def _candles(order: Order, numbers: Numbers) -> tuple[tuple[float | None, ...], ...]:
    return tuple(_values(order, row, CANDLE_COLUMNS[1:]) for row in numbers)


def _counted(fitting: Sequence[Order], numbers: Numbers) -> list[Order]:
    """Leave out orders whose count of trades is what all the volumes cost: a turnover in whole numbers."""
    return [order for order in fitting if not _cost(order, numbers)]


def _cost(order: Order, numbers: Numbers) -> bool:
    if "trades" not in order.names:
        return False
    bars = [_values(order, row, ("low", "high", "volume", "trades")) for row in numbers]
    told = [
        (low * volume, high * volume, trades)
        for low, high, volume, trades in bars
        if low is not None and high is not None and volume is not None and trades is not None
    ]
    within = all(least - ROUNDED <= trades <= most + ROUNDED for least, most, trades in told)
    return within and max((least for least, _, _ in told), default=0.0) >= PLAINLY


def _of_seven(fitting: Sequence[Order], rows: Rows, numbers: Numbers) -> list[Order]:
    """Tell an adjusted close in the sixth place from a volume; raise where the rows are too few to tell."""
    adjusted = [order for order in fitting if "adjusted close" in order.names]
    if not adjusted:
        return list(fitting)
    pairs = [row[4:6] for row in numbers]
    ratios = [sixth / close for close, sixth in pairs if close and sixth is not None]
    if not ratios or min(ratios) <= 0 or max(ratios) / min(ratios) >= FOLLOWS:
        return [order for order in fitting if order not in adjusted]
    if len(ratios) >= LEAST_ROWS and max(ratios) <= MOST_ADJUSTED:
        return adjusted
    if not LEAST_ADJUSTED <= max(ratios) <= MOST_ADJUSTED:
        return [order for order in fitting if order not in adjusted]
    raise InvalidInputError(
        f"no header, and seven columns: {excerpt(rows[0][5])} may be an adjusted close or a volume",
        hint=ABOVE,
    )


def _of_several(fitting: Sequence[Order]) -> InvalidInputError:
    orders = "; or ".join(f"{', '.join(order.names)} (as of {order.whose})" for order in fitting)
    names = ["time" if name == "timestamp" else name for name in fitting[0].names]
    return InvalidInputError(
        f"no header, and several orders of the columns fit all rows: {orders}",
        hint=Hint(
            f"name them by their place, as columns={names}",
            f"name them by their place, as --columns '{','.join(names)}'",
        ),
    )
