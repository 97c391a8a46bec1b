"""The indexes of the file: which there are, and whether another would help, tried on a copy in memory."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import permutations
from typing import Any, Final

import apsw

from mdstore.candles.file.database import Database
from mdstore.candles.upkeep.plans import Run, run_on, steps_of, unknown_params
from mdstore.errors import InvalidInputError, QueryError

__all__ = [
    "Index", "Trial", "count_seconds", "create", "damage", "drop", "has_table", "indexes", "reindex",
    "try_indexes", "undo",
]  # fmt: skip

INDEXES = """
SELECT list.name, schema.name, list."unique", list.origin, made.sql, tables.wr FROM sqlite_schema AS schema
JOIN pragma_table_list(schema.name) AS tables ON tables.schema = 'main'
JOIN pragma_index_list(schema.name) AS list
LEFT JOIN sqlite_schema AS made ON made.type = 'index' AND made.name = list.name
WHERE schema.type = 'table' ORDER BY schema.name, list.seq
"""
COLUMNS = "SELECT name FROM pragma_index_info(?) ORDER BY seqno"
TABLES = "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name = ?"
VIEWS = "SELECT sql FROM sqlite_schema WHERE type = 'view' AND name = ? COLLATE NOCASE"
MADE = "SELECT sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL"
NAMES = "SELECT name FROM pragma_table_info(?)"
PLAIN = """
SELECT 1 FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name = ? COLLATE NOCASE
AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
"""
"""Whether a name is a table that can have an index: no view, no virtual table, none of SQLite's own."""
OURS: Final = frozenset({"quarantine_once", "upkeep_by_kind", "revisions_of_series"})
"""Those that the store has made."""
OUR_TABLES: Final = frozenset({
    "candles", "series", "revision", "quarantine", "cells", "coverage", "unfinished", "arrivals", "revisions",
    "calendars", "digests", "bucket_digests", "declared", "extras", "replacements", "leases", "usage",
    "upkeep", "schema_version", "frozen",
})  # fmt: skip
SAMPLE_ROWS: Final = 20_000
"""So many rows of each table are tried with."""
MOST_COLUMNS: Final = 2
WORD = re.compile(r"\w+")
CONDITIONS = re.compile(r"\b(?:WHERE|ON|USING|ORDER\s+BY|GROUP\s+BY)\b(.*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Index:
    """An index: its table and columns; `is_key` where rules of the table need it.

    `is_table` where it is the table itself, WITHOUT ROWID: plans say "PRIMARY KEY" and not its name.
    """

    name: str
    table: str
    columns: tuple[str, ...]
    is_key: bool
    sql: str
    is_table: bool = False

    @property
    def can_go(self) -> bool:
        """Whether it may be dropped."""
        return not self.is_key and bool(self.sql) and self.name not in OURS


@dataclass(frozen=True, slots=True)
class Trial:
    """A statement on a copy, without and with an index that was made there."""

    sql: str
    table: str
    columns: tuple[str, ...]
    create: str
    before: Run
    after: Run

    @property
    def is_ours(self) -> bool:
        """Whether the table is one of the store's own, whose every write would pay for an index."""
        return self.table in OUR_TABLES

    @property
    def times(self) -> float:
        """How many times fewer steps the statement took with it."""
        return self.before.steps / max(1, self.after.steps)


def indexes(database: Database) -> list[Index]:
    """Return all indexes, those of keys among them."""
    with database.reading() as con:
        found = con.execute(INDEXES).fetchall()
        return [
            Index(
                str(name),
                str(table),
                tuple(str(one) for (one,) in con.execute(COLUMNS, (name,))),
                bool(unique) or origin != "c",
                str(sql or ""),
                bool(without_rowid) and origin == "pk",
            )
            for name, table, unique, origin, sql, without_rowid in found
        ]


def try_indexes(database: Database, sql: str, params: Sequence[Any] = ()) -> list[Trial]:
    """Run a statement on a copy of its tables with each index that could help; the best come first.

    The copy holds at most 20,000 rows of each table. Only those are returned whose plan is another. Those of
    the store's own tables (`is_ours`) are tried as well, to say what they would bring; none is made.
    """
    with database.reading() as con, closing(apsw.Connection(":memory:")) as copy:
        _copy_tables(con, copy, sql)
        try:
            params = params or unknown_params(copy, sql)
            before, trials = run_on(copy, sql, params), []
        except (apsw.SQLError, QueryError):  # of what no copy has, such as a table in memory
            return []
        for table, columns in _candidates(copy, before):
            create = _create(table, columns)
            copy.execute(create)
            after = run_on(copy, sql, params)
            if after.plan != before.plan:
                trials.append(Trial(sql, table, columns, create, before, after))
            copy.execute(f'DROP INDEX "{_name(table, columns)}"')
    return sorted(trials, key=lambda trial: (-trial.times, len(trial.columns)))


def create(database: Database, table: str, columns: Sequence[str]) -> tuple[str, str]:
    """Make an index, and return the statements that make it and that undo it. Raises `InvalidInputError`."""
    with database.reading() as con:
        known = {str(one) for (one,) in con.execute(NAMES, (table,))}
    if not columns or not set(columns) <= known:
        raise InvalidInputError(
            f"{table!r} has no columns {', '.join(columns) or '(none)'}: no index was made"
        )
    made, undone = _create(table, columns), f'DROP INDEX IF EXISTS "{_name(table, columns)}"'
    with database.writing() as con:
        con.execute(made)
    return made, undone


def drop(database: Database, name: str) -> tuple[str, str]:
    """Drop an index that no key needs, and return the statements that do and that undo it.

    Raises `InvalidInputError` for a key, a unique index, one of the store's own and one that is not there.
    """
    found = next((one for one in indexes(database) if one.name == name), None)
    if found is None or not found.can_go:
        raise InvalidInputError(
            f"{name!r} is no index that can be dropped: it is not there, or a key needs it"
        )
    with database.writing() as con:
        con.execute(f'DROP INDEX "{_quoted(name)}"')
    return f'DROP INDEX "{_quoted(name)}"', found.sql


def undo(database: Database, sql: str) -> None:
    """Run the statement that undoes one of these."""
    with database.writing() as con:
        con.execute(sql)


def has_table(database: Database, table: str) -> bool:
    """Tell whether there is a table of that name."""
    return database.peek(TABLES, (table,)) is not None


def damage(database: Database, table: str) -> list[str]:
    """Return what SQLite finds wrong with a table and its indexes."""
    with database.reading() as con:
        found = con.execute(f'PRAGMA integrity_check("{_quoted(table)}")')
        return [str(text) for (text,) in found if text != "ok"]


def count_seconds(database: Database, table: str) -> tuple[float, int]:
    """Return how long it takes to count the rows of a table by its key, and how many there are."""
    with database.reading() as con:
        began = time.perf_counter()
        rows = int(con.execute(f'SELECT count(*) FROM "{_quoted(table)}"').get)  # noqa: S608
        return time.perf_counter() - began, rows


def reindex(database: Database, table: str) -> None:
    """Make the indexes of a table anew."""
    with database.writing() as con:
        con.execute(f'REINDEX "{_quoted(table)}"')


def _copy_tables(con: apsw.Connection, copy: apsw.Connection, sql: str) -> None:
    """Copy the tables that a statement or its views name, with their indexes, and some rows of each."""
    views = _views_of(con, sql)
    for name in sorted(set(WORD.findall(" ".join((sql, *views))))):
        for table, text in con.execute(TABLES, (name,)).fetchall():
            copy.execute(str(text))
            rows = con.execute(f'SELECT * FROM "{_quoted(str(table))}" LIMIT {SAMPLE_ROWS}').fetchall()  # noqa: S608
            if rows:
                places = ", ".join("?" * len(rows[0]))
                with copy:
                    copy.executemany(f'INSERT INTO "{_quoted(str(table))}" VALUES ({places})', rows)  # noqa: S608
            for (made,) in con.execute(MADE, (table,)).fetchall():
                copy.execute(str(made))
    for view in reversed(views):  # those that others are made of come first
        copy.execute(view)


def _views_of(con: apsw.Connection, sql: str) -> list[str]:
    """Return the texts of the views that a statement names, and of those that these do."""
    found: dict[str, None] = {}
    texts = [sql]
    while texts:
        for name in set(WORD.findall(texts.pop())):
            for (text,) in con.execute(VIEWS, (name,)).fetchall():
                if str(text) not in found:
                    found[str(text)] = None
                    texts.append(str(text))
    return list(found)


def _candidates(copy: apsw.Connection, before: Run) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield what could be an index: columns in the conditions, of tables that are scanned or sorted."""
    match = CONDITIONS.search(before.sql)
    named = {word.lower() for word in WORD.findall(match[1])} if match else set()
    aliased = {step.table for step in steps_of(before.plan) if step.is_scan or before.sorts}
    for word in sorted({one for one in WORD.findall(before.sql) if aliased}):
        if copy.execute(PLAIN, (word,)).get is None:
            continue
        columns = [str(one) for (one,) in copy.execute(NAMES, (word,)) if str(one).lower() in named]
        for length in range(1, MOST_COLUMNS + 1):
            for chosen in permutations(columns, length):
                yield word, chosen


def _create(table: str, columns: Sequence[str]) -> str:
    listed = ", ".join(f'"{_quoted(one)}"' for one in columns)
    return f'CREATE INDEX "{_name(table, columns)}" ON "{_quoted(table)}" ({listed})'


def _name(table: str, columns: Sequence[str]) -> str:
    return _quoted(f"{table}_by_{'_'.join(columns)}")


def _quoted(name: str) -> str:
    return name.replace('"', '""')
