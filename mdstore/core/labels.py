"""What a time may mean that starts none of a timeframe's bars: every reading, and where it puts the bar.

A Sunday is the first day of a week at MetaTrader and the last at pandas. 15:00 UTC is a time within a day, or
midnight in Seoul, which is the next day's date. None is guessed: an error names the readings, what says each,
and where the bar of the user's own row would be.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import polars as pl

from mdstore.core.timeframe import DAY, DAYS, SECOND, Timeframe, of_anchor
from mdstore.core.timestamps import TimeStyle, column_to_ms, ms_to_datetime, wall_clock
from mdstore.errors import Hint, TimestampError

__all__ = ["Reading", "as_hint", "of_labels"]

# Zones whose midnights people have in UTC, as 15:00 or 18:30, and whose clocks at 00:00 UTC, as 09:00.
LIKELY = (
    "Asia/Seoul", "Asia/Shanghai", "Asia/Kolkata", "America/New_York", "America/Chicago", "Europe/London",
    "Europe/Berlin", "Europe/Athens", "Europe/Moscow", "Australia/Sydney", "America/Sao_Paulo",
    "America/Los_Angeles",
)  # fmt: skip
FRIDAY, SUNDAY = 5, 7
UNITS = {"w": "week", "M": "month"}
UTC_NAMES = ("Z", "UTC", "GMT")


class Reading(NamedTuple):
    """One meaning: when it holds, what says so in each tongue, and where (ms) it puts the bar."""

    when: str
    python: str
    cli: str
    start: int


def of_labels(bar: Timeframe, times: Sequence[int], shown: str | None = None) -> list[Reading]:
    """Return what the first of some times (ms, UTC) may mean, none of which starts a bar.

    The others tell which zone's midnights they are, and whether they are as regular as bars. `shown` is the
    first as it was given.
    """
    if bar.shortest_ms < DAY:
        return _of_clocks(bar, times)
    if times[0] % DAY:
        return _of_days(bar, times, shown)
    last = "lies within its bar" if bar.unit == "d" else f"is the last day of its {UNITS[bar.unit]}"
    first = [] if bar.ms is None else [_begins(bar, times[0], "where it is the first day of its bar")]
    return [*first, _floored(bar, times[0], f"where it {last}")]


def as_hint(bar: Timeframe, time: int, readings: Sequence[Reading]) -> Hint:
    """Return the readings of a time as one hint."""
    python, cli = (
        "; ".join(f"{one.when}, {said} stores it under {_text(one.start)}" for one, said in pairs)
        for pairs in (
            [(one, one.python) for one in readings],
            [(one, one.cli) for one in readings],
        )
    )
    what = _misfit(bar, time)
    return Hint(f"{what}: {python}", f"{what}: {cli}")


def _of_clocks(bar: Timeframe, times: Sequence[int]) -> list[Reading]:
    """Return the readings of times of day: bars that begin elsewhere, or times within their bars."""
    phases = {(time - bar.floor(time)) for time in times}
    found = []
    if len(phases) == 1 and times[0] % SECOND == 0:
        found.append(_begins(bar, times[0], "where bars begin there"))
    return [*found, _floored(bar, times[0], "where it lies within its bar, or ends it")]


def _of_days(bar: Timeframe, times: Sequence[int], shown: str | None) -> list[Reading]:
    """Return the readings of a time of day that a bar of days, weeks or months bears."""
    found = []
    own, naive = _shown(times[0], shown)
    if own == times[0] and (zone := _zone_of_midnights(times)) is not None:
        date = _clock(times, zone)[0]
        named = f"where it is midnight in {zone}{_evidence(times)}"
        if bar.floor(date) == date:
            found.append(Reading(named, f"align={zone!r}", f"--align {zone}", date))
    if naive and own == times[0] and (zone := _zone_at_midnight(times)) is not None:
        start = column_to_ms(_naive(times[:1]), TimeStyle(tz=zone))[0][0]
        if bar.floor(start) == start:
            when = f"where it is the clock of {zone} at 00:00 UTC"
            found.append(Reading(when, f"tz={zone!r}", f"--tz {zone}", start))
    return [*found, _floored(bar, own, "where its date as written counts")]


def _begins(bar: Timeframe, time: int, when: str) -> Reading:
    name = of_anchor(bar, time)
    return Reading(when, f"timeframe={str(name)!r}", f"-t {name}", time)


def _floored(bar: Timeframe, time: int, when: str) -> Reading:
    return Reading(when, "align='floor'", f"-t {bar} --align floor", bar.floor(time))


def _shown(time: int, shown: str | None) -> tuple[int, bool]:
    """Return what a time's own clock shows (ms), and whether it bears no zone."""
    text = pl.Series([shown], dtype=pl.String)
    try:
        read, style = column_to_ms(text)[0][0], TimeStyle()
    except TimestampError:
        return time, False
    wall = wall_clock(text, style)
    if wall is not None and wall[0] is not None:
        return int(wall[0]), False
    given = (shown or "0").strip().upper()
    bears_none = not given.replace(".", "").isdigit() and not given.endswith(UTC_NAMES)
    if not bears_none or read is None:
        return time, False
    return int(read), True


def _zone_of_midnights(times: Sequence[int]) -> str | None:
    """Return a likely zone in which times are midnights, the first among them and most of the others."""
    return next((zone for zone in LIKELY if _mostly([at % DAY == 0 for at in _clock(times, zone)])), None)


def _zone_at_midnight(times: Sequence[int]) -> str | None:
    """Return a likely zone whose clocks show these times at 00:00 UTC."""
    for zone in LIKELY:
        read = column_to_ms(_naive(times), TimeStyle(tz=zone))[0]
        if _mostly([at is not None and at % DAY == 0 for at in read]):
            return zone
    return None


def _mostly(are: Sequence[bool]) -> bool:
    return are[0] and 2 * sum(are) > len(are)


def _naive(times: Sequence[int]) -> pl.Series:
    return pl.Series(times, dtype=pl.Int64).cast(pl.Datetime("ms"))


def _clock(times: Sequence[int], zone: str) -> list[int]:
    """Return what a zone's clocks show at times."""
    moments = pl.Series(times, dtype=pl.Int64).cast(pl.Datetime("ms", "UTC"))
    return moments.dt.convert_time_zone(zone).dt.replace_time_zone(None).to_physical().to_list()


def _evidence(times: Sequence[int]) -> str:
    """Say whether the days of the week tell that dates are those of the day after."""
    days = {ms_to_datetime(time).isoweekday() for time in times}
    told = SUNDAY in days and FRIDAY not in days
    return " (rows on Sundays and none on a Friday say so)" if told else ""


def _misfit(bar: Timeframe, time: int) -> str:
    if bar.shortest_ms < DAY or bar.behind:
        return f"no {bar} bar begins at {_text(time)}"
    bears = {"M": "the first of their month", "w": "their Monday"}
    first = bears.get(bar.unit, "their first date, at 00:00 UTC")
    weekday = f", a {DAYS[ms_to_datetime(time).weekday()]}" if bar.unit == "w" else ""
    return f"{bar} bars bear {first}, and this is {_text(time)}{weekday}"


def _text(time: int) -> str:
    moment: datetime = ms_to_datetime(time)
    if time % DAY == 0:
        return f"{moment:%Y-%m-%d}"
    return f"{moment:%Y-%m-%d %H:%M}" + (f":{moment:%S}" if moment.second else "") + "Z"
