"""What is asked for often is in memory before it is asked for: a little at a time, in nobody's way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mdstore.core.calendars import ALWAYS, Grid
from mdstore.core.logs import logger
from mdstore.core.timeframe import DAY, Timeframe
from mdstore.errors import MarketDataError, StoreFileError
from mdstore.service.policies import ServicePolicies
from mdstore.service.roads import made_of

if TYPE_CHECKING:
    from mdstore.store.store import MarketDataStore

__all__ = ["Preloaded", "keep_ready", "preload"]

log = logger("service")
ROW_BYTES = 48
KEY = ("symbol", "timeframe", "rows")
MOST_SERIES = 1_000
MINUTE, LONGEST_CLOSED = Timeframe.parse("1m"), 14 * DAY
LOOK_SECONDS = 30.0
"""A clock that is set, or a machine that slept, is noticed after so long."""


@dataclass(frozen=True, slots=True)
class Preloaded:
    """What was made ready: series, rows, their bytes, and why it was not more; empty where it was all."""

    series: int
    rows: int
    bytes: int
    stopped: str


def preload(
    store: MarketDataStore, policies: ServicePolicies, is_over: Callable[[], bool] = lambda: False
) -> Preloaded:
    """Read the series that were asked for most, within the bytes and seconds of the policies.

    A series that is read is held in the memory of the store, as far as that has room. `is_over` is asked
    between two of them. The sizes are known before anything is read.
    """
    end, series, rows, stopped = time.monotonic() + policies.preload_seconds, 0, 0, ""
    for (symbol, timeframe), size in _asked_most(store):
        if (rows + size) * ROW_BYTES > policies.preload_bytes:
            stopped = f"{policies.preload_bytes:,} bytes are full"
            continue  # a shorter one may fit yet
        if is_over() or time.monotonic() >= end:
            stopped = f"{policies.preload_seconds:g} s are over"
            break
        try:
            store.arrow(symbol, timeframe)
        except MarketDataError as error:  # nobody has asked for it yet: who does will hear of it
            log.warning("preload: %s %s: %s", symbol, timeframe, error)
            continue
        series, rows = series + 1, rows + size
    log.info("preload: %d series, %d rows", series, rows)
    return Preloaded(series, rows, rows * ROW_BYTES, stopped)


def _asked_most(store: MarketDataStore) -> Iterable[tuple[tuple[str, str], int]]:
    """Return the series that were asked for most, or of which such bars are made, and their rows."""
    sizes: dict[str, dict[str, int]] = {}
    for symbol, name, count in store.series().select(KEY).iter_rows():
        sizes.setdefault(symbol, {})[name] = count
    found: dict[tuple[str, str], int] = {}
    for symbol, name, _ in store._candles.most_used(MOST_SERIES):
        stored = sizes.get(symbol, {})
        source = name if name in stored else made_of(stored, Timeframe.parse(name))
        if source is not None:
            found.setdefault((symbol, source), stored[source])
    return found.items()


async def keep_ready(
    store: MarketDataStore,
    policies: ServicePolicies,
    flush: Callable[[], None],
    is_over: Callable[[], bool] = lambda: False,
) -> None:
    """Preload now, and again a while before each session opens of what is asked for; until it is cancelled.

    `flush` keeps in the file what was asked for so far. `is_over` ends a preload that is under way in its
    thread, which no cancellation reaches.
    """
    while True:
        try:
            await asyncio.to_thread(preload, store, policies, is_over)
            opens = await asyncio.to_thread(_next_opening, store)
        except StoreFileError as error:  # such as a file that is busy: it was made ready never again by that
            log.warning("preload: %s; tried again in %g s", error, LOOK_SECONDS)
            await asyncio.sleep(LOOK_SECONDS)
            continue
        if opens is None:
            return  # what always trades is asked for all the time, and stays in memory by that
        ahead = policies.preload_before_seconds
        while (left := opens / 1000 - ahead - store._clock()) > 0:
            await asyncio.sleep(min(left, LOOK_SECONDS))
        await asyncio.to_thread(flush)
        await asyncio.sleep(ahead)  # not twice for the same opening


def _next_opening(store: MarketDataStore) -> int | None:
    """Return when the next market opens (ms) of those that the store has a calendar for."""
    now, opens = store._now(), []
    for calendar in store.calendars()["calendar"].unique():
        starts, _ = Grid(MINUTE, calendar).stretches(now, now + LONGEST_CLOSED)
        opens += [start for start in starts if start > now and calendar != ALWAYS][:1]
    return min(opens, default=None)
