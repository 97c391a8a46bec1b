"""DuckDB in this process: settings that hold for every query, bounds on memory and threads, and spilling."""

from __future__ import annotations

import os
import tempfile
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mdstore.errors import Hint, QueryError

if TYPE_CHECKING:
    import duckdb

__all__ = ["Engine"]

SETTINGS = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    # Not even the store's own file, that of all.
    "enable_external_access": "false",
    "python_enable_replacements": "false",
}
# SET holds for one connection, and a query runs on a cursor, which is another: it counted the days of the
# machine's zone and not those of UTC, by which the bounds of its WHERE are read.
# DuckDB does not know how many rows an Arrow table has, takes them for few, and joins as-of by a nested loop:
# 2,300 ms in place of 6 for 10,000 trades and 20,000 tickers.
FOR_ALL = """
    SET GLOBAL memory_limit = '{memory}';
    SET GLOBAL threads = {threads};
    SET GLOBAL TimeZone = 'UTC';
    SET GLOBAL Calendar = 'gregorian';
    SET GLOBAL asof_loop_join_threshold = 0;
    SET GLOBAL lock_configuration = true;
"""
SHARE, DUCKDB_SHARE = 0.5, 0.8
MOST_THREADS = 16  # each takes memory of its own for a sort or a group


@dataclass(frozen=True, slots=True)
class Engine:
    """DuckDB, and the folder that its large queries spill to.

    The folder is of this one alone: DuckDB's spill files have fixed names, and two that shared one read each
    other's, which gave a wrong sum.
    """

    process: int
    connection: duckdb.DuckDBPyConnection
    spill: tempfile.TemporaryDirectory[str]
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def started(cls, memory_bytes: int | None) -> Engine:
        """Start DuckDB; nothing can be set in it afterwards. None is half of the machine's memory."""
        import duckdb  # noqa: PLC0415 - 0.1 s that a process without SQL need not wait for

        _refuse_without_folder()
        spill = tempfile.TemporaryDirectory(prefix="mdstore-duckdb-", ignore_cleanup_errors=True)
        connection = duckdb.connect(config={**SETTINGS, "temp_directory": spill.name})
        memory = _share(connection) if memory_bytes is None else f"{memory_bytes}B"
        connection.execute(FOR_ALL.format(memory=memory, threads=min(MOST_THREADS, _cores())))
        return cls(os.getpid(), connection, spill)

    def close(self) -> None:
        """Let go of DuckDB and of the folder."""
        self.connection.close()
        self.spill.cleanup()

    def query(self) -> duckdb.DuckDBPyConnection:
        """Return a connection for one query: what it makes, such as the types of a PIVOT, goes with it."""
        with self._lock:
            return self.connection.cursor()


def _refuse_without_folder() -> None:
    """Refuse to start where the working folder is gone: DuckDB asks for it, and ends the process."""
    try:
        os.getcwd()
    except OSError as error:
        raise QueryError(
            "the working folder of this process is gone",
            hint=Hint("os.chdir to a folder that is there", "cd to a folder that is there"),
        ) from error


def _share(connection: duckdb.DuckDBPyConnection) -> str:
    """Return a share of what the machine, or its container, has: DuckDB's own default is another."""
    ((limit,),) = connection.execute("SELECT current_setting('memory_limit')").fetchall()
    number, unit = str(limit).split()
    return f"{float(number) * SHARE / DUCKDB_SHARE:.3f}{unit}"


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
