"""Clocks that are apart: an exchange's counts; where they are far apart, what has ended cannot be told."""

from __future__ import annotations

from typing import Final

from mdstore.core.time_bounds import FAR_MS
from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import ms_to_datetime
from mdstore.errors import ClockError, Hint

__all__ = ["OFF_MS", "ahead", "apart", "refuse_far"]

OFF_MS: Final = 30_000
"""By so much a clock is off: half of what live rows may be ahead of it. A clock that is set is off by less
than a second, and what an exchange shows is of the second before, and takes its time to come."""
SET: Final = "set this machine's clock, if that is the one that is wrong"


def ahead(source: str, clock: int, now: int) -> ClockError | None:
    """Return what is wrong where this machine's clock is off by the source's (both ms); None if it is not.

    None, too, where they are far apart: see `apart`.
    """
    off = now - clock
    if not OFF_MS < abs(off) <= FAR_MS:
        return None
    seconds = round(abs(off) / 1000)
    long = f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds} s"  # noqa: PLR2004 - two minutes
    where = "ahead of" if off > 0 else "behind"
    return ClockError(f"the clock of this machine is {long} {where} that of {source}, which counts", hint=SET)


def apart(source: str, clock: int, now: int, *, until: int | None = None) -> ClockError | None:
    """Return the error of two clocks that are far apart (ms), the source's and this machine's; None if not.

    `until` is up to when both agree that bars have ended: that much can be asked for.
    """
    if abs(clock - now) <= FAR_MS:
        return None
    shown = (ms_to_datetime(one).replace(microsecond=0) for one in (clock, now))
    told = "the clock of {} shows {}, and that of this machine {}: what has ended cannot be told"
    text = None if until is None else f"{ms_to_datetime(until):%Y-%m-%dT%H:%M:%SZ}"
    hint = SET if text is None else Hint(f"{SET}, or give until={text!r}", f"{SET}, or give --until {text}")
    return ClockError(told.format(source, *shown), hint=hint)


def refuse_far(source: str, clock: int | None, now: int, timeframe: Timeframe, end: int) -> None:
    """Raise `ClockError` where bars were asked for up to a time (ms) at which two clocks are not both.

    Where the source's is behind, it has no such bars; where it is ahead, there are more than were asked for.
    """
    if clock is None or end <= (until := timeframe.floor(min(clock, now) - FAR_MS)):
        return
    if (error := apart(source, clock, now, until=until)) is not None:
        raise error
