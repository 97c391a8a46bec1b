"""One series of bars as they form: where a trade or an exchange's kline goes, and when a bar is closed.

Nothing here locks, looks at a clock or does I/O; `LiveCandles` does that around it. A bar goes through three
places: `open` (forming, or past its end but in its grace), `closed` (the last few, still amended), and out.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import isfinite

from mdstore.core.candle_rules import check_symbol
from mdstore.core.time_bounds import FIRST_LIVE, FOREVER
from mdstore.core.timeframe import Timeframe
from mdstore.errors import InvalidInputError
from mdstore.realtime.row_rules import FUTURE_MS
from mdstore.realtime.rows import Kline

__all__ = ["KEPT", "Bar", "BarSeries", "Counts", "Row", "check_kline"]

Row = tuple[int, float, float, float, float, float]
"""timestamp (ms), open, high, low, close, volume: as `MarketDataStore.write` takes it."""

KEPT = 3
NS_PER_MS = 1_000_000
# Bars that may be open besides those within the grace: the forming one, the one before it, and one of a
# trade whose time is wrong.
SPARE = 3
NUMBERS = ("open", "high", "low", "close", "volume")
SHAPE: tuple[tuple[str, Callable[[Kline], bool], str], ...] = (
    ("low", lambda bar: bar.low <= bar.open, "low <= open"),
    ("low", lambda bar: bar.low <= bar.close, "low <= close"),
    ("high", lambda bar: bar.high >= bar.open, "open <= high"),
    ("high", lambda bar: bar.high >= bar.close, "close <= high"),
    ("volume", lambda bar: bar.volume >= 0, "volume >= 0"),
)


@dataclass(slots=True)
class Counts:
    """What became of bars, trades and klines; shared by the series of one `LiveCandles`."""

    closed: int = 0
    amended: int = 0
    too_late: int = 0
    partial: int = 0
    dropped_klines: int = 0


@dataclass(slots=True)
class Bar:
    """A bar of `[start, end)`; `first` and `last` are the times of the trades that set open and close.

    All times are milliseconds since 1970. `partial` bars miss trades; `settled` ones the exchange itself has
    closed.
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

    def add(self, timestamp: int, price: float, size: float) -> None:
        """Take in a trade of this bar; of those with equal times, the first opens and the last closes."""
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self.volume += size
        if timestamp >= self.last:
            self.close, self.last = price, timestamp
        elif timestamp < self.first:
            self.open, self.first = price, timestamp

    def set(self, kline: Kline) -> bool:
        """Take over an exchange's values, which are of the whole bar; return whether any differed."""
        before = self.row()
        self.open, self.high, self.low, self.close, self.volume = map(float, kline[3:8])
        self.partial = False
        self.settled = self.settled or kline.closed
        return self.row() != before

    def row(self) -> Row:
        """Return the bar as it is stored."""
        return self.start, self.open, self.high, self.low, self.close, self.volume


# A bar that holds no moment. With it in place of None the quick path needs no test for None.
NO_BAR = Bar(0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0)


class BarSeries:
    """The open and the last closed bars of one symbol and timeframe.

    `bar` is the newest open one, or `NO_BAR` where a trade has to go through `place`. `due` is the time (ns)
    from which an older open one has to be closed, 0 for none. `out` is given each bar that is closed, and
    again each time that it changes after.
    """

    __slots__ = (
        "_closed_until", "_counts", "_grace", "_most", "_out", "_timeframe", "_whole_from",
        "bar", "by_klines", "closed", "due", "heard", "name", "open", "persist", "symbol",
    )  # fmt: skip

    def __init__(
        self,
        symbol: str,
        timeframe: Timeframe,
        *,
        grace: int,
        counts: Counts,
        out: Callable[[BarSeries, Bar], None],
    ) -> None:
        self.symbol, self.name = symbol, str(timeframe)
        self.persist = self.by_klines = False
        self.bar, self.due, self.heard = NO_BAR, 0, 0
        self.open: list[Bar] = []
        self.closed: list[Bar] = []
        self._timeframe, self._grace, self._counts, self._out = timeframe, grace, counts, out
        # A clock far behind the exchange's would never close a bar. Once more bars than this are open, the
        # oldest is closed whatever the clock says.
        self._most = grace // (timeframe.shortest_ms * NS_PER_MS) + SPARE
        self._closed_until = -FOREVER
        self._whole_from: int | None = None

    @property
    def next_due(self) -> int:
        """The time (ns) at which the oldest open bar has to be closed."""
        return self._due(self.open[0]) if self.open else FOREVER

    @property
    def last(self) -> int:
        """The time (ms) of the last trade, or when the last kline came."""
        if self.by_klines or not self.open:
            return self.heard
        return max(self.heard, self.open[-1].last)

    def forming(self) -> Kline | None:
        """Return the newest open bar, None where there is none."""
        if not self.open:
            return None
        bar = self.open[-1]
        return Kline(
            self.symbol,
            self.name,
            bar.start,
            bar.open,
            bar.high,
            bar.low,
            bar.close,
            bar.volume,
            closed=False,
        )

    def whole(self) -> None:
        """Count every bar as seen from its start."""
        self._whole_from = -FOREVER

    def place(self, timestamp: int, price: float, size: float, now: int) -> None:
        """Put a trade (ms) into its bar, wherever that is; close the older bars due at `now` (ns)."""
        if self._whole_from is None:
            # No bar before now: an old trade that came late does not prove that nothing was missed since.
            self._whole_from = self._timeframe.next(max(timestamp, now // NS_PER_MS))
        bar = _holding(self.open, timestamp)
        if bar is not None:
            bar.add(timestamp, price, size)
        else:
            self._place_new(timestamp, price, size)
        self.close_due(now, keep=1)

    def close_due(self, now: int, *, keep: int = 0) -> None:
        """Close the bars whose end and grace have passed at `now` (ns), but not the newest `keep`."""
        while len(self.open) > keep and self.next_due <= now:
            self._close(self.open[0])
        self._refresh()

    def take(self, kline: Kline) -> bool:
        """Set a bar to the exchange's own values; return False where these are out of date.

        An update that is not `closed` counts for the newest bar only, and only until the exchange closed it.
        A `closed` one always counts.
        """
        bar = self._find(kline.timestamp)
        if not kline.closed and (kline.timestamp < self._newest or (bar is not None and bar.settled)):
            self._counts.dropped_klines += 1
            return False
        while self.open and self.open[0].start < kline.timestamp:
            self._close(self.open[0])
        if not self.by_klines:
            self.by_klines = True
            self._mark_partial()  # no trade will fill them any more
        self._set(bar, kline)
        self._refresh()
        return True

    def gap(self, since: int) -> None:
        """Mark as partial the open bars, the last closed ones after `since` (ms) and the next trade's bar."""
        self._mark_partial()
        for bar in self.closed:
            bar.partial = bar.partial or bar.end > since
        self._whole_from = None
        self._refresh()

    def connect(self, moment: int) -> None:
        """Count bars that start at a moment (ms) or later as seen from their start, and no others."""
        self._mark_partial()
        self._whole_from = self._timeframe.next(moment - 1)
        self._refresh()

    def missed(self, timestamp: int) -> None:
        """Mark as partial the bar of a trade that came too late to be taken into it."""
        bar = None if self.by_klines else self._find(timestamp)
        if bar is not None:
            bar.partial = True

    def _place_new(self, timestamp: int, price: float, size: float) -> None:
        """Put a trade where no bar is open."""
        start = self._timeframe.floor(timestamp)
        if start >= self._closed_until:
            self._begin(self._new(start, timestamp, price, size))
            return
        bar = _holding(self.closed, timestamp)
        if bar is not None:
            bar.add(timestamp, price, size)
        elif self._is_between(start):
            bar = self._new(start, timestamp, price, size)
            self._keep(bar)
        else:
            self._counts.too_late += 1
            return
        self._counts.amended += 1
        if not bar.partial:
            self._out(self, bar)

    def _is_between(self, start: int) -> bool:
        """Tell whether a bar that is not there surely had no trade: kept bars are on both sides of it."""
        return bool(self.closed) and start > self.closed[0].start and not self._is_partial(start)

    def _is_partial(self, start: int) -> bool:
        return self._whole_from is not None and start < self._whole_from

    def _new(self, start: int, timestamp: int, price: float, size: float) -> Bar:
        end = self._timeframe.next(start)
        partial = self._is_partial(start)
        return Bar(start, end, price, price, price, price, size, timestamp, timestamp, partial)

    def _begin(self, bar: Bar) -> None:
        insort(self.open, bar, key=_start)
        if len(self.open) > self._most:
            self._close(self.open[0])

    def _set(self, bar: Bar | None, kline: Kline) -> None:
        if bar is None:
            bar = _from_kline(kline, self._timeframe)
            self._begin(bar)
        elif bar.set(kline) and bar.closed:
            self._counts.amended += 1
            self._out(self, bar)
        if kline.closed and not bar.closed:
            self._close(bar)

    def _close(self, bar: Bar) -> None:
        self.open.remove(bar)
        if not self.by_klines:
            self.heard = max(self.heard, bar.last)
        self._closed_until = max(self._closed_until, bar.end)
        if bar.partial or not isfinite(bar.volume):  # sizes of 1e308 can add up to no number
            self._counts.partial += 1
        else:
            self._keep(bar)
            self._out(self, bar)

    def _keep(self, bar: Bar) -> None:
        bar.closed = True
        self._counts.closed += 1
        insort(self.closed, bar, key=_start)
        del self.closed[:-KEPT]

    def _mark_partial(self) -> None:
        for bar in self.open:
            bar.partial = True

    def _refresh(self) -> None:
        known = self.open and self._whole_from is not None
        self.bar = self.open[-1] if known else NO_BAR
        self.due = self.next_due if len(self.open) > 1 else 0

    @property
    def _newest(self) -> int:
        return max((bars[-1].start for bars in (self.open, self.closed) if bars), default=-FOREVER)

    def _find(self, start: int) -> Bar | None:
        return _holding(self.open, start) or _holding(self.closed, start)

    def _due(self, bar: Bar) -> int:
        return bar.end * NS_PER_MS + self._grace


def check_kline(kline: Kline, now: int) -> Timeframe:
    """Return the timeframe of a kline; raise `InvalidInputError` that names the field which is wrong.

    A bar that begins after `now` (ns) is refused: it would close the one that is forming.
    """
    check_symbol(kline.symbol)
    timeframe = Timeframe.parse(kline.timeframe)
    if not isinstance(kline.closed, bool):
        raise _wrong(kline, "closed", "it is True or False")
    if not isinstance(kline.timestamp, int) or kline.timestamp < FIRST_LIVE:
        raise _wrong(kline, "timestamp", "it is in milliseconds, in 2000 or later")
    if kline.timestamp > now // NS_PER_MS + FUTURE_MS:
        raise _wrong(kline, "timestamp", "it is not in the future, by the clock")
    if not _is_start(kline.timestamp, timeframe):
        raise _wrong(kline, "timestamp", f"it starts a {timeframe} bar (milliseconds)")
    for name in NUMBERS:
        if not _is_finite(getattr(kline, name)):
            raise _wrong(kline, name, "it is a finite number")
    for name, holds, rule in SHAPE:
        if not holds(kline):
            raise _wrong(kline, name, rule)
    return timeframe


def _is_start(timestamp: int, timeframe: Timeframe) -> bool:
    try:
        return (
            isinstance(timestamp, int) and timeframe.next(timestamp) > timeframe.floor(timestamp) == timestamp
        )
    except (ValueError, OverflowError, OSError):  # a month of a year that datetime cannot hold
        return False


def _is_finite(value: object) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    except OverflowError:  # a whole number larger than any float
        return False


def _wrong(kline: Kline, field: str, rule: str) -> InvalidInputError:
    return InvalidInputError(
        f"kline of {kline.symbol} {kline.timeframe} at {kline.timestamp!r}: {field} = "
        f"{getattr(kline, field)!r} breaks the rule '{rule}'. Nothing was changed"
    )


def _from_kline(kline: Kline, timeframe: Timeframe) -> Bar:
    start, end = kline.timestamp, timeframe.next(kline.timestamp)
    bar = Bar(start, end, 0.0, 0.0, 0.0, 0.0, 0.0, start, end - 1)
    bar.set(kline)
    return bar


def _holding(bars: Iterable[Bar], timestamp: int) -> Bar | None:
    return next((bar for bar in bars if bar.start <= timestamp < bar.end), None)


def _start(bar: Bar) -> int:
    return bar.start
