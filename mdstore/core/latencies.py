"""How long things take, as histograms of a bounded size: percentiles to five parts in a hundred."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from time import perf_counter

__all__ = ["Latencies", "LatencyTable", "percentiles_ms"]

BASE = 1.1
STEP = math.log(BASE)
LEAST = 1e-7
"""Seconds below which all is one."""
BUCKETS = 290
"""Up to a day."""
SHOWN = (50, 95, 99)


class Latencies:
    """Counts by buckets, each a tenth longer than the one before; from a tenth of a microsecond on.

    Threads share it without a lock: CPython goes from one thread to another at calls and jumps back, and
    between reading a count and writing it there is neither.
    """

    __slots__ = ("buckets", "total")

    def __init__(self) -> None:
        self.buckets = [0] * BUCKETS
        self.total = 0.0

    def add(self, seconds: float, times: int = 1) -> None:
        """Count one, or so many that are alike; a fifth of a microsecond."""
        bucket = int(math.log(seconds / LEAST) / STEP) if seconds > LEAST else 0
        try:
            self.buckets[bucket] += times
        except IndexError:
            self.buckets[-1] += times
        self.total += seconds * times

    @property
    def count(self) -> int:
        """How many were counted."""
        return sum(self.buckets)

    def percentile(self, percent: float) -> float:
        """Return the seconds within which so many percent were done, never more than all took; 0 of none."""
        wanted, seen = self.count * percent / 100, 0
        for bucket, count in enumerate(self.buckets):
            seen += count
            if seen and seen >= wanted:
                return min(LEAST * math.exp(STEP * (bucket + 0.5)), self.total)
        return 0.0

    def within(self, bounds: Iterable[float]) -> Iterator[int]:
        """Yield for each of ascending times in seconds how many were done within it."""
        seen = at = 0
        for bound in bounds:
            end = min(BUCKETS, round(math.log(bound / LEAST) / STEP))
            seen, at = seen + sum(self.buckets[at:end]), max(at, end)
            yield seen


class LatencyTable:
    """Latencies by what was done and by which tiers did it."""

    def __init__(self) -> None:
        self._of: dict[tuple[str, tuple[str, ...]], Latencies] = {}

    def add(self, operation: str, tiers: tuple[str, ...], began: float) -> None:
        """Count what began at a time of `time.perf_counter`, and has ended now; half a microsecond."""
        seconds, key = perf_counter() - began, (operation, tiers)
        found = self._of.get(key)
        if found is None:
            found = self._of.setdefault(key, Latencies())
        found.add(seconds)

    def items(self) -> list[tuple[str, str, Latencies]]:
        """Return operation, tiers ("packs+sqlite") and latencies, sorted by both names."""
        named = [(operation, "+".join(tiers), found) for (operation, tiers), found in list(self._of.items())]
        return sorted(named, key=lambda row: row[:2])

    def stats(self) -> dict[str, dict[str, dict[str, int | float]]]:
        """Return count, seconds in all and percentiles in ms, by operation and tiers."""
        found: dict[str, dict[str, dict[str, int | float]]] = {}
        for operation, tiers, one in self.items():
            figures = {"count": one.count, "total_s": one.total, **percentiles_ms(one)}
            found.setdefault(operation, {})[tiers] = figures
        return found


def percentiles_ms(latencies: Latencies) -> dict[str, float]:
    """Return the median and the others that are shown, in milliseconds, by names such as `p50_ms`."""
    return {f"p{percent}_ms": latencies.percentile(percent) * 1000 for percent in SHOWN}
