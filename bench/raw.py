"""The raw technique for what mdstore does with APSW: the same file, schema and pragmas, and nothing else."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import apsw
import polars as pl

from mdstore.candles.file.database import WRITER_PRAGMAS
from mdstore.candles.file.readers import READER_PRAGMAS

__all__ = ["COLUMNS", "LATEST", "ROWS", "connected", "latest", "upsert", "view"]

ROWS = 500  # in a statement
ROW = "(?,?,?,?,?,?,?,?)"
UPSERT = """
INSERT INTO candles VALUES {rows} ON CONFLICT DO UPDATE SET open = excluded.open, high = excluded.high,
  low = excluded.low, close = excluded.close, volume = excluded.volume
"""
LATEST = """
SELECT timestamp, open, high, low, close, volume FROM candles
WHERE symbol = ? AND timeframe = '1m' ORDER BY timestamp DESC LIMIT ?
"""
COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")


@contextmanager
def connected(path: Path, *, reader: bool = False) -> Iterator[apsw.Connection]:
    """Open a file that mdstore made with mdstore's own pragmas."""
    with closing(apsw.Connection(os.fspath(path))) as con:
        con.set_busy_timeout(10_000)
        for name, value in (READER_PRAGMAS if reader else WRITER_PRAGMAS).items():
            con.pragma(name, value)
        yield con


def upsert(con: apsw.Connection, rows: Sequence[tuple[object, ...]], size: int = ROWS) -> None:
    """Upsert ready tuples in one durable transaction, `size` rows to a statement."""
    statement = UPSERT.format(rows=",".join([ROW] * size))
    whole = len(rows) - len(rows) % size
    con.execute("BEGIN IMMEDIATE")
    for at in range(0, whole, size):
        con.execute(statement, tuple(itertools.chain.from_iterable(rows[at : at + size])))
    con.executemany(UPSERT.format(rows=ROW), rows[whole:])
    con.execute("COMMIT")


def latest(con: apsw.Connection, symbol: str, count: int) -> pl.DataFrame:
    """Fetch the latest rows of a series and make a frame of them, the shortest way there is."""
    rows = con.execute(LATEST, (symbol, count)).fetchall()
    rows.reverse()
    return pl.DataFrame(rows, schema=COLUMNS, orient="row")


@contextmanager
def view(path: Path, name: str, sql: str) -> Iterator[str]:
    """Keep a view in the file meanwhile, for a raw `sqlite_scan`; yield its name."""
    with connected(path) as con:
        con.execute(f"DROP VIEW IF EXISTS {name}")
        con.execute(f"CREATE VIEW {name} AS {sql}")
        try:
            yield name
        finally:
            con.execute(f"DROP VIEW {name}")
