"""One series of bars as they form: where a trade or an exchange's kline goes, and which bars are whole.

Nothing here locks, looks at a clock or does I/O; `LiveCandles` does that around it. A bar goes through three
places: `open` (forming, or not proven to be whole yet), `closed` (the last few, still amended), and out.
Every bar since a series began is open, whole and out, stated to be without a trade, or in a hole.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite
from typing import Protocol

from mdstore.core.time_bounds import FOREVER
from mdstore.core.timeframe import Timeframe
from mdstore.realtime.bars import NO_BAR, Bar, Row
from mdstore.realtime.feeds import Feed
from mdstore.realtime.ranges import Range, Ranges
from mdstore.realtime.rows import Kline

__all__ = ["KEPT", "NO_BAR", "Bar", "BarSeries", "Counts", "Out", "Row"]

KEPT = 3
# Klines come at least every two seconds while there are trades: a bar without any for so long (ms) has none.
KLINE_PATIENCE = 10_000


@dataclass(slots=True)
class Counts:
    """What became of bars, trades and klines; shared by the series of one `LiveCandles`."""

    closed: int = 0
    amended: int = 0
    too_late: int = 0
    partial: int = 0
    dropped_klines: int = 0
    source_changes: int = 0


class Out(Protocol):
    """What is told of the bars of a series."""

    def whole(self, series: BarSeries, bar: Bar, *, amended: bool) -> None:
        """Take a bar that is whole; again, `amended`, each time that it changes after.

        One that `wrong` was told of is taken for amended, too.
        """

    def partial(self, series: BarSeries, bar: Bar) -> None:
        """Know that a bar has ended that is not whole."""

    def wrong(self, series: BarSeries, start: int) -> None:
        """Know that a bar which had been told is not whole."""

    def quiet(self, series: BarSeries, start: int, end: int) -> None:
        """Know that there was no trade in a range of bars."""

    def changed(self, series: BarSeries) -> None:
        """Know that a series is made of klines from now on, or of trades."""


class BarSeries:
    """The open and the last closed bars of one symbol and timeframe.

    `bar` is the newest open one, or `NO_BAR` where a trade has to go through `place`. `holes` are the ranges
    of bars that were not seen whole, and `hole` the start of the one that has not ended yet, if there is one.
    """

    __slots__ = (
        "_closed_until", "_counts", "_klines_until", "_out", "_plain_ms", "_recalled", "_told", "_whole_from",
        "bar", "by_klines", "closed", "feed", "hole", "holes", "name", "open", "persist", "symbol",
        "timeframe",
    )  # fmt: skip

    def __init__(self, symbol: str, timeframe: Timeframe, *, feed: Feed, counts: Counts, out: Out) -> None:
        self.symbol, self.name, self.timeframe, self.feed = symbol, str(timeframe), timeframe, feed
        # Bars of so many milliseconds from 1970 on; 0 where they are reckoned otherwise (weeks, months).
        self._plain_ms = 0 if timeframe.ms is None or timeframe.floor(0) else timeframe.ms
        self.persist = self.by_klines = False
        self.bar = NO_BAR
        self.open: list[Bar] = []
        self.closed: list[Bar] = []
        self.holes = Ranges()
        self.hole: int | None = None
        self._recalled = Ranges()
        self._counts, self._out = counts, out
        self._closed_until = self._klines_until = -FOREVER
        # Bars that start from here on are seen whole; None: none are. All before `_told` are accounted for.
        self._whole_from: int | None = None
        self._told = -FOREVER

    # ---- what is seen

    def whole(self) -> None:
        """Count every bar as seen from its start."""
        self.hole, self._whole_from = None, -FOREVER

    def unseen(self, moment: int) -> None:
        """Begin with a hole, from the bar of a moment (ms) on."""
        self.hole = self.timeframe.floor(moment)

    def recall(self, start: int, end: int) -> None:
        """Know of a hole that was there before; by this machine's clock, so that it ends where bars begin."""
        self._recalled.add(start, end)

    def begin(self, since: int, heard: int) -> None:
        """Know that bars which start at a time (ms) or later are seen whole; something came of `heard`."""
        if self.by_klines or self._whole_from == -FOREVER:
            return  # each kline tells all of its bar; and a recording has all
        if self._whole_from is not None:
            self.lose(self.feed.proven)
        self._begin_hole_by(heard)
        self._begin_at(self.timeframe.next(since - 1))

    def lose(self, proven: int) -> None:
        """Know that what was made after a time (ms) may be lost, and whatever comes is until `begin`."""
        self._mark_partial()
        if self._whole_from is not None:
            self.settle(proven)
            known = max(self._told, self.timeframe.floor(proven) if proven > -FOREVER else -FOREVER)
            first = self.open[0].start if self.open else None
            self.hole = first if known == -FOREVER else known
            self._whole_from = None
        elif proven > -FOREVER:
            self._begin_hole_by(proven)
        self._refresh()

    def _begin_hole_by(self, moment: int) -> None:
        """Have the first hole begin no later: it began by the local clock, which may be ahead."""
        if self.hole is not None and self._told == -FOREVER:
            self.hole = min(self.hole, self.timeframe.floor(moment))

    def settle(self, proven: int) -> None:
        """Say which bars have passed without a trade, up to a time (ms) until which all has come."""
        if self._whole_from is None or self._told == -FOREVER or proven <= self._told:
            return
        until = self.timeframe.floor(proven)
        self._quiet_until(min(until, self.open[0].start) if self.open else until)

    def missed(self, timestamp: int) -> None:
        """Know of a trade (ms) that is in no bar: its bar is not whole."""
        if not self.by_klines and self._is_ours(timestamp):
            self._spoil(self.timeframe.floor(timestamp))

    def heal(self, start: int, end: int) -> None:
        """Know that the bars of a range are whole by another's word."""
        self.holes.remove(start, end)
        if self.hole is not None and end > self.hole:
            self.holes.add(self.hole, start)
            self.hole = end

    def unseen_ranges(self) -> list[tuple[int, int | None]]:
        """Return the ranges (ms) of bars that were not seen whole; the last may have no end yet."""
        if self.hole is None:
            return list(self.holes)
        ranges = Ranges()
        for one in (*self.holes, *self._recalled, (self.hole, FOREVER)):
            ranges.add(*one)
        return [(low, None if high == FOREVER else high) for low, high in ranges]

    def ended_holes(self) -> list[Range]:
        """Return the holes, or their beginnings, whose bars have ended by the exchange's time."""
        proven = self.feed.proven
        if proven == -FOREVER:
            return []
        last = self.timeframe.floor(proven)
        return [(start, min(end, last)) for start, end in self.holes if start < last]

    # ---- trades

    def place(self, timestamp: int, price: float, size: float, key: int | None) -> None:
        """Put a trade (ms) into its bar, wherever that is."""
        if self.by_klines:
            if timestamp < self._klines_until:
                return
            self._leave_klines(timestamp)
        bar = _holding(self.open, timestamp)
        if bar is None:
            self._place_new(timestamp, price, size, key)
        elif not bar.by_kline:
            bar.add(timestamp, price, size, key)
        self._refresh()

    def close_until(self, proven: int) -> None:
        """Close the bars that ended by a time (ms) until which all has come."""
        while self.open and self.open[0].end <= proven:
            self._close_by(self.open[0], self.feed.time)
        self._refresh()

    def forming(self) -> Kline | None:
        """Return the newest open bar, None where there is none."""
        if not self.open:
            return None
        return Kline(self.symbol, self.name, *self.open[-1].row(), closed=False)

    # ---- klines

    def take(self, kline: Kline) -> bool:
        """Set a bar to the exchange's own values; return False where these are out of date.

        An update that is not `closed` counts for the newest bar only, and only until the exchange closed it;
        from then on the series is made of klines. One that is `closed`, or an answer to a request of a bar
        that has ended, counts, whatever the series is made of.
        """
        bar = self._find(kline.timestamp)
        if not kline.closed and (self._is_old(kline, bar) if not kline.snapshot else self._may_form(kline)):
            self._counts.dropped_klines += 1
            return False
        if not (kline.closed or kline.snapshot):
            self._follow_klines()
        if self.by_klines and not kline.snapshot:
            while self.open and self.open[0].start < kline.timestamp:
                self._close_by(self.open[0], kline.timestamp)
            if self._whole_from is None and (self.hole is None or kline.timestamp >= self.hole):
                self._begin_at(kline.timestamp)
        self._set(bar, kline)
        self._refresh()
        return True

    def _is_old(self, kline: Kline, bar: Bar | None) -> bool:
        return kline.timestamp < self._newest or (bar is not None and bar.settled)

    def _may_form(self, kline: Kline) -> bool:
        """Tell whether an answer may be of a bar that forms: neither feed nor a later bar says otherwise."""
        return self.timeframe.next(kline.timestamp) > max(self.feed.proven, self._newest)

    def _follow_klines(self) -> None:
        if not self.by_klines:
            is_change = bool(self.open or self.closed)
            self.by_klines = True
            self._mark_partial()  # no trade will fill them any more
            if is_change:
                self._counts.source_changes += 1
                self._out.changed(self)

    def _leave_klines(self, timestamp: int) -> None:
        """Go on with trades, since klines do not come any more; bars are whole from the next on."""
        self._mark_partial()
        first = self.hole if self.hole is not None else self._told
        self.by_klines, self.hole = False, first
        self._begin_at(self.timeframe.next(timestamp + self.feed.grace - 1))
        self._counts.source_changes += 1
        self._out.changed(self)

    def _set(self, bar: Bar | None, kline: Kline) -> None:
        if bar is None:
            bar = _from_kline(kline, self.timeframe)
            self._begin_bar(bar)
        else:
            was_partial = bar.partial
            if (bar.set(kline) or was_partial) and bar.closed:
                self._counts.amended += 1
                self._out.whole(self, bar, amended=not was_partial)
        end = self.timeframe.next(bar.end)
        self._klines_until = max(self._klines_until, end, bar.end + KLINE_PATIENCE)
        if bar.closed or kline.closed or kline.snapshot:
            self.heal(bar.start, bar.end)
            if not bar.closed:
                self._close(bar)

    # ---- within

    def _begin_at(self, start: int) -> None:
        if self.hole is not None:
            self.holes.add(self.hole, start)
        for first, last in self._recalled.pop():
            self.holes.add(first, min(last, start))
        self.hole, self._whole_from, self._told = None, start, start
        self._mark_partial(until=start)
        self._refresh()

    def _place_new(self, timestamp: int, price: float, size: float, key: int | None) -> None:
        """Put a trade where no bar is open."""
        start = timestamp - timestamp % self._plain_ms if self._plain_ms else self.timeframe.floor(timestamp)
        if start >= self._closed_until:
            self._begin_bar(self._new(start, timestamp, price, size, key))
            return
        found = _holding(self.closed, timestamp)
        if found is not None and found.by_kline:
            return
        if found is not None and not found.partial:
            found.add(timestamp, price, size, key)
        elif found is None and self._is_between(start):
            found = self._new(start, timestamp, price, size, key)
            self._keep(found)
        else:
            self._counts.too_late += 1
            if self._is_ours(timestamp):
                self._spoil(start)
            return
        self._counts.amended += 1
        self._out.whole(self, found, amended=True)

    def _spoil(self, start: int) -> None:
        """Take a bar for one that is not whole, whatever was said of it."""
        bar = self._find(start)
        was_told = start not in self.holes and (bar is None or bar.closed) and start < self._closed_or_told
        self.holes.add(start, self.timeframe.next(start))
        if bar is not None:
            bar.partial = True
        if was_told:
            self._out.wrong(self, start)

    @property
    def _closed_or_told(self) -> int:
        return max(self._closed_until, self._told)

    def _is_ours(self, timestamp: int) -> bool:
        """Tell whether a time is not before all that this series speaks of."""
        start = self.timeframe.floor(timestamp)
        if self._whole_from == -FOREVER or (self._whole_from is not None and start >= self._whole_from):
            return True
        if self.hole is not None and start >= self.hole:
            return True
        return start in self.holes or any(low <= start for low, _ in self.holes)

    def _is_between(self, start: int) -> bool:
        """Tell whether a bar that is not there was had no trade: kept bars are on both sides of it."""
        return bool(self.closed) and start > self.closed[0].start and not self._is_partial(start)

    def _is_partial(self, start: int) -> bool:
        return self._whole_from is None or start < self._whole_from or start in self.holes

    def _new(self, start: int, timestamp: int, price: float, size: float, key: int | None) -> Bar:
        trade = timestamp, key, size
        end = start + self._plain_ms if self._plain_ms else self.timeframe.next(start)
        partial = self._is_partial(start)
        return Bar.of(start, end, trade, price, partial=partial, keep=self.feed.grace)

    def _begin_bar(self, bar: Bar) -> None:
        if not self.open or bar.start > self.open[-1].start:
            self.open.append(bar)
        else:
            insort(self.open, bar, key=_start)
        due = bar.end + self.feed.grace
        self.feed.due = min(self.feed.due, due)

    def _close_by(self, bar: Bar, moment: int) -> None:
        """Close a bar by what has come of a moment (ms) behind its end.

        Where nobody tells of lost connections, klines may have stopped before the last one of a bar: that it
        was the last is known only by what comes of the very next bar.
        """
        if bar.by_kline and not self.feed.is_told and moment >= self.timeframe.next(bar.end):
            bar.partial = True
        self._close(bar)

    def _close(self, bar: Bar) -> None:
        self.open.remove(bar)
        self._closed_until = max(self._closed_until, bar.end)
        if self._whole_from is not None and (self.by_klines or not bar.by_kline or bar.start <= self._told):
            if -FOREVER < self._told < bar.start:
                self._quiet_until(bar.start)
            self._told = max(self._told, bar.end)
        if bar.partial or not isfinite(bar.volume):  # sizes of 1e308 can add up to no number
            self._counts.partial += 1
            self.holes.add(bar.start, bar.end)
            self._out.partial(self, bar)
        else:
            bar.trim()
            self._keep(bar)
            self._out.whole(self, bar, amended=False)

    def _quiet_until(self, end: int) -> None:
        """Account for the bars up to a time (ms) that nothing came of."""
        start = self._told
        if start < end:
            self._told = end
            if self.by_klines:
                self.holes.add(start, end)
            else:
                for low, high in _without(start, end, self.holes):
                    self._out.quiet(self, low, high)

    def _keep(self, bar: Bar) -> None:
        bar.closed = True
        self._counts.closed += 1
        insort(self.closed, bar, key=_start)
        del self.closed[:-KEPT]

    def _mark_partial(self, until: int = FOREVER) -> None:
        for bar in self.open:
            bar.partial = bar.partial or bar.start < until

    def _refresh(self) -> None:
        self.bar = NO_BAR if self.by_klines or not self.open else self.open[-1]
        if self.bar.by_kline:
            self.bar = NO_BAR

    @property
    def _newest(self) -> int:
        return max((bars[-1].start for bars in (self.open, self.closed) if bars), default=-FOREVER)

    def _find(self, start: int) -> Bar | None:
        return _holding(self.open, start) or _holding(self.closed, start)


def _from_kline(kline: Kline, timeframe: Timeframe) -> Bar:
    start, end = kline.timestamp, timeframe.next(kline.timestamp)
    bar = Bar(start, end, 0.0, 0.0, 0.0, 0.0, 0.0, start, end - 1)
    bar.set(kline)
    return bar


def _without(start: int, end: int, holes: Ranges) -> list[tuple[int, int]]:
    left = Ranges()
    left.add(start, end)
    for one in holes:
        left.remove(*one)
    return list(left)


def _holding(bars: Iterable[Bar], timestamp: int) -> Bar | None:
    for bar in bars:
        if bar.start <= timestamp < bar.end:
            return bar
    return None


def _start(bar: Bar) -> int:
    return bar.start
