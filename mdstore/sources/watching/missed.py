"""What connections have missed of an exchange that is watched, fetched as it allows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final

from mdstore.core.logs import logger
from mdstore.errors import NoSuchMarketError, SourceError
from mdstore.realtime.backfill import Part
from mdstore.sources.sync.candle_source import CandleSource, Wait
from mdstore.sources.watching.listing import Listing
from mdstore.sources.watching.pages import fetched

__all__ = ["Missed"]

LOG = logger("watch")
LONG_SECONDS: Final = 10.0
"""A wait for a request is told of from here on."""


class Missed:
    """Fetches bars of an exchange in place of those that were missed; `bars` counts them.

    `now` gives the time that live rows go by (ms); `tell` hears of what keeps it from fetching.
    """

    def __init__(
        self, exchange: str, listing: Listing, now: Callable[[], int], tell: Callable[[Exception], object]
    ) -> None:
        self._exchange, self._listing, self._now, self._tell = exchange, listing, now, tell
        self._one_waits = asyncio.Lock()
        self._waits_until = 0.0
        self.bars = 0

    async def fetch(
        self, source: CandleSource, symbol: str, timeframe: str, start: int, end: int
    ) -> AsyncGenerator[Part]:
        """Give the parts of a range; one of a market that is no more is left to a sync, which says why."""
        await self._sit_out(source)
        found = fetched(source, symbol, timeframe, start, end, self._tell, self._now)
        try:
            if symbol not in self._listing.unknown:
                async with aclosing(found) as parts:
                    async for part in parts:
                        yield part
                        self.bars += 0 if part.rows is None else len(part.rows)
                return
        except NoSuchMarketError:
            if not await self._listing.is_gone(source, symbol):
                raise
        yield Part(start, end, None)

    def waits(self, wait: Wait) -> None:
        """Tell once of a wait that is long, such as one that an exchange asks for."""
        if wait.seconds >= LONG_SECONDS and time.monotonic() >= self._waits_until:
            self._waits_until = time.monotonic() + wait.seconds
            self._tell(SourceError(f"{wait.reason}: nothing is fetched for {wait.seconds:.0f} s"))

    async def _sit_out(self, source: CandleSource) -> None:
        """Wait while the host is left alone, and tell of it once: each hole would be told to be refused."""
        async with self._one_waits:
            if (left := source.rests) <= 0:
                return
            why = f"{self._exchange} has failed again and again: nothing is fetched for {left:.0f} s"
            self._tell(SourceError(why))
            while (left := source.rests) > 0:
                await asyncio.sleep(left)
            LOG.info("%s is asked again for what was missed", self._exchange)
