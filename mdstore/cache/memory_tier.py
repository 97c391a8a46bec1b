"""The store's own memory: values that know themselves whether they are current, bounded in bytes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, Protocol

from cachetools import LRUCache

__all__ = ["MemoryTier", "Sized"]


class Sized(Protocol):
    """What can be kept: it says how many bytes of memory it holds."""

    @property
    def bytes(self) -> int:
        """The bytes of memory it holds; what it shares with a mapped file is not among them."""


class MemoryTier:
    """Values by key, up to `limit` bytes in all; 0 keeps nothing. Threads may share it.

    >>> tier = MemoryTier(0)
    >>> tier.get("KRW-BTC") is None, tier.stats()["entries"]
    (True, 0)
    """

    def __init__(self, limit: int) -> None:
        self._values: LRUCache[Hashable, Any] = LRUCache(limit, getsizeof=lambda value: int(value.bytes))
        self._lock = threading.Lock()
        self._hits = self._misses = 0

    @property
    def limit(self) -> int:
        """The bytes that it holds at most."""
        return int(self._values.maxsize)

    def get(self, key: Hashable) -> Any:
        """Return the value, or None; whether it was of use, the caller says by `hit` or `miss`."""
        with self._lock:
            try:
                return self._values[key]  # by `get` it is looked for twice
            except KeyError:
                return None

    def hit(self) -> None:
        """Count an answer out of memory."""
        self._hits += 1

    def miss(self) -> None:
        """Count an answer that had to be assembled: it was not there, or no longer current."""
        self._misses += 1

    def put(self, key: Hashable, value: Sized) -> None:
        """Keep a value in place of an older one; one that is larger than the whole tier is not kept."""
        with self._lock:
            self._values.pop(key, None)
            if value.bytes <= self._values.maxsize:
                self._values[key] = value

    def prune(self, is_of_use: Callable[[Any], bool]) -> None:
        """Forget the values that are of no more use."""
        with self._lock:
            for key in [key for key, value in self._values.items() if not is_of_use(value)]:
                del self._values[key]

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._values.clear()

    def after_fork(self) -> None:
        """Go on in a forked child, whose parent's threads may have held the lock."""
        self._lock = threading.Lock()

    def stats(self) -> dict[str, int | float]:
        """Return hits, misses, their rate, entries, bytes and the limit."""
        with self._lock:
            hits, misses = self._hits, self._misses
            return {
                "hits": hits,
                "misses": misses,
                "hit_rate": hits / (hits + misses) if hits + misses else 0.0,
                "entries": len(self._values),
                "bytes": int(self._values.currsize),
                "limit": int(self._values.maxsize),
            }
