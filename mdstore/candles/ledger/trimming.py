"""The past is let go that is older than it is to be kept.

In each series one row stays for all that was before it: as of a time before that, reads refuse. Where bars
are from is known all the same, see `replacements`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, NamedTuple

import apsw

from mdstore.candles.file import blocks
from mdstore.candles.file.blocks import HEADER, LET_GO, Block
from mdstore.candles.file.database import Database
from mdstore.candles.file.digests import Key, Rows, damaged
from mdstore.candles.ledger.revisions import data_of
from mdstore.core.timestamps import ms_to_datetime
from mdstore.errors import DamagedDataError, StoreFileError

__all__ = ["History", "Trimming", "history", "trim"]

BLOCKS_PER_STEP: Final = 250
"""So many are let go in a transaction; others write in between. 500 full ones take 49 ms to be proven."""
EVERY_SECONDS: Final = 3_600.0
WITH_OLDER: Final = """
SELECT symbol, timeframe FROM digests WHERE revisions > 0 AND (
  SELECT revision FROM revisions
  WHERE revisions.timeframe = digests.timeframe AND revisions.symbol = digests.symbol AND names != ''
  ORDER BY number LIMIT 1) <= ?
"""
OLDEST: Final = f"""
SELECT id, digest, {HEADER} FROM revisions WHERE timeframe = ? AND symbol = ? AND revision <= ?
ORDER BY number LIMIT ?
"""  # noqa: S608 - of constants
DELETE: Final = "DELETE FROM revisions WHERE timeframe = ? AND symbol = ? AND number < ?"
HISTORY: Final = """
SELECT coalesce(sum(rows), 0), coalesce(sum(length(data)), 0), max(CASE names WHEN '' THEN revision END)
FROM revisions
"""


class History(NamedTuple):
    """What is kept of what bars were: how many values of bars, in how many bytes.

    `since` is a time (UTC) from which on all is kept; empty where nothing was let go.
    """

    rows: int
    bytes: int
    since: str


class Trimming:
    """Lets go what is older than `keep_ms` behind writes, now and then; None keeps all."""

    def __init__(self, database: Database, clock: Callable[[], float], keep_ms: int | None) -> None:
        self._database, self._clock, self._keep_ms = database, clock, keep_ms
        self._looked = -EVERY_SECONDS

    def look(self) -> None:
        """Let go what is due, if it was not looked for lately; what hinders that is no error here."""
        now = self._clock()
        if self._keep_ms is None or abs(now - self._looked) < EVERY_SECONDS:
            return
        self._looked = now
        with suppress(StoreFileError):  # busy, full, or damaged, which reads and `check` tell
            self.trim(self._keep_ms)

    def trim(self, keep_ms: int) -> int:
        """Let go what bars were longer ago; return how many values of bars that was.

        Raises `StoreFileError`; `DamagedDataError` once what is sound is done.
        """
        return trim(self._database, int(self._clock() * 1000) - keep_ms)


def history(con: apsw.Connection) -> History:
    """Return what is kept of what bars were; about 0.2 us a block."""
    rows, size, since = con.execute(HISTORY).fetchone() or (0, 0, None)
    return History(
        int(rows), int(size), "" if since is None else f"{ms_to_datetime(int(since)):%Y-%m-%d %H:%M:%S}"
    )


def trim(database: Database, before: int) -> int:
    """Let go what bars were up to a time (ms), in small steps; return how many values of bars that was.

    A series with damage keeps all, so that no damage is forgotten: `DamagedDataError` is raised once others
    are done.
    """
    with database.reading() as con:
        keys = [(str(symbol), str(timeframe)) for symbol, timeframe in con.execute(WITH_OLDER, (before,))]
    total, damage = 0, None
    for key in keys:
        try:
            while gone := database.step(partial(_let_go, key=key, before=before)):
                total += gone
        except DamagedDataError as error:
            damage = damage or error
    if damage is not None:
        raise damage
    return total


def _let_go(con: apsw.Connection, key: Key, before: int) -> int:
    """Make one row of the first blocks of a series, and return how many values of bars are gone."""
    rows: Rows = con.execute(OLDEST, (key[1], key[0], before, BLOCKS_PER_STEP + 1)).fetchall()
    found = [Block(*header) for _, _, *header in rows]
    if not found or found[-1].names == LET_GO:
        return 0
    first, last = found[0], found[-1]
    numbers = range(1 if first.names != LET_GO else first.number, last.number + 1)
    proven = all(block.digest == row[1] for block, row in zip(found, rows, strict=True))
    if not proven or [block.number for block in found] != list(numbers):
        raise damaged(con, "revisions", key)
    for block, row in zip(found, rows, strict=True):
        data_of(con, key, row[0], block)
    con.execute(DELETE, (key[1], key[0], last.number))
    blocks.change(con, rows[-1][0], *blocks.let_go(found))
    return sum(block.rows for block in found)
