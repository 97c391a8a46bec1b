"""Candles as they were known at a time: what came later is left out, what changed is put back."""

from __future__ import annotations

from itertools import accumulate, pairwise

import apsw
import polars as pl
import pyarrow as pa

from mdstore.candles.file.database import Database
from mdstore.candles.file.table_reads import Request
from mdstore.candles.ledger import arrivals, revisions
from mdstore.candles.reads.answer import Answer, picked
from mdstore.core.long_table import Long
from mdstore.core.schema import CANDLE_COLUMNS, named_candle
from mdstore.core.time_bounds import FOREVER

__all__ = ["undone"]

AS_TIME = pl.col("timestamp").cast(pl.Datetime("ms", "UTC"))
WHY = "as it was then: what came or changed later is undone"


def undone(database: Database, answer: Answer, request: Request, at: int) -> Answer:
    """Return the candles of an answer as they were at a time (ms).

    `answer` is of the whole range of the request, with all of a candle's columns and the declared ones that
    are wanted; limit and columns are applied here. It was read before this: what has changed since is undone,
    too.
    """
    columns = (*CANDLE_COLUMNS, *request.extras)
    values = answer.values()
    values = values if tuple(values.columns) == columns else picked(values, columns)
    with database.reading() as con:
        parts = [
            _undo(con, values.slice(low, high - low), symbol, request, at)
            for symbol, (low, high) in zip(answer.symbols, pairwise((0, *answer.ends)), strict=True)
        ]
    made = pl.concat(parts, rechunk=True)
    table = pa.Table.from_arrays(
        [made[name].to_arrow() for name in columns], schema=named_candle(request.extras)
    )
    rows = Long(table, answer.symbols, list(accumulate(map(len, parts))))
    lasts = [part["timestamp"].to_physical()[-1] if len(part) else -FOREVER for part in parts]
    return Answer(rows, 0, len(made), request.columns, ("sqlite",), (), WHY, "", lasts)


def _undo(con: apsw.Connection, rows: pl.DataFrame, symbol: str, request: Request, at: int) -> pl.DataFrame:
    """Take out what came after a time, and put back what changed."""
    bar = request.timeframe
    times = rows["timestamp"].to_physical()
    kept, low = [], 0
    for start, end in arrivals.came_later(con, symbol, bar, at):
        bounds = times.search_sorted(pl.Series([start, end], dtype=pl.Int64))
        kept.append(rows.slice(low, bounds[0] - low))
        low = bounds[1]
    kept.append(rows.slice(low))
    rows = pl.concat(kept) if len(kept) > 1 else rows
    if request.limit is not None:
        rows = rows.tail(request.limit)
    if not len(rows):
        return rows
    start = max(request.start, int(rows["timestamp"].to_physical()[0]))
    found = revisions.kept(con, (symbol, str(bar)), at, start, request.end)
    old = revisions.as_they_were(found)
    if old is not None:
        rows = rows.update(old.with_columns(AS_TIME), on="timestamp")
    more = revisions.extras_as_they_were(found, request.extras) if request.extras else None
    if more is not None:
        rows = rows.update(more.with_columns(AS_TIME), on="timestamp", include_nulls=True)
    return rows
