"""Cells: which stretches of which series lie in which pack, kept in the transactions that change candles.

A cell covers `[start, end)` of a series: every candle there is in its pack, too, bit for bit. Whoever
changes a candle deletes the cell over it in the same transaction, so a cell that a transaction sees is true
in it. What no cell covers is loose, and read from the table.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import apsw

from mdstore.candles.file import digests
from mdstore.core.time_bounds import FOREVER

__all__ = [
    "CELL_ROWS",
    "Cell",
    "all_cells",
    "cells_of",
    "cells_of_timeframe",
    "covering",
    "end_of",
    "ends_of",
    "forget",
    "forget_pack",
    "insert",
    "loose_ranges",
    "next_start",
    "of_packs",
    "pack_rows",
    "replace",
    "touch",
]

T = TypeVar("T")

CELL_ROWS = 65_536
"""Candles in a cell, at most: what a correction makes stale, and a budget evicts; 3 MB."""

COLUMNS = 'symbol, timeframe, start, "end", pack, batch, "offset", rows, digests, used'
OF_SERIES = f"SELECT {COLUMNS} FROM cells WHERE timeframe = ? AND symbol = ? ORDER BY start"  # noqa: S608 - of constants
OF_TIMEFRAME = f"SELECT {COLUMNS} FROM cells WHERE timeframe = ? ORDER BY symbol, start"  # noqa: S608
ALL = f"SELECT {COLUMNS} FROM cells ORDER BY timeframe, symbol, start"  # noqa: S608
# Cells do not overlap: besides those that start in the range, the last one before it can reach into it.
COVERING = f"""
SELECT {COLUMNS} FROM cells WHERE timeframe = ?1 AND symbol = ?2 AND start <= ?4 AND "end" > ?3
  AND start >= coalesce(
    (SELECT max(start) FROM cells WHERE timeframe = ?1 AND symbol = ?2 AND start <= ?3), ?3)
ORDER BY start
"""  # noqa: S608
INSERT = f"INSERT INTO cells ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
DELETE = """
DELETE FROM cells
WHERE timeframe = ? AND symbol = ? AND start = ? AND pack = ? AND batch = ? AND "offset" = ?
"""
END = f'SELECT coalesce(max("end"), {-FOREVER}) FROM cells WHERE timeframe = ? AND symbol = ?'  # noqa: S608
ENDS = """
SELECT symbol, "end" FROM carray(?2) AS wanted CROSS JOIN cells
WHERE timeframe = ?1 AND symbol = wanted.value
  AND start = (SELECT max(start) FROM cells WHERE timeframe = ?1 AND symbol = wanted.value)
"""
TOUCH = "UPDATE cells SET used = max(used, ?4) WHERE timeframe = ?1 AND symbol = ?2 AND start = ?3"


@dataclass(frozen=True, slots=True)
class Cell:
    """One sealed stretch; times in ms, `used` the hour (since 1970) in which it was last read, about."""

    symbol: str
    timeframe: str
    start: int
    end: int
    pack: str
    batch: int
    offset: int
    rows: int
    digests: bytes
    used: int

    @property
    def place(self) -> tuple[int, int]:
        """Where in its pack it begins."""
        return self.batch, self.offset


def cells_of(con: apsw.Connection, symbol: str, timeframe: str) -> list[Cell]:
    """Return the cells of a series, ascending. Raises `DamagedDataError`."""
    rows: digests.Rows = con.execute(OF_SERIES, (timeframe, symbol)).fetchall()
    digests.prove(con, "cells", (symbol, timeframe), rows)
    return [Cell(*row) for row in rows]


def cells_of_timeframe(con: apsw.Connection, timeframe: str) -> dict[str, list[Cell]]:
    """Return the cells of every series of a timeframe, by symbol, ascending. Raises `DamagedDataError`."""
    found: dict[str, list[Cell]] = {}
    rows: digests.Rows = con.execute(OF_TIMEFRAME, (timeframe,)).fetchall()
    digests.prove_all(con, "cells", rows, timeframe)
    for row in rows:
        found.setdefault(row[0], []).append(Cell(*row))
    return found


def all_cells(con: apsw.Connection) -> list[Cell]:
    """Return every cell, by timeframe, symbol and time."""
    return [Cell(*row) for row in con.execute(ALL)]


def of_packs(
    con: apsw.Connection, packs: Collection[str], place: tuple[int, int] | None = None
) -> list[Cell]:
    """Return the cells of some packs, or those at `place` in them."""
    return [cell for cell in all_cells(con) if cell.pack in packs and place in (None, cell.place)]


def covering(con: apsw.Connection, symbol: str, timeframe: str, first: int, last: int) -> list[Cell]:
    """Return the cells of a series that cover any time in `[first, last]`, ascending."""
    return [Cell(*row) for row in con.execute(COVERING, (timeframe, symbol, first, last))]


def end_of(con: apsw.Connection, symbol: str, timeframe: str) -> int:
    """Return where the last cell of a series ends; -FOREVER where it has none."""
    return int(con.execute(END, (timeframe, symbol)).get)


def ends_of(con: apsw.Connection, timeframe: str, symbols: Sequence[str]) -> dict[str, int]:
    """Return where the last cells of some series of a timeframe end, by symbol, of those that have any."""
    return dict(con.execute(ENDS, (timeframe, apsw.carray(tuple(symbols)))))


def next_start(last: int, end: int) -> int:
    """Return where the next cell of a series begins whose last candle starts at `last`, and last cell ends.

    A cell may end behind the last candle, where one beside it was deleted.
    """
    return max(last + 1, end)


def insert(con: apsw.Connection, cells: Iterable[Cell]) -> None:
    """Publish cells."""
    con.executemany(
        INSERT,
        (
            (c.symbol, c.timeframe, c.start, c.end, c.pack, c.batch, c.offset, c.rows, c.digests, c.used)
            for c in cells
        ),
    )


def forget(con: apsw.Connection, cell: Cell) -> bool:
    """Delete a cell, and tell whether it was still there, in that place."""
    con.execute(DELETE, (cell.timeframe, cell.symbol, cell.start, cell.pack, cell.batch, cell.offset))
    return bool(con.changes())


def forget_pack(con: apsw.Connection, pack: str, place: tuple[int, int] | None) -> int:
    """Delete the cells of a pack that is lost, or the one at `place` in it; return how many."""
    if place is None:
        con.execute("DELETE FROM cells WHERE pack = ?", (pack,))
    else:
        con.execute('DELETE FROM cells WHERE pack = ? AND batch = ? AND "offset" = ?', (pack, *place))
    return con.changes()


def replace(con: apsw.Connection, olds: Sequence[Cell], new: Cell) -> bool:
    """Put one cell in the place of others, unless one of those has changed meanwhile; tell whether."""
    con.execute("SAVEPOINT replacing")
    gone = sum(forget(con, old) for old in olds)
    done = gone == len(olds)
    if done:
        insert(con, [new])
    else:
        con.execute("ROLLBACK TO replacing")
    con.execute("RELEASE replacing")
    return done


def touch(con: apsw.Connection, cells: Iterable[Cell], hour: int) -> None:
    """Note that cells have been read."""
    con.executemany(TOUCH, ((c.timeframe, c.symbol, c.start, hour) for c in cells))


def pack_rows(con: apsw.Connection) -> dict[str, int]:
    """Return how many rows of each pack are still pointed to."""
    return dict(con.execute("SELECT pack, sum(rows) FROM cells GROUP BY pack"))


def loose_ranges(cells: Sequence[Cell]) -> Iterator[tuple[int, int]]:
    """Yield the ranges `[start, end)` of a series between, before and after its cells."""
    at = -FOREVER
    for cell in cells:
        if cell.start > at:
            yield at, cell.start
        at = cell.end
    yield at, FOREVER
