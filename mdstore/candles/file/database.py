"""The SQLite file: how it is opened, who may write, and what a reader sees.

APSW is the only SQLite library of the process and this module the only one that opens the file; see `guard`
for what happens otherwise. One connection writes, behind a lock; readers take a connection each from a pool,
so a read never waits for a write. A fork closes them all first, because SQLite's view of its locks must not
be inherited: https://www.sqlite.org/howtocorrupt.html#_carrying_an_open_database_connection_across_a_fork_
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import NoReturn, TypeVar

import apsw

from mdstore.candles.file.carried import Writer
from mdstore.candles.file.digests import HINT
from mdstore.candles.file.guard import guard, open_elsewhere, unguard
from mdstore.candles.file.identity import look
from mdstore.candles.file.log import Log
from mdstore.candles.file.migrations import MIGRATIONS, migrate, refuse_unknown, version_of
from mdstore.candles.file.paths import os_errors, refuse_part, resolved
from mdstore.candles.file.read_only import ASKED, ReadOnlyReaders, old_version, refused, why_unwritable
from mdstore.candles.file.readers import Readers, Tracer, set_pragmas
from mdstore.errors import (
    DamagedDataError,
    Hint,
    InvalidInputError,
    LiveFileError,
    MarketDataError,
    ReadOnlyError,
    StoreBusyError,
    StoreClosedError,
    StoreFileError,
)

__all__ = ["LOG_LIMIT", "Database"]

T = TypeVar("T")

# Chosen by bench/page_size.py: see bench/README.md for the table.
PAGE_SIZE = 16_384
FULL = "FULL"
LOG_LIMIT = 67_108_864
"""Bytes the WAL is cut back to after a big transaction."""
WRITER_PRAGMAS: dict[str, str | int] = {
    "synchronous": FULL,
    "cache_size": -65_536,  # KiB; a batch of 100,000 candles stays in memory until its commit
    "temp_store": "MEMORY",
    "wal_autocheckpoint": 256,  # pages: 4 MiB between checkpoints, so a reader's WAL look-ups stay short
    "journal_size_limit": LOG_LIMIT,
}
# Before 3.51.3 a checkpoint that resets the log could run into one that a second connection had begun, and
# leave pages out: https://www.sqlite.org/wal.html
OLDEST_SQLITE = (3, 51, 3)
BUSY = "another is writing"
WAIT_LONGER = Hint("try again, or open with a longer busy_timeout", "try again, or give a longer --wait")
ERRORS: tuple[tuple[type[apsw.Error], type[StoreFileError], str], ...] = (
    (apsw.BusyError, StoreBusyError, BUSY),
    (apsw.LockedError, StoreBusyError, "another connection holds a lock; try again"),
    (apsw.NotADBError, StoreFileError, "the file is no SQLite database; give another path"),
    (apsw.FullError, StoreFileError, "the disk is full; nothing of this call was written"),
    (apsw.ReadOnlyError, ReadOnlyError, "it or its folder cannot be written; the log lies beside it"),
    (apsw.CantOpenError, StoreFileError, "it cannot be opened; check that it and its folder may be written"),
    (apsw.IOError, StoreFileError, "the disk failed to read or write"),
)  # fmt: skip

FORK_SECONDS = 1.0
LOOK_SECONDS = 0.01
WAIT_SECONDS = 0.001
LONGEST_WAIT = 1_000_000  # seconds

# A store half open looks like a stranger's descriptor; held over a fork, too, whose child has one of its own.
_opening = threading.RLock()
_open: weakref.WeakSet[Database] = weakref.WeakSet()
_forking: list[Database] = []
_leaked: list[object] = []
_fork_hooked = False


class _Use:
    """One read or write under way, and the thread it is of."""

    __slots__ = ("thread",)

    def __init__(self) -> None:
        self.thread = threading.get_ident()


class Database:
    """One store file and this process's connections to it.

    Ctrl-C raises anywhere in the main thread, also between a step and the note of it. What must not be left
    half done is therefore such that doing it twice is fine, and done by a call that no signal can divide:
    uses are a set, locks are asked whether they are held, a transaction left open is ended by the next.
    """

    def __init__(
        self, path: Path, *, create: bool = True, busy_timeout: float = 10.0, read_only: bool = False
    ) -> None:
        """Open, and create or migrate as needed; `busy_timeout` is in seconds.

        With `read_only`, or where it cannot be written, nothing is changed or made, see `read_only`.

        Raises `StoreFileError`, `NewerSchemaError`, `StoreBusyError`, or `LiveFileError` where something
        else in this process has the file open.
        """
        _refuse_old_sqlite()
        self.path = resolved(path)
        self.busy_ms = _milliseconds(busy_timeout)
        self.read_only = ASKED if read_only else why_unwritable(self.path)
        """Why the file is only read; None where it may be written."""
        self._closed = False
        self._writer: Writer | None = None
        self._synchronous = FULL
        self._tracer: Tracer | None = None
        self._write_thread: int | None = None
        self.log = Log(self.path)
        self.is_new = False
        """Whether there was no store in the file before."""
        self._reset()
        with _opening:
            _refuse_unusable(self.path, create and self.read_only is None)
            _watch_forks(self)
            with self._entered(), self._translated():
                look(self.path, create=create, read_only=self.read_only is not None)
                if self.read_only is None:
                    self._writer = self._prepare()
                else:
                    self._refuse_other_version(self.read_only)
            # Also when the store is dropped without being closed.
            self._inode = guard(self.path)
            self._name = os.fspath(self.path)
            self._looked_at = 0.0
            self._unguard = weakref.finalize(self, unguard, self._inode)

    @property
    def closed(self) -> bool:
        """Whether `close` has been called."""
        return self._closed

    def close(self) -> None:
        """Close every connection; waits for reads and writes under way. Closing twice is fine."""
        self.refuse_inside("close")
        with self._lock:
            if self._closed:
                return
            self._closed = self._stopped = True
            self._await_uses()
            self._close_connections()
        self._unguard()

    @contextmanager
    def reading(self) -> Iterator[apsw.Connection]:
        """Yield a connection inside a read transaction: everything read is of one moment."""
        with self._entered(), self._translated():
            self._refuse_other_file()
            con = self._readers.take()
            try:
                con.execute("BEGIN")
                yield con
                self._readers.refuse_changed(con)
            except (apsw.Error, MarketDataError):
                self._readers.refuse_changed(con)  # which is why it failed
                raise
            finally:
                self._end_reading(con)

    def peek(self, sql: str, bindings: tuple[str | int, ...] = ()) -> tuple[apsw.SQLiteValue, ...] | None:
        """Return the first row of a query, as of now, or None; 4 us where `reading` takes 12."""
        use, con = _Use(), None
        try:
            self._enter(use)
            self._refuse_other_file()
            con = self._readers.take()
            row = con.execute(sql, bindings).fetchone()
            self._readers.refuse_changed(con)
        except apsw.Error as error:
            if con is not None:
                self._readers.drop(con)  # what it read is in doubt; it is not used again
                con = None
            raise self._ours(error) from error
        else:
            return row
        finally:
            try:
                if con is not None:
                    self._readers.give_back(con)  # before the use ends: `close` closes what is idle then
            finally:
                self._uses.discard(use)

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """Yield the writer inside a transaction that commits at the end, or rolls back on any error."""
        self.refuse_to_write()
        if self._write_thread == threading.get_ident():
            self.refuse_inside("write")
        with self._entered(), self._locked(self.busy_ms), self._translated():
            self._refuse_replaced()
            # First, since Ctrl-C ends the wait: after the commit a stored write would look like a failed one.
            self.log.shorten(self._connected_writer(), self.busy_ms)
            with self._transaction() as con:
                yield con

    def note(self, work: Callable[[Writer], T], *, wait: bool = False) -> T | None:
        """Do what is worth no sync, and unless `wait` no waiting, in a transaction; None if it could not be.

        For what can be had again: scan views, and where in the packs the cells are.
        """
        try:
            return self.unsynced(work, wait=wait)
        except StoreFileError:
            return None  # busy, full or not to be written: reads go on without

    def unsynced(self, work: Callable[[Writer], T], *, wait: bool = True) -> T | None:
        """Do what is worth no sync in a transaction; None where nothing is to be written here at all.

        Raises `StoreFileError`, `StoreBusyError`.
        """
        if self._write_thread == threading.get_ident() or self.read_only is not None:
            return None
        with self._locked(self.busy_ms if wait else 0), self._entered(), self._translated():
            self._refuse_replaced()
            return self._unsynced(work, wait=wait)

    def step(self, work: Callable[[Writer], T]) -> T:
        """Do a small part of upkeep in a transaction that is not synced; unlike `note` it says what failed.

        A crash may lose the last of them, as a whole. Raises `StoreFileError`, `StoreBusyError`.
        """
        self.refuse_to_write()
        self.refuse_inside("upkeep")
        with self._entered(), self._locked(self.busy_ms), self._translated():
            self._refuse_replaced()
            self.log.shorten(self._connected_writer(), self.busy_ms)
            return self._unsynced(work, wait=True)

    @contextmanager
    def alone(self) -> Iterator[apsw.Connection]:
        """Yield a connection of its own outside transactions, while nothing else of this process writes.

        For VACUUM, whose temporary file is on the disk where the writer's would be in memory.
        """
        self.refuse_to_write()
        self.refuse_inside("VACUUM")
        with self._entered(), self._locked(self.busy_ms), self._translated():
            self._refuse_replaced()
            con = apsw.Connection(os.fspath(self.path), flags=apsw.SQLITE_OPEN_READWRITE)
            try:
                con.set_busy_timeout(self.busy_ms)
                con.pragma("synchronous", FULL)
                yield con
            finally:
                con.close()

    def trace(self, tracer: Tracer | None) -> None:
        """Have statements that read told of, or no longer: one read of `TRACED_OF`, but those under way."""
        self._tracer = self._readers.tracer = tracer

    def _unsynced(self, work: Callable[[Writer], T], *, wait: bool) -> T:
        con = self._connected_writer()
        try:
            con.set_busy_timeout(self.busy_ms if wait else 0)
            with self._transaction(synchronous="NORMAL"):
                return work(con)
        finally:
            con.set_busy_timeout(self.busy_ms)

    @contextmanager
    def _transaction(self, synchronous: str = FULL) -> Iterator[Writer]:
        con = self._connected_writer()
        try:
            if con.in_transaction:
                con.execute("ROLLBACK")  # left by Ctrl-C
            if self._synchronous != synchronous:  # asked for here: what is to be synced is, whatever failed
                con.pragma("synchronous", synchronous)
                self._synchronous = synchronous
            con.execute("BEGIN IMMEDIATE")
            self._write_thread = threading.get_ident()
            self._refuse_newer(con)
            con.carry()
            yield con
            con.carried.settle()
            con.execute("COMMIT")
        except BaseException:
            con.preupdate_hook(None)
            if con.in_transaction:
                con.execute("ROLLBACK")
            raise
        finally:
            self._write_thread = None

    def _refuse_newer(self, con: apsw.Connection) -> None:
        """Refuse to write where a newer mdstore has changed the schema since the file was opened."""
        if version_of(con) > MIGRATIONS[-1].version:
            refuse_unknown(con)

    @contextmanager
    def _locked(self, milliseconds: int) -> Iterator[None]:
        try:
            if not self._write_lock.acquire(timeout=milliseconds / 1000):
                raise StoreBusyError(
                    f"{self.path}: {BUSY} (another thread of this process)", hint=WAIT_LONGER
                )
            yield
        finally:
            if self._write_lock._is_owned():  # type: ignore[attr-defined]  # the one way to ask
                self._write_lock.release()

    def refuse_to_write(self) -> None:
        """Raise `ReadOnlyError` where the file is only read."""
        if self.read_only is not None:
            raise refused(self.path, self.read_only)

    def refuse_inside(self, what: str) -> None:
        """Refuse what cannot be done inside a read or write of the same thread."""
        if self._depth():
            raise InvalidInputError(
                f"{what} was called inside a read or write of the same store: finish that first"
            )

    def _depth(self) -> int:
        """Return how many reads and writes of the calling thread are under way."""
        thread = threading.get_ident()
        return sum(use.thread == thread for use in tuple(self._uses))

    def _refuse_replaced(self) -> None:
        """Refuse to write where nobody would find it: into a file that has lost its name."""
        try:
            status = self.path.stat()
        except OSError as error:
            raise StoreFileError(
                f"{self.path} was moved or deleted while open; nothing was written"
            ) from error
        if (status.st_dev, status.st_ino) != self._inode:
            raise StoreFileError(f"{self.path} was replaced while open; nothing was written: open it again")

    def _refuse_other_file(self) -> None:
        """Refuse to read what is no longer the store, where a backup has taken the file's place.

        A file that was only moved, or deleted, is still what it was. Looked at now and then: it takes 1.5 us.
        """
        now = time.monotonic()
        if now < self._looked_at + LOOK_SECONDS:
            return
        try:
            status = os.stat(self._name)
        except OSError:
            return
        if (status.st_dev, status.st_ino) != self._inode:
            raise StoreFileError(f"{self.path} was replaced while open: open it again to read what is there")
        self._looked_at = now

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._stopped = self._closed  # whether uses may not begin just now
        self._uses: set[_Use] = set()
        self._write_lock = threading.RLock()
        self._write_thread = None
        kind = Readers if self.read_only is None else ReadOnlyReaders
        self._readers: Readers = kind(self.path, self.busy_ms)
        self._readers.tracer = self._tracer
        self._writer = None
        self._synchronous = FULL

    @contextmanager
    def _entered(self) -> Iterator[None]:
        use = _Use()
        try:
            self._enter(use)
            yield
        finally:
            self._uses.discard(use)

    def _enter(self, use: _Use) -> None:
        self._uses.add(use)  # first: whoever stops uses and then finds none has seen this one
        while self._stopped:
            self._uses.discard(use)
            if self._closed:
                self.refuse_closed()
            with self._lock:  # held while the process forks
                self._uses.add(use)

    def _await_uses(self, seconds: float = inf) -> bool:
        """Wait for what is under way to end, and tell whether it has."""
        until = time.monotonic() + seconds
        while self._uses and time.monotonic() < until:
            time.sleep(WAIT_SECONDS)
        return not self._uses

    def refuse_closed(self, cause: BaseException | None = None) -> NoReturn:
        """Raise `StoreClosedError`, with what came of it."""
        raise StoreClosedError(
            f"the store {self.path.name} is closed: use it inside its `with` block"
        ) from cause

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except apsw.Error as error:
            raise self._ours(error) from error
        except UnicodeDecodeError as error:  # of a text that APSW reads from a damaged page
            raise DamagedDataError(
                f"{self.path}: the file is damaged: a text in it is none", hint=HINT
            ) from error

    def _ours(self, error: apsw.Error) -> StoreFileError:
        if isinstance(error, apsw.CorruptError):
            return DamagedDataError(f"{self.path}: the file is damaged (SQLite: {error})", hint=HINT)
        for kind, ours, advice in ERRORS:
            if isinstance(error, kind):
                hint = WAIT_LONGER if advice == BUSY else None
                return ours(f"{self.path}: {advice} (SQLite: {error})", hint=hint)
        return StoreFileError(f"{self.path}: SQLite: {error}")

    def _prepare(self) -> Writer:
        """Open the writer, look before touching, then bring the schema up to date."""
        con = Writer(os.fspath(self.path))
        try:
            con.set_busy_timeout(self.busy_ms)
            self.is_new = refuse_unknown(con) == 0
            if self.is_new:
                # These hold for a new file only, and only before its first table.
                con.pragma("page_size", PAGE_SIZE)
                con.pragma("auto_vacuum", "INCREMENTAL")
            self._set_wal(con)
            self._set_writer(con)
            migrate(con)
        except BaseException:
            con.close()
            raise
        return con

    def _refuse_other_version(self, why: str) -> None:
        """Refuse to read what would have to be brought to another version first, which writes to it."""
        con = self._readers.take()
        try:
            version, newest = refuse_unknown(con), MIGRATIONS[-1].version
        finally:
            self._readers.give_back(con)
        if version != newest:
            raise old_version(self.path, version, newest, why)

    def _end_reading(self, con: apsw.Connection) -> None:
        try:
            if con.in_transaction:
                con.execute("COMMIT")
        except apsw.Error:
            self._readers.drop(con)  # what it read was in doubt already, and said so
        else:
            self._readers.give_back(con)

    def _set_wal(self, con: apsw.Connection) -> None:
        if con.pragma("journal_mode", "WAL") != "wal":
            raise StoreFileError(f"{self.path}: SQLite cannot keep its log there (a network folder?)")

    def _connected_writer(self) -> Writer:
        con = self._writer = self._writer or self._connect_writer()
        return con

    def _connect_writer(self) -> Writer:
        con = Writer(os.fspath(self.path), flags=apsw.SQLITE_OPEN_READWRITE)
        con.set_busy_timeout(self.busy_ms)
        self._set_writer(con)
        return con

    def _set_writer(self, con: apsw.Connection) -> None:
        set_pragmas(con, WRITER_PRAGMAS)
        self._synchronous = FULL

    def _close_connections(self, *, checkpoint: bool = True) -> None:
        self._readers.close(checkpoint=checkpoint)
        con, self._writer = self._writer, None
        if con is not None:
            if not checkpoint:
                con.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            con.close()

    def _before_fork(self) -> None:
        self._lock.acquire()
        self._stopped = True
        # Not for long: what is under way may wait for the very thread that forks, as a pool's does.
        if not self._depth() and self._await_uses(FORK_SECONDS):
            self._close_connections(checkpoint=False)

    def _after_fork_in_parent(self) -> None:
        self._stopped = self._closed
        self._lock.release()

    def _after_fork_in_child(self) -> None:
        if self._uses:
            # The connections could not be closed; they are leaked, because closing them here would be as
            # wrong as using them.
            _leaked.append((self._readers, self._writer))
            self._closed = True
        self._reset()


def _milliseconds(seconds: float) -> int:
    if not isinstance(seconds, int | float) or not 0 <= seconds <= LONGEST_WAIT:
        bounds = f"seconds from 0 to {LONGEST_WAIT:,}"
        raise InvalidInputError(
            f"{seconds!r} is no time to wait for another writer",
            hint=Hint(f"busy_timeout= takes {bounds}", f"--wait takes {bounds}"),
        )
    return int(seconds * 1000)


def _refuse_old_sqlite() -> None:
    version = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if version < OLDEST_SQLITE:
        raise StoreFileError(
            f"apsw brings SQLite {apsw.sqlite_lib_version()}, which can corrupt a WAL file; "
            f"{'.'.join(map(str, OLDEST_SQLITE))} or newer is needed",
            hint="pip install --upgrade apsw",
        )


def _refuse_unusable(path: Path, create: bool) -> None:
    with os_errors(path):
        if path.is_dir():
            raise StoreFileError(f"{path} is a folder; give the path of a file, such as market_data.sqlite3")
        if not path.exists() and not create:
            raise StoreFileError(
                f"there is no store at {path}", hint="`mdstore import` makes one from your files"
            )
        if not path.parent.is_dir():
            raise StoreFileError(f"{path}: the folder {path.parent} does not exist; make it first")
        refuse_part(path)
    if open_elsewhere(path):
        raise LiveFileError(
            f"{path} is already open in this process by something else (sqlite3, DuckDB, a file object); its "
            "closing would drop the store's locks. Close that first, or use another process"
        )


def _watch_forks(database: Database) -> None:
    global _fork_hooked  # noqa: PLW0603 - the hooks are one per process and cannot be taken back
    _open.add(database)
    if not _fork_hooked and hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=_before_fork,
            after_in_parent=lambda: _after_fork(Database._after_fork_in_parent),
            after_in_child=lambda: _after_fork(Database._after_fork_in_child),
        )
        _fork_hooked = True


def _before_fork() -> None:
    _opening.acquire()
    _forking[:] = _open
    for database in _forking:
        database._before_fork()


def _after_fork(step: Callable[[Database], None]) -> None:
    for database in _forking:
        step(database)
    _forking.clear()
    _opening.release()
