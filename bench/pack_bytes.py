"""Bytes of a pack, and what fewer would cost a read: columns as they are, without times, with LZ4, with zstd.

A read is of a whole series, with a pass over its columns, warm. Without times they are made anew from the
first and the distance of the bars. Files are as pyarrow writes them; a pack is one without compression.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow as pa

from bench import candles
from bench.measure import Grid, Report, interleave, ready, verify
from bench.scale import Scale, scratch

__all__ = ["run"]

BARS = 50_000
ROUNDS = 60
WAYS = {"as it is": None, "without times": None, "LZ4": "lz4", "zstd": "zstd"}
CHOSEN = "as it is"


def run(scale: Scale) -> Report:
    """Measure each way; ratios are to packs as they are."""
    report = Report("pack_bytes", "Bytes of a pack, against what they cost a read")
    frame = candles.frame(scale.rows(BARS), seed=1)
    frame = frame.with_columns(pl.col("timestamp").to_physical())
    with scratch() as folder:
        ways = {name: _written(folder / name, frame, name) for name in WAYS}
        truth = _sums(frame)
        for name, read in ways.items():
            verify(_sums(read()) == truth, f"{name}: the values come back")
        turns = {name: ready(lambda read=read: _sums(read())) for name, read in ways.items()}
        times = interleave(turns, scale.rounds(ROUNDS))
        sizes = {name: (folder / name).stat().st_size / len(frame) for name in WAYS}
    report.grid = Grid(["", "bytes a row", "read, ms", "ratio"])
    for name in WAYS:
        took, ratio = times.median(name) * 1000, times.ratio(name, CHOSEN)
        report.grid.rows.append([name, f"{sizes[name]:.1f}", f"{took:.2f}", f"{ratio:.2f}"])
    report.notes.append(
        "Allowed for fewer bytes is 1.2: times could be left out of a regular grid, a sixth; no compression."
    )
    return report


def _written(path: Path, frame: pl.DataFrame, name: str) -> Callable[[], pl.DataFrame]:
    """Write a file in one of the ways, and return what reads it."""
    times = frame["timestamp"]
    first, step, rows = times[0], times[1] - times[0], len(times)
    table = (frame.drop("timestamp") if name == "without times" else frame).to_arrow().combine_chunks()
    options = pa.ipc.IpcWriteOptions(compression=WAYS[name])
    with pa.ipc.new_file(path, table.schema, options=options) as writer:
        writer.write_table(table)

    def read() -> pl.DataFrame:
        batch = pl.DataFrame(pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0))
        if name != "without times":
            return batch
        made = pl.int_range(first, first + rows * step, step, eager=True).alias("timestamp")
        return pl.DataFrame([made, *batch.iter_columns()])

    return read


def _sums(frame: pl.DataFrame) -> list[float]:
    return [column.sum() for column in frame.iter_columns()]
