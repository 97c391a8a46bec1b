"""Which of the markets that are watched the exchange lists yet: one that was delisted says nothing more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from mdstore.core.logs import logger
from mdstore.errors import MarketDataError, NoSuchMarketError
from mdstore.sources.sync.candle_source import CandleSource

__all__ = ["Listing"]

LOG = logger("watch")
LOOK_SECONDS: Final = 600.0
"""How often the exchange is asked for its markets, which is one request."""
FRESH_SECONDS: Final = 5.0
"""Where several fetches fail at once, it is asked once."""


class Listing:
    """Looks which symbols are listed; `gone` are those that are no more, each told once.

    `left` is called with those that are found to be gone, `back` with those that are listed again.
    """

    def __init__(
        self,
        tell: Callable[[Exception], object],
        left: Callable[[list[str]], object],
        back: Callable[[list[str]], Awaitable[None]],
    ) -> None:
        self._tell, self._left, self._back = tell, left, back
        self._one = asyncio.Lock()
        self._looked = time.monotonic()
        self.symbols: Sequence[str] = ()
        """Those that are watched."""
        self.gone: set[str] = set()
        self.unknown: set[str] = set()
        """Those of them of which the exchange says that it has none such: nothing can be asked of it."""

    async def look_if_due(self, source: CandleSource) -> None:
        """Look, if that is long ago. A failure is no matter: it is looked again."""
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        try:
            async with self._one:
                await self._look(source)
        except MarketDataError as error:
            LOG.info("the markets of %s: %s", source.name, error)

    async def is_gone(self, source: CandleSource, symbol: str) -> bool:
        """Tell whether a market is listed no more, of which the exchange says that it has none such."""
        async with self._one:
            if symbol not in self.gone and time.monotonic() - self._looked >= FRESH_SECONDS:
                await self._look(source)
            if symbol in self.gone:
                self.unknown.add(symbol)
        return symbol in self.gone

    async def _look(self, source: CandleSource) -> None:
        self._looked = time.monotonic()
        listed = {market.symbol for market in await source.markets()}
        if not listed:  # what is no list of markets
            return
        gone = [one for one in self.symbols if one not in listed and one not in self.gone]
        back = [one for one in self.gone if one in listed]
        self.gone.update(gone)
        self.gone.difference_update(back)
        self.unknown.difference_update(back)
        if gone:
            self._left(gone)
            self._tell(NoSuchMarketError(_text(source.name, gone)))
        if back:
            LOG.info("%s lists %s again", source.name, ", ".join(back))
            await self._back(back)


def _text(exchange: str, gone: Sequence[str]) -> str:
    names = ", ".join(gone)
    it = "it trades" if len(gone) == 1 else "they trade"
    return f"{exchange} trades {names} no more: nothing is asked for until {it} again; the others go on"
