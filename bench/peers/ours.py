"""mdstore by its public face, as one more peer."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import polars as pl

import mdstore
from bench.peers import bare
from bench.peers.protocol import CANDLE, SCREEN, UNIVERSE, Frames

__all__ = ["Reads", "load"]


def load(frames: Frames, path: Path, timeframe: str) -> None:
    """Write the store's file, in one transaction."""
    with mdstore.open(path) as store:
        store.write_many(bare.everything(frames.items()), timeframe=timeframe)


class Reads:
    """A store that stays open, its packs complete; without a memory tier where `memory_bytes` is 0."""

    def __init__(self, path: Path, timeframe: str, memory_bytes: int | None = None) -> None:
        options = {} if memory_bytes is None else {"memory_bytes": memory_bytes}
        self._store = mdstore.open(path, **options)
        self._store.maintenance.warm()
        self._timeframe = timeframe

    def series(self, symbol: str) -> pl.DataFrame:
        """Read a series."""
        return self._store.candles(symbol, self._timeframe)

    def window(self, symbol: str, start: datetime, end: datetime) -> pl.DataFrame:
        """Read a range of a series."""
        return self._store.candles(symbol, self._timeframe, start=start, end=end)

    def latest(self, symbol: str, count: int) -> pl.DataFrame:
        """Read the end of a series."""
        return self._store.candles(symbol, self._timeframe, limit=count)

    def everything(self) -> pl.DataFrame:
        """Read all series as one frame."""
        return self._store.candles(None, self._timeframe)

    def universe(self) -> pl.DataFrame:
        """Screen all of every series."""
        return self._store.screen(self._timeframe, UNIVERSE).rows

    def screen(self, bars: int) -> pl.DataFrame:
        """Screen the end of every series."""
        return self._store.screen(self._timeframe, SCREEN, bars=bars).rows

    def resample(self, every: str) -> pl.DataFrame:
        """Derive longer bars of every series; whether the last is complete is not asked here."""
        return self._store.resample(None, every, source=self._timeframe).select("symbol", *CANDLE)

    def close(self) -> None:
        """Close the store."""
        self._store.close()
