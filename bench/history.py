"""History: a series that is rewritten whole again and again, corrections, and reads of the past.

A vendor re-adjusts prices every day: what a rewrite takes must not grow with the rewrites before it, so a
series with 300 of them stands beside one with ten. A correction is of the latest 200 bars, all but one of
which have changed; raw is the same upsert from ready tuples, which keeps nothing of what was.
"""

from __future__ import annotations

import itertools
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
YOUNG = 10
CORRECTED = 200
SERIES = 50  # beside the one that is rewritten, each rewritten a tenth as often
ROUNDS = 30
MOST_GROWTH = 1.3
FILLED = 20_000


def run(scale: Scale) -> Report:
    """Measure rewrites, the past that they leave, and corrections."""
    report = Report("history", "Series that are rewritten, and what they were")
    with scratch() as folder:
        with mdstore.open(folder / "rewritten.sqlite3") as store:
            moments = _rewrites(store, scale)
            _past(store, moments, scale, report)
            _growth(store, scale, report)
        _corrections(folder / "corrected.sqlite3", scale, report)
        _holes(folder / "filled.sqlite3", scale, report)
    return report


def _bars(number: int) -> pl.DataFrame:
    return candles.frame(BARS, seed=1).with_columns(pl.col("volume") + number)


def _rewrites(store: mdstore.MarketDataStore, scale: Scale) -> list[int]:
    """Rewrite a series, another only the last times, and others now and then; return the revision of each."""
    others = [candles.symbol(number) for number in range(1, SERIES + 1)]
    moments, count = list[int](), scale.rows(REWRITES)
    for number in range(count):
        rows = _bars(number)
        store.write("A", "1m", rows)
        moments.append(store._candles.revision())
        if number >= count - YOUNG:
            store.write("YOUNG", "1m", rows)
        if number % 10 == 0:
            for name in others:
                store.write(name, "1m", rows.tail(CORRECTED))
            scale.say(f"rewrite {number:,}")
    return moments


def _growth(store: mdstore.MarketDataStore, scale: Scale, report: Report) -> None:
    """Rewrite the series with the long past and the young one in turns."""
    numbers = itertools.count(scale.rows(REWRITES))

    def rewrite(name: str) -> Turn:
        @contextmanager
        def turn() -> Iterator[Callable[[], object]]:
            rows = _bars(next(numbers))
            yield lambda: store.write(name, "1m", rows)

        return turn

    times = interleave({name: rewrite(name) for name in ("A", "YOUNG")}, scale.rounds(ROUNDS))
    what = f"{BARS:,} bars rewritten, {scale.rows(REWRITES)} times before; raw: {YOUNG} times before"
    report.lines.append(Line.of_times(what, times, "A", "YOUNG", most_ratio=MOST_GROWTH))


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


def _holes(path: Path, scale: Scale, report: Report) -> None:
    """Write every other bar of a series, then, timed, those between; and as many one behind the other."""
    rows, numbers = candles.frame(2 * FILLED, seed=3), itertools.count()

    def write(first: pl.DataFrame, then: pl.DataFrame) -> Turn:
        @contextmanager
        def turn() -> Iterator[Callable[[], object]]:
            name = candles.symbol(next(numbers))
            store.write(name, "1m", first)
            yield lambda: store.write(name, "1m", then)

        return turn

    turns = {
        "between": write(rows[::2], rows[1::2]),
        "behind": write(rows[:FILLED], rows[FILLED:]),
    }
    with mdstore.open(path, pack_bytes=0) as store:
        times = interleave(turns, scale.rounds(ROUNDS // 3))
    what = f"{FILLED:,} bars between others, each alone; raw: one behind the other"
    report.lines.append(Line.of_times(what, times, "between", "behind"))


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
