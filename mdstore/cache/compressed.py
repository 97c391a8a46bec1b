"""Large answers that have cooled are kept compressed: the same bytes hold two to three times as many."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from mdstore.cache.ages import End
from mdstore.cache.data_cache import Key, check_bytes
from mdstore.cache.entries import Entries, Entry
from mdstore.cache.frames import ARROW, form_of, own, packed, size_of, unpacked
from mdstore.cache.memory import MemoryCache, entry_of
from mdstore.cache.policies import Policy

__all__ = ["CompressedCache"]

# Below this an entry is not compressed: 1,000 candles are 48 KB, come back in 40 us, and compressed in 240.
LARGE_BYTES = 64 * 1024
# Part of the bytes for tables that are ready to be given out.
READY = 1 / 8


class CompressedCache(MemoryCache):
    """A `MemoryCache` in two areas: `ready_bytes` for large answers that are ready, the rest compressed.

    A large answer is compressed as it is put, where it takes a small part of what its making took, and lies
    in both areas: no read ever compresses anything, and what leaves the ready ones for lack of use is only
    dropped. One that has cooled comes back by being decompressed (50,000 candles in 2 ms), and is ready
    again. Answers below `large_bytes` lie among the compressed ones as they are.
    """

    def __init__(
        self,
        max_bytes: int,
        policies: Mapping[str, Policy] | None = None,
        *,
        ready_bytes: int | None = None,
        large_bytes: int = LARGE_BYTES,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        limit = check_bytes(max_bytes)
        ready = int(limit * READY) if ready_bytes is None else check_bytes(ready_bytes, "ready_bytes")
        self._ready_limit = min(ready, limit)
        self._large = check_bytes(large_bytes, "large_bytes")
        super().__init__(max_bytes, policies, clock=clock, timer=timer)

    def _laid_out(self) -> tuple[Entries, ...]:
        return self._area(self._ready_limit), self._area(self._limit - self._ready_limit)

    def _made(self, key: Key, value: Any, end: End) -> tuple[Entry | None, ...]:
        (ready,) = super()._made(key, value, end)
        if ready is None or ready.bytes < self._large:
            return None, ready
        data = packed(ready.value, compress=True)
        return ready, data and entry_of(key, data, end, data.size, form_of(value))

    def _given(self, entry: Entry) -> Any:
        if not entry.form:
            return own(entry.value)
        value = unpacked(entry.form, entry.value)
        if entry.form == ARROW:  # what was decompressed lies in buffers that anybody may write to
            value = unpacked(ARROW, packed(value))
        with self._lock:
            if self._areas[1].holds(entry):  # else it was forgotten meanwhile, or something newer was put
                self._areas[0].keep(entry_of(entry.key, value, entry.end, size_of(value)))
        return own(value)
