"""Answers in files: shared by processes, and still there after a restart."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from cachetools import LRUCache

from mdstore.cache.ages import NEVER, Clocks, End
from mdstore.cache.data_cache import Key, Part, check_bytes, check_ttl
from mdstore.cache.entries import Books
from mdstore.cache.entry_files import DamagedFileError, Stored, key_in, name_of, parts, stored
from mdstore.cache.folder import NONE, Folder, Left
from mdstore.cache.forks import begin_anew_after_fork
from mdstore.cache.frames import form_of, rows_of
from mdstore.cache.policies import Policies, Policy
from mdstore.errors import InvalidInputError

__all__ = ["DiskCache"]

# What is remembered of files that were seen, for as many of them: their ends by the timer, and their series.
REMEMBERED = 100_000
Answer = TypeVar("Answer")


class DiskCache:
    """A `DataCache` in a folder, one file an answer, of up to `max_bytes` over all processes that share it.

    For answers that take long to make, and not for candles, which lie in packs already. Only files under
    names of ours are touched in the folder, which is made if there is none. Whatever the disk refuses is a
    miss, and counted in `stats()["failed"]`. What a killed process had begun to write is never served, and
    does not stay. `clock` tells the time of day, by which processes agree on what is too old; in each of
    them the `timer` bounds it. Raises `InvalidInputError`.

    >>> import polars as pl
    >>> cache = DiskCache(folder / "results", 1_000_000)
    >>> cache.put(Key("sql", detail="SELECT 1"), pl.DataFrame({"1": [1]}))
    >>> DiskCache(folder / "results", 1_000_000).get(Key("sql", detail="SELECT 1")).item()
    1
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
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
        self._folder = Folder(_path(folder), self._limit, self._clocks.now)
        self.begin()
        begin_anew_after_fork(self)
        self._note(self._tried(self._folder.open, NONE))

    def begin(self) -> None:
        """Begin with empty books, in a forked child: the parent's threads may hold the lock."""
        self._lock = threading.Lock()
        self._books = Books()
        self._ends: LRUCache[str, tuple[bytes, End]] = LRUCache(REMEMBERED)
        self._keys: LRUCache[str, Key] = LRUCache(REMEMBERED)
        # Names that should be gone, and could not be removed: they are not served here.
        self._lost: set[str] = set()
        # What should be gone could not even be listed: nothing is served until all is removed.
        self._owes_clear = False

    def get(self, key: Key) -> Any:
        """Return the table that was put, here or in another process, or None."""
        table = self._read(key) if self._is_open() else None
        with self._lock:
            if table is None:
                self._books.misses += 1
            else:
                self._books.hits += 1
        self._look(again=False)
        return table

    def put(self, key: Key, value: Any, ttl: float | None = None) -> None:
        """Keep it, for `ttl` seconds or as long as the policy says."""
        check_ttl(ttl)
        form_of(value)
        if not self._is_open():
            return
        name, end = name_of(key), self._policies.end(key, rows_of(value), ttl, self._clocks)
        if not self._clocks.is_over(end) and self._written(name, key, value, end):
            with self._lock:
                self._keys[name] = key
                self._lost.discard(name)
        else:  # what was there before is no longer the answer
            self._remove(name)
        self._look(again=True)

    def invalidate(
        self,
        symbol: str | None = None,
        timeframe: str | None = None,
        start: int | None = None,
        end: int | None = None,
    ) -> int:
        """Forget the answers that may hold bars of a series in `[start, end)` (ms); return how many.

        The first time it reads the heads of all files that others have put.
        """
        part = Part.of(symbol, timeframe, start, end)
        return sum(self._touches(name, part) and self._remove(name) for name in self._names())

    def clear(self) -> None:
        """Forget all, for every process."""
        for name in self._names():
            self._remove(name)

    def stats(self) -> dict[str, int | float]:
        """Return entries and bytes of the folder, and the rest of what happened in this process."""
        entries, size = self._tried(self._folder.size, (0, 0))
        with self._lock:
            return self._books.stats(entries=entries, size=size, limit=self._limit)

    def close(self) -> None:
        """Keep and find nothing more; the files stay, for others and for next time."""
        self._is_closed = True

    # ----

    def _is_open(self) -> bool:
        if self._owes_clear and not self._is_closed:
            self._owes_clear = not self._is_cleared()
        return not (self._is_closed or self._owes_clear)

    def _is_cleared(self) -> bool:
        names = self._tried(self._folder.names, None)
        return names is not None and None not in [self._removed(name) for name in names]

    def _names(self) -> list[str]:
        names = self._tried(self._folder.names, None)
        self._owes_clear = self._owes_clear or names is None
        return names or []

    def _read(self, key: Key) -> Any:
        name = name_of(key)
        data = None if name in self._lost else self._tried(lambda: self._folder.read(name), None)
        if data is None:
            return None
        try:
            found = stored(data)
            if (found.query, found.version) != (key.query, key.version):
                return None
            table = found.table()
        except DamagedFileError:
            self._count_failed()
            self._remove(name)
            return None
        if self._is_over(name, found):
            self._note(Left(expired=self._remove(name)))
            return None
        self._folder.note_use(name)
        return table

    def _is_over(self, name: str, found: Stored) -> bool:
        """Tell whether it is too old: by the time of day, or by the timer since it was first seen here.

        A file that is made later than now shows that the clock was set back: nobody knows how old it is.
        """
        with self._lock:
            digest, end = self._ends.get(name, (b"", NEVER))
            if digest != found.digest:
                end = self._clocks.end(found.ends)
                self._ends[name] = (found.digest, end)
        return self._clocks.is_over(end) or (found.ends is not None and self._clocks.now() < found.made)

    def _touches(self, name: str, part: Part) -> bool:
        with self._lock:
            key = self._keys.get(name)
        if key is None:
            try:
                key = self._tried(lambda: key_in(self._folder.entry(name)), None)
            except DamagedFileError:
                key = None
            if key is None:
                return True  # nobody knows what it is of
            with self._lock:
                self._keys[name] = key
        return key.touches(part)

    def _written(self, name: str, key: Key, value: Any, end: End) -> bool:
        ends = None if end.wall == math.inf else int(end.wall)
        made = parts(key, value, made=self._clocks.now(), ends=ends)
        if made is None:
            self._count_failed()
            return False
        digest, pieces = made
        if sum(map(len, pieces)) > self._limit:
            return False
        left = self._tried(lambda: self._folder.write(name, pieces, ends), None)
        self._note(left or NONE)
        with self._lock:
            self._ends[name] = (digest, end)
        return left is not None

    def _remove(self, name: str) -> bool:
        """Remove a file; where that fails it is not served here any more."""
        removed = self._removed(name)
        if removed is None:
            with self._lock:
                self._lost.add(name)
                if len(self._lost) > REMEMBERED:  # a disk that refuses for days: too many names to remember
                    self._lost.clear()
                    self._owes_clear = True
        return removed is not False

    def _removed(self, name: str) -> bool | None:
        """Remove a file; tell whether it was there, None if nobody knows."""
        return self._tried(lambda: self._folder.remove(name), None)

    def _look(self, *, again: bool) -> None:
        self._note(Left(expired=self._tried(lambda: self._folder.look(again=again), 0)))

    def _tried(self, work: Callable[[], Answer], otherwise: Answer) -> Answer:
        """Do what the disk may refuse."""
        try:
            return work()
        except OSError:
            self._count_failed()
            return otherwise

    def _count_failed(self) -> None:
        with self._lock:
            self._books.failed += 1

    def _note(self, left: Left) -> None:
        if left != NONE:
            with self._lock:
                self._books.expired += left.expired
                self._books.evicted += left.evicted


def _path(folder: object) -> Path:
    if not isinstance(folder, str | os.PathLike) or "\0" in os.fspath(folder):
        raise InvalidInputError(f"folder={folder!r} is no path of a folder")
    return Path(folder)
