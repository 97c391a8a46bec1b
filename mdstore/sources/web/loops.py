"""What an event loop has of its own, closed when the loop ends.

A source that is given to a store or a service is asked in their loops, and nobody who could close its
connections there knows of them. An asynchronous generator that waits at its `yield` is ended with its loop
(`shutdown_asyncgens`, as `asyncio.run` calls it), and by then what it holds is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Generic, TypeVar

__all__ = ["OfLoops"]

T = TypeVar("T")


class OfLoops(Generic[T]):
    """One thing for each event loop, made by `make` when it is first wanted there, and closed by `close`."""

    def __init__(self, make: Callable[[], T], close: Callable[[T], Awaitable[object]]) -> None:
        self._make, self._close = make, close
        # By loop, which what is held knows as a rule: weak references alone let none of a thousand loops go.
        self._held: dict[asyncio.AbstractEventLoop, tuple[T, AsyncGenerator[None]]] = {}

    async def here(self) -> T:
        """Return that of the loop that runs."""
        loop = asyncio.get_running_loop()
        if loop not in self._held:
            self._let_go()
            made = self._make()
            until_over = self._until_over(made)
            self._held[loop] = made, until_over
            await anext(until_over)
        return self._held[loop][0]

    async def close(self) -> None:
        """Close that of the loop that runs. It is made again if it is wanted again."""
        _, until_over = self._held.pop(asyncio.get_running_loop(), (None, None))
        if until_over is not None:
            await until_over.aclose()

    def _let_go(self) -> None:
        """Forget what is of loops that were closed without a word to it."""
        for loop in [one for one in list(self._held) if one.is_closed()]:
            self._held.pop(loop, None)

    async def _until_over(self, made: T) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            self._held.pop(asyncio.get_running_loop(), None)
            await self._close(made)
