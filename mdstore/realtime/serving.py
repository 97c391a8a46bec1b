"""Live rows for other processes of this user: asked for by a line, given as Arrow, over a socket.

The socket lies in `<file>-live/`, a folder that is its owner's alone. A request is a line of JSON; an answer
a header of its length and kind, then rows as an Arrow stream, or JSON. Nothing can be changed by it.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import socketserver
import struct
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from mdstore.errors import Hint, InvalidInputError, MarketDataError
from mdstore.realtime.cache import RealtimeDataCache

__all__ = ["ARROW", "HEADER", "JSON", "LATEST", "REFUSED", "TABLES", "Server", "short_name", "socket_path"]

HEADER = struct.Struct("<cQ")
"""What kind of answer follows, and how many bytes it has."""
ARROW, JSON, REFUSED = b"A", b"J", b"E"
TABLES = ("tickers", "orderbooks", "trades")
LATEST = "latest"
READS = ("window", "arrow", "snapshot")
MOST_REQUEST = 1024**2
LONGEST_NAME = 100  # of the 104 to 108 bytes that systems have for the name of a socket
OPEN_FILES = Path("/proc/self/fd")
SEND_SECONDS = 60.0
POLL_SECONDS = 0.1


def socket_path(file: str | os.PathLike[str]) -> Path:
    """Return where the live rows of a store's file are served."""
    path = Path(os.path.abspath(file))
    return path.with_name(f"{path.name}-live") / "socket"


@contextmanager
def short_name(path: Path) -> Iterator[str]:
    """Yield a name of a socket that the system takes: where its path is too long, by its open folder.

    Raises `InvalidInputError` where the system has no such names.
    """
    if len(os.fsencode(path)) <= LONGEST_NAME:
        yield str(path)
        return
    if not OPEN_FILES.exists():
        raise InvalidInputError(
            f"{path}: a socket cannot have a path of more than {LONGEST_NAME} bytes",
            hint="have the store in a folder with a shorter path",
        )
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield str(OPEN_FILES / str(folder) / path.name)
    finally:
        os.close(folder)


class Server:
    """Serves the rows of a cache until it is closed, or its process ends in whatever way.

    What is left of one that was killed is taken over. Raises `InvalidInputError` where another process
    serves the same file, or the path is too long for a socket, and `OSError`.
    """

    def __init__(self, cache: RealtimeDataCache, path: Path) -> None:
        self.path = path
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.parent.chmod(0o700)
        self._lock = _locked(path.with_name("lock"))
        try:
            path.unlink(missing_ok=True)  # whoever left it is gone: the lock was free
            with short_name(path) as name:
                self._listener = _Listener(cache, name)
            path.chmod(0o600)
        except BaseException:
            os.close(self._lock)
            raise
        self._process = os.getpid()
        _let_children_leave(self)
        thread = threading.Thread(
            target=self._listener.serve_forever, args=(POLL_SECONDS,), name="mdstore-serving", daemon=True
        )
        thread.start()

    @property
    def is_mine(self) -> bool:
        """Whether it serves, in this process."""
        return self._process == os.getpid()

    def close(self) -> None:
        """Serve no more; whoever is connected is cut off."""
        if not self.is_mine:
            return
        self._process = -1
        self.path.unlink(missing_ok=True)
        self._listener.shutdown()
        self._listener.server_close()
        self._listener.cut_off()
        os.close(self._lock)

    def leave(self) -> None:
        """Let go of all in a forked child: it would seem to be served as long as the child lives."""
        if self._process < 0:
            return
        self._process = -1
        os.close(self._lock)
        self._listener.socket.close()
        for one in list(self._listener.connected):
            one.close()


class _Listener(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, cache: RealtimeDataCache, name: str) -> None:
        self.cache = cache
        self.connected: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        super().__init__(name, _Connection)

    def cut_off(self) -> None:
        for one in list(self.connected):
            try:  # noqa: SIM105 - it may be gone by itself
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of those who went away in the middle of an answer."""


class _Connection(socketserver.StreamRequestHandler):
    server: _Listener

    def handle(self) -> None:
        self.server.connected.add(self.connection)
        while line := self.rfile.readline(MOST_REQUEST):
            kind, answer = _answer(self.server.cache, line)
            self.connection.settimeout(SEND_SECONDS)
            self.connection.sendall(HEADER.pack(kind, len(answer)))
            self.connection.sendall(answer)
            self.connection.settimeout(None)


def _answer(cache: RealtimeDataCache, line: bytes) -> tuple[bytes, Any]:
    """Return the kind of an answer, and the answer."""
    try:
        found = _asked(cache, json.loads(line))
    except MarketDataError as error:
        return REFUSED, json.dumps([type(error).__name__, error.message, error.hint]).encode()
    except Exception as error:  # of whatever was asked: it must not end the thread without an answer
        return REFUSED, json.dumps(["InvalidInputError", f"{error!r:.200}", None]).encode()
    if not isinstance(found, pa.Table):
        return JSON, json.dumps(found).encode()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, found.schema) as stream:
        stream.write_table(found)
    return ARROW, sink.getvalue()


def _asked(cache: RealtimeDataCache, request: dict[str, Any]) -> Any:
    """Read what a request asks for. Raises what the read raises."""
    name, what, options = request["of"], request["read"], request["options"]
    if name not in TABLES or what not in (LATEST, *READS):
        raise InvalidInputError(f"{name}.{what} is nothing that can be read")
    table = cache.tables[name]
    if what == LATEST:
        return table.latest(**options)
    return table.snapshot(**options).to_arrow() if what == "snapshot" else table.arrow(**options)


def _locked(path: Path) -> int:
    """Open a lock that lasts as long as this process."""
    number = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(number)
        raise InvalidInputError(
            f"{path.parent}: live rows are served there already, by this process or another",
            hint=Hint("read them by mdstore.attach(path)", "end that process"),
        ) from error
    return number


def _let_children_leave(server: Server) -> None:
    known = weakref.ref(server)

    def leave() -> None:
        one = known()
        if one is not None:
            one.leave()

    os.register_at_fork(after_in_child=leave)
