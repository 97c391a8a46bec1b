"""Every cache, for the suite that runs over all, and two clocks that stand still until they are told."""

import mdstore.cache as caches

MILLION = 1_000_000
# A row for each: how to make one of so many bytes, in a folder, by clocks.
CACHES = {
    "memory": lambda folder, limit, **options: caches.MemoryCache(limit, **options),
    "compressed": lambda folder, limit, **options: caches.CompressedCache(limit, **options),
    "all compressed": lambda folder, limit, **options: caches.CompressedCache(
        limit, large_bytes=0, **options
    ),
    "cold only": lambda folder, limit, **options: caches.CompressedCache(
        limit, ready_bytes=0, large_bytes=0, **options
    ),
    "disk": caches.DiskCache,
}


class Clock:
    """The time of day and the timer, in seconds; `pass_` moves both, `set` only the time of day."""

    def __init__(self, now=1_700_000_000.0):
        self.now, self.age = now, 5_000.0

    def pass_(self, seconds):
        self.now += seconds
        self.age += seconds

    def set(self, seconds):
        self.now += seconds

    @property
    def options(self):
        return {"clock": lambda: self.now, "timer": lambda: self.age}
