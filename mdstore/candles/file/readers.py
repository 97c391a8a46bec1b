"""Connections that read, each used by one thread at a time, and used again by the next."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import apsw

__all__ = ["TRACED_OF", "Readers", "Tracer", "set_pragmas"]

READER_PRAGMAS: Final[Mapping[str, str | int]] = {
    "query_only": 1,
    "cache_size": -16_384,
    "temp_store": "MEMORY",
}

TRACED_OF: Final = 17
"""To be told costs 4 us a statement: a third of an answer from memory, if it were of each; 3.5 % so, and 6 %
of one in 8. A prime number: a workload that takes turns among some reads is not in step with it."""
# SQLite's own clock counts milliseconds: the beginning is told, too, and whoever listens has a clock.
EVENTS: Final = apsw.SQLITE_TRACE_STMT | apsw.SQLITE_TRACE_PROFILE
Tracer = Callable[[dict[str, Any]], None]
"""Takes events of statements that begin and that have ended: https://rogerbinns.github.io/apsw/connection.html#apsw.Connection.trace_v2"""


class Readers:
    """The connections that read one file."""

    def __init__(self, path: Path, busy_ms: int) -> None:
        self.path = path
        self.busy_ms = busy_ms
        self._idle: list[apsw.Connection] = []
        self.tracer: Tracer | None = None
        """Told of the statements of one use of connections in `TRACED_OF`, when they begin and have ended."""
        self._takes = itertools.count()
        self._traced: set[apsw.Connection] = set()

    def take(self) -> apsw.Connection:
        """Return one that nobody else has, made where there is none."""
        try:
            con = self._idle.pop()  # one step, since threads share the list
        except IndexError:
            con = self.connected()
        return con if self.tracer is None and not self._traced else self._watched(con)

    def give_back(self, con: apsw.Connection) -> None:
        """Take one back, to be used again."""
        self._idle.append(con)

    def drop(self, con: apsw.Connection) -> None:
        """Take one back of which what it read is in doubt."""
        self._traced.discard(con)
        con.close()

    def refuse_changed(self, con: apsw.Connection) -> None:
        """Raise where what was read just now may be of several moments: SQLite's log sees to it here."""

    def close(self, *, checkpoint: bool = True) -> None:
        """Close those that are idle."""
        while self._idle:
            con = self._idle.pop()
            if not checkpoint:
                con.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            con.close()
            self._traced.discard(con)

    def connected(self) -> apsw.Connection:
        """Return a new one."""
        # Not SQLITE_OPEN_READONLY: that one could not begin the log anew where nobody else has it open.
        return self.prepared(apsw.Connection(os.fspath(self.path), flags=apsw.SQLITE_OPEN_READWRITE))

    def prepared(self, con: apsw.Connection) -> apsw.Connection:
        """Set what holds for every connection that reads."""
        con.set_busy_timeout(self.busy_ms)
        set_pragmas(con, READER_PRAGMAS)
        return con

    def _watched(self, con: apsw.Connection) -> apsw.Connection:
        """Have the tracer told of what is done with one connection of some, and no longer of the others."""
        if con in self._traced:
            self._traced.discard(con)
            con.trace_v2(0, None)
        if self.tracer is not None and next(self._takes) % TRACED_OF == 0:
            self._traced.add(con)
            con.trace_v2(EVENTS, self.tracer)
        return con


def set_pragmas(con: apsw.Connection, pragmas: Mapping[str, str | int]) -> None:
    """Set pragmas of a connection."""
    for name, value in pragmas.items():
        con.pragma(name, value)
