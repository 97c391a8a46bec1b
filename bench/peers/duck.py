"""DuckDB's own file: one table, loaded in the order of symbol and time, so that its zone maps prune."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import duckdb
import polars as pl

from bench.peers.protocol import CANDLE, Frames

__all__ = ["Reads", "load"]

FILE = "candles.duckdb"
TABLE = """
CREATE TABLE candles (symbol VARCHAR, timestamp TIMESTAMP_MS, open DOUBLE, high DOUBLE, low DOUBLE,
                      close DOUBLE, volume DOUBLE)
"""
COLUMNS = ", ".join(CANDLE)
SERIES = f"SELECT {COLUMNS} FROM candles WHERE symbol = ? ORDER BY timestamp"
WINDOW = f"""
SELECT {COLUMNS} FROM candles
WHERE symbol = ? AND timestamp >= ?::TIMESTAMP_MS AND timestamp < ?::TIMESTAMP_MS ORDER BY timestamp
"""
LATEST = f"""
SELECT * FROM (SELECT {COLUMNS} FROM candles WHERE symbol = ? ORDER BY timestamp DESC LIMIT ?)
ORDER BY timestamp
"""
UNIVERSE = """
SELECT symbol, avg(close) AS mean_close, max(high) AS max_high, sum(volume) AS sum_volume
FROM candles GROUP BY symbol
"""
SCREEN = """
SELECT symbol, avg(close) FILTER (n <= 20) AS sma20, avg(close) FILTER (n <= 50) AS sma50,
       sum(volume) AS sum_volume
FROM (SELECT symbol, close, volume, row_number() OVER (PARTITION BY symbol ORDER BY timestamp DESC) AS n
      FROM candles QUALIFY n <= {bars})
GROUP BY symbol
"""
RESAMPLE = """
SELECT symbol, time_bucket(INTERVAL {every}, timestamp) AS bar, arg_min(open, timestamp) AS open,
       max(high) AS high, min(low) AS low, arg_max(close, timestamp) AS close, sum(volume) AS volume
FROM candles GROUP BY symbol, bar
"""
INTERVALS = {"1h": "'1 hour'", "1w": "'1 week'"}


def load(frames: Frames, folder: Path) -> None:
    """Fill the table, series after series."""
    with duckdb.connect(str(folder / FILE)) as con:
        con.execute(TABLE)
        for symbol, frame in frames.items():
            rows = frame.with_columns(pl.col("timestamp").dt.replace_time_zone(None))
            con.register("rows", rows.to_arrow())
            con.execute(f"INSERT INTO candles SELECT ?, {COLUMNS} FROM rows", [symbol])


class Reads:
    """A connection that stays open."""

    def __init__(self, folder: Path) -> None:
        self._con = duckdb.connect(str(folder / FILE), read_only=True)

    def series(self, symbol: str) -> pl.DataFrame:
        """Select by symbol."""
        return self._frame(SERIES, symbol)

    def window(self, symbol: str, start: datetime, end: datetime) -> pl.DataFrame:
        """Select by symbol and time."""
        return self._frame(WINDOW, symbol, start.replace(tzinfo=None), end.replace(tzinfo=None))

    def latest(self, symbol: str, count: int) -> pl.DataFrame:
        """Select by symbol, from the end."""
        return self._frame(LATEST, symbol, count)

    def everything(self) -> pl.DataFrame:
        """Select all; the order is that of loading, which DuckDB preserves."""
        return self._frame("SELECT * FROM candles")

    def universe(self) -> pl.DataFrame:
        """Group by symbol."""
        return self._frame(UNIVERSE)

    def screen(self, bars: int) -> pl.DataFrame:
        """Number the bars of each symbol from the end; `max_by` of so many takes longer."""
        return self._frame(SCREEN.format(bars=bars))

    def resample(self, every: str) -> pl.DataFrame:
        """Group by symbol and time."""
        return self._frame(RESAMPLE.format(every=INTERVALS[every])).rename({"bar": "timestamp"})

    def close(self) -> None:
        """Close the file."""
        self._con.close()

    def _frame(self, sql: str, *values: object) -> pl.DataFrame:
        # By way of Arrow: `pl()` takes half a millisecond more.
        frame = pl.from_arrow(self._con.execute(sql, values).to_arrow_table())
        assert isinstance(frame, pl.DataFrame)
        return frame
