"""The live rows of another process, read-only: `mdstore.attach` beside `store.serve`."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar, overload

import polars as pl
import pyarrow as pa

from mdstore import errors
from mdstore.core.long_table import as_frame
from mdstore.errors import Hint, InvalidInputError, MarketDataError, StoreClosedError
from mdstore.realtime.rows import Depth, Ticker, Trade
from mdstore.realtime.serving import ARROW, HEADER, REFUSED, short_name, socket_path

__all__ = ["Attached", "AttachedTable", "attach"]

R = TypeVar("R", Ticker, Depth, Trade)
ANSWER_SECONDS = 30.0


def attach(file: str | os.PathLike[str], *, timeout: float = ANSWER_SECONDS) -> Attached:
    """Read the live rows of the process that serves those of a store's file (`store.serve()`).

    The file itself is not opened, and nothing can be changed. An answer is waited for up to `timeout`
    seconds. Raises `StoreClosedError` where no process serves them, then or at any later read; a read goes on
    with the next process that serves.
    """
    return Attached(socket_path(file), timeout)


class Attached:
    """Tickers, order books and trades of another process; made by `mdstore.attach`. A `with` ends it.

    Threads share one connection, one read after the other.
    """

    def __init__(self, path: Path, timeout: float) -> None:
        self._path, self._timeout = path, timeout
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._socket: socket.socket | None = None
        self.tickers = AttachedTable(self, Ticker, "tickers")
        self.orderbooks = AttachedTable(self, Depth, "orderbooks")
        self.trades = AttachedTable(self, Trade, "trades")
        with self._lock:
            self._connect()

    def ask(self, of: str, read: str, options: dict[str, Any]) -> Any:
        """Return what was read of a table: an Arrow table, or values. Raises what the read raises there."""
        request = json.dumps({"of": of, "read": read, "options": options}).encode() + b"\n"
        if self._process != os.getpid():  # forked: the connection, and maybe the lock, are the parent's
            self._process, self._lock, self._socket = os.getpid(), threading.Lock(), None
        with self._lock:
            kind, answer = self._exchanged(request)
        if kind == ARROW:
            return pa.ipc.open_stream(pa.py_buffer(answer)).read_all()
        found = json.loads(answer)
        if kind == REFUSED:
            raise _error(*found)
        return found

    def close(self) -> None:
        """End the connection; a later read makes another."""
        with self._lock:
            self._drop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Attached: {self._path.parent}>"

    # ---- within, with the lock held

    def _exchanged(self, request: bytes) -> tuple[bytes, bytearray]:
        """Send a request and return its answer; by a new connection where the one that was is gone."""
        is_new = self._socket is None
        try:
            return self._once(request)
        except OSError as error:
            self._drop()
            if not is_new and not isinstance(error, TimeoutError):
                return self._exchanged(request)
            raise self._gone(error) from error
        except BaseException:  # Ctrl-C: what is left of the answer must not be taken for the next one
            self._drop()
            raise

    def _once(self, request: bytes) -> tuple[bytes, bytearray]:
        connected = self._socket or self._connect()
        connected.sendall(request)
        kind, size = HEADER.unpack(_received(connected, HEADER.size))
        return kind, _received(connected, size)

    def _connect(self) -> socket.socket:
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connected.settimeout(self._timeout)
            with short_name(self._path) as name:
                connected.connect(name)
        except OSError as error:
            connected.close()
            raise self._gone(error) from error
        self._socket = connected
        return connected

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _gone(self, error: OSError) -> StoreClosedError:
        return StoreClosedError(
            f"{self._path.parent}: no process answers with live rows there ({error})",
            hint=Hint(
                "the process that has them serves them by store.serve()",
                "start the process that has them, and have it serve them",
            ),
        )


class AttachedTable(Generic[R]):
    """One kind of live rows of another process; arguments and results are those of `RealtimeTable`."""

    def __init__(self, attached: Attached, row: type[R], name: str) -> None:
        self._attached, self._name = attached, name
        self._row: type[R] = row

    @overload
    def latest(
        self, symbol: str, *, max_age: float | None = None, on_stale: Literal["none"] = "none"
    ) -> R | None: ...

    @overload
    def latest(self, symbol: str, *, max_age: float | None = None, on_stale: Literal["raise"]) -> R: ...

    def latest(self, symbol: str, *, max_age: float | None = None, on_stale: str = "none") -> R | None:
        """Return the newest row of a symbol; None where it is too old."""
        found = self._ask("latest", symbol=symbol, max_age=max_age, on_stale=on_stale)
        if found is None:
            return None
        row: R = self._row._make(tuple(one) if isinstance(one, list) else one for one in found)
        return row

    def window(
        self,
        symbols: str | Sequence[str] | None = None,
        *,
        seconds: float | None = None,
        rows: int | None = None,
    ) -> pl.DataFrame:
        """Return the live rows, by timestamp."""
        return as_frame(self.arrow(symbols, seconds=seconds, rows=rows))

    def arrow(
        self,
        symbols: str | Sequence[str] | None = None,
        *,
        seconds: float | None = None,
        rows: int | None = None,
    ) -> pa.Table:
        """Return the live rows as an Arrow table."""
        return self._ask("arrow", symbols=_plain(symbols), seconds=seconds, rows=rows)

    def snapshot(self, symbols: Sequence[str] | None = None) -> pl.DataFrame:
        """Return the newest live row of every symbol, or of those given."""
        return as_frame(self._ask("snapshot", symbols=_plain(symbols)))

    def _ask(self, read: str, **options: Any) -> Any:
        return self._attached.ask(self._name, read, options)


def _plain(symbols: object) -> object:
    """Return symbols as JSON has them; what is wrong with them is said where they are read."""
    if symbols is None or isinstance(symbols, str) or not hasattr(symbols, "__iter__"):
        return symbols
    return list(symbols)


def _received(connected: socket.socket, size: int) -> bytearray:
    """Return so many bytes. Raises `ConnectionError` where fewer come."""
    data = bytearray(size)
    view, got = memoryview(data), 0
    while got < size:
        count = connected.recv_into(view[got:])
        if not count:
            raise ConnectionResetError("it ended in the middle of an answer")
        got += count
    return data


def _error(name: str, message: str, hint: list[str] | None) -> MarketDataError:
    kind = getattr(errors, name, InvalidInputError)
    error: MarketDataError = kind(message, hint=None if hint is None else Hint(*hint))
    return error
