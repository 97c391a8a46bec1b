"""Caches in a forked child begin anew."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet

from mdstore.core.polars_forks import watch_forks

__all__ = ["begin_anew_after_fork"]


class _Beginner(Protocol):
    def begin(self) -> None: ...


_caches: WeakSet[_Beginner] = WeakSet()
_watching = False


def begin_anew_after_fork(cache: _Beginner) -> None:
    """Call `cache.begin()` in every child that is forked from now on, before anything else runs in it."""
    global _watching  # noqa: PLW0603 - hooks are one per process and cannot be taken back
    _caches.add(cache)
    if not _watching and hasattr(os, "register_at_fork"):
        watch_forks()
        os.register_at_fork(after_in_child=_begin_all)
        _watching = True


def _begin_all() -> None:
    for cache in list(_caches):
        cache.begin()
