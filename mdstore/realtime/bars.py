"""One bar as it forms: trades go in, in whatever order they come, and it is as if they had come in order.

The order is the exchange's: by time, those of one millisecond by their ids, or as they came without one.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

from mdstore.realtime.rows import Kline

__all__ = ["FEW", "NO_BAR", "Bar", "Row"]

Row = tuple[int, float, float, float, float, float]
"""timestamp (ms), open, high, low, close, volume: as `MarketDataStore.write` takes it."""

FEW = 64
Sold = tuple[int, int | None, float]
"""Time (ms), id and size of a trade; the bars of all timeframes share it."""


@dataclass(slots=True)
class Bar:
    """A bar of `[start, end)`; `first` and `last` are the times of the trades that set open and close.

    All times are milliseconds since 1970. `partial` bars miss trades; `settled` ones the exchange itself has
    closed; those `by_kline` have its values, to which no trade adds. A sum of floats depends on its order, so
    the latest trades are kept, each with the volume `before` it, and added up anew behind one that comes
    late: those of `keep` milliseconds, and more only while they are few.

    Exchanges count in decimals, and add up without a loss: what floats have lost of `volume` is in `lost`,
    for whoever rounds the sum. Of large volumes (1e7 coins) minutes were off in their last digits.
    """

    start: int
    end: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    first: int
    last: int
    partial: bool = False
    closed: bool = False
    settled: bool = False
    by_kline: bool = False
    first_id: int | None = None
    last_id: int | None = None
    keep: int = 0
    most: int = FEW
    latest: list[Sold] = field(default_factory=list)
    before: list[tuple[float, float]] = field(default_factory=list)
    lost: float = 0.0

    @classmethod
    def of(cls, start: int, end: int, trade: Sold, price: float, *, partial: bool, keep: int) -> Bar:
        """Return the bar of a first trade."""
        timestamp, key, size = trade
        return cls(
            start, end, price, price, price, price, size, timestamp, timestamp, partial,
            first_id=key, last_id=key, keep=keep,
            latest=[trade], before=[(0.0, 0.0)],
        )  # fmt: skip

    def add(self, timestamp: int, price: float, size: float, key: int | None) -> None:
        """Take in a trade of this bar."""
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        last = self.last
        if timestamp > last or (
            timestamp == last and (key is None or self.last_id is None or key > self.last_id)
        ):
            self.latest.append((timestamp, key, size))
            self._sell(size)
            self.close = price
            self.last = timestamp
            self.last_id = key
            if len(self.latest) > self.most:
                self.trim()
        else:
            self._add_late(timestamp, price, size, key)

    def trim(self) -> None:
        """Let go of trades that none will come before any more."""
        gone = bisect_left(self.latest, (self.last - self.keep,))
        del self.latest[:gone], self.before[:gone]
        self.most = max(FEW, 2 * len(self.latest))

    def set(self, kline: Kline) -> bool:
        """Take over an exchange's values, which are of the whole bar; return whether any differed."""
        before = self.row()
        self.open, self.high, self.low, self.close, self.volume = map(float, kline[3:8])
        self.partial, self.by_kline, self.lost = False, True, 0.0
        self.settled = self.settled or kline.closed
        return self.row() != before

    def row(self) -> Row:
        """Return the bar as it is stored."""
        return self.start, self.open, self.high, self.low, self.close, self.volume

    def _add_late(self, timestamp: int, price: float, size: float, key: int | None) -> None:
        if _is_before((timestamp, key), (self.first, self.first_id)):
            self.open, self.first, self.first_id = price, timestamp, key
        latest = self.latest
        at = len(latest)
        while at and _is_before((timestamp, key), latest[at - 1]):
            at -= 1
        if at < len(latest):
            self.volume, self.lost = self.before[at]
        latest.insert(at, (timestamp, key, size))
        del self.before[at:]
        for sold in latest[at:]:
            self._sell(sold[2])

    def _sell(self, size: float) -> None:
        volume = self.volume
        self.before.append((volume, self.lost))
        self.volume = total = volume + size
        self.lost += size - (total - volume) if volume >= size else volume - (total - size)


def _is_before(one: tuple[int, int | None], other: Sold | tuple[int, int | None]) -> bool:
    """Tell whether a trade that comes now, by time and id, was made before another."""
    if one[0] != other[0]:
        return one[0] < other[0]
    return one[1] is not None and other[1] is not None and one[1] < other[1]


# A bar that holds no moment. With it in place of None the quick path needs no test for None.
NO_BAR = Bar(0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0)
