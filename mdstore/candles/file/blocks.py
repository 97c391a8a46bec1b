"""Blocks: what bars were before one write changed them, as a row of `revisions`.

A write adds rows at the end of the table, whatever was kept before, so it takes no longer with the years:
with a row for each bar, under a key that began with the bar, the 300th rewrite of 3,000 bars took 13 times
as long as the tenth. Whoever asks what bars were goes back from the last block of the series.

The values lie in `data` column by column: the times of the bars (ms, ascending), then the columns in `names`,
each value in 8 bytes, little-endian; NaN where a bar has none.

Blocks of a series are numbered from 1, and `digests` has the number of the last. Each has a digest of itself
and its number. So those from the last back to any other prove that none between them is missing, and older
ones need not be read. What is let go leaves one row behind, the first of its series from then on, which says
up to when and of which bars.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import apsw
import polars as pl
import pyarrow as pa
import xxhash

from mdstore.candles.file.row_hashes import MASK, hash_of_row
from mdstore.core.schema import VALUES

__all__ = [
    "BLOCK_ROWS", "CANDLE", "HEADER", "LET_GO", "Block", "accept", "add", "change", "content_of", "cut",
    "frame_of", "let_go",
]  # fmt: skip

BLOCK_ROWS: Final = 4_096
"""At most so many bars are in a block: whoever wants one of them reads 200 KB."""
CANDLE: Final = " ".join(VALUES)
"""The names in a block of a candle's values; those of declared columns have blocks of their own."""
LET_GO: Final = ""
"""The names of what stands for all blocks before it, which were let go."""
NOWHERE: Final = (1, 0)
"""First and last of no bars."""
WIDTH: Final = 8
HEADER: Final = "number, revision, source, first, last, rows, names, content"
NEXT: Final = """
INSERT INTO digests (symbol, timeframe, revisions) VALUES (?, ?, 1)
ON CONFLICT DO UPDATE SET revisions = revisions + 1 RETURNING revisions
"""
INSERT: Final = f"""
INSERT INTO revisions (symbol, timeframe, {HEADER}, digest, data) VALUES (?{", ?" * 11})
"""  # noqa: S608 - of constants
CHANGE: Final = """
UPDATE revisions SET number = ?, revision = ?, source = ?, first = ?, last = ?, rows = ?, names = ?,
  content = ?, digest = ?, data = ?
WHERE id = ?
"""
EVERY: Final = "SELECT symbol, timeframe, id FROM revisions ORDER BY timeframe, symbol, abs(number), id"
STRAY: Final = """
DELETE FROM revisions WHERE id IN (
  SELECT id FROM revisions JOIN (
    SELECT timeframe, symbol, max(number) AS until FROM revisions WHERE names = '' GROUP BY timeframe, symbol
  ) USING (timeframe, symbol) WHERE number < until)
"""
ROW: Final = f"SELECT {HEADER}, data FROM revisions WHERE id = ?"  # noqa: S608
TURN: Final = "UPDATE revisions SET number = -number"
LAST: Final = """
INSERT INTO digests (symbol, timeframe, revisions) VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET revisions = excluded.revisions
"""


class Block(NamedTuple):
    """What a row of `revisions` says of its values.

    The store's `revision` gave `rows` bars from `first` to `last` (ms) other values, that came from `source`.
    """

    number: int
    revision: int
    source: str
    first: int
    last: int
    rows: int
    names: str
    content: int
    """The hash of the values."""

    @property
    def digest(self) -> int:
        """The hash of all of it; not of the series' name, which may change."""
        return hash_of_row(self)

    def reaches(self, start: int, end: int) -> bool:
        """Tell whether any of its bars may lie in `[start, end)`."""
        return self.first < end and self.last >= start


def data_of(times: Sequence[int], columns: Iterable[Sequence[float]]) -> bytes:
    """Return times and values as bytes."""
    return b"".join((array("q", times).tobytes(), *(array("d", values).tobytes() for values in columns)))


def content_of(data: bytes) -> int:
    """Return the hash of values."""
    return xxhash.xxh3_64_intdigest(data) & MASK


def frame_of(names: str, rows: int, data: bytes) -> pl.DataFrame:
    """Return values as columns that share the memory of `data`: `timestamp` (Int64), then those in `names`.

    Raises `ValueError` where `data` is not of that size.
    """
    columns, size = ("timestamp", *names.split()), rows * WIDTH
    if len(data) != size * len(columns):
        raise ValueError(f"{len(data)} bytes for {rows} rows of {len(columns)} columns")
    view = memoryview(data)
    arrays = [
        pa.Array.from_buffers(
            pa.float64() if place else pa.int64(), rows, [None, pa.py_buffer(view[place * size :][:size])]
        )
        for place in range(len(columns))
    ]
    return pl.DataFrame(pa.Table.from_arrays(arrays, names=list(columns)))


def add(  # noqa: PLR0917 - what changed which bars of what, and how
    con: apsw.Connection,
    key: tuple[str, str],
    revision: int,
    source: str,
    names: str,
    times: Sequence[int],
    columns: Sequence[Sequence[float]],
) -> None:
    """Add what bars of a series (symbol, timeframe) were, behind all that was kept of it before.

    The times ascend.
    """
    for at in range(0, len(times), BLOCK_ROWS):
        some = times[at : at + BLOCK_ROWS]
        data = data_of(some, (values[at : at + BLOCK_ROWS] for values in columns))
        number = int(con.execute(NEXT, key).get)
        block = Block(number, revision, source, some[0], some[-1], len(some), names, content_of(data))
        con.execute(INSERT, (*key, *block, block.digest, data))


def change(con: apsw.Connection, row_id: int, block: Block, data: bytes) -> None:
    """Have a row hold a block in the place of what it held; `data` is what the block's `content` is of."""
    con.execute(CHANGE, (*block, block.digest, data, row_id))


def let_go(found: Sequence[Block]) -> tuple[Block, bytes]:
    """Return what stands for blocks of which nothing is kept but up to when they were, and of which bars."""
    reached = [block for block in found if block.first <= block.last] or found
    first, last = min(block.first for block in reached), max(block.last for block in reached)
    last_one = found[-1]._replace(source="", names=LET_GO, rows=0, content=content_of(b""))
    return last_one._replace(first=first, last=last), b""


def accept(con: apsw.Connection) -> None:
    """Take the blocks that are there for right, and number them anew in their order.

    One whose values cannot be read is emptied; those before one that stands for all before it are deleted.
    """
    con.execute(STRAY)
    last: dict[tuple[str, str], int] = {}
    for symbol, timeframe, row_id in con.execute(EVERY).fetchall():
        key = (str(symbol), str(timeframe))
        number = last[key] = last.get(key, 0) + 1
        block, data = _readable(con.execute(ROW, (row_id,)).fetchone() or ())
        block = block._replace(number=number)
        # With the other sign at first: another row may have the number still.
        con.execute(CHANGE, (-number, *block[1:], block.digest, data, row_id))
    con.execute(TURN)
    con.executemany(LAST, ((*key, number) for key, number in last.items()))


def _readable(row: tuple[Any, ...]) -> tuple[Block, bytes]:
    """Return a block as its values are, without any if they cannot be read."""
    *header, data = row
    block = Block(*header)
    if block.names == LET_GO:
        return let_go([block])
    try:
        return cut(block, frame_of(block.names, block.rows, data))
    except (TypeError, ValueError, AttributeError):
        return cut(block, pl.DataFrame({"timestamp": []}))


def cut(block: Block, bars: pl.DataFrame) -> tuple[Block, bytes]:
    """Return a block with only some of its bars, and their values as bytes."""
    times, *columns = (bars[name].to_list() for name in bars.columns)
    data = data_of(times, columns)
    first, last = (times[0], times[-1]) if times else NOWHERE
    return block._replace(first=first, last=last, rows=len(times), content=content_of(data)), data
