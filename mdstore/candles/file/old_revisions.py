"""Revisions as files up to schema version 7 have them, a row a bar, and how they become blocks.

They were under sums by bucket, in a column of `bucket_digests`. What does not fit its sum is not made to: its
series is said to have one block more than there are, so whoever asks for its past is told of damage.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from math import nan
from typing import Any, Final, cast

import apsw

from mdstore.candles.file import blocks
from mdstore.candles.file.bar_columns import batch_of_bars
from mdstore.candles.file.bar_digests import FEW, Sums, sums_of, sums_of_bars
from mdstore.candles.file.digests import Key, accept, span_of, sums_by_key
from mdstore.candles.file.row_hashes import MASK, hash_of_extra, hash_of_row
from mdstore.core.timeframe import Timeframe

__all__ = ["accept_all", "into_blocks"]

Row = tuple[Any, ...]
TIME, REVISION, PRICES, SOURCE = 2, 3, slice(4, 9), 9
"""The places in a row of revisions."""
SOURCE_OF_EXTRAS, VALUES_OF_EXTRAS = 4, 5
"""Those in a row of what values of declared columns were."""
PUT = f"""
INSERT INTO bucket_digests (symbol, timeframe, bucket, revisions) VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET revisions = (revisions + excluded.revisions) & {MASK}
"""  # noqa: S608 - of constants
KEYS = """
SELECT symbol, timeframe FROM old_revisions UNION SELECT symbol, timeframe FROM old_extra_revisions
UNION SELECT symbol, timeframe FROM bucket_digests WHERE revisions != 0
"""
WRITES = """
SELECT revision FROM old_revisions WHERE timeframe = ?1 AND symbol = ?2
UNION SELECT revision FROM old_extra_revisions WHERE timeframe = ?1 AND symbol = ?2 ORDER BY revision
"""
OLDS = "SELECT * FROM old_revisions WHERE timeframe = ? AND symbol = ? AND revision = ? ORDER BY timestamp"
OLD_EXTRAS = OLDS.replace("old_revisions", "old_extra_revisions")
NAMES = "SELECT name FROM pragma_table_info('old_extra_revisions') ORDER BY cid"
SUMS = "SELECT bucket, revisions FROM bucket_digests WHERE timeframe = ? AND symbol = ? AND revisions != 0"
ONE_MORE = """
INSERT INTO digests (symbol, timeframe, revisions) VALUES (?, ?, 1)
ON CONFLICT DO UPDATE SET revisions = revisions + 1
"""
REPLACE = "INSERT INTO replacements VALUES (?, ?, ?, ?, ?, ?)"
REPLACED = "SELECT * FROM replacements WHERE symbol = ? AND timeframe = ?"
PROVE = "UPDATE digests SET replacements = ? WHERE symbol = ? AND timeframe = ?"
BAD: Final = (TypeError, ValueError, OverflowError, struct.error)
"""What comes of a number that is a text or a null, as a damaged page has it."""


def accept_all(con: apsw.Connection) -> None:
    """Take what the small tables hold for right, revisions among them, as the migration to version 4 does."""
    accept(con)
    rows: list[Row] = con.execute("SELECT * FROM revisions").fetchall()
    for row in rows:
        sums = _sums_of([row], span_of(row[1]))
        con.executemany(PUT, ((*row[:2], bucket, value) for bucket, value in sums.items()))


def into_blocks(con: apsw.Connection) -> None:
    """Make blocks of the rows of `old_revisions` and `old_extra_revisions`; note who replaced which bars."""
    names = " ".join(str(name) for (name,) in con.execute(NAMES).fetchall()[VALUES_OF_EXTRAS:])
    for symbol, timeframe in con.execute(KEYS).fetchall():
        key = (str(symbol), str(timeframe))
        sums, replaced = Sums(), dict[int, tuple[str, int]]()
        try:
            for (revision,) in cast("list[tuple[int]]", con.execute(WRITES, key[::-1]).fetchall()):
                _take(con, key, revision, names, sums, replaced)
            is_sound = {one: v for one, v in sums.items() if v} == dict(con.execute(SUMS, key[::-1]))
        except BAD:
            is_sound = False
        if not is_sound:
            con.execute(ONE_MORE, key)
        _replace(con, key, replaced, is_sound=is_sound)


def _take(  # noqa: PLR0917 - one write of a series, and what is gathered of all
    con: apsw.Connection,
    key: Key,
    revision: int,
    names: str,
    sums: Sums,
    replaced: dict[int, tuple[str, int]],
) -> None:
    """Make blocks of what a write of a series has changed."""
    span, bounds = span_of(key[1]), (key[1], key[0], revision)
    rows: list[Row] = con.execute(OLDS, bounds).fetchall()
    extras: list[Row] = con.execute(OLD_EXTRAS, bounds).fetchall()
    if rows:
        _add(sums, _sums_of(rows, span))
        _add_block(con, key, rows, SOURCE, blocks.CANDLE, [row[PRICES] for row in rows])
        replaced |= {row[TIME]: (row[SOURCE], revision) for row in rows}
    if extras:
        _add(sums, _sums_of_extras(extras, span))
        values = [[nan if one is None else one for one in row[VALUES_OF_EXTRAS:]] for row in extras]
        _add_block(con, key, extras, SOURCE_OF_EXTRAS, names, values)


def _add_block(  # noqa: PLR0917 - as `blocks.add`
    con: apsw.Connection, key: Key, rows: Sequence[Row], source: int, names: str, values: Sequence[Any]
) -> None:
    times, columns = [row[TIME] for row in rows], list(zip(*values, strict=True))
    blocks.add(con, key, rows[0][REVISION], rows[0][source], names, times, columns)


def _replace(con: apsw.Connection, key: Key, replaced: dict[int, tuple[str, int]], *, is_sound: bool) -> None:
    """Note which write replaced which bars last; under a digest that does not fit, if they did not."""
    bar = Timeframe.parse(key[1]) if Timeframe.is_name(key[1]) else None
    by_write: dict[tuple[str, int], list[int]] = {}
    for time, write in sorted(replaced.items()):
        by_write.setdefault(write, []).append(time)
    for (source, revision), times in by_write.items():
        ranges = [(time, time + 1) for time in times] if bar is None else bar.runs(times)
        con.executemany(REPLACE, ((*key, start, end, source, revision) for start, end in ranges))
    value = sums_by_key("replacements", con.execute(REPLACED, key)).get(key, 0)
    con.execute(PROVE, ((value + (not is_sound)) & MASK, *key))


def _add(sums: Sums, more: Sums) -> None:
    for bucket, value in more.items():
        sums[bucket] = (sums.get(bucket, 0) + value) & MASK


def _sums_of(rows: Sequence[Row], span: int) -> Sums:
    """Return the sums over rows of one write: of the candles that they hold, with what they say beside."""
    bars = [(row[TIME], *row[PRICES]) for row in rows]
    seed = hash_of_row((rows[0][REVISION], rows[0][SOURCE]))
    return sums_of_bars(bars, span, seed) if len(bars) <= FEW else sums_of(batch_of_bars(bars), span, seed)


def _sums_of_extras(rows: Sequence[Row], span: int) -> Sums:
    """Return the sums over rows of declared columns: of the row, and of each value that it holds."""
    sums = Sums()
    for row in rows:
        time, revision, source, *values = row[TIME:]
        seed = hash_of_row((revision, source))
        held = sum(hash_of_extra(time, value, place, seed) for place, value in enumerate(values))
        bucket = time // span
        sums[bucket] = (sums.get(bucket, 0) + hash_of_row((time, revision, source)) + held) & MASK
    return sums
