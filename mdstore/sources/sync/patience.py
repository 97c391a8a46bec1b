"""A host that has answered before, and fails again and again, is waited for: not for ever, and it is said."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from mdstore.errors import SourceError
from mdstore.sources.sync.candle_source import Wait

if TYPE_CHECKING:
    from mdstore.sources.sync.source_facts import SourceFacts

__all__ = ["Patience"]

T = TypeVar("T")
PATIENCE_SECONDS = 900.0
"""A host is waited for so long since something has come of it, as a ban is."""
LOOK_SECONDS = 1.0
"""How often it is looked whether it is over, and said how much of it is left."""


class Patience:
    """Sits out the times in which a host is left alone, those that end within `PATIENCE_SECONDS`.

    `tell` hears how long is waited, each second, and None when that is over.
    """

    def __init__(
        self,
        facts: SourceFacts,
        tell: Callable[[Wait | None], object],
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._facts, self._tell, self._timer = facts, tell, timer
        self._heard = timer()
        self._one = asyncio.Lock()

    def came(self) -> None:
        """Take note that something has come of the host."""
        self._heard = self._timer()

    def seconds(self) -> float:
        """Return for how long the host is left alone; 0 where that is not, or not to be waited for."""
        left = self._facts.rests
        return left if self._timer() + left <= self._heard + PATIENCE_SECONDS else 0.0

    def outlasts(self, error: BaseException) -> bool:
        """Tell whether a failure is one of the host that is waited for, rather than one of a request."""
        return self.seconds() > 0 and not (isinstance(error, SourceError) and not error.of_host)

    async def sit_out(self) -> None:
        """Wait while the host is left alone, if that is worth it. One of those who wait says so."""
        if self.seconds() <= 0:
            return
        name = self._facts.name
        async with self._one:
            while (left := self.seconds()) > 0:
                self._tell(Wait(name, f"{name} has failed again and again", left))
                await asyncio.sleep(min(left, LOOK_SECONDS))
            self._tell(None)

    async def asked(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Return what `ask` returns, called again where the host was left alone meanwhile."""
        while True:
            await self.sit_out()
            try:
                return await ask()
            except Exception as error:
                if not self.outlasts(error):
                    raise
