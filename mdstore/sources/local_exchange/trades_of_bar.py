"""The trades that a minute is made of: they open, peak, dip and close as its bar says, and add up to it.

Whoever builds bars of the trades that a stream sends has the bars that a request for candles gives.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

from mdstore.sources.local_exchange.generated_bars import MINUTE

__all__ = ["Bar", "Minute", "last_trade"]

LEAST = 4  # open, high, low and close
UNITS = 10**8  # of a coin, as exchanges count
GOLDEN = 0.6180339887498949  # its multiples are spread evenly, and look random
JITTER = 0.9


class Bar(NamedTuple):
    """A bar, or as much of it as has been traded; `last` is the time of its last trade (ms)."""

    timestamp: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    value: float
    last: int


class Minute:
    """The trades of a minute, by their number; `phase` (0 to 1) says when, between those of other markets."""

    def __init__(self, bar: Bar, trades: int, digits: int, phase: float = 0.0) -> None:
        self.bar, self._phase = bar, phase
        self.count = max(trades, LEAST)
        self._digits = digits
        self._high, self._low = self.count // 3, self.count * 2 // 3
        self._units, self._over = divmod(round(bar.volume * UNITS), self.count)

    def time(self, number: int) -> int:
        """Return when a trade was (ms)."""
        return self.bar.timestamp + _offset(number, self.count, self._phase)

    def price(self, number: int) -> float:
        """Return its price."""
        bar = self.bar
        if number in (0, self.count - 1):
            return bar.close if number else bar.open
        if number in (self._high, self._low):
            return bar.high if number == self._high else bar.low
        inside = bar.low + (bar.high - bar.low) * (number * GOLDEN % 1)
        return min(bar.high, max(bar.low, round(inside, self._digits)))

    def size(self, number: int) -> float:
        """Return its size; all of them add up to the volume."""
        if not self._units:
            return self.bar.volume / self.count
        return (self._units + (number < self._over)) / UNITS

    def until(self, now: int) -> int:
        """Count the trades up to a time (ms), it included."""
        return bisect_right(range(self.count), now, key=self.time)

    def part(self, first: int, end: int) -> Bar:
        """Return the bar of some of its trades; `end` is the number after the last."""
        if first == 0 and end == self.count:
            return self.bar
        prices = [self.price(number) for number in range(first, end)]
        sizes = [self.size(number) for number in range(first, end)]
        volume = round(sum(sizes), 8) or sum(sizes)
        value = round(sum(price * size for price, size in zip(prices, sizes, strict=True)), 8)
        return Bar(
            self.bar.timestamp,
            prices[0],
            max(prices),
            min(prices),
            prices[-1],
            volume,
            value,
            self.time(end - 1),
        )

    def seconds(self, until: int) -> list[Bar]:
        """Return the seconds that had a trade, of the first `until` trades."""
        found: list[Bar] = []
        first = 0
        while first < until:
            second = self.time(first) // 1000 * 1000
            end = first + 1
            while end < until and self.time(end) < second + 1000:
                end += 1
            found.append(self.part(first, end)._replace(timestamp=second, last=self.time(end - 1)))
            first = end
        return found


def last_trade(trades: int, phase: float = 0.0) -> int:
    """Return how far into its minute the last trade of each is (ms)."""
    count = max(trades, LEAST)
    return _offset(count - 1, count, phase)


def _offset(number: int, count: int, phase: float) -> int:
    return int((number + (number * GOLDEN + phase) % 1 * JITTER) * MINUTE / count)
