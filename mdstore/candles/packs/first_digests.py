"""The first digests of candles that were there before a file had any, or that were taken for right anew.

A piece at a time, each in a transaction of its own: it may be interrupted, and goes on where it was.
"""

from __future__ import annotations

from collections.abc import Iterator

import apsw

from mdstore.candles.file.bar_digests import expected, piece_end, ranges_of, sums_of, wrong_buckets
from mdstore.candles.file.carried import PUT
from mdstore.candles.file.database import Database
from mdstore.candles.file.declared_columns import names_of
from mdstore.candles.file.digests import Key, damaged, span_of
from mdstore.candles.file.table_reads import read_range
from mdstore.candles.packs import cells
from mdstore.candles.packs.cells import Cell
from mdstore.candles.packs.pack_files import digests_of, extras_in
from mdstore.core.time_bounds import FOREVER
from mdstore.errors import DamagedDataError

__all__ = ["complete", "prove_cells"]

PENDING = "SELECT symbol, timeframe FROM digests WHERE whole = 0 ORDER BY timeframe, symbol"
IS_WHOLE = "SELECT whole FROM digests WHERE timeframe = ? AND symbol = ?"
# The last bucket has its sum in the row of the series, see `digests`.
LAST = """
SELECT bucket, candles FROM bucket_digests WHERE timeframe = ? AND symbol = ? AND candles IS NOT NULL
ORDER BY bucket DESC LIMIT 1
"""
SETTLED = """
UPDATE digests SET whole = 1, bucket = ?3, candles = ?4 WHERE timeframe = ?1 AND symbol = ?2
"""
MOVED = "UPDATE bucket_digests SET candles = NULL WHERE timeframe = ? AND symbol = ? AND bucket = ?"


def complete(database: Database) -> list[DamagedDataError]:
    """Put every candle that is under none under a digest; return what did not fit those that there are.

    A series with damage stays as it was, so that nothing damaged is taken for right. Of a file that is only
    read nothing is put under one; what does not fit is found all the same.
    """
    with database.reading() as con:
        pending = [(str(symbol), str(name)) for symbol, name in con.execute(PENDING)]
    found = []
    for key in pending:
        try:
            _complete(database, key)
        except DamagedDataError as error:
            found.append(error)
    return found


def prove_cells(con: apsw.Connection, given: list[Cell]) -> None:
    """Compare candles with the digests of their cells, of series that are not wholly under other digests.

    The digests of a cell go with it, and no others say what its candles were. Raises `DamagedDataError`.
    """
    pending = set(con.execute(PENDING)) if given else set()
    for cell in given:
        key = (cell.symbol, cell.timeframe)
        if key not in pending:
            continue
        rows = read_range(con, *key, cell.start, cell.end, names_of(con, key)[: extras_in(cell.pack)])
        if digests_of(rows) != cell.digests:
            raise damaged(con, "candles", key, cell.start, cell.end)


def _complete(database: Database, key: Key) -> None:
    with database.reading() as con:
        prove_cells(con, cells.cells_of(con, *key))
    for _ in _pieces(database, key):
        pass


def _settle(con: apsw.Connection, key: Key) -> None:
    symbol, timeframe = key
    bucket, candles = con.execute(LAST, (timeframe, symbol)).fetchone() or (-FOREVER, 0)
    con.execute(SETTLED, (timeframe, symbol, bucket, candles))
    con.execute(MOVED, (timeframe, symbol, bucket))


def _pieces(database: Database, key: Key) -> Iterator[None]:
    at, span = -FOREVER, span_of(key[1])
    is_written = database.read_only is None
    while True:
        with database.writing() if is_written else database.reading() as con:
            if con.execute(IS_WHOLE, (key[1], key[0])).get:
                return  # somebody else was here
            high = piece_end(con, key, at)
            found = sums_of(read_range(con, *key, at, high, names_of(con, key)), span)
            known, _ = expected(con, key, at // span, high // span)
            wrong = wrong_buckets(found, known, whole=False)
            if wrong:
                raise damaged(con, "candles", key, *ranges_of(wrong, span)[0])
            if is_written:
                con.executemany(PUT, ((*key, one, found[one]) for one in found if one not in known))
            if high == FOREVER:
                if is_written:
                    _settle(con, key)
                return
        yield
        at = high
