"""Frozen pieces: stretches of a series that lie compressed in the table `frozen`, and not in `candles`.

A piece holds every candle of its series in `[start, end)`, with its declared columns, and `candles` none of
them. So rows come out of one table or the other, never of both, and the digests of buckets, which are over
candles wherever these lie, prove what comes out of a piece, too. The bytes have a digest of their own
besides: what is damaged is not unpacked.

What reads candles by key asks here first: `table_reads.read_range` for rows, `bar_places` for where bars are.
What writes or deletes thaws what it reaches into, in its own transaction, see `thawing`. All that others do
follows from these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, cast

import apsw
import pyarrow as pa
import xxhash

from mdstore.candles.file.digests import Key, ceiling, damaged, floor, span_of
from mdstore.candles.file.frozen_bytes import decoded
from mdstore.candles.file.wide_rows import times_of
from mdstore.errors import DamagedDataError, Hint

__all__ = [
    "PIECE_ROWS", "FrozenPiece", "all_pieces", "digest_of", "forget", "held", "held_by_series", "insert",
    "pieces", "rows_of",
]  # fmt: skip

PIECE_ROWS: Final = 16_384
"""Rows in a piece, about: unpacked in 0.7 ms, put back by a write in 15; larger ones are no smaller a row."""
# Pieces do not overlap: besides those that start in the range, the last one before it can reach into it.
PIECES = """
SELECT start, "end", rows FROM frozen WHERE symbol = ?1 AND timeframe = ?2 AND start < ?4 AND "end" > ?3
  AND start >= coalesce(
    (SELECT max(start) FROM frozen WHERE symbol = ?1 AND timeframe = ?2 AND start <= ?3), ?3)
ORDER BY start
"""
ANY = "SELECT 1 FROM frozen WHERE symbol = ? AND timeframe = ? LIMIT 1"
ENDS = 'SELECT symbol, max("end") FROM frozen WHERE timeframe = ? GROUP BY symbol'
BYTES = "SELECT digest, bytes FROM frozen WHERE symbol = ? AND timeframe = ? AND start = ?"
ALL = 'SELECT symbol, timeframe, start, "end", rows FROM frozen ORDER BY timeframe, symbol, start'
HELD = "SELECT coalesce(sum(rows), 0), coalesce(sum(length(bytes)), 0) FROM frozen"
OF_SERIES = " WHERE symbol = ? AND timeframe = ?"
BY_SERIES = "SELECT symbol, timeframe, sum(rows), sum(length(bytes)) FROM frozen GROUP BY symbol, timeframe"
INSERT = "INSERT INTO frozen VALUES (?, ?, ?, ?, ?, ?, ?)"
FORGET = "DELETE FROM frozen WHERE symbol = ? AND timeframe = ? AND start >= ? AND start < ?"

# Not `warm(rebuild=True)`, as for other damage: bytes that cannot be unpacked are right for nobody.
HINT: Final = Hint(
    "store.maintenance.thaw() takes from the packs what these hold all of; else restore a backup, or delete "
    "that range and write it again. store.maintenance.check() lists all such places",
    "`mdstore thaw` takes from the packs what these hold all of; else restore a backup, or delete that range "
    "and import it again. `mdstore check` lists all such places",
)


@dataclass(frozen=True, slots=True)
class FrozenPiece:
    """Where a piece begins and ends (ms, its first bar, and just behind its last), and its number of rows."""

    start: int
    end: int
    rows: int


def pieces(con: apsw.Connection, key: Key, start: int, end: int) -> list[FrozenPiece]:
    """Return the pieces of a series that reach into `[start, end)`, ascending."""
    if con.execute(ANY, key).get is None:  # 0.7 us; 7 to look where they would be
        return []
    return [FrozenPiece(*row) for row in con.execute(PIECES, (*key, start, end))]


def all_pieces(con: apsw.Connection) -> list[tuple[Key, FrozenPiece]]:
    """Return every piece with its series, by timeframe, symbol and time."""
    found = cast("list[tuple[str, str, int, int, int]]", con.execute(ALL).fetchall())
    return [((symbol, timeframe), FrozenPiece(*rest)) for symbol, timeframe, *rest in found]


def ends_of(con: apsw.Connection, timeframe: str) -> dict[str, int]:
    """Return where the last frozen piece of each series of a timeframe ends, by symbol."""
    return dict(con.execute(ENDS, (timeframe,)))


def rows_of(
    con: apsw.Connection, key: Key, piece: FrozenPiece, extras: tuple[str, ...] = ()
) -> pa.RecordBatch:
    """Return the rows of a piece, with declared columns in this order. Raises `DamagedDataError`."""
    digest, packed = con.execute(BYTES, (*key, piece.start)).fetchone() or (None, b"")
    if not isinstance(packed, bytes) or digest != digest_of(packed):
        raise _damaged(con, key, piece)
    try:
        rows = decoded(packed, extras)
    except (pa.ArrowException, OSError, KeyError) as error:  # a file of another kind, by another program
        raise _damaged(con, key, piece) from error
    times = times_of(rows)
    if not len(times) == piece.rows > 0 or (times[0], times[-1] + 1) != (piece.start, piece.end):
        raise _damaged(con, key, piece)
    return rows


def digest_of(packed: bytes) -> bytes:
    """Return the digest that the bytes of a piece are under."""
    return xxhash.xxh3_64_digest(packed)


def insert(con: apsw.Connection, key: Key, piece: FrozenPiece, packed: bytes) -> None:
    """Enter a piece."""
    con.execute(INSERT, (*key, piece.start, piece.end, piece.rows, digest_of(packed), packed))


def forget(con: apsw.Connection, key: Key, start: int, end: int) -> None:
    """Delete the pieces that begin in `[start, end)`."""
    con.execute(FORGET, (*key, start, end))


def held(con: apsw.Connection, key: Key | None = None) -> tuple[int, int]:
    """Return how many rows are frozen, of a series or all, and the bytes of their pieces."""
    found = con.execute(HELD) if key is None else con.execute(HELD + OF_SERIES, key)
    rows, size = found.fetchone() or (0, 0)
    return int(str(rows)), int(str(size))


def held_by_series(con: apsw.Connection) -> list[tuple[str, str, int, int]]:
    """Return symbol, timeframe, frozen rows and the bytes of their pieces, where there are any."""
    return cast("list[tuple[str, str, int, int]]", con.execute(BY_SERIES).fetchall())


def _damaged(con: apsw.Connection, key: Key, piece: FrozenPiece) -> DamagedDataError:
    """Return the error of a piece; its range is of whole buckets, which can be deleted without a look."""
    span = span_of(key[1])
    return damaged(con, "candles", key, floor(piece.start, span), ceiling(piece.end, span), HINT)
