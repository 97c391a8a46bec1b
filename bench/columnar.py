"""Reads of the columnar tier against seven other techniques, on the large file of minutes.

The process is warm. `no memory tier` is mdstore on the same file with `memory_bytes=0`; bare is Polars over
frames that are in memory already, with nothing to open, check or keep coherent.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import timedelta

import polars as pl

from bench.data import Data, minutes
from bench.measure import Report
from bench.peers import absent
from bench.peers.protocol import Reads
from bench.scale import Scale
from bench.versus import Work, compare, opened

__all__ = ["run"]

LATEST = 1_000
BARS = 200


def run(scale: Scale) -> Report:
    """Compare everybody on every kind of read."""
    report = Report("columnar", "Reads in a warm process, mdstore and others")
    made = scale.large()
    data = minutes(made.symbols, made.bars)
    with opened(data, made.path, scale) as field:
        compare(report, field, _works(data), scale)
    report.notes += absent()
    return report


def _works(data: Data) -> list[Work]:
    names = list(data.frames)
    name = names[len(names) // 2]
    times = data.frames[name]["timestamp"]
    part = data.bars // 5
    start = times[data.bars // 2]
    end = start + timedelta(minutes=part)
    return [
        Work(f"all {data.bars:,} rows of a series", lambda reads: reads.series(name), 0.15, 1.5),
        Work("the same, another series each time", _another(names)),
        Work(f"{part:,} rows from its middle", lambda reads: reads.window(name, start, end), 0.15),
        Work(f"its latest {LATEST:,}", lambda reads: reads.latest(name, LATEST), 0.1),
        Work(f"all {data.rows:,} rows as one frame", lambda reads: reads.everything(), 40),
        Work(
            f"mean, max, sum of {len(names)} series", lambda reads: reads.universe(), 30, ordered=False
        ),
        Work(
            f"screen of {len(names)} x {BARS} bars", lambda reads: reads.screen(BARS), 25, ordered=False
        ),
        Work(
            f"{data.rows:,} minutes to hours", lambda reads: reads.resample("1h"), 200,
            added=("volume",), ordered=False,
        ),
    ]  # fmt: skip


def _another(names: list[str]) -> Callable[[Reads], pl.DataFrame]:
    """Return what reads the next series at each call, for everybody the same."""
    turns: dict[int, Iterator[str]] = defaultdict(lambda: itertools.cycle(names))
    return lambda reads: reads.series(next(turns[id(reads)]))
