"""How long something takes, as a histogram of bounded size: percentiles to five parts in a hundred."""

from __future__ import annotations

import math

__all__ = ["Latencies"]

BASE = 1.1
STEP = math.log(BASE)
LEAST = 1e-7
"""Seconds below which all is one."""


class Latencies:
    """Counts by buckets, each a tenth longer than the one before; from a tenth of a microsecond on."""

    __slots__ = ("buckets", "count", "total")

    def __init__(self) -> None:
        self.buckets: dict[int, int] = {}
        self.count = 0
        self.total = 0.0

    def add(self, seconds: float, times: int = 1) -> None:
        """Count one, or so many that are alike; under a microsecond."""
        bucket = int(math.log(seconds / LEAST) / STEP) if seconds > LEAST else 0
        self.buckets[bucket] = self.buckets.get(bucket, 0) + times
        self.count += times
        self.total += seconds * times

    def percentile(self, percent: float) -> float:
        """Return the seconds within which so many percent were done; 0 of none."""
        wanted, seen = self.count * percent / 100, 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= wanted:
                return LEAST * math.exp(STEP * (bucket + 0.5))
        return 0.0
