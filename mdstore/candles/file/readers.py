"""Connections that read, each used by one thread at a time, and used again by the next."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import apsw

__all__ = ["Readers", "Tracer", "set_pragmas"]

READER_PRAGMAS: Final[Mapping[str, str | int]] = {
    "query_only": 1,
    "cache_size": -16_384,
    "temp_store": "MEMORY",
}

Tracer = Callable[[dict[str, Any]], None]
"""Takes an event of `SQLITE_TRACE_PROFILE`: https://rogerbinns.github.io/apsw/connection.html#apsw.Connection.trace_v2"""


class Readers:
    """The connections that read one file."""

    def __init__(self, path: Path, busy_ms: int) -> None:
        self.path = path
        self.busy_ms = busy_ms
        self._idle: list[apsw.Connection] = []
        self.tracer: Tracer | None = None
        """Told of each statement that has ended, of connections that are made from then on."""

    def take(self) -> apsw.Connection:
        """Return one that nobody else has, made where there is none."""
        try:
            return self._idle.pop()  # one step, since threads share the list
        except IndexError:
            return self.connected()

    def give_back(self, con: apsw.Connection) -> None:
        """Take one back, to be used again."""
        self._idle.append(con)

    def drop(self, con: apsw.Connection) -> None:
        """Take one back of which what it read is in doubt."""
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

    def connected(self) -> apsw.Connection:
        """Return a new one."""
        # Not SQLITE_OPEN_READONLY: that one could not begin the log anew where nobody else has it open.
        return self.prepared(apsw.Connection(os.fspath(self.path), flags=apsw.SQLITE_OPEN_READWRITE))

    def prepared(self, con: apsw.Connection) -> apsw.Connection:
        """Set what holds for every connection that reads."""
        con.set_busy_timeout(self.busy_ms)
        set_pragmas(con, READER_PRAGMAS)
        if self.tracer is not None:
            con.trace_v2(apsw.SQLITE_TRACE_PROFILE, self.tracer)
        return con


def set_pragmas(con: apsw.Connection, pragmas: Mapping[str, str | int]) -> None:
    """Set pragmas of a connection."""
    for name, value in pragmas.items():
        con.pragma(name, value)
