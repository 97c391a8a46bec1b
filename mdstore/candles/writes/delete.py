"""Deleting candles: the rows, and all that is known of them, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mdstore.candles.file import catalogue, declared_columns, thawing
from mdstore.candles.file.database import Database
from mdstore.candles.ledger import arrivals, claims, replacements, revisions, unfinished
from mdstore.candles.packs import cells
from mdstore.core.timeframe import Timeframe

__all__ = ["delete"]

DELETE = "DELETE FROM candles WHERE symbol = ? AND timeframe = ? AND timestamp >= ? AND timestamp < ?"


def delete(
    database: Database, keys: Iterable[tuple[str, str]], start: int, end: int, clock: Callable[[], float]
) -> int:
    """Delete the candles of the series `keys` that start in `[start, end)` (ms), and return how many.

    What was known of them goes as well: why there are none, and what they were.
    """
    total = 0
    with database.writing() as con:
        at_revision: int | None = None
        for symbol, timeframe in keys:
            extras = declared_columns.names_of(con, (symbol, timeframe))
            con.carried.remove((symbol, timeframe), start, end, extras)
            with con.telling(None):
                deleted = thawing.drop(con, (symbol, timeframe), start, end)
                con.execute(DELETE, (symbol, timeframe, start, end))
                deleted += con.changes()
                # Also of a series without values: a write of nothing but nulls has left rows of them.
                declared_columns.forget_values(con, (symbol, timeframe), start, end)
            if deleted:
                for cell in cells.covering(con, symbol, timeframe, start, end - 1):
                    cells.forget(con, cell)
                arrivals.spill(con, [(symbol, timeframe)])
                at_revision = at_revision or catalogue.bump(con, int(clock() * 1000))
                catalogue.recount(con, symbol, timeframe, deleted, at_revision)
            if Timeframe.is_name(timeframe):
                bar = Timeframe.parse(timeframe)
                claims.forget(con, (symbol, timeframe), start, end)
                revisions.forget(con, (symbol, timeframe), start, end)
                replacements.forget(con, (symbol, timeframe), start, end)
                arrivals.forget(con, symbol, bar, start, end)
                unfinished.clear(con, (symbol, timeframe), start, end)
            total += deleted
    return total
