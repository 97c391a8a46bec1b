"""Work in steps that are so short that others get in between.

Another process that finds the file locked asks again after 1, 2, 5, 10, 15 and more milliseconds. So a step
takes a few milliseconds, and the pause after it three times as long: of 100 writes one has to ask four times.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from mdstore.errors import MaintenanceStoppedError

__all__ = ["Pace", "Stop", "never"]

Stop = Callable[[], bool]
"""Asked between steps whether to stop."""
STEP_SECONDS: Final = 0.005
REST: Final = 3.0
LONGEST_REST: Final = 0.05
LEAST, MOST = 0.25, 2.0
"""A step is at most so many times as large as the one before."""


def never() -> bool:
    """Stop never."""
    return False


class Pace:
    """How large the next step is, so that each takes about `STEP_SECONDS`.

    Never less than at first: where the disk is slow a step is mostly a wait for it, however small.
    """

    def __init__(self, size: int, *, most: int, stop: Stop = never, what: str) -> None:
        self.size = self._least = size
        self._most = most
        self._stop = stop
        self._what = what

    def take(self, step: Callable[[int], int]) -> int:
        """Take a step of the size that fits, rest, and return what it gives.

        Raises `MaintenanceStoppedError` before the step where it is to stop.
        """
        if self._stop():
            raise MaintenanceStoppedError(f"{self._what} was stopped; it can begin again at any time")
        began = time.perf_counter()
        done = step(self.size)
        took = time.perf_counter() - began
        ratio = min(MOST, max(LEAST, STEP_SECONDS / max(took, 1e-6)))
        self.size = min(self._most, max(self._least, int(self.size * ratio)))
        time.sleep(min(took, LONGEST_REST) * REST)
        return done
