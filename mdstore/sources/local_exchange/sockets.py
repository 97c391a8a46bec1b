"""One websocket of the local exchange: what waits to be sent, and what goes wrong with it."""

from __future__ import annotations

import asyncio
import contextlib

from aiohttp import web

from mdstore.sources.local_exchange.faults import SocketFault

__all__ = ["Socket"]

MOST_WAITING = 200_000  # messages; a client that is so far behind is cut off
GOING_AWAY, POLICY = 1001, 1008


class Socket:
    """A connection with what it has subscribed to."""

    def __init__(self, response: web.WebSocketResponse, request: web.BaseRequest) -> None:
        self._response, self._request = response, request
        self._waiting: list[str | bytes] = []
        self._wake = asyncio.Event()
        self._silent = False
        self.received: list[float] = []  # when messages came, of the latest minute

    def send(self, message: str | bytes) -> None:
        """Have a message sent: a text, or bytes as a binary message."""
        if self._silent:
            return
        self._waiting.append(message)
        self._wake.set()
        if len(self._waiting) > MOST_WAITING:
            self.fail("dropped")

    async def run(self) -> None:
        """Send what waits, until the connection ends."""
        with contextlib.suppress(ConnectionError):
            while not self._response.closed:
                await self._wake.wait()
                self._wake.clear()
                batch, self._waiting = self._waiting, []
                for message in batch:
                    if isinstance(message, bytes):
                        await self._response.send_bytes(message)
                    else:
                        await self._response.send_str(message)

    def fail(self, kind: SocketFault) -> None:
        """Break the connection, close it, or say nothing more."""
        self._silent = True
        if kind == "dropped" and self._request.transport is not None:
            self._request.transport.abort()
        elif kind == "closed":
            self.close(GOING_AWAY, "the server restarts")

    def close(self, code: int, reason: str) -> None:
        """Close it with a code."""
        self._silent = True
        task = asyncio.ensure_future(self._response.close(code=code, message=reason.encode()))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    def is_too_fast(self, now: float, *, second: int, minute: int | None = None) -> bool:
        """Count a message that came, and tell whether there were more than are allowed."""
        self.received = [at for at in self.received if now - at < 60] + [now]  # noqa: PLR2004  # seconds
        in_second = sum(now - at < 1 for at in self.received)
        return in_second > second or (minute is not None and len(self.received) > minute)
