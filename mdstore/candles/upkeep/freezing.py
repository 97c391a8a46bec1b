"""Old candles are frozen, a piece at a time, while others read and write; and thawed again.

A piece is read and packed while others write. Then one short transaction takes its rows out of `candles` and
enters the piece, if the digests of its buckets are still those that its rows were proven by: so nothing is
packed that is not what was written, and nothing goes that is not packed. Killed at any moment, each bar is in
one of the two tables, since it changes place in a transaction.

No candle changes, so no digest does, no revision, no pack, and nothing that others hold in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import apsw

from mdstore.candles.file import frozen
from mdstore.candles.file.bar_digests import Sums, expected, read_proven
from mdstore.candles.file.bar_places import count_bars, nth_bar, segments
from mdstore.candles.file.carried import Writer
from mdstore.candles.file.database import Database
from mdstore.candles.file.declared_columns import forget_values, names_of, table_names
from mdstore.candles.file.digests import Key, damaged, span_of
from mdstore.candles.file.frozen import FrozenPiece
from mdstore.candles.file.frozen_bytes import decoded, encoded, same_bits
from mdstore.candles.file.thawing import thaw as put_back
from mdstore.candles.file.wide_rows import times_of
from mdstore.candles.packs import first_digests
from mdstore.candles.packs.mended_pieces import mend
from mdstore.candles.packs.pack_files import Packs
from mdstore.candles.upkeep.steps import Pace, Stop, never
from mdstore.core.time_bounds import FOREVER
from mdstore.errors import DamagedDataError, StoreFileError

__all__ = ["LEAST_ROWS", "Frozen", "completed", "freeze", "rows_before", "thaw", "to_freeze"]

LEAST_ROWS: Final = 64
"""Fewer rows behind each other take no less space in a piece of their own."""
SPARE_ROWS: Final = frozen.PIECE_ROWS // 4
"""So few rows at the end of a stretch go into the piece before them."""
ATTEMPTS: Final = 5
"""So often a piece is packed that others write to meanwhile; then it is left for another time."""
DELETE = "DELETE FROM candles WHERE symbol = ? AND timeframe = ? AND timestamp >= ? AND timestamp < ?"
STRAY = (
    "SELECT 1 FROM extras WHERE symbol = ? AND timeframe = ? AND timestamp >= ? AND timestamp < ? AND ({})"
)
Told = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Frozen:
    """What was frozen or thawed: how many rows of how many series, and the bytes of their pieces."""

    rows: int = 0
    series: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class _Packed:
    """Rows of a series in bytes, and what proves that they are still those: the digests of their buckets."""

    key: Key
    piece: FrozenPiece
    names: tuple[str, ...]
    sums: Sums
    bytes: bytes
    fresh: int
    """How many of the rows were in no piece before."""


def freeze(  # noqa: PLR0917 - what, up to when, and how
    database: Database, key: Key, before: int, told: Told, least: int = 1, stop: Stop = never
) -> Frozen:
    """Freeze the bars of a series that start before a time (ms), but stretches of less than `least`.

    Raises `DamagedDataError` where some are not what was written, `MaintenanceStoppedError`,
    `StoreFileError`.
    """
    with database.reading() as con:
        found = list(_stretches(con, key, before, least))
    pace, rows, size = Pace(1, most=1, stop=stop, what="freezing"), 0, 0
    for low, high, _ in found:
        at = low
        while (packed := _frozen(database, key, at, high, pace)) is not None:
            at, rows, size = packed.piece.end, rows + packed.fresh, size + len(packed.bytes)
            told(packed.fresh)
    return Frozen(rows, int(rows > 0), size)


def thaw(database: Database, packs: Packs, key: Key, told: Told, stop: Stop = never) -> Frozen:
    """Put all frozen pieces of a series back into `candles`, of damaged ones what packs hold all bars of.

    Raises what `freeze` does, of damage once all others are back.
    """
    with database.reading() as con:
        found = frozen.pieces(con, key, -FOREVER, FOREVER)
    pace, rows, damage = Pace(1, most=1, stop=stop, what="thawing"), 0, list[DamagedDataError]()
    for piece in found:
        back = partial(_back, packs=packs, key=key, piece=piece)
        try:
            done = pace.take(lambda _: database.step(back))  # noqa: B023 - at once
        except DamagedDataError as error:
            damage.append(error)
            continue
        rows += done
        told(done)
    if damage:
        raise damage[0]
    return Frozen(rows, int(rows > 0))


def _back(con: Writer, packs: Packs, key: Key, piece: FrozenPiece) -> int:
    try:
        return put_back(con, key, piece.start, piece.end)
    except DamagedDataError:
        if not mend(con, packs, key, piece):
            raise
        return put_back(con, key, piece.start, piece.end)


def completed(database: Database) -> list[DamagedDataError]:
    """Put every candle under a digest, which proves a piece; return why it could not be, of some series."""
    return first_digests.complete(database)


def rows_before(con: apsw.Connection, key: Key, before: int) -> int:
    """Return how many rows of a series start before a time (ms) and are not frozen."""
    parts = segments(con, key, -FOREVER, before)
    return sum(count_bars(con, key, low, high) for low, high, piece in parts if piece is None)


def to_freeze(con: apsw.Connection, key: Key, before: int, least: int = 1) -> int:
    """Return how many rows of a series `freeze` would freeze."""
    return sum(rows for _, _, rows in _stretches(con, key, before, least))


def _stretches(con: apsw.Connection, key: Key, before: int, least: int) -> list[tuple[int, int, int]]:
    """Return what is to be frozen of a series, and how many rows; they go with a small piece before them."""
    found, last = [], None
    for low, high, piece in segments(con, key, -FOREVER, before):
        if piece is not None:
            last = piece
            continue
        rows = count_bars(con, key, low, high)
        joins = last is not None and (last.rows < frozen.PIECE_ROWS or rows < SPARE_ROWS)
        if rows >= least and (joins or rows >= LEAST_ROWS):
            found.append((last.start if last is not None and joins else low, high, rows))
    return found


def _frozen(database: Database, key: Key, low: int, high: int, pace: Pace) -> _Packed | None:
    """Freeze the next piece of a stretch; None where there are no more rows, or others write all the time."""
    for _ in range(ATTEMPTS):
        with database.reading() as con:
            packed = _packed(con, key, low, high)
        if packed is None:
            return None
        exchange = partial(_exchange, packed=packed)
        if pace.take(lambda _: database.step(exchange)):  # noqa: B023 - at once
            return packed
    return None


def _packed(con: apsw.Connection, key: Key, low: int, high: int) -> _Packed | None:
    cut = nth_bar(con, key, low, high, frozen.PIECE_ROWS)
    is_last = cut is None or nth_bar(con, key, cut, high, SPARE_ROWS) is None
    names, span = names_of(con, key), span_of(key[1])
    rows = read_proven(con, key, low, high if is_last or cut is None else cut, names)
    if not rows.num_rows:
        return None
    times = times_of(rows)
    piece = FrozenPiece(times[0], times[-1] + 1, rows.num_rows)
    sums, _ = expected(con, key, *_buckets(piece, span))
    made = encoded(rows, names)
    if not same_bits(decoded(made, names), rows):
        raise StoreFileError(
            f"{con.filename}: candles of {' '.join(key)} cannot be packed; they are as they were"
        )
    known = sum(one.rows for one in frozen.pieces(con, key, piece.start, piece.end))
    return _Packed(key, piece, names, sums, made, piece.rows - known)


def _exchange(con: Writer, packed: _Packed) -> int:
    """Have a piece take the place of its rows, unless one of them has changed; return how many there are."""
    key, piece, names = packed.key, packed.piece, packed.names
    sums, whole = expected(con, key, *_buckets(piece, span_of(key[1])))
    inside = frozen.pieces(con, key, piece.start, piece.end)
    reaches_out = any(one.start < piece.start or piece.end < one.end for one in inside)
    if not whole or sums != packed.sums or names_of(con, key) != names or reaches_out:
        return 0
    with con.telling(None):
        frozen.forget(con, key, piece.start, piece.end)
        con.execute(DELETE, (*key, piece.start, piece.end))
        gone = con.changes() + sum(one.rows for one in inside)
        has_strays = _has_strays(con, packed)
        if gone != piece.rows or (has_strays and names):
            # What another program has put there, and no digest knows of, is not deleted unseen.
            raise damaged(con, "candles", key, piece.start, piece.end)
        if not has_strays:
            # Also of a series without values: a write of nothing but nulls has left rows of them.
            forget_values(con, key, piece.start, piece.end)
        frozen.insert(con, key, piece, packed.bytes)
    return piece.rows


def _has_strays(con: apsw.Connection, packed: _Packed) -> bool:
    """Tell whether bars have values of declared columns of which the catalogue does not know."""
    others = [name for name in table_names(con) if name not in packed.names]
    if not others:
        return False
    sql = STRAY.format(" OR ".join(f'"{name}" IS NOT NULL' for name in others))
    return con.execute(sql, (*packed.key, packed.piece.start, packed.piece.end)).get is not None


def _buckets(piece: FrozenPiece, span: int) -> tuple[int, int]:
    """Return the buckets that a piece reaches into, `[first, last)` by number."""
    return piece.start // span, -(-piece.end // span)
