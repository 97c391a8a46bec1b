"""What is asked for candles that are missing: a source, behind the protocol `Coordinator`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from inspect import isawaitable, iscoroutinefunction
from typing import Any, Final, Protocol

from mdstore.core.arguments import bar_limit, positive_seconds, source_name
from mdstore.core.hole_reasons import Stated
from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import ms_to_datetime
from mdstore.errors import InvalidInputError
from mdstore.sources.sync.call_threads import CallThreads

__all__ = [
    "LATE_MS",
    "STRETCH_PAGES",
    "Coordinator",
    "FunctionCoordinator",
    "Limits",
    "Metrics",
    "Page",
    "Source",
    "cut",
    "refuse_endless",
]

LATE_MS: Final = 10_000
"""So long after its end a bar may yet be published: an answer without it does not say that there is none."""
STRETCH_PAGES: Final = 10
"""A source is asked for so many pages at a time: it may go through them by rows, where bars are few."""
SPARE_PAGES: Final = 10
"""So many pages more than bars may be empty ones, or such as overlap."""
Source = Callable[[str, str, int, int], Any | Awaitable[Any]]
"""Returns the candles of a symbol and timeframe in `[start, end)` (ms), in a form that a write takes."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a source can take: the bars of one page, the requests at a time, the seconds to wait for one."""

    page_bars: int = 200
    concurrency: int = 4
    timeout: float = 10.0


@dataclass(frozen=True, slots=True)
class Page:
    """What a source gave when it was asked for `[start, end)` (ms) of a series.

    `rows` is in any form that `store.write` takes, empty where there are none. `absent` is why bars are not
    there that are not among the rows, where the source knows. `clock` is what the clock of the source showed
    (ms), if it says so: what is final is told by that, where the clock of this machine is ahead.
    """

    start: int
    end: int
    rows: Any
    absent: Stated | None = None
    clock: int | None = None


@dataclass(frozen=True, slots=True)
class Metrics:
    """How a request went: what was asked for, the rows that came, how long it took, and what failed."""

    symbol: str
    timeframe: str
    start: int
    end: int
    rows: int
    milliseconds: float
    error: str = ""


class Coordinator(Protocol):
    """A source of candles that is asked only for what is missing. `name` is the `source` of what it gives."""

    @property
    def name(self) -> str:
        """What the source is called in `provenance` and `gaps`."""

    @property
    def limits(self) -> Limits:
        """What it can take."""

    def candles(self, symbol: str, timeframe: str, start: int, end: int) -> AsyncIterator[Page]:
        """Give the pages of a range (ms), each as it comes; raise what keeps them from coming."""

    def report(self, metrics: Metrics) -> None:
        """Be told how a request went."""


class FunctionCoordinator:
    """Candles by a function of one's own: `(symbol, timeframe, start, end)` in ms, plain or a coroutine.

    The function returns what there is in `[start, end)`, which holds at most `page_bars` bars: no more than
    your exchange gives at a time, or it is asked for the others once more. It raises what keeps it from
    knowing: None, a text or a page of errors is refused, and covers nothing. An empty list
    says that there are no bars. What it raises is of the series that was asked for, such as a symbol that is
    not known; an `OSError` (`ConnectionError`, `TimeoutError`), or what comes from one, is of the host.

    A plain function runs in a thread, `concurrency` at a time: give it a timeout of its own, since one that
    hangs keeps its thread. A coroutine function must not block. `timeout` is how long an answer is waited
    for.

    >>> source = FunctionCoordinator(lambda symbol, timeframe, start, end: [], name="nothing")
    >>> source.name, source.limits.page_bars
    ('nothing', 200)
    """

    def __init__(
        self,
        function: Source,
        *,
        name: str = "function",
        page_bars: int = 200,
        concurrency: int = 4,
        timeout: float = 10.0,
    ) -> None:
        if not callable(function):
            raise InvalidInputError(
                f"{function!r} cannot be called: give a function of (symbol, timeframe, start, end)"
            )
        source_name(name)
        self.name = name
        self.limits = Limits(
            bar_limit(page_bars, "page_bars", or_none=False),
            bar_limit(concurrency, "concurrency", of="requests", or_none=False),
            positive_seconds(timeout, "timeout", or_none=False),
        )
        self._function = function
        self._threads = CallThreads(self.limits.concurrency)

    async def candles(self, symbol: str, timeframe: str, start: int, end: int) -> AsyncIterator[Page]:
        """Ask the function for one page after the other, ascending."""
        for low, high in cut(Timeframe.parse(timeframe), start, end, self.limits.page_bars):
            yield Page(low, high, await self._ask(symbol, timeframe, low, high))

    def report(self, metrics: Metrics) -> None:
        """Take no note."""

    async def _ask(self, *asked: Any) -> Any:
        if iscoroutinefunction(self._function):
            return await self._function(*asked)
        answer = await asyncio.wrap_future(self._threads.submit(partial(self._function, *asked)))
        return await answer if isawaitable(answer) else answer


def refuse_endless(source: str, pages: int, timeframe: Timeframe, start: int, end: int) -> None:
    """Refuse that a range (ms) comes in more pages than it has bars: of such there is no end.

    Raises `InvalidInputError`.
    """
    if pages > timeframe.span(start, end) + SPARE_PAGES:
        raise InvalidInputError(
            f"{source} gave {pages:,} pages of {timeframe} [{ms_to_datetime(start)}, {ms_to_datetime(end)}), "
            "which has fewer bars: it does not end"
        )


def cut(timeframe: Timeframe, start: int, end: int, most: int) -> list[tuple[int, int]]:
    """Cut `[start, end)` (ms) into ranges of at most `most` bars, ascending.

    >>> cut(Timeframe.parse("1m"), 0, 300_000, 2)
    [(0, 120000), (120000, 240000), (240000, 300000)]
    """
    if timeframe.ms is not None:
        step = most * timeframe.ms
        return [(low, min(low + step, end)) for low in range(start, end, step)]
    ranges, low = [], start
    while low < end:
        high = low
        for _ in range(most):
            high = timeframe.next(high)
        ranges.append((low, min(high, end)))
        low = high
    return ranges
