"""Who replaced bars that had ended, and when: ranges beside the arrivals, in whose place they count.

What the bars were before is in `revisions`, and may be let go; where they are from is known all the same. A
range is cut where a later write replaces a part of it, so a series that is rewritten every day has one row.
To look for the latest of its revisions instead took longer with each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import apsw

from mdstore.candles.file import digests
from mdstore.core.timeframe import Timeframe

__all__ = ["Replacement", "forget", "known", "of_range", "replace"]

Key = tuple[str, str]
OF_ONE = "SELECT * FROM replacements WHERE timeframe = ? AND symbol = ? ORDER BY start"
# Ranges do not overlap: besides those that start in the range, the last one before it can reach into it.
OVERLAPPING = """
SELECT start, "end", source, revision FROM replacements
WHERE timeframe = ?1 AND symbol = ?2 AND start < ?4 AND "end" > ?3
  AND start >= coalesce(
    (SELECT max(start) FROM replacements WHERE timeframe = ?1 AND symbol = ?2 AND start <= ?3), ?3)
ORDER BY start
"""
INSERT = (
    'INSERT INTO replacements (timeframe, symbol, start, "end", source, revision) VALUES (?, ?, ?, ?, ?, ?)'
)
DELETE = "DELETE FROM replacements WHERE timeframe = ? AND symbol = ? AND start = ?"


class Replacement(NamedTuple):
    """The bars in `[start, end)` (ms) came from `source` in the place of others, in a revision."""

    start: int
    end: int
    source: str
    revision: int


def replace(
    con: apsw.Connection, key: Key, ranges: Iterable[tuple[int, int]], source: str, revision: int
) -> None:
    """Enter that the bars in some ranges of a series were replaced in a revision."""
    for start, end in ranges:
        forget(con, key, start, end)
        con.execute(INSERT, (key[1], key[0], start, end, source, revision))


def forget(con: apsw.Connection, key: Key, start: int, end: int) -> None:
    """Forget who replaced the bars that start in a range."""
    symbol, timeframe = key
    for old in of_range(con, key, start, end):
        con.execute(DELETE, (timeframe, symbol, old.start))
        if old.start < start:
            before = Timeframe.parse(timeframe).next(start - 1)  # no bar starts between the two
            con.execute(INSERT, (timeframe, symbol, *old._replace(end=before)))
        if old.end > end:
            after = Timeframe.parse(timeframe).next(end - 1)
            if after < old.end:
                con.execute(INSERT, (timeframe, symbol, *old._replace(start=after)))


def of_range(con: apsw.Connection, key: Key, start: int, end: int) -> list[Replacement]:
    """Return what reaches into a range, ascending, as it is found."""
    rows: digests.Rows = con.execute(OVERLAPPING, (key[1], key[0], start, end)).fetchall()
    return [Replacement(*row) for row in rows]


def known(con: apsw.Connection, key: Key) -> Sequence[Replacement]:
    """Return all of a series, ascending. Raises `DamagedDataError`."""
    rows: digests.Rows = con.execute(OF_ONE, (key[1], key[0])).fetchall()
    digests.prove(con, "replacements", key, rows)
    return [Replacement(*row[2:]) for row in rows]
