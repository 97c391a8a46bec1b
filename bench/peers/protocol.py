"""The candle work that every peer does, and the words for it that they share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

import polars as pl

__all__ = ["CANDLE", "MONDAY", "SCREEN", "TIME", "UNIVERSE", "WIDTH", "Frames", "Reads"]

Frames = Mapping[str, pl.DataFrame]
"""The series by symbol: timestamp, open, high, low, close, volume, ascending."""

CANDLE = ("timestamp", "open", "high", "low", "close", "volume")
TIME = pl.Datetime("ms", "UTC")

# The same answer for everybody: what is asked of each symbol, as Polars says it.
UNIVERSE = {
    "mean_close": pl.col("close").mean(),
    "max_high": pl.col("high").max(),
    "sum_volume": pl.col("volume").sum(),
}
SCREEN = {
    "sma20": pl.col("close").tail(20).mean(),
    "sma50": pl.col("close").tail(50).mean(),
    "sum_volume": pl.col("volume").sum(),
}

# For those who floor milliseconds: the widths of `every`, and a Monday, on which weeks begin as hours do.
WIDTH = {"1h": 3_600_000, "1w": 604_800_000}
MONDAY = 4 * 86_400_000


class Reads(Protocol):
    """An opened copy of the series, asked in whatever way is idiomatic and fast for its technique.

    Each module of this package has a class `Reads` made from a folder, and a function
    `load(frames, folder)` which fills the empty folder once. `bare` is made from the frames themselves.
    """

    def series(self, symbol: str) -> pl.DataFrame:
        """Return all the candles of a symbol, ascending."""
        ...

    def window(self, symbol: str, start: datetime, end: datetime) -> pl.DataFrame:
        """Return the candles of a symbol in [start, end)."""
        ...

    def latest(self, symbol: str, count: int) -> pl.DataFrame:
        """Return the latest `count` candles of a symbol, ascending."""
        ...

    def everything(self) -> pl.DataFrame:
        """Return all the candles with their `symbol`, by symbol and time."""
        ...

    def universe(self) -> pl.DataFrame:
        """Return `symbol` and the values of UNIVERSE over all its candles, in any order."""
        ...

    def screen(self, bars: int) -> pl.DataFrame:
        """Return `symbol` and the values of SCREEN over its latest `bars`, in any order."""
        ...

    def resample(self, every: str) -> pl.DataFrame:
        """Return candles of a longer bar, "1h" or "1w", with their `symbol`, in any order."""
        ...

    def close(self) -> None:
        """Let go of the files."""
        ...
