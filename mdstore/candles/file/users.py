"""Which processes have a store's file open, and which read it at this moment: told by SQLite's locks.

SQLite locks single bytes of the `-shm` file: the last is held by whoever has the file open, those before it
by reads under way (https://www.sqlite.org/walformat.html#wal_locks). Linux lists all locks in `/proc/locks`,
so that the file itself need not be opened, which would drop the locks of this process, see `guard`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["User", "Users", "users"]

LOCKS = Path("/proc/locks")
FIRST_READ, LAST_READ, OPEN = 123, 127, 128
"""Bytes of the `-shm` file: the marks of reads, and the one that openers share."""
MOST_LETTERS = 80


@dataclass(frozen=True, slots=True)
class User:
    """A process: its number, and the command that it runs (empty where that is not to be seen)."""

    pid: int
    command: str

    def __str__(self) -> str:
        return f"process {self.pid}" + (f" ({self.command})" if self.command else "")


@dataclass(frozen=True, slots=True)
class Users:
    """Who has the file open, and who of them reads it now; `known` is false where the system does not say."""

    known: bool
    open_by: tuple[User, ...] = ()
    reading: tuple[User, ...] = ()


def users(file: Path, *, locks: Path = LOCKS) -> Users:
    """Return who uses a store's file, by process; this one may be among them."""
    try:
        status = os.stat(f"{file}-shm")
    except FileNotFoundError:
        return Users(locks.exists())
    except OSError:
        return Users(known=False)
    name = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    try:
        held = list(_held(locks, name))
    except OSError:
        return Users(known=False)
    reading = {pid for pid, start, end in held if start <= LAST_READ and end >= FIRST_READ}
    everyone = {pid for pid, start, end in held if start <= OPEN <= end} | reading
    return Users(True, _named(everyone), _named(reading))


def _held(locks: Path, name: str) -> Iterator[tuple[int, int, int]]:
    """Yield process, first and last byte of each lock on a file; those who wait for one hold none."""
    for line in locks.read_text(encoding="ascii").splitlines():
        fields = line.split()
        if "->" in fields or len(fields) != len(
            ["n:", "POSIX", "ADVISORY", "READ", "pid", "file", "start", "end"]
        ):
            continue
        *_, pid, file, start, end = fields
        if file == name and end.isdigit():
            yield int(pid), int(start), int(end)


def _named(pids: set[int]) -> tuple[User, ...]:
    return tuple(User(pid, _command(pid)) for pid in sorted(pids))


def _command(pid: int) -> str:
    if pid == os.getpid():
        return "this process"
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    text = " ".join(word.decode(errors="replace") for word in words if word)
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    return shown if len(shown) <= MOST_LETTERS else shown[: MOST_LETTERS - 1] + "…"
