"""Work in a thread, for coroutines: told to stop when the coroutine is cancelled, and waited for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from mdstore.errors import MaintenanceStoppedError

__all__ = ["Stop", "in_thread", "never"]

T = TypeVar("T")
Stop = Callable[[], bool]
"""Asked between steps whether to stop."""


def never() -> bool:
    """Stop never."""
    return False


async def in_thread(work: Callable[[Stop], T]) -> T:
    """Do work that asks whether to stop; where the coroutine is cancelled it is, and has ended."""
    stopped = threading.Event()
    running = asyncio.ensure_future(asyncio.to_thread(work, stopped.is_set))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stopped.set()
        with suppress(MaintenanceStoppedError):
            await running
        raise
