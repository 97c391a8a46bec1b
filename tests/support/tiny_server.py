"""A web server on the loopback interface, in a thread: it answers as a function says, and keeps a log.

What exchanges do is what the local exchange is for; this one is for what a host can do to a client.
"""

import asyncio
import json
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit


@dataclass
class Asked:
    """A request: when it came by the monotonic clock, its path, parameters and headers."""

    at: float
    path: str
    params: dict
    headers: dict


@dataclass
class Reply:
    """An answer. `cut` ends the connection within the body, `drop` before it; `delay` is seconds."""

    body: bytes | str | list | dict = b"[]"
    status: int = 200
    headers: dict = field(default_factory=dict)
    delay: float = 0.0
    cut: bool = False
    drop: bool = False

    def bytes(self):
        body = self.body if isinstance(self.body, bytes | str) else json.dumps(self.body)
        body = body.encode() if isinstance(body, str) else body
        headers = {"Content-Type": "application/json", **self.headers, "Content-Length": len(body)}
        head = f"HTTP/1.1 {self.status} X\r\n" + "".join(f"{name}: {it}\r\n" for name, it in headers.items())
        return head.encode() + b"\r\n" + (body[: len(body) // 2] if self.cut else body)


class TinyServer:
    """Answers each request with `answer(asked)`, a `Reply`."""

    def __init__(self, answer=lambda asked: Reply()):
        self.answer = answer
        self.log = []

    def __enter__(self):
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), daemon=True)
        self._thread.start()
        assert ready.wait(10)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)

    async def _serve(self, ready):
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        self._connections = set()
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        ready.set()
        await self._end.wait()
        server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connection(self, reader, writer):
        task = asyncio.current_task()
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                at = time.monotonic()
                first, *lines = head.decode().split("\r\n")
                headers = dict(line.split(": ", 1) for line in lines if line)
                target = urlsplit(first.split()[1])
                asked = Asked(at, target.path, dict(parse_qsl(target.query)), headers)
                self.log.append(asked)
                reply = self.answer(asked)
                await asyncio.sleep(reply.delay)
                if reply.drop:
                    return
                writer.write(reply.bytes())
                await writer.drain()
                if reply.cut:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


def most_in_a_second(times):
    """Return how many times lie in any second at most: `[t, t + 1)`."""
    times, most, begin = sorted(times), 0, 0
    for end, at in enumerate(times):
        while at - times[begin] >= 1:
            begin += 1
        most = max(most, end - begin + 1)
    return most
