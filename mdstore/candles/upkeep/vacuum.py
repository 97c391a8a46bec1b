"""VACUUM: the file written anew, small and in order; nobody else writes meanwhile.

SQLite makes a copy in a temporary file and writes it back through the log, as one transaction: https://www.sqlite.org/lang_vacuum.html
A kill or a stop at any moment leaves the file as it was.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw

from mdstore.candles.file.database import Database
from mdstore.candles.upkeep import layout
from mdstore.candles.upkeep.steps import Stop
from mdstore.errors import MaintenanceStoppedError

__all__ = ["Room", "estimate", "log_is_free", "room", "vacuum"]

STEPS = 2_000
"""Steps of SQLite's machine between two looks whether to stop."""
READER_MS = 250
SAMPLE_ROWS: Final = {"candles": 50_000, "frozen": 50}
"""So many rows of the tables that take most of a file."""
SAMPLE = "CREATE TEMP TABLE sample_{table} AS SELECT * FROM {table} LIMIT ?"
SAMPLED = "SELECT sum(pgsize) FROM dbstat('temp') WHERE name GLOB 'sample_*'"
PASSES = 2
"""A page is written to the temporary file, and back."""
TIMES: Final = 6
"""A VACUUM takes so many times as long as the copy of a sample in memory (2.8 to 3.7 times two of them)."""
LEAST_BYTES_PER_SECOND: Final = 20_000_000
"""What is supposed of a file that has nothing to measure by."""


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes that a VACUUM needs on the fullest disk it uses, and that are free there."""

    needed: int
    free: int


def room(database: Database) -> Room:
    """Return what a VACUUM needs: its temporary file and the log, each as large as what is stored."""
    found = layout.pages(database)
    stored = (found.count - found.free) * found.size
    file, temporary = database.path.parent, _temporary()
    together = os.stat(file).st_dev == os.stat(temporary).st_dev
    least = min(shutil.disk_usage(one).free for one in (file, temporary))
    return Room(stored * (PASSES if together else 1), least)


def log_is_free(database: Database) -> bool:
    """Empty the log, and tell whether that could be done: not where a long read goes on."""
    with database.alone() as con:
        con.set_busy_timeout(READER_MS)
        return _emptied(con)


def estimate(database: Database) -> float:
    """Return about how many seconds a VACUUM takes, by what copying a piece of the file takes now."""
    found = layout.pages(database)
    stored = (found.count - found.free) * found.size
    with database.reading() as con:
        before = con.pragma("temp_store"), con.pragma("query_only")
        con.pragma("query_only", 0)
        began = time.perf_counter()
        try:
            for table, rows in SAMPLE_ROWS.items():
                con.execute(SAMPLE.format(table=table), (rows,))
            seconds = time.perf_counter() - began
            copied = con.execute(SAMPLED).get or 0
        finally:
            for table in SAMPLE_ROWS:
                con.execute(f"DROP TABLE IF EXISTS temp.sample_{table}")
            con.pragma("query_only", before[1])
    rate = max(copied / max(seconds, 1e-6), LEAST_BYTES_PER_SECOND)
    return TIMES * stored / rate


def vacuum(database: Database, stop: Stop) -> float:
    """Write the file anew and give its free pages back; return the seconds that nobody else could write.

    Raises `MaintenanceStoppedError` where it is told to stop: then the file is as it was; `StoreFileError`.
    """
    with database.alone() as con:
        con.set_busy_timeout(READER_MS)
        _emptied(con)
        con.set_busy_timeout(database.busy_ms)
        con.pragma("auto_vacuum", "INCREMENTAL")  # of a file that another program made
        con.set_progress_handler(stop, STEPS)
        began = time.perf_counter()
        try:
            con.execute("VACUUM")
        except (apsw.InterruptError, apsw.AbortError) as error:
            raise MaintenanceStoppedError("VACUUM was stopped; the file is as it was") from error
        finally:
            con.set_progress_handler(None)
        took = time.perf_counter() - began
        con.set_busy_timeout(READER_MS)
        _emptied(con)
        return took


def _emptied(con: apsw.Connection) -> bool:
    with suppress(apsw.BusyError, apsw.LockedError):
        con.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        return True
    return False


def _temporary() -> Path:
    """Return where SQLite makes temporary files.

    https://www.sqlite.org/tempfiles.html#temporary_file_storage_locations
    """
    names = (os.environ.get("SQLITE_TMPDIR"), os.environ.get("TMPDIR"), "/var/tmp", "/usr/tmp", "/tmp")  # noqa: S108
    return next((Path(name) for name in names if name and os.access(name, os.W_OK | os.X_OK)), Path())
