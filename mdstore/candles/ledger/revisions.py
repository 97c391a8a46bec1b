"""What bars that had ended were before they changed, kept in the transactions that change them."""

from __future__ import annotations

from collections.abc import Sequence

import apsw

from mdstore.candles.file import digests
from mdstore.candles.file.bar_digests import FEW, batch_of, sums_of, sums_of_bars
from mdstore.candles.file.carried import Writer

__all__ = ["Values", "forget", "older_values", "revise", "rows"]

Values = tuple[int, float, float, float, float, float]
"""A bar: timestamp, open, high, low, close, volume."""

REVISE = """
INSERT INTO revisions
  (timeframe, symbol, timestamp, revision, source, open, high, low, close, volume)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
ROWS = """
SELECT * FROM revisions WHERE timeframe = ? AND symbol = ? AND timestamp >= ? AND timestamp < ?
ORDER BY timestamp, revision
"""
FORGET = "DELETE FROM revisions WHERE timeframe = ? AND symbol = ? AND timestamp >= ? AND timestamp < ?"


def revise(con: Writer, key: tuple[str, str], olds: Sequence[Values], source: str, revision: int) -> None:
    """Keep what closed bars of a series (symbol, timeframe) were before `revision` changed them."""
    if not olds:
        return
    symbol, timeframe = key
    with con.telling(None):  # their digests take less together: 0.1 us each, in place of 4
        con.executemany(REVISE, ((timeframe, symbol, old[0], revision, source, *old[1:]) for old in olds))
    span, seed = digests.span_of(timeframe), digests.seed_of(revision, source)
    few = len(olds) <= FEW
    sums = sums_of_bars(olds, span, seed) if few else sums_of(batch_of(olds), span, seed)
    con.carried.add_revisions(key, sums)


def older_values(con: apsw.Connection, key: tuple[str, str], at: int, start: int, end: int) -> list[Values]:
    """Return the bars in `[start, end)` that changed after revision `at`, as they were at it, ascending.

    Raises `DamagedDataError`.
    """
    found: dict[int, Values] = {}
    for _, _, time, revision, *prices, _ in rows(con, key, start, end):
        if revision > at and start <= time < end:
            found.setdefault(time, (time, *prices))
    return list(found.values())


def rows(con: apsw.Connection, key: tuple[str, str], start: int, end: int) -> digests.Rows:
    """Return the rows of a series in the buckets that `[start, end)` reaches into, by time and revision.

    Raises `DamagedDataError`.
    """
    symbol, timeframe = key
    span = digests.span_of(timeframe)
    low, high = digests.floor(start, span), digests.ceiling(end, span)
    found = con.execute(ROWS, (timeframe, symbol, low, high)).fetchall()
    digests.prove_revisions(con, key, found, low, high)
    return found


def forget(con: apsw.Connection, key: tuple[str, str], start: int, end: int) -> None:
    """Forget what bars that are deleted were."""
    symbol, timeframe = key
    con.execute(FORGET, (timeframe, symbol, start, end))
