"""Raw messages as they come, written to files that `replay` reads: gzipped, and a new one now and then.

What waits is written once a second by a thread, as one whole gzip member: a file is the members one after the
other, and so is readable at any moment, whatever becomes of the process. In a recording of 115 messages a
second that takes 6 % more than one member for all.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import re
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from mdstore.core.logs import logger, tell
from mdstore.errors import InvalidInputError, StoreClosedError

__all__ = ["Recorder"]

LOG = logger("recorder")
NS_PER_SECOND, NS_PER_US = 1_000_000_000, 1_000
EARLIEST, LATEST = 10**17, 10**19  # 1973, and what fits the lines of a recording
URL = re.compile(r"\w+://\S+")
FLUSH_SECONDS = 1.0
LEVEL = 6
MEMBER_BYTES = 4 * 1024**2
"""So much that waits is written at once, without waiting for the second to pass."""
RETRY_SECONDS = 3.0
TELL_SECONDS = 60.0
"""The same failure is told once in so long, or each try would be a line."""
# Importing Polars makes SIGINT restart blocking waits: Ctrl-C is noticed between two of these.
SLICE_SECONDS = 0.1


class Came(NamedTuple):
    """A message that waits to be written; without a text it is a connection that began."""

    received: int
    text: str | None
    url: str | None

    def line(self) -> bytes:
        """Return it as `recording` reads it; what is no JSON, such as a bare `pong`, as a JSON text."""
        seconds, rest = divmod(self.received, NS_PER_SECOND)
        if self.text is None:
            return b"%s <-> %09d.%09d\n" % ((self.url or "").encode(), seconds, rest)
        text = self.text.replace("\r", " ").replace("\n", " ")  # in JSON they stand between tokens only
        try:
            json.loads(text)
            payload = text.encode()
        except (ValueError, RecursionError):
            payload = json.dumps(self.text).encode()
        if self.url is None:
            return b"%018d %s\n" % (self.received, payload)
        return b"%s -> %09d.%09d: %s\n" % (self.url.encode(), seconds, rest, payload)


class Recorder:
    """Writes raw messages, and when each was received, to `<path>-<time>.gz`, one file after the other.

    A new file begins after `rotate_bytes` (of the gzipped file) or `rotate_seconds`; the one before is whole
    then, and synced. No file is ever written to again, nor replaced. Several feeds, in threads or tasks, may
    write to one recorder; it never waits for the disk.

    After a crash of the process, what came in its last second is missing, and nothing else. What cannot be
    written (a full disk) waits and is tried again, up to `buffer_bytes`; beyond these the newest are `lost`.
    It is logged, and `on_error` is told, by a thread of the recorder. Files play in order by
    `store.replay(recorder.files)` or `mdstore replay recordings/upbit-*.gz`.

    A `with`, or an `async with`, writes what waits at its end. Raises `InvalidInputError`, and `OSError`
    where the folder cannot be made.

    >>> with Recorder(folder / "recordings" / "upbit") as recorder:
    ...     received = recorder.write('{"ty":"trade","cd":"KRW-BTC"}')  # session.push(message, received)
    >>> len(recorder.files)
    1
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        rotate_bytes: int = 64 * 1024**2,
        rotate_seconds: float = 3600.0,
        buffer_bytes: int = 64 * 1024**2,
        on_error: Callable[[Exception], object] | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._prefix = _prefix(path)
        self._rotate_bytes = _above_zero(rotate_bytes, "rotate_bytes")
        self._rotate_ns = _above_zero(rotate_seconds, "rotate_seconds") * NS_PER_SECOND
        self._most = _above_zero(buffer_bytes, "buffer_bytes")
        self._on_error, self._clock = on_error, clock
        self._prefix.parent.mkdir(parents=True, exist_ok=True)
        self.files: list[Path] = []
        """The files written so far, in order; the last of them may not be whole yet."""
        self.lost = 0
        """The number of messages that there was no room for."""
        self._changed = threading.Condition()
        self._writing = threading.Lock()
        self._waiting: list[Came] = []
        self._missed: Came | None = None  # what says, before the next message, that something is missing
        self._size = self._latest = self._written = 0
        self._is_closed = False
        self._error: Exception | None = None
        self._told: tuple[int | None, float] = (None, 0.0)
        self._file: _File | None = None
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._run, name="mdstore-recorder", daemon=True)
        self._thread.start()

    def write(self, message: str | bytes, received: int | None = None, *, url: str | None = None) -> int:
        """Take a message as it came; return when it was received, in nanoseconds since 1970.

        That is now, or `received`, and never before the message before: where the clock steps back, time
        stands still until it has caught up. `url` is whom was asked, of an answer to a request; it is
        written as it is, with whatever it says of you.

        Raises `InvalidInputError` for what is no text, and `StoreClosedError` after `close`.
        """
        text = _text(message)
        _check_url(url)
        if received is not None and not (isinstance(received, int) and EARLIEST <= received < LATEST):
            raise InvalidInputError(f"received={received!r} is no time in nanoseconds since 1970")
        if self._process != os.getpid():  # before the lock, which may be held for ever in a forked child
            raise StoreClosedError("this recorder was made before a fork: make another one here")
        with self._changed:
            if self._is_closed:
                raise StoreClosedError("this recorder is closed: nothing more is written")
            self._latest = max(self._latest, self._clock() if received is None else received)
            if self._size >= self._most:
                self.lost += 1
                self._missed = Came(self._latest, None, "lost://messages")
                return self._latest
            if self._missed is not None:
                self._waiting.append(self._missed)
                self._missed = None
            self._waiting.append(Came(self._latest, text, url))
            self._size += len(text)
            if self._size >= MEMBER_BYTES:
                self._changed.notify_all()
            return self._latest

    def connected(self, url: str) -> None:
        """Note that a connection to an address begins: bars that miss what came before it are not whole.

        A replay tells bars apart by it. Raises `InvalidInputError` for what is no address.
        """
        _check_url(url)
        if self._process != os.getpid():
            return
        with self._changed:
            self._latest = max(self._latest, self._clock())
            self._missed = Came(self._latest, None, url)

    def flush(self) -> None:
        """Write what waits. Raises `OSError` where it cannot be written; it waits on then."""
        with self._writing:
            self._write_waiting()

    def stats(self) -> dict[str, int | str | None]:
        """Return how many messages were written, wait and were lost, and what went wrong last."""
        with self._changed:
            return {
                "written": self._written, "waiting": len(self._waiting), "lost": self.lost,
                "files": len(self.files), "error": None if self._error is None else str(self._error),
            }  # fmt: skip

    def close(self) -> None:
        """Write what waits, and end the file. Raises `OSError` where that fails; what waits is lost then."""
        with self._changed:
            was_closed, self._is_closed = self._is_closed, True
            self._changed.notify_all()
        if was_closed or self._process != os.getpid():
            return
        while self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(SLICE_SECONDS)
        with self._writing:
            try:
                self._write_waiting()
            finally:
                self._end_file()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)

    def __repr__(self) -> str:
        return f"<Recorder: {self._prefix}, {self._written:,} messages in {len(self.files)} files>"

    # ---- within, in a thread of its own

    def _run(self) -> None:
        while not self._is_over():
            try:
                self.flush()
            except OSError as error:
                self._tell(error)

    def _is_over(self) -> bool:
        """Wait for the next round; return whether there is none."""
        with self._changed:
            if self._error is None:
                self._changed.wait_for(lambda: self._is_closed or self._size >= MEMBER_BYTES, FLUSH_SECONDS)
            else:
                self._changed.wait_for(lambda: self._is_closed, RETRY_SECONDS)
            return self._is_closed

    def _tell(self, error: OSError) -> None:
        what, at = self._told
        if what == error.errno and time.monotonic() - at < TELL_SECONDS:
            return
        self._told = error.errno, time.monotonic()
        LOG.warning("messages wait to be recorded: %s", error)
        tell(self._on_error, error, LOG)

    def _write_waiting(self) -> None:
        """Write all that waits as one member, and end the file if it is large or old."""
        with self._changed:
            waiting = list(self._waiting)
        try:
            if waiting:
                self._opened(waiting[0].received).append(b"".join(came.line() for came in waiting))
                self._forget(waiting)
            self._rotate()
        except OSError as error:
            self._error, file, self._file = error, self._file, None  # on with another file
            if file is not None and file.is_gone:
                self.files.remove(file.path)
            raise
        self._error, self._told = None, (None, 0.0)

    def _forget(self, written: list[Came]) -> None:
        with self._changed:
            del self._waiting[: len(written)]
            texts = [came.text for came in written if came.text is not None]
            self._size -= sum(map(len, texts))
            self._written += len(texts)

    def _opened(self, received: int) -> _File:
        if self._file is None:
            self._file = _File(self._prefix, received)
            self.files.append(self._file.path)
        return self._file

    def _rotate(self) -> None:
        file = self._file
        if file is not None and (
            file.size >= self._rotate_bytes or self._clock() - file.since >= self._rotate_ns
        ):
            self._end_file()

    def _end_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()


class _File:
    """One file of a recording, made new; `since` is the time (ns) in its name."""

    def __init__(self, prefix: Path, since: int) -> None:
        self.since, self.size, self.is_gone = since, 0, False
        while True:
            self.path = _named(prefix, since)
            try:
                self._number = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
            except FileExistsError:  # of another recorder, in the same microsecond
                since += NS_PER_US
            else:
                return

    def append(self, lines: bytes) -> None:
        """Write lines as a gzip member; or close the file, as it was before. Raises `OSError`.

        One that is empty is removed: a disk that was full for an hour left 1,200 of them.
        """
        member = gzip.compress(lines, LEVEL)
        try:
            written = 0
            while written < len(member):
                written += os.write(self._number, member[written:])
        except OSError as error:
            try:
                os.ftruncate(self._number, self.size)
            finally:
                os.close(self._number)
            if not self.size:
                self.path.unlink()
                self.is_gone = True
            raise OSError(error.errno, error.strerror, str(self.path)) from error
        self.size += len(member)

    def close(self) -> None:
        """Sync it, and close it."""
        try:
            os.fsync(self._number)
        finally:
            os.close(self._number)


def _named(prefix: Path, since: int) -> Path:
    """Return the path of the file that begins at a time (ns): files in the order of names play in order."""
    moment = datetime.fromtimestamp(since // NS_PER_SECOND, UTC)
    fraction = since % NS_PER_SECOND // NS_PER_US
    return prefix.with_name(f"{prefix.name}-{moment:%Y%m%dT%H%M%S}.{fraction:06d}Z.gz")


def _prefix(path: str | os.PathLike[str]) -> Path:
    prefix = Path(path)
    if not prefix.name or str(path).endswith(("/", os.sep)):
        raise InvalidInputError(f"path={str(path)!r} has no name for files: give one as recordings/upbit")
    return prefix


def _check_url(url: str | None) -> None:
    if url is not None and not URL.fullmatch(url):
        raise InvalidInputError(f"url={url!r:.80} is no address, such as https://api.upbit.com/v1/...")


def _above_zero(value: float, what: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not value > 0:
        raise InvalidInputError(f"{what}={value!r} is no number above 0")
    return value


def _text(message: object) -> str:
    """Return a message as text. Raises `InvalidInputError`."""
    if isinstance(message, str):
        return message
    if not isinstance(message, bytes | bytearray):
        raise InvalidInputError(f"message: {message!r:.80} is no text: give it as the exchange sent it")
    try:
        return message.decode()
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"message: {bytes(message)!r:.80} is no text: {error}") from error
