"""The ADBC driver of SQLite: Arrow columns out of a row store, without Python objects between.

It brings an SQLite library of its own, and two libraries on one file destroy it; so it has a file of its own.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import polars as pl
from adbc_driver_sqlite import StatementOptions, dbapi

from bench.peers import statements
from bench.peers.protocol import TIME, WIDTH
from bench.peers.statements import load

__all__ = ["Reads", "load"]

BATCH_ROWS = 65_536


class Reads:
    """A connection that stays open."""

    def __init__(self, folder: Path) -> None:
        self._con = dbapi.connect(str(folder / statements.FILE))
        with self._con.cursor() as cursor:
            for pragma in statements.PRAGMAS:
                cursor.execute(pragma)

    def series(self, symbol: str) -> pl.DataFrame:
        """Fetch by symbol."""
        return self._candles(statements.SERIES, symbol)

    def window(self, symbol: str, start: datetime, end: datetime) -> pl.DataFrame:
        """Fetch by symbol and time."""
        first, last = (int(time.timestamp() * 1000) for time in (start, end))
        return self._candles(statements.WINDOW, symbol, first, last)

    def latest(self, symbol: str, count: int) -> pl.DataFrame:
        """Fetch by symbol, from the end."""
        return self._candles(statements.LATEST, symbol, count)

    def everything(self) -> pl.DataFrame:
        """Fetch all."""
        return self._candles(statements.EVERYTHING)

    def universe(self) -> pl.DataFrame:
        """Let SQLite group by symbol."""
        return self._frame(statements.UNIVERSE)

    def screen(self, bars: int) -> pl.DataFrame:
        """Let SQLite walk back from the end of each series."""
        return self._frame(statements.SCREEN, bars)

    def resample(self, every: str) -> pl.DataFrame:
        """Let SQLite group by symbol and time."""
        return self._candles(statements.RESAMPLE, WIDTH[every])

    def close(self) -> None:
        """Close the file."""
        self._con.close()

    def _candles(self, sql: str, *values: object) -> pl.DataFrame:
        return self._frame(sql, *values).with_columns(pl.col("timestamp").cast(TIME))

    def _frame(self, sql: str, *values: object) -> pl.DataFrame:
        with self._con.cursor() as cursor:
            cursor.adbc_statement.set_options(**{StatementOptions.BATCH_ROWS.value: str(BATCH_ROWS)})
            cursor.execute(sql, values or None)
            frame = pl.from_arrow(cursor.fetch_arrow_table())
        assert isinstance(frame, pl.DataFrame)
        return frame
