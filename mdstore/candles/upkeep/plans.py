"""How SQLite runs a statement: its plan (https://www.sqlite.org/eqp.html), and what a run took."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import apsw

from mdstore.candles.file.database import Database
from mdstore.errors import QueryError

__all__ = ["Run", "Step", "plan", "plan_of", "run", "run_on", "steps_of", "unknown_params"]

STEP = re.compile(r"^(?P<kind>SCAN|SEARCH) (?P<table>\S+)(?: USING (?P<using>.+))?$")
USING = re.compile(
    r"(?P<covering>COVERING )?(?:INDEX (?P<index>\S+)|(?:INTEGER )?PRIMARY KEY)(?: \((?P<terms>.*)\))?"
)
LOOK: Final = "SELECT count(*) FROM sqlite_schema"
"""Has a connection see which indexes there are by now: to explain a statement alone does not."""
LIMIT: Final = 100_000
"""Rows of a statement that are fetched at most."""


@dataclass(frozen=True, slots=True)
class Step:
    """One table of a plan: how it is gone through.

    `index` is the name of the index, or empty for the table's own key or none. It `is_scan` where every row
    of a table or an index is looked at: also a SEARCH whose first column is free (`ANY(symbol)`).
    """

    table: str
    index: str
    covering: bool
    terms: str
    is_scan: bool
    text: str


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of a statement took: rows it gave, seconds, and SQLite's own counts.

    `scan_steps` are rows gone through without an index, `sorts` how often rows were sorted, `steps` those of
    SQLite's machine.
    """

    sql: str
    rows: int
    seconds: float
    scan_steps: int
    sorts: int
    automatic_indexes: int
    steps: int
    plan: tuple[str, ...]


def plan(database: Database, sql: str) -> tuple[str, ...]:
    """Return the steps of a statement's plan, as SQLite words them. Raises `QueryError`."""
    with database.reading() as con:
        return plan_of(con, sql)


def plan_of(con: apsw.Connection, sql: str) -> tuple[str, ...]:
    """Return the same, of a connection; values that are not given are nulls, which the planner knows not."""
    try:
        con.execute(LOOK)
        explained = con.execute(f"EXPLAIN QUERY PLAN {sql}", unknown_params(con, sql), can_cache=False)
        return tuple(str(detail) for *_, detail in explained)
    except apsw.SQLError as error:
        raise QueryError(f"SQLite cannot run {sql[:200]!r}: {error}") from error


def unknown_params(con: apsw.Connection, sql: str) -> tuple[None, ...]:
    """Return a null for each value that a statement is to be given."""
    import apsw.ext  # noqa: PLC0415 - 20 ms

    return (None,) * apsw.ext.query_info(con, sql).bindings_count


def steps_of(plan: Sequence[str]) -> list[Step]:
    """Return the tables of a plan and how each is gone through."""
    found = []
    for text in plan:
        match = STEP.match(text)
        if match:
            using = USING.search(match["using"] or "")
            terms = (using and using["terms"]) or ""
            free = match["kind"] == "SCAN" or not terms or terms.startswith("ANY(")
            index = (using and using["index"]) or ""
            covering = bool(using and using["covering"])
            found.append(Step(match["table"], index, covering, terms, free, text))
    return found


def run(database: Database, sql: str, params: Sequence[Any] = ()) -> Run:
    """Run a statement that only reads, and return what that took. Raises `QueryError`."""
    with database.reading() as con:
        con.trace_v2(0, None)  # whoever watches is told by the caller
        return run_on(con, sql, params)


def run_on(con: apsw.Connection, sql: str, params: Sequence[Any] = ()) -> Run:
    """Do the same on a connection, which is one that reads or a copy."""
    plan, counted = plan_of(con, sql), dict[str, int]()

    def note(event: dict[str, Any]) -> None:
        for name, value in event["stmt_status"].items():
            short = name.removeprefix("SQLITE_STMTSTATUS_")
            counted[short] = counted.get(short, 0) + value

    con.trace_v2(apsw.SQLITE_TRACE_PROFILE, note, id=note)
    began = time.perf_counter()
    try:
        rows = con.execute(sql, params)
        count = sum(1 for _ in zip(range(LIMIT), rows, strict=False))
        rows.close(True)
    except apsw.ReadOnlyError as error:
        hint = "give the part of it that reads; candles are changed by the store"
        raise QueryError(
            f"only what reads is run here, and this changes the file: {sql[:200]!r}", hint=hint
        ) from error
    except (apsw.SQLError, apsw.BindingsError) as error:
        raise QueryError(f"SQLite cannot run {sql[:200]!r}: {error}") from error
    finally:
        seconds = time.perf_counter() - began
        con.trace_v2(0, None, id=note)
    return Run(
        sql,
        count,
        seconds,
        counted.get("FULLSCAN_STEP", 0),
        counted.get("SORT", 0),
        counted.get("AUTOINDEX", 0),
        counted.get("VM_STEP", 0),
        plan,
    )
