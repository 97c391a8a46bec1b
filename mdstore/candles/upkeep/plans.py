"""How SQLite would run a statement: https://www.sqlite.org/eqp.html."""

from __future__ import annotations

import apsw
import apsw.ext

from mdstore.candles.file.database import Database

__all__ = ["plan", "plan_of"]


def plan(database: Database, sql: str) -> tuple[str, ...]:
    """Return the steps of a statement's plan, as SQLite words them."""
    with database.reading() as con:
        return plan_of(con, sql)


def plan_of(con: apsw.Connection, sql: str) -> tuple[str, ...]:
    """Return the same, of a connection; values that are not given are nulls, which the planner knows not."""
    info = apsw.ext.query_info(con, sql)
    explained = con.execute(f"EXPLAIN QUERY PLAN {sql}", (None,) * info.bindings_count)
    return tuple(str(detail) for *_, detail in explained)
