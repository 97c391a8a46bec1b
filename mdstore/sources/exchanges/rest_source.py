"""What the REST interfaces of exchanges have in common, as sources of candles."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, Literal

from mdstore.core.timeframe import DAY, Timeframe
from mdstore.errors import Hint, SourceError
from mdstore.sources.sync.candle_source import Market, Wait, refuse_others
from mdstore.sources.sync.coordinator import LATE_MS, STRETCH_PAGES, Limits, Metrics, Page, cut
from mdstore.sources.web.answers import Answer, is_json
from mdstore.sources.web.host import Host, host_of

__all__ = ["LEFT_MS", "RestSource", "are_on_grid", "closed_until", "on_grid", "page_end", "refused", "told"]

LEFT_MS: Final = 7 * DAY
"""A market without a trade for so long may be one that is no more: the list of markets tells."""
LISTED_SECONDS: Final = 600.0
"""The list of markets is asked for again after so long: one that was halted is traded again, say."""
REQUEST: Final = "see whether symbol, timeframe and times are such as it has"
ADDRESS: Final = Hint(
    "see whether base_url is the address of its API", "see whether --base-url is the address of its API"
)


class RestSource:
    """A source of candles that asks one host, or several."""

    name: str
    limits: Limits
    timeframes: Sequence[str]
    settles: int
    timer = staticmethod(time.monotonic)
    proves_pages: Literal[True] = True

    def __init__(self, clients: Sequence[Host]) -> None:
        self._clients = clients
        self._listed: tuple[float, frozenset[str]] | None = None

    async def candles(self, symbol: str, timeframe: str, start: int, end: int) -> AsyncIterator[Page]:
        """Give the pages of a range (ms). Times before 1970, which no exchange takes, are not asked for."""
        frame = self._timeframe(timeframe)
        start, end = on_grid(frame, start, end)
        begins = min(max(start, frame.next(-1)), end)
        if start < begins:
            await self.first(symbol, timeframe)  # of a market that is not there nothing is to be said
            yield Page(start, begins, [], "before_listing")
        if begins < end:
            async for page in self._candles(symbol, frame, begins, end):
                yield page

    def _candles(self, symbol: str, frame: Timeframe, start: int, end: int) -> AsyncIterator[Page]:
        """Give the pages of a range (ms) of whole bars."""
        raise NotImplementedError

    @property
    def requests(self) -> int:
        """The requests that were sent, those that were sent again among them."""
        return sum(client.requests for client in self._clients)

    @property
    def rests(self) -> float:
        """For how many seconds its first host, which has answered before, is left alone."""
        return self._clients[0].breaker.rests

    @property
    def clock(self) -> int | None:
        """What the clock of its first host shows (ms); None where that is not known."""
        return self._clients[0].clock

    @property
    def offline(self) -> bool:
        """Whether nobody is asked at all."""
        return all(client.offline for client in self._clients)

    def stretches(self, timeframe: str, start: int, end: int) -> list[tuple[int, int]]:
        """Cut a range (ms) into those that it is best asked for, ascending."""
        return cut(Timeframe.parse(timeframe), start, end, self.limits.page_bars * STRETCH_PAGES)

    def report(self, metrics: Metrics) -> None:
        """Take no note."""

    async def aclose(self) -> None:
        """Close the connections."""
        for client in self._clients:
            await client.aclose()

    async def markets(self) -> list[Market]:
        """List what is traded."""
        raise NotImplementedError

    async def first(self, symbol: str, timeframe: str) -> int | None:
        """Return when the oldest bar of a series starts (ms); None where that cannot be known."""
        raise NotImplementedError

    async def _is_listed(self, symbol: str) -> bool:
        """Tell whether a market is one that is there yet, by a list that is not old."""
        if self._listed is None or self.timer() - self._listed[0] > LISTED_SECONDS:
            self._listed = self.timer(), await self._symbols()
        return symbol in self._listed[1]

    async def _symbols(self) -> frozenset[str]:
        """Return the markets that are there yet, which need not be traded at the moment."""
        return frozenset(market.symbol for market in await self.markets())

    def _timeframe(self, timeframe: str) -> Timeframe:
        """Return a timeframe that the exchange has. Raises `TimeframeError` for another."""
        parsed = Timeframe.parse(timeframe)
        refuse_others(self.name, self.timeframes, [parsed])
        return parsed


def told(address: str, on_wait: Callable[[Wait], None] | None) -> Callable[[str, float], None]:
    """Return what a client of an address is to call when it waits."""
    host = host_of(address)

    def tell(reason: str, seconds: float) -> None:
        if on_wait is not None:
            on_wait(Wait(host, reason, seconds))

    return tell


def refused(name: str, answer: Answer, said: str) -> SourceError:
    """Return the error of a request that was refused: by an exchange, or by what is no exchange at all."""
    of_exchange = is_json(answer)
    return SourceError(
        f"{name} refused what it was asked ({answer.status}): {said}",
        hint=REQUEST if of_exchange else ADDRESS,
        of_host=not of_exchange,
    )


def on_grid(timeframe: Timeframe, *times: int) -> list[int]:
    """Return the start of the first bar at each time (ms), or after it."""
    return [timeframe.next(time - 1) for time in times]


def are_on_grid(timeframe: Timeframe, times: Sequence[int]) -> bool:
    """Tell whether bars start at all of some times (ms): at once, as for 1,000 it takes 0.2 ms."""
    if timeframe.ms is None:
        return all(timeframe.floor(time) == time for time in times)
    step = timeframe.ms
    return {time % step for time in times} <= {timeframe.floor(0) % step}


def closed_until(timeframe: Timeframe, clock: int) -> int:
    """Return the start of the bar that is forming when an exchange's clock shows `clock` (ms)."""
    return timeframe.floor(clock)


def page_end(timeframe: Timeframe, end: int, clock: int, last: int | None) -> int:
    """Return up to where an answer proves what there is, at most `end`.

    `clock` is the exchange's, `last` the newest closed bar that came (all ms). Behind it bars may be late.
    """
    settled = timeframe.floor(clock - LATE_MS)
    proven = settled if last is None else max(timeframe.next(last), settled)
    return min(end, proven)
