"""The one HTTP client.

aiohttp, by measurement (a page of 200 Upbit candles, 65 kB of JSON, gzip, 8 requests at a time, one core):
98 us of CPU a request, where niquests takes 483 and httpx 739. It is imported with the first request, which
takes 0.14 s: a sync that finds nothing to do asks nobody.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from mdstore.errors import SourceError
from mdstore.sources.extra import INSTALL
from mdstore.sources.web.answers import Answer, Request
from mdstore.sources.web.host import LATER, AskedInVainError, Host
from mdstore.sources.web.loops import OfLoops

if TYPE_CHECKING:
    import aiohttp

__all__ = ["WebClient", "proxy_for", "user_agent"]

T = TypeVar("T")
LARGEST: Final = 256 << 20
NO_TLS: Final = " ssl:default"
"""What aiohttp says of every host that cannot be reached, of one without TLS, too."""


class WebClient(Host):
    """Asks one host by HTTP, from any event loop: each has connections of its own, which end with it.

    `remaining` reads from headers how much of a group's limit is left; `options` are those of `Host`.
    """

    def __init__(
        self,
        base_url: str,
        limits: dict[str, float],
        *,
        remaining: Callable[[Mapping[str, str]], float | None] = lambda _: None,
        **options: Any,
    ) -> None:
        super().__init__(base_url, limits, **options)
        self.base_url = base_url.rstrip("/")
        self._remaining = remaining
        self._sessions: OfLoops[aiohttp.ClientSession] = OfLoops(self._opened, lambda one: one.close())
        self._proxy: str | None = None

    async def fetch(self, request: Request, read: Callable[[Answer], T]) -> T:
        """Ask, and return what `read` makes of the answer; it raises `NoPageError` for what is no answer.

        Statuses that are neither an answer nor worth trying again are handed to `read`, too. Raises
        `SourceError`: why there is no answer.
        """

        async def ask() -> T:
            return read(await self.obey(request.group, await self._ask(request)))

        return await self.tried(request.what, ask)

    async def aclose(self) -> None:
        """Close the connections of this event loop. They are made again if it asks again."""
        await self._sessions.close()

    async def _ask(self, request: Request) -> Answer:
        """Ask once, in turn. Raises `AskedInVainError` where no answer came."""
        session, aiohttp = await self._sessions.here(), _aiohttp()
        try:
            async with (
                self.turn(request) as heard,
                session.get(
                    self.base_url + request.path,
                    params=request.params,
                    proxy=self._proxy,
                    allow_redirects=False,
                    timeout=self._timeout(request),
                ) as response,
            ):
                if response.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
                    raise self._proxy_failed("it wants a name and a password (407)")
                heard.at = time.monotonic()
                heard.remaining = self._remaining(response.headers)
                return self.shown(Answer(response.status, response.headers, await _body(response)))
        except TimeoutError as error:
            by = f", by the proxy {self._proxy_name}" if self._proxy else ""
            raise AskedInVainError(f"no answer within {self.manners.answer:g} s{by}") from error
        except (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError) as error:
            raise self._proxy_failed(str(error).replace(NO_TLS, "")) from error
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, SourceError):
                raise
            reason = str(error).replace(NO_TLS, "")
            by = f" by the proxy {self._proxy_name}" if self._proxy else ""
            raise AskedInVainError(f"the connection{by} failed: {reason or type(error).__name__}") from error

    @property
    def _proxy_name(self) -> str:
        """Where the proxy is, and which variable says so; a password in it is nobody's business."""
        proxy = urlsplit(self._proxy or "")
        port = "" if proxy.port is None else f":{proxy.port}"
        return f"{proxy.scheme}://{proxy.hostname}{port} ({self._proxy_variable})"

    @property
    def _proxy_variable(self) -> str:
        scheme = urlsplit(self.base_url).scheme
        return f"{scheme if scheme in getproxies() else 'all'}_PROXY".upper()

    def _proxy_failed(self, reason: str) -> AskedInVainError:
        without = f"NO_PROXY to {urlsplit(self.base_url).hostname}"
        return AskedInVainError(
            f"the proxy {self._proxy_name} failed: {reason}",
            hint=f"set {self._proxy_variable} to a proxy that works, or {without}",
        )

    def _timeout(self, request: Request) -> aiohttp.ClientTimeout:
        what = "sock_read" if request.is_large else "total"
        timeouts = {what: self.manners.answer, "connect": self.manners.connect}
        found: aiohttp.ClientTimeout = _aiohttp().ClientTimeout(**timeouts)
        return found

    def _opened(self) -> aiohttp.ClientSession:
        http = _aiohttp()
        self._proxy = proxy_for(self.base_url)  # once: reading the environment takes 0.2 ms
        session: aiohttp.ClientSession = http.ClientSession(
            connector=http.TCPConnector(limit=32, ttl_dns_cache=300, keepalive_timeout=30),
            cookie_jar=http.DummyCookieJar(),
            headers={"User-Agent": user_agent(), "Accept": "application/json, */*;q=0.1"},
        )
        # It would ask again by itself where a connection is dropped: a request that had no turn.
        assert hasattr(session, "_retry_connection"), "aiohttp has another name for it"  # noqa: S101
        session._retry_connection = False
        return session


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """Return a body, read in pieces: what it is unpacked to, or ends with, no header needs to say."""
    pieces, size = [], response.content_length or 0
    if size <= LARGEST:
        size = 0
        async for piece in response.content.iter_any():
            pieces.append(piece)
            size += len(piece)
            if size > LARGEST:
                break
    if size > LARGEST:
        raise SourceError(
            f"an answer of more than {LARGEST >> 20} MB is too large to be one", hint=LATER, of_host=False
        )
    return b"".join(pieces)


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
    hint = f"set {parts.scheme.upper()}_PROXY to an HTTP proxy, or NO_PROXY to {parts.hostname}"
    try:
        scheme, host, _ = urlsplit(proxy).scheme, urlsplit(proxy).hostname, urlsplit(proxy).port
    except ValueError as error:
        raise SourceError(
            f"the proxy that is set for {parts.hostname} is no address: {error}", hint=hint
        ) from error
    if scheme not in ("http", "https") or not host:
        raise SourceError(f"the proxy {scheme}://{host or ''} is neither HTTP nor HTTPS", hint=hint)
    return proxy


def user_agent() -> str:
    """Say who asks."""
    return f"mdstore/{version('mdstore')} Python/{platform.python_version()}"


def _aiohttp() -> Any:
    try:
        import aiohttp  # noqa: PLC0415 - an extra, and 0.14 s that a sync with nothing to do need not take
    except ImportError as error:
        raise SourceError("asking exchanges for candles is an extra", hint=INSTALL) from error
    return aiohttp
