"""Writes of many series: all that is paid by the series shows here, from 100 of them to 30,000.

A frame of daily bars of all series in one `write_many`, then one more bar of each in one write, a minute of
a feed. Raw is APSW with ready tuples, as in `upsert`. One more bar of each changes a page of the table for
each series, 16 KB that are copied, summed and logged: that is what raw takes.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import polars as pl

import mdstore
from bench import candles, raw
from bench.chart import Curve, chart
from bench.make import remove
from bench.measure import Grid, Line, Report, Times, Turn, interleave, verify
from bench.memory import peak_mb
from bench.scale import Scale, scratch

__all__ = ["main", "run"]

DAY = 86_400_000
SERIES = (100, 300, 1_000, 3_000, 10_000, 30_000)
BARS = 50
MANY, YEAR = 10_000, 250
FEED, HISTORY = 200, 1_440
LEAST_RATE = 600_000
MOST_MB = 600
ROOT = Path(__file__).resolve().parents[1]


def run(scale: Scale) -> Report:
    """Measure bulk writes and next bars by the number of series, and 10,000 series of a year."""
    report = Report("many", "Writes of many series")
    report.grid = Grid(["series", "rows/s", "raw", "ratio", "next bar of each, ms", "raw", "ratio"])
    rates = []
    for series in (one for one in SERIES if one <= scale.rows(SERIES[-1])):
        scale.say(f"{series:,} series")
        with scratch() as folder:
            bulk, following = _bulk(folder, series, scale), _next(folder, series, BARS, scale)
        rates.append((float(series), series * BARS / bulk.median("mdstore") / 1000))
        report.grid.rows.append([f"{series:,}", *_rates(bulk, series * BARS), *_times(following)])
    with scratch() as folder:
        _feed(folder, scale, report)
        _year(folder, scale, report)
    curve = Curve("mdstore", rates)
    report.pictures["many_series.svg"] = chart(
        f"A frame of {BARS} bars of each series", "series", "thousand rows/s", [curve]
    )
    return report


def frame(series: int, bars: int, seed: int, first: int = 0, step: int = DAY) -> pl.DataFrame:
    """Return candles of many series under each other, each from bar number `first` on."""
    rows = candles.frame(series * bars, seed)
    number = pl.int_range(len(rows), eager=True)
    names = pl.Series("symbol", [candles.symbol(one) for one in range(series)])
    return rows.with_columns(
        symbol=names.gather(number // bars), timestamp=candles.START + (number % bars + first) * step
    )


def _bulk(folder: Path, series: int, scale: Scale) -> Times:
    rows = frame(series, BARS, seed=1)
    ready = _tuples(rows, "1d")

    @contextmanager
    def ours() -> Iterator[Callable[[], object]]:
        path = folder / "bulk.sqlite3"
        with mdstore.open(path) as store:
            yield lambda: store.write_many(rows, timeframe="1d")
            verify(store.maintenance.stats()["rows"] == len(rows), "every row is stored")
        remove(path)

    @contextmanager
    def theirs() -> Iterator[Callable[[], object]]:
        path = folder / "raw.sqlite3"
        mdstore.open(path).close()
        with raw.connected(path) as con:
            yield lambda: raw.upsert(con, ready)
        remove(path)

    return interleave({"mdstore": ours, "raw": theirs}, scale.rounds(5 if series < MANY else 3))


def _next(  # noqa: PLR0917 - what is fed, and how
    folder: Path, series: int, bars: int, scale: Scale, step: int = DAY, timeframe: str = "1d"
) -> Times:
    """Write one more bar of each series in turns, into two files that had the same."""
    paths = {name: folder / f"next-{name}.sqlite3" for name in ("mdstore", "raw")}
    for path in paths.values():
        with mdstore.open(path) as store:
            store.write_many(frame(series, bars, seed=2, step=step), timeframe=timeframe)
    rounds = scale.rounds(30 if series < 1_000 else 7)
    with ExitStack() as stack:
        store = stack.enter_context(mdstore.open(paths["mdstore"]))
        con = stack.enter_context(raw.connected(paths["raw"]))

        def turn(make: Callable[[pl.DataFrame], Callable[[], object]]) -> Turn:
            numbers = itertools.count(bars)

            @contextmanager
            def one() -> Iterator[Callable[[], object]]:
                yield make(frame(series, 1, seed=3, first=next(numbers), step=step))

            return one

        def theirs(rows: pl.DataFrame) -> Callable[[], object]:
            ready = _tuples(rows, timeframe)
            return lambda: raw.upsert(con, ready, min(raw.ROWS, len(ready)))

        ours = turn(lambda rows: lambda: store.write_many(rows, timeframe=timeframe))
        taken = interleave({"mdstore": ours, "raw": turn(theirs)}, rounds)
        verify(store.series()["rows"].sum() == series * (bars + rounds + 1), "every bar is stored")
    for path in paths.values():
        remove(path)
    return taken


def _feed(folder: Path, scale: Scale, report: Report) -> None:
    taken = _next(folder, FEED, HISTORY, scale, step=candles.MINUTE, timeframe="1m")
    report.lines.append(Line.of_times(f"a minute of {FEED} series, written", taken, most_ms=2))


def _year(folder: Path, scale: Scale, report: Report) -> None:
    """Write 10,000 series of 250 days in a process of its own, and one more bar of each."""
    series = scale.rows(MANY)
    command = [sys.executable, "-m", "bench.many", str(folder / "year.sqlite3"), str(series)]
    said = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    found = json.loads(said)
    rate, above = series * YEAR / found["bulk"], found["peak_mb"] - found["base_mb"]
    report.lines += [
        Line(f"{series:,} series x {YEAR} days in one frame", rate, "rows/s",
             target=f">= {LEAST_RATE:,} rows/s", met=rate >= LEAST_RATE),
        Line("one more bar of each in one write", found["next"] * 1000, "ms",
             target="< 200 ms", met=found["next"] < 0.2),
        Line(f"memory above {found['base_mb']:.0f} MB, with the frame", above, "MB",
             target=f"< {MOST_MB} MB", met=above < MOST_MB),
    ]  # fmt: skip


def _tuples(rows: pl.DataFrame, timeframe: str) -> list[tuple[object, ...]]:
    order = ("symbol", pl.lit(timeframe).alias("timeframe"), *raw.COLUMNS)
    return rows.select(order).rows()


def _rates(taken: Times, rows: int) -> list[str]:
    ours, theirs = (f"{rows / taken.median(way):,.0f}" for way in ("mdstore", "raw"))
    return [ours, theirs, f"{taken.ratio('raw', 'mdstore'):.2f}"]


def _times(taken: Times) -> list[str]:
    ours, theirs = (f"{taken.median(way) * 1000:.1f}" for way in ("mdstore", "raw"))
    return [ours, theirs, f"{taken.ratio('mdstore', 'raw'):.2f}"]


def main() -> None:
    """Write many series, and print what it took as JSON: `python -m bench.many STORE SERIES`."""
    path, series = sys.argv[1], int(sys.argv[2])
    taken = {}
    with mdstore.open(path) as store:
        store.write("WARM", "1m", candles.frame(1_000, seed=0))
        base = peak_mb()
        for name, bars, first in (("bulk", YEAR, 0), ("first", 1, YEAR), ("next", 1, YEAR + 1)):
            rows = frame(series, bars, seed=4, first=first)
            began = time.perf_counter()
            result = store.write_many(rows, timeframe="1d")
            taken[name] = time.perf_counter() - began
            verify(result.inserted == len(rows), "every row is new")
        print(json.dumps({**taken, "base_mb": base, "peak_mb": peak_mb()}))


if __name__ == "__main__":
    main()
