"""Order books that wait for a snapshot: fetched by a function of the user's, in a thread, one by one.

The thread is there only as long as there is something to fetch. It never touches a book: whoever reads the
feed's messages takes the answers, between two of them.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable

from mdstore.core.logs import logger
from mdstore.errors import StoreClosedError
from mdstore.realtime.fetching import result_of
from mdstore.sources.exchanges.messages import Raw

__all__ = ["FetchDepth", "Snapshots"]

FetchDepth = Callable[[str], Raw | Awaitable[Raw]]
"""Returns the exchange's answer, as it came, to a request for the order book of a symbol."""

LOG = logger("live")
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0


class Snapshots:
    """Fetches what is asked for; a symbol that failed is not asked for again before a pause, ever longer."""

    def __init__(self, fetch: FetchDepth, venue: str) -> None:
        self._fetch, self._venue = fetch, venue
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connection = 0
        self._asked: deque[str] = deque()
        self._under_way: set[str] = set()
        self._answers: deque[tuple[str, Raw]] = deque()
        # By symbol: the pause after the latest failure, and until when (monotonic) it lasts.
        self._pauses: dict[str, tuple[float, float]] = {}

    def ask(self, symbol: str) -> None:
        """Have the book of a symbol fetched, unless it is under way, or was in vain a moment ago."""
        if symbol in self._under_way or time.monotonic() < self._pauses.get(symbol, (0.0, 0.0))[1]:
            return
        with self._lock:
            self._under_way.add(symbol)
            self._asked.append(symbol)
            self._loop = _running_loop()
            if self._thread is None or not self._thread.is_alive():  # also after a fork
                self._thread = threading.Thread(target=self._run, name="mdstore-snapshots", daemon=True)
                self._thread.start()

    def answers(self) -> list[tuple[str, Raw]]:
        """Return what has come, by symbol; each is to be `accepted` or `refused`."""
        if not self._answers:
            return []
        with self._lock:
            found = list(self._answers)
            self._answers.clear()
        return found

    def accepted(self, symbol: str) -> None:
        """Know that a book is in sync."""
        with self._lock:
            self._under_way.discard(symbol)
            self._pauses.pop(symbol, None)

    def refused(self, symbol: str, why: object) -> None:
        """Know that an answer was of no use; it is logged."""
        with self._lock:
            self._under_way.discard(symbol)
            pause = min(LONGEST_PAUSE, max(FIRST_PAUSE, 2 * self._pauses.get(symbol, (0.0, 0.0))[0]))
            self._pauses[symbol] = pause, time.monotonic() + pause
        LOG.warning("%s: the order book of %s still waits for a snapshot: %s", self._venue, symbol, why)

    def forget(self) -> None:
        """Want no more of what was asked for: the connection is another, and its books are new."""
        with self._lock:
            self._connection += 1
            self._asked.clear()
            self._under_way.clear()
            self._answers.clear()
            self._pauses.clear()

    def _run(self) -> None:
        while (asked := self._next()) is not None:
            connection, symbol = asked
            try:
                loop, is_over = self._loop, lambda since=connection: self._connection != since
                answer = result_of(self._fetch(symbol), loop, is_over)
            except StoreClosedError:
                continue
            except Exception as error:  # of the user's function, whatever it is: tried again
                if self._connection == connection:
                    self.refused(symbol, repr(error))
                continue
            with self._lock:
                if self._connection == connection:
                    self._answers.append((symbol, answer))

    def _next(self) -> tuple[int, str] | None:
        with self._lock:
            if not self._asked:
                self._thread = None
                return None
            return self._connection, self._asked.popleft()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
