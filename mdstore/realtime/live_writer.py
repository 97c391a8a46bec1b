"""Closed bars on their way into a store: a queue, and one thread that lands what is in it.

A bar stays in the queue until the store has it. A busy store is tried again soon, any other failure every
few seconds, and the last failure can be looked up. A bar that changes while it waits stays in the queue once,
with its latest values.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from mdstore.errors import InvalidInputError, StoreBusyError, StoreClosedError
from mdstore.realtime.forming_bars import Row

__all__ = ["Key", "Land", "Lander"]

Key = tuple[str, str]
"""Symbol and timeframe."""

Land = Callable[[str, str, list[Row]], object]
Waiting = tuple[int, Row]
"""A running number, given when the bar was queued or changed, and its row."""

# Importing Polars makes SIGINT restart blocking waits: Ctrl-C is noticed between two of these.
SLICE_SECONDS = 0.1
BUSY_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
RETRY_SECONDS = 3.0
TICK_SECONDS = 0.5
# A write that is under way when time is up is left to end: a store's own busy timeout is 10 s.
LAST_WRITE_SECONDS = 15.0


class Lander:
    """Rows of closed bars by series and time, handed to `land(symbol, timeframe, rows)` by a thread.

    `land` is never called by two threads, and never with a lock of this class held; nor is `tick`, which the
    thread calls twice a second, so that the last bar of a symbol that has gone quiet is closed, too.
    """

    def __init__(self, land: Land, tick: Callable[[], object] = lambda: None) -> None:
        self._land = land
        self._tick = tick
        self._changed = threading.Condition()
        self._waiting: dict[Key, dict[int, Waiting]] = {}
        self._number = self._landed = self._busy = 0
        self._started_rounds = self._ended_rounds = 0
        self._error: Exception | None = None
        self._error_text: str | None = None
        self._hurry = self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread, unless it is there."""
        with self._changed:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="mdstore-lander", daemon=True)
                self._thread.start()

    def put(self, key: Key, row: Row) -> None:
        """Queue a bar; it takes the place of the same bar as it was before."""
        with self._changed:
            rows = self._waiting.setdefault(key, {})
            self._number += 1
            rows[row[0]] = (rows[row[0]][0] if row[0] in rows else self._number, row)
            self._changed.notify_all()

    def withdraw(self, key: Key, start: int) -> None:
        """Forget the queued bars of a series from a start (ms) on: they turned out not to be whole."""
        with self._changed:
            rows = self._waiting.get(key, {})
            for late in [one for one in rows if one >= start]:
                del rows[late]
            if not rows:
                self._waiting.pop(key, None)
            self._changed.notify_all()

    def rows(self, key: Key) -> list[Row]:
        """Return the rows of a series that wait, in no order."""
        with self._changed:
            return [row for _, row in self._waiting.get(key, {}).values()]

    def keys(self) -> list[Key]:
        """Return the series of which rows wait."""
        with self._changed:
            return list(self._waiting)

    def stats(self) -> dict[str, int | float | str | None]:
        """Return how many rows have landed and how many wait, and what failed last, None if nothing since."""
        with self._changed:
            pending = sum(map(len, self._waiting.values()))
            return {"landed": self._landed, "pending": pending, "land_error": self._error_text}

    def flush(self, timeout: float | None = None) -> None:
        """Wait until everything queued so far has landed.

        A busy store is waited for up to `timeout` seconds, None for as long as it takes. Any other error
        of an attempt that began after this call is raised; the bars stay queued.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            number, begun = self._number, self._started_rounds
            while self._oldest() <= number:
                self._refuse_hopeless(begun, deadline)
                if self._started_rounds == begun:
                    self._hurry = True
                    self._changed.notify_all()
                self._changed.wait(SLICE_SECONDS)

    def stop(self) -> None:
        """Stop the thread after the write that is under way, if any; what is queued stays so."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            thread = self._thread
        deadline = time.monotonic() + LAST_WRITE_SECONDS
        while thread is not None and thread.is_alive() and time.monotonic() < deadline:
            thread.join(SLICE_SECONDS)

    def _oldest(self) -> float:
        return min(
            (number for rows in self._waiting.values() for number, _ in rows.values()), default=float("inf")
        )

    def _refuse_hopeless(self, begun: int, deadline: float | None) -> None:
        """Raise where waiting is useless: the last try failed for good, no thread tries, or time is up."""
        tried = self._ended_rounds > begun
        if tried and self._error is not None and not isinstance(self._error, StoreBusyError):
            raise self._error
        if self._stopping or self._thread is None or not self._thread.is_alive():
            raise self._error or StoreClosedError("closed bars are left that were not stored before close()")
        if deadline is not None and time.monotonic() >= deadline:
            raise self._error or TimeoutError(
                "closed bars were not stored in the time given; they stay queued"
            )

    def _run(self) -> None:
        tried_at = time.monotonic()
        while not self._stopping:
            if self._await_round(tried_at):
                self._round()
                tried_at = time.monotonic()
            try:
                self._tick()
            except Exception as error:  # a clock that fails must not end the thread
                self._note(error, f"{type(error).__name__}: {error}")

    def _note(self, error: Exception, text: str) -> None:
        with self._changed:
            self._error, self._error_text = error, text

    def _await_round(self, tried_at: float) -> bool:
        """Wait, but not for long, until there is something to land and it is time to try."""
        with self._changed:
            left = max(0.0, tried_at + self._pause() - time.monotonic())
            is_due = bool(self._waiting) and (self._hurry or left <= 0)
            if not is_due and not self._stopping:
                self._changed.wait(min(left, TICK_SECONDS) if self._waiting else TICK_SECONDS)
                is_due = bool(self._waiting) and (self._hurry or time.monotonic() >= tried_at + self._pause())
            if is_due and not self._stopping:
                self._hurry = False
                self._started_rounds += 1
            return is_due and not self._stopping

    def _pause(self) -> float:
        if self._error is None:
            return 0.0
        return BUSY_SECONDS[min(self._busy, len(BUSY_SECONDS)) - 1] if self._busy else RETRY_SECONDS

    def _round(self) -> None:
        """Try every series once; a busy store ends the round, for it is as busy for the next series."""
        with self._changed:
            groups = {key: dict(rows) for key, rows in self._waiting.items()}
        error: Exception | None = None
        text = None
        for key, rows in groups.items():
            if self._stopping or isinstance(error, StoreBusyError):
                break
            failure = self._land_group(key, rows)
            if failure is not None:
                error, text = failure, f"{' '.join(key)}: {type(failure).__name__}: {failure}"
        self._end_round(error, text)

    def _end_round(self, error: Exception | None, text: str | None) -> None:
        with self._changed:
            if error is not None or not self._stopping:
                self._error, self._error_text = error, text
            self._busy = self._busy + 1 if isinstance(error, StoreBusyError) else 0
            self._ended_rounds = self._started_rounds
            self._changed.notify_all()

    def _land_group(self, key: Key, rows: dict[int, Waiting]) -> Exception | None:
        """Land rows of a series; return what went wrong. One refused row does not keep the others out."""
        try:
            self._land(*key, [row for _, (_, row) in sorted(rows.items())])
        except InvalidInputError as error:
            return error if len(rows) == 1 else self._land_singly(key, rows)
        except Exception as error:  # whatever it is, the thread goes on: the error is kept, the rows too
            return error
        self._settle(key, rows)
        return None

    def _land_singly(self, key: Key, rows: dict[int, Waiting]) -> Exception | None:
        failure = None
        for start in sorted(rows):
            failure = self._land_group(key, {start: rows[start]}) or failure
            if isinstance(failure, StoreBusyError):
                break
        return failure

    def _settle(self, key: Key, landed: dict[int, Waiting]) -> None:
        """Take rows out of the queue, but for those that have changed since they were landed."""
        with self._changed:
            self._landed += len(landed)
            left = self._waiting.get(key, {})
            for start, row in landed.items():
                if left.get(start) is row:
                    del left[start]
            if not left:
                self._waiting.pop(key, None)
