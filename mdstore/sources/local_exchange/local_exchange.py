"""The local exchange as programs hold it: started and ended by `with`, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import Any, Self

from mdstore.core.timestamps import Moment, to_ms
from mdstore.errors import Hint, InvalidInputError
from mdstore.sources.extra import INSTALL
from mdstore.sources.local_exchange.faults import Fault, Faults, SocketFault, SocketFaults
from mdstore.sources.local_exchange.limits import rules_of
from mdstore.sources.local_exchange.request_log import Asked
from mdstore.sources.local_exchange.truth import LocalMarket, Span, Truth

__all__ = ["LocalExchange"]

MARKETS = ("KRW-BTC", "KRW-ETH", "KRW-XRP", "BTCUSDT", "ETHUSDT")
WAIT = 10.0


class LocalExchange:
    """An exchange on this machine that speaks Upbit's and Binance's APIs, for tests and demos.

    It listens on the loopback interface from `with` (or `async with`, or `start`) on, in a thread of its own;
    `python -m mdstore.sources.local_exchange` is one in a process. What it has traded is `truth`: minutes
    that are recorded or generated from a seed, and all else made of these. `now` is the time at which its
    clock starts (None: this machine's time), `skew` how many seconds it is ahead.

    Limits are the exchanges' own unless `limits` names others (`upbit_per_second`, `spot_weight`,
    `futures_weight`, None for no limit; `patience`, `ban`, `slow`, `compress`: see `Rules`); `limits=None`
    lifts all. `faults` is what goes wrong: a plan (`Faults`), or a list of faults for the next requests;
    `socket_faults` (`SocketFaults`) what befalls the next websockets. `Rules`, `Faults` and `SocketFaults`
    are in `mdstore.sources.local_exchange`.

    >>> from urllib.request import urlopen
    >>> with LocalExchange(["KRW-BTC"], now="2025-09-01T00:05") as exchange:
    ...     page = urlopen(exchange.url + "/v1/candles/minutes/1?market=KRW-BTC&count=200").read()
    ...     exchange.requests[0].rows
    200
    """

    def __init__(
        self,
        markets: Sequence[LocalMarket | str] = MARKETS,
        *,
        seed: int = 0,
        maintenance: Sequence[Span] = (),
        now: Moment | None = None,
        skew: float = 0.0,
        clock: Callable[[], float] | None = None,
        limits: Mapping[str, Any] | None = MappingProxyType({}),
        faults: Faults | Sequence[Fault] = (),
        socket_faults: SocketFaults | Sequence[SocketFault] = (),
        port: int = 0,
    ) -> None:
        self.truth = Truth(markets, seed=seed, maintenance=maintenance)
        self._faults = faults if isinstance(faults, Faults) else Faults.exactly(faults)
        self._limits, self._port = limits, port
        self._clock = clock or _clock(now, skew)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._up = threading.Event()
        self._failed: BaseException | None = None
        self._server = self._make_server()
        self._hub = self._make_hub(socket_faults)

    @property
    def url(self) -> str:
        """Where it is asked, without a slash at the end."""
        return f"http://127.0.0.1:{self._bound()}"

    @property
    def ws_url(self) -> str:
        """Where its websockets are: Upbit's is `/websocket/v1` there, Binance's `/ws` and `/stream`."""
        return f"ws://127.0.0.1:{self._bound()}"

    @property
    def requests(self) -> list[Asked]:
        """What it was asked so far, in order."""
        return list(self._server.asked)

    @property
    def faults(self) -> Faults:
        """The plan: `faults.left` is what is still to go wrong."""
        return self._faults

    def now(self) -> int:
        """Return the exchange's time (ms)."""
        return round(self._clock() * 1000)

    def amend(self, symbol: str, timestamp: Moment, **values: float) -> None:
        """Correct a minute, as exchanges do afterwards: `amend("KRW-BTC", "2025-09-01", close=1.5e8)`."""
        self.truth.amend(symbol, timestamp, values)
        self._server.changed()
        self._hub.tape.forget()

    def fail_sockets(self, kind: SocketFault = "dropped") -> int:
        """Let a fault happen to all websockets that are connected; return how many there were."""
        if self._loop is None:
            return 0
        return asyncio.run_coroutine_threadsafe(self._fail(kind), self._loop).result(WAIT)

    async def _fail(self, kind: SocketFault) -> int:
        failed: int = self._hub.fail(kind)
        return failed

    def start(self) -> Self:
        """Start to listen. Raises `InvalidInputError` where the port is taken."""
        if self._thread is not None:
            raise InvalidInputError("this exchange has been started")
        self._thread = threading.Thread(target=self._run, name="mdstore-exchange", daemon=True)
        self._thread.start()
        self._up.wait(WAIT)
        if self._failed is not None:
            raise InvalidInputError(f"the local exchange could not start: {self._failed}") from self._failed
        return self

    def stop(self) -> None:
        """Close all connections, and stop."""
        if self._loop is not None and self._thread is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopped.set)
            self._thread.join(WAIT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)

    def _bound(self) -> int:
        if not self._up.is_set() or self._failed is not None:
            raise InvalidInputError("this exchange does not listen yet: use it by `with`, or call start()")
        return self._port

    def _make_server(self) -> Any:
        try:
            from mdstore.sources.local_exchange.server import Server  # noqa: PLC0415  # the extra
        except ImportError as error:
            raise InvalidInputError(
                f"the local exchange needs aiohttp, which is not installed ({error})",
                hint=Hint(INSTALL, INSTALL),
            ) from error
        return Server(self.truth, self.now, rules_of(self._limits), self._faults)

    def _make_hub(self, faults: SocketFaults | Sequence[SocketFault]) -> Any:
        from mdstore.sources.local_exchange.hub import Hub  # noqa: PLC0415  # the extra

        plan = faults if isinstance(faults, SocketFaults) else SocketFaults(faults)
        return Hub(self._server, plan)

    async def _handle(self, request: Any) -> Any:
        return await self._hub.handle(request) or await self._server.handle(request)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:
            self._failed = error
            self._up.set()

    async def _serve(self) -> None:
        from aiohttp import web  # noqa: PLC0415  # the extra

        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", self._port)
            await site.start()
            self._port = runner.addresses[0][1]
            self._up.set()
            pump = asyncio.ensure_future(self._hub.pump())
            await asyncio.wait(
                (asyncio.ensure_future(self._stopped.wait()), pump), return_when="FIRST_COMPLETED"
            )
            self._hub.fail("dropped")
            pump.cancel()
        finally:
            await runner.cleanup()


def _clock(now: Moment | None, skew: float) -> Callable[[], float]:
    if now is None:
        return lambda: time.time() + skew
    begin, started = to_ms(now) / 1000, time.monotonic()
    return lambda: begin + skew + time.monotonic() - started
