"""A table is put in the order of its key while others read and write it.

A copy is filled beside the table, in the order of the key and in small steps. Three triggers list the keys
that change meanwhile, whoever changes them, other programs included. Then what changed is copied again, until
little is left; the rest of it, and the exchange of the two, are one short transaction: it has the two entries
of `sqlite_schema` point to each other's pages. So the table keeps its name, its text, its indexes, triggers
and views, and no digest changes, since no row does. At last the old pages are emptied in small steps.

New pages come from the end of the file, one after the other, only where none are free: these are given back
first. Afterwards as many are free as the table had, and new candles go there; a VACUUM gives them back.

Killed at any moment it leaves the table as it was or as it will be, and things beside it that `clear` and
`sweep` take away. Their names hold a token of the one rebuild: a process that was frozen until another took
its place finds them gone.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from functools import partial
from typing import Final

from mdstore.candles.file.carried import Writer
from mdstore.candles.file.database import Database
from mdstore.candles.upkeep import free_pages, layout
from mdstore.candles.upkeep.leftovers import LEFT, PREFIX, is_left
from mdstore.candles.upkeep.steps import Pace, Stop, never
from mdstore.errors import InvalidInputError, MaintenanceStoppedError, StoreFileError

__all__ = ["clear", "in_order", "sweep"]

EVENTS: Final = {"INSERT": ("new",), "UPDATE": ("old", "new"), "DELETE": ("old",)}
"""What fires a trigger, and the rows whose keys it lists."""
FIND = "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?"
HAS_KEY = "SELECT wr FROM pragma_table_list(?) WHERE schema = 'main'"
KEYS = "SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk"
COLUMNS = "SELECT name FROM pragma_table_info(?) ORDER BY cid"
# The copy gets the text of the table itself, but for its name.
NAME = re.compile(r"^\s*CREATE\s+TABLE\s+(?:\"[^\"]+\"|\w+)", re.IGNORECASE)
COUNT = "SELECT count(*), coalesce(max(number), 0) FROM {list}"
ROOT = "SELECT rootpage FROM sqlite_schema WHERE type = 'table' AND name = ?"
# The pages are given as numbers: a subquery would see what the statement has changed already.
SET_ROOT = """
UPDATE sqlite_schema SET rootpage = CASE name WHEN ?1 THEN ?4 ELSE ?3 END
WHERE type = 'table' AND (name = ?1 AND rootpage = ?3 OR name = ?2 AND rootpage = ?4)
"""
ROWS_PER_STEP, MOST_ROWS = 500, 20_000
FEW = 300
"""So many changes are copied again in the transaction of the exchange."""
ROUNDS = 50


@dataclass(frozen=True, slots=True)
class _Table:
    """A table that is rebuilt: its name, its text, its key and its columns, quoted; what lies beside it."""

    name: str
    sql: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    beside: str

    @property
    def copy(self) -> str:
        return f"{self.beside}_copy"

    @property
    def list(self) -> str:
        return f"{self.beside}_changes"

    @property
    def keys(self) -> str:
        return ", ".join(self.key)

    @property
    def places(self) -> str:
        return ", ".join("?" * len(self.key))

    @property
    def all(self) -> str:
        return ", ".join(self.columns)

    def trigger(self, event: str) -> str:
        return f"{self.beside}_{event.lower()}"


def in_order(database: Database, name: str, *, stop: Stop = never) -> int:
    """Put a table in the order of its key, and return how many rows it has; see above.

    Only one process at a time may do so. Raises `InvalidInputError` for what is no table with a key of its
    own (`WITHOUT ROWID`), `MaintenanceStoppedError`, `StoreFileError`; then all is as before.
    """
    table = _table(database, name)
    sweep(database)
    free_pages.give_back(database, layout.pages(database).free, stop=stop)
    try:
        _prepare(database, table)
        rows = _copy(database, table, stop)
        _catch_up(database, table, stop)
        _exchange(database, table)
    except BaseException:
        database.step(_unhook)  # at once: what lists changes slows every write down
        raise
    finally:
        sweep(database, stop=stop)
    return rows


def clear(database: Database) -> None:
    """Clear what a killed rebuild has left, at once."""
    database.step(_unhook)
    database.step(_drop)


def sweep(database: Database, *, stop: Stop = never) -> None:
    """Clear what rebuilds have left beside their tables, in small steps; the rest of it another time."""
    if not is_left(database):
        return
    database.step(_unhook)
    with database.reading() as con:
        left = [str(name) for (name,) in con.execute(LEFT, ("table",))]
    for table in [_described(database, name) for name in left]:
        _empty_all(database, table, stop)
    if not stop():
        database.step(_drop)


def _table(database: Database, name: str) -> _Table:
    has_key = database.peek(HAS_KEY, (name,))
    if has_key is None or not has_key[0]:
        raise InvalidInputError(
            f"{name!r} is no table that can be put in order: it must be there, and WITHOUT ROWID"
        )
    return _described(database, name)


def _described(database: Database, name: str) -> _Table:
    with database.reading() as con:
        sql = str(con.execute(FIND, (name,)).get)
        key = tuple(_quoted(str(one)) for (one,) in con.execute(KEYS, (name,)))
        columns = tuple(_quoted(str(one)) for (one,) in con.execute(COLUMNS, (name,)))
    return _Table(name, sql, key, columns, PREFIX + secrets.token_hex(4))


def _prepare(database: Database, table: _Table) -> None:
    """Make the copy, the list, and the triggers that fill it, in one transaction."""

    def work(con: Writer) -> None:
        con.execute(NAME.sub(f"CREATE TABLE {table.copy}", table.sql, count=1))
        con.execute(f"CREATE TABLE {table.list} (number INTEGER PRIMARY KEY, {table.keys})")
        for event, rows in EVENTS.items():
            noted = "; ".join(_listing(table, row) for row in rows)
            name, of = table.trigger(event), _quoted(table.name)
            con.execute(f"CREATE TRIGGER {name} AFTER {event} ON {of} BEGIN {noted}; END")

    database.step(work)


def _listing(table: _Table, row: str) -> str:
    values = ", ".join(f"{row}.{key}" for key in table.key)
    return f"INSERT INTO {table.list} ({table.keys}) VALUES ({values})"  # noqa: S608 - names of ours


def _copy(database: Database, table: _Table, stop: Stop) -> int:
    """Copy all rows, in the order of the key; return how many that were.

    It ends with the first step that finds less than it could take: what comes later at the end of the key is
    listed, and a feed may write there in every pause.
    """
    pace, rows = Pace(ROWS_PER_STEP, most=MOST_ROWS, stop=stop, what=f"rebuilding {table.name}"), 0
    while True:
        size = pace.size
        done = pace.take(lambda size: database.step(lambda con: _copy_next(con, table, size)))
        rows += done
        if done < size:
            return rows


def _copy_next(con: Writer, table: _Table, size: int) -> int:
    descending = ", ".join(f"{one} DESC" for one in table.key)
    last = con.execute(f"SELECT {table.keys} FROM {table.copy} ORDER BY {descending} LIMIT 1").fetchone()  # noqa: S608
    behind = "" if last is None else f"WHERE ({table.keys}) > ({table.places})"
    source = f"SELECT {table.all} FROM {_quoted(table.name)} {behind} ORDER BY {table.keys} LIMIT {size}"  # noqa: S608
    with con.telling(None):
        con.execute(f"INSERT INTO {table.copy} ({table.all}) {source}", last or ())
        return con.changes()


def _catch_up(database: Database, table: _Table, stop: Stop) -> None:
    """Copy again what has changed, until there is little of it."""
    pace = Pace(FEW, most=MOST_ROWS, stop=stop, what=f"rebuilding {table.name}")
    for _ in range(ROUNDS):
        left, end = _listed(database, table)
        if left <= FEW:
            return
        again = partial(_again, table=table, end=end)
        while pace.take(lambda size: database.step(lambda con: again(con, size=size))):  # noqa: B023 - at once
            pass
    raise MaintenanceStoppedError(
        f"{table.name} is changed more quickly than it can be put in order; it is as it was",
        hint="try again when less is written",
    )


def _listed(database: Database, table: _Table) -> tuple[int, int]:
    """Return how many changes are listed, and the number of the last."""
    with database.reading() as con:
        ((count, last),) = con.execute(COUNT.format(list=table.list)).fetchall()
    return int(str(count)), int(str(last))


def _again(con: Writer, table: _Table, *, size: int, end: int) -> int:
    """Copy the next changed rows again, or take them out where they are gone; return how many."""
    next_ones = f"SELECT {table.keys}, number FROM {table.list} WHERE number <= ? ORDER BY number LIMIT ?"  # noqa: S608
    found = con.execute(next_ones, (end, size)).fetchall()
    if not found:
        return 0
    keys = list(dict.fromkeys(row[:-1] for row in found))
    where = f"WHERE ({table.keys}) = ({table.places})"
    source = f"SELECT {table.all} FROM {_quoted(table.name)} {where}"  # noqa: S608
    with con.telling(None):
        con.executemany(f"DELETE FROM {table.copy} {where}", keys)  # noqa: S608
        con.executemany(f"INSERT INTO {table.copy} ({table.all}) {source}", keys)
        con.execute(f"DELETE FROM {table.list} WHERE number <= ?", (found[-1][-1],))  # noqa: S608
    return len(found)


def _exchange(database: Database, table: _Table) -> None:
    """Copy the last changes again and have table and copy change places, in one synced transaction."""
    with database.writing() as con:
        if con.execute(FIND, (table.name,)).get != table.sql:
            raise StoreFileError(f"{database.path}: {table.name} was altered meanwhile; it is as it was")
        while _again(con, table, size=MOST_ROWS, end=1 << 62):
            pass
        for event in EVENTS:
            con.execute(f"DROP TRIGGER {table.trigger(event)}")
        _exchange_roots(con, table)


def _exchange_roots(con: Writer, table: _Table) -> None:
    roots = [con.execute(ROOT, (name,)).get for name in (table.name, table.copy)]
    version = int(con.pragma("schema_version"))
    con.pragma("writable_schema", 1)
    try:
        con.execute(SET_ROOT, (table.name, table.copy, *roots))
        now = [con.execute(ROOT, (name,)).get for name in (table.copy, table.name)]
        if now != roots or roots[0] == roots[1]:
            raise StoreFileError(
                f"{con.filename}: {table.name} cannot take its copy's place; it is as it was"
            )
        con.pragma("schema_version", version + 1)  # every connection reads the schema anew
    finally:
        con.pragma("writable_schema", "RESET")  # this one, too


def _unhook(con: Writer) -> None:
    """Have changes listed no longer."""
    for (name,) in con.execute(LEFT, ("trigger",)).fetchall():
        con.execute(f"DROP TRIGGER {name}")


def _empty_all(database: Database, table: _Table, stop: Stop) -> None:
    pace = Pace(ROWS_PER_STEP, most=MOST_ROWS, what="clearing the old pages")
    while not stop() and pace.take(lambda size: database.step(lambda con: _empty(con, table, size))):
        pass


def _empty(con: Writer, table: _Table, size: int) -> int:
    """Delete the first rows of what lies beside a table; return how many, 0 where the rest is less."""
    name, keys = _quoted(table.name), table.keys
    last = con.execute(f"SELECT {keys} FROM {name} ORDER BY {keys} LIMIT 1 OFFSET {size}").fetchone()  # noqa: S608
    if last is None:
        return 0
    with con.telling(None):
        con.execute(f"DELETE FROM {name} WHERE ({keys}) < ({table.places})", last)  # noqa: S608
        return con.changes()


def _drop(con: Writer) -> None:
    with con.telling(None):
        for (name,) in con.execute(LEFT, ("table",)).fetchall():
            con.execute(f"DROP TABLE {name}")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
