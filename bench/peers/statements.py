"""The SQLite file of the row-store peers, and the statements that both ask it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import polars as pl

from bench.peers.protocol import CANDLE, MONDAY, Frames

__all__ = [
    "EVERYTHING",
    "FILE",
    "LATEST",
    "PRAGMAS",
    "RESAMPLE",
    "SCREEN",
    "SERIES",
    "UNIVERSE",
    "WINDOW",
    "load",
]

FILE = "candles.sqlite3"
PRAGMAS = ("PRAGMA mmap_size = 17179869184", "PRAGMA cache_size = -262144")
# As mdstore's own; the list of symbols spares the others a walk over every row to find them.
TABLES = """
PRAGMA page_size = 16384;
CREATE TABLE candles (
  symbol TEXT NOT NULL, timeframe TEXT NOT NULL, timestamp INTEGER NOT NULL, open REAL NOT NULL,
  high REAL NOT NULL, low REAL NOT NULL, close REAL NOT NULL, volume REAL NOT NULL,
  PRIMARY KEY (symbol, timeframe, timestamp)
) WITHOUT ROWID;
CREATE TABLE symbols (symbol TEXT PRIMARY KEY) WITHOUT ROWID;
"""
TIMEFRAME = "'bar'"
COLUMNS = ", ".join(CANDLE)
SERIES = f"SELECT {COLUMNS} FROM candles WHERE symbol = ? AND timeframe = {TIMEFRAME} ORDER BY timestamp"
WINDOW = f"""
SELECT {COLUMNS} FROM candles
WHERE symbol = ? AND timeframe = {TIMEFRAME} AND timestamp >= ? AND timestamp < ? ORDER BY timestamp
"""
LATEST = f"""
SELECT * FROM (SELECT {COLUMNS} FROM candles WHERE symbol = ? AND timeframe = {TIMEFRAME}
               ORDER BY timestamp DESC LIMIT ?) ORDER BY timestamp
"""
EVERYTHING = f"SELECT symbol, {COLUMNS} FROM candles ORDER BY symbol, timeframe, timestamp"
UNIVERSE = """
SELECT symbol, avg(close) AS mean_close, max(high) AS max_high, sum(volume) AS sum_volume
FROM candles GROUP BY symbol
"""
END = f"""
SELECT {{column}} FROM candles
WHERE symbol = symbols.symbol AND timeframe = {TIMEFRAME} ORDER BY timestamp DESC LIMIT {{count}}
"""
SCREEN = f"""
SELECT symbol, (SELECT avg(close) FROM ({END.format(column="close", count="min(?1, 20)")})) AS sma20,
  (SELECT avg(close) FROM ({END.format(column="close", count="min(?1, 50)")})) AS sma50,
  (SELECT sum(volume) FROM ({END.format(column="volume", count="?1")})) AS sum_volume
FROM symbols
"""
# Open and close are of the first and the last bar, which a second look at the key finds.
RESAMPLE = f"""
SELECT bars.symbol, bar * ?1 + {MONDAY} AS timestamp, head.open AS open, bars.high AS high, bars.low AS low,
  tail.close AS close, bars.volume AS volume
FROM (SELECT symbol, (timestamp - {MONDAY}) / ?1 AS bar, min(timestamp) AS first, max(timestamp) AS last,
        max(high) AS high, min(low) AS low, sum(volume) AS volume
      FROM candles GROUP BY symbol, bar) bars
JOIN candles head ON head.symbol = bars.symbol AND head.timeframe = {TIMEFRAME} AND head.timestamp = first
JOIN candles tail ON tail.symbol = bars.symbol AND tail.timeframe = {TIMEFRAME} AND tail.timestamp = last
"""


def load(frames: Frames, folder: Path) -> None:
    """Write the file in the order of its key."""
    with closing(sqlite3.connect(folder / FILE)) as con:
        con.executescript(TABLES)
        con.executemany("INSERT INTO symbols VALUES (?)", [(symbol,) for symbol in frames])
        con.executemany(f"INSERT INTO candles VALUES (?, {TIMEFRAME}, ?, ?, ?, ?, ?, ?)", _rows(frames))
        con.commit()


def _rows(frames: Frames) -> Iterator[tuple[object, ...]]:
    for symbol, frame in frames.items():
        for row in frame.with_columns(pl.col("timestamp").to_physical()).iter_rows():
            yield symbol, *row
