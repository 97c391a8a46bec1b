"""From a trade to the bars that it belongs to, in the fewest steps."""

from __future__ import annotations

from mdstore.core.time_bounds import FOREVER
from mdstore.realtime.bars import FEW
from mdstore.realtime.feeds import Feed
from mdstore.realtime.forming_bars import BarSeries

__all__ = ["Route"]


class Route:
    """What is made of the trades of a symbol, and the time and id of the latest of them.

    `left` is after how many more trades the bars let go of those that none will come before.
    """

    __slots__ = ("feed", "last", "last_id", "left", "series", "symbol")

    def __init__(self, symbol: str, feed: Feed, series: tuple[BarSeries, ...]) -> None:
        self.symbol, self.feed, self.series, self.left = symbol, feed, series, FEW
        self.last = max((bar.last for one in series for bar in (*one.closed, *one.open)), default=-FOREVER)
        self.last_id: int | None = None

    def take(self, timestamp: int, price: float, size: float, key: int | None, is_old: bool) -> None:
        """Put a trade into the bars that are made of it.

        Most come behind all others of their symbol and belong to the newest bars. What `Bar.add` does with
        such a one stands here again, without its looking for a place: a push took half as long again by it.
        """
        last, last_id = self.last, self.last_id
        if timestamp > last or (
            timestamp == last and key is not None and last_id is not None and key > last_id
        ):
            self.last, self.last_id = timestamp, key
            sold = timestamp, key, size
            for series in self.series:
                bar = series.bar
                if not bar.start <= timestamp < bar.end:
                    series.place(timestamp, price, size, key)
                    continue
                if price > bar.high:
                    bar.high = price
                elif price < bar.low:
                    bar.low = price
                volume = bar.volume
                bar.latest.append(sold)
                bar.before.append((volume, bar.lost))
                bar.volume = total = volume + size
                bar.lost += size - (total - volume) if volume >= size else volume - (total - size)
                bar.close = price
                bar.last = timestamp
                bar.last_id = key
            self.left -= 1
            if not self.left:
                self._trim()
        else:
            for series in self.series:
                series.place(timestamp, price, size, key)
        feed = self.feed
        if timestamp > feed.time and not is_old:
            if timestamp < feed.due and not feed.awaited:
                feed.time = timestamp
            else:
                feed.hear(timestamp, self.symbol)

    def _trim(self) -> None:
        self.left = FEW
        for series in self.series:
            if len(series.bar.latest) > series.bar.most:
                series.bar.trim()
