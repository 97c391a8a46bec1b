"""Answers in memory: bounded in bytes, the least recently used leaving first, and those that are too old."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cachetools import Cache, LRUCache

from mdstore.cache.ages import NEVER, Clocks, End
from mdstore.cache.data_cache import Key, Part

__all__ = ["Books", "Entries", "Entry", "no_more"]

# What an entry takes besides its table and the texts of its key; measured as COLUMN_BYTES is.
ENTRY_BYTES = 2_000
# How many that are too old leave in one call. (TLRUCache of cachetools lets all of them leave in the first
# call that comes: after a quiet hour, tens of thousands at once.)
SWEPT = 8
# How many ends of entries that are gone the heap may hold beside those that are there.
SPARE = 64


@dataclass(slots=True, eq=False)
class Entry:
    """An answer, when it is too old, and the bytes it takes."""

    key: Key
    value: Any
    end: End
    bytes: int
    form: str = ""
    """What is packed in `value`; empty if it is the table itself."""


@dataclass(slots=True)
class Books:
    """What has happened: every get is a hit or a miss."""

    hits: int = 0
    misses: int = 0
    expired: int = 0
    evicted: int = 0
    failed: int = 0

    def stats(self, *, entries: int, size: int, limit: int) -> dict[str, int | float]:
        """Return them beside what there is."""
        asked = self.hits + self.misses
        return {
            "hits": self.hits,
            "misses": self.misses,
            "hit_rate": self.hits / asked if asked else 0.0,
            "entries": entries,
            "bytes": size,
            "limit": limit,
            "expired": self.expired,
            "evicted": self.evicted,
            "failed": self.failed,
        }


def no_more(_: Entry) -> None:
    """Do nothing about an entry that leaves."""


class Entries(LRUCache[str, Entry]):
    """Entries by the query of their key; `evicted` and `expired` hear of those that leave by themselves."""

    def __init__(
        self,
        limit: int,
        clocks: Clocks,
        evicted: Callable[[Entry], None] = no_more,
        expired: Callable[[Entry], None] = no_more,
    ) -> None:
        super().__init__(limit, getsizeof=lambda entry: entry.bytes)
        self._clocks = clocks
        self._evicted, self._expired = evicted, expired
        self._ends: list[tuple[float, str]] = []
        self._of: defaultdict[str | None, set[str]] = defaultdict(set)  # by symbol; None: those of all

    def find(self, key: Key) -> Entry | None:
        """Return the entry of this query and version, unless it is too old; then it leaves."""
        entry = self.get(key.query)
        if entry is None or entry.key.version != key.version:
            return None
        if self._clocks.is_over(entry.end):
            del self[key.query]
            self._expired(entry)
            return None
        return entry

    def keep(self, entry: Entry) -> bool:
        """Take an entry in place of the query's older one; tell whether it fits."""
        self.drop(entry.key.query)
        fits = entry.bytes <= self.maxsize
        if fits:
            self[entry.key.query] = entry
        return fits

    def drop(self, query: str) -> bool:
        """Forget a query; tell whether it was there."""
        return self.pop(query, None) is not None

    def sweep(self) -> None:
        """Let the next few that are too old leave."""
        if len(self._ends) > 2 * len(self) + SPARE:
            self._ends = [end for end in self._ends if self._is_current(*end)]
            heapq.heapify(self._ends)
        now = self._clocks.timer()
        for _ in range(SWEPT):
            if not self._ends or self._ends[0][0] > now:
                return
            end = heapq.heappop(self._ends)
            if self._is_current(*end):
                self._expired(self.pop(end[1]))

    def touched(self, part: Part) -> list[str]:
        """Return the queries whose answers may hold something of a part of the data."""
        named = (self._of.get(symbol, set[str]()) for symbol in {part.symbol, None})
        some = self if part.symbol is None else set[str]().union(*named)
        return [query for query in some if Cache.__getitem__(self, query).key.touches(part)]

    def holds(self, entry: Entry) -> bool:
        """Tell whether it is this very entry that is there."""
        return entry.key.query in self and Cache.__getitem__(self, entry.key.query) is entry

    def popitem(self) -> tuple[str, Entry]:
        """Evict the least recently used."""
        query, entry = super().popitem()
        self._evicted(entry)
        return query, entry

    def clear(self) -> None:
        """Forget all."""
        super().clear()
        self._ends.clear()
        self._of.clear()

    def __setitem__(self, query: str, entry: Entry) -> None:
        super().__setitem__(query, entry)
        if entry.end is not NEVER:
            heapq.heappush(self._ends, (entry.end.timer, query))
        for symbol in _symbols(entry.key):
            self._of[symbol].add(query)

    def __delitem__(self, query: str) -> None:
        key = Cache.__getitem__(self, query).key  # LRUCache would take it for a use
        super().__delitem__(query)
        for symbol in _symbols(key):
            self._of[symbol].discard(query)
            if not self._of[symbol]:
                del self._of[symbol]

    def _is_current(self, end: float, query: str) -> bool:
        return query in self and Cache.__getitem__(self, query).end.timer == end


def _symbols(key: Key) -> tuple[str | None, ...]:
    return (None,) if key.symbols is None else key.symbols
