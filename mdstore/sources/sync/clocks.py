"""Clocks that are far apart: then what has ended, and what is missing, can be told by neither."""

from __future__ import annotations

from typing import Final

from mdstore.core.time_bounds import FAR_MS
from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import ms_to_datetime
from mdstore.errors import ClockError, Hint

__all__ = ["apart", "refuse_far"]

SET: Final = "set this machine's clock, if that is the one that is wrong"


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
