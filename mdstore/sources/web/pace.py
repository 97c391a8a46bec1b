"""The pace of a host: a turn for each request, among all tasks, threads and processes of this machine.

aiolimiter lets 19 requests through in a second where 10 are allowed, and pyrate-limiter knows no answers: it
counts when requests are sent, so that the network can squeeze eleven of them into a second (see `window`).
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

from mdstore.errors import SourceError
from mdstore.sources.web.shared_books import SharedBooks
from mdstore.sources.web.window import WINDOW, Floor, Sent

__all__ = ["Pace", "Turn"]

BUSY = 0.0005
"""So long is waited for the books that another has open."""
PATIENCE = 100
"""So often it is tried to note an answer: a place that is not given back counts as taken a while longer."""
CLEARLY_MORE = 1.5
"""A host that has so many times the requests left that were thought allowed does allow more."""
UNPACED = 500.0
"""A host that has so many left in a second is not paced: the books would take longer than its answers."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A request that may be sent now: its number, its group, what it costs, and when that was."""

    number: int
    group: str
    cost: float
    sent: float


class Pace:
    """How often a host may be asked: so many requests (or their weights) in any second, by group."""

    def __init__(
        self,
        host: str,
        limits: dict[str, float],
        *,
        folder: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.host = host
        self.limits = dict(limits)
        self._stated = dict(limits)
        self._books = SharedBooks(host, folder)
        self._floor = Floor()
        self._clock, self._wall = clock, wall
        # One task of an event loop at a time looks whether it may go: first come, first served.
        self._queues: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Lock]]
        self._queues = WeakKeyDictionary()

    async def turn(
        self, group: str, cost: float = 1.0, banned: Callable[[float], None] | None = None
    ) -> Turn:
        """Wait until a request may be sent. `banned` is told for how many seconds the host is not asked."""
        if self.limits[group] >= UNPACED:
            return Turn(0, group, cost, self._clock())
        queues = self._queues.setdefault(asyncio.get_running_loop(), {})
        async with queues.setdefault(group, asyncio.Lock()):
            while True:
                found = self._try(group, cost)
                if isinstance(found, Turn):
                    return found
                seconds, is_ban = found
                if is_ban and banned is not None:
                    banned(seconds)
                await asyncio.sleep(seconds)

    def answered(self, turn: Turn, at: float | None = None, remaining: float | None = None) -> None:
        """Note that a request has arrived by `at`, or never will, and what the host says remains."""
        if not turn.number:
            return
        now = self._clock() if at is None else at
        if at is not None:
            self._floor.add(at - turn.sent)
        # What costs more than a second allows takes up the place of several.
        freed = now - self._floor.seconds + WINDOW * max(turn.cost / self.limits[turn.group], 1.0)
        self._note_answer(turn, now, freed, remaining, PATIENCE)

    def _note_answer(self, turn: Turn, now: float, freed: float, remaining: float | None, tries: int) -> None:
        """Note an answer, later where another has the books: nobody waits for that.

        Where it cannot be done, the place counts as taken a while longer, and who asks next is told why.
        """
        with suppress(SourceError), self._books.open() as books:
            if books is not None:
                window = books.window(turn.group)
                window.answer(turn.number, freed)
                if remaining is not None:
                    self._correct(turn, remaining, now)
                    others = window.others(turn.sent, remaining, self.limits[turn.group])
                    if others >= 1:
                        window.fill(now, others, WINDOW)
            elif tries > 1:
                with suppress(RuntimeError):  # there is no event loop
                    asyncio.get_running_loop().call_later(
                        BUSY, self._note_answer, turn, now, freed, remaining, tries - 1
                    )

    async def rest(self, group: str, seconds: float) -> None:
        """Ask for nothing of a group for a while, in all processes."""
        self.limits[group] = self._stated[group]
        await self._note(group, seconds, None)

    async def obey_ban(self, seconds: float) -> None:
        """Ask the host for nothing for a while, in all processes."""
        await self._note(None, seconds, self._wall())

    def _try(self, group: str, cost: float) -> Turn | tuple[float, bool]:
        """Return a turn; or how many seconds to wait, and whether for a ban."""
        with self._books.open() as books:
            if books is None:
                return BUSY, False
            if (ban := books.ban(self._wall())) > 0:
                return ban, True
            window = books.window(group)
            now = self._clock()
            if (wait := window.wait(now, cost, self.limits[group])) > 0:
                return wait, False
            turn = Turn(secrets.randbits(63) | 1, group, cost, now)
            window.entries.append(Sent(turn.number, now, cost))
            return turn

    def _correct(self, turn: Turn, remaining: float, now: float) -> None:
        """Believe a host that allows clearly more than was thought."""
        if now - turn.sent < WINDOW and remaining >= CLEARLY_MORE * self.limits[turn.group]:
            self.limits[turn.group] = float(remaining)

    async def _note(self, group: str | None, seconds: float, wall: float | None) -> None:
        while True:
            with self._books.open() as books:
                if books is not None:
                    if wall is not None:
                        books.noted = wall
                        books.banned_until = max(
                            wall + seconds, books.banned_until if books.ban(wall) else 0.0
                        )
                    if group is not None:
                        books.window(group).fill(self._clock(), self.limits[group], seconds)
                    return
            await asyncio.sleep(BUSY)
