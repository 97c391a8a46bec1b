"""A symbol that trades again: what was said of the time after its delisting ends with the first new bar."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import apsw

from mdstore.candles.ledger import coverage
from mdstore.candles.ledger.coverage import Key

__all__ = ["relist"]

DELISTED: Final = "after_delisting"
LAST: Final = """
SELECT reason FROM coverage WHERE timeframe = ? AND symbol = ? ORDER BY start DESC LIMIT 1
"""


def relist(con: apsw.Connection, key: Key, times: Iterable[int]) -> bool:
    """Take back, from the first of new bars on, that the series was delisted; tell whether it was said.

    `times` are the starts (ms) of bars that are stored now. Where the series was not said to be delisted, as
    nearly always, that is one look into an index.
    """
    symbol, timeframe = key
    if con.execute(LAST, (timeframe, symbol)).get != DELISTED:
        return False
    said = [one for one in coverage.known(con, key) if one.reason == DELISTED]
    behind = [time for time in times if any(one.start <= time < one.end for one in said)]
    for one in said:
        if behind and one.end > min(behind):
            coverage.forget(con, key, max(one.start, min(behind)), one.end)
    return bool(behind)
