"""What SQLite's planner knows of tables: how many rows share a value of an index. Bounded: a sample of each.

https://www.sqlite.org/pragma.html#pragma_optimize
"""

from __future__ import annotations

import apsw

from mdstore.candles.file.database import Database

__all__ = ["analyze", "analyzed_rows", "optimize"]

LIMIT = 1_000
"""So many rows of an index are looked at: a millisecond each."""
ALL_TABLES = 0x10002
HAS = "SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1'"
ROWS = "SELECT tbl, max(CAST(stat AS INTEGER)) FROM sqlite_stat1 WHERE stat IS NOT NULL GROUP BY tbl"


def analyzed_rows(database: Database) -> dict[str, int]:
    """Return how many rows each table had when it was analyzed, by SQLite's estimate."""
    with database.reading() as con:
        if con.execute(HAS).get is None:
            return {}
        return {str(table): int(str(rows)) for table, rows in con.execute(ROWS)}


def optimize(database: Database) -> list[str]:
    """Have SQLite analyze what it finds worth it; return what it ran."""
    return database.step(_optimize)


def analyze(database: Database, table: str | None = None) -> None:
    """Analyze a table, or all."""
    what = "" if table is None else ' "' + table.replace('"', '""') + '"'

    def work(con: apsw.Connection) -> None:
        con.pragma("analysis_limit", LIMIT)
        con.execute(f"ANALYZE{what}")

    database.step(work)


def _optimize(con: apsw.Connection) -> list[str]:
    con.pragma("analysis_limit", LIMIT)
    planned = [str(text) for (text,) in con.execute(f"PRAGMA optimize({ALL_TABLES | 1})")]
    con.execute(f"PRAGMA optimize({ALL_TABLES})").fetchall()
    return planned
