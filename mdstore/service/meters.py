"""How often, how long, how much: counters of each tier, cheap enough for every call."""

from __future__ import annotations

import threading
from collections import defaultdict

from mdstore.core.latencies import Latencies, percentiles_ms
from mdstore.core.logs import logger

__all__ = ["Meter", "Meters"]

log = logger("service")


class Meter:
    """Counts calls, hits, rows and bytes, and keeps a histogram of times."""

    __slots__ = ("bytes", "calls", "hits", "rows", "times")

    def __init__(self) -> None:
        self.calls = self.hits = self.rows = self.bytes = 0
        self.times = Latencies()

    def add(self, microseconds: float, *, hit: bool = True, rows: int = 0, size: int = 0) -> None:
        """Count one call."""
        self.calls += 1
        self.hits += hit
        self.rows += rows
        self.bytes += size
        self.times.add(microseconds / 1e6)

    def stats(self) -> dict[str, int | float]:
        """Return the counts, and percentiles in milliseconds."""
        return {
            "calls": self.calls, "hits": self.hits, "misses": self.calls - self.hits,
            "rows": self.rows, "bytes": self.bytes,
            **percentiles_ms(self.times),
        }  # fmt: skip


class Meters:
    """Meters by name."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._meters: defaultdict[str, Meter] = defaultdict(Meter)

    def add(self, name: str, microseconds: float, *, hit: bool = True, rows: int = 0, size: int = 0) -> None:
        """Count one call of a name."""
        with self._lock:
            self._meters[name].add(microseconds, hit=hit, rows=rows, size=size)

    def missed(self, name: str) -> None:
        """Count that a name was asked and had nothing; the time that took is in that of the next one."""
        with self._lock:
            self._meters[name].calls += 1

    def failed(self, name: str, error: BaseException) -> None:
        """Say what somebody else's code has failed at; the next tier is asked then."""
        log.warning("%s failed: %s: %s", name, type(error).__name__, error)

    def stats(self) -> dict[str, dict[str, int | float]]:
        """Return what each name has counted."""
        with self._lock:
            return {name: meter.stats() for name, meter in sorted(self._meters.items())}
