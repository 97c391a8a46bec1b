"""Is the file sound: SQLite's own check, and the catalogue against the candles."""

from __future__ import annotations

from collections.abc import Iterator

import apsw

from mdstore.candles import catalogue
from mdstore.candles.database import Database

__all__ = ["check"]

COUNTED = """
SELECT symbol, timeframe, min(timestamp), max(timestamp), count(*) FROM candles GROUP BY symbol, timeframe
"""
MOST_FINDINGS = 100


def check(database: Database) -> list[str]:
    """Return what is wrong with the file, in words; empty when nothing is."""
    with database.reading() as con:
        try:
            return _damage(con) or list(_catalogue_findings(con))
        except apsw.CorruptError as error:
            return [f"a page cannot be read: {error}"]


def _damage(con: apsw.Connection) -> list[str]:
    return [text for (text,) in con.execute(f"PRAGMA integrity_check({MOST_FINDINGS})") if text != "ok"]


def _catalogue_findings(con: apsw.Connection) -> Iterator[str]:
    stored = {(row[0], row[1]): tuple(row[2:]) for row in con.execute(COUNTED)}
    listed = {(s.symbol, s.timeframe): (s.first, s.last, s.rows) for s in catalogue.all_series(con)}
    for key in sorted(stored.keys() | listed.keys()):
        if stored.get(key) != listed.get(key):
            yield (
                f"{' '.join(key)}: the catalogue says (first, last, rows) {listed.get(key)}, "
                f"the candles say {stored.get(key)}; another program may have written to the file"
            )
