"""An event loop in a thread of its own: what is asked of an upstream runs there, whoever waits for it.

So threads and tasks share one flight, and nothing that a caller's loop does holds it up. It is started by the
first request that needs it, and anew in a forked process.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

__all__ = ["Background", "is_cancelled"]

T = TypeVar("T")
END_SECONDS = 1.0


class Background:
    """Runs coroutines; `close` cancels those that are under way. Its thread has the `name`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop, started if it is not running."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._run, args=(self._loop,), name=self._name, daemon=True
                )
                self._thread.start()
            return self._loop

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start a coroutine; its future may be waited for in any thread, or wrapped in a loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def mind_forks(self) -> bool:
        """Forget the loop of the parent in a forked process, and tell whether it is one."""
        if self._pid == os.getpid():
            return False
        self._lock, self._loop, self._thread, self._pid = threading.Lock(), None, None, os.getpid()
        return True

    def close(self) -> None:
        """Cancel what is under way and end the thread, within about a second."""
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is None or thread is None:
            return
        loop.call_soon_threadsafe(loop.stop)
        if thread is not threading.current_thread():
            thread.join(END_SECONDS)

    @staticmethod
    def _run(loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
        finally:
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()


def is_cancelled() -> bool:
    """Tell whether the task itself is cancelled, rather than something that it has waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
