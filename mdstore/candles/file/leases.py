"""Leases: a name that one holder has at a time, among all threads and processes that have the file open.

So that two processes do not ask an exchange for the same bars. A lease is a row of the table `leases`, with a
number that its holder counts up while it works. Nobody's clock is compared with another's: whoever wants the
name watches the number by its own, and takes the name over when nothing was counted for a while. A holder in
the same machine that is gone is known at once, so that what was killed can be started again.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import apsw

from mdstore.candles.file.database import Database

__all__ = ["BEAT_SECONDS", "LEFT_SECONDS", "Lease", "Leases"]

BEAT_SECONDS = 2.0
"""How often a holder says that it is at work."""
LEFT_SECONDS = 15.0
"""A holder that has said nothing for so long is gone."""
FIND = "SELECT owner, beat FROM leases WHERE name = ?"
ALL = "SELECT name, owner FROM leases ORDER BY name"
PUT = "INSERT INTO leases VALUES (?, ?, 0) ON CONFLICT DO UPDATE SET owner = excluded.owner, beat = 0"
BEAT = "UPDATE leases SET beat = beat + 1 WHERE name = ? AND owner = ? RETURNING 1"
DROP = "DELETE FROM leases WHERE name = ? AND owner = ?"
ENDED = "ZX"  # a process that has ended, and whose parent has not looked yet
BEGAN = 19  # the place of a process's start in /proc/PID/stat, behind its name in brackets (man 5 proc)


class Lease:
    """A name that is held, until it is given back or nothing was heard of its holder for a while."""

    beat_seconds = BEAT_SECONDS

    def __init__(self, database: Database, name: str, owner: str) -> None:
        self._database = database
        self.name = name
        self.owner = owner

    def beat(self) -> bool:
        """Say that the holder is at work; false where somebody else has taken over."""
        bindings = (self.name, self.owner)
        return self._database.note(lambda con: con.execute(BEAT, bindings).get, wait=True) is not None

    def give_back(self) -> None:
        """Let others have the name."""
        self._database.note(lambda con: con.execute(DROP, (self.name, self.owner)).fetchall(), wait=True)


class Leases:
    """The leases of one file, as one opener of it sees them."""

    def __init__(self, database: Database, *, timer: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._timer = timer
        self._seen: dict[str, tuple[tuple[object, ...], float]] = {}
        self._lock = threading.Lock()

    def take(self, name: str) -> Lease | None:
        """Return the lease of a name, or None while somebody else has it. Raises `StoreFileError`."""
        found = self._database.peek(FIND, (name,))
        if found is not None and not self._is_left(name, found):
            return None
        owner = f"{_here()} {secrets.token_hex(8)}"

        def put(con: apsw.Connection) -> bool:
            if con.execute(FIND, (name,)).fetchone() != found:
                return False  # somebody was quicker, or is at work after all
            con.execute(PUT, (name, owner))
            return True

        if not self._database.note(put, wait=True):
            return None
        with self._lock:
            self._seen.pop(name, None)
        return Lease(self._database, name, owner)

    def held(self) -> list[str]:
        """Return the names that are held, as far as their holders are not known to be gone, and by whom."""
        with self._database.reading() as con:
            rows = [(str(name), str(owner)) for name, owner in con.execute(ALL)]
        return [f"{name} (process {owner.split(' ')[1]})" for name, owner in rows if not _is_gone(owner)]

    def _is_left(self, name: str, found: tuple[object, ...]) -> bool:
        """Tell whether the holder of a name is gone."""
        if _is_gone(str(found[0])):
            return True
        now = self._timer()
        with self._lock:
            known, since = self._seen.get(name, (None, now))
            if known != found:
                since = now
            self._seen[name] = (found, since)
        return now - since >= LEFT_SECONDS


def _here() -> str:
    """Return what tells this process from every other: boot and numbering, number and start.

    Where the system does not say so, they are `-`, and only time tells whether a holder is gone.
    """
    with suppress(OSError, IndexError):
        return f"{_numbering()} {os.getpid()} {_began(os.getpid())}"
    return "- - -"


def _numbering() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"


def _began(pid: int) -> str:
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    state, *rest = stat.rpartition(")")[2].split()
    return "dead" if state in ENDED else rest[BEGAN - 1]


def _is_gone(owner: str) -> bool:
    """Tell whether an owner is surely no more; one of another machine or container may be there."""
    numbering, pid, began, _ = owner.split(" ")
    if numbering != _here().split(" ")[0] or not pid.isdigit():
        return False
    try:
        return _began(int(pid)) != began
    except FileNotFoundError:
        return True
    except (OSError, IndexError):
        return False
