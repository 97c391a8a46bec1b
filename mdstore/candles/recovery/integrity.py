"""Is the file sound: SQLite's own check, then every row against its digest, and the packs.

SQLite's check sees the tree, not the values: it noticed 36 of 200 flipped bits, and 139 of the others changed
a price. Every row of the file is under a digest from the transaction that wrote it, see `digests`; of a file
that is older than they are, what is under none yet is put under one here, if nothing speaks against it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

import apsw

from mdstore.candles.file import catalogue
from mdstore.candles.file.bar_digests import (
    expected,
    in_order,
    piece_end,
    ranges_of,
    readable_parts,
    sums_of,
    wrong_buckets,
)
from mdstore.candles.file.database import Database
from mdstore.candles.file.declared_columns import held_by_series, names_of, table_names
from mdstore.candles.file.digests import (
    KINDS,
    NAMES,
    STORE,
    Key,
    different,
    moment,
    of_kind,
    span_of,
    sums_by_key,
)  # fmt: skip
from mdstore.candles.file.identity import names_hint, other_names
from mdstore.candles.ledger import arrivals, revisions
from mdstore.candles.packs import cells, first_digests
from mdstore.candles.packs.cells import Cell
from mdstore.candles.packs.pack_files import PackLostError, Packs
from mdstore.core.time_bounds import FOREVER
from mdstore.errors import DamagedDataError

__all__ = ["check"]

OVERLAPS = """
SELECT symbol, timeframe, start FROM (
  SELECT *, lead(start) OVER (PARTITION BY timeframe, symbol ORDER BY start) AS next FROM {table}
) WHERE start >= "end" OR next < "end"
"""
TABLES = {"coverage": "coverage", "arrivals": arrivals.ARRIVALS, "replacements": "replacements"}
UNDER_DIGESTS = "SELECT symbol, timeframe FROM digests WHERE symbol != '' ORDER BY symbol, timeframe"
VALUED = 'SELECT DISTINCT symbol, timeframe FROM extras WHERE "{name}" IS NOT NULL'
WITHOUT_BAR = """
SELECT symbol, timeframe, count(*) FROM extras LEFT JOIN candles USING (symbol, timeframe, timestamp)
WHERE candles.open IS NULL GROUP BY symbol, timeframe
"""
MOST_FINDINGS: Final = 100
WRONG: Final = (
    "{what}: {name} not what was written; the file is damaged there, or another program has changed it"
)


def check(database: Database, packs: Packs) -> list[str]:
    """Return what is wrong with the file and its packs, in words; empty when nothing is."""
    try:
        with database.reading() as con:
            damage = _damage(con)
        under_none = [] if damage else [error.message for error in first_digests.complete(database)]
        with database.reading() as con:
            candles = list(_tried(lambda: _candle_findings(con)))
            return [
                *damage,
                *(text for text in under_none if not any(found in text for found in candles)),
                *_name_findings(database),
                *_tried(lambda: _catalogue_findings(con)),
                *_tried(lambda: _ledger_findings(con)),
                *_tried(lambda: _row_findings(con)),
                *candles,
                *_tried(lambda: _stray_findings(con)),
                *_tried(lambda: _pack_findings(con, packs)),
            ]
    except DamagedDataError as error:
        return [error.message]


def _tried(findings: Callable[[], Iterator[str]]) -> Iterator[str]:
    """Yield findings, and that no more can be read where a page is too damaged for it."""
    try:
        yield from findings()
    except (DamagedDataError, UnicodeDecodeError) as error:
        yield error.message if isinstance(error, DamagedDataError) else f"a text cannot be read: {error}"
    except apsw.CorruptError as error:
        yield f"a page cannot be read: {error}"
    except (TypeError, ValueError, OverflowError) as error:
        yield f"a value in the file is of a type that its table does not hold: {error}"


def _name_findings(database: Database) -> Iterator[str]:
    """Find names that the file has been given since it was opened."""
    with suppress(OSError):
        status = database.path.stat()
        if status.st_nlink > 1:
            yield f"{other_names(database.path, status)}; {names_hint(database.path, status)}"


def _damage(con: apsw.Connection) -> list[str]:
    return [text for (text,) in con.execute(f"PRAGMA integrity_check({MOST_FINDINGS})") if text != "ok"]


def _catalogue_findings(con: apsw.Connection) -> Iterator[str]:
    stored = {(row[0], row[1]): tuple(row[2:]) for row in con.execute(catalogue.COUNTED)}
    listed = {(row[0], row[1]): tuple(row[2:5]) for row in con.execute(catalogue.ALL)}
    for key in sorted(stored.keys() | listed.keys()):
        if stored.get(key) != listed.get(key):
            yield (
                f"{' '.join(key)}: the catalogue says (first, last, rows) {listed.get(key)}, "
                f"the candles say {stored.get(key)}; another program may have written to the file"
            )
    catalogue.revision(con)


def _ledger_findings(con: apsw.Connection) -> Iterator[str]:
    for name, table in TABLES.items():
        for symbol, timeframe, start in con.execute(OVERLAPS.format(table=table)):
            yield f"{symbol} {timeframe}: the range of {name} that starts at {start} runs into the next"


def _row_findings(con: apsw.Connection) -> Iterator[str]:
    """Compare the small tables with their digests, and the revisions."""
    for kind in KINDS:
        found = sums_by_key(kind, con.execute(f"SELECT * FROM {kind}"))  # noqa: S608 - of constants
        for key in sorted(different(found, of_kind(con, kind))):
            yield WRONG.format(what=" ".join(key) if key != STORE else con.filename, name=NAMES[kind])
    for key, reach in revisions.wrong(con):
        where = "" if reach is None else f" from {moment(reach[0])} to {moment(reach[1])}"
        yield WRONG.format(what=f"{' '.join(key)}{where}", name=NAMES["revisions"])


def _candle_findings(con: apsw.Connection) -> Iterator[str]:
    """Compare the candles of each series with their digests, a piece at a time."""
    for key in [(str(symbol), str(name)) for symbol, name in con.execute(UNDER_DIGESTS)]:
        yield from _said("candles", key, list(_wrong_in(con, key)))


def _stray_findings(con: apsw.Connection) -> Iterator[str]:
    """Find values of declared columns where there is no bar, or in series that are not said to have them."""
    held = held_by_series(con)
    for name in table_names(con):
        for symbol, timeframe in con.execute(VALUED.format(name=name)):
            if name not in held.get((str(symbol), str(timeframe)), ()):
                yield f"{symbol} {timeframe}: values of {name}, of which the catalogue does not know"
    for symbol, timeframe, number in con.execute(WITHOUT_BAR):
        yield f"{symbol} {timeframe}: values of declared columns for {number:,} bars that are not there"


def _wrong_in(con: apsw.Connection, key: Key) -> Iterator[int]:
    at, span, extras = -FOREVER, span_of(key[1]), names_of(con, key)
    while at < FOREVER:
        high = piece_end(con, key, at)
        parts, errors = readable_parts(con, key, at, high, extras)
        for error in errors:  # each names its range, to whole buckets
            yield from range(int(error.start or 0) // span, int(error.end or 0) // span)
        for low, top, rows in parts:
            sums = sums_of(rows, span)
            yield from wrong_buckets(sums, *expected(con, key, low // span, -(-top // span)))
            if not in_order(rows):
                yield from sums
        at = high


def _said(kind: str, key: Key, buckets: list[int]) -> Iterator[str]:
    for start, end in ranges_of(set(buckets), span_of(key[1])):
        what = f"{' '.join(key)} from {moment(start)} to {moment(end - 1)}"
        yield WRONG.format(what=what, name=NAMES[kind])


def _pack_findings(con: apsw.Connection, packs: Packs) -> Iterator[str]:
    for cell in cells.all_cells(con):
        try:
            packs.open(cell.pack).verify(cell.place, cell.digests, cell.rows, 0, cell.rows)
        except PackLostError:
            if packs.exists(cell.pack):  # one that was deleted is made again, and is nothing wrong
                what = f"{_named(cell)}: the pack {cell.pack} is damaged"
                yield f"{what}; nothing is lost, the next read seals it"


def _named(cell: Cell) -> str:
    return f"{cell.symbol} {cell.timeframe} from {moment(cell.start)} to {moment(cell.end - 1)}"
