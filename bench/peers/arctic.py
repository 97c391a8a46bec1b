"""ArcticDB over LMDB in a local folder: a version-stored frame for each symbol, read as Polars frames."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from arcticdb import Arctic, OutputFormat, QueryBuilder, ReadRequest
from arcticdb.version_store.library import Library, WritePayload

from bench.peers import bare
from bench.peers.protocol import CANDLE, Frames

__all__ = ["Reads", "load"]

NAME = "candles"
OHLCV = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
# pandas names of the widths; a week of pandas ends on the day it is named by, so seven days from a Monday.
RULES: dict[str, dict[str, Any]] = {
    "1h": {"rule": "1h"},
    "1w": {"rule": "7D", "origin": "epoch", "offset": "4D"},
}


def load(frames: Frames, folder: Path) -> None:
    """Write a symbol for each series, indexed by time."""
    library = _arctic(folder).create_library(NAME)
    library.write_batch([WritePayload(symbol, _indexed(frame)) for symbol, frame in frames.items()])


class Reads:
    """A library that stays open; it gives Polars frames."""

    def __init__(self, folder: Path) -> None:
        self._arctic = _arctic(folder)
        self._library: Library = self._arctic.get_library(NAME, output_format=OutputFormat.POLARS)
        self._symbols = sorted(self._library.list_symbols())

    def series(self, symbol: str) -> pl.DataFrame:
        """Read the symbol."""
        return self._read(symbol)

    def window(self, symbol: str, start: datetime, end: datetime) -> pl.DataFrame:
        """Read a range of dates, whose end counts as in."""
        last = end.replace(tzinfo=None) - timedelta(milliseconds=1)
        return self._read(symbol, date_range=(start.replace(tzinfo=None), last))

    def latest(self, symbol: str, count: int) -> pl.DataFrame:
        """Read a range of rows."""
        return self._read(symbol, row_range=(-count, None))

    def everything(self) -> pl.DataFrame:
        """Read all symbols."""
        return bare.everything(self._all())

    def universe(self) -> pl.DataFrame:
        """Read the three columns of all symbols, and aggregate each."""
        return bare.universe(self._all(columns=["close", "high", "volume"]))

    def screen(self, bars: int) -> pl.DataFrame:
        """Read the ends of two columns of all symbols."""
        return bare.screen(self._all(columns=["close", "volume"], row_range=(-bars, None)))

    def resample(self, every: str) -> pl.DataFrame:
        """Let the library resample each symbol."""
        query = QueryBuilder().resample(**RULES[every]).agg(OHLCV)
        return bare.everything(self._all(query_builder=query))

    def close(self) -> None:
        """Let go of the library, which closes its file."""
        del self._library, self._arctic

    def _read(self, symbol: str, **how: Any) -> pl.DataFrame:
        frame: pl.DataFrame = self._library.read(symbol, **how).data
        return frame

    def _all(self, **how: Any) -> Iterator[tuple[str, pl.DataFrame]]:
        requests = [ReadRequest(symbol, **how) for symbol in self._symbols]
        answers = self._library.read_batch(requests)
        return ((answer.symbol, answer.data) for answer in answers)


def _arctic(folder: Path) -> Arctic:
    return Arctic(f"lmdb://{folder}?map_size=8GB")


def _indexed(frame: pl.DataFrame) -> Any:
    naive = frame.select(pl.col("timestamp").dt.replace_time_zone(None), *CANDLE[1:])
    return naive.to_pandas().set_index("timestamp")
