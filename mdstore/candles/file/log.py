"""The write-ahead log: kept short though readers never rest.

SQLite's own checkpoints wait for nobody. Beside two or more busy readers somebody always reads by an older
end of the log, so no checkpoint gets to its end and it is never begun anew: 4.7 GB in a minute, once.
So now and then, by its size, a write waits for readers before it begins: each read is short, and new ones do
without the log once all of it is in the file. Not for long, since others that write wait meanwhile; a read
that goes on for longer pins the log, and is told of in `stats`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from math import inf
from pathlib import Path

import apsw

__all__ = ["Log"]

LOG_BYTES = 24 * 1024 * 1024
LARGE_BYTES = 40 * 1024 * 1024
# How long a write waits at most: for reads as they mostly are, and for longer ones once the log is large.
WAIT_SECONDS, LONG_WAIT_SECONDS = 0.02, 0.25
POLL_SECONDS = 0.001
# After readers were in the way it is tried again when the log has grown by so much more, or after a while.
STEP_BYTES, STEP_SHARE = 4 * 1024 * 1024, 8
RETRY_SECONDS = 1.0


class Log:
    """The log of one file, as one writer sees it."""

    def __init__(self, file: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._name = f"{file}-wal"
        self._clock = clock
        self._next_bytes, self._next_time = LOG_BYTES, inf
        self._pinned_since: float | None = None

    @property
    def bytes(self) -> int:
        """The size of the log; 0 where there is none."""
        try:
            return os.stat(self._name).st_size
        except OSError:
            return 0

    @property
    def pinned_since(self) -> str:
        """Since when it could not be begun anew though it is large, in UTC; else empty."""
        since = self._pinned_since
        return "" if since is None else datetime.fromtimestamp(since, UTC).isoformat(timespec="seconds")

    def shorten(self, con: apsw.Connection, busy_ms: int) -> None:
        """Begin the log anew where it is large, outside a transaction; what is in the way puts it off.

        Never raises an error: it is no reason for a write to fail.
        """
        size = self.bytes
        if size < LOG_BYTES:
            self._reset()
        elif size >= self._next_bytes or time.monotonic() >= self._next_time:
            try:
                con.set_busy_handler(_until(LONG_WAIT_SECONDS if size >= LARGE_BYTES else WAIT_SECONDS))
                con.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
                self._reset()
            except apsw.Error:
                self._put_off(size)
            finally:
                con.set_busy_timeout(busy_ms)

    def _put_off(self, size: int) -> None:
        if self._pinned_since is None:
            self._pinned_since = self._clock()
        self._next_bytes = size + max(STEP_BYTES, size // STEP_SHARE)
        self._next_time = time.monotonic() + RETRY_SECONDS

    def _reset(self) -> None:
        self._next_bytes, self._next_time, self._pinned_since = LOG_BYTES, inf, None


def _until(seconds: float) -> Callable[[int], bool]:
    """Return what waits for readers so long; by small steps, since the moment without any is short."""
    end = time.monotonic() + seconds

    def wait(_: int) -> bool:
        time.sleep(POLL_SECONDS)
        return time.monotonic() < end

    return wait
