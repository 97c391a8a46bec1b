"""Calls of a user's function, in threads that nobody has to wait for: not even the interpreter at its end."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from typing import Any

from mdstore.errors import SourceError

__all__ = ["CallThreads"]

Call = Callable[[], Any]
WAITING = 10_000
"""So many calls wait at most: more than a market has symbols, each of which may ask a router at once."""


class CallThreads:
    """Makes calls, at most so many at a time; the others wait, `waiting` at most, until they are cancelled.

    A thread ends when there is nothing more to call, so there is nothing to shut down. All are daemons: a
    pool of `concurrent.futures` is joined as the interpreter ends, which a call that hangs keeps it from.
    """

    def __init__(self, most: int, *, waiting: int = WAITING) -> None:
        self._most, self._most_waiting = most, waiting
        self._begin()

    def submit(self, call: Call) -> Future[Any]:
        """Make a call, in the context of who asks for it; its future tells what came of it.

        Raises `SourceError` where too many wait: those that are made hang, or too much is asked.
        """
        if self._pid != os.getpid():
            self._begin()  # the threads are the parent's
        future: Future[Any] = Future()
        context = copy_context()
        with self._lock:
            starts = self._running < self._most
            if not starts and len(self._waiting) >= self._most_waiting:
                raise SourceError(
                    f"{len(self._waiting):,} calls of a source wait for those that are under way, at most "
                    f"{self._most:,} at a time: this one was not made",
                    hint="give the source a timeout of its own, so that none hangs, or ask for less at once",
                )
            self._waiting[future] = lambda: context.run(call)
            self._running += starts
        future.add_done_callback(self._leave_out)
        if starts:
            threading.Thread(target=self._work, name="mdstore-source-call", daemon=True).start()
        return future

    def _begin(self) -> None:
        self._pid, self._lock = os.getpid(), threading.Lock()
        self._waiting: dict[Future[Any], Call] = {}
        self._running = 0

    def _leave_out(self, future: Future[Any]) -> None:
        """Forget a call that was cancelled as it waited, and with it all that it holds."""
        if future.cancelled():
            with self._lock:
                self._waiting.pop(future, None)

    def _work(self) -> None:
        while (one := self._next()) is not None:
            future, call = one
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call())
                except BaseException as error:  # sys.exit, too, is what came of it
                    future.set_exception(error)
            del call, future, one  # a large answer is nobody's while the next call hangs

    def _next(self) -> tuple[Future[Any], Call] | None:
        with self._lock:
            for future in self._waiting:
                return future, self._waiting.pop(future)
            self._running -= 1
            return None
