"""Bars whose rows break a rule are asked for again, after a while that grows each time.

A sync that goes on every minute had asked for the page of such a bar every minute, and got the same row. It
is known for as long as that goes on: whoever calls it anew asks for them at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from mdstore.core.timeframe import MINUTE
from mdstore.sources.sync.sync_place import Key, Range

__all__ = ["BadBars"]

FIRST_MS: Final = MINUTE
LONGEST_MS: Final = 64 * MINUTE
KEPT: Final = 10_000
"""So many bars of a series are remembered; of more, those that came first are asked for at once."""


@dataclass(slots=True)
class _Series:
    """How often each bar came wrong, and when it is asked for again (ms)."""

    failures: dict[int, int] = field(default_factory=dict)
    again: dict[int, int] = field(default_factory=dict)


class BadBars:
    """Which bars have come with a row that breaks a rule, by source and series; `now` gives the time (ms)."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now, self._lock = now, threading.Lock()
        self._series: dict[tuple[str, Key], _Series] = {}

    def came(self, source: str, key: Key, part: Range, bad: Iterable[int]) -> None:
        """Take note that a range came, and which bars of it were bad; the others are right by now."""
        with self._lock:
            known = self._series.setdefault((source, key), _Series())
            before = {at: count for at, count in known.failures.items() if part[0] <= at < part[1]}
            for at in before:
                del known.failures[at], known.again[at]
            for at in sorted(bad):
                count = known.failures[at] = before.get(at, 0) + 1
                known.again[at] = self._now() + min(FIRST_MS << min(count - 1, 30), LONGEST_MS)
            while len(known.failures) > KEPT:
                first = next(iter(known.failures))
                del known.failures[first], known.again[first]
            if not known.failures:
                del self._series[source, key]

    def left_alone(self, source: str, key: Key) -> list[int]:
        """Return the bars of a series (ms) that are not asked for yet."""
        now = self._now()
        with self._lock:
            known = self._series.get((source, key))
            return [] if known is None else sorted(at for at, until in known.again.items() if now < until)
