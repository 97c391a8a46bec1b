"""A Feather file (uncompressed Arrow IPC) for each symbol, memory-mapped: bare Polars plus opening files."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
from pyarrow import feather

from bench.peers import bare
from bench.peers.protocol import Frames

__all__ = ["Reads", "load"]


def load(frames: Frames, folder: Path) -> None:
    """Write a file for each symbol, its rows in one batch."""
    for symbol, frame in frames.items():
        file = folder / f"{symbol}.arrow"
        feather.write_feather(
            frame.to_arrow(), file, compression="uncompressed", chunksize=max(len(frame), 1)
        )


class Reads:
    """The files, found once and opened anew at each read: another process may have replaced one."""

    def __init__(self, folder: Path) -> None:
        self._files = {file.stem: str(file) for file in sorted(folder.glob("*.arrow"))}

    def series(self, symbol: str) -> pl.DataFrame:
        """Map the file."""
        with pa.memory_map(self._files[symbol]) as source:
            frame = pl.from_arrow(pa.ipc.open_file(source).read_all())
        assert isinstance(frame, pl.DataFrame)
        return frame

    def window(self, symbol: str, start: datetime, end: datetime) -> pl.DataFrame:
        """Map the file and slice it."""
        return bare.between(self.series(symbol), start, end)

    def latest(self, symbol: str, count: int) -> pl.DataFrame:
        """Map the file and take its end."""
        return self.series(symbol).tail(count)

    def everything(self) -> pl.DataFrame:
        """Map all the files."""
        return bare.everything(self._all())

    def universe(self) -> pl.DataFrame:
        """Map all the files and aggregate each."""
        return bare.universe(self._all())

    def screen(self, bars: int) -> pl.DataFrame:
        """Map all the files and look at each one's end."""
        return bare.screen((symbol, frame.tail(bars)) for symbol, frame in self._all())

    def resample(self, every: str) -> pl.DataFrame:
        """Map all the files and group each."""
        return bare.resample(self._all(), every)

    def close(self) -> None:
        """Do nothing: a map goes with its frame."""

    def _all(self) -> Iterator[tuple[str, pl.DataFrame]]:
        return ((symbol, self.series(symbol)) for symbol in self._files)
