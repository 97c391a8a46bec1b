"""Where the bars of a series are: how many there are in a range, and the time of one by its number.

Of what lies in `candles` SQLite's index says so, of frozen pieces their rows in the table; a piece is
unpacked only where a range ends inside of it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

import apsw

from mdstore.candles.file import frozen
from mdstore.candles.file.digests import Key
from mdstore.candles.file.frozen import FrozenPiece
from mdstore.candles.file.wide_rows import times_of
from mdstore.core.time_bounds import FOREVER

__all__ = ["count_bars", "next_bar", "nth_bar", "segments"]

IN_RANGE = "FROM candles WHERE symbol = ? AND timeframe = ? AND timestamp >= ? AND timestamp < ?"
COUNT = f"SELECT count(*) {IN_RANGE}"
NTH = f"SELECT timestamp {IN_RANGE} ORDER BY timestamp LIMIT 1 OFFSET ?"
NTH_LATEST = f"SELECT timestamp {IN_RANGE} ORDER BY timestamp DESC LIMIT 1 OFFSET ?"


def segments(
    con: apsw.Connection, key: Key, start: int, end: int
) -> Iterator[tuple[int, int, FrozenPiece | None]]:
    """Yield the parts of a range in order: those of `candles`, and those of the piece that they lie in."""
    at = start
    for piece in frozen.pieces(con, key, start, end):
        if at < piece.start:
            yield at, piece.start, None
        at = min(end, piece.end)
        yield max(start, piece.start), at, piece
    if at < end:
        yield at, end, None


def count_bars(con: apsw.Connection, key: Key, start: int, end: int) -> int:
    """Return how many bars of a series start in `[start, end)`."""
    return sum(_count(con, key, *part) for part in segments(con, key, start, end))


def nth_bar(
    con: apsw.Connection, key: Key, start: int, end: int, number: int, *, latest: bool = False
) -> int | None:
    """Return the time of a bar of a range by its number from 0, or None; `latest` counts from the end."""
    parts = list(segments(con, key, start, end))
    for low, high, piece in reversed(parts) if latest else parts:
        found = _nth(con, key, low, high, piece, number, latest=latest)
        if found is not None:
            return found
        if len(parts) > 1:
            number -= _count(con, key, low, high, piece)
    return None


def next_bar(con: apsw.Connection, key: Key, at: int) -> int | None:
    """Return the time of the first bar of a series from a time on, or None; inside a piece, that time."""
    for low, high, piece in segments(con, key, at, FOREVER):
        found: int | None = low if piece else con.execute(NTH, (*key, low, high, 0)).get
        if found is not None:
            return found
    return None


def _count(con: apsw.Connection, key: Key, low: int, high: int, piece: FrozenPiece | None) -> int:
    if piece is None:
        return int(con.execute(COUNT, (*key, low, high)).get)
    if low <= piece.start and piece.end <= high:
        return piece.rows
    return len(_times(con, key, low, high, piece))


def _nth(  # noqa: PLR0917 - a part of a range, and a number
    con: apsw.Connection,
    key: Key,
    low: int,
    high: int,
    piece: FrozenPiece | None,
    number: int,
    *,
    latest: bool,
) -> int | None:
    if piece is None:
        found: int | None = con.execute(NTH_LATEST if latest else NTH, (*key, low, high, number)).get
        return found
    if number >= piece.rows:
        return None
    times = _times(con, key, low, high, piece)
    if number >= len(times):
        return None
    return times[len(times) - 1 - number if latest else number]


def _times(con: apsw.Connection, key: Key, low: int, high: int, piece: FrozenPiece) -> memoryview:
    times = times_of(frozen.rows_of(con, key, piece))
    return times[bisect_left(times, low) : bisect_left(times, high)]
