"""How the pages of the file lie: how many are free, and which tables are in order.

The share of free pages alone does not see what a live feed does: it leaves none free, and 99.9 % of the
leaves of `candles` out of order. SQLite's virtual table `dbstat` reads each page of a table and says where it
is: https://www.sqlite.org/dbstat.html
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import apsw

from mdstore.candles.file.database import Database
from mdstore.candles.upkeep.steps import Stop, never
from mdstore.errors import MaintenanceStoppedError

__all__ = ["PageMap", "Pages", "TableLayout", "page_map", "pages", "pages_of", "tables"]

STEPS = 2_000
"""Steps of SQLite's machine between two looks whether to stop."""
NEAR = 4
"""So many pages further (64 KiB) is in order: a system reads as much ahead, pages of the tree lie between."""
NAMES = """
SELECT name FROM sqlite_schema WHERE type IN ('table', 'index') AND rootpage > 0 ORDER BY name
"""
PAGES = "SELECT pageno, pagetype, unused FROM dbstat('main') WHERE name = ?"


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages of the file, those that are free among them, and the bytes of each."""

    count: int
    free: int
    size: int

    @property
    def bytes(self) -> int:
        """The size of the file."""
        return self.count * self.size


@dataclass(frozen=True, slots=True)
class TableLayout:
    """How the pages of a table or an index lie.

    `in_order` is the share of its leaves that lie just behind the one before, by the key, and `slack` the
    share of its bytes that hold nothing.
    """

    name: str
    pages: int
    leaves: int
    in_order: float
    slack: float


@dataclass(frozen=True, slots=True)
class PageMap:
    """What each page of the file belongs to, in the order of the file.

    `owner` is the place in `names` of its table or index, -1 for none: it is free, or SQLite's own. `rank` is
    which page of its table it is by the key, from 0 to 1.
    """

    names: tuple[str, ...]
    owner: array[int]
    rank: array[float]


def pages_of(con: apsw.Connection) -> Pages:
    """Return how many pages the file has, inside the caller's transaction."""
    count, free, size = (con.pragma(name) for name in ("page_count", "freelist_count", "page_size"))
    return Pages(int(count), int(free), int(size))


def pages(database: Database) -> Pages:
    """Return how many pages the file has; microseconds."""
    with database.reading() as con:
        return pages_of(con)


def tables(
    database: Database, names: tuple[str, ...] | None = None, *, stop: Stop = never
) -> list[TableLayout]:
    """Return how tables and indexes lie, or those of some names; reads every page of them.

    Each is read in a transaction of its own, so that the log is not pinned for long. Raises
    `MaintenanceStoppedError`.
    """
    if names is None:
        with database.reading() as con:
            names = tuple(str(name) for (name,) in con.execute(NAMES))
    found = []
    for name in names:
        with database.reading() as con:
            con.set_progress_handler(stop, STEPS)
            try:
                layout = _layout(con, name)
            except apsw.InterruptError as error:
                raise MaintenanceStoppedError("measuring how tables lie was stopped") from error
            finally:
                con.set_progress_handler(None)
        if layout is not None:
            found.append(layout)
    return found


def page_map(database: Database) -> PageMap:
    """Return what each page belongs to; reads the whole file, each table in a transaction of its own."""
    with database.reading() as con:
        names = tuple(str(name) for (name,) in con.execute(NAMES))
        count = pages_of(con).count
    owner, rank = array("h", [-1]) * count, array("f", [0.0]) * count
    for number, name in enumerate(names):
        with database.reading() as con:
            found = [int(str(page)) for page, *_ in con.execute(PAGES, (name,))]
        for place, page in enumerate(found):
            if page <= count:  # of one that has come since, there is no place
                owner[page - 1], rank[page - 1] = number, place / len(found)
    return PageMap(names, owner, rank)


def _layout(con: apsw.Connection, name: str) -> TableLayout | None:
    """Walk the pages of a tree by the key; None where there is none of that name."""
    size = int(con.pragma("page_size"))
    count = leaves = near = unused = before = 0
    for page, kind, empty in con.execute(PAGES, (name,)):
        count += 1
        unused += empty
        if kind == "leaf":
            near += leaves > 0 and 0 < page - before <= NEAR
            leaves, before = leaves + 1, page
    if not count:
        return None
    in_order = near / (leaves - 1) if leaves > 1 else 1.0
    return TableLayout(name, count, leaves, in_order, unused / (count * size))
