"""How a store does: one tree of figures, of its file and of what this process does with it."""

from __future__ import annotations

import os
import shutil
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from mdstore.optimization.alarms import RULES, Rule, alarms
from mdstore.optimization.fragmentation import MEASURED, FragmentationMonitor
from mdstore.optimization.freezing import FROZEN, THAWED
from mdstore.optimization.indexes import APPLIED, REINDEXED
from mdstore.optimization.ownership import Owner, repository_of, upkeep_of
from mdstore.optimization.statistics import ANALYZED
from mdstore.optimization.vacuum import GIVEN_BACK, REBUILT, VACUUMED

__all__ = ["HitRates", "PerformanceMonitor"]

KINDS: Final[Mapping[str, str]] = {
    "vacuum": VACUUMED, "rebuild": REBUILT, "given_back": GIVEN_BACK, "analyze": ANALYZED,
    "measured": MEASURED, "index": APPLIED, "reindex": REINDEXED,
    "freeze": FROZEN, "thaw": THAWED,
}  # fmt: skip
"""What upkeep leaves records of, by the names of the tree."""
LOG: Final = ("wal_bytes", "wal_pinned_since")
PACKS: Final = (
    "cells", "sealed_rows", "loose_rows", "packs", "pack_bytes", "dead_pack_bytes", "packs_set_aside",
    "pack_trouble",
)  # fmt: skip
MEMORY: Final = "memory_"
WINDOW: Final = 1_000
WINDOWS: Final = 20
MONTH: Final = 30
LEAST_DAYS: Final = 1.0
"""Measures of less than a day say nothing of what a day brings."""


class HitRates:
    """The share of reads that memory answered, of the latest thousand or more and of those before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hits = self._misses = 0
        self._rates: deque[float] = deque(maxlen=WINDOWS)

    def look(self, hits: int, misses: int) -> dict[str, float | None]:
        """Take counts since the beginning; return the recent rate, the usual one and how far it has dropped.

        The usual one is the best of the last twenty stretches. Each is None before there is enough to say it.
        """
        with self._lock:
            more, asked = hits - self._hits, hits - self._hits + misses - self._misses
            if asked >= WINDOW:
                self._rates.append(more / asked)
                self._hits, self._misses = hits, misses
            recent = self._rates[-1] if self._rates else None
            before = list(self._rates)[:-1]
        usual = max(before, default=None)
        drop = None if recent is None or usual is None else usual - recent
        return {"recent_hit_rate": recent, "usual_hit_rate": usual, "hit_rate_drop": drop}


class PerformanceMonitor:
    """Looks at a store: its file, log, packs and memory, how long calls take, growth, upkeep, alarms."""

    def __init__(self, owner: Owner) -> None:
        self._repository = repository_of(owner)
        self._upkeep = upkeep_of(owner)
        self._monitor = FragmentationMonitor(owner)
        self._rates = HitRates()

    def stats(self, more: Mapping[str, Any] | None = None, rules: Iterable[Rule] = RULES) -> dict[str, Any]:
        """Return the tree; `more` are branches that others know of. A millisecond or two."""
        flat = self._repository.stats()
        tree: dict[str, Any] = {
            "file": self._file(flat),
            "log": self._log(flat),
            "packs": {name: flat[name] for name in PACKS},
            "memory": self._memory(flat),
            "latencies": self._repository.latencies.stats(),
        }
        tree["growth"] = self._growth(tree["file"]["disk_free_bytes"])
        tree["maintenance"] = {name: self._upkeep.last(kind) for name, kind in KINDS.items()}
        tree["at_work"] = self._repository.leases.held()
        for name, branch in (more or {}).items():
            tree[name] = {**tree.get(name, {}), **branch}
        tree["alarms"] = alarms(tree, rules)
        return tree

    def _file(self, flat: Mapping[str, Any]) -> dict[str, Any]:
        pages = self._upkeep.pages()
        free: int | None = None
        with suppress(OSError):
            free = shutil.disk_usage(self._upkeep.path.parent).free
        return {
            "path": str(self._upkeep.path),
            **{name: flat[name] for name in flat if not _is_elsewhere(name)},
            "pages": pages.count,
            "free_pages": pages.free,
            "fragmentation": self._monitor.check_fragmentation_ratio(),
            "in_order": self._in_order(),
            "disk_free_bytes": free,
        }

    def _in_order(self) -> float | None:
        """Return the share of leaves in order as it was measured, if nothing put them in order since."""
        measured = self._upkeep.last(MEASURED)
        since = [record["at"] for record in map(self._upkeep.last, (VACUUMED, REBUILT)) if record]
        if measured is None or "candles" not in measured or max(since, default=0) >= measured["at"]:
            return None
        return float(measured["candles"])

    def _log(self, flat: Mapping[str, Any]) -> dict[str, Any]:
        found = self._upkeep.users()
        return {
            **{name: flat[name] for name in LOG},
            "wal_limit_bytes": self._upkeep.log_limit(),
            "reading": [str(user) for user in found.reading] if found.known else None,
            "open_by": [str(user) for user in found.open_by] if found.known else None,
        }

    def _memory(self, flat: Mapping[str, Any]) -> dict[str, Any]:
        tier = {name.removeprefix(MEMORY): flat[name] for name in flat if name.startswith(MEMORY)}
        rates = self._rates.look(int(tier["hits"]), int(tier["misses"]))
        return {**tier, **rates, "parts": self._repository.memory(), "pid": os.getpid()}

    def _growth(self, free: int | None) -> dict[str, Any]:
        trend = self._monitor.trend()
        known = trend.days >= LEAST_DAYS
        a_day = trend.bytes_per_day if known else None
        full = None if not a_day or a_day <= 0 or free is None else free / a_day
        return {
            "bytes_per_day": a_day,
            "bytes_in_30_days": trend.forecast(MONTH) if known else None,
            "days_until_full": full,
            "measures": trend.measures,
            "days": trend.days,
        }


def _is_elsewhere(name: str) -> bool:
    """Tell whether a flat figure is in another branch than that of the file."""
    return name in LOG or name in PACKS or name.startswith(MEMORY)
