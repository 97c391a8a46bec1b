"""A symbol that trades again: what was said of the time after its delisting ends with the first new bar."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, cast

import apsw

from mdstore.candles.ledger import coverage
from mdstore.candles.ledger.coverage import Key

__all__ = ["relist"]

DELISTED: Final = "after_delisting"
# Ranges do not overlap: besides those that start in the range, the last one before it can reach into it.
WITHIN: Final = f"""
SELECT symbol, timeframe, start, "end" FROM coverage
WHERE timeframe = ?1 AND symbol = ?2 AND start <= ?4 AND "end" > ?3
  AND start >= coalesce(
    (SELECT max(start) FROM coverage WHERE timeframe = ?1 AND symbol = ?2 AND start <= ?3), ?3)
  AND reason = '{DELISTED}'
"""  # noqa: S608 - of constants

REACHING: Final = """
SELECT value FROM carray(?2) AS wanted
WHERE (SELECT "end" FROM coverage WHERE timeframe = ?1 AND symbol = wanted.value
  ORDER BY start DESC LIMIT 1) > ?3
"""
FEW: Final = 16  # series that are asked for one by one


def relist(
    con: apsw.Connection, reach: Mapping[Key, tuple[int, int]], times_of: Callable[[Key], Iterable[int]]
) -> None:
    """Take back, from the first of new bars on, that series were delisted, where that was said.

    `reach` are the first and last (ms) of the bars of each, `times_of` gives the starts of those that are
    new. Where nothing there was said to be after a delisting, as nearly always, that is one look into an
    index.
    """
    within: dict[Key, list[tuple[int, int]]] = {}
    asked = [(timeframe, symbol, *reach[symbol, timeframe]) for symbol, timeframe in _said_of(con, reach)]
    if not asked:
        return
    for symbol, timeframe, *found in con.executemany(WITHIN, asked).fetchall():
        within.setdefault((str(symbol), str(timeframe)), []).append(cast("tuple[int, int]", tuple(found)))
    for key, ranges in within.items():
        behind = [time for time in times_of(key) if any(start <= time < end for start, end in ranges)]
        if behind:
            _take_back(con, key, min(behind))


def _said_of(con: apsw.Connection, reach: Mapping[Key, tuple[int, int]]) -> Iterable[Key]:
    """Return the series of which anything is said that reaches to their new bars; of a few all."""
    if len(reach) <= FEW:
        return reach
    found: list[Key] = []
    for timeframe in dict.fromkeys(name for _, name in reach):
        first = {symbol: ends[0] for (symbol, name), ends in reach.items() if name == timeframe}
        asked = (timeframe, apsw.carray(tuple(first)), min(first.values()))
        found += [(str(symbol), timeframe) for (symbol,) in con.execute(REACHING, asked)]
    return found


def _take_back(con: apsw.Connection, key: Key, since: int) -> None:
    for one in coverage.known(con, key):
        if one.reason == DELISTED and one.end > since:
            coverage.forget(con, key, max(one.start, since), one.end)
