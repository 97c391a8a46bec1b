"""The first digests of candles that were there before a file had any, or that were taken for right anew.

A piece at a time, each in a transaction of its own: it may be interrupted, and goes on where it was.
"""

from __future__ import annotations

import apsw

from mdstore.candles.file.bar_digests import (
    Sums,
    expected,
    piece_end,
    ranges_of,
    readable_parts,
    sums_of,
    wrong_buckets,
)
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

    A series with damage stays as it was, so that nothing damaged is taken for right; but around a frozen
    piece that cannot be unpacked all others are put under one. Of a file that is only read nothing is put
    under one; what does not fit is found all the same.
    """
    with database.reading() as con:
        pending = [(str(symbol), str(name)) for symbol, name in con.execute(PENDING)]
    found = []
    for key in pending:
        try:
            found += _complete(database, key)
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


def _complete(database: Database, key: Key) -> list[DamagedDataError]:
    """Put the candles of a series under digests, a piece at a time; return what cannot be unpacked."""
    with database.reading() as con:
        prove_cells(con, cells.cells_of(con, *key))
    at, unreadable, is_written = -FOREVER, dict[int | None, DamagedDataError](), database.read_only is None
    while at < FOREVER:
        with database.writing() if is_written else database.reading() as con:
            if con.execute(IS_WHOLE, (key[1], key[0])).get:
                break  # somebody else was here
            high = piece_end(con, key, at)
            sums, errors = _new_sums(con, key, at, high)
            unreadable |= {error.start: error for error in errors}
            if is_written:
                con.executemany(PUT, ((*key, bucket, value) for bucket, value in sums.items()))
                if high == FOREVER and not unreadable:
                    _settle(con, key)
        at = high
    return list(unreadable.values())


def _new_sums(con: apsw.Connection, key: Key, start: int, end: int) -> tuple[Sums, list[DamagedDataError]]:
    """Return the sums over the buckets of a range that have none yet, and what cannot be unpacked in it.

    Raises `DamagedDataError` where candles do not fit the sums that there are.
    """
    span, sums = span_of(key[1]), Sums()
    parts, errors = readable_parts(con, key, start, end, names_of(con, key))
    for low, high, rows in parts:
        found, (known, _) = sums_of(rows, span), expected(con, key, low // span, -(-high // span))
        wrong = wrong_buckets(found, known, whole=False)
        if wrong:
            raise damaged(con, "candles", key, *ranges_of(wrong, span)[0])
        sums |= {bucket: value for bucket, value in found.items() if bucket not in known}
    return sums, errors


def _settle(con: apsw.Connection, key: Key) -> None:
    symbol, timeframe = key
    bucket, candles = con.execute(LAST, (timeframe, symbol)).fetchone() or (-FOREVER, 0)
    con.execute(SETTLED, (timeframe, symbol, bucket, candles))
    con.execute(MOVED, (timeframe, symbol, bucket))
