"""The columns that are declared, and which of them a series has values of.

Their values lie in the table `extras` beside `candles`, under the same key, a column each, which comes with
the first declaration and never goes; what they were before they changed lies in `revisions`. The catalogue
says of each series which it has values of, in the order in which they came: that is their number in digests
and packs, so a series that has none is read and written as if nothing were declared.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

import apsw

from mdstore.candles.file import digests
from mdstore.candles.file.digests import Key
from mdstore.core.extra_columns import MOST_EXTRAS, NAME, Extra
from mdstore.errors import Hint, InvalidInputError

__all__ = [
    "KEY_COLUMNS", "STATE", "all_declared", "declare", "forget_values", "held_by_series", "hold", "names_of",
    "table_names", "undeclare", "upsert", "values_at",
]  # fmt: skip

ALL = "SELECT * FROM declared ORDER BY rowid"
STATE = """
SELECT (SELECT count(*) FROM declared), (SELECT declared FROM digests WHERE timeframe = '' AND symbol = '')
"""
"""How many columns are declared, and their digest: of none both are 0, or null."""
PUT = """
INSERT INTO declared VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET resample = excluded.resample, source = excluded.source, symbols = excluded.symbols,
  timeframes = excluded.timeframes
"""
KEY_COLUMNS: Final = 3
"""How many columns the table of values has before those that are declared."""
ADD = 'ALTER TABLE extras ADD COLUMN "{name}" REAL'
COLUMNS = "SELECT name FROM pragma_table_info('extras') ORDER BY cid"
HELD = "SELECT extras FROM series WHERE symbol = ? AND timeframe = ?"
HOLD = "UPDATE series SET extras = ?3 WHERE symbol = ?1 AND timeframe = ?2 AND extras != ?3"
FORGET = "DELETE FROM extras WHERE symbol = ? AND timeframe = ? AND timestamp >= ? AND timestamp < ?"
AT = "SELECT * FROM extras WHERE symbol = ? AND timeframe = ? AND timestamp = ?"
UPSERT = """
INSERT INTO extras (symbol, timeframe, timestamp, {names}) VALUES {rows}
ON CONFLICT DO UPDATE SET {changes} WHERE {differs}
"""


def all_declared(con: apsw.Connection) -> list[Extra]:
    """Return what is declared, the oldest first. Raises `DamagedDataError`."""
    rows: digests.Rows = con.execute(ALL).fetchall()
    digests.prove(con, "declared", digests.STORE, rows)
    return [Extra(name, rule, *(tuple(json.loads(text)) for text in texts)) for name, rule, *texts in rows]


def declare(con: apsw.Connection, extra: Extra) -> None:
    """Enter a declaration, in place of one of that name. Raises `InvalidInputError` for too many."""
    known = {one.name for one in all_declared(con)}
    if extra.name not in known and len(known) >= MOST_EXTRAS:
        raise InvalidInputError(
            f"{MOST_EXTRAS} columns are declared, and no store has more",
            hint=Hint("store.undeclare(name) makes room", "`mdstore declare NAME --remove` makes room"),
        )
    texts = (json.dumps(one, ensure_ascii=False) for one in (extra.source, extra.symbols, extra.timeframes))
    con.execute(PUT, (extra.name, extra.resample, *texts))
    if extra.name not in table_names(con):
        con.execute(ADD.format(name=extra.name))


def undeclare(con: apsw.Connection, name: str) -> None:
    """Take a declaration back; values that are stored stay, and are there again when it is declared again."""
    con.execute("DELETE FROM declared WHERE name = ?", (name,))


def table_names(con: apsw.Connection) -> list[str]:
    """Return the declared columns of `extras`, in their order there."""
    return [str(name) for (name,) in con.execute(COLUMNS).fetchall()[KEY_COLUMNS:]]


def names_of(con: apsw.Connection, key: Key) -> tuple[str, ...]:
    """Return the columns that a series has values of, in their order in it. Raises `DamagedDataError`."""
    held = con.execute(HELD, key).get
    if not held:
        return ()
    names = tuple(held.split()) if isinstance(held, str) else ()
    if not names or not all(map(NAME.fullmatch, names)):
        raise digests.damaged(con, "series", key)
    return names


def hold(con: apsw.Connection, key: Key, names: Sequence[str]) -> None:
    """Note which columns a series has values of."""
    con.execute(HOLD, (*key, " ".join(names)))


def forget_values(con: apsw.Connection, key: Key, start: int, end: int) -> None:
    """Forget the values of bars that are deleted."""
    con.execute(FORGET, (*key, start, end))


def values_at(con: apsw.Connection, key: Key, time: int) -> tuple[float | None, ...]:
    """Return the values of all declared columns of a bar, in the order of their table."""
    row = con.execute(AT, (*key, time)).fetchone()
    width = len(table_names(con))
    return (None,) * width if row is None else tuple(row[-width:])


@lru_cache
def upsert(names: tuple[str, ...], rows: int) -> str:
    """Return the SQL that writes so many rows; ?1 and ?2 are the series, bound once for all of them."""
    width = len(names) + 1
    quoted = [f'"{name}"' for name in names]
    places: Iterable[str] = (
        "(?1,?2," + ",".join(f"?{3 + row * width + place}" for place in range(width)) + ")"
        for row in range(rows)
    )
    return UPSERT.format(
        names=", ".join(quoted),
        rows=",".join(places),
        changes=", ".join(f"{name} = excluded.{name}" for name in quoted),
        differs=" OR ".join(f"extras.{name} IS NOT excluded.{name}" for name in quoted),
    )


def held_by_series(con: apsw.Connection) -> dict[Key, tuple[str, ...]]:
    """Return the columns of each series that has values of some. Raises `DamagedDataError`."""
    keys = con.execute("SELECT symbol, timeframe FROM series WHERE extras != ''").fetchall()
    series = [(str(symbol), str(timeframe)) for symbol, timeframe in keys]
    return {key: names_of(con, key) for key in series}
