"""Holes of a session are fetched once their bars have ended: a thread, whatever the session runs in.

Others may sync the same series: one at a time asks for it, and what the others have brought is not asked for.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import polars as pl

from mdstore.core.hole_reasons import Stated
from mdstore.core.schema import CANDLE_COLUMNS
from mdstore.errors import StoreClosedError
from mdstore.realtime.fetching import each_of, result_of
from mdstore.realtime.live_writer import Key, Lease, Ledger
from mdstore.realtime.ranges import Range, Ranges
from mdstore.realtime.rows import Hole

__all__ = ["Backfill", "Fetch", "Part"]

Fetch = Callable[[str, str, int, int], Any | Awaitable[Any] | AsyncGenerator[Any]]
"""Returns the candles of a symbol and timeframe in `[start, end)` ms: in a form that `store.write` takes, as
a list of `Part`, or as an asynchronous generator of them, each of which is stored as it comes. What no part
covers is asked for again."""

LOOK_SECONDS = 0.2
FLUSH_SECONDS = 1.0
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
FEW = 3  # of failures in a round: then it is the exchange that fails, rather than a market that is gone
ROW = 6


@dataclass(frozen=True, slots=True)
class Part:
    """The candles of `[start, end)` ms; `absent` is why bars in it are not there, where that is known.

    `settled` is said by whoever has proven the range: from then on (ms) its bars may yet be amended. Where
    `rows` is None, nothing can be known of the range here, and it is not asked for again. `source` is who
    gave them, "backfill" if nobody is named.
    """

    start: int
    end: int
    rows: Any
    absent: Stated | None = None
    settled: int | None = None
    source: str | None = None


class Filled(Protocol):
    """What has holes to be filled: live candles."""

    @property
    def ledger(self) -> Ledger | None:
        """Where bars are stored, if they are."""

    def ended_holes(self, symbols: Sequence[str] | None) -> list[Hole]:
        """Return the holes of stored series whose bars have all ended."""

    def filled(self, symbol: str, timeframe: str, start: int, end: int, rows: Sequence[Any]) -> None:
        """Know that a hole was filled."""

    def flush(self, timeout: float) -> None:
        """Wait until what has ended so far is stored."""


class Backfill:
    """Fetches what was not seen of symbols, and stores it; what fails is tried again, ever later.

    The first `prefix` letters of each symbol are not the exchange's. `trouble` is told what fails.
    """

    def __init__(
        self, live: Filled, symbols: Sequence[str] | None, prefix: int, fetch: Fetch,
        trouble: Callable[[Exception], None],
    ) -> None:  # fmt: skip
        self._live, self._symbols, self._prefix = live, symbols, prefix
        self._fetch, self._trouble = fetch, trouble
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lease: Lease | None = None
        self._beat_at = 0.0
        # By hole: how long it is left alone after its last failure, and until when.
        self._later: dict[tuple[str, str, int], tuple[float, float]] = {}

    def start(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Start the thread; a coroutine function is run in `loop`."""
        if self._thread is None:
            self._loop = loop
            self._thread = threading.Thread(target=self._run, name="mdstore-backfill", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop the thread, after the fetch that is under way."""
        self._stopping.set()
        thread = self._thread
        while thread is not None and thread.is_alive() and thread is not threading.current_thread():
            thread.join(LOOK_SECONDS)

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                self._round()
            except StoreClosedError:
                return
            except Exception as error:
                self._trouble(error)
            except BaseException:  # Ctrl-C, which Polars raises in any thread: see `live_writer`
                self._later.clear()

    def _round(self) -> None:
        """Fill what is due. One that fails does not keep the others waiting; a few of them end the round."""
        failed = 0
        for hole in self._live.ended_holes(self._symbols):
            key = (hole.symbol, hole.timeframe, hole.start)
            pause, not_before = self._later.get(key, (0.0, 0.0))
            if time.monotonic() < not_before:
                continue
            if self._stopping.is_set() or failed == FEW:
                return
            self._later.pop(key, None)
            pause = min(LONGEST_PAUSE, max(FIRST_PAUSE, 2 * pause))
            try:
                if not self._fill(hole):
                    self._later[key] = (pause, time.monotonic() + pause)
            except StoreClosedError:
                raise
            except Exception as error:  # of a fetch, or of a store that is busy: tried again
                failed += 1
                self._later[key] = (pause, time.monotonic() + pause)
                error.add_note(f"{hole.symbol} {hole.timeframe}: fetched again in {pause:g} s")
                self._trouble(error)

    def _fill(self, hole: Hole) -> bool:
        """Fill a hole, unless somebody else asks for its series just now; tell whether it is filled."""
        ledger = self._live.ledger
        if ledger is None:
            return True
        lease = ledger.lease(hole.symbol, hole.timeframe)
        if lease is None:
            return False
        self._lease, self._beat_at = lease, time.monotonic() + lease.beat_seconds
        try:
            return self._fill_alone(ledger, hole)
        finally:
            self._lease = None
            lease.give_back()

    def _fill_alone(self, ledger: Ledger, hole: Hole) -> bool:
        """Store what comes, part by part: a failure keeps what came. Tell whether it was all.

        What others have brought since is told, and not asked for.
        """
        assert hole.end is not None  # noqa: S101 - `ended_holes` have one; for mypy
        key = hole.symbol, hole.timeframe
        with suppress(Exception):  # what is doubted is to be in the ledger by now
            self._live.flush(FLUSH_SECONDS)
        left, told = Ranges(), list[Any]()
        left.add(hole.start, hole.end)
        wanted = ledger.lacks(*key, hole.start, hole.end)
        try:
            for start, end in _without(left, wanted):
                told += ledger.stored(*key, start, end)
                self._known(key, start, end, left)
            for start, end in wanted:
                for part in self._parts(key, start, end):
                    if part.rows is not None:
                        ledger.fill(
                            *key, part.rows, part.start, part.end, absent=part.absent,
                            settled=part.settled, source=part.source,
                        )  # fmt: skip
                        told += _plain(part.rows)
                    self._known(key, part.start, part.end, left)
                    if not self._beat():
                        return False
        finally:  # parts may come from the newest to the oldest, and bars are told in their order
            if told:
                self._live.filled(*key, hole.start, hole.start, sorted(told))
        return not left

    def _known(self, key: Key, start: int, end: int, left: Ranges) -> None:
        self._live.filled(*key, start, end, [])
        left.remove(start, end)

    def _parts(self, key: Key, start: int, end: int) -> Iterator[Part]:
        answer = self._fetch(key[0][self._prefix :], key[1], start, end)
        if isinstance(answer, AsyncGenerator):
            yield from each_of(answer, self._loop, self._is_over)
            return
        given = result_of(answer, self._loop, self._is_over)
        in_parts = isinstance(given, list) and given and all(isinstance(one, Part) for one in given)
        yield from given if in_parts else [Part(start, end, given)]

    def _is_over(self) -> bool:
        """Tell whether nobody waits any more; while somebody does, say to others that the work goes on."""
        self._beat()
        return self._stopping.is_set()

    def _beat(self) -> bool:
        """Say that the work goes on, if that is due; false where somebody else has taken it over."""
        if self._lease is None or time.monotonic() < self._beat_at:
            return True
        self._beat_at = time.monotonic() + self._lease.beat_seconds
        return self._lease.beat()


def _without(whole: Ranges, others: Iterable[Range]) -> Ranges:
    left = Ranges()
    for one in whole:
        left.add(*one)
    for one in others:
        left.remove(*one)
    return left


def _plain(rows: Any) -> list[Any]:
    """Return rows as those who subscribed to bars are told of them; none where they are of another form."""
    if isinstance(rows, pl.DataFrame):
        known = set(CANDLE_COLUMNS) <= set(rows.columns) and rows["timestamp"].dtype == pl.Int64
        return rows.select(CANDLE_COLUMNS).rows() if known else []
    plain = isinstance(rows, list) and all(isinstance(row, tuple) and len(row) == ROW for row in rows)
    return rows if plain else []
