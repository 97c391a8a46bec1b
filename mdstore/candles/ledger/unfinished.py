"""Bars that were stored before they had ended, and not again since: what they came to be is not known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import apsw

from mdstore.candles.file import digests

__all__ = ["clear", "mark", "of"]

Key = tuple[str, str]
"""A series: symbol and timeframe."""

ALL = "SELECT symbol, timeframe, timestamp FROM unfinished ORDER BY timeframe, symbol, timestamp"
OF_SERIES = """
SELECT symbol, timeframe, timestamp FROM unfinished WHERE symbol = ? AND timeframe = ? ORDER BY timestamp
"""
MARK = "INSERT OR IGNORE INTO unfinished (symbol, timeframe, timestamp) VALUES (?, ?, ?)"
CLEAR = "DELETE FROM unfinished WHERE symbol = ? AND timeframe = ? AND timestamp >= ? AND timestamp < ?"
FEW = 16  # series that are asked for one by one


def of(con: apsw.Connection, keys: Sequence[Key]) -> dict[Key, list[int]]:
    """Return the starts (ms) of such bars, ascending, by series; others may be among them.

    Raises `DamagedDataError`.
    """
    found: dict[Key, list[int]] = {}
    every: digests.Rows = []
    if len(keys) <= FEW:
        for key in keys:
            rows = con.execute(OF_SERIES, key).fetchall()
            digests.prove(con, "unfinished", key, rows)
            every += rows
    else:
        every = con.execute(ALL).fetchall()
        digests.prove_all(con, "unfinished", every)
    for symbol, timeframe, time in every:
        found.setdefault((symbol, timeframe), []).append(time)
    return found


def mark(con: apsw.Connection, key: Key, times: Iterable[int]) -> None:
    """Note that bars were stored before they had ended."""
    con.executemany(MARK, ((*key, time) for time in times))


def clear(con: apsw.Connection, key: Key, start: int, end: int) -> None:
    """Take the note back, of the bars that start in a range."""
    con.execute(CLEAR, (*key, start, end))
