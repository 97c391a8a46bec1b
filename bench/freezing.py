"""Old candles frozen: how small the file gets, how long that takes, and a cold read beside Feather with zstd.

Each cold read is one of a process that has read another series of the same files before. Then the system is
told to forget what it holds of them, by a third process, and the read is timed, with a pass over all columns.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
from pyarrow import feather

import mdstore
from bench import candles
from bench.make import Made
from bench.measure import Grid, Line, Report, Times, Turn, interleave, ready, verify
from bench.peers.protocol import TIME
from bench.scale import Scale, scratch

__all__ = ["run"]

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 15
MOST_RATIO = 3.0
MOST_BYTES = 20.0  # a row: 200 MB of 10,000,000
LATER = "2100-01-01"
FORGET = """
import os, sys
for path in sys.argv[1:]:
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(handle)
"""
TIMED = f"""
import subprocess, sys, time
import polars as pl
import pyarrow as pa
from pyarrow import feather
import mdstore
from pathlib import Path
place, before, wanted = sys.argv[1:]
def passed(frame):
    return frame.select(pl.exclude("timestamp").sum()).row(0)
def measure(read):
    passed(read(before))
    files = [str(file) for file in Path(place).parent.rglob("*") if file.is_file()]
    subprocess.run([sys.executable, "-c", {FORGET!r}, *files], check=True)
    began = time.perf_counter()
    found = passed(read(wanted))
    print(time.perf_counter() - began, *found)
"""
OURS = """
with mdstore.open(place) as store:
    measure(lambda name: store.candles(name, "1m"))
"""
FEATHER = """
measure(lambda name: pl.from_arrow(feather.read_table(f"{place}/{name}.feather", memory_map=False)))
"""


def run(scale: Scale) -> Report:
    """Freeze a copy of the large file, and read it."""
    made = scale.large()
    report = Report(
        "freezing", f"Freezing {made.rows:,} rows, and a cold read of {made.bars:,} of one series"
    )
    with scratch() as folder:
        scale.say("copying")
        path = folder / "frozen" / "store.sqlite3"
        path.parent.mkdir()
        with mdstore.open(made.path) as store:
            store.maintenance.backup(path)
        report.grid = _freeze(path, made, scale, report)
        report.lines = _reads(folder, path, made, scale)
    return report


def _freeze(path: Path, made: Made, scale: Scale, report: Report) -> Grid:
    grid = Grid(["", "bytes a row", "MB"])
    with mdstore.open(path) as store:

        def measure(what: str) -> float:
            size = int(store.maintenance.stats()["sqlite_bytes"])
            grid.rows.append([what, f"{size / made.rows:.1f}", f"{size / 1e6:,.0f}"])
            return size / made.rows

        measure("before")
        began = time.perf_counter()
        found = store.maintenance.freeze(LATER, progress=lambda done, _: scale.say(f"freezing {done:,}"))
        seconds = time.perf_counter() - began
        verify(found.rows == made.rows, "all rows are frozen")
        scale.say("VACUUM")
        took = store.repository.upkeep.vacuum()
        each = measure("frozen, after a VACUUM")
        verify(each < MOST_BYTES, "a frozen row takes less than 20 bytes")
    rate = f"{made.rows / seconds:,.0f} rows a second, with pauses for others"
    report.notes = [f"frozen in {seconds:.0f} s ({rate}); VACUUM in {took:.1f} s"]
    return grid


def _reads(folder: Path, path: Path, made: Made, scale: Scale) -> list[Line]:
    """Take turns with Feather: with the packs that a read has left, and without, when it makes them."""
    first, second = made.names[0], made.names[made.symbols // 2]
    place = folder / "feather" / "files"
    place.mkdir(parents=True)
    for name in (first, second):
        _write_feather(place, name, made)
    ways: dict[str, Turn] = {
        "with packs": ready(_child(OURS, path, first, second)),
        "without packs": _without_packs(path, _child(OURS, path, first, second)),
        "raw": ready(_child(FEATHER, place, first, second)),
    }
    scale.say("reading")
    times = interleave(ways, scale.rounds(ROUNDS))
    return [_line(times, way) for way in ("with packs", "without packs")]


def _line(times: Times, way: str) -> Line:
    what = {
        "with packs": "cold read from packs",
        "without packs": "cold read of frozen pieces, which puts them into packs",
    }[way]
    return Line.of_times(f"{what}; raw is Feather with zstd", times, way, most_ratio=MOST_RATIO)


def _write_feather(place: Path, name: str, made: Made) -> None:
    number = made.names.index(name)
    rows = candles.frame(made.bars, seed=number).with_columns(pl.col("timestamp").cast(TIME))
    feather.write_feather(rows.to_arrow(), place / f"{name}.feather", compression="zstd")


def _child(code: str, place: Path, first: str, second: str) -> Callable[[], float]:
    """Return a call that reads in a new process, and gives the seconds that the process has measured."""
    command = [sys.executable, "-c", TIMED + code, str(place), first, second]

    def call() -> float:
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        seconds, *sums = map(float, done.stdout.split())
        verify(all(sums), "there are rows")
        return seconds

    return call


def _without_packs(path: Path, call: Callable[[], float]) -> Turn:
    @contextmanager
    def turn() -> Iterator[Callable[[], object]]:
        shutil.rmtree(f"{path}-packs", ignore_errors=True)
        yield call

    return turn
