"""Calls of a user's function, in threads that nobody has to wait for: not even the interpreter at its end."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from typing import Any

__all__ = ["CallThreads"]

Call = tuple[Callable[[], Any], "Future[Any]"]


class CallThreads:
    """Makes calls, at most so many at a time; the others wait, and are left out if they are cancelled.

    A thread ends when there is nothing more to call, so there is nothing to shut down. All are daemons: a
    pool of `concurrent.futures` is joined as the interpreter ends, which a call that hangs keeps it from.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._begin()

    def submit(self, call: Callable[[], Any]) -> Future[Any]:
        """Make a call, in the context of who asks for it; its future tells what came of it."""
        if self._pid != os.getpid():
            self._begin()  # the threads are the parent's
        future: Future[Any] = Future()
        context = copy_context()
        with self._lock:
            self._waiting.append((lambda: context.run(call), future))
            if self._running >= self._most:
                return future
            self._running += 1
        threading.Thread(target=self._work, name="mdstore-source-call", daemon=True).start()
        return future

    def _begin(self) -> None:
        self._pid, self._lock = os.getpid(), threading.Lock()
        self._waiting, self._running = deque[Call](), 0

    def _work(self) -> None:
        while (one := self._next()) is not None:
            call, future = one
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call())
                except BaseException as error:  # sys.exit, too, is what came of it
                    future.set_exception(error)
            del call, future, one  # a large answer is nobody's while the next call hangs

    def _next(self) -> Call | None:
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._running -= 1
            return None
