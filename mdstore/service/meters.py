"""How often, how long, how much: counters of each tier, cheap enough for every call."""

from __future__ import annotations

import threading
from collections import defaultdict

from mdstore.core.logs import logger

__all__ = ["Meter", "Meters"]

log = logger("service")

BUCKETS = 48
STEPS = 4
"""Each doubling of a time has so many buckets: a percentile is right to a fifth."""
SHARES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))


class Meter:
    """Counts calls, hits, rows and bytes, and keeps a histogram of microseconds."""

    __slots__ = ("bytes", "calls", "hits", "rows", "times", "total_us")

    def __init__(self) -> None:
        self.calls = self.hits = self.rows = self.bytes = 0
        self.total_us = 0.0
        self.times = [0] * (BUCKETS * STEPS)

    def add(self, microseconds: float, *, hit: bool = True, rows: int = 0, size: int = 0) -> None:
        """Count one call."""
        self.calls += 1
        self.hits += hit
        self.rows += rows
        self.bytes += size
        self.total_us += microseconds
        self.times[_bucket(microseconds)] += 1

    def stats(self) -> dict[str, int | float]:
        """Return the counts, and percentiles in milliseconds."""
        return {
            "calls": self.calls, "hits": self.hits, "misses": self.calls - self.hits,
            "rows": self.rows, "bytes": self.bytes,
            **{f"{name}_ms": self._percentile(share) / 1000 for name, share in SHARES},
        }  # fmt: skip

    def _percentile(self, share: float) -> float:
        wanted, seen = share * self.calls, 0
        for place, count in enumerate(self.times):
            seen += count
            if seen and seen >= wanted:
                return _middle(place)
        return 0.0


class Meters:
    """Meters by name."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._meters: defaultdict[str, Meter] = defaultdict(Meter)

    def add(self, name: str, microseconds: float, *, hit: bool = True, rows: int = 0, size: int = 0) -> None:
        """Count one call of a name."""
        with self._lock:
            self._meters[name].add(microseconds, hit=hit, rows=rows, size=size)

    def failed(self, name: str, error: BaseException) -> None:
        """Say what somebody else's code has failed at; the next tier is asked then."""
        log.warning("%s failed: %s: %s", name, type(error).__name__, error)

    def stats(self) -> dict[str, dict[str, int | float]]:
        """Return what each name has counted."""
        with self._lock:
            return {name: meter.stats() for name, meter in sorted(self._meters.items())}


def _bucket(microseconds: float) -> int:
    """Return the bucket of a time: by its highest bit, and the two below that."""
    number = int(microseconds * STEPS) or 1
    high = number.bit_length() - 3
    place = number if high <= 0 else high * STEPS + (number >> high)
    return min(place, BUCKETS * STEPS - 1)


def _middle(place: int) -> float:
    high = max(0, place // STEPS - 1)
    low = place if high == 0 else (place - high * STEPS) << high
    return (low + (1 << high) / 2) / STEPS
