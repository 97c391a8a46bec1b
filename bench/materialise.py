"""What the columns cost: making them for a file that has none, and keeping them up while a feed goes on.

`store.maintenance.warm()` starts on a copy without cells and without packs, and has to start its scanner
process as well; raw is the scanner's part alone, all rows into one Arrow table. The feed is in `feed`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import mdstore
from bench import candles, raw
from bench.feed import feed
from bench.make import Made
from bench.measure import Line, Report, Times, interleave, ready, verify
from bench.raw_scan import RawScan
from bench.scale import Scale, scratch

__all__ = ["run"]

LEAST = 1_000_000  # rows a second
VIEW = "bench_raw"
ALL = f"CREATE VIEW {VIEW} AS SELECT symbol, timestamp, open, high, low, close, volume FROM candles"


def run(scale: Scale) -> Report:
    """Measure both."""
    report = Report("materialise", "Making the columns, and keeping them up in a feed")
    made = scale.large()
    with scratch() as folder:
        copy = folder / "copy.sqlite3"
        with mdstore.open(made.path) as store:
            store.maintenance.backup(copy)
        with raw.connected(copy) as con:
            con.execute(ALL)
        scale.say(f"warming {made.rows:,} rows")
        report.lines.append(_line(made, _measure(made, copy, scale.rounds(2))))
        lines, report.notes = feed(folder, scale)
        report.lines += lines
    return report


def _measure(made: Made, copy: Path, rounds: int) -> Times:
    @contextmanager
    def ours() -> Iterator[Callable[[], object]]:
        _take_columns(copy)
        with mdstore.open(copy) as store:
            yield store.maintenance.warm
            verify(store.maintenance.stats()["sealed_rows"] == made.rows, "every row is in a pack")
            answer = candles.columns_of(store.candles(made.names[1], "1m"))
            verify(answer == candles.frame(made.bars, seed=1).rows(), "the packs hold what was made")

    with RawScan(copy) as scanner:
        return interleave({"mdstore": ours, "raw": ready(lambda: scanner.seconds(VIEW))}, rounds)


def _take_columns(path: Path) -> None:
    """Take all cells and packs from a file that nobody has open."""
    with mdstore.open(path) as store:
        with store._candles._database.writing() as con:
            con.execute("DELETE FROM cells")
        shutil.rmtree(store.packs_path, ignore_errors=True)


def _line(made: Made, times: Times) -> Line:
    ours, theirs = (made.rows / times.median(way) for way in ("mdstore", "raw"))
    what = f"`warm` of {made.rows:,} rows in {made.symbols} series"
    ratio = times.ratio("raw", "mdstore")
    return Line(what, ours, "rows/s", theirs, ratio, f">= {LEAST:,} rows/s", ours >= LEAST)
