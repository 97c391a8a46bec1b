"""Is the file sound: SQLite's own check, the catalogue, the ledger and the packs against the candles.

SQLite's check sees the tree, not the values: it noticed 36 of 200 flipped bits, and 139 of the others changed
a price. The digests of the cells notice those, wherever a series is sealed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import apsw

from mdstore.candles.file import catalogue
from mdstore.candles.file import table_reads as reader
from mdstore.candles.file.database import Database
from mdstore.candles.file.identity import names_hint, other_names
from mdstore.candles.ledger import arrivals
from mdstore.candles.packs import cells
from mdstore.candles.packs.cells import Cell
from mdstore.candles.packs.pack_files import PackLostError, Packs, digests_of
from mdstore.core.timestamps import ms_to_datetime

__all__ = ["check"]

COUNTED = """
SELECT symbol, timeframe, min(timestamp), max(timestamp), count(*) FROM candles GROUP BY symbol, timeframe
"""
OVERLAPS = """
SELECT symbol, timeframe, start FROM (
  SELECT *, lead(start) OVER (PARTITION BY timeframe, symbol ORDER BY start) AS next FROM {table}
) WHERE start >= "end" OR next < "end"
"""
TABLES = {"coverage": "coverage", "arrivals": arrivals.ARRIVALS}
MOST_FINDINGS = 100


def check(database: Database, packs: Packs) -> list[str]:
    """Return what is wrong with the file and its packs, in words; empty when nothing is."""
    with database.reading() as con:
        try:
            return _damage(con) or [
                *_name_findings(database),
                *_catalogue_findings(con),
                *_ledger_findings(con),
                *(text for cell in cells.all_cells(con) for text in _cell_findings(con, cell, packs)),
            ]
        except apsw.CorruptError as error:
            return [f"a page cannot be read: {error}"]


def _name_findings(database: Database) -> Iterator[str]:
    """Find names that the file has been given since it was opened."""
    with suppress(OSError):
        status = database.path.stat()
        if status.st_nlink > 1:
            yield f"{other_names(database.path, status)}; {names_hint(database.path, status)}"


def _damage(con: apsw.Connection) -> list[str]:
    return [text for (text,) in con.execute(f"PRAGMA integrity_check({MOST_FINDINGS})") if text != "ok"]


def _catalogue_findings(con: apsw.Connection) -> Iterator[str]:
    stored = {(row[0], row[1]): tuple(row[2:]) for row in con.execute(COUNTED)}
    listed = {(s.symbol, s.timeframe): (s.first, s.last, s.rows) for s in catalogue.all_series(con)}
    for key in sorted(stored.keys() | listed.keys()):
        if stored.get(key) != listed.get(key):
            yield (
                f"{' '.join(key)}: the catalogue says (first, last, rows) {listed.get(key)}, "
                f"the candles say {stored.get(key)}; another program may have written to the file"
            )


def _ledger_findings(con: apsw.Connection) -> Iterator[str]:
    for name, table in TABLES.items():
        for symbol, timeframe, start in con.execute(OVERLAPS.format(table=table)):
            yield f"{symbol} {timeframe}: the range of {name} that starts at {start} runs into the next"


def _cell_findings(con: apsw.Connection, cell: Cell, packs: Packs) -> Iterator[str]:
    """Compare a cell with the candles it stands for, and its pack with both."""
    first, last = ms_to_datetime(cell.start), ms_to_datetime(cell.end - 1)
    what = f"{cell.symbol} {cell.timeframe} from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}"
    candles = reader.read_range(con, cell.symbol, cell.timeframe, cell.start, cell.end)
    if candles.num_rows != cell.rows or digests_of(candles) != cell.digests:
        yield (
            f"{what}: the candles are not those that were sealed; the file is damaged there, or another "
            "program has changed it. If the change was meant, seal all anew (store.maintenance.warm(rebuild="
            "True), or `mdstore warm --rebuild`); else write the candles again, or restore a backup"
        )
    try:
        pack = packs.open(cell.pack)
        pack.verify(cell.place, cell.digests, cell.rows, 0, cell.rows)
    except PackLostError:
        if packs.exists(cell.pack):  # one that was deleted is made again, and is nothing wrong
            yield f"{what}: the pack {cell.pack} is damaged; nothing is lost, the next read seals it"
