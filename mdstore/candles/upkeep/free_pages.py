"""Free pages are given back to the system, exactly as many as are asked for, in small steps.

SQLite moves the last pages of the file into free ones and cuts the file: https://www.sqlite.org/pragma.html#pragma_incremental_vacuum
The file gets smaller; what is moved is not put in order.
"""

from __future__ import annotations

from functools import partial

import apsw

from mdstore.candles.file.database import Database
from mdstore.candles.upkeep import layout
from mdstore.candles.upkeep.steps import Pace, Stop, never
from mdstore.errors import InvalidInputError

__all__ = ["give_back"]

FIRST_STEP, MOST = 20, 400
INCREMENTAL = 2
"""What `PRAGMA auto_vacuum` says of files that can give pages back."""


def give_back(database: Database, wanted: int, *, stop: Stop = never) -> int:
    """Give so many free pages back, or all there are; return how many that were.

    Raises `InvalidInputError`, `MaintenanceStoppedError`, `StoreFileError`.
    """
    if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 0:
        raise InvalidInputError(f"pages={wanted!r} is no number of pages: give a whole number from 0")
    pace, given = Pace(FIRST_STEP, most=MOST, stop=stop, what="giving pages back"), 0
    while given < wanted:
        step = partial(_step, database, wanted - given)
        done = pace.take(step)
        if not done:
            break
        given += done
    return given


def _step(database: Database, left: int, size: int) -> int:
    return database.step(lambda con: _give_back(con, min(size, left)))


def _give_back(con: apsw.Connection, wanted: int) -> int:
    if not wanted or con.pragma("auto_vacuum") != INCREMENTAL:
        return 0  # a file that another program made keeps its free pages until it is vacuumed
    before = layout.pages_of(con).free
    for _ in con.execute(f"PRAGMA incremental_vacuum({wanted})"):
        pass
    return before - layout.pages_of(con).free
