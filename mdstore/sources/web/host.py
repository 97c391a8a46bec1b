"""A host that is asked in turn, and again where that is worth it, but not for ever.

The loop of retries is our own. stamina would leave the doubling of the wait only: what a 429 or a 418 says
binds all processes (`pace`), whoever waits is to be told, and an answer that is no page is tried again, too.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

from mdstore.errors import BannedError, Hint, SourceError
from mdstore.sources.web.answers import Answer, Request, ban_seconds, excerpt, wait_seconds
from mdstore.sources.web.breaker import Breaker
from mdstore.sources.web.pace import Pace

__all__ = ["AskedInVainError", "Heard", "Host", "Manners", "NoPageError", "host_of"]

T = TypeVar("T")
TEAPOT: Final = 418
REFUSES_ALL: Final = (HTTPStatus.FORBIDDEN, HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS)
"""A firewall refuses this address, or the host whole countries: whatever is asked for."""
ELSEWHERE: Final = "ask from another network, or by a proxy (HTTPS_PROXY): some refuse whole countries"
NAME: Final = re.compile(r"[a-z0-9.-]+", re.IGNORECASE)
PORT: Final = re.compile(r":([0-9]{1,5})(?![0-9])")
LAST_PORT: Final = 65_535
DEFAULT_PORTS: Final = {"http": 80, "https": 443}
SHOWN: Final = 2.0
"""A wait of so many seconds is worth telling."""
LATER: Final = "try again later: what has come is kept, and is not asked for again"


def host_of(address: str) -> str:
    """Return the host of an address, with its port, as all who ask it write it.

    Raises `SourceError` for what is no address of an API, to which a path can be added.

    >>> host_of("https://me@API.upbit.com:443/v1"), host_of("http://127.0.0.1:8000/")
    ('api.upbit.com', '127.0.0.1:8000')
    """
    try:
        parts = urlsplit(address)
        name, port = parts.hostname, parts.port
    except ValueError:  # of the port, or of brackets
        name, port = None, None
    if not name or parts.scheme not in DEFAULT_PORTS or parts.query or parts.fragment:
        raise SourceError(
            f"{address!r} is no address: it is http:// or https://, a host, and a path at most",
            hint=f"write it as in {_meant(address)}",
        )
    shown = f"[{name}]" if ":" in name else name
    return shown if port in (None, DEFAULT_PORTS[parts.scheme]) else f"{shown}:{port}"


def _meant(address: str) -> str:
    """Return the address that is most likely meant: what has a port of its own speaks no TLS, as a rule."""
    scheme, _, rest = address.rpartition("://")
    name = NAME.match(rest)
    if name is None:
        return "https://api.upbit.com"
    port = PORT.match(rest, name.end())
    at = f":{port[1]}" if port and 0 < int(port[1]) <= LAST_PORT else ""
    if scheme not in DEFAULT_PORTS:
        is_plain = at not in ("", ":443") or name[0] == "localhost" or name[0].startswith("127.")
        scheme = "http" if is_plain else "https"
    return f"{scheme}://{name[0]}{at}"


@dataclass(frozen=True, slots=True)
class Manners:
    """How often a request is tried, how long it may take, and how long a ban is waited for (seconds)."""

    attempts: int = 6
    first_wait: float = 0.5
    longest_wait: float = 15.0
    connect: float = 5.0
    answer: float = 15.0
    patience: float = 900.0


class NoPageError(Exception):
    """What was answered is not what was asked for: it says why. Tried again, as a page of a proxy may be."""


class AskedInVainError(Exception):
    """A request that is worth trying again: why, and in how many seconds, where that was said.

    `hint` is what to do where trying does not help.
    """

    def __init__(self, reason: str, seconds: float | None = None, *, hint: str | None = None) -> None:
        super().__init__(reason)
        self.seconds, self.hint = seconds, hint


@dataclass(slots=True)
class Heard:
    """When an answer came (monotonic), and how much of the limit it says is left; None for neither."""

    at: float | None = None
    remaining: float | None = None


class Host:
    """A host that is asked. `limits` are the requests (or weights) in a second that it takes, by group.

    `told` hears of waits: why, and how many seconds.
    """

    def __init__(
        self,
        address: str,
        limits: dict[str, float],
        *,
        offline: bool = False,
        manners: Manners | None = None,
        told: Callable[[str, float], None] = lambda _reason, _seconds: None,
        pace_folder: Path | None = None,
    ) -> None:
        self.host = host_of(address)
        self.offline = offline
        self.manners = manners or Manners()
        self.breaker = Breaker()
        self.requests = 0
        self._limits, self._folder = limits, pace_folder
        self._pace: Pace | None = None
        self._told = told
        self._bans = self._rests = 0
        self._ahead: float | None = None

    @property
    def clock(self) -> int | None:
        """What the host's clock shows now (ms), by its latest answer; None where it has shown none."""
        return None if self._ahead is None else int(time.time() * 1000 + self._ahead)

    def shown(self, answer: Answer) -> Answer:
        """Take note of what the clock of the host showed in an answer, and return that."""
        if answer.clock is not None:
            self._ahead = answer.clock - time.time() * 1000
        return answer

    @property
    def pace(self) -> Pace:
        """How often the host may be asked."""
        if self._pace is None:
            self._pace = Pace(self.host, self._limits, folder=self._folder)
        return self._pace

    async def aclose(self) -> None:
        """Close the connections."""

    async def tried(self, what: str, ask: Callable[[], Awaitable[T]]) -> T:
        """Return what `ask` returns; it is called again after `AskedInVainError` and `NoPageError`.

        Raises `SourceError`: why there is no answer. `what` is asked for, in words.
        """
        if self.offline:
            raise SourceError(
                f"{what} would have to be asked of {self.host}, and nobody is to be asked",
                hint=Hint("leave out offline=True", "leave out --offline"),
            )
        failed, hint = "", LATER
        for attempt in range(self.manners.attempts):
            self._refuse_broken(what)
            try:
                found = await ask()
            except (AskedInVainError, NoPageError) as error:
                failed, hint = str(error), getattr(error, "hint", None) or LATER
                seconds = self._wait_for(error, attempt)
                if attempt + 1 < self.manners.attempts:
                    if seconds >= SHOWN:
                        self._told(failed, seconds)
                    await asyncio.sleep(seconds)
            else:
                self.breaker.worked()
                return found
        raise SourceError(f"{what}: {self.host} was asked {self.manners.attempts} times: {failed}", hint=hint)

    @asynccontextmanager
    async def turn(self, request: Request) -> AsyncIterator[Heard]:
        """Wait until a request may be sent; what was heard is noted at the end, for all processes."""
        turn = await self.pace.turn(request.group, request.cost, self._banned)
        self.requests += 1
        heard = Heard()
        try:
            yield heard
        finally:
            self.pace.answered(turn, heard.at, heard.remaining)

    async def obey(self, group: str, answer: Answer) -> Answer:
        """Return an answer. Raises `AskedInVainError` for one that says to wait, or that the host failed."""
        status = answer.status
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            await self._obey_rest(group, wait_seconds(answer, time.time()))
        if status == TEAPOT:
            seconds = ban_seconds(answer, time.time(), self._bans)
            self._bans += 1
            await self.pace.obey_ban(seconds)
            self._banned(seconds, tell=False)
            raise AskedInVainError(f"{self.host} has banned this address for {seconds:.0f} s (418)", seconds)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT:
            raise AskedInVainError(f"{self.host} failed ({status}): {excerpt(answer)}")
        if status in REFUSES_ALL:
            reason = f"refuses this address ({status})"
            self.breaker.shut(reason)
            raise SourceError(f"{self.host} {reason}: {excerpt(answer)}", hint=ELSEWHERE)
        self._bans = self._rests = 0
        return answer

    async def _obey_rest(self, group: str, said: float | None) -> None:
        """Rest, in all processes: as was said, or twice as long each time. Raises `AskedInVainError`."""
        reason = f"{self.host} says that it was asked too often (429)"
        if said == 0 and self._rests:  # it was believed before, and is asked too often yet
            said = None
        longer = self.manners.first_wait * 2 * float(2 ** min(self._rests, 30))
        seconds = min(longer, self.manners.longest_wait) if said is None else said
        if seconds > self.manners.patience:
            self.breaker.shut("says that it was asked too often (429)", seconds)  # whoever asks on is banned
            raise SourceError(
                f"{reason}, and to wait for {seconds / 60:.0f} minutes, which is longer than is waited",
                hint=LATER,
            )
        self._rests += 1
        await self.pace.rest(group, seconds)
        raise AskedInVainError(reason, said)

    def _banned(self, seconds: float, *, tell: bool = True) -> None:
        """Tell of a ban. Raises `BannedError` for one that is longer than is waited."""
        reason = f"{self.host} has banned this address (418)"
        if seconds > self.manners.patience:
            raise BannedError(
                f"{reason} for {seconds / 60:.0f} minutes, which is longer than is waited",
                until=int((time.time() + seconds) * 1000),
                hint="wait: each request before its end may make the ban longer",
            )
        if tell:
            self._told(reason, seconds)

    def _wait_for(self, error: AskedInVainError | NoPageError, attempt: int) -> float:
        """Return how long is waited after a failure: as was said, or twice as long each time."""
        said = error.seconds if isinstance(error, AskedInVainError) else None
        if said is not None:
            return said
        self.breaker.failed(str(error))
        most = min(self.manners.first_wait * float(2**attempt), self.manners.longest_wait)
        return most * random.uniform(0.5, 1)  # noqa: S311 - so that not all come back at once

    def _refuse_broken(self, what: str) -> None:
        if (left := self.breaker.left) > 0:
            raise SourceError(
                f"{what}: {self.host} {self.breaker.why}, and is left alone for {left:.0f} s",
                hint=LATER,
            )
