"""Bytes of a pack, and what fewer would cost a read: columns as they are, without times, with LZ4, with zstd.

Reads are of one whole series, and of many under each other as a pack holds them, with a pass over their
columns, warm. Without times these are made from the first and the distance of the bars: anew, or as a slice
of one column that all series share. Of many series they are put together from it, or each series is a chunk
of its own. As in a store, the file stays mapped, and what was read last is kept until the next is there.
Files are as pyarrow writes them; a pack is one without compression.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa

from bench import candles
from bench.measure import Grid, Report, Times, interleave, ready, verify
from bench.scale import Scale, scratch
from mdstore.core.once import once

__all__ = ["run"]

BARS, SERIES, BATCH_SERIES = 50_000, 100, 20
ROUNDS, LONG_ROUNDS = 60, 12
CHOSEN = "as it is"
ONE = {CHOSEN: "full", "times made anew": "bare", "times shared": "bare", "LZ4": "lz4", "zstd": "zstd"}
LONG = {CHOSEN: "full", "times put together": "bare", "a chunk each": "bare"}
CODECS = {"full": None, "bare": None, "lz4": "lz4", "zstd": "zstd"}
Read = Callable[[], pl.DataFrame]


def run(scale: Scale) -> Report:
    """Measure each way; ratios are to packs as they are."""
    report = Report("pack_bytes", "Bytes of a pack, against what they cost a read")
    report.grid = Grid(["", "bytes a row", "read, ms", "ratio"])
    frame = candles.frame(scale.rows(BARS), seed=1).with_columns(pl.col("timestamp").to_physical())
    with scratch() as folder:
        one = {kind: File(folder / kind, frame, kind) for kind in CODECS}
        times = _measured(
            {name: lambda n=name, k=kind: one[k].series(n) for name, kind in ONE.items()},
            scale.rounds(ROUNDS),
        )
        _tell(report, times, {name: one[kind].bytes_a_row for name, kind in ONE.items()}, "one series, ")
        many = {kind: File(folder / f"{kind}-long", frame, kind, SERIES) for kind in ("full", "bare")}
        times = _measured(
            {name: lambda n=name, k=kind: many[k].long(n) for name, kind in LONG.items()},
            scale.rounds(LONG_ROUNDS),
        )
        _tell(
            report, times, {name: many[kind].bytes_a_row for name, kind in LONG.items()}, f"{SERIES} series, "
        )
    report.notes.append(
        "Allowed for fewer bytes is 1.2. What was decided, and why, stands above the results."
    )
    return report


@dataclass
class File:
    """The same series some times under each other in a file: as it is, without times, or compressed."""

    path: Path
    frame: pl.DataFrame
    kind: str
    series_in: int = 1

    def __post_init__(self) -> None:
        batch = self.frame.drop("timestamp") if self.kind == "bare" else self.frame
        together = pl.concat([batch] * min(self.series_in, BATCH_SERIES)).to_arrow().combine_chunks()
        options = pa.ipc.IpcWriteOptions(compression=CODECS[self.kind])
        with pa.ipc.new_file(self.path, together.schema, options=options) as writer:
            for _ in range(max(1, self.series_in // BATCH_SERIES)):
                writer.write_table(together)

    @once
    def reader(self) -> pa.ipc.RecordBatchFileReader:
        """The file, mapped."""
        return pa.ipc.open_file(pa.memory_map(str(self.path)))

    @property
    def bytes_a_row(self) -> float:
        """The bytes of the file for each candle."""
        return self.path.stat().st_size / (len(self.frame) * self.series_in)

    @once
    def shared(self) -> pa.Array:
        """The times of a series, in one column for all."""
        return self._times().to_arrow()

    def _times(self) -> pl.Series:
        first, second = self.frame["timestamp"][:2]
        return pl.int_range(first, first + len(self.frame) * (second - first), second - first, eager=True)

    def series(self, way: str) -> pl.DataFrame:
        """Read the one series."""
        batch = self.reader.get_batch(0)
        if self.kind != "bare":
            return pl.DataFrame(batch)
        times = self.shared if way == "times shared" else self._times().to_arrow()
        return pl.DataFrame(_with_times(batch, times))

    def long(self, way: str) -> pl.DataFrame:
        """Read all series under each other."""
        batches = [self.reader.get_batch(number) for number in range(self.reader.num_record_batches)]
        if way == "times put together":
            batches = [_with_times(one, pa.concat_arrays([self.shared] * BATCH_SERIES)) for one in batches]
        elif way == "a chunk each":
            size = len(self.shared)
            batches = [
                _with_times(one.slice(at, size), self.shared)
                for one in batches
                for at in range(0, one.num_rows, size)
            ]
        frame = pl.from_arrow(pa.Table.from_batches(batches), rechunk=False)
        assert isinstance(frame, pl.DataFrame)  # a table never becomes a series; for mypy
        return frame


def _with_times(batch: pa.RecordBatch, times: pa.Array) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([times, *batch.columns], names=["timestamp", *batch.schema.names])


def _measured(ways: dict[str, Read], rounds: int) -> Times:
    kept: dict[str, pl.DataFrame] = {}

    def call(name: str) -> None:
        kept[name] = ways[name]()
        for column in kept[name].iter_columns():
            column.sum()

    for name in ways:
        call(name)
        verify(kept[name].equals(kept[CHOSEN]), f"{name}: the values come back")
    return interleave({name: ready(lambda name=name: call(name)) for name in ways}, rounds)


def _tell(report: Report, times: Times, sizes: dict[str, float], what: str) -> None:
    for name, size in sizes.items():
        took, ratio = times.median(name) * 1000, times.ratio(name, CHOSEN)
        report.grid.rows.append([what + name, f"{size:.1f}", f"{took:.2f}", f"{ratio:.2f}"])
