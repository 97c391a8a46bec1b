"""Closed bars on their way into a store: a queue, and one thread that lands what is in it.

A bar stays in the queue until the store has it. A busy store is tried again soon, any other failure every
few seconds; what failed last is there to be seen, is logged, and told to whoever asked for it. A bar that
changes while it waits, waits once, as it is at last.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

from mdstore.core.hole_reasons import Stated
from mdstore.core.logs import logger, tell
from mdstore.errors import InvalidInputError, StoreBusyError, StoreClosedError
from mdstore.realtime.bars import Row
from mdstore.realtime.ranges import Range, Ranges

__all__ = ["Key", "Land", "Lander", "Lease", "Ledger"]

Key = tuple[str, str]
"""Symbol and timeframe."""

Land = Callable[[str, str, list[Row]], object]
Waiting = tuple[int, Row]
"""A running number, given when the bar was queued or changed, and its row."""

LOG = logger("live")
# Importing Polars makes SIGINT restart blocking waits: Ctrl-C is noticed between two of these.
SLICE_SECONDS = 0.1
BUSY_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
RETRY_SECONDS = 3.0
TICK_SECONDS = 0.5
# A write that is under way when time is up is left to end: a store's own busy timeout is 10 s.
LAST_WRITE_SECONDS = 15.0
SLOW_SECONDS = 3.0
"""A store that has not taken bars for so long is told of, whatever becomes of it."""
LOG_SECONDS = 60.0
"""The same failure is told once in so long: a disk that was full for an hour was 1,200 lines."""
NEVER = float("inf")
# Ctrl-C ends what Polars is at in any thread, by a KeyboardInterrupt there: one of six programs that were
# told to end lost the thread that would have stored their last bars.
INTERRUPTED = "what stored closed bars was interrupted; it is tried again"


class Lease(Protocol):
    """What one has at a time, who says every now and then that the work goes on."""

    beat_seconds: float

    def beat(self) -> bool:
        """Say that the work goes on; false where somebody else has taken it over."""

    def give_back(self) -> None:
        """Let others have it."""


@runtime_checkable
class Ledger(Protocol):
    """A place for bars that has a ledger, too: a store."""

    def __call__(self, symbol: str, timeframe: str, rows: list[Row], /) -> object:
        """Store bars of one series."""

    def land(self, rows: Mapping[Key, list[Row]]) -> object:
        """Store bars of several series in one transaction."""

    def state(self, quiet: Mapping[Key, Sequence[Range]], doubted: Mapping[Key, Sequence[Range]]) -> object:
        """State where there was no trade, and have what is `doubted` asked for again."""

    def fill(
        self, symbol: str, timeframe: str, rows: Any, start: int, end: int,
        *, absent: Stated | None = None, settled: int | None = None, source: str | None = None,
    ) -> object:  # fmt: skip
        """Store what was fetched for a range; `absent`, `settled`, `source` are as in `backfill.Part`."""

    def lease(self, symbol: str, timeframe: str) -> Lease | None:
        """Return what only one has at a time who asks for a series, or None while somebody else has it."""

    def lacks(self, symbol: str, timeframe: str, start: int, end: int) -> Sequence[Range]:
        """Return what is worth asking for of a range whose bars have ended by the exchange's clock."""

    def stored(self, symbol: str, timeframe: str, start: int, end: int) -> Sequence[Row]:
        """Return the bars of a range that are stored."""

    def missing(self, symbols: Sequence[str], timeframe: str) -> Mapping[str, Sequence[Range]]:
        """Return the ranges that are worth asking for, of those of the symbols that are stored."""


class Lander:
    """Rows of closed bars by series and time, handed to `land(symbol, timeframe, rows)` by a thread.

    Where `land` is a `Ledger`, many bars go together, and what is known of bars that are not there, too. It
    is never called by two threads, and never with a lock of this class held; nor is `tick`, which the thread
    calls twice a second, so that what has passed without a trade is stated, too. `troubled` is called with
    what fails, and again each minute that it goes on.
    """

    def __init__(
        self,
        land: Land,
        tick: Callable[[], object] = lambda: None,
        troubled: Callable[[Exception], object] = lambda _: None,
    ) -> None:
        self.place = land
        self.ledger = land if isinstance(land, Ledger) else None
        self._tick = tick
        self._troubled = troubled
        self._changed = threading.Condition()
        self._waiting: dict[Key, dict[int, Waiting]] = {}
        self._quiet: dict[Key, Ranges] = {}
        self._doubted: dict[Key, Ranges] = {}
        self._noted = self._noting = NEVER  # under which number the oldest of these came to wait, or goes
        self._number = self._landed = self._busy = 0
        self._started_rounds = self._ended_rounds = 0
        self._error: Exception | None = None
        self._error_text: str | None = None
        self._logged: tuple[str, float] = ("", 0.0)
        self._hurry = self._stopping = False
        self._thread: threading.Thread | None = None

    def refuse_to_write(self) -> None:
        """Raise what a place raises that knows that it will take nothing."""
        refuse = getattr(self.place, "refuse_to_write", None)
        if refuse is not None:
            refuse()

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

    def state(self, key: Key, start: int, end: int) -> None:
        """Queue that there was no trade in `[start, end)` ms."""
        with self._changed:
            self._quiet.setdefault(key, Ranges()).add(start, end)
            self._note_one()

    def doubt(self, key: Key, start: int, end: int) -> None:
        """Forget what is queued of `[start, end)` ms, and queue that it is to be asked for again."""
        with self._changed:
            rows = self._waiting.get(key, {})
            for one in [one for one in rows if start <= one < end]:
                del rows[one]
            if not rows:
                self._waiting.pop(key, None)
            if key in self._quiet:
                self._quiet[key].remove(start, end)
            self._doubted.setdefault(key, Ranges()).add(start, end)
            self._note_one()

    def rows(self, key: Key) -> list[Row]:
        """Return the rows of a series that wait, in no order."""
        if key not in self._waiting:
            return []
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

    def _note_one(self) -> None:
        self._number += 1
        self._noted = min(self._noted, self._number)
        self._changed.notify_all()

    def _has_work(self) -> bool:
        return bool(self._waiting) or self._noted < NEVER

    def _oldest(self) -> float:
        numbers = (number for rows in self._waiting.values() for number, _ in rows.values())
        return min(min(numbers, default=NEVER), self._noted, self._noting)

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
            is_due = self._has_work() and (self._hurry or left <= 0)
            if not is_due and not self._stopping:
                self._changed.wait(min(left, TICK_SECONDS) if self._has_work() else TICK_SECONDS)
                is_due = self._has_work() and (self._hurry or time.monotonic() >= tried_at + self._pause())
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
        with self._watched():
            groups = self._land_together(groups)
            for key, rows in groups.items():
                if self._stopping or isinstance(error, StoreBusyError):
                    break
                failure = self._land_group(key, rows)
                if failure is not None:
                    error, text = failure, f"{' '.join(key)}: {type(failure).__name__}: {failure}"
            if not self._stopping and not isinstance(error, StoreBusyError):
                failure = self._land_notes()
                if failure is not None and error is None:
                    error, text = failure, f"{type(failure).__name__}: {failure}"
        self._end_round(error, text)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Say so where the store takes long: a write waits for its lock before it fails."""
        slow = TimeoutError(f"the store has not taken closed bars for {SLOW_SECONDS:g} s; they wait")
        timer = threading.Timer(SLOW_SECONDS, self._tell, (slow, str(slow)))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _tell(self, error: Exception, text: str) -> None:
        now = time.monotonic()
        said, at = self._logged
        if text == said and now - at < LOG_SECONDS:
            return
        self._logged = text, now
        LOG.warning("closed bars wait to be stored: %s", text)
        tell(self._troubled, error, LOG)

    def _end_round(self, error: Exception | None, text: str | None) -> None:
        with self._changed:
            was_failing = self._error is not None
            if error is not None or not self._stopping:
                self._error, self._error_text = error, text
            self._busy = self._busy + 1 if isinstance(error, StoreBusyError) else 0
            self._ended_rounds = self._started_rounds
            self._changed.notify_all()
        if error is not None and text is not None:
            self._tell(error, text)
        elif was_failing:
            self._logged = ("", 0.0)
            LOG.warning("closed bars are stored again")

    def _land_together(self, groups: dict[Key, dict[int, Waiting]]) -> dict[Key, dict[int, Waiting]]:
        """Land rows of several series in one transaction; return those that have to go one by one."""
        if len(groups) < 2 or self.ledger is None:  # noqa: PLR2004 - several
            return groups
        try:
            self.ledger.land({key: _sorted(rows) for key, rows in groups.items()})
        except BaseException:  # which of them it was, and what of it, comes out one by one
            return groups
        for key, rows in groups.items():
            self._settle(key, rows)
        return {}

    def _land_group(self, key: Key, rows: dict[int, Waiting]) -> Exception | None:
        """Land rows of a series; return what went wrong. One refused row does not keep the others out."""
        try:
            self.place(*key, _sorted(rows))
        except InvalidInputError as error:
            return error if len(rows) == 1 else self._land_singly(key, rows)
        except Exception as error:  # whatever it is, the thread goes on: the error is kept, the rows too
            return error
        except BaseException:
            return StoreBusyError(INTERRUPTED)
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

    def _land_notes(self) -> Exception | None:
        """Enter what is known of bars that are not there; it stays queued where that fails."""
        with self._changed:
            number, quiet, doubted = self._noted, self._quiet, self._doubted
            self._noted, self._noting, self._quiet, self._doubted = NEVER, number, {}, {}
        if number == NEVER:
            return None
        failure: Exception | None = None
        try:
            if self.ledger is not None:
                self.ledger.state(_listed(quiet), _listed(doubted))
        except Exception as error:  # as above
            failure = error
        except BaseException:
            failure = StoreBusyError(INTERRUPTED)
        if failure is not None:
            self._take_back(number, quiet, doubted)
        with self._changed:
            self._noting = NEVER
        return failure

    def _take_back(self, number: float, quiet: dict[Key, Ranges], doubted: dict[Key, Ranges]) -> None:
        with self._changed:
            for key, ranges in quiet.items():
                for start, end in ranges:
                    mine = self._quiet.setdefault(key, Ranges())
                    mine.add(start, end)
                    for one in self._doubted.get(key, ()):
                        mine.remove(*one)
            for key, ranges in doubted.items():
                for start, end in ranges:
                    self._doubted.setdefault(key, Ranges()).add(start, end)
            self._noted = min(self._noted, number)
            self._changed.notify_all()


def _sorted(rows: dict[int, Waiting]) -> list[Row]:
    return [row for _, (_, row) in sorted(rows.items())]


def _listed(ranges: dict[Key, Ranges]) -> dict[Key, list[Range]]:
    return {key: list(found) for key, found in ranges.items()}
