"""A symbol that trades again: what was said of the time after its delisting ends with the first new bar."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, cast

import apsw

from mdstore.candles.ledger import coverage
from mdstore.candles.ledger.coverage import Key

__all__ = ["relist"]

DELISTED: Final = "after_delisting"
# Ranges do not overlap: besides those that start in the range, the last one before it can reach into it.
WITHIN: Final = f"""
SELECT start, "end" FROM coverage WHERE timeframe = ?1 AND symbol = ?2 AND start <= ?4 AND "end" > ?3
  AND start >= coalesce(
    (SELECT max(start) FROM coverage WHERE timeframe = ?1 AND symbol = ?2 AND start <= ?3), ?3)
  AND reason = '{DELISTED}'
"""  # noqa: S608 - of constants


def relist(con: apsw.Connection, key: Key, first: int, last: int, times: Iterable[int]) -> bool:
    """Take back, from the first of new bars on, that the series was delisted; tell whether that was said.

    `times` are the starts (ms) of new bars, all from `first` to `last`. Where nothing there was said to be
    after a delisting, as nearly always, that is one look into an index.
    """
    symbol, timeframe = key
    within = cast("list[tuple[int, int]]", con.execute(WITHIN, (timeframe, symbol, first, last)).fetchall())
    behind = [time for time in times if any(start <= time < end for start, end in within)] if within else []
    if not behind:
        return False
    since = min(behind)
    for one in coverage.known(con, key):
        if one.reason == DELISTED and one.end > since:
            coverage.forget(con, key, max(one.start, since), one.end)
    return True
