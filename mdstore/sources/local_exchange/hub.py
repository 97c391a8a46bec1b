"""Websockets: connections to the exchange that they are for, fed as the clock goes on."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from aiohttp import WSMsgType, web

from mdstore.sources.local_exchange.binance_stream import BinanceStream
from mdstore.sources.local_exchange.faults import SocketFault, SocketFaults
from mdstore.sources.local_exchange.limits import Allowance
from mdstore.sources.local_exchange.request_log import Asked
from mdstore.sources.local_exchange.server import Server
from mdstore.sources.local_exchange.sockets import Socket
from mdstore.sources.local_exchange.tape import Tape
from mdstore.sources.local_exchange.upbit_stream import UpbitStream

__all__ = ["Hub"]

UPBIT, FUTURES = "/websocket/v1", "/futures"
BINANCE = ("/ws", "/stream")
TICK, IDLE = 0.005, 0.05  # seconds from one look at the clock to the next, with and without connections
HEARTBEAT = 20.0  # Binance pings so often
CONNECTS = 5  # a second, of Upbit
DOWN, REFUSED = 503, 429


class Hub:
    """All websockets of the exchange."""

    def __init__(self, server: Server, faults: SocketFaults) -> None:
        self._server, self._faults = server, faults
        self.tape = Tape(server.truth, server.now)
        self._upbit = UpbitStream(self.tape, server.upbit)
        self._spot = BinanceStream(self.tape, futures=False)
        self._futures = BinanceStream(self.tape, futures=True)
        limits = server.rules
        most = None if limits.upbit_per_second is None else CONNECTS
        self._connects = Allowance(most, window=1, patience=limits.patience, ban=1.0, clock=server.clock)
        self._sockets: set[Socket] = set()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse | None:
        """Serve a websocket until it ends; None where the path is of none."""
        path = request.path.removeprefix(FUTURES)
        if path.startswith(UPBIT):
            return await self._serve_upbit(request)
        if path.startswith(BINANCE):
            stream = self._futures if path != request.path else self._spot
            return await self._serve_binance(request, stream, path)
        return None

    async def pump(self) -> None:
        """Send what has been traded, until cancelled."""
        second = 0
        while True:
            trades = self.tape.advance()
            if trades:
                for stream in (self._upbit, self._spot, self._futures):
                    stream.traded(trades)
            if self.tape.until // 1000 != second:
                second = self.tape.until // 1000
                self._upbit.second()
                self._spot.second(self.tape.until)
                self._futures.second(self.tape.until)
            await asyncio.sleep(TICK if self._sockets else IDLE)

    def fail(self, kind: SocketFault) -> int:
        """Let a fault happen to all connections that there are; return how many."""
        sockets = list(self._sockets)
        for socket in sockets:
            socket.fail(kind)
        return len(sockets)

    async def _serve_upbit(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._connects.ask().status != 200:  # noqa: PLR2004
            return web.Response(status=REFUSED, text="Too many connections")
        response = web.WebSocketResponse(
            compress=False, autoping=False, receive_timeout=self._server.rules.upbit_idle
        )
        async with self._connected(request, response) as socket:
            if socket is None:
                return web.Response(status=DOWN)
            with contextlib.suppress(asyncio.TimeoutError):
                async for message in response:
                    if message.type is WSMsgType.PING:
                        await response.pong(message.data)
                    elif message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                        text = self._text(request, message.data)
                        self._upbit.received(socket, text, self._server.clock())
            self._upbit.left(socket)
        return response

    async def _serve_binance(
        self, request: web.BaseRequest, stream: BinanceStream, path: str
    ) -> web.StreamResponse:
        response = web.WebSocketResponse(compress=False, heartbeat=HEARTBEAT)
        async with self._connected(request, response) as socket:
            if socket is None:
                return web.Response(status=DOWN)
            stream.opened(socket, path, request.query.get("streams", ""))
            async for message in response:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    text = self._text(request, message.data)
                    combined = path.startswith("/stream")
                    stream.received(socket, text, self._server.clock(), combined=combined)
            stream.left(socket)
        return response

    @contextlib.asynccontextmanager
    async def _connected(self, request: web.BaseRequest, response: web.WebSocketResponse) -> Any:
        """Shake hands; None in place of a socket while the exchange stands still."""
        now = self._server.now()
        if any(start <= now < end for start, end in self._server.truth.maintenance):
            yield None
            return
        await response.prepare(request)
        socket = Socket(response, request)
        self._sockets.add(socket)
        self._log(request, {})
        loop, sender = asyncio.get_running_loop(), asyncio.ensure_future(socket.run())
        fault = self._faults.next()
        timer = None if fault is None else loop.call_later(fault[1], socket.fail, fault[0])
        try:
            yield socket
        finally:
            sender.cancel()
            self._sockets.discard(socket)
            if timer is not None:
                timer.cancel()

    def _text(self, request: web.BaseRequest, data: str | bytes) -> str:
        text = data if isinstance(data, str) else data.decode()
        self._log(request, {"sent": text})
        return text

    def _log(self, request: web.BaseRequest, query: dict[str, str]) -> None:
        agent, group = request.headers.get("User-Agent", ""), "message" if query else "connect"
        at, query = self._server.clock(), query or dict(request.query)
        asked = Asked(at, f"websocket-{group}", request.path, query, agent, 1, 101)
        self._server.asked.append(asked)
