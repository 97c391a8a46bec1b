"""Files under names of ours in one folder, of up to so many bytes over all processes that write there.

`ENTRY` files are answers; their modification time is when they are too old (0: never), their access time when
they were last used, so that a listing says what has to go. A `PARTIAL` file is being written by whoever has
the lock; to whoever gets the lock next it is one of the dead.

Under the lock, `BOOKS` says how many bytes there are: more than there are, where a process died or files
were removed, and never less. When it says that the folder is full, the files are counted.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from mdstore.cache.entry_files import at_once

__all__ = ["NONE", "Folder", "Left"]

BOOKS = "mdstore-cache.books"
ENTRY, PARTIAL = ".entry", ".partial"
OURS = re.compile(rf"[0-9a-f]{{32}}({re.escape(ENTRY)}|{re.escape(PARTIAL)})")
BLOCK = 4_096  # a file takes whole ones
# A put waits so long for that of another process, then it keeps nothing: a stopped process stops no other.
LOCK_SECONDS, LOCK_PAUSE = 0.25, 0.001
# When the folder is full, this part of it is emptied, so that not every put has to count the files.
SPARE = 1 / 10
# How many files each call looks at, whether they are too old.
LOOKED_AT = 4
MS_NS = 1_000_000
DIGITS = 20
PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600


class Left(NamedTuple):
    """How many files have left by themselves: too old, or the least recently used."""

    expired: int = 0
    evicted: int = 0


NONE = Left()


class Folder:
    """The files. Every method but `note_use` may raise `OSError`.

    `now` tells the time of day in ms.
    """

    def __init__(self, path: Path, limit: int, now: Callable[[], int]) -> None:
        self.path = path
        self._limit = limit
        self._now = now
        self._to_look_at: list[str] = []

    def open(self) -> Left:
        """Remove what is too old, what the dead have left, and what is too much."""
        with self._locked() as books:
            total, left = self._with_room(0)
            _write_down(books, total)
        return left

    def entry(self, name: str) -> str:
        """Return the path of a file."""
        return f"{self.path}/{name}{ENTRY}"

    def read(self, name: str) -> bytes | None:
        """Return the bytes of a file, None if there is none."""
        try:
            with open(self.entry(name), "rb", buffering=0, opener=at_once) as file:
                return file.read()
        except FileNotFoundError:
            return None

    def note_use(self, name: str) -> None:
        """Say that a file was of use, unless it is gone."""
        path = self.entry(name)
        with suppress(OSError):
            os.utime(path, ns=(self._now() * MS_NS, os.stat(path).st_mtime_ns))

    def write(self, name: str, pieces: Sequence[Any], ends: int | None) -> Left:
        """Put a file in place of an older one, at once and whole; the least recently used make room."""
        size = _taken(sum(len(piece) for piece in pieces))
        left = NONE
        with self._locked() as books:
            total = _read_down(books)
            if total is None or total + size > self._limit:
                total, left = self._with_room(size)
            _write_down(books, total + size)
            older = self._put(name, pieces, ends)
            _write_down(books, total + size - older)
        return left

    def remove(self, name: str) -> bool:
        """Remove a file; tell whether it was there."""
        try:
            os.unlink(self.entry(name))
        except FileNotFoundError:
            return False
        return True

    def names(self) -> list[str]:
        """Return the names of all answers."""
        return [file.removesuffix(ENTRY) for file in self._files() if file.endswith(ENTRY)]

    def size(self) -> tuple[int, int]:
        """Return how many answers there are, and the bytes of all our files."""
        sizes = {file: _taken(found.st_size) for file, found in self._found()}
        return sum(file.endswith(ENTRY) for file in sizes), sum(sizes.values())

    def look(self, *, again: bool) -> int:
        """Look at the next few files; remove those that are too old, and return how many.

        `again` is whether to begin anew after the last.
        """
        if again and not self._to_look_at:
            self._to_look_at = self.names()
        some, self._to_look_at = self._to_look_at[:LOOKED_AT], self._to_look_at[LOOKED_AT:]
        return sum(self._is_over(name) and self.remove(name) for name in some)

    # ----

    def _files(self) -> list[str]:
        try:
            return [file for file in os.listdir(self.path) if OURS.fullmatch(file)]
        except FileNotFoundError:
            return []

    def _found(self) -> Iterator[tuple[str, os.stat_result]]:
        for file in self._files():
            with suppress(FileNotFoundError):
                yield file, os.lstat(self.path / file)

    def _is_over(self, name: str) -> bool:
        try:
            return _is_past(os.lstat(self.entry(name)), self._now())
        except FileNotFoundError:
            return False

    def _with_room(self, size: int) -> tuple[int, Left]:
        """Count the files, and make room for one more where there is none. Under the lock."""
        total = expired = evicted = 0
        kept: list[tuple[int, int, str]] = []
        now = self._now()
        for file, found in self._found():
            taken = _taken(found.st_size)
            is_over = _is_past(found, now)
            if (is_over or file.endswith(PARTIAL)) and self._is_removed(file):
                expired += is_over and file.endswith(ENTRY)
            else:
                kept.append((found.st_atime_ns, taken, file))
                total += taken
        if total + size > self._limit:
            most = max(self._limit - size - int(self._limit * SPARE), 0)
            for _, taken, file in sorted(kept):
                if total <= most:
                    break
                if self._is_removed(file):
                    total -= taken
                    evicted += 1
        if total + size > self._limit:
            raise OSError(f"{self.path} is full of files that cannot be removed")
        return total, Left(expired, evicted)

    def _is_removed(self, file: str) -> bool:
        try:
            os.unlink(self.path / file)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    def _put(self, name: str, pieces: Sequence[Any], ends: int | None) -> int:
        """Write under another name, then rename; return the bytes of the file that was there."""
        partial, entry = f"{self.path}/{name}{PARTIAL}", self.entry(name)
        with suppress(FileNotFoundError):
            os.unlink(partial)
        try:
            with open(partial, "xb", buffering=0, opener=_private) as file:
                for piece in pieces:
                    _write_all(file.fileno(), piece)
                os.utime(file.fileno(), ns=(self._now() * MS_NS, 0 if ends is None else ends * MS_NS))
            older = self._size(entry)
            # ext4 writes out what is renamed over another file: 500 us a put, where this takes 100. A reader
            # may miss in between.
            with suppress(FileNotFoundError):
                os.unlink(entry)
            os.rename(partial, entry)
        except BaseException:
            with suppress(OSError):
                os.unlink(partial)
            raise
        return older

    @staticmethod
    def _size(path: str) -> int:
        try:
            return _taken(os.lstat(path).st_size)
        except FileNotFoundError:
            return 0

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """Hold the lock of the folder, made if it is not there; yield the descriptor of its books."""
        self.path.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        books = os.open(self.path / BOOKS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
        try:
            _lock(books)
            try:
                yield books
            finally:
                # Said, not left to close: a child forked meanwhile has the descriptor, and the lock with it.
                fcntl.flock(books, fcntl.LOCK_UN)
        finally:
            os.close(books)


def _lock(books: int) -> None:
    for _ in range(int(LOCK_SECONDS / LOCK_PAUSE)):
        with suppress(BlockingIOError):
            return fcntl.flock(books, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(LOCK_PAUSE)
    return fcntl.flock(books, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, PRIVATE_FILE)


def _write_all(to: int, piece: Any) -> None:
    rest = memoryview(piece)
    while rest:
        rest = rest[os.write(to, rest) :]


def _taken(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _is_past(found: os.stat_result, now: int) -> bool:
    return 0 < found.st_mtime_ns <= now * MS_NS


def _write_down(books: int, total: int) -> None:
    os.pwrite(books, b"%*d" % (DIGITS, total), 0)


def _read_down(books: int) -> int | None:
    """Return what the books say; None if they say nothing."""
    said = os.pread(books, DIGITS, 0)
    return int(said) if said.strip().isdigit() and len(said) == DIGITS else None
