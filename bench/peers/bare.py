"""Bare Polars over frames in a dict: nothing to open, check or keep coherent, so the limit of the machine."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from datetime import datetime

import polars as pl

from bench.peers.protocol import CANDLE, Frames

__all__ = ["OHLCV", "Reads", "between", "everything", "resample", "screen", "universe"]

OHLCV = (
    pl.col("open").first(),
    pl.col("high").max(),
    pl.col("low").min(),
    pl.col("close").last(),
    pl.col("volume").sum(),
)
LONG = 10_000  # rows from which a series is worth a call of its own

Series = Iterable[tuple[str, pl.DataFrame]]


class Reads:
    """The frames themselves."""

    def __init__(self, frames: Frames) -> None:
        self._frames = frames

    def series(self, symbol: str) -> pl.DataFrame:
        """Return the frame."""
        return self._frames[symbol]

    def window(self, symbol: str, start: datetime, end: datetime) -> pl.DataFrame:
        """Return a slice of the frame."""
        return between(self._frames[symbol], start, end)

    def latest(self, symbol: str, count: int) -> pl.DataFrame:
        """Return the end of the frame."""
        return self._frames[symbol].tail(count)

    def everything(self) -> pl.DataFrame:
        """Return the frames as one, their values not copied."""
        return everything(self._frames.items())

    def universe(self) -> pl.DataFrame:
        """Return the aggregate of each frame."""
        return universe(self._frames.items())

    def screen(self, bars: int) -> pl.DataFrame:
        """Return the values of each frame's end."""
        return screen((symbol, frame.tail(bars)) for symbol, frame in self._frames.items())

    def resample(self, every: str) -> pl.DataFrame:
        """Return each frame's longer bars."""
        return resample(self._frames.items(), every)

    def close(self) -> None:
        """Do nothing."""


def between(frame: pl.DataFrame, start: datetime, end: datetime) -> pl.DataFrame:
    """Return the rows in [start, end): found by halving, where a filter would look at every row."""
    times = frame["timestamp"]
    return frame[bisect_left(times, start) : bisect_left(times, end)]


def everything(series: Series) -> pl.DataFrame:
    """Return series as one long frame; only the symbols are made, by a method that costs 3 us a series."""
    held = dict(series)
    names = pl.Series("symbol", list(held), pl.Enum(list(held)))
    symbols = [names.new_from_index(number, len(frame)) for number, frame in enumerate(held.values())]
    values = pl.concat(held.values(), rechunk=False).select(CANDLE)
    return values.insert_column(0, pl.concat(symbols, rechunk=False))


def universe(series: Series) -> pl.DataFrame:
    """Return UNIVERSE of each series: a Series' own methods cost less than an expression's engine."""
    rows = [
        (symbol, frame["close"].mean(), frame["high"].max(), frame["volume"].sum())
        for symbol, frame in series
    ]
    return pl.DataFrame(rows, ["symbol", "mean_close", "max_high", "sum_volume"], orient="row")


def screen(series: Series) -> pl.DataFrame:
    """Return SCREEN of each series."""
    rows = [
        (symbol, frame["close"].tail(20).mean(), frame["close"].tail(50).mean(), frame["volume"].sum())
        for symbol, frame in series
    ]
    return pl.DataFrame(rows, ["symbol", "sma20", "sma50", "sum_volume"], orient="row")


def resample(series: Series, every: str) -> pl.DataFrame:
    """Return longer bars of series as one long frame: of long series one by one, of short ones at once."""
    held = dict(series)
    if sum(map(len, held.values())) < LONG * len(held):
        together = everything(held.items()).group_by_dynamic("timestamp", every=every, group_by="symbol")
        return together.agg(OHLCV)
    return everything(
        (symbol, frame.group_by_dynamic("timestamp", every=every).agg(OHLCV))
        for symbol, frame in held.items()
    )
