"""Digests: every row of the file is under one from the transaction that writes it.

A digest is a sum of the hashes of rows (see `row_hashes`), so it is carried on by what a transaction adds
and takes away. Two tables keep them, and are the whole scheme:

- `digests` has a row a series. It holds the sums over the rows that the series has in each small table (its
  row of the catalogue, cells, coverage, arrivals, replacements, unfinished bars), and that over the candles
  of the bucket which was written last, so that a live bar changes no page more than this one. And it has the
  number of the series' last block of revisions, see `blocks`.
- `bucket_digests` has a row for each other bucket of `BUCKET_BARS` bars of a series: the sum over its bars.

Whoever reads rows of a table reads all rows of some digests, and compares. A bucket bounds what that costs a
small read; it is aligned to the clock, so nothing has to be cut, joined or moved when series grow, and what
packs do is none of its business. A pack has digests of its own bytes; what is lost with it is read from the
table and proven by the buckets, which no read ever changes.

Looked at, and left: checksums of pages (no page of an older file has room for one, DuckDB's scanner would not
compare them, and any tool that writes the file breaks them); digests of a series' loose tail and of each cell
(a cell ends where a feed was read, so each correction, seal and eviction would have to move sums about, and a
small read prove 65,536 rows); sums that are verified by `check` alone (a read would serve what is wrong).

What was there before a file had digests is "not under a digest yet": its series are not `whole`, and a bucket
without a sum says nothing. It gets one when something in it is written, or by `warm` or `check`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import apsw

from mdstore.candles.file import blocks
from mdstore.candles.file.row_hashes import MASK, Row, hash_of_row, sum_of_rows
from mdstore.core.time_bounds import FOREVER
from mdstore.core.timeframe import DAY, Timeframe
from mdstore.core.timestamps import ms_to_datetime
from mdstore.errors import DamagedDataError, Hint

__all__ = [
    "BUCKET_BARS",
    "KINDS",
    "NAMES",
    "OF_THE_STORE",
    "STORE",
    "Key",
    "Rows",
    "accept",
    "ceiling",
    "damaged",
    "different",
    "floor",
    "key_of",
    "moment",
    "of_kind",
    "prove",
    "prove_all",
    "prove_each",
    "span_of",
    "sums_by_key",
]  # fmt: skip

Rows = list[tuple[Any, ...]]
"""Rows of a small table, as they are read and before they are known to be what was written."""
Key = tuple[str, str]
"""A series: symbol and timeframe."""
STORE: Final[Key] = ("", "")
"""The key of what is of no series."""

KINDS: Final = (
    "series",
    "cells",
    "coverage",
    "arrivals",
    "replacements",
    "unfinished",
    "calendars",
    "quarantine",
    "declared",
)
"""The small tables, and the columns of `digests` that hold their sums."""
OF_THE_STORE: Final = frozenset({"calendars", "quarantine", "declared"})
BUCKET_BARS: Final = 128
"""Bars under one digest: 30 bytes each 128, and 55 us at most to read what a small range leaves of them."""

NAMES: Final = {
    "series": "the entry in the catalogue is",
    "cells": "the list of its cells is",
    "coverage": "what is known of its holes is",
    "arrivals": "what is known of when its bars came is",
    "replacements": "what is known of who replaced its bars is",
    "unfinished": "the marks of unfinished bars are",
    "calendars": "the calendars are",
    "quarantine": "the rows in quarantine are",
    "declared": "the columns that are declared are",
    "candles": "the candles are",
    "revision": "the number of its revision is",
    "revisions": "the earlier values of its bars are",
}
HINT: Final = Hint(
    "restore a backup; or delete that range and write it again. store.maintenance.check() lists all such "
    "places, and warm(rebuild=True) takes what the file holds now for right, such as after a change by "
    "another program",
    "restore a backup; or delete that range and import it again. `mdstore check` lists all such places, and "
    "`mdstore warm --rebuild` takes what the file holds now for right, such as after a change by another "
    "program",
)

ONE: Final = {
    kind: f"SELECT {kind} FROM digests WHERE timeframe = ? AND symbol = ?"  # noqa: S608 - of constants
    for kind in KINDS
}
EVERY: Final = {
    kind: f"SELECT symbol, timeframe, {kind} FROM digests WHERE {kind} != 0"  # noqa: S608
    for kind in KINDS
}
OF_TIMEFRAME: Final = {kind: f"{sql} AND timeframe = ?" for kind, sql in EVERY.items()}
OF_SYMBOLS: Final = {
    kind: f"""
    SELECT symbol, {kind} FROM carray(?2) AS wanted CROSS JOIN digests
    WHERE timeframe = ?1 AND symbol = wanted.value AND {kind} != 0
    """  # noqa: S608
    for kind in KINDS
}
ACCEPT = "INSERT INTO digests (symbol, timeframe, whole, {kinds}) VALUES (?, ?, ?{places})"
HAS_DIGEST = "SELECT name FROM pragma_table_info('digests')"  # of an older schema, some kinds have none


def span_of(timeframe: str) -> int:
    """Return the length of a bucket (ms); a day's for bars whose length has no name here."""
    return _span_of(timeframe, BUCKET_BARS)


@lru_cache(maxsize=1_000)
def _span_of(timeframe: str, bars: int) -> int:
    return bars * Timeframe.parse(timeframe).shortest_ms if Timeframe.is_name(timeframe) else DAY


def floor(time: int, span: int) -> int:
    """Return the start of the bucket that a time lies in; what is open stays so."""
    return time if abs(time) >= FOREVER else time // span * span


def ceiling(time: int, span: int) -> int:
    """Return the end of the bucket that ends at a time, or in which it lies; what is open stays so."""
    return time if abs(time) >= FOREVER else -(-time // span) * span


def key_of(kind: str, row: Row) -> Key:
    """Return under which key of `digests` a row of a small table is summed."""
    return STORE if kind in OF_THE_STORE else (str(row[0]), str(row[1]))


def prove(con: apsw.Connection, kind: str, key: Key, rows: Iterable[Row]) -> None:
    """Compare all rows that a series has in a small table with their digest. Raises `DamagedDataError`."""
    expected = con.execute(ONE[kind], (key[1], key[0])).get or 0
    if sum_of_rows(rows) != expected:
        raise damaged(con, kind, key)


def prove_all(con: apsw.Connection, kind: str, rows: Iterable[Row], timeframe: str | None = None) -> None:
    """Compare all rows of a small table, or those of a timeframe in it, with their digests.

    Raises `DamagedDataError`.
    """
    found, expected = sums_by_key(kind, rows), of_kind(con, kind, timeframe)
    if found != expected:
        raise damaged(con, kind, min(different(found, expected)))


def prove_each(
    con: apsw.Connection, kind: str, rows: Iterable[Row], timeframe: str, symbols: Sequence[str]
) -> None:
    """Compare all rows that some series of a timeframe have in a small table with their digests.

    Raises `DamagedDataError`.
    """
    given = con.execute(OF_SYMBOLS[kind], (timeframe, apsw.carray(tuple(symbols))))
    expected = {(str(symbol), timeframe): value for symbol, value in given}
    found = sums_by_key(kind, rows)
    if found != expected:
        raise damaged(con, kind, min(different(found, expected)))


def of_kind(con: apsw.Connection, kind: str, timeframe: str | None = None) -> dict[Key, int]:
    """Return the digests of a small table by series, those of no rows left out."""
    rows = con.execute(EVERY[kind]) if timeframe is None else con.execute(OF_TIMEFRAME[kind], (timeframe,))
    return {(str(symbol), str(name)): value for symbol, name, value in rows}


def sums_by_key(kind: str, rows: Iterable[Row]) -> dict[Key, int]:
    """Return the sums of rows of a small table by series, those that are zero left out."""
    sums: dict[Key, int] = {}
    for row in rows:
        key = key_of(kind, row)
        sums[key] = sums.get(key, 0) + hash_of_row(row)
    return {key: value & MASK for key, value in sums.items() if value & MASK}


def different(found: Mapping[Key, int], expected: Mapping[Key, int]) -> set[Key]:
    """Return the series of which two sums are not the same."""
    return {key for key in found.keys() | expected.keys() if found.get(key, 0) != expected.get(key, 0)}


def damaged(  # noqa: PLR0917 - what of a series, and where
    con: apsw.Connection,
    kind: str,
    key: Key,
    start: int | None = None,
    end: int | None = None,
    hint: Hint = HINT,
) -> DamagedDataError:
    """Return the error for rows that are not those which were written."""
    where = f" from {moment(start)} to {moment(end - 1)}" if start is not None and end is not None else ""
    what = f"{' '.join(key)}{where}: " if key != STORE else ""
    return DamagedDataError(
        f"{con.filename}: {what}{NAMES[kind]} not what was written; the file is damaged there, or another "
        "program has changed it. Nothing of it is served",
        series=None if key == STORE else key,
        start=start,
        end=end,
        hint=hint,
    )


def moment(time: int) -> str:
    """Write a time (ms) to the minute."""
    try:
        return f"{ms_to_datetime(time):%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError, ArithmeticError):
        return str(time)


def accept(con: apsw.Connection) -> None:
    """Take what the small tables hold for right: sum it up anew. No candle is under a digest after that."""
    con.execute("DELETE FROM digests")
    con.execute("DELETE FROM bucket_digests")
    there = {name for (name,) in con.execute(HAS_DIGEST)}
    kinds = [kind for kind in KINDS if kind in there]
    sums = {kind: sums_by_key(kind, con.execute(f"SELECT * FROM {kind}")) for kind in kinds}  # noqa: S608
    enter = ACCEPT.format(kinds=", ".join(kinds), places=", ?" * len(kinds))
    stored = set(con.execute("SELECT symbol, timeframe FROM series"))
    for key in sorted(set().union(*sums.values()) | stored):
        con.execute(enter, (*key, key not in stored, *(sums[kind].get(key, 0) for kind in kinds)))
    if "revisions" in there:
        blocks.accept(con)
