"""Where a copy is made before it has its name: a hidden folder beside it, swept when its owner is gone.

A copy in the making has files beside it (SQLite's journal), and its process can be killed anywhere. All of
it lies in one folder under a lock, which the system drops with the process that holds it: whoever gets the
lock of another's folder may delete it. A process number would not do, since containers that share a folder
number their processes each for itself.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["sweep", "workplace"]

PREFIX = ".mdstore-copy-"
LOCK = "lock"
SET_UP_SECONDS = 60.0
"""How long a process may take from the folder to its first file; one that was killed there left it."""


@contextmanager
def workplace(folder: Path) -> Iterator[Path]:
    """Yield a new hidden folder in `folder`, and delete it with all that is in it. Raises `OSError`."""
    place = folder / f"{PREFIX}{secrets.token_hex(8)}"
    place.mkdir()
    descriptor = -1
    try:
        descriptor = os.open(place / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with suppress(OSError):  # a network folder without locks: nobody will get this one either
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)  # what cannot be deleted now is swept later
        if descriptor >= 0:
            os.close(descriptor)


def sweep(folder: Path) -> None:
    """Delete the workplaces in a folder whose owners are gone."""
    with suppress(OSError):
        for place in folder.glob(f"{PREFIX}*"):
            with suppress(OSError):
                _sweep(place)


def _sweep(place: Path) -> None:
    is_old = time.time() - place.stat().st_mtime >= SET_UP_SECONDS
    try:
        descriptor = os.open(place / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        if is_old:
            place.rmdir()  # unless there is anything in it
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError while its owner lives
        if is_old or len(os.listdir(place)) > 1:  # else it is being set up, and not locked yet
            shutil.rmtree(place, ignore_errors=True)
    finally:
        os.close(descriptor)
