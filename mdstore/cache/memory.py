"""Answers in memory, bounded in bytes, the least recently used leaving first, as long as a policy says."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from mdstore.cache.ages import Clocks, End
from mdstore.cache.data_cache import Key, Part, check_bytes, check_ttl
from mdstore.cache.entries import ENTRY_BYTES, Books, Entries, Entry
from mdstore.cache.forks import begin_anew_after_fork
from mdstore.cache.frames import form_of, own, packed, rows_of, size_of, unpacked
from mdstore.cache.policies import Policies, Policy

__all__ = ["MemoryCache"]


class MemoryCache:
    """A `DataCache` in memory, of up to `max_bytes`; 0 keeps nothing. `policies` are rows over `POLICIES`.

    `clock` tells the time of day and `timer` the age of entries, both in seconds. Raises `InvalidInputError`.

    >>> import polars as pl
    >>> cache = MemoryCache(1_000_000)
    >>> cache.put(Key("sql", detail="SELECT 1"), pl.DataFrame({"1": [1]}))
    >>> cache.get(Key("sql", detail="SELECT 1")).item(), cache.get(Key("sql", detail="SELECT 2"))
    (1, None)
    """

    def __init__(
        self,
        max_bytes: int,
        policies: Mapping[str, Policy] | None = None,
        *,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = check_bytes(max_bytes)
        self._policies = Policies(policies)
        self._clocks = Clocks(clock, timer)
        self._is_closed = False
        self.begin()
        begin_anew_after_fork(self)

    def begin(self) -> None:
        """Be empty: in a forked child, for the parent's threads may have been at work, and hold the lock."""
        self._lock = threading.Lock()
        self._books = Books()
        self._areas = self._laid_out()

    def get(self, key: Key) -> Any:
        """Return the table that was put, the caller's own, or None."""
        with self._lock:
            self._sweep()
            # Asked in every area, since each has its own order of use.
            found = [area.find(key) for area in self._areas]
            entry = next(filter(None, found), None)
            if entry is None:
                self._books.misses += 1
                return None
            self._books.hits += 1
        return self._given(entry)

    def put(self, key: Key, value: Any, ttl: float | None = None) -> None:
        """Keep a copy, for `ttl` seconds or as long as the policy says."""
        check_ttl(ttl)
        form_of(value)
        end = self._policies.end(key, rows_of(value), ttl, self._clocks)
        made = self._made(key, value, end)
        with self._lock:
            if self._is_closed:
                return
            self._sweep()
            self._forget(key.query)
            if not any(made):
                self._books.failed += 1
            elif not self._clocks.is_over(end):
                for area, entry in zip(self._areas, made, strict=True):
                    if entry is not None:
                        area.keep(entry)

    def invalidate(
        self,
        symbol: str | None = None,
        timeframe: str | None = None,
        start: int | None = None,
        end: int | None = None,
    ) -> int:
        """Forget the answers that may hold bars of a series in `[start, end)` (ms); return how many."""
        part = Part.of(symbol, timeframe, start, end)
        with self._lock:
            queries = set[str]().union(*(area.touched(part) for area in self._areas))
            for query in queries:
                self._forget(query)
        return len(queries)

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            for area in self._areas:
                area.clear()

    def stats(self) -> dict[str, int | float]:
        """Return hits, misses, hit_rate, entries, bytes, limit, expired, evicted and failed."""
        with self._lock:
            entries = len(set[str]().union(*self._areas))
            size = sum(int(area.currsize) for area in self._areas)
            return self._books.stats(entries=entries, size=size, limit=self._limit)

    def close(self) -> None:
        """Forget all, and keep nothing more."""
        self._is_closed = True
        self.clear()

    # ---- what CompressedCache does otherwise

    def _laid_out(self) -> tuple[Entries, ...]:
        return (self._area(self._limit),)

    def _made(self, key: Key, value: Any, end: End) -> tuple[Entry | None, ...]:
        """Return what each area shall keep of it; a copy, since whoever put it may still write to it."""
        data = packed(value)
        if data is None:
            return (None,)
        copy = unpacked(form_of(value), data)
        return (entry_of(key, copy, end, size_of(copy)),)

    def _given(self, entry: Entry) -> Any:
        return own(entry.value)

    # ----

    def _area(self, limit: int) -> Entries:
        return Entries(limit, self._clocks, self._evicted, self._expired)

    def _sweep(self) -> None:
        for area in self._areas:
            area.sweep()

    def _forget(self, query: str) -> None:
        for area in self._areas:
            area.drop(query)

    def _evicted(self, entry: Entry) -> None:
        self._books.evicted += self._is_gone(entry)

    def _expired(self, entry: Entry) -> None:
        self._books.expired += self._is_gone(entry)

    def _is_gone(self, entry: Entry) -> bool:
        return not any(entry.key.query in area for area in self._areas)


def entry_of(key: Key, value: Any, end: End, size: int, form: str = "") -> Entry:
    """Return an entry, with the bytes of all it holds."""
    return Entry(key, value, end, size + len(key.query) + len(key.version) + ENTRY_BYTES, form)
