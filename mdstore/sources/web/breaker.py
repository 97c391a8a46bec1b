"""A host that fails again and again is left alone for a while, rather than asked by each series in turn."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Breaker"]


@dataclass(slots=True)
class Breaker:
    """Opens after `most` failures in a row, for `seconds`; the next failure opens it for twice as long.

    What was under way when it opened counts no more: it belongs to the same trouble.
    """

    most: int = 12
    seconds: float = 30.0
    longest: float = 600.0
    clock: Callable[[], float] = time.monotonic
    failures: int = 0
    reason: str = ""
    _opened: int = field(default=0, init=False)
    _closes: float = field(default=0.0, init=False)
    _is_shut: bool = field(default=False, init=False)
    _has_worked: bool = field(default=False, init=False)

    @property
    def left(self) -> float:
        """How many seconds nothing is asked; 0 if something may be."""
        return max(self._closes - self.clock(), 0.0) if self.failures >= self.most else 0.0

    @property
    def rests(self) -> float:
        """How many seconds are worth waiting for; 0 for a host that never answered, or refuses who asks."""
        return self.left if self._has_worked and not self._is_shut else 0.0

    @property
    def why(self) -> str:
        """Why nothing is asked: what the host does, in words."""
        return self.reason if self._is_shut else f"has failed {self.failures} times in a row ({self.reason})"

    def failed(self, reason: str) -> None:
        """Count a failure."""
        if self.left > 0:
            return
        self.failures += 1
        self.reason, self._is_shut = reason, False
        if self.failures >= self.most:
            self._closes = self.clock() + min(self.seconds * float(2**self._opened), self.longest)
            self._opened += 1

    def shut(self, reason: str, seconds: float | None = None) -> None:
        """Open at once: the host refuses whoever asks, for so many seconds if it has said so."""
        if self.left == 0:
            self.failures = self.most - 1
            self.failed(reason)
            self._is_shut = True
        if seconds is not None:
            self._closes = max(self._closes, self.clock() + seconds)

    def worked(self) -> None:
        """Begin to count anew."""
        self.failures = self._opened = 0
        self._has_worked = True
