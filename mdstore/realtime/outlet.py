"""Where bars that have ended go: to be stored, and to whoever subscribed to them."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import isfinite

from mdstore.core.logs import logger
from mdstore.core.timeframe import Timeframe
from mdstore.realtime.bars import Bar, Row
from mdstore.realtime.forming_bars import BarSeries
from mdstore.realtime.live_writer import Key, Lander
from mdstore.realtime.rows import ClosedBar
from mdstore.realtime.subscription import Queue

__all__ = ["Outlet"]

LOG = logger("live")


class Outlet:
    """Takes what series tell of their bars; the lock of the live candles is held."""

    def __init__(self) -> None:
        self.lander: Lander | None = None
        self._queues: dict[str, list[Queue]] = {}
        self._taken_back: set[tuple[Key, int]] = set()
        """Bars that were told of, and turned out to be wrong: what comes in their place amends them."""

    def add(self, timeframe: Timeframe, queue: Queue) -> None:
        """Tell a queue of the bars of a timeframe from now on."""
        self._queues.setdefault(str(timeframe), []).append(queue)

    def remove(self, queue: Queue) -> None:
        """Tell it no more."""
        for queues in self._queues.values():
            if queue in queues:
                queues.remove(queue)

    def queues(self) -> list[Queue]:
        """Return all who are told."""
        return [queue for queues in self._queues.values() for queue in queues]

    def whole(self, series: BarSeries, bar: Bar, *, amended: bool) -> None:
        """Store a bar, and tell of it.

        A sum of sizes is rounded to the decimals that the exchange has: 0.30000000000000004 in place of its
        0.3 would be taken for a correction when the bar is fetched.
        """
        digits = series.feed.digits
        if digits is not None and not bar.by_kline:
            bar.volume, bar.lost = _rounded(bar.volume, bar.lost, digits), 0.0
        if series.persist and self.lander is not None:
            self.lander.put((series.symbol, series.name), bar.row())
        if self._queues:
            key = series.symbol, series.name
            self._tell(key, bar.row(), amended=self._amends(key, bar.start) or amended)

    def partial(self, series: BarSeries, bar: Bar) -> None:
        """Tell of a bar that is not whole."""
        if self._queues:
            self._tell((series.symbol, series.name), bar.row(), partial=True)

    def wrong(self, series: BarSeries, start: int) -> None:
        """Have a bar that was stored, or stated to be without a trade, asked for again."""
        if self._queues:
            self._taken_back.add(((series.symbol, series.name), start))
        if series.persist and self.lander is not None:
            self.lander.doubt((series.symbol, series.name), start, series.timeframe.next(start))

    def quiet(self, series: BarSeries, start: int, end: int) -> None:
        """State that there was no trade."""
        if series.persist and self.lander is not None:
            self.lander.state((series.symbol, series.name), start, end)

    def changed(self, series: BarSeries) -> None:
        """Say what a series is made of from now on."""
        LOG.warning("%s %s is made of %s from now on", series.symbol, series.name,
                    "klines" if series.by_klines else "trades")  # fmt: skip

    def filled(self, key: Key, rows: Iterable[Row]) -> None:
        """Tell of bars that were fetched in place of those that were not seen whole."""
        for row in rows:
            self._tell(key, row, amended=self._amends(key, row[0]))

    def _amends(self, key: Key, start: int) -> bool:
        is_again = (key, start) in self._taken_back
        self._taken_back.discard((key, start))
        return is_again

    def _tell(self, key: Key, row: Row, *, partial: bool = False, amended: bool = False) -> None:
        queues = self._queues.get(key[1])
        if queues:
            told = ClosedBar._make((*key, *row, partial, amended))
            self._queues[key[1]] = [queue for queue in queues if queue.offer(told)]


def _rounded(volume: float, lost: float, digits: int) -> float:
    """Return the float next to the decimal sum: the float of volume and lost was one off now and then."""
    if not isfinite(volume + lost):
        return volume
    unit = 10**digits
    units: int = round((Fraction(volume) + Fraction(lost)) * unit)
    return float(units / unit)
