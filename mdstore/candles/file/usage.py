"""What is asked for how often, kept in the file so that it can be ready before it is asked for again.

A bounded number of series; what is long past counts less and less. It is worth no sync and under no digest:
what is lost of it is counted again.
"""

from __future__ import annotations

from collections.abc import Mapping

import apsw

from mdstore.candles.file.database import Database

__all__ = ["add", "most"]

SERIES = 2_000
"""So many series are remembered."""
FADE = 0.9
"""What a count is worth after another service that has ended."""
LEAST = 0.05
FADED = "UPDATE usage SET asks = asks * ?"
ADD = "INSERT INTO usage VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET asks = asks + excluded.asks"
FORGET = """
DELETE FROM usage WHERE asks < ?1 OR (symbol, timeframe) NOT IN
  (SELECT symbol, timeframe FROM usage ORDER BY asks DESC, symbol, timeframe LIMIT ?2)
"""
MOST = "SELECT symbol, timeframe, asks FROM usage ORDER BY asks DESC, symbol, timeframe LIMIT ?"


def add(database: Database, asks: Mapping[tuple[str, str], int], *, fades: bool = True) -> bool:
    """Count what was asked for, by (symbol, timeframe); false where it could not be written.

    What was counted before `fades`.
    """

    def work(con: apsw.Connection) -> bool:
        if fades:
            con.execute(FADED, (FADE,))
        con.executemany(ADD, ((*key, count) for key, count in asks.items()))
        con.execute(FORGET, (LEAST, SERIES))
        return True

    return bool(database.note(work))


def most(database: Database, limit: int) -> list[tuple[str, str, float]]:
    """Return what was asked for most: symbol, timeframe, and how often."""
    with database.reading() as con:
        return [(str(symbol), str(name), float(asks)) for symbol, name, asks in con.execute(MOST, (limit,))]
