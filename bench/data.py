"""The series that mdstore and its peers are compared on, as frames: many minutes, and many short series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from bench import candles
from bench.make import folder
from bench.peers.protocol import TIME

__all__ = ["Data", "days", "minutes"]

VERSION = 1  # of what the peers' files hold; another one is loaded anew
FIRST_DAY = date(2019, 1, 1)


@dataclass(frozen=True, slots=True)
class Data:
    """Series of one timeframe by symbol; all are of the same length."""

    timeframe: str
    frames: Mapping[str, pl.DataFrame]

    @property
    def bars(self) -> int:
        """The candles of a series."""
        return len(next(iter(self.frames.values())))

    @property
    def rows(self) -> int:
        """All the candles."""
        return self.bars * len(self.frames)

    @property
    def folder(self) -> Path:
        """The folder of the peers' files, kept between runs."""
        return folder() / f"peers{VERSION}-{len(self.frames)}x{self.bars}-{self.timeframe}"


def minutes(symbols: int, bars: int) -> Data:
    """Return what `make` puts into a file of that size."""
    walks = ((candles.symbol(number), candles.frame(bars, seed=number)) for number in range(symbols))
    return Data("1m", {name: walk.with_columns(pl.col("timestamp").cast(TIME)) for name, walk in walks})


def days(symbols: int, bars: int) -> Data:
    """Return daily bars as equities have them: on working days."""
    every = pl.date_range(FIRST_DAY, FIRST_DAY + timedelta(days=bars * 7 // 5 + 7), "1d", eager=True)
    dates = every.filter(every.dt.weekday() <= 5).head(bars).cast(TIME).alias("timestamp")
    walks = ((candles.symbol(number), candles.frame(bars, seed=number)) for number in range(symbols))
    return Data("1d", {name: walk.with_columns(dates) for name, walk in walks})
