"""History: a series that is rewritten whole again and again, corrections, and reads of the past.

A vendor re-adjusts all prices every day: what a rewrite takes must not grow with the rewrites before it, so
the last ones stand beside the first. A correction is of the latest 200 bars, of which all but the first have
changed; raw is the same upsert from ready tuples, which keeps nothing of what was.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import polars as pl

import mdstore
from bench import candles, raw
from bench.measure import Line, Report, Turn, interleave, ready, verify
from bench.scale import Scale, scratch

__all__ = ["run"]

BARS = 3_000
REWRITES = 300
FIRST, WINDOW = 5, 10  # rewrites 5 to 15 are "the tenth", and as many at the end the last
CORRECTED = 200
SERIES = 50  # beside the one that is rewritten, each rewritten a tenth as often
ROUNDS = 30
MOST_GROWTH = 1.3


def run(scale: Scale) -> Report:
    """Measure rewrites, the past that they leave, and corrections."""
    report = Report("history", "Series that are rewritten, and what they were")
    with scratch() as folder:
        with mdstore.open(folder / "rewritten.sqlite3") as store:
            moments = _rewrites(store, scale, report)
            _past(store, moments, scale, report)
        _corrections(folder / "corrected.sqlite3", scale, report)
    return report


def _bars(number: int) -> pl.DataFrame:
    return candles.frame(BARS, seed=1).with_columns(pl.col("volume") + number)


def _rewrites(store: mdstore.MarketDataStore, scale: Scale, report: Report) -> list[int]:
    """Rewrite a series; return the revision of each time."""
    others = [candles.symbol(number) for number in range(1, SERIES + 1)]
    taken, moments = list[float](), list[int]()
    for number in range(scale.rows(REWRITES)):
        rows = _bars(number)
        began = time.perf_counter()
        store.write("A", "1m", rows)
        taken.append(time.perf_counter() - began)
        moments.append(store._candles.revision())
        if number % 10 == 0:
            for name in others:
                store.write(name, "1m", rows.tail(CORRECTED))
            scale.say(f"rewrite {number:,}")
    early = taken[FIRST : min(FIRST + WINDOW, len(taken))]
    late = taken[-len(early) :]
    first, last = statistics.median(early) * 1000, statistics.median(late) * 1000
    ratio, target = last / first, f"<= {MOST_GROWTH:g} x the tenth"
    what = f"rewrite {len(taken)} of {BARS:,} bars; raw is rewrite 10"
    report.lines.append(Line(what, last, "ms", first, ratio, target, ratio <= MOST_GROWTH))
    return moments


def _past(store: mdstore.MarketDataStore, moments: list[int], scale: Scale, report: Report) -> None:
    everything = store.series()["symbol"].to_list()
    back = {"1 rewrite ago": moments[-2], "10 ago": moments[-11], "at the first": moments[0]}
    start = candles.START + BARS // 2 * candles.MINUTE
    for number, at in zip((len(moments) - 2, len(moments) - 11, 0), back.values(), strict=True):
        then = candles.columns_of(store.candles("A", "1m", as_of=at))
        verify(then == candles.columns_of(_bars(number)), "the past is as it was written")
    turns: dict[str, Turn] = {"now": ready(lambda: store.candles("A", "1m"))}
    for name, at in back.items():
        turns[f"a series, {name}"] = _as_of(store, "A", at)
        turns[f"one bar, {name}"] = _as_of(store, "A", at, start=start, end=start + candles.MINUTE)
        turns[f"{SERIES + 1} series, {name}"] = _as_of(store, everything, at)
    times = interleave(turns, scale.rounds(ROUNDS) // 3 + 1)
    report.lines += [Line.of_times(f"as_of: {name}", times, name, "now") for name in turns if name != "now"]


def _as_of(store: mdstore.MarketDataStore, what: str | list[str], at: int, **window: int) -> Turn:
    return ready(lambda: store.candles(what, "1m", as_of=at, **window))


def _corrections(path: Path, scale: Scale, report: Report) -> None:
    """Correct the latest bars of a series, and one bar of it; then a bar of which nothing else was known."""
    rows = candles.frame(50_000, seed=2)
    with mdstore.open(path) as store, raw.connected(path) as con:
        store.write("A", "1m", rows)
        store.write("RAW", "1m", rows)
        for count in (CORRECTED, 1):
            times = interleave(
                {"mdstore": _correct(store, rows.tail(count)), "raw": _correct_raw(con, rows.tail(count))},
                scale.rounds(ROUNDS * 3),
            )
            changed = max(1, count - 1)
            line = Line.of_times(f"{count} bars of which {changed} changed", times, most_ms=1.5)
            report.lines.append(line)


def _correct(store: mdstore.MarketDataStore, rows: pl.DataFrame) -> Turn:
    numbers = itertools.count(1)

    @contextmanager
    def turn() -> Iterator[Callable[[], object]]:
        # Untimed once: a write of another connection empties the cache of this one.
        store.write("A", "1m", _changed(rows, next(numbers)))
        new = _changed(rows, next(numbers))
        yield lambda: store.write("A", "1m", new)

    return turn


def _correct_raw(con: apsw.Connection, rows: pl.DataFrame) -> Turn:
    numbers = itertools.count(1)

    @contextmanager
    def turn() -> Iterator[Callable[[], object]]:
        raw.upsert(con, candles.tuples("RAW", _changed(rows, next(numbers))), len(rows))
        new = candles.tuples("RAW", _changed(rows, next(numbers)))
        yield lambda: raw.upsert(con, new, len(rows))

    return turn


def _changed(rows: pl.DataFrame, number: int) -> pl.DataFrame:
    """Return rows of which all but the first (or the only one) have another volume."""
    changed = pl.int_range(pl.len()) >= min(1, len(rows) - 1)
    return rows.with_columns(pl.when(changed).then(pl.col("volume") + number).otherwise("volume"))
