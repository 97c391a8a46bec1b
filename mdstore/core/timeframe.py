"""The time grid: what bar a moment belongs to, and which bar comes next.

A timeframe is a whole number of seconds, minutes, hours, days, weeks or calendar months. Bars are named by
their first millisecond, UTC. Fixed lengths are counted from 1970-01-01 00:00, weeks from Monday 1970-01-05,
months from January 1970; so `1w` starts on Mondays and `3M` in January, April, July and October.

Bars that begin elsewhere say where: `1h@30m` are hours from half past, as those of New York's session from
9:30, `1w@Sun` weeks from Sunday.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

import polars as pl

from mdstore.core.timeframe_names import WORDS, spelled
from mdstore.errors import Hint, TimeframeError, TimestampError

__all__ = ["DAYS", "Timeframe", "as_timeframe", "meant", "of_anchor"]

SECOND, MINUTE, HOUR, DAY, WEEK = 1_000, 60_000, 3_600_000, 86_400_000, 604_800_000
UNIT_MS = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": WEEK}
# 60m and 1h are the same bars; one name each, so that they are the same series. Weeks and months start
# elsewhere than days do, so nothing folds into them.
FOLDS = (("s", 60, "m"), ("m", 60, "h"), ("h", 24, "d"))
FIRST_MONDAY = 4 * DAY
EPOCH_YEAR = 1970
MONTHS = 12
# No exchange makes a bar longer than this, and every bar start must stay a year that datetime can hold.
LONGEST_MS = 400 * 366 * DAY
GRAMMAR = re.compile(r"([1-9][0-9]{0,8})([smhdwM])")
# How far bars begin behind those of the plain grid: 30m, or of weeks the day.
BEHIND = re.compile(r"([1-9][0-9]{0,8})([smhd])")
DAYS = "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"
LETTERS = 3
# What other tools write, for the hint in the error.
ALIASES = {"min": "m", "t": "m", "sec": "s", "hour": "h", "day": "d", "week": "w", "month": "M", "mo": "M"}


@dataclass(frozen=True, slots=True)
class Timeframe:
    """A bar length: `count` times `unit`, the unit one of s, m, h, d, w, M.

    `behind` is how far (ms) its bars begin behind those of the plain grid.

    >>> Timeframe.parse("60m")
    Timeframe('1h')
    >>> Timeframe.parse("1h").floor(1_700_000_123_456)
    1699999200000
    """

    count: int
    unit: str = ""
    behind: int = 0
    _name: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse what no text was read for; keep the name, which every read asks for."""
        if self.unit not in UNIT_MS and self.unit != "M":
            given: object = self.count
            raise TimeframeError(
                f"Timeframe({given!r}, {self.unit!r}) is no bar length",
                hint=Hint(
                    f"Timeframe.parse({given!r}) reads a text", "give a timeframe such as 1m, 4h or 1d"
                ),
            )
        object.__setattr__(self, "_name", f"{self.count}{self.unit}{self._where}")

    @classmethod
    def parse(cls, text: str | Timeframe) -> Timeframe:
        """Read a timeframe such as `1m`, `4h`, `1M` or `1h@30m`; equal bars get one name (`60m` is `1h`).

        What other tools write is read as well: `60min`, `1H`, `1D`, `M15`, `daily`. Raises `TimeframeError`,
        with a hint where the text looks like a timeframe.
        """
        if isinstance(text, Timeframe):
            return text
        if not isinstance(text, str):
            raise TimeframeError(f"a timeframe is a text such as '1m', not {text!r} ({type(text).__name__})")
        return _parse(text)

    @classmethod
    def is_name(cls, text: str) -> bool:
        """Tell whether a text is the one name of a timeframe: `1h` is, `60m` and `daily` are not."""
        try:
            return str(cls.parse(text)) == text
        except TimeframeError:
            return False

    @property
    def ms(self) -> int | None:
        """The bar's length in milliseconds; None for months, which differ."""
        return None if self.unit == "M" else self.count * UNIT_MS[self.unit]

    @property
    def shortest_ms(self) -> int:
        """The length of the shortest bar in milliseconds; a bound on how many bars a span can hold."""
        return self.count * 28 * DAY if self.ms is None else self.ms

    @property
    def longest_ms(self) -> int:
        """The length of the longest bar in milliseconds."""
        return self.count * 31 * DAY if self.ms is None else self.ms

    def floor(self, timestamp: int) -> int:
        """Return the start of the bar that holds `timestamp` (both milliseconds since 1970, UTC).

        Raises `TimestampError` for months, where the time is in no year from 1 to 9999; so does `next`.
        """
        if self.ms is None:
            months = _month_number(timestamp)
            return _month_start(months - months % self.count)
        return timestamp - (timestamp - self._anchor) % self.ms

    def next(self, timestamp: int) -> int:
        """Return the start of the first bar after the one that holds `timestamp`."""
        if self.ms is None:
            months = _month_number(timestamp)
            return _month_start(months - months % self.count + self.count)
        return self.floor(timestamp) + self.ms

    def span(self, start: int, end: int) -> int:
        """Count the bars that start in `[start, end)` (milliseconds since 1970, UTC)."""
        if end <= start:
            return 0
        if self.ms is None:
            return self._bars_before(end) - self._bars_before(start)
        return (end - 1 - self._anchor) // self.ms - (start - 1 - self._anchor) // self.ms

    def runs(self, starts: Sequence[int]) -> list[tuple[int, int]]:
        """Return the ranges `[start, end)` of bars that lie one behind the other; their starts ascend.

        >>> Timeframe.parse("1s").runs([0, 1_000, 3_000])
        [(0, 2000), (3000, 4000)]
        """
        if self.ms is not None and starts and starts[-1] - starts[0] == self.ms * (len(starts) - 1):
            return [(starts[0], starts[-1] + self.ms)]  # as most are: 0.4 us a bar less
        ranges: list[tuple[int, int]] = []
        for start in starts:
            if ranges and ranges[-1][1] == start:
                ranges[-1] = (ranges[-1][0], self.next(start))
            else:
                ranges.append((start, self.next(start)))
        return ranges

    def holds(self, part: Timeframe) -> bool:
        """Tell whether every bar is made of whole bars of `part`: 1h of 5m, 1M of 1d, but not 1M of 1w."""
        if part.ms is None:
            return self.ms is None and self.count % part.count == 0
        if self.ms is None:  # a month may start on any day of the week
            return DAY % part.ms == 0 and part.behind == 0
        return self.ms % part.ms == 0 and (self._anchor - part._anchor) % part.ms == 0

    def floor_expr(self, column: pl.Expr) -> pl.Expr:
        """Return `floor` over a column of Int64 milliseconds, as a Polars expression."""
        if self.ms is None:
            date = column.cast(pl.Datetime("ms"))
            months = (date.dt.year().cast(pl.Int64) - EPOCH_YEAR) * MONTHS + date.dt.month() - 1
            first = months - months % self.count
            year = first.floordiv(MONTHS) + EPOCH_YEAR
            return pl.datetime(year, first % MONTHS + 1, 1, time_unit="ms").cast(pl.Int64)
        return column - (column - self._anchor) % self.ms

    def off_grid(self, times: pl.Series) -> pl.Series:
        """Tell which of some Int64 milliseconds are not the start of a bar."""
        if self.ms is None:
            return times != times.to_frame().select(self.floor_expr(pl.first())).to_series()
        return (times - self._anchor) % self.ms != 0  # no query, which takes as long as 200,000 rows

    def __str__(self) -> str:
        return self._name

    def __repr__(self) -> str:
        return f"Timeframe('{self}')"

    @property
    def _anchor(self) -> int:
        return (FIRST_MONDAY if self.unit == "w" else 0) + self.behind

    @property
    def _where(self) -> str:
        if not self.behind:
            return ""
        if self.ms == WEEK and self.unit == "w":
            return f"@{DAYS[self.behind // DAY][:LETTERS]}"
        unit = next((unit for unit in "dhms" if self.behind % UNIT_MS[unit] == 0), "ms")
        return f"@{self.behind // UNIT_MS.get(unit, 1)}{unit}"

    def _bars_before(self, timestamp: int) -> int:
        """Count bars that start in [1970, timestamp), for months; negative before 1970."""
        months = _month_number(timestamp - 1)
        return months // self.count + 1


@lru_cache(maxsize=1024)
def _parse(text: str) -> Timeframe:
    length, at, where = text.partition("@")
    match = GRAMMAR.fullmatch(length)
    if match is None:
        other = WORDS.get(length.lower()) or spelled(length)
        if other is not None:
            return _parse(f"{other}{at}{where}")
        raise TimeframeError(
            f"{text!r} is no timeframe: write a whole number and one of s, m, h, d, w, M, such as '15m' or "
            "'1d' (m is minutes, M is months)",
            hint=_meant(text),
        )
    count, unit = int(match[1]), match[2]
    for small, size, large in FOLDS:
        if unit == small and count % size == 0:
            count, unit = count // size, large
    frame = Timeframe(count, unit)
    if frame.shortest_ms > LONGEST_MS:
        raise TimeframeError(f"{text!r} is too long for a timeframe: the longest is 400 years")
    return _moved(frame, where, text) if at else frame


def _moved(plain: Timeframe, where: str, text: str) -> Timeframe:
    """Return the bars of a length that begin elsewhere than the plain ones."""
    behind = _behind(plain, where)
    if behind is None or plain.ms is None or behind >= plain.ms:
        raise TimeframeError(
            f"{text!r} is no timeframe: behind @ stands how far its bars begin behind those of {plain}, less "
            "than a bar: '1h@30m'; of weeks the day: '1w@Sun'",
            hint="months begin on their first" if plain.ms is None else None,
        )
    return of_anchor(plain, plain._anchor + behind)


def _behind(plain: Timeframe, where: str) -> int | None:
    if plain.unit == "w" and plain.count == 1:
        day = next(
            (at for at, day in enumerate(DAYS) if where.lower() in (day[:3].lower(), day.lower())), None
        )
        return None if day is None else day * DAY
    match = BEHIND.fullmatch(where)
    return int(match[1]) * UNIT_MS[match[2]] if match else None


def of_anchor(plain: Timeframe, moment: int) -> Timeframe:
    """Return the bars as long as the plain ones of which one begins at a moment (ms).

    >>> of_anchor(Timeframe.parse("1h"), 34_200_000), of_anchor(Timeframe.parse("1w"), 0)
    (Timeframe('1h@30m'), Timeframe('7d'))
    """
    if plain.ms is None:
        raise TimeframeError(f"{plain} bars begin on the first of a month")
    if plain.ms == WEEK:  # 7d are weeks from Thursday, as 1970 began
        by_day = moment % DAY == 0 and moment % WEEK != 0
        plain = Timeframe(1, "w") if by_day else Timeframe(WEEK // DAY, "d")
    plain = Timeframe(plain.count, plain.unit)
    return Timeframe(plain.count, plain.unit, (moment - plain._anchor) % (plain.ms or 1))


def as_timeframe(word: str) -> str | None:
    """Read a timeframe as exchanges and other programs write it; None where it is none.

    >>> as_timeframe("60m"), as_timeframe("minute60"), as_timeframe("15min"), as_timeframe("60")
    ('1h', '1h', '15m', None)
    >>> as_timeframe("H4"), as_timeframe("MN1"), as_timeframe("1D")
    ('4h', '1M', '1d')
    """
    ours = spelled(word)
    return None if ours is None else str(Timeframe.parse(ours))


def meant(value: object) -> str | None:
    """Return the one name of a timeframe, however it is written; None where it is none.

    >>> meant("60m"), meant("M5"), meant("daily"), meant("soon")
    ('1h', '5m', '1d', None)
    """
    try:
        return str(Timeframe.parse(value))  # type: ignore[arg-type]  # parse refuses others
    except TimeframeError:
        return as_timeframe(value.strip()) if isinstance(value, str) else None


def _meant(text: str) -> str | None:
    """Return a hint at the timeframe that may be meant: 15min, minute60, 60."""
    match = re.fullmatch(r"\s*([0-9]*)\s*([A-Za-z]+?)s?\s*", text)
    if match is not None:
        unit = ALIASES.get(match[2].lower(), match[2] if match[2] == "M" else match[2].lower())
        guess = f"{match[1] or 1}{unit}"
        if GRAMMAR.fullmatch(guess):
            return f"did you mean '{guess}'?"
    minutes = f"{text}m" if text.isdigit() else None
    meant = as_timeframe(minutes or text)
    if meant is None:
        return None
    named = f"{minutes} (minutes), which is {meant}" if minutes not in (None, meant) else meant
    return f"did you mean {named}?"


def _month_number(timestamp: int) -> int:
    """Count months since January 1970; `timestamp` in milliseconds."""
    try:
        date = datetime.fromtimestamp(timestamp // 1000, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise TimestampError(
            f"{timestamp} ms is in no year from 1 to 9999: if another program stored it, in which unit?"
        ) from error
    return (date.year - EPOCH_YEAR) * MONTHS + date.month - 1


def _month_start(months: int) -> int:
    year, month = divmod(months, MONTHS)
    return int(datetime(year + EPOCH_YEAR, month + 1, 1, tzinfo=UTC).timestamp()) * 1000
