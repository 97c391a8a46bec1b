"""Python's own sqlite3: rows become Python objects, and these become columns."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import polars as pl

from bench.peers import statements
from bench.peers.protocol import CANDLE, TIME, WIDTH
from bench.peers.statements import load

__all__ = ["Reads", "load"]

LONG = ("symbol", *CANDLE)
PIECE = 200_000  # rows that are Python objects at a time


class Reads:
    """A connection that stays open."""

    def __init__(self, folder: Path) -> None:
        self._con = sqlite3.connect(f"file:{folder / statements.FILE}?mode=ro", uri=True)
        for pragma in statements.PRAGMAS:
            self._con.execute(pragma)

    def series(self, symbol: str) -> pl.DataFrame:
        """Fetch by symbol."""
        return self._candles(statements.SERIES, symbol)

    def window(self, symbol: str, start: datetime, end: datetime) -> pl.DataFrame:
        """Fetch by symbol and time."""
        return self._candles(statements.WINDOW, symbol, _ms(start), _ms(end))

    def latest(self, symbol: str, count: int) -> pl.DataFrame:
        """Fetch by symbol, from the end."""
        return self._candles(statements.LATEST, symbol, count)

    def everything(self) -> pl.DataFrame:
        """Fetch all, in pieces."""
        pieces = pl.concat(pl.DataFrame(rows, LONG, orient="row") for rows in self._pieces())
        return pieces.with_columns(pl.col("timestamp").cast(TIME))

    def universe(self) -> pl.DataFrame:
        """Let SQLite group by symbol."""
        return self._frame(statements.UNIVERSE, ("symbol", "mean_close", "max_high", "sum_volume"))

    def screen(self, bars: int) -> pl.DataFrame:
        """Let SQLite walk back from the end of each series."""
        return self._frame(statements.SCREEN, ("symbol", "sma20", "sma50", "sum_volume"), bars)

    def resample(self, every: str) -> pl.DataFrame:
        """Let SQLite group by symbol and time."""
        bars = self._frame(statements.RESAMPLE, LONG, WIDTH[every])
        return bars.with_columns(pl.col("timestamp").cast(TIME))

    def close(self) -> None:
        """Close the file."""
        self._con.close()

    def _candles(self, sql: str, *values: object) -> pl.DataFrame:
        return self._frame(sql, CANDLE, *values).with_columns(pl.col("timestamp").cast(TIME))

    def _frame(self, sql: str, columns: Sequence[str], *values: object) -> pl.DataFrame:
        return pl.DataFrame(self._con.execute(sql, values).fetchall(), columns, orient="row")

    def _pieces(self) -> Iterator[list[tuple[object, ...]]]:
        cursor = self._con.execute(statements.EVERYTHING)
        while rows := cursor.fetchmany(PIECE):
            yield rows


def _ms(time: datetime) -> int:
    return int(time.timestamp() * 1000)
