"""The one HTTP client: paced, tried again where that is worth it, and given up in time.

aiohttp, by measurement (a page of 200 Upbit candles, 65 kB of JSON, gzip, 8 requests at a time, one core):
98 us of CPU a request, where niquests takes 483 and httpx 739. It is imported with the first request, which
takes 0.14 s: a sync that finds nothing to do asks nobody.

The loop of retries is our own. stamina would leave the doubling of the wait only: what a 429 or a 418 says
binds all processes (`pace`), whoever waits is to be told, and an answer that is no page is tried again, too.
"""

from __future__ import annotations

import asyncio
import platform
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from mdstore.errors import BannedError, Hint, SourceError
from mdstore.sources.web.answers import Answer, Request, ban_seconds, excerpt, wait_seconds
from mdstore.sources.web.breaker import Breaker
from mdstore.sources.web.pace import Pace

if TYPE_CHECKING:
    import aiohttp

__all__ = ["Manners", "NoPageError", "WebClient", "user_agent"]

T = TypeVar("T")
TEAPOT: Final = 418
INSTALL: Final = "pip install 'mdstore[exchanges]'"
LARGEST: Final = 256 << 20
SHOWN: Final = 2.0
"""A wait of so many seconds is worth telling."""


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


class _FailedError(Exception):
    """A request that is worth trying again: why, and in how many seconds, where that was said."""

    def __init__(self, reason: str, seconds: float | None = None) -> None:
        super().__init__(reason)
        self.seconds = seconds


class WebClient:
    """Asks one host. `limits` are the requests (or weights) in a second that it takes, by group.

    `remaining` reads from headers how much of a group's limit is left. `told` hears of waits: why, and how
    many seconds. It belongs to the event loop in which it was first used.
    """

    def __init__(
        self,
        base_url: str,
        limits: dict[str, float],
        *,
        offline: bool = False,
        manners: Manners | None = None,
        remaining: Callable[[Mapping[str, str]], float | None] = lambda _: None,
        told: Callable[[str, float], None] = lambda _reason, _seconds: None,
        pace_folder: Path | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.host = urlsplit(base_url).netloc.rpartition("@")[2]
        if urlsplit(base_url).scheme not in ("http", "https") or not self.host:
            raise SourceError(f"{base_url!r} is no address: it begins with http:// or https://, and a host")
        self.offline = offline
        self.manners = manners or Manners()
        self.breaker = Breaker()
        self.requests = 0
        self._limits, self._folder = limits, pace_folder
        self._pace: Pace | None = None
        self._remaining, self._told = remaining, told
        self._session: aiohttp.ClientSession | None = None
        self._bans = 0

    @property
    def pace(self) -> Pace:
        """How often the host may be asked."""
        if self._pace is None:
            self._pace = Pace(self.host, self._limits, folder=self._folder)
        return self._pace

    async def fetch(self, request: Request, read: Callable[[Answer], T]) -> T:
        """Ask, and return what `read` makes of the answer; it raises `NoPageError` for what is no answer.

        Statuses that are neither an answer nor worth trying again are handed to `read`, too. Raises
        `SourceError`: why there is no answer.
        """
        if self.offline:
            raise SourceError(
                f"{request.what} would have to be asked of {self.host}, and nobody is to be asked",
                hint=Hint("leave out offline=True", "leave out --offline"),
            )
        failed = ""
        for attempt in range(self.manners.attempts):
            self._refuse_broken(request)
            try:
                answer = await self._ask(request)
                found = read(answer)
            except (_FailedError, NoPageError) as error:
                failed = str(error)
                seconds = self._wait_for(error, attempt)
                if attempt + 1 < self.manners.attempts:
                    if seconds >= SHOWN:
                        self._told(failed, seconds)
                    await asyncio.sleep(seconds)
            else:
                self.breaker.worked()
                return found
        raise SourceError(
            f"{request.what}: {self.host} was asked {self.manners.attempts} times: {failed}",
            hint="try again later: what has come is kept, and is not asked for again",
        )

    async def aclose(self) -> None:
        """Close the connections."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    def _wait_for(self, error: _FailedError | NoPageError, attempt: int) -> float:
        """Return how long is waited after a failure: as was said, or twice as long each time."""
        said = error.seconds if isinstance(error, _FailedError) else None
        if said is not None:
            return said
        self.breaker.failed(str(error))
        most = min(self.manners.first_wait * float(2**attempt), self.manners.longest_wait)
        return most * random.uniform(0.5, 1)  # noqa: S311 - so that not all come back at once

    def _refuse_broken(self, request: Request) -> None:
        if (left := self.breaker.left) > 0:
            raise SourceError(
                f"{request.what}: {self.host} has failed {self.breaker.failures} times in a row "
                f"({self.breaker.reason}), and is left alone for {left:.0f} s",
                hint="try again later: what has come is kept, and is not asked for again",
            )

    async def _ask(self, request: Request) -> Answer:
        """Ask once, in turn. Raises `_FailedError` for what is worth trying again."""
        session = self._opened()
        turn = await self.pace.turn(request.group, request.cost, self._banned)
        self.requests += 1
        at: float | None = None
        remaining: float | None = None
        try:
            async with session.get(
                self.base_url + request.path,
                params=request.params,
                proxy=proxy_for(self.base_url),
                allow_redirects=False,
            ) as response:
                at = time.monotonic()
                remaining = self._remaining(response.headers)
                answer = Answer(response.status, response.headers, await _body(response))
        except TimeoutError as error:
            raise _FailedError(f"no answer within {self.manners.answer:g} s") from error
        except _transport_errors() as error:
            raise _FailedError(f"the connection failed: {error or type(error).__name__}") from error
        finally:
            self.pace.answered(turn, at, remaining)
        return await self._obeyed(request, answer)

    async def _obeyed(self, request: Request, answer: Answer) -> Answer:
        """Return an answer, unless it says to wait."""
        status = answer.status
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            seconds = wait_seconds(answer, 1.0)
            await self.pace.rest(request.group, seconds)
            raise _FailedError(f"{self.host} says that it was asked too often (429)", seconds)
        if status == TEAPOT:
            seconds = ban_seconds(answer, time.time(), self._bans)
            self._bans += 1
            await self.pace.obey_ban(seconds)
            self._banned(seconds, tell=False)
            raise _FailedError(f"{self.host} has banned this address for {seconds:.0f} s (418)", seconds)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT:
            raise _FailedError(f"{self.host} failed ({status}): {excerpt(answer)}")
        self._bans = 0
        return answer

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

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            aiohttp = _aiohttp()
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self.manners.answer, connect=self.manners.connect),
                connector=aiohttp.TCPConnector(limit=32, ttl_dns_cache=300, keepalive_timeout=30),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": user_agent(), "Accept": "application/json, */*;q=0.1"},
            )
            # It would ask again by itself where a connection is dropped: a request that had no turn.
            self._session._retry_connection = False
        return self._session


async def _body(response: aiohttp.ClientResponse) -> bytes:
    if (response.content_length or 0) > LARGEST:
        raise _FailedError(f"an answer of {response.content_length} bytes is too large to be one")
    return await response.read()


def proxy_for(url: str) -> str | None:
    """Return the proxy that the environment names for an address: `HTTPS_PROXY`, `NO_PROXY` and so on.

    Raises `SourceError` for a kind of proxy that is not spoken.
    """
    parts = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parts.hostname or ""):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if urlsplit(proxy).scheme not in ("http", "https"):
        raise SourceError(
            f"the proxy {urlsplit(proxy).scheme}://{urlsplit(proxy).hostname} is neither HTTP nor HTTPS",
            hint=f"set {parts.scheme.upper()}_PROXY to an HTTP proxy, or NO_PROXY to {parts.hostname}",
        )
    return proxy


def user_agent() -> str:
    """Say who asks."""
    return f"mdstore/{version('mdstore')} Python/{platform.python_version()}"


def _transport_errors() -> tuple[type[BaseException], ...]:
    aiohttp = _aiohttp()
    return (aiohttp.ClientError, OSError)


def _aiohttp() -> Any:
    try:
        import aiohttp  # noqa: PLC0415 - an extra, and 0.14 s that a sync with nothing to do need not take
    except ImportError as error:
        raise SourceError("asking exchanges for candles is an extra", hint=INSTALL) from error
    return aiohttp
