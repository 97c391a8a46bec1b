"""Rows as they come: for a callback in a thread of its own, a `for`, or an `async for`."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from types import TracebackType
from typing import Any, Literal, Self

__all__ = ["Overflow", "Subscription"]

Overflow = Literal["drop", "latest", "block"]
OVERFLOWS = ("drop", "latest", "block")
# Importing Polars makes a signal restart a wait, so that Ctrl-C needs waits that end by themselves.
WAKE_SECONDS = 0.05
TURN_ROWS = 256
"""After so many rows without a pause an async consumer lets other tasks have a turn."""


class Subscription:
    """Rows that were kept from the moment of subscribing on, in the order in which they came.

    Made by `subscribe`. Up to `buffer` rows wait for the consumer; how it goes on from there is its choice:
    "drop" lets the oldest go and counts them in `dropped`; "latest" keeps only the newest of each symbol all
    the time; "block" makes whoever pushes wait, for at most `patience` seconds a push, then drops. It ends by
    `close()`, or when the store is closed, once what waits has been consumed. One consumer each.
    """

    def __init__(
        self,
        *,
        symbols: Collection[str] | None,
        overflow: Overflow,
        buffer: int,
        patience: float,
        callback: Callable[[Any], object] | None,
        leave: Callable[[Subscription], None],
    ) -> None:
        self.symbols = None if symbols is None else frozenset(symbols)
        self.overflow = overflow
        self.buffer = buffer
        self.patience = patience
        self.received = 0
        self.dropped = 0
        self.error: BaseException | None = None
        """What the callback raised; it ended the subscription."""
        self._rows: deque[Any] = deque()
        self._newest: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._event = threading.Event()
        self._waiter: tuple[asyncio.AbstractEventLoop, asyncio.Future[None]] | None = None
        self._turn = 0
        self._leave = leave
        self._closed = False
        self._thread: threading.Thread | None = None
        if callback is not None:
            self._thread = threading.Thread(
                target=self._run, args=(callback,), name="mdstore-subscription", daemon=True
            )
            self._thread.start()

    @property
    def waiting(self) -> int:
        """The number of rows that wait for the consumer."""
        return len(self._newest if self.overflow == "latest" else self._rows)

    # ---- for the table

    def offer(self, row: Any) -> None:
        """Take a row, in the thread of the feed; never waits."""
        if self.symbols is not None and row.symbol not in self.symbols:
            return
        with self._lock:
            if self._closed:
                return
            self.received += 1
            if self.overflow == "latest":
                self.dropped += self._newest.pop(row.symbol, None) is not None
                self._newest[row.symbol] = row
            else:
                self._rows.append(row)
                if self.overflow == "drop" and len(self._rows) > self.buffer:
                    self._rows.popleft()
                    self.dropped += 1
        self._wake()

    def wait_for_room(self) -> None:
        """Wait until the consumer has caught up, where it asked for that, for as long as its patience."""
        if self.overflow != "block" or len(self._rows) <= self.buffer:
            return
        if threading.current_thread() is self._thread:
            return  # what the callback pushes itself, nobody would make room for
        deadline = time.monotonic() + self.patience
        while len(self._rows) > self.buffer and not self._closed and time.monotonic() < deadline:
            time.sleep(0.0005)
        with self._lock:
            while len(self._rows) > self.buffer and not self._closed:
                self._rows.popleft()
                self.dropped += 1

    # ---- for the consumer

    def drain(self) -> list[Any]:
        """Return what waits, without waiting for more."""
        with self._lock:
            rows = [*self._rows, *self._newest.values()]
            self._rows.clear()
            self._newest.clear()
            self._event.clear()
        return rows

    def get(self, timeout: float | None = None) -> Any | None:
        """Return the next row, waiting up to `timeout` seconds; None where there is none, or it has ended."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            row = self._take()
            if row is not None or self._closed:
                return row if row is not None else self._take()
            left = WAKE_SECONDS if deadline is None else min(WAKE_SECONDS, deadline - time.monotonic())
            if left <= 0:
                return None
            self._event.wait(left)

    def __iter__(self) -> Iterator[Any]:
        while (row := self.get()) is not None:
            yield row

    async def __aiter__(self) -> AsyncIterator[Any]:
        while True:
            row = self._take()
            if row is None:
                if self._closed:
                    return
                await self._arrival()
                continue
            yield row
            self._turn += 1
            if self._turn % TURN_ROWS == 0:
                await asyncio.sleep(0)

    def close(self) -> None:
        """End it. What waits can still be consumed; a callback is waited for, and its error raised."""
        self._leave(self)
        self.end()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            while thread.is_alive():
                thread.join(WAKE_SECONDS)
        error, self.error = self.error, None
        if error is not None:
            raise error

    def end(self) -> None:
        """Say that no more will come."""
        with self._lock:
            self._closed = True
        self._wake()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take(self) -> Any | None:
        with self._lock:
            if self._rows:
                return self._rows.popleft()
            if self._newest:
                return self._newest.pop(next(iter(self._newest)))
            if not self._closed:
                self._event.clear()
            return None

    def _wake(self) -> None:
        if not self._event.is_set():
            self._event.set()
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            try:
                waiter[0].call_soon_threadsafe(_finish, waiter[1])
            except RuntimeError:  # its event loop has ended, and the feed goes on
                self._closed = True

    async def _arrival(self) -> None:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._waiter = (loop, future)
        # What came between the last look and the line above woke nobody.
        if self.waiting or self._closed:
            self._waiter = None
            return
        await future

    def _run(self, callback: Callable[[Any], object]) -> None:
        try:
            for row in self:
                callback(row)
        except BaseException as error:
            self.error = error
            self._leave(self)
            self.end()
            raise


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
