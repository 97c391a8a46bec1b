"""What is asked of a service, and which bars an upstream would have to give for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from mdstore.analysis.resample import bar_starts, reach
from mdstore.core.arguments import symbol_list, time_range
from mdstore.core.time_bounds import FOREVER
from mdstore.core.timeframe import DAY, HOUR, Timeframe
from mdstore.core.timestamps import Moment, ms_to_datetime, to_ms
from mdstore.core.zones import check_zone
from mdstore.errors import Hint, InvalidInputError

__all__ = ["CandleRequest", "before", "candle_request", "opened"]

WHOLE_NUMBER = "give a whole number from 1 to 50,000,000, or None"
EARLIEST = -5_000_000_000_000  # 1811: before that nobody has traded what anybody asks for
MOST_BARS = 50_000_000
"""More bars than that are no request but a mistake: 95 years of minutes."""


@dataclass(frozen=True, slots=True)
class CandleRequest:
    """Candles that are asked for: in `[start, end)` (ms), the latest `count`; of several if `is_long`."""

    symbols: tuple[str, ...] | None
    is_long: bool
    timeframe: Timeframe
    start: int
    end: int
    count: int | None
    include_forming: bool = False
    as_of: int | None = None
    tz: str | None = None
    derive: Timeframe | bool | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """What tells which bars are wanted of an upstream."""
        return (
            self.symbols, self.is_long, self.timeframe, self.start, self.end, self.count, self.tz, self.derive
        )  # fmt: skip

    @property
    def may_be_plain(self) -> bool:
        """Whether stored bars are given as they are, where they are stored of all that are named."""
        is_of_past = self.include_forming and self.as_of is not None  # which is known of made bars only
        return self.symbols is not None and self.tz is None and not self.derive and not is_of_past

    def range_upstream(self, now: int, source: Timeframe | None = None) -> tuple[int, int]:
        """Return the range of which bars are worth having at `now` (ms), an open end where nobody has said.

        Bars that have not ended are not among them. Of bars that are made of those of `source`, it is the
        range of these: all of the first and the last one, and what has come of the one that is forming.
        """
        end = min(self.end, self.forming(now))
        is_open = self.start <= -FOREVER and self.count is not None
        start = self.first_of(end, self.count or 0) if is_open else self.start
        if start > -FOREVER and self.timeframe.span(start, end) > MOST_BARS:
            raise InvalidInputError(
                f"{self.timeframe.span(start, end):,} bars are more than the {MOST_BARS:,} of one request",
                hint="ask for a later start, or for one part after the other",
            )
        if source is None:
            return start, end
        low, high = reach(self.timeframe, start, self.end, self.tz)
        return low, min(high, source.floor(now))

    def forming(self, now: int) -> int:
        """Return where the bar starts that forms at `now` (ms)."""
        bar = self.timeframe
        if self.tz is None:
            return bar.floor(now)
        return int(bar_starts(bar, self.tz, now - bar.longest_ms - 2 * DAY, now + 1)[-1])

    def range_stored(self, source: Timeframe | None) -> tuple[int, int]:
        """Return the range (ms) of the stored bars that all bars that are asked for are, or are made of."""
        return (
            (self.start, self.end) if source is None else reach(self.timeframe, self.start, self.end, self.tz)
        )

    def first_of(self, end: int, bars: int) -> int:
        """Return where to begin for the latest so many bars that begin before `end` (ms).

        The bars of a zone begin up to a day before those of UTC, and a day may have 25 hours.
        """
        bar = self.timeframe
        if self.tz is None:
            return before(bar, end, bars)
        behind, most = reach(bar, end, end, self.tz)[0], DAY
        if bar.longest_ms >= DAY:  # of the dates that the clocks show, which are up to 14 hours ahead
            behind, most = _shown(behind, self.tz), 14 * HOUR
        return reach(bar, before(bar, behind, bars) - most, end, self.tz)[0]


def candle_request(
    symbols: str | Sequence[str] | None,
    timeframe: str | Timeframe,
    start: Moment | None,
    end: Moment | None,
    count: int | None,
    *,
    include_forming: bool = False,
    as_of: Moment | None = None,
    tz: str | None = None,
    derive: str | Timeframe | bool | None = None,
) -> CandleRequest:
    """Return what the arguments of `get_candle_data` ask for. Raises `InvalidInputError` and its kinds."""
    first, last = time_range(start, end)
    if first >= last:
        raise InvalidInputError(
            f"the range [{start!r}, {end!r}) is empty: its end is not after its start",
            hint="give start before end",
        )
    number = None if count is None else _count(count)
    if tz is not None:
        check_zone(tz)
        if derive is False:
            raise InvalidInputError(
                f"tz={tz!r} is for bars that are made of shorter ones",
                hint=Hint("leave derive=False out", "leave it out"),
            )
    source = Timeframe.parse(derive) if isinstance(derive, str | Timeframe) else derive
    if source is not None and not isinstance(source, bool | Timeframe):
        raise InvalidInputError(f"derive={derive!r}: give True, False, or the timeframe to make bars of")
    return CandleRequest(
        symbol_list(symbols), not isinstance(symbols, str), Timeframe.parse(timeframe), first, last, number,
        include_forming, None if as_of is None else to_ms(as_of, "as of"), tz, source,
    )  # fmt: skip


def _count(count: int) -> int:
    if isinstance(count, bool) or not isinstance(count, int) or not 0 < count <= MOST_BARS:
        raise InvalidInputError(
            f"count={count!r} is no number of bars",
            hint=Hint(WHOLE_NUMBER, "give a whole number"),
        )
    return count


def before(timeframe: Timeframe, end: int, bars: int) -> int:
    """Return the start of the bar `bars` before the one that begins at `end` (ms).

    >>> before(Timeframe.parse("1m"), 600_000, 3), before(Timeframe.parse("1M"), 2_678_400_000, 1)
    (420000, 0)
    """
    if timeframe.ms is not None:
        return max(end - bars * timeframe.ms, timeframe.next(EARLIEST))
    for _ in range(bars):
        if end <= EARLIEST:
            break
        end = timeframe.floor(end - 1)
    return end


def _shown(moment: int, tz: str) -> int:
    """Return what the clocks of a zone show at a moment, as if it were UTC (ms)."""
    utc = pl.Series([moment]).cast(pl.Datetime("ms", "UTC"))
    return int(utc.dt.convert_time_zone(tz).dt.replace_time_zone(None).to_physical()[0])


def opened(moment: int) -> datetime | None:
    """Return a moment (ms) as the store takes it for sure, None for one that is not bounded.

    Not as a number: one of the years about 1970 would be taken for seconds.
    """
    return None if abs(moment) >= FOREVER else ms_to_datetime(moment)
