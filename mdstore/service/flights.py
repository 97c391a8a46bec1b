"""What is under way is joined, not begun again; when the last who waits for it gives up, it is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

__all__ = ["Flights"]

T = TypeVar("T")


class Flights(Generic[T]):
    """Coroutines under way in one event loop, by what they are for."""

    def __init__(self) -> None:
        self._by_key: dict[Hashable, _Flight[T]] = {}

    async def join(self, key: Hashable, begin: Callable[[Callable[[], None]], Coroutine[Any, Any, T]]) -> T:
        """Return what the coroutine of a key gives; it is begun unless it is under way.

        `begin` is given what to call before anything is read that may change: nobody joins after that. Who
        asks later has perhaps written meanwhile, and would be given the bars from before that.
        """
        flight = self._by_key.get(key)
        if flight is None:
            task = asyncio.create_task(begin(lambda: self._depart(key, task)))
            flight = self._by_key[key] = _Flight(task)
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if flight.task.done() or not flight.waiting:
                flight.task.cancel()  # of one that is done it changes nothing
                self._depart(key, flight.task)

    def _depart(self, key: Hashable, task: asyncio.Task[T]) -> None:
        """Let nobody join any more; whoever has joined waits on."""
        flight = self._by_key.get(key)
        if flight is not None and flight.task is task:
            del self._by_key[key]


class _Flight(Generic[T]):
    """A task, and how many wait for it."""

    __slots__ = ("task", "waiting")

    def __init__(self, task: asyncio.Task[T]) -> None:
        self.task = task
        self.waiting = 0
