"""Bars that were stored before they had ended, and not again since: what they came to be is not known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import apsw

from mdstore.candles.file import digests

__all__ = ["clear", "mark", "mark_each", "of", "proven"]

Key = tuple[str, str]
"""A series: symbol and timeframe."""

ALL = "SELECT symbol, timeframe, timestamp FROM unfinished ORDER BY timeframe, symbol, timestamp"
OF_SERIES = """
SELECT symbol, timeframe, timestamp FROM unfinished WHERE symbol = ? AND timeframe = ? ORDER BY timestamp
"""
MARK = "INSERT OR IGNORE INTO unfinished (symbol, timeframe, timestamp) VALUES (?, ?, ?)"
CLEAR = "DELETE FROM unfinished WHERE symbol = ? AND timeframe = ? AND timestamp >= ? AND timestamp < ?"
STATE = """
SELECT revision, coalesce(
  (SELECT unfinished FROM digests WHERE digests.timeframe = ?2 AND digests.symbol = ?1), 0)
FROM series WHERE symbol = ?1 AND timeframe = ?2
"""
"""The revision of a series, and the sum over such bars of it, which is 0 where there are none."""
FEW = 16  # series that are asked for one by one


def of(con: apsw.Connection, keys: Sequence[Key]) -> dict[Key, list[int]]:
    """Return the starts (ms) of such bars, ascending, by series; others may be among them."""
    found: dict[Key, list[int]] = {}
    for rows in (con.execute(OF_SERIES, key) for key in keys) if len(keys) <= FEW else (con.execute(ALL),):
        for symbol, timeframe, time in rows:
            found.setdefault((symbol, timeframe), []).append(time)
    return found


def proven(con: apsw.Connection, keys: Sequence[Key]) -> dict[Key, list[int]]:
    """Return the same, for somebody to be told of. Raises `DamagedDataError`."""
    found = of(con, keys)
    rows = [(*key, time) for key, times in found.items() for time in times]
    if len(keys) > FEW:
        digests.prove_all(con, "unfinished", rows)
        return found
    for key in keys:
        digests.prove(con, "unfinished", key, [row for row in rows if row[:2] == key])
    return found


def mark(con: apsw.Connection, key: Key, times: Iterable[int]) -> None:
    """Note that bars were stored before they had ended."""
    mark_each(con, ((*key, time) for time in times))


def mark_each(con: apsw.Connection, bars: Iterable[tuple[str, str, int]]) -> None:
    """Note the same of bars of several series: symbol, timeframe and start (ms)."""
    con.executemany(MARK, bars)


def clear(con: apsw.Connection, key: Key, start: int, end: int) -> None:
    """Take the note back, of the bars that start in a range."""
    con.execute(CLEAR, (*key, start, end))
