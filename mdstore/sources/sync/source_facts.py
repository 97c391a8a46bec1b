"""What a source says of itself: an exchange says more than a `Coordinator` has to."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast

from mdstore.core.timeframe import Timeframe
from mdstore.errors import MarketDataError
from mdstore.sources.sync.background import is_cancelled
from mdstore.sources.sync.coordinator import STRETCH_PAGES, Coordinator, cut

if TYPE_CHECKING:
    from mdstore.sources.sync.candle_source import CandleSource, Market

__all__ = ["SourceFacts", "said_of"]

LEFT_SECONDS: Final = 600.0
"""A market that was delisted is asked for again after so long, by a sync that goes on: it may be back."""


def said_of(error: BaseException) -> MarketDataError:
    """Return what a source has raised as one of our errors."""
    return (
        error if isinstance(error, MarketDataError) else MarketDataError(f"{type(error).__name__}: {error}")
    )


class SourceFacts:
    """The facts of one source, each asked for once."""

    def __init__(self, source: Coordinator, *, offline: bool = False) -> None:
        self.offline = offline
        """Whether nobody is asked."""
        self._source = source
        self._exchange = cast("CandleSource", source) if getattr(source, "proves_pages", False) else None
        self._asked = 0
        self._told = self._sent
        self._markets: asyncio.Task[dict[str, Market]] | None = None
        self._left: dict[str, float] = {}

    @property
    def proves(self) -> bool:
        """Whether the source proves its own pages."""
        return self._exchange is not None

    @property
    def settles(self) -> int:
        """So many of the latest bars may yet be amended."""
        return 0 if self._exchange is None else self._exchange.settles

    @property
    def pace(self) -> float | None:
        """The requests a second that it takes, where that is known."""
        return None if self._exchange is None else self._exchange.pace

    @property
    def name(self) -> str:
        """What it is called."""
        return self._source.name

    @property
    def rests(self) -> float:
        """For how many seconds nothing is asked, since its host has failed again and again."""
        return 0.0 if self._exchange is None else self._exchange.rests

    @property
    def clock(self) -> int | None:
        """What its clock shows (ms), where it says so besides its pages."""
        clock: int | None = getattr(self._exchange, "clock", None)
        return clock if type(clock) is int else None

    @property
    def requests(self) -> int:
        """The requests since they were told last; of a source that does not count them, its pages."""
        return self._sent - self._told

    @property
    def _sent(self) -> int:
        return self._asked if self._exchange is None else self._exchange.requests

    def told(self) -> None:
        """Take note that the requests so far were told."""
        self._told = self._sent

    def stretches(self, timeframe: Timeframe, start: int, end: int) -> list[tuple[int, int]]:
        """Cut a range (ms) as the source is best asked for it: by the files it has, or by pages."""
        if self._exchange is not None:
            return self._exchange.stretches(str(timeframe), start, end)
        return cut(timeframe, start, end, self._source.limits.page_bars * STRETCH_PAGES)

    def count(self) -> None:
        """Take note that it is asked for a page."""
        self._asked += 1

    async def first(self, symbol: str, timeframe: str) -> int | None:
        """Return since when it has a series (ms); None where that cannot be known."""
        if self._exchange is None:
            return None
        try:
            return await self._exchange.first(symbol, timeframe)
        except BaseException as error:  # somebody else's code, which may exit, too
            if isinstance(error, asyncio.CancelledError) and is_cancelled():
                raise
            raise said_of(error) from error

    async def others(self, symbol: str) -> list[str]:
        """Return what is traded in place of a symbol that is not; nothing for one that is, or if unknown."""
        if self._exchange is None:
            return []
        with suppress(Exception):  # it is asked besides, and what was asked has failed already
            markets = await self.markets()
            return [] if symbol in markets else list(markets)
        return []

    async def markets(self) -> dict[str, Market]:
        """Return what is traded, by symbol."""
        assert self._exchange is not None  # noqa: S101 - nobody else has markets; for mypy
        if self._markets is None:
            self._markets = asyncio.ensure_future(self._listed(self._exchange))
        return await asyncio.shield(self._markets)

    def forget_markets(self) -> None:
        """Have the exchange asked anew, the next time that somebody wants to know what is traded."""
        self._markets = None

    def leave(self, symbol: str) -> None:
        """Leave a market alone for a while that is traded no more."""
        self._left[symbol] = time.monotonic() + LEFT_SECONDS

    def is_left(self, symbol: str) -> bool:
        """Tell whether it is left alone."""
        return time.monotonic() < self._left.get(symbol, 0.0)

    async def _listed(self, exchange: CandleSource) -> dict[str, Market]:
        try:
            return {market.symbol: market for market in await exchange.markets()}
        except BaseException:
            self._markets = None  # whoever asks next, asks the exchange
            raise
