"""The live write: the latest 200 candles come again, 199 are stored as they are and one is new.

That is what polling an exchange gives. It is one durable transaction, so the disk's own sync is most of it:
a raw commit of a single row is timed in the same turns, and so is a raw upsert of the same 200 ready tuples.
Before each timed write a way writes once untimed, since a write of another connection empties its cache.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import apsw
import polars as pl

import mdstore
from bench import candles, raw
from bench.make import Made, restore
from bench.measure import Line, Report, Turn, interleave, verify
from bench.scale import Scale

__all__ = ["run"]

ROWS = 200
ROUNDS = 60
LONGEST = 4 * ROUNDS + 100  # more new bars than the turns below use up


def run(scale: Scale) -> Report:
    """Measure the 200-candle write on the large and on the small file, and a live minute of all symbols."""
    report = Report("tail", "Upsert of 200 candles of which 199 are there, durable")
    for made in (scale.large(), scale.small()):
        with _opened(made) as (store, con):
            _measure(store, con, made, scale.rounds(ROUNDS), report)
    with _opened(scale.large()) as (store, con):
        report.lines.append(_live_minute(store, con, scale.large(), scale.rounds(30)))
    return report


class _Feed:
    """The latest 200 candles of one series, a minute later at each call."""

    def __init__(self, made: Made) -> None:
        self.name = made.names[made.symbols // 2]
        self._all = candles.frame(made.bars + LONGEST, seed=made.symbols // 2)
        self._end = itertools.count(made.bars + 1)

    def __call__(self) -> pl.DataFrame:
        return self._all.slice(next(self._end) - ROWS, ROWS)


def _measure(
    store: mdstore.MarketDataStore, con: apsw.Connection, made: Made, rounds: int, report: Report
) -> None:
    feed = _Feed(made)
    result = store.write(feed.name, "1m", feed())
    verify((result.inserted, result.unchanged) == (1, ROWS - 1), "one candle is new, 199 are unchanged")
    turns = {"mdstore": _ours(store, feed), "raw": _raw(con, feed, ROWS), "commit": _raw(con, feed, 1)}
    times = interleave(turns, rounds)
    report.lines.append(
        Line.of_times(f"200 candles, 1 new, {made.rows:,} rows in the file", times, most_ms=3)
    )
    slow = statistics.quantiles(times.seconds["mdstore"], n=20)[-1] * 1000
    report.notes.append(
        f"{made.rows:,} rows: a raw commit of one row takes {times.median('commit') * 1000:.2f} ms in the "
        f"same turns; 1 in 20 of mdstore's writes took longer than {slow:.2f} ms (a checkpoint is in some)."
    )


def _live_minute(store: mdstore.MarketDataStore, con: apsw.Connection, made: Made, rounds: int) -> Line:
    """Write one new candle of every symbol in one transaction: what a feed brings at the end of a minute."""
    minutes = itertools.count(made.end, candles.MINUTE)

    def minute() -> pl.DataFrame:
        row = {"timeframe": "1m", "timestamp": next(minutes), "open": 1.5, "high": 2.5, "low": 0.5}
        return pl.DataFrame([{"symbol": name, **row, "close": 2.25, "volume": 3.125} for name in made.names])

    @contextmanager
    def ours() -> Iterator[Callable[[], object]]:
        store.write_many(minute())
        rows = minute()
        yield lambda: store.write_many(rows)

    @contextmanager
    def theirs() -> Iterator[Callable[[], object]]:
        raw.upsert(con, minute().rows(), made.symbols)
        rows = minute().rows()
        yield lambda: raw.upsert(con, rows, made.symbols)

    verify(store.write_many(minute()).inserted == made.symbols, "every symbol gets its new candle")
    times = interleave({"mdstore": ours, "raw": theirs}, rounds)
    return Line.of_times(f"1 new candle of each of {made.symbols} symbols, {made.rows:,} rows", times)


def _ours(store: mdstore.MarketDataStore, feed: _Feed) -> Turn:
    @contextmanager
    def turn() -> Iterator[Callable[[], object]]:
        store.write(feed.name, "1m", feed())
        rows = feed()
        yield lambda: store.write(feed.name, "1m", rows)

    return turn


def _raw(con: apsw.Connection, feed: _Feed, count: int) -> Turn:
    @contextmanager
    def turn() -> Iterator[Callable[[], object]]:
        raw.upsert(con, candles.tuples(feed.name, feed())[-count:], count)
        rows = candles.tuples(feed.name, feed())[-count:]
        yield lambda: raw.upsert(con, rows, count)

    return turn


@contextmanager
def _opened(made: Made) -> Iterator[tuple[mdstore.MarketDataStore, apsw.Connection]]:
    """Open a file both ways; take the new candles out again at the end."""
    try:
        with mdstore.open(made.path) as store, raw.connected(made.path) as con:
            yield store, con
    finally:
        restore(made)
