"""The first read: a new process that imports, opens and reads one series, timed as a whole from outside.

It takes turns with a process that reads the same rows of a bare Feather file with the same imports (Polars
and PyArrow), and with processes that only import Polars, which is most of the time, or nothing at all.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl

import mdstore
from bench import candles
from bench.measure import Line, Report, Times, interleave, ready, verify
from bench.peers import feather
from bench.peers.protocol import TIME
from bench.scale import Scale, scratch

__all__ = ["run"]

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 15
MOST = 1.3
SHOW = """
print(len(frame), *frame.select(pl.exclude("timestamp").max()).row(0))
"""
MDSTORE = f"""
import sys
import polars as pl
import pyarrow as pa
import mdstore
with mdstore.open(sys.argv[1]) as store:
    frame = store.candles(sys.argv[2], "1m")
    {SHOW.strip()}
"""
FEATHER = f"""
import sys
import polars as pl
import pyarrow as pa
with pa.memory_map(sys.argv[1]) as source:
    frame = pl.from_arrow(pa.ipc.open_file(source).read_all())
    {SHOW.strip()}
"""


def run(scale: Scale) -> Report:
    """Time whole processes in turns."""
    made = scale.large()
    number = made.symbols // 2
    name = made.names[number]
    report = Report("first_read", f"A new process reads {made.bars:,} rows of one series")
    with mdstore.open(made.path) as store:
        store.maintenance.warm()
    rows = candles.frame(made.bars, seed=number).with_columns(pl.col("timestamp").cast(TIME))
    with scratch() as folder:
        feather.load({name: rows}, folder)
        ways = {
            "mdstore": _process(MDSTORE, str(made.path), name),
            "raw": _process(FEATHER, str(folder / f"{name}.arrow")),
            "polars": _process("import polars"),
            "python": _process("pass"),
        }
        expected = " ".join(map(str, (len(rows), *rows.select(pl.exclude("timestamp").max()).row(0))))
        for way in ("mdstore", "raw"):
            verify(ways[way]() == expected, f"{way} reads the series")
        times = interleave({way: ready(call) for way, call in ways.items()}, scale.rounds(ROUNDS))
    report.lines = _lines(times)
    return report


def _lines(times: Times) -> list[Line]:
    return [
        Line.of_times("import, open and read; raw is a Feather file", times, most_ratio=MOST),
        Line.of_times("`import polars` alone", times, "polars", None),
        Line.of_times("Python alone", times, "python", None),
    ]


def _process(code: str, *words: str) -> Callable[[], str]:
    """Return a call that runs a new process and gives what it prints."""
    command = [sys.executable, "-c", code, *words]

    def call() -> str:
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    return call
