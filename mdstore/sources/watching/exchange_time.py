"""What time it is at an exchange that is watched, where this machine's clock is off, or is set meanwhile.

Rows live by a clock, one from more than a minute ahead is refused, and a bar is seen from its start on by the
time at which it was subscribed to. By a clock ten minutes slow each row was an error, and by one that is fast
no bar was whole for ten minutes after each connection. So what comes is taken by the exchange's own time.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from mdstore.core.logs import logger
from mdstore.realtime.cache import RealtimeDataCache
from mdstore.realtime.row_rules import MS_NS
from mdstore.realtime.session import Session
from mdstore.sources.sync.clocks import OFF_MS, ahead, apart

__all__ = ["ExchangeTime", "SteadyClock"]

LOG = logger("watch")
STEPS: Final = 3
"""So many times in a row: of a market that is quiet, what comes at first may be a trade of hours ago."""


class SteadyClock:
    """A clock (ns) that goes on from a time (ms), whatever this machine's is set to."""

    def __init__(self, shown: int, steady: Callable[[], int] = time.monotonic_ns) -> None:
        self._steady, self._ahead = steady, shown * MS_NS - steady()

    def __call__(self) -> int:
        """Return it."""
        return self._steady() + self._ahead


class ExchangeTime:
    """Sets the clock of live rows to that of an exchange where they are minutes apart; `tell` hears of it.

    `ask` asks the exchange what its clock shows (ms).
    """

    def __init__(
        self,
        exchange: str,
        cache: RealtimeDataCache,
        ask: Callable[[], Awaitable[int | None]],
        tell: Callable[[Exception], object],
    ) -> None:
        self._exchange, self._cache, self._ask, self._tell = exchange, cache, ask, tell
        self._before, self._mine = cache.clock, cache.clock
        self._stepped = self._step()
        self._told = False
        self._seen: dict[Session, tuple[int, int]] = {}

    def now(self) -> int:
        """Return the time that live rows go by (ms)."""
        return self._cache.clock() // MS_NS

    def shown(self, clock: int | None) -> None:
        """Take note of what the exchange's clock shows.

        Raises `ClockError` where it is far from this machine's: its bars would end at other times.
        """
        if clock is None:
            return
        if (error := apart(self._exchange, clock, self.now())) is not None:
            raise error
        self._go_by(clock)

    async def look(self, sessions: Iterable[Session]) -> None:
        """Look whether this machine's clock was set, and whether what comes is of another time."""
        if abs(self._step() - self._stepped) > OFF_MS and (clock := await self._ask()) is not None:
            self._stepped = self._step()
            self._go_by(clock)
        for session in sessions:
            self._hold(session)

    def end(self) -> None:
        """Give live rows back the clock that they had."""
        if self._cache.clock is self._mine:
            self._cache.clock = self._before

    def _hold(self, session: Session) -> None:
        """Hold what comes by a connection against the clock; it is told once of each."""
        before, steps = self._seen.get(session, (None, 0))
        if (heard := session.latest) is None or heard == before:
            return
        far = apart(self._exchange, heard, self.now())
        is_off = far is not None or heard - self.now() > OFF_MS  # behind is what a quiet market is, too
        self._seen[session] = heard, steps + 1 if is_off else 0
        if is_off and steps + 1 == STEPS:
            if far is not None:
                self._tell(far)
            else:
                self._go_by(heard)

    def _go_by(self, clock: int) -> None:
        error = ahead(self._exchange, clock, self.now())
        if error is None:
            return
        self._mine = self._cache.clock = SteadyClock(clock)
        self._stepped = self._step()
        if not self._told:
            self._tell(error)
        self._told = True
        LOG.info("what comes of %s is taken by its own clock", self._exchange)

    def _step(self) -> int:
        return self.now() - time.monotonic_ns() // MS_NS
