"""What bars that had ended were before they changed, kept in the transactions that change them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from math import nan
from typing import NamedTuple, cast

import apsw
import polars as pl

from mdstore.candles.file import blocks
from mdstore.candles.file.blocks import CANDLE, HEADER, LET_GO, Block
from mdstore.candles.file.declared_columns import table_names
from mdstore.candles.file.digests import Key, Rows, damaged
from mdstore.core.time_bounds import FOREVER
from mdstore.core.timestamps import ms_to_datetime
from mdstore.errors import DamagedDataError, Hint, HistoryTrimmedError

__all__ = [
    "Kept", "Values", "as_they_were", "data_of", "extras_as_they_were", "forget", "kept", "revise",
    "revise_extras", "wrong",
]  # fmt: skip

Values = tuple[int, float, float, float, float, float]
"""A bar: timestamp, open, high, low, close, volume."""

NUMBER = "SELECT revisions FROM digests WHERE timeframe = ? AND symbol = ?"
BACKWARDS = f"""
SELECT id, digest, {HEADER} FROM revisions WHERE timeframe = ? AND symbol = ? ORDER BY number DESC
"""  # noqa: S608 - of constants
DATA = "SELECT data FROM revisions WHERE id = ?"
REACHING = f"""
SELECT id, digest, {HEADER} FROM revisions
WHERE timeframe = ? AND symbol = ? AND rows > 0 AND first < ? AND last >= ?
"""  # noqa: S608
STORED = "SELECT 1 FROM series WHERE timeframe = ? AND symbol = ?"
FORGET = "DELETE FROM revisions WHERE timeframe = ? AND symbol = ?"
NONE = "UPDATE digests SET revisions = 0 WHERE timeframe = ? AND symbol = ?"
KEYS = """
SELECT symbol, timeframe FROM revisions UNION SELECT symbol, timeframe FROM digests WHERE revisions != 0
"""
COUNT = "SELECT count(*) FROM revisions WHERE timeframe = ? AND symbol = ?"


class Kept(NamedTuple):
    """What some bars of a series were before a write: `timestamp` (Int64, ms) and the columns in `names`."""

    block: Block
    bars: pl.DataFrame


def revise(
    con: apsw.Connection, key: Key, olds: Sequence[Sequence[float]], source: str, revision: int
) -> None:
    """Keep what closed bars of a series (symbol, timeframe) were before `revision` changed them.

    They are columns, by time: that first, then open, high, low, close, volume.
    """
    times, *columns = olds
    blocks.add(con, key, revision, source, CANDLE, cast("Sequence[int]", times), columns)


def revise_extras(
    con: apsw.Connection, key: Key, olds: Mapping[int, Sequence[float | None]], source: str, revision: int
) -> None:
    """Keep what values of declared columns of closed bars were before `revision` changed them, by time.

    The values are those of all columns that are declared, in the order of the table.
    """
    if olds:
        names, times = " ".join(table_names(con)), sorted(olds)
        values = ([nan if one is None else one for one in olds[time]] for time in times)
        blocks.add(con, key, revision, source, names, times, list(zip(*values, strict=True)))


def as_they_were(found: Iterable[Kept]) -> pl.DataFrame | None:
    """Return the bars that were replaced, as they were before the first of some blocks; None if none were.

    The blocks are those that `kept` has found, the latest first.
    """
    return _first_of([one.bars for one in found if one.block.names == CANDLE])


def extras_as_they_were(found: Iterable[Kept], names: Sequence[str]) -> pl.DataFrame | None:
    """Return the same of values of declared columns, null where a bar had none."""
    none = pl.lit(None, dtype=pl.Float64)
    parts = [
        bars.select(
            "timestamp",
            *(pl.col(name).fill_nan(None) if name in bars.columns else none.alias(name) for name in names),
        )
        for block, bars in found
        if block.names != CANDLE
    ]
    return _first_of(parts)


def _first_of(parts: Sequence[pl.DataFrame]) -> pl.DataFrame | None:
    """Return of each bar its row in the last of some frames that has it."""
    if len(parts) <= 1:
        return parts[0] if parts else None
    return pl.concat(parts[::-1]).unique("timestamp", keep="first", maintain_order=True)


def kept(con: apsw.Connection, key: Key, at: int | None, start: int, end: int) -> list[Kept]:
    """Return what the writes after revision `at` changed of the bars in `[start, end)`, the latest first.

    Without `at` it is what is kept of all writes. Raises `HistoryTrimmedError` where some of what is wanted
    was let go, `DamagedDataError`.
    """
    found = []
    for row_id, block in _back_to(con, key, -FOREVER if at is None else at):
        if not block.reaches(start, end):
            continue
        if block.names != LET_GO:
            found.append(Kept(block, _between(_bars(con, key, row_id, block), block, start, end)))
        elif at is not None:
            raise _let_go(key, block)
    return found


def _between(bars: pl.DataFrame, block: Block, start: int, end: int) -> pl.DataFrame:
    if start <= block.first and block.last < end:
        return bars
    return bars.filter(_is_between(start, end))


def _is_between(start: int, end: int) -> pl.Expr:
    return pl.col("timestamp").is_between(start, end, closed="left")


def _back_to(con: apsw.Connection, key: Key, at: int) -> Iterator[tuple[int, Block]]:
    """Yield the blocks of a series after revision `at`, the latest first, each proven but for its values.

    None of them is missing: their numbers go down by one from that of the last. Raises `DamagedDataError`.
    """
    number = con.execute(NUMBER, (key[1], key[0])).get or 0
    for row_id, digest, *header in con.execute(BACKWARDS, (key[1], key[0])):
        block = Block(*header)
        if block.number != number or block.digest != digest:
            raise damaged(con, "revisions", key)
        if block.revision <= at:
            return
        yield row_id, block
        number -= 1
        if block.names == LET_GO:
            return
    if number != 0:
        raise damaged(con, "revisions", key)


def data_of(con: apsw.Connection, key: Key, row_id: int, block: Block) -> bytes:
    """Return the values of a block as bytes. Raises `DamagedDataError`."""
    data = con.execute(DATA, (row_id,)).get
    if not isinstance(data, bytes) or blocks.content_of(data) != block.content:
        raise damaged(con, "revisions", key, block.first, block.last + 1)
    return data


def _bars(con: apsw.Connection, key: Key, row_id: int, block: Block) -> pl.DataFrame:
    return blocks.frame_of(block.names, block.rows, data_of(con, key, row_id, block))


def _let_go(key: Key, block: Block) -> HistoryTrimmedError:
    since = ms_to_datetime(block.revision)
    earliest = since.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return HistoryTrimmedError(
        f"{' '.join(key)}: what its bars were before {earliest} is not kept any more",
        hint=Hint(
            f"as_of={earliest!r} is the earliest time that is known of them",
            f"--as-of {earliest} is the earliest time that is known of them",
        ),
        since=since,
    )


def forget(con: apsw.Connection, key: Key, start: int, end: int) -> None:
    """Forget what bars were that have been deleted; what is damaged stays so, and is noticed later."""
    if con.execute(STORED, (key[1], key[0])).get is None:
        con.execute(FORGET, (key[1], key[0]))
        con.execute(NONE, (key[1], key[0]))
        return
    rows: Rows = con.execute(REACHING, (key[1], key[0], end, start)).fetchall()
    for row_id, digest, *header in rows:
        block = Block(*header)
        with suppress(DamagedDataError):
            if block.digest == digest:
                bars = _bars(con, key, row_id, block).filter(~_is_between(start, end))
                blocks.change(con, row_id, *blocks.cut(block, bars))


def wrong(con: apsw.Connection) -> Iterator[tuple[Key, tuple[int, int] | None]]:
    """Find what is not as it was written: the series, and the bars of a block if only its values are not."""
    for symbol, timeframe in con.execute(KEYS).fetchall():
        key, found = (str(symbol), str(timeframe)), 0
        try:
            for row_id, block in _back_to(con, key, -FOREVER):
                found += 1
                try:
                    _bars(con, key, row_id, block)
                except DamagedDataError:
                    yield key, (block.first, block.last)
            if found != con.execute(COUNT, (key[1], key[0])).get:
                yield key, None
        except DamagedDataError:
            yield key, None
