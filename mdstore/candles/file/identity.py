"""Whose file is it? Looked at before anything is written, by nothing that could change it.

A file is marked as a store (`application_id`). One without the mark is an older store, candles that another
program wrote in the same table, or somebody else's, which its tables tell. They are looked at through a
connection that writes neither to the file nor to its log, and leaves no file beside it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from urllib.parse import quote

import apsw

from mdstore.candles.file.guard import is_guarded
from mdstore.candles.file.migrations import refuse_unknown
from mdstore.candles.file.paths import os_errors, packs_folder
from mdstore.errors import Hint, StoreFileError

__all__ = ["look", "names_hint", "other_names"]

# https://www.sqlite.org/fileformat.html#the_database_header
MAGIC = b"SQLite format 3\0"
HEADER_BYTES = 100
PAGE_SIZE_AT, WAL_MODE_AT = 16, 18
LARGEST_PAGE = 65_536  # written as 1
WAL_MODE = 2
WHOLE = "file:{path}?immutable=1"
BUSY_MS = 1_000


def look(path: Path, *, create: bool, read_only: bool = False) -> None:
    """Refuse a file that is no store, or that cannot be opened without loss; nothing is changed.

    Of a file that is `read_only` the tables are not looked at: who reads it does.

    Raises `StoreFileError` and its kinds.
    """
    with os_errors(path):
        try:
            status = path.stat()
        except FileNotFoundError:
            _refuse_left_log(path)
            return
        if not stat.S_ISREG(status.st_mode):
            raise StoreFileError(f"{path} is no file but a device or the like; give the path of a file")
        if status.st_nlink > 1:
            raise StoreFileError(other_names(path, status), hint=names_hint(path, status))
        if is_guarded((status.st_dev, status.st_ino)):
            return  # a store of this process has looked; to open the file again would drop its locks
        if status.st_size == 0:
            _refuse_empty(path, create and not read_only)
            return
        keeps_log = _keeps_log(path, status.st_size)
    if not read_only:
        _refuse_foreign(path, keeps_log=keeps_log)


def other_names(path: Path, status: os.stat_result) -> str:
    """Say what is wrong with a file of several names."""
    return (
        f"{path} has {status.st_nlink} names (hard links): each has a log of its own, and what is written "
        "through one is lost to the other"
    )


def names_hint(path: Path, status: os.stat_result) -> str:
    """Say how to find the other names, and what to do with them."""
    return f"find {path.parent} -inum {status.st_ino} lists them; delete all but one, or copy the file"


def _refuse_left_log(path: Path) -> None:
    """Refuse to make a file beside a log: SQLite would take it for the new file's, and delete it."""
    log = Path(f"{path}-wal")
    if log.exists() and log.stat().st_size:
        raise StoreFileError(
            f"{path} is gone, but its log {log.name} is there, which may hold what was written last",
            hint=f"move the file back to {path.name}; to begin anew, delete {log.name}",
        )


def _refuse_empty(path: Path, create: bool) -> None:
    """Refuse an empty file, which SQLite would take for a new one, where a store was cut off."""
    log, packs = Path(f"{path}-wal"), packs_folder(path)
    has_log, has_packs = log.exists() and log.stat().st_size > 0, any(packs.glob("*.arrow"))
    if has_log or has_packs:
        beside = log.name if has_log else packs.name
        names = f"{path.name} and {log.name}" if has_log else path.name
        raise StoreFileError(
            f"{path} is empty (0 bytes), but {beside} lies beside it: a store was cut off there",
            hint=f"restore a backup; to begin anew, delete {names}. Packs that lie beside are then set aside",
        )
    if not create:
        raise StoreFileError(
            f"there is no store at {path}: the file is empty (0 bytes)",
            hint=Hint("restore a backup, or open it with create=True", "restore a backup, or import into it"),
        )


def _refuse_foreign(path: Path, *, keeps_log: bool) -> None:
    """Refuse a database that is another program's, or a newer mdstore's."""
    # A log that is not there would be made, and a transaction that was cut off be taken back.
    whole = keeps_log and not Path(f"{path}-wal").exists()
    try:
        _look_at_tables(path, whole=whole)
    except apsw.ReadOnlyError:
        _look_at_tables(path, whole=True)


def _look_at_tables(path: Path, *, whole: bool) -> None:
    """Look through a connection that writes nothing; `whole`: all of it is in the file, none in a log."""
    name = WHOLE.format(path=quote(os.fspath(path))) if whole else os.fspath(path)
    con = apsw.Connection(name, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    try:
        con.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        con.set_busy_timeout(BUSY_MS)
        refuse_unknown(con)
    finally:
        con.close()


def _keeps_log(path: Path, size: int) -> bool:
    """Tell whether a database keeps a log. Raises `StoreFileError` for what is none."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        header = os.read(descriptor, HEADER_BYTES)
    finally:
        os.close(descriptor)
    if not header.startswith(MAGIC):
        raise StoreFileError(f"{path}: the file is no SQLite database; give another path")
    page = int.from_bytes(header[PAGE_SIZE_AT : PAGE_SIZE_AT + 2], "big")
    if size < (LARGEST_PAGE if page == 1 else page) or len(header) < HEADER_BYTES:
        raise StoreFileError(f"{path} is cut off after {size:,} bytes", hint="restore a backup")
    return header[WAL_MODE_AT] == WAL_MODE
