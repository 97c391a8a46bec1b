"""One Parquet file of all series, sorted by symbol and time, scanned lazily by Polars.

A row group is a long series or many short ones, so that its statistics name the symbols in it and a read of
one symbol opens one or two groups. A file (or a hive folder) for each symbol reads one series a little
sooner and all of them much later.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import polars as pl

from bench.peers import bare
from bench.peers.protocol import CANDLE, UNIVERSE, Frames

__all__ = ["Reads", "load"]

FILE = "candles.parquet"
GROUP_ROWS = 50_000


def load(frames: Frames, folder: Path) -> None:
    """Write the file, in the compression that reads fastest."""
    long = pl.concat(
        frame.select(pl.lit(symbol).alias("symbol"), *CANDLE) for symbol, frame in frames.items()
    )
    long.write_parquet(folder / FILE, compression="lz4", row_group_size=GROUP_ROWS, statistics=True)


class Reads:
    """The scan, planned anew at each read."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE

    def series(self, symbol: str) -> pl.DataFrame:
        """Filter by symbol, which the statistics prune."""
        return self._of(symbol).collect()

    def window(self, symbol: str, start: datetime, end: datetime) -> pl.DataFrame:
        """Filter by symbol and time."""
        return self._of(symbol).filter(pl.col("timestamp").is_between(start, end, closed="left")).collect()

    def latest(self, symbol: str, count: int) -> pl.DataFrame:
        """Filter by symbol and take the end."""
        return self._of(symbol).tail(count).collect()

    def everything(self) -> pl.DataFrame:
        """Read the file."""
        return pl.read_parquet(self._file)

    def universe(self) -> pl.DataFrame:
        """Group by symbol."""
        return self._scan().group_by("symbol").agg(**UNIVERSE).collect()

    def screen(self, bars: int) -> pl.DataFrame:
        """Group by symbol, and look at the ends of the groups."""
        close, volume = pl.col("close").tail(bars), pl.col("volume").tail(bars)
        sums = {"sma20": close.tail(20).mean(), "sma50": close.tail(50).mean(), "sum_volume": volume.sum()}
        return self._scan().group_by("symbol").agg(**sums).collect()

    def resample(self, every: str) -> pl.DataFrame:
        """Group by time within each symbol."""
        return (
            self._scan()
            .group_by_dynamic("timestamp", every=every, group_by="symbol")
            .agg(bare.OHLCV)
            .collect()
        )

    def close(self) -> None:
        """Do nothing."""

    def _scan(self) -> pl.LazyFrame:
        return pl.scan_parquet(self._file)

    def _of(self, symbol: str) -> pl.LazyFrame:
        return self._scan().filter(pl.col("symbol") == symbol).select(CANDLE)
