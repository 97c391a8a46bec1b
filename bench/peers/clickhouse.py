"""chDB, ClickHouse inside the process: a MergeTree table in a local folder."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
from chdb.session import Session

from bench.peers import parquet
from bench.peers.protocol import CANDLE, Frames

__all__ = ["Reads", "load"]

TABLE = """
CREATE TABLE bench.candles (symbol LowCardinality(String), timestamp DateTime64(3, 'UTC'), open Float64,
                            high Float64, low Float64, close Float64, volume Float64)
ENGINE = MergeTree ORDER BY (symbol, timestamp)
"""
COLUMNS = ", ".join(CANDLE)
OF = f"SELECT {COLUMNS} FROM bench.candles WHERE symbol = '{{symbol}}'"
SERIES = f"{OF} ORDER BY timestamp"
WINDOW = f"""
{OF} AND timestamp >= fromUnixTimestamp64Milli({{start}}) AND timestamp < fromUnixTimestamp64Milli({{end}})
ORDER BY timestamp
"""
LATEST = f"SELECT * FROM ({OF} ORDER BY timestamp DESC LIMIT {{count}}) ORDER BY timestamp"
EVERYTHING = f"SELECT symbol, {COLUMNS} FROM bench.candles ORDER BY symbol, timestamp"
UNIVERSE = """
SELECT symbol, avg(close) AS mean_close, max(high) AS max_high, sum(volume) AS sum_volume
FROM bench.candles GROUP BY symbol
"""
SCREEN = """
SELECT symbol, avgIf(close, n <= 20) AS sma20, avgIf(close, n <= 50) AS sma50, sum(volume) AS sum_volume
FROM (SELECT symbol, close, volume, row_number() OVER (PARTITION BY symbol ORDER BY timestamp DESC) AS n
      FROM (SELECT symbol, timestamp, close, volume FROM bench.candles
            ORDER BY symbol DESC, timestamp DESC LIMIT {bars} BY symbol))
GROUP BY symbol
"""
RESAMPLE = """
SELECT symbol, toDateTime64(toStartOfInterval(timestamp, INTERVAL {every}), 3, 'UTC') AS bar,
  argMin(open, timestamp) AS open, max(high) AS high, min(low) AS low, argMax(close, timestamp) AS close,
  sum(volume) AS volume
FROM bench.candles GROUP BY symbol, bar
"""
INTERVALS = {"1h": "1 HOUR", "1w": "1 WEEK"}


def load(frames: Frames, folder: Path) -> None:
    """Insert all the rows at once, by way of a Parquet file, and merge their parts."""
    parquet.load(frames, folder)
    file = folder / parquet.FILE
    session = Session(str(folder / "data"))
    session.query("CREATE DATABASE bench")
    session.query(TABLE)
    session.query(f"INSERT INTO bench.candles SELECT symbol, {COLUMNS} FROM file('{file}', Parquet)")
    session.query("OPTIMIZE TABLE bench.candles FINAL")
    session.close()
    file.unlink()


class Reads:
    """A session; there can be one at a time in a process."""

    def __init__(self, folder: Path) -> None:
        self._session = Session(str(folder / "data"))

    def series(self, symbol: str) -> pl.DataFrame:
        """Select by symbol."""
        return self._frame(SERIES.format(symbol=symbol))

    def window(self, symbol: str, start: datetime, end: datetime) -> pl.DataFrame:
        """Select by symbol and time."""
        first, last = (int(time.astimezone(UTC).timestamp() * 1000) for time in (start, end))
        return self._frame(WINDOW.format(symbol=symbol, start=first, end=last))

    def latest(self, symbol: str, count: int) -> pl.DataFrame:
        """Select by symbol, from the end."""
        return self._frame(LATEST.format(symbol=symbol, count=count))

    def everything(self) -> pl.DataFrame:
        """Select all, in the order of the key."""
        return self._frame(EVERYTHING)

    def universe(self) -> pl.DataFrame:
        """Group by symbol."""
        return self._frame(UNIVERSE)

    def screen(self, bars: int) -> pl.DataFrame:
        """Keep the latest bars of each symbol, number and group them."""
        return self._frame(SCREEN.format(bars=bars))

    def resample(self, every: str) -> pl.DataFrame:
        """Group by symbol and time."""
        return self._frame(RESAMPLE.format(every=INTERVALS[every])).rename({"bar": "timestamp"})

    def close(self) -> None:
        """End the session, so that another can begin."""
        self._session.close()

    def _frame(self, sql: str) -> pl.DataFrame:
        table: pa.Table = self._session.query(sql, "ArrowTable")
        frame = pl.from_arrow(table)
        assert isinstance(frame, pl.DataFrame)
        return frame
