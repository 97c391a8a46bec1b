"""A symbol under another name: its candles and all that is known of them, in one transaction.

The hashes of candles and of their revisions are without names, so their digests go along as they are. Those
of the small tables are over whole rows: each is compared with the one on record before the name changes, and
only then summed up anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import apsw

from mdstore.candles.file import catalogue, declared_columns, digests
from mdstore.candles.file.carried import Writer
from mdstore.candles.file.database import Database
from mdstore.candles.ledger import arrivals
from mdstore.errors import Hint, InvalidInputError

__all__ = ["rename"]

# Whatever has a column of that name; the rows in quarantine are kept as they were given.
TABLES: Final = """
SELECT t.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c ON c.name = 'symbol'
WHERE t.type = 'table' AND t.name != 'quarantine' ORDER BY t.name
"""
SPECIAL: Final = re.compile(r"[*?\[]")  # what a pattern of GLOB has that a name means as it is
DIGESTS: Final = ("digests", "bucket_digests")  # of a series that was deleted, they stay with nothing in them
KINDS: Final = tuple(kind for kind in digests.KINDS if kind not in digests.OF_THE_STORE)
REVISED: Final = "UPDATE series SET revision = ? WHERE symbol = ?"
OF_SYMBOL: Final = "SELECT timeframe FROM digests WHERE symbol = ? ORDER BY timeframe"
STORED: Final = "SELECT timeframe FROM series WHERE symbol = ?"
TAKEN: Final = "or choose another name, or delete that one first: "
TAKE: Final = Hint(
    "put the bars of both under one name, for each timeframe: store.write({0!r}, timeframe, "
    f"store.candles({{1!r}}, timeframe)); {TAKEN}store.delete({{0!r}}), store.uncover({{0!r}}, ...)",
    "put the bars of both under one name: `mdstore export - {1} | mdstore import - --symbol {0} --rename`; "
    f"{TAKEN}`mdstore delete {{0}}`, `mdstore cover {{0}} ... --take-back`",
)


def rename(database: Database, old: str, new: str, clock: Callable[[], float]) -> list[str]:
    """Give a symbol the name `new`; return its stored timeframes, none where nothing is stored under `old`.

    Raises `InvalidInputError` where anything is stored or known under the new name.
    """
    with database.writing() as con:
        stored = [series.timeframe for series in catalogue.all_series(con) if series.symbol == old]
        if not stored:
            return []
        tables = [str(name) for (name,) in con.execute(TABLES)]
        timeframes = [str(name) for (name,) in con.execute(OF_SYMBOL, (old,))]
        _refuse_taken(con, tables, old, new)
        for timeframe in timeframes:
            for kind in KINDS:
                digests.prove(con, kind, (old, timeframe), _rows(con, kind, (old, timeframe)))
        with con.telling(None):
            _move(con, tables, old, new, timeframes)
            con.execute(REVISED, (catalogue.bump(con, int(clock() * 1000)), new))
            for timeframe in timeframes:
                _sum_up(con, (new, timeframe))
        _take_calendar(con, old, new)
        _take_declared(con, old, new)
    return stored


def _refuse_taken(con: apsw.Connection, tables: Sequence[str], old: str, new: str) -> None:
    for table in tables:
        anything = f"SELECT 1 FROM {table} WHERE symbol = ? LIMIT 1"  # noqa: S608 - of the schema
        if table not in DIGESTS and con.execute(anything, (new,)).get:
            is_stored = con.execute(STORED, (new,)).get
            what = "is stored" if is_stored else "is known, of why there are no bars,"
            raise InvalidInputError(
                f"something {what} under the name {new} already. Nothing was changed",
                hint=Hint(*(text.format(new, old) for text in TAKE)),
            )


def _move(con: Writer, tables: Sequence[str], old: str, new: str, timeframes: Sequence[str]) -> None:
    # What is in the catalogue counts from its revision, which changes.
    arrivals.spill(con, [(old, timeframe) for timeframe in timeframes])
    for table in DIGESTS:
        con.execute(f"DELETE FROM {table} WHERE symbol = ?", (new,))  # noqa: S608 - of constants
    for table in tables:
        con.execute(f"UPDATE {table} SET symbol = ?2 WHERE symbol = ?1", (old, new))  # noqa: S608 - of the schema


def _sum_up(con: apsw.Connection, key: digests.Key) -> None:
    """Put the small tables of a series under the digests of what they hold now."""
    sums = [digests.sums_by_key(kind, _rows(con, kind, key)).get(key, 0) for kind in KINDS]
    columns = ", ".join(f"{kind} = ?" for kind in KINDS)
    con.execute(f"UPDATE digests SET {columns} WHERE symbol = ? AND timeframe = ?", (*sums, *key))  # noqa: S608 - of constants


def _take_calendar(con: apsw.Connection, old: str, new: str) -> None:
    """Take a calendar along that was set for this symbol alone."""
    known = catalogue.calendars(con)
    if old in known and new not in known:
        catalogue.set_calendar(con, new, known[old])
        catalogue.set_calendar(con, old, None)


def _take_declared(con: apsw.Connection, old: str, new: str) -> None:
    """Have columns go on to be kept that are declared for the old name and not for the new one."""
    for extra in declared_columns.all_declared(con):
        anywhere = replace(extra, timeframes=())
        if anywhere.is_of(old, "") and not anywhere.is_of(new, ""):
            others = [pattern for pattern in extra.symbols if pattern != old]
            symbols = (*others, SPECIAL.sub(r"[\g<0>]", new))
            declared_columns.declare(con, replace(extra, symbols=symbols))


def _rows(con: apsw.Connection, kind: str, key: digests.Key) -> digests.Rows:
    sql = f"SELECT * FROM {kind} WHERE symbol = ? AND timeframe = ?"  # noqa: S608 - of constants
    return con.execute(sql, key).fetchall()
