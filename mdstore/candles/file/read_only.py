"""A file that is only read: nothing of it is changed, and nothing is made beside it.

SQLite keeps a log beside the file and the log's index beside that, and makes both where they are not there,
also for a connection that only reads. So each read looks first how the file lies there:

- Without a log nobody has it open: all of it is in the file, which is read as `immutable`, without locks.
  Another may open and change it meanwhile; each read therefore compares the file's size and times with those
  before, takes a new connection where they differ, and is refused where they change while it reads.
- With a log it is read through that and its index, by SQLite's locks, beside whoever writes: read-only
  connections can (https://www.sqlite.org/wal.html#read_only_databases), if both are there and may be read.

One that is `immutable` is without locks, and leaves those of others alone when it is closed: SQLite keeps its
descriptor for as long as any connection of the process has locks (seen in /proc/locks, SQLite 3.54).
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import apsw

from mdstore.candles.file.readers import Readers
from mdstore.errors import Hint, ReadOnlyError, StoreBusyError, StoreFileError

__all__ = ["ASKED", "ReadOnlyReaders", "old_version", "refused", "why_unwritable"]

Inode = tuple[int, int]

WHOLE = "file:{path}?immutable=1"
READ_ONLY = apsw.SQLITE_OPEN_READONLY
# A file that changes again within a tick of the kernel's clock (100 Hz at least) keeps its time of change.
TICK_NS = 50_000_000
ASKED = "it was opened so"
ASKED_HINT = Hint("open it without read_only=True", "leave --read-only out")
UNWRITABLE_HINT = Hint(
    "get permission to write to the file and its folder, or write to a copy: "
    "store.maintenance.backup('copy.sqlite3') makes one",
    "get permission to write to the file and its folder, or write to a copy: `mdstore backup COPY` makes one",
)
OLD_HINT = Hint(
    "open it once without read_only=True, or open a copy of it that can be written",
    "use it once without --read-only, or use a copy of it that can be written",
)
OLD_UNWRITABLE_HINT = "copy the file (cp) to where it can be written, and open the copy"
LOG_HINT = Hint(
    "open it once without read_only=True where it can be written, which takes the log into the file",
    "use it once without --read-only where it can be written, which takes the log into the file",
)


def why_unwritable(path: Path) -> str | None:
    """Return why a file that is there cannot be written by this process; None where it can, or is not there.

    SQLite keeps its log beside the file, so the folder must be writable, too.
    """
    if not os.path.exists(path):  # Path.exists raises where it may not look
        return None
    with suppress(OSError, AttributeError):
        if os.statvfs(path).f_flag & os.ST_RDONLY:
            return "it lies on a file system that is mounted for reading only"
    if not _may(path, os.W_OK):
        return "this user may not write to the file"
    if not _may(path.parent, os.W_OK | os.X_OK):
        return f"this user may not write to its folder {path.parent}, where SQLite keeps the log"
    return None


def refused(path: Path, why: str) -> ReadOnlyError:
    """Return the error of what would write to a file that is only read."""
    hint = ASKED_HINT if why == ASKED else UNWRITABLE_HINT
    return ReadOnlyError(f"{path} is open for reading only: {why}. Nothing was written", hint=hint)


def old_version(path: Path, version: int, newest: int, why: str) -> ReadOnlyError:
    """Return the error of a file that would have to be changed before it can be read."""
    found = f"schema version {version}" if version else "no schema version yet"
    hint = OLD_HINT if why == ASKED else OLD_UNWRITABLE_HINT
    return ReadOnlyError(
        f"{path} has {found}; it is read once it is brought to version {newest}, which writes to it, and it "
        f"is open for reading only: {why}. The file was not changed",
        hint=hint,
    )


class State(NamedTuple):
    """How a file lies there: `whole` is without a log; the rest tells it from what it was before."""

    whole: bool
    inode: Inode
    size: int
    changed: int
    touched: int


class _Connection(apsw.Connection):
    """A connection that reads only, and the state of the file that it was opened for.

    `settled` is whether the file cannot have changed since without a sign of it.
    """

    state: State
    settled: bool


class ReadOnlyReaders(Readers):
    """The connections that read one file which is not written to."""

    def take(self) -> apsw.Connection:
        """Return one that reads the file as it lies there now. Raises `StoreFileError` and its kinds."""
        now = _state(self.path)
        while self._idle:
            with suppress(IndexError):
                con = self._idle.pop()
                assert isinstance(con, _Connection)  # noqa: S101 - no other is made here; for mypy
                if con.state == now if now.whole else not con.state.whole:
                    return con
                self.drop(con)
        return self._connected(now)

    def give_back(self, con: apsw.Connection) -> None:
        """Take one back, unless the file may yet change without a sign of it."""
        if isinstance(con, _Connection) and con.state.whole and not con.settled:
            self.drop(con)
        else:
            self._idle.append(con)

    def refuse_changed(self, con: apsw.Connection) -> None:
        """Raise `StoreBusyError` where the file has changed since, under a connection without locks."""
        if isinstance(con, _Connection) and con.state.whole:
            now = _state(self.path)
            if now[1:] != con.state[1:]:
                raise StoreBusyError(
                    f"{self.path}: another process has begun to write to it while it was read",
                    hint="read it again",
                )

    def connected(self) -> apsw.Connection:
        """Return a new one."""
        return self._connected(_state(self.path))

    def _connected(self, now: State) -> apsw.Connection:
        if now.whole:
            name = WHOLE.format(path=quote(os.fspath(self.path)))
            return self._made(name, READ_ONLY | apsw.SQLITE_OPEN_URI, now)
        _refuse_hidden_log(self.path)
        return self._made(os.fspath(self.path), READ_ONLY, now)

    def _made(self, name: str, flags: int, now: State) -> apsw.Connection:
        con = _Connection(name, flags=flags)
        con.state, con.settled = now, not 0 <= time.time_ns() - now.changed <= TICK_NS
        return self.prepared(con)


def _state(path: Path) -> State:
    try:
        status = os.stat(path)
    except OSError as error:
        raise StoreFileError(f"{path} cannot be read: {error.strerror or error}") from error
    sizes = {end: _size(f"{path}{end}") for end in ("-wal", "-shm", "-journal")}
    # An empty log with an index is one that was begun anew: somebody has it open.
    has_log = bool(sizes["-wal"]) or (sizes["-wal"] is not None and sizes["-shm"] is not None)
    whole = not has_log and not sizes["-journal"]
    inode = (status.st_dev, status.st_ino)
    return State(whole, inode, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _size(name: str) -> int | None:
    try:
        return os.stat(name).st_size
    except OSError:
        return None


def _refuse_hidden_log(path: Path) -> None:
    """Refuse a file whose log is there, with what was written last, and cannot be read by us."""
    wal, index = Path(f"{path}-wal"), Path(f"{path}-shm")
    for part in (wal, index):
        if part.exists() and not _may(part, os.R_OK):
            raise ReadOnlyError(
                f"{path}: what was written last is in {part.name}, which this user may not read",
                hint=Hint(
                    "get permission to read it, or read a copy that its owner makes by "
                    "store.maintenance.backup('copy.sqlite3')",
                    "get permission to read it, or read a copy that its owner makes by `mdstore backup COPY`",
                ),
            )
    if wal.exists() and not index.exists():
        raise ReadOnlyError(
            f"{path}: what was written last is in {wal.name}, which cannot be read without {index.name}; "
            "that is not there, and nothing is made beside a file that is only read",
            hint=LOG_HINT,
        )


def _may(path: Path, mode: int) -> bool:
    effective = os.access in os.supports_effective_ids
    return os.access(path, mode, effective_ids=effective)
