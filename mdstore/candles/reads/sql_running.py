"""A query under way: in a thread of its own, so that Ctrl-C, or too long a time, ends the wait for it.

So is whatever DuckDB does: in the main thread it looks for signals by itself, and of 150 presses of Ctrl-C
while a query was looked through 12 were `RuntimeError: Query interrupted`.

DuckDB looks whether it was interrupted between two chunks of rows, not inside of one function: three
`repeat('x', 1e9)` go on for 14 s. Such a query is left behind, and lets go of its connection when it ends.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa

from mdstore.candles.reads.sql_answer import refuse_types
from mdstore.candles.reads.sql_given import Params
from mdstore.errors import QueryTimeoutError

if TYPE_CHECKING:
    import duckdb

__all__ = ["Deadline", "answered", "apart", "imported", "left_behind", "let_go"]

T = TypeVar("T")

HIDDEN_ERRORS = 8
WAKE_SECONDS = 0.05
PATIENCE_SECONDS = 1.0
"""How long an interrupted query is waited for."""
TIMEOUT_HINT = "bounds on symbol, timeframe and timestamp in its WHERE are what makes a query quick"


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a query must be done, by `time.monotonic`; None is never."""

    at: float | None
    timeout: float | None

    @classmethod
    def of(cls, timeout: float | None) -> Deadline:
        """Begin to count."""
        return cls(None if timeout is None else time.monotonic() + timeout, timeout)

    def check(self) -> None:
        """Raise `QueryTimeoutError` where it is over."""
        self.wait()

    def wait(self) -> float:
        """Return how long to sleep before looking again. Raises `QueryTimeoutError` where it is over."""
        if self.at is None:
            return WAKE_SECONDS
        left = self.at - time.monotonic()
        if left <= 0:
            raise QueryTimeoutError(f"the query took longer than {self.timeout:g} seconds", hint=TIMEOUT_HINT)
        return min(left, WAKE_SECONDS)


class _Running(threading.Thread):
    """Runs one query on a connection; `done` has the answer."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, query: str, params: Params | None) -> None:
        super().__init__(name="mdstore-sql", daemon=True)
        self.connection = connection
        self.done: Future[pa.Table] = Future()
        self._query = query
        self._params = params

    def run(self) -> None:
        if not self.done.set_running_or_notify_cancel():
            return
        try:
            self.connection.execute(self._query, self._params)
            refuse_types(self.connection.description)
            self.done.set_result(self.connection.to_arrow_table())
        except BaseException as error:
            self.done.set_exception(error)
        if self in _left:
            self.connection.close()

    def ends_within(self, seconds: float | None) -> bool:
        """Interrupt until it has ended, and tell whether it has."""
        clock = time.monotonic()
        while self.is_alive() and (seconds is None or time.monotonic() - clock < seconds):
            with suppress(Exception):  # DuckDB's, of a connection that the other thread has closed just now
                self.connection.interrupt()
            self.join(WAKE_SECONDS)
        return not self.is_alive()


_left: set[_Running] = set()


def answered(
    connection: duckdb.DuckDBPyConnection, query: str, params: Params | None, deadline: Deadline
) -> pa.Table:
    """Run a query, again where DuckDB says that it was interrupted, as nobody does who comes to see it.

    Where one of its threads fails, another may stop as if it was interrupted, and that hides the error: up
    to a tenth of the time with DuckDB 1.5 (https://github.com/duckdb/duckdb/pull/25902).
    """
    import duckdb  # noqa: PLC0415 - 0.1 s that a process without SQL need not wait for

    for _ in range(HIDDEN_ERRORS):
        with suppress(duckdb.InterruptException):
            return _waited_for(_Running(connection, query, params), deadline)
    return _waited_for(_Running(connection, query, params), deadline)


def apart(work: Callable[[], T]) -> T:
    """Do short work with DuckDB in a thread; Ctrl-C is raised when it is done.

    Or before it begins: it does not then. At the exit of Python it is waited for.
    """
    if threading.current_thread() is not threading.main_thread():
        return work()
    done: Future[T] = Future()

    def run() -> None:
        if not done.set_running_or_notify_cancel():
            return
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    try:
        threading.Thread(target=run, name="mdstore-sql", daemon=False).start()
        while not done.done():
            wait((done,), WAKE_SECONDS)
    finally:
        if not done.cancel():
            wait((done,))
    return done.result()


@cache
def imported() -> ModuleType:
    """Return DuckDB, imported apart: 0.1 s that a process without SQL need not wait for.

    Of Ctrl-C while it was imported came `ImportError`, and now and then no import could be had after it.
    """
    return apart(lambda: import_module("duckdb"))


def _waited_for(running: _Running, deadline: Deadline) -> pa.Table:
    """Return what a query gives; Ctrl-C and the deadline end it."""
    try:
        running.start()
        while True:
            seconds = deadline.wait()
            with suppress(TimeoutError):
                return running.done.result(seconds)
    finally:
        if not running.done.done():
            _end(running)


def _end(running: _Running) -> None:
    """Interrupt a query; leave it behind where it does not end soon, or Ctrl-C is pressed again."""
    if running.done.cancel():
        return  # Ctrl-C came before it began
    _left.add(running)
    if running.ends_within(PATIENCE_SECONDS):
        _left.discard(running)


def let_go(connection: duckdb.DuckDBPyConnection) -> None:
    """Close a connection, unless a query that was left behind is on it: that one lets go of it at its end."""
    if not any(running.connection is connection for running in left_behind()):
        connection.close()


def left_behind() -> list[_Running]:
    """Return the queries that were interrupted and go on."""
    for running in list(_left):
        if not running.is_alive():
            _left.discard(running)
    return list(_left)


@atexit.register
def _see_them_end() -> None:
    """Wait for what was left behind: a thread of DuckDB that meets the end of Python aborts the process."""
    for running in left_behind():
        running.ends_within(None)
