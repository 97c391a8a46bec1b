"""Which realtime cache a store has in this process: made when it is asked for, and anew after a fork."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mdstore.errors import InvalidInputError, StoreClosedError

if TYPE_CHECKING:
    from mdstore.realtime.cache import RealtimeDataCache
    from mdstore.realtime.live_writer import Land

__all__ = ["Owner"]

NS = 1_000_000_000


class Owner:
    """Holds the cache of one store, whose closed candles go to `land`."""

    def __init__(self, given: RealtimeDataCache | None, land: Land, clock: Callable[[], float]) -> None:
        self._land = land
        self._clock = time.time_ns if clock is time.time else lambda: int(clock() * NS)
        self._process = os.getpid()
        self._locks: dict[int, threading.Lock] = {}
        self._cache = given
        self._is_closed = False
        if given is not None:
            if not hasattr(given, "live"):
                raise InvalidInputError(
                    f"realtime={given!r}: give a RealtimeDataCache, or None for one by default"
                )
            given.live.land_in(land)

    @property
    def cache(self) -> RealtimeDataCache:
        """The cache, made if there is none. Raises `StoreClosedError`."""
        if self._is_closed:
            raise StoreClosedError("the store is closed, and its realtime data with it")
        if self._cache is not None and self._process == os.getpid():
            return self._cache
        return self._made()

    def stats(self) -> dict[str, dict[str, Any]]:
        """Return the books of the cache by table; empty where there is none in this process."""
        is_there = self._cache is not None and self._process == os.getpid() and not self._is_closed
        return self._cache.stats() if is_there and self._cache is not None else {}

    def close(self) -> None:
        """Close the cache, if there is one and it is this process's."""
        self._is_closed = True
        if self._cache is not None and self._process == os.getpid():
            self._cache.close()

    def _made(self) -> RealtimeDataCache:
        # Imported when it is used, so that a first read does not wait for it.
        from mdstore.realtime.cache import RealtimeDataCache  # noqa: PLC0415

        process = os.getpid()
        # A lock for each process: that of the parent may be held for ever in a forked child.
        with self._locks.setdefault(process, threading.Lock()):
            if self._cache is not None and self._process == process:
                return self._cache
            # Forked: the threads that feed and store run in the parent only, so the rows stay with it.
            made = RealtimeDataCache(clock=self._clock) if self._cache is None else self._cache.fresh()
            made.live.land_in(self._land)
            self._cache = made
            self._process = process
            return made
