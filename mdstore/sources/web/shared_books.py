"""What the processes of this machine have asked a host for lately: a small file under a lock.

Containers have files of their own, and users of a machine, too: behind one address they do not know of each
other. What the exchange says remains tells each what the others ask (`window.others`).

The file lies in the user's folder for such things (`XDG_RUNTIME_DIR`, else the folder for temporary files).
It is opened anew each time, 30 us in all: a fork shares no lock with its parent so, and a file that was
cleared away is made again. The lock goes with the process that holds it, and the file is written by one call:
a process that is killed leaves neither locked nor half-written books.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import stat
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from mdstore.errors import SourceError
from mdstore.sources.web.window import Sent, Window

__all__ = ["Books", "SharedBooks"]

HEAD: Final = struct.Struct("<8sddQ")  # what it is, when a ban was noted and when it ends, how many entries
ENTRY: Final = struct.Struct("<8sQddd")  # group, number, sent, freed, cost
MAGIC: Final = b"mdpace01"
MOST: Final = 100_000
LONGEST_BAN: Final = 7 * 86_400.0


@dataclass(slots=True)
class Books:
    """What is known of one host: the requests by group, and a ban, in seconds since 1970."""

    windows: dict[str, Window] = field(default_factory=dict)
    noted: float = 0.0
    banned_until: float = 0.0

    def window(self, group: str) -> Window:
        """Return the requests of a group."""
        return self.windows.setdefault(_key(group), Window())

    def ban(self, wall: float) -> float:
        """Return how many seconds a ban lasts yet. One from a clock that was put back since is none."""
        is_sound = self.noted <= wall and self.banned_until - self.noted <= LONGEST_BAN
        return max(self.banned_until - wall, 0.0) if is_sound else 0.0


class SharedBooks:
    """The books of one host, shared by all processes of the user."""

    def __init__(self, host: str, folder: Path | None = None) -> None:
        name = f"{re.sub('[^a-z0-9.-]+', '-', host.lower())[:60]}-{_digest(host).hex()}"
        self.path = (folder or _folder()) / f"{name}.pace"

    @contextmanager
    def open(self) -> Iterator[Books | None]:
        """Give the books, to be written back at the end; None while another holds them, which is not long."""
        try:
            number = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise _unusable(self.path, error) from error
        try:
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
                return
            books = _read(number)
            yield books
            os.pwrite(number, _written(books), 0)
        finally:
            os.close(number)


def _read(number: int) -> Books:
    """Return the books of a file; empty ones where it holds no such."""
    data = os.pread(number, os.fstat(number).st_size, 0)
    if len(data) < HEAD.size:
        return Books()
    magic, noted, until, entries = HEAD.unpack_from(data)
    if magic != MAGIC or entries > MOST or len(data) < HEAD.size + entries * ENTRY.size:
        return Books()
    books = Books(noted=noted, banned_until=until)
    for group, entry, sent, freed, cost in ENTRY.iter_unpack(
        data[HEAD.size : HEAD.size + entries * ENTRY.size]
    ):
        books.windows.setdefault(group.hex(), Window()).entries.append(Sent(entry, sent, cost, freed))
    return books


def _written(books: Books) -> bytes:
    rows = [
        ENTRY.pack(bytes.fromhex(key), one.number, one.sent, one.freed, one.cost)
        for key, window in books.windows.items()
        for one in window.entries
    ]
    return HEAD.pack(MAGIC, books.noted, books.banned_until, len(rows)) + b"".join(rows)


def _key(group: str) -> str:
    return _digest(group).hex()


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


def _folder() -> Path:
    """Return the folder of the user's books, which nobody else may write to."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    choices = [Path(runtime) / "mdstore"] if runtime else []
    choices.append(Path(tempfile.gettempdir()) / f"mdstore-{os.getuid()}")
    for folder in choices:
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            found = folder.lstat()
        except OSError:
            continue
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and os.access(folder, os.W_OK):
            return folder
    raise _unusable(choices[-1], None)


def _unusable(path: Path, error: OSError | None) -> SourceError:
    return SourceError(
        f"{path}: how often an exchange was asked cannot be noted there, so that no process asks too often"
        + (f" ({error.strerror})" if error else ""),
        hint="set TMPDIR to a folder of your own that can be written to",
    )
