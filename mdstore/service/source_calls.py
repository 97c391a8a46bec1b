"""A source's own code runs in a loop of its own: whatever it does there, a service goes on.

A coroutine that blocks (`time.sleep`, `requests`) holds its loop. It holds nothing of the service, and what
waits for it is told so once its time is over. A source that asks the service which waits for it would wait
for itself: that is noticed, and refused.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, TypeVar

from mdstore.core.timeframe import Timeframe
from mdstore.errors import InvalidInputError
from mdstore.sources.sync.background import Background, is_cancelled
from mdstore.sources.sync.call_threads import CallThreads
from mdstore.sources.sync.coordinator import Coordinator, Metrics, Page, refuse_endless

__all__ = ["SourceCalls", "is_cancelled"]

T = TypeVar("T")
Came = tuple[Any, BaseException | None]
"""What a call gave, and what it raised: a loop ends by what `sys.exit` raises in it."""
END = object()
EARLY = 0.75
"""After this share of the time it is looked whether the loop goes on, or is held by something."""
REPORT_SECONDS = 0.2
"""How long it is waited for a source to take note of how a request went."""
ROUTER_CALLS, ROUTER_SECONDS = 4, 1.0
"""A router answers from memory: one that has not by then hangs, and keeps one of so many threads."""
HELD = ": it holds its event loop; is it an `async def` that blocks? A plain function runs in a thread"

_asking: ContextVar[tuple[SourceCalls, ...]] = ContextVar("_asking", default=())


class SourceCalls:
    """Calls of one service's source and router."""

    def __init__(self) -> None:
        self._loop = Background("mdstore-source")
        self._threads = CallThreads(ROUTER_CALLS)

    def refuse_itself(self) -> None:
        """Raise `InvalidInputError` in a call of the source or router of this service."""
        if self in _asking.get():
            raise InvalidInputError(
                "a source or router asked the service that waits for it: both would wait for ever",
                hint="read the store in it, or a service that has not this source",
            )

    async def routed(self, call: Callable[[], T]) -> T:
        """Make a call of the router."""
        with self._calling():
            future = asyncio.wrap_future(self._threads.submit(call))
        try:
            async with asyncio.timeout(ROUTER_SECONDS):
                return await future  # type: ignore[no-any-return]  # what the call gives
        except TimeoutError:
            raise TimeoutError(f"no answer within {ROUTER_SECONDS:g} s") from None

    @contextmanager
    def _calling(self) -> Iterator[None]:
        """Know of what is begun in here that it is done for this service."""
        token = _asking.set((*_asking.get(), self))
        try:
            yield
        finally:
            _asking.reset(token)

    async def pages(
        self, source: Coordinator, asked: tuple[str, str, int, int], seconds: float
    ) -> AsyncGenerator[Page, None]:
        """Give the pages of a range, each of which must come within so many seconds."""
        pages, given = _Pages(lambda: source.candles(*asked)), 0
        try:
            while (page := await self._within(seconds, pages.next)) is not END:
                given += 1
                refuse_endless(source.name, given, Timeframe.parse(asked[1]), *asked[2:])
                yield page
        finally:
            self._submit(pages.close)

    async def report(self, source: Coordinator, metrics: Metrics) -> None:
        """Tell a source how a request went; what it makes of that is its own affair."""

        async def tell() -> None:
            source.report(metrics)

        with suppress(TimeoutError):
            async with asyncio.timeout(REPORT_SECONDS):
                await asyncio.wrap_future(self._submit(tell))

    def close(self) -> None:
        """End what is under way; what holds the loop ends with the process at last."""
        self._loop.close()

    async def _within(self, seconds: float, call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        future, goes_on = asyncio.wrap_future(self._submit(call)), threading.Event()
        try:
            await asyncio.wait((future,), timeout=EARLY * seconds)
            if not future.done():
                self._loop.loop.call_soon_threadsafe(goes_on.set)
                await asyncio.wait((future,), timeout=(1 - EARLY) * seconds)
            if not future.done():
                raise TimeoutError(f"no answer within {seconds:g} s{'' if goes_on.is_set() else HELD}")
        finally:
            future.cancel()  # of one that is done it changes nothing
        value, error = future.result()
        if error is not None:
            raise error
        return value

    def _submit(self, call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        with self._calling():
            return self._loop.submit(_caught(call))


class _Pages:
    """The pages of one request, in the loop of the source; it is begun there, too."""

    def __init__(self, begin: Callable[[], AsyncIterator[Page]]) -> None:
        self._begin = begin
        self._pages: AsyncIterator[Page] | None = None

    async def next(self) -> Any:
        if self._pages is None:
            self._pages = aiter(self._begin())
        return await anext(self._pages, END)

    async def close(self) -> None:
        close = getattr(self._pages, "aclose", None)
        if close is not None:
            await close()


async def _caught(call: Callable[[], Coroutine[Any, Any, Any]]) -> Came:
    try:
        return await call(), None
    except BaseException as error:
        if isinstance(error, asyncio.CancelledError) and is_cancelled():
            raise
        return None, error
