"""Polars in a forked process: noticed where the system lists threads (Linux), and refused.

Polars runs on a pool of threads that does not survive a fork; in a child whose parent had it running, the
next Polars call waits for ever (https://docs.pola.rs/user-guide/misc/multiprocessing/). The store itself, and
Arrow tables out of it, work there.
"""

from __future__ import annotations

import os
import re

from mdstore.errors import ForkedError, Hint

__all__ = ["refuse_broken_polars", "watch_forks"]

THREADS = "/proc/self/task"
WORKER = re.compile(r"polars-\d")  # threads of the pool; importing Polars starts others

_watching = False
_pool_running = False
_broken = False


def watch_forks() -> None:
    """Take notice of forks from now on."""
    global _watching  # noqa: PLW0603 - the hooks are one per process and cannot be taken back
    if not _watching and hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_look, after_in_child=_remember)
        _watching = True


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
    """Tell whether Polars' threads are there; they bear its name where the system lists threads."""
    try:
        threads = os.listdir(THREADS)
    except OSError:
        return False
    return any(WORKER.match(_name(thread)) for thread in threads)


def _name(thread: str) -> str:
    try:
        with open(f"{THREADS}/{thread}/comm") as file:
            return file.read()
    except OSError:
        return ""
