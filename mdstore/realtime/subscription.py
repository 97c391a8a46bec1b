"""Rows as they come: for a callback in a thread of its own, a `for`, or an `async for`."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar

__all__ = ["OVERFLOWS", "Overflow", "Queue", "Subscription"]

Overflow = Literal["drop", "latest", "block"]
OVERFLOWS = ("drop", "latest", "block")
R = TypeVar("R")
# Importing Polars makes a signal restart a wait, so that Ctrl-C needs waits that end by themselves.
WAKE_SECONDS = 0.05
POLL_SECONDS = 0.0005
TURN_ROWS = 256
"""After this many rows without a pause an async consumer lets other tasks have a turn."""


class _Worker(threading.Thread):
    """A thread that calls a callback."""


class Queue:
    """The rows that wait for one consumer; the table holds it, and only as long as there is a consumer."""

    def __init__(
        self, symbols: Collection[str] | None, overflow: Overflow, buffer: int, patience: float
    ) -> None:
        self.received = 0
        self.dropped = 0
        self.is_closed = False
        self.consumer = 0
        """The thread that takes rows, by its number."""
        self.worker: threading.Thread | None = None
        """The thread that calls the callback, if there is one."""
        self._symbols = None if symbols is None else frozenset(symbols)
        self._overflow = overflow
        self._buffer = buffer
        self._patience = patience
        self._rows: deque[Any] = deque()
        self._newest: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._event = threading.Event()
        self._waiter: tuple[asyncio.AbstractEventLoop, asyncio.Future[None]] | None = None

    def __len__(self) -> int:
        return len(self._newest if self._overflow == "latest" else self._rows)

    def offer(self, row: Any) -> bool:
        """Take a row, in the thread of the feed; never waits. False says that nobody is there any more."""
        if self.is_closed:
            return False
        if self._symbols is not None and row.symbol not in self._symbols:
            return True
        with self._lock:
            self.received += 1
            if self._overflow == "latest":
                self.dropped += self._newest.pop(row.symbol, None) is not None
                self._newest[row.symbol] = row
            else:
                self._rows.append(row)
                if self._overflow == "drop" and len(self._rows) > self._buffer:
                    self._rows.popleft()
                    self.dropped += 1
        self._wake()
        return True

    def wait_for_room(self) -> None:
        """Wait until the consumer has caught up, where it asked for that, for as long as its patience."""
        if self._overflow != "block" or len(self._rows) <= self._buffer:
            return
        deadline = time.monotonic() + (0.0 if self._is_in_vain() else self._patience)
        while len(self._rows) > self._buffer and not self.is_closed and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        with self._lock:
            while len(self._rows) > self._buffer and not self.is_closed:
                self._rows.popleft()
                self.dropped += 1

    def take(self) -> Any | None:
        """Return the next row, None where there is none yet."""
        with self._lock:
            if self._rows:
                return self._rows.popleft()
            if self._newest:
                return self._newest.pop(next(iter(self._newest)))
            if not self.is_closed:
                self._event.clear()
            return None

    def drain(self) -> list[Any]:
        """Return all that waits."""
        with self._lock:
            rows = [*self._rows, *self._newest.values()]
            self._rows.clear()
            self._newest.clear()
        return rows

    def await_row(self, seconds: float) -> None:
        """Wait for a row, or the end, in a thread."""
        self._event.wait(seconds)

    async def arrival(self) -> None:
        """Wait for a row, or the end, in a task."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        with self._lock:
            # Rows that came between the last look and this wait have woken nobody.
            if self._rows or self._newest or self.is_closed:
                return
            self._waiter = (loop, future)
        try:
            await future
        finally:
            with self._lock:
                if self._waiter is not None and self._waiter[1] is future:
                    self._waiter = None

    def end(self) -> None:
        """Say that no more will come."""
        self.is_closed = True
        self._wake()

    def join(self, timeout: float | None = None) -> None:
        """Wait until the callback has had what waits, for at most `timeout` seconds."""
        if isinstance(threading.current_thread(), _Worker):
            return  # two callbacks that close each other would wait for ever
        worker = self.worker
        deadline = None if timeout is None else time.monotonic() + timeout
        while worker is not None and worker.is_alive():
            if deadline is not None and time.monotonic() >= deadline:
                return
            worker.join(WAKE_SECONDS)

    def _is_in_vain(self) -> bool:
        """Tell whether the thread that would wait is the one that has to make room."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return threading.get_ident() == self.consumer
        return True

    def _wake(self) -> None:
        if not self._event.is_set():
            self._event.set()
        if self._waiter is None:
            return
        with self._lock:
            waiter, self._waiter = self._waiter, None
        if waiter is not None:
            with suppress(RuntimeError):  # its event loop has ended, and the feed goes on
                waiter[0].call_soon_threadsafe(_finish, waiter[1])


class Subscription(Generic[R]):
    """Rows that were kept from the moment of subscribing on, as they came; those of a frame symbol by symbol.

    Made by `subscribe`. Up to `buffer` rows wait for the consumer; how it goes on from there is its choice:
    "drop" lets the oldest go and counts them in `dropped`; "latest" keeps only the newest of each symbol all
    the time; "block" makes the thread that pushes wait, for at most `patience` seconds a push, then drops
    (and drops at once where waiting cannot help: in an event loop, or in the consumer's own thread). It ends
    by `close()`, when nobody holds it any more, or when the store is closed, once what waits has been
    consumed. One consumer each.
    """

    def __init__(
        self,
        queue: Queue,
        callback: Callable[[R], object] | None,
        leave: Callable[[Queue], None],
    ) -> None:
        self.error: BaseException | None = None
        """What the callback raised; it ended the subscription."""
        self._queue = queue
        self._leave = leave
        self._turn = 0
        self._is_left = False
        if callback is not None:
            queue.worker = _Worker(
                target=self._run, args=(callback,), name="mdstore-subscription", daemon=True
            )
            queue.worker.start()

    @property
    def received(self) -> int:
        """The number of rows that came for it."""
        return self._queue.received

    @property
    def dropped(self) -> int:
        """The number of rows that it was too slow for."""
        return self._queue.dropped

    @property
    def waiting(self) -> int:
        """The number of rows that wait for the consumer."""
        return len(self._queue)

    def drain(self) -> list[R]:
        """Return what waits, without waiting for more."""
        return self._queue.drain()

    def get(self, timeout: float | None = None) -> R | None:
        """Return the next row, waiting up to `timeout` seconds; None where there is none, or it has ended."""
        deadline = None if timeout is None else time.monotonic() + timeout
        queue = self._queue
        queue.consumer = threading.get_ident()
        while True:
            closed = queue.is_closed
            row: R | None = queue.take()
            if row is not None or closed:
                return row
            left = WAKE_SECONDS if deadline is None else min(WAKE_SECONDS, deadline - time.monotonic())
            if left <= 0:
                return None
            queue.await_row(left)

    def __iter__(self) -> Iterator[R]:
        while (row := self.get()) is not None:
            yield row

    async def __aiter__(self) -> AsyncIterator[R]:
        queue = self._queue
        while True:
            closed = queue.is_closed
            row = queue.take()
            if row is None:
                if closed:
                    return
                await queue.arrival()
                continue
            yield row
            self._turn += 1
            if self._turn % TURN_ROWS == 0:
                await asyncio.sleep(0)

    def close(self) -> None:
        """End it. What waits can still be consumed; a callback is waited for, and its error raised.

        A callback that closes its own subscription is not called again.
        """
        self._is_left = threading.current_thread() is self._queue.worker
        self._leave(self._queue)
        self._queue.end()
        self._queue.join()
        error, self.error = self.error, None
        if error is not None:
            raise error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)

    def __del__(self) -> None:
        # Without the lock: the garbage collector may run while the table holds it. The table drops the queue
        # when it next has a row for it.
        queue = getattr(self, "_queue", None)
        if queue is not None:
            queue.is_closed = True

    def __repr__(self) -> str:
        state = "closed" if self._queue.is_closed else f"{self.waiting:,} waiting"
        return f"<Subscription: {self.received:,} received, {self.dropped:,} dropped, {state}>"

    def _run(self, callback: Callable[[R], object]) -> None:
        try:
            for row in self:
                if self._is_left:
                    break
                callback(row)
        except BaseException as error:
            self.error = error
            self._leave(self._queue)
            self._queue.end()
            raise


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
