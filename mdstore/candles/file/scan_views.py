"""Views that live as long as one scan.

`sqlite_scan` takes a table or a view by name, so what a read wants is put into the file as a view for as
long as the scan runs (30 us each way). A process that is killed meanwhile leaves its view; whoever opens the
file an hour later drops it. Not sooner: nobody can tell from a process number whether another's scan still
runs, since containers that share a file number their processes each for itself.
"""

from __future__ import annotations

import itertools
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager

from mdstore.candles.file.database import Database
from mdstore.errors import StoreClosedError

__all__ = ["Views"]

NAME = "scan_{second}_{token}_{pid}_{number}"
OURS = re.compile(r"scan_(\d+)_[0-9a-f]+_\d+_\d+")
FORGOTTEN_SECONDS = 3600
ALL = "SELECT name FROM sqlite_schema WHERE type = 'view'"


class Views:
    """The scan views of this process in one file."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._numbers = itertools.count()
        self._token = secrets.token_hex(4)  # of this store; forked children have it too, but another pid
        self._left: set[str] = set(self._orphans())
        self._drop_left()

    @contextmanager
    def holding(self, sql: str) -> Iterator[str | None]:
        """Yield the name of a view of `sql`, or None where it cannot be made just now."""
        number, second = next(self._numbers), int(time.time())
        name = NAME.format(second=second, token=self._token, pid=os.getpid(), number=number)
        try:
            yield name if self._run(f"CREATE VIEW {name} AS {sql}") else None
        finally:
            self._left.add(name)
            self._drop_left()

    def _run(self, sql: str) -> bool:
        return self._database.note(lambda con: con.execute(sql)) is not None

    def _drop_left(self) -> None:
        for name in list(self._left):  # copying, adding and discarding are one step each: no lock
            try:
                dropped = self._run(f"DROP VIEW IF EXISTS {name}")
            except StoreClosedError:
                return  # closed meanwhile; whoever opens the file an hour later drops it
            if dropped:
                self._left.discard(name)

    def _orphans(self) -> Iterator[str]:
        with self._database.reading() as con:
            names = [name for (name,) in con.execute(ALL)]
        for name in names:
            match = OURS.fullmatch(name)
            if match and int(match[1]) < time.time() - FORGOTTEN_SECONDS:
                yield name
