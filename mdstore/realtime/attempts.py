"""Connections, one after the other, with a pause before each that grows while they are in vain."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, Self

from mdstore.core.logs import logger
from mdstore.errors import FeedError

__all__ = ["Attempt", "Attempts"]

LOG = logger("live")
LOST = (OSError, EOFError)
LOOKS = 8
"""How often within the time of silence it is looked for."""
SLICE_SECONDS = 0.1
STEADY = 10.0
"""A connection that has lived for so long is no failure. One that brings a message or a refusal and is closed
at once is: an exchange that did so was connected to twice a second for as long as it did."""


class Connects(Protocol):
    """What is connected: a session."""

    name: str
    silence: float | None
    connections: int
    alive_since: float

    @property
    def symbols(self) -> Sequence[str] | None:
        """Whose connection it is; None for all symbols."""

    @property
    def is_closed(self) -> bool:
        """Whether it has ended."""

    @property
    def is_silent(self) -> bool:
        """Whether nothing has come for too long."""

    def connecting(self) -> None:
        """Know that a connection begins."""

    def disconnected(self) -> object:
        """Know that it has ended."""

    def trouble(self, error: Exception) -> None:
        """Tell of an error."""


class Attempts:
    """The attempts of a session; see `Session.attempts`."""

    def __init__(self, session: Connects, on: tuple[type[Exception], ...], first: float, most: float) -> None:
        self._session = session
        self._on: tuple[type[Exception], ...] = (*LOST, *on)
        self._first, self._most = first, most
        self._pause = 0.0
        self._drawn: float | None = None
        self._known = session.connections

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Attempt:
        until = time.monotonic() + self.seconds_ahead()
        self._drawn = None
        while (left := until - time.monotonic()) > 0 and not self._session.is_closed:
            time.sleep(min(left, SLICE_SECONDS))
        if self._session.is_closed:
            raise StopIteration
        return Attempt(self._session, self._on, self.seconds_ahead)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Attempt:
        seconds, self._drawn = self.seconds_ahead(), None
        await asyncio.sleep(seconds)
        if self._session.is_closed:
            raise StopAsyncIteration
        return Attempt(self._session, self._on, self.seconds_ahead)

    def seconds_ahead(self) -> float:
        """Return how long is waited before the next attempt."""
        if self._drawn is None:
            self._drawn = self._next_pause()
        return self._drawn

    def _next_pause(self) -> float:
        """Return how long to wait now, less a little at random: what was lost together returns apart."""
        known, self._known = self._known, self._session.connections
        if self._known > known and time.monotonic() - self._session.alive_since >= min(self._pause, STEADY):
            self._pause = self._first
        pause, self._pause = self._pause, min(self._most, max(self._first, 2 * self._pause))
        return pause * random.uniform(0.75, 1.0)  # noqa: S311 - no secret


class Attempt:
    """One connection: what ends it is noted; a loss of it is not raised."""

    def __init__(
        self, session: Connects, on: tuple[type[Exception], ...], seconds_ahead: Callable[[], float]
    ) -> None:
        self._session, self._on, self._seconds_ahead = session, on, seconds_ahead
        self._limit: asyncio.Timeout | None = None
        self._look: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        self._session.connecting()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._session.disconnected()
        if error is None:
            LOG.info("%s: the connection was closed", self._session.name)
            return True
        if isinstance(error, self._on):
            LOG.info("%s: the connection was lost: %r", self._session.name, error)
            self._tell(error)
            return True
        return False

    async def __aenter__(self) -> Self:
        self.__enter__()
        self._limit = asyncio.timeout(None)
        await self._limit.__aenter__()
        self._watch()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        assert self._limit is not None  # noqa: S101 - for mypy
        if self._look is not None:
            self._look.cancel()
        try:
            await self._limit.__aexit__(kind, error, trace)
        except TimeoutError as silent:
            silent_for = FeedError(f"{self._session.name}: nothing came for {self._session.silence:g} s")
            silent_for.__cause__ = silent
            self._tell(silent_for)
            self._session.disconnected()
            return True
        return self.__exit__(kind, error, trace)

    def _tell(self, error: Exception) -> None:
        """Tell of what ended it, with whose connection it was, and when the next is made."""
        symbols = self._session.symbols
        others = "" if symbols is None or len(symbols) == 1 else f" and {len(symbols) - 1:,} more"
        whose = f"{self._session.name}, " + ("all symbols" if symbols is None else f"{symbols[0]}{others}")
        error.add_note(f"{whose}: connected to again in {self._seconds_ahead():.1f} s")
        self._session.trouble(error)

    def _watch(self) -> None:
        """Look every now and then whether anything has come; give up what is awaited if not."""
        if self._session.silence is None or self._limit is None:
            return
        loop = asyncio.get_running_loop()
        if self._session.is_silent:
            self._limit.reschedule(loop.time())
        else:
            self._look = loop.call_later(self._session.silence / LOOKS, self._watch)
