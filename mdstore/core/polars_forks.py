"""Polars in a forked process: noticed where the system lists threads (Linux), and refused.

Polars runs on a pool of threads that does not survive a fork; in a child whose parent had it running, the
next Polars call waits for ever (https://docs.pola.rs/user-guide/misc/multiprocessing/). The store itself, and
Arrow tables out of it, work there.
"""

from __future__ import annotations

import os
import re
import threading
import time
from contextlib import suppress
from pathlib import Path

from mdstore.errors import ForkedError, Hint

__all__ = ["polars_is_broken", "refuse_broken_polars", "watch_forks"]

THREADS = Path("/proc/self/task")
WORKER = re.compile(r"polars-\d")  # threads of the pool; importing Polars starts others
YOUNG_NS = 1_000_000
"""A thread has its name after so much time on a processor: to take it is the first thing that it does."""
PATIENCE_SECONDS = 1.0

_watching = False
_pool_running = False
_broken = False


def watch_forks() -> None:
    """Take notice of forks from now on."""
    global _watching  # noqa: PLW0603 - the hooks are one per process and cannot be taken back
    if not _watching and hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_look, after_in_child=_remember)
        _watching = True


def polars_is_broken() -> bool:
    """Tell whether Polars would hang."""
    return _broken


def refuse_broken_polars() -> None:
    """Raise `ForkedError` where Polars would hang."""
    if _broken:
        raise ForkedError(
            "Polars was in use when this process was forked, and hangs in it",
            hint=Hint(
                "start processes with multiprocessing.get_context('spawn') or 'forkserver', or read with "
                "store.arrow(...), which works",
                "start mdstore as a process of its own",
            ),
        )


def _look() -> None:
    global _pool_running  # noqa: PLW0603
    _pool_running = _has_pool()


def _remember() -> None:
    global _broken  # noqa: PLW0603
    _broken = _broken or _pool_running


def _has_pool() -> bool:
    """Tell whether Polars' threads are there; they bear its name where the system lists threads.

    A pool is there before its threads have run: of 50 processes on a busy machine that forked right after
    their first query, one found threads without a name, and its child hung. So new ones are given the time to
    take one; where they get none, they are taken for Polars'.
    """
    until = time.monotonic() + PATIENCE_SECONDS
    while not any(WORKER.match(_read(thread, "comm")) for thread in _threads()):
        if not any(map(_is_young, _threads())):
            return False
        if time.monotonic() > until:
            return True
        time.sleep(0.001)
    return True


def _threads() -> list[Path]:
    """Return the other threads of this process."""
    own = str(threading.get_native_id())
    try:
        return [thread for thread in THREADS.iterdir() if thread.name != own]
    except OSError:
        return []


def _is_young(thread: Path) -> bool:
    """Tell a thread that is about to run, and has hardly done so; one that waits has its name already."""
    state = _read(thread, "stat").rpartition(") ")[2]
    run = _read(thread, "schedstat").split()
    return state.startswith("R") and bool(run) and int(run[0]) < YOUNG_NS


def _read(thread: Path, name: str) -> str:
    with suppress(OSError):  # it has ended
        return (thread / name).read_text()
    return ""
