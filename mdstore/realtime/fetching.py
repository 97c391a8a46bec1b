"""What a function of the user's gives, also where it is a coroutine, for a thread that waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from inspect import isawaitable
from typing import Any

from mdstore.errors import StoreClosedError

__all__ = ["each_of", "result_of"]

LOOK_SECONDS = 0.2


def result_of(answer: Any, loop: asyncio.AbstractEventLoop | None, is_over: Callable[[], bool]) -> Any:
    """Return an answer, or what it gives: in `loop` if there is one, else in one of its own.

    Raises `StoreClosedError` where `is_over` says that nobody waits for it any more.
    """
    if not isawaitable(answer):
        return answer
    if loop is None:
        return asyncio.run(_awaited(answer))
    future: Future[Any] = asyncio.run_coroutine_threadsafe(_awaited(answer), loop)
    while not (is_over() or loop.is_closed()):
        try:
            return future.result(LOOK_SECONDS)
        except TimeoutError:
            if future.done():
                raise
    future.cancel()
    raise StoreClosedError("nobody waits any more for what was to be fetched")


def each_of(
    given: AsyncGenerator[Any], loop: asyncio.AbstractEventLoop | None, is_over: Callable[[], bool]
) -> Iterator[Any]:
    """Yield what an asynchronous generator gives, as it comes: see `result_of`."""
    with asyncio.Runner() as own:

        def wait(answer: Awaitable[Any]) -> Any:
            return own.run(_awaited(answer)) if loop is None else result_of(answer, loop, is_over)

        try:
            while (one := wait(anext(given, None))) is not None:
                yield one
        finally:
            if not is_over():  # the loop that ends closes it
                wait(given.aclose())


async def _awaited(answer: Awaitable[Any]) -> Any:
    return await answer
