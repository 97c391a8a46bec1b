"""One symbol's order book, rebuilt from a snapshot and the diffs that follow it.

The protocol is Binance's: a diff names the first and last update it covers, and each must follow the one
before. Spot diffs follow by number (`U` is at most one past the book's last update), futures diffs by name
(`pu` is the book's last update).
https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams
https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams/How-to-manage-a-local-order-book-correctly
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple

from mdstore.core.schema import MAX_LEVELS
from mdstore.errors import InvalidInputError
from mdstore.realtime.rows import Depth

__all__ = ["OrderBook"]

# A hundred milliseconds apart, as Binance sends them, these are a quarter of an hour.
MAX_WAITING = 10_000
PAIR = 2
NS_PER_MS = 1_000_000

Level = tuple[float, float]


class Diff(NamedTuple):
    """What changed in the updates `first_id` to `last_id`; a size of 0 takes the level away."""

    first_id: int
    last_id: int
    bids: list[Level]
    asks: list[Level]
    previous_id: int | None
    timestamp: int | None


class Levels:
    """One side: sizes by price, and the prices in order, so that the best price needs no search."""

    __slots__ = ("prices", "sizes")

    def __init__(self, levels: Iterable[Level] = ()) -> None:
        self.sizes = {price: size for price, size in dict(levels).items() if size}
        self.prices = sorted(self.sizes)

    def __len__(self) -> int:
        return len(self.prices)

    def set(self, price: float, size: float) -> None:
        """Put a level in, or take it away where the size is 0."""
        if not size:
            # Taking away what is not there is normal: it lay deeper than the snapshot reached.
            if self.sizes.pop(price, None) is not None:
                del self.prices[bisect_left(self.prices, price)]
            return
        if price not in self.sizes:
            insort(self.prices, price)
        self.sizes[price] = size


class OrderBook:
    """The book of one symbol, in sync from a snapshot on until a diff is lost.

    Diffs that come before the snapshot wait for it, up to 10,000; older ones are dropped, which is a hole
    unless the snapshot covers them. After a hole the book is empty, and diffs wait for the next snapshot. A
    crossed book (best bid at or above best ask) is treated as a hole: a change was lost or is wrong.
    An exchange that starts its ids anew after a reset needs a new OrderBook.

    >>> book = OrderBook("BTCUSDT")
    >>> book.snapshot(7, bids=[["100", "2"]], asks=[["101", "1"]])
    True
    >>> book.apply(8, 9, bids=[["100", "0"], ["99", "5"]], asks=[])
    True
    >>> book.best_bid, book.best_ask
    ((99.0, 5.0), (101.0, 1.0))
    >>> book.apply(12, 12, bids=[], asks=[]), book.synced, book.holes
    (False, False, 1)
    """

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self._bids = Levels()
        self._asks = Levels()
        self._last_id: int | None = None
        self._timestamp: int | None = None
        self._chained = False
        self._holes = 0
        self._waiting: deque[Diff] = deque(maxlen=MAX_WAITING)

    @property
    def synced(self) -> bool:
        """Whether the book is the exchange's as of `last_id`."""
        return self._last_id is not None

    @property
    def last_id(self) -> int | None:
        """The last update the book reflects; None while out of sync."""
        return self._last_id

    @property
    def timestamp(self) -> int | None:
        """The exchange's time of that update in milliseconds, where it was given."""
        return self._timestamp

    @property
    def holes(self) -> int:
        """How often the book fell out of sync."""
        return self._holes

    @property
    def best_bid(self) -> Level | None:
        """The highest bid, (price, size); None where there is none."""
        prices = self._bids.prices
        return (prices[-1], self._bids.sizes[prices[-1]]) if prices else None

    @property
    def best_ask(self) -> Level | None:
        """The lowest ask, (price, size); None where there is none."""
        prices = self._asks.prices
        return (prices[0], self._asks.sizes[prices[0]]) if prices else None

    def __len__(self) -> int:
        return len(self._bids) + len(self._asks)

    def snapshot(
        self, last_id: int, bids: Iterable[Any], asks: Iterable[Any], *, timestamp: int | None = None
    ) -> bool:
        """Start from the whole book as of update `last_id`, then apply what waits; return `synced`.

        Levels are (price, size) pairs of numbers or numeric texts; `timestamp` is in milliseconds. A snapshot
        older than a synced book is ignored: it holds nothing new. One that is too old for the diffs that wait
        leaves the book out of sync. Raises `InvalidInputError`, and then the book is as it was.
        """
        _check_id("last_id", last_id)
        new_bids, new_asks = Levels(_levels(bids, "bids")), Levels(_levels(asks, "asks"))
        if new_bids and new_asks and new_bids.prices[-1] >= new_asks.prices[0]:
            raise InvalidInputError(
                f"bids: the best, {new_bids.prices[-1]}, is not below the best of asks, {new_asks.prices[0]}"
            )
        if self._last_id is not None and last_id < self._last_id:
            return True
        self._bids, self._asks = new_bids, new_asks
        self._last_id, self._timestamp, self._chained = last_id, timestamp, False
        waiting, self._waiting = self._waiting, deque(maxlen=MAX_WAITING)
        for diff in waiting:
            self._take(diff)
        return self.synced

    def apply(
        self,
        first_id: int,
        last_id: int,
        bids: Iterable[Any],
        asks: Iterable[Any],
        *,
        previous_id: int | None = None,
        timestamp: int | None = None,
    ) -> bool:
        """Take a diff in; return whether the book reflects it now, as it does an old one already.

        `previous_id` is futures' `pu`. False means that it waits for a snapshot, be it the first or, after a
        hole, the next. Raises `InvalidInputError` naming the field, and then the book is as it was.
        """
        _check_id("first_id", first_id)
        _check_id("last_id", last_id)
        if previous_id is not None:
            _check_id("previous_id", previous_id)
        if first_id > last_id:
            raise InvalidInputError(f"first_id: {first_id} comes after last_id, {last_id}")
        changes = _levels(bids, "bids"), _levels(asks, "asks")
        return self._take(Diff(first_id, last_id, *changes, previous_id, timestamp))

    def depth(self, levels: int = MAX_LEVELS, *, received: int | None = None) -> Depth | None:
        """Return the best `levels` of each side as a row, None while out of sync.

        `received` is this machine's time in nanoseconds; it stands in for the exchange's, too, where no
        message had one. Raises `InvalidInputError` where there is neither.
        """
        if levels < 0:
            raise InvalidInputError(f"levels: {levels} is less than 0")
        if not self.synced:
            return None
        if self._timestamp is None and received is None:
            raise InvalidInputError(f"{self.symbol}: the book's time is not known: give received=")
        timestamp = (received or 0) // NS_PER_MS if self._timestamp is None else self._timestamp
        bids, asks = self._bids, self._asks
        bid_prices = bids.prices[: -levels - 1 : -1]
        ask_prices = asks.prices[:levels]
        return Depth(
            self.symbol,
            timestamp,
            bid_prices,
            [bids.sizes[price] for price in bid_prices],
            ask_prices,
            [asks.sizes[price] for price in ask_prices],
            received=received,
        )

    def _take(self, diff: Diff) -> bool:
        if self._last_id is None:
            self._waiting.append(diff)
            return False
        if diff.last_id <= self._last_id:
            return True
        if not self._follows(diff, self._last_id):
            return self._lose(diff)
        for price, size in diff.bids:
            self._bids.set(price, size)
        for price, size in diff.asks:
            self._asks.set(price, size)
        if self._crossed():
            return self._lose(diff)
        self._last_id, self._chained = diff.last_id, True
        if diff.timestamp is not None:
            self._timestamp = diff.timestamp
        return True

    def _follows(self, diff: Diff, last_id: int) -> bool:
        if diff.previous_id is None:
            return diff.first_id <= last_id + 1
        # The first diff after a snapshot need only reach back to it: the snapshot may lie inside the diff.
        return diff.previous_id == last_id if self._chained else diff.previous_id <= last_id

    def _crossed(self) -> bool:
        bids, asks = self._bids.prices, self._asks.prices
        return bool(bids and asks and bids[-1] >= asks[0])

    def _lose(self, diff: Diff) -> bool:
        """Fall out of sync; the diff that showed it waits, since it may follow the next snapshot."""
        self._bids, self._asks = Levels(), Levels()
        self._last_id = self._timestamp = None
        self._holes += 1
        self._waiting.append(diff)
        return False


def _check_id(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InvalidInputError(f"{name}: {value!r} is no update id, a whole number from 0")


def _levels(levels: Iterable[Any], side: str) -> list[Level]:
    if isinstance(levels, str | bytes) or not isinstance(levels, Iterable):
        raise InvalidInputError(f"{side}: {levels!r:.80} is no list of [price, size] pairs")
    return [_level(level, side, index) for index, level in enumerate(levels)]


def _level(level: Any, side: str, index: int) -> Level:
    if not isinstance(level, list | tuple) or len(level) != PAIR:
        raise InvalidInputError(f"{side}[{index}]: {level!r:.80} is no [price, size] pair")
    price, size = _number(level[0], side, index, "price"), _number(level[1], side, index, "size")
    if price == 0:
        raise InvalidInputError(f"{side}[{index}]: the price is 0")
    return price, size


def _number(value: Any, side: str, index: int, what: str) -> float:
    try:
        # float() would take True for 1, and b"1", too.
        number = math.nan if isinstance(value, bool | bytes | bytearray) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise InvalidInputError(f"{side}[{index}]: the {what} {value!r:.80} is no number from 0")
    return number
