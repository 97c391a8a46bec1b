"""When an answer is too old: by the time of day, and by a clock that nobody sets."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["NEVER", "Clocks", "End"]

MS = 1_000
# The year 2255: later times have no nanoseconds in 64 bits, in which files keep them.
FAR = 9_000_000_000_000


class End(NamedTuple):
    """The time of day (ms since 1970) and the reading of the timer (seconds) from which it is too old."""

    wall: float
    timer: float


NEVER = End(math.inf, math.inf)


class Clocks:
    """The time of day, by which bars and sessions end, and the timer, by which things age.

    An answer is too old when either says so. A clock that is set back cannot make it live for ever, since the
    timer goes on; and the sleep of a laptop, which the timer does not count, is seen by the clock.
    """

    def __init__(
        self, clock: Callable[[], float] = time.time, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self.timer = timer

    def now(self) -> int:
        """Return the time of day, ms since 1970."""
        return int(self._clock() * MS)

    def end(self, at: float | None) -> End:
        """Return when that is which comes at a time of day (ms), None being never."""
        return NEVER if at is None or at >= FAR else End(at, self.timer() + (at - self.now()) / MS)

    def is_over(self, end: End) -> bool:
        """Tell whether it has come."""
        return end is not NEVER and (end.timer <= self.timer() or end.wall <= self.now())
