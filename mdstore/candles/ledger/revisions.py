"""What bars that had ended were before they changed, kept in the transactions that change them."""

from __future__ import annotations

from collections.abc import Iterable

import apsw

__all__ = ["Values", "forget", "older_values", "revise"]

Values = tuple[int, float, float, float, float, float]
"""A bar: timestamp, open, high, low, close, volume."""

REVISE = """
INSERT OR IGNORE INTO revisions
  (timeframe, symbol, timestamp, revision, source, open, high, low, close, volume)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
# Of each bar the change that came first after a time: SQLite takes the other columns from the row of min().
OLDER = """
SELECT timestamp, open, high, low, close, volume, min(revision) FROM revisions
WHERE timeframe = ? AND symbol = ? AND revision > ? AND timestamp >= ? AND timestamp < ?
GROUP BY timestamp ORDER BY timestamp
"""
FORGET = "DELETE FROM revisions WHERE timeframe = ? AND symbol = ? AND timestamp >= ? AND timestamp < ?"


def revise(
    con: apsw.Connection, key: tuple[str, str], olds: Iterable[Values], source: str, revision: int
) -> None:
    """Keep what closed bars of a series (symbol, timeframe) were before `revision` changed them."""
    symbol, timeframe = key
    con.executemany(REVISE, ((timeframe, symbol, old[0], revision, source, *old[1:]) for old in olds))


def older_values(con: apsw.Connection, key: tuple[str, str], at: int, start: int, end: int) -> list[Values]:
    """Return the bars in `[start, end)` that changed after revision `at`, as they were at it."""
    symbol, timeframe = key
    return [row[:6] for row in con.execute(OLDER, (timeframe, symbol, at, start, end))]


def forget(con: apsw.Connection, key: tuple[str, str], start: int, end: int) -> None:
    """Forget what bars that are deleted were."""
    symbol, timeframe = key
    con.execute(FORGET, (timeframe, symbol, start, end))
