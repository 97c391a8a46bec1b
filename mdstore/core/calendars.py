"""When a market is open: the bars an instrument could trade on.

Crypto trades always: its calendar is `24/7`, which is arithmetic alone. All others are those of the package
exchange_calendars, an optional extra that is imported where one is first asked for.

A bar shorter than a day is expected if any part of it lies in a session, between its open and its close and
outside of its lunch break: New York opens at 13:30 or 14:30 UTC, and its first 1h bar is that of 13:00 or
14:00. A bar of a day or longer is expected if it holds 00:00 UTC of the date of a session, the time that
daily bars bear. What the package cannot tell counts as open: days outside of those
that a calendar is made for (Seoul 1956 to 2050, Tokyo from 1997), and years before 1900 or after 2099.

All times are integers, milliseconds since 1970 UTC; ranges do not hold their ends.
"""

from __future__ import annotations

import threading
import warnings
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

import polars as pl

from mdstore.core.did_you_mean import did_you_mean
from mdstore.core.time_bounds import EARLIEST, LATEST
from mdstore.core.timeframe import DAY, EPOCH_YEAR, MONTHS, Timeframe
from mdstore.errors import InvalidInputError

__all__ = ["ALWAYS", "Grid", "calendar_of", "check_calendar"]

ALWAYS = "24/7"
ALWAYS_NAMES = frozenset({ALWAYS, "always_open", "crypto"})
# The years that a calendar without bounds is asked for, where a question is of more than the window below.
FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(2099, 12, 31)
WINDOW_YEARS, FIRST_WINDOW = 20, date(2010, 1, 1)
"""The years that are asked for at first: those up to the end of a decade, in which nearly all questions lie.

The first question of a process takes half the CPU in Seoul, whose holidays go by the moon (1.5 s on a busy
machine, of all years 2.9), and a third in New York (0.18, and 0.57). All years are worked out once, for a
question of others. No window begins before 2010: made from 2000 on, Seoul has other lunch breaks in that
spring than made from 1956 on. From 2010 on, all calendars of the package are the same either way.
"""
SESSION = 8 * DAY
"""No session, and no bar that holds one, reaches so far out of its date, whole bars apart."""
# A calendar is 1.2 MB, its runs with one timeframe up to as much.
CALENDARS, RUNS = 16, 32
# Warnings are silenced for the whole process, so only one thread at a time may do it.
BUILDING = threading.Lock()


# ---- names


def check_calendar(name: object) -> str:
    """Return the one name of a calendar: `NYSE` is `XNYS`, `crypto` is `24/7`.

    Raises `InvalidInputError` where there is no such calendar, with the nearest names, and where the package
    exchange_calendars would be needed and is not installed.

    >>> check_calendar("Crypto")
    '24/7'
    """
    if isinstance(name, str) and name.lower() in ALWAYS_NAMES:
        return ALWAYS
    if not isinstance(name, str):
        raise InvalidInputError(
            f"a calendar is a text such as '24/7' or 'XNYS', not {name!r} ({type(name).__name__})"
        )
    library = _library(name)
    names = library.get_calendar_names()
    meant = [name] if name in names else [known for known in names if known.lower() == name.lower()]
    if len(meant) != 1:
        raise InvalidInputError(
            f"{name!r} is no calendar: give '24/7', or the name that exchange_calendars has for an exchange, "
            "such as 'XNYS' or 'XKRX'",
            hint=did_you_mean(name, names, most=3),
        )
    return str(library.resolve_alias(meant[0]))


def calendar_of(symbol: str, patterns: Mapping[str, str]) -> str:
    """Return the calendar of a symbol: that of the longest pattern which matches it, or `24/7`.

    Patterns are those of SQLite's GLOB, and letters must match in case. Of two that are equally long the
    last in sort order counts.

    >>> calendar_of("KRX:005930", {"*": "24/7", "KRX:*": "XKRX"})
    'XKRX'
    """
    if symbol in patterns:
        return patterns[symbol]
    matching = [pattern for pattern in patterns if globs(symbol, pattern)]
    return patterns[max(matching, key=lambda pattern: (len(pattern), pattern))] if matching else ALWAYS


def globs(symbol: str, pattern: str) -> bool:
    """Tell whether a pattern of SQLite's GLOB fits a symbol."""
    # GLOB negates a set with ^ and Python with !
    return fnmatchcase(symbol, pattern.replace("[^", "[!"))


def _library(name: str) -> Any:  # the package has no types
    try:
        import exchange_calendars  # type: ignore[import-untyped,import-not-found,unused-ignore]  # noqa: PLC0415
    except ImportError as error:
        raise InvalidInputError(
            f"the calendar {name!r} needs the package exchange_calendars",
            hint="pip install 'mdstore[calendars]'",
        ) from error
    return exchange_calendars


# ---- the bars


class Grid:
    """The bars of a timeframe on which a calendar's market could trade.

    Ranges are given in milliseconds since 1970 UTC; a bar belongs to a range if it starts in it.
    Raises `InvalidInputError` where there is no such calendar; where exchange_calendars fails to make it, at
    the first question.

    >>> hours = Grid(Timeframe.parse("1h"))
    >>> hours.expected(0, DAY)
    24
    >>> hours.after(0, 30) == 30 * 3_600_000
    True
    """

    def __init__(self, timeframe: Timeframe, calendar: str = ALWAYS) -> None:
        self.timeframe = timeframe
        self.calendar = check_calendar(calendar)

    def stretches(self, start: int, end: int) -> tuple[pl.Series, pl.Series]:
        """Return the starts and the ends (ms) of the longest runs of expected bars; sorted, never touching.

        Both are starts of bars: the end of a run is that of the first bar after it, and no run goes on
        after the first bar at or after `end`.
        """
        lows, highs = self._open(start, end)
        return self._begins(lows), self._begins(highs)

    def closed(self, start: int, end: int) -> tuple[pl.Series, pl.Series]:
        """Return the starts and the ends (ms) of the runs of bars in between: those not expected."""
        lows, highs = self._open(start, end)
        first, last = pl.Series([self._number(start)]), pl.Series([self._number(end)])
        lows, highs = pl.concat([first, highs]), pl.concat([lows, last])
        some = lows < highs
        return self._begins(lows.filter(some)), self._begins(highs.filter(some))

    def count(self, starts: pl.Series, ends: pl.Series) -> pl.Series:
        """Count the bars of the timeframe in each range, expected or not."""
        return (_numbers(self.timeframe, ends) - _numbers(self.timeframe, starts)).clip(0)

    def starts(self, start: int, end: int) -> pl.Series:
        """Return the start (ms) of every expected bar, ascending."""
        lows, highs = self._open(start, end)
        return self._begins(pl.select(pl.int_ranges(lows, highs).explode()).to_series())

    def expected(self, start: int, end: int) -> int:
        """Count the expected bars, without listing them."""
        if self.calendar == ALWAYS:
            return max(self._number(end) - self._number(start), 0)
        runs = self._runs(start, end)
        return max(runs.before(self._number(end)) - runs.before(self._number(start)), 0)

    def expected_in(self, starts: pl.Series, ends: pl.Series) -> pl.Series:
        """Count the expected bars in each range."""
        if self.calendar == ALWAYS:
            return self.count(starts, ends)
        runs = self._runs(*_reach(starts, ends))
        until, since = (runs.before_each(_numbers(self.timeframe, each)) for each in (ends, starts))
        return (until - since).clip(0)

    def after(self, start: int, bars: int) -> int:
        """Return the least end (ms, the start of a bar) of a range from `start` that holds `bars` bars.

        It comes right after the last of them, so that `expected(start, after(start, bars)) == bars`.
        """
        first, last = self._number(start), self._number(LATEST)
        if self.calendar == ALWAYS and self.timeframe.ms is not None:  # a page of many thousands
            return min(first + bars, last) * self.timeframe.ms + self.timeframe.floor(0)
        bars = min(bars, last - first)
        if bars <= 0:
            return self._begin(first)
        for until in (start, LATEST):  # where the answer lies beyond the years that are known, in all
            window = self._window(start, until)
            runs = _runs(self.timeframe, self.calendar, window)
            found = self._begin(min(runs.past(runs.before(first) + bars), last))
            if found + self._margin <= window[1]:
                break
        return found

    @property
    def _margin(self) -> int:
        return self.timeframe.longest_ms + SESSION

    def _window(self, start: int, end: int) -> Window:
        return _window(self.calendar, start - self._margin, end + self._margin)

    def _runs(self, start: int, end: int) -> Runs:
        """Return the runs of expected bars, those that start in a range among them."""
        return _runs(self.timeframe, self.calendar, self._window(start, end))

    def _open(self, start: int, end: int) -> tuple[pl.Series, pl.Series]:
        return self._runs(start, end).within(self._number(start), self._number(end))

    def _begin(self, number: int) -> int:
        return int(self._begins(pl.Series([number]))[0])

    def _number(self, moment: int) -> int:
        """Return the number of the first bar that starts at or after a moment; that of 1970 has 0."""
        moment, zero = min(max(moment, EARLIEST), LATEST), self.timeframe.floor(0)
        return self.timeframe.span(zero, moment) - self.timeframe.span(moment, zero)

    def _begins(self, numbers: pl.Series) -> pl.Series:
        """Return when the bars of these numbers start."""
        if self.timeframe.ms is not None:
            begins = numbers * self.timeframe.ms + self.timeframe.floor(0)
        else:
            months = numbers * self.timeframe.count
            year, month = months // MONTHS + EPOCH_YEAR, months % MONTHS + 1
            begins = pl.select(pl.datetime(year, month, 1, time_unit="ms").cast(pl.Int64)).to_series()
        return begins.rename("timestamp")


def _numbers(timeframe: Timeframe, moments: pl.Series) -> pl.Series:
    """Return, as `Grid._number` does, the number of the first bar at or after each moment."""
    moments = moments.clip(EARLIEST, LATEST)
    if timeframe.ms is not None:
        return -((timeframe.floor(0) - moments) // timeframe.ms)
    last = (moments - 1).cast(pl.Datetime("ms"))
    months = (last.dt.year().cast(pl.Int64) - EPOCH_YEAR) * MONTHS + last.dt.month() - 1
    return months // timeframe.count + 1


# ---- runs of expected bars


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs of expected bars, by numbers: from each of `lows` up to that of `highs`; sorted, never touching.

    `held` counts the bars of all runs before each. Python's bisect finds one number in a column in 5 us,
    where `search_sorted` takes 80 to plan a query.
    """

    lows: pl.Series
    highs: pl.Series
    held: pl.Series

    @classmethod
    def of(cls, lows: pl.Series, highs: pl.Series) -> Runs:
        """Join runs that overlap or touch; `lows` must be sorted."""
        reach = highs.cum_max()
        fresh = (lows > reach.shift(1)).fill_null(value=True)
        lows, highs = lows.filter(fresh), reach.filter(fresh.shift(-1, fill_value=True))
        sizes = highs - lows
        return cls(lows, highs, sizes.cum_sum() - sizes)

    def within(self, first: int, last: int) -> tuple[pl.Series, pl.Series]:
        """Return the lows and highs of what lies in `[first, last)`."""
        low = bisect_right(self.highs, first)
        size = max(bisect_left(self.lows, last) - low, 0) if first < last else 0
        return self.lows.slice(low, size).clip(first), self.highs.slice(low, size).clip(None, last)

    def before(self, number: int) -> int:
        """Count the expected bars with lower numbers."""
        run = bisect_left(self.lows, number) - 1
        if run < 0:
            return 0
        return int(self.held[run] + min(number, self.highs[run]) - self.lows[run])

    def before_each(self, numbers: pl.Series) -> pl.Series:
        """Count, for many numbers, the expected bars with lower ones."""
        run = self.lows.search_sorted(numbers, side="left").cast(pl.Int64) - 1
        at = run.clip(0)
        lows, highs, held = (column.gather(at) for column in (self.lows, self.highs, self.held))
        upto = pl.select(pl.min_horizontal(numbers, highs)).to_series()
        return (held + upto - lows).zip_with(run >= 0, held * 0)

    def past(self, bars: int) -> int:
        """Return the number after that of the last of `bars` expected bars; `bars` is at least one."""
        run = bisect_left(self.held, bars) - 1
        return int(self.lows[run] + bars - self.held[run])


def _reach(starts: pl.Series, ends: pl.Series) -> tuple[int, int]:
    """Return the least and the greatest of moments."""
    least, most = starts.min(), ends.max()
    return (int(least), int(most)) if isinstance(least, int) and isinstance(most, int) else (EARLIEST, LATEST)


@lru_cache(maxsize=RUNS)
def _runs(timeframe: Timeframe, calendar: str, window: Window) -> Runs:
    if calendar == ALWAYS:
        opens, closes = pl.Series([EARLIEST]), pl.Series([LATEST])
    else:
        opens, closes = _schedule(calendar, window).intervals(daily=timeframe.shortest_ms >= DAY)
    # The bar that holds a moment is the one before the first that starts later.
    return Runs.of(_numbers(timeframe, opens + 1) - 1, _numbers(timeframe, closes))


# ---- what exchange_calendars knows


Window = tuple[int, int]
"""The times (ms) in between which a calendar is worked out."""
ALL: Window = (EARLIEST, LATEST)
_windows: dict[str, Window] = {}
"""What each calendar was asked for last. (Threads that ask at once may each have one made, both right.)"""


def _window(calendar: str, start: int, end: int) -> Window:
    """Return years that hold a range: twenty up to the end of its decade, or all."""
    if calendar == ALWAYS:
        return ALL
    known = _windows.get(calendar)
    if known is None or not (known[0] <= start and end <= known[1]):
        recent = ALL if known is not None else _recent(end)
        known = _windows[calendar] = recent if recent[0] <= start else ALL
    return known


def _recent(end: int) -> Window:
    """Return twenty years up to the end of a decade, not the first before 2010; all where they end too late.

    >>> [str(_day(time)) for time in _recent(1_756_684_800_000)]
    ['2010-01-01', '2030-01-01']
    """
    earliest = FIRST_WINDOW.year + WINDOW_YEARS
    year = _day(min(max(end, _midnight(FIRST_WINDOW)), LATEST)).year
    decade = max(year // 10 * 10 + 10, earliest)
    if decade > LAST_DAY.year:
        return ALL
    return _midnight(date(decade - WINDOW_YEARS, 1, 1)), _midnight(date(decade, 1, 1))


@dataclass(frozen=True, slots=True)
class Schedule:
    """The sessions of a market in `[first, last)`: their dates, and the times of trade (all ms)."""

    first: int
    last: int
    dates: pl.Series
    opens: pl.Series
    closes: pl.Series

    def intervals(self, *, daily: bool) -> tuple[pl.Series, pl.Series]:
        """Return starts and ends of what is open, sorted by starts; the unknown before and after is, too."""
        opens, closes = (self.dates, self.dates + 1) if daily else (self.opens, self.closes)
        starts = pl.concat([pl.Series([EARLIEST]), opens, pl.Series([self.last])])
        return starts, pl.concat([pl.Series([self.first]), closes, pl.Series([LATEST])])


@lru_cache(maxsize=CALENDARS)
def _schedule(calendar: str, window: Window = ALL) -> Schedule:
    """Ask exchange_calendars for what it knows of a calendar, in a window."""
    try:
        with BUILDING, warnings.catch_warnings():
            # Under pandas 3.1 exchange_calendars 4.13.2 calls what is deprecated there, and nothing of ours
            # happens here. It also loses sessions on Saturdays, and five calendars fail: use pandas 3.0.
            warnings.simplefilter("ignore")
            first, last, table = _table(_library(calendar), calendar, window)
    except Exception as error:  # ValueError, NotImplementedError, KeyError: whatever it stumbles over
        reason = str(error)[:200]
        raise InvalidInputError(
            f"exchange_calendars cannot make its calendar {calendar!r}: {type(error).__name__}: {reason}"
        ) from error
    sessions = pl.from_pandas(table.rename_axis("date"), include_index=True)
    sessions = sessions.select(pl.all().dt.epoch("ms"))
    return Schedule(first, last, sessions["date"], *_trading(sessions))


def _table(library: Any, calendar: str, window: Window) -> tuple[int, int, Any]:
    """Return the first time that a calendar knows of, that after the last, and its sessions in pandas.

    Of a window that has none of the days that it is made for, all of them.
    """
    # The package tells the bounds only by the class, and gives that only with an instance, which would have
    # to be made twice; and it would keep the instance.
    kind = library.calendar_utils.global_calendar_dispatcher._calendar_factories[calendar]
    lowest, highest = kind.bound_min(), kind.bound_max()
    first = FIRST_DAY if lowest is None else max(FIRST_DAY, lowest.date())
    last = LAST_DAY if highest is None else min(LAST_DAY, highest.date())
    low, high = max(first, _day(window[0])), min(last, _day(window[1] - DAY))
    if low < high:
        first, last = low, high
    table = kind(start=first.isoformat(), end=last.isoformat()).schedule
    return _midnight(first), _midnight(last) + DAY, table


def _midnight(day: date) -> int:
    return (day - date(EPOCH_YEAR, 1, 1)).days * DAY


def _day(time: int) -> date:
    return date(EPOCH_YEAR, 1, 1) + timedelta(days=time // DAY)


def _trading(sessions: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    """Return when trade begins and ends; a session with a lunch break is two times of trade."""
    mornings = sessions.select(pl.col("open"), pl.coalesce("break_start", "close").alias("close"))
    afternoons = sessions.select(pl.col("break_end").alias("open"), "close").drop_nulls()
    trading = pl.concat([mornings, afternoons]).sort("open")
    return trading["open"], trading["close"]
