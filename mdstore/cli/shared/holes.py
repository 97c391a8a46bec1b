"""The holes of series, and from when to when they could have bars; times as whole milliseconds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import polars as pl

from mdstore.core.time_bounds import EARLIEST, LATEST
from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import to_ms

if TYPE_CHECKING:
    from mdstore.store.store import MarketDataStore

__all__ = ["KEY", "extents_of", "holes_of"]

KEY = ("symbol", "timeframe")
TIME = pl.Datetime("ms", "UTC")
HOLE = pl.Schema(
    {
        "symbol": pl.Categorical(), "timeframe": pl.String(), "start": TIME, "end": TIME,
        "bars": pl.Int64(), "reason": pl.String(), "source": pl.String(), "asked": TIME,
    }
)  # fmt: skip


def holes_of(
    store: MarketDataStore, series: pl.DataFrame, start: str | None, end: str | None
) -> pl.DataFrame:
    """Return the holes of series; `row` says in which row of `series` each belongs. Times in ms."""
    found = [
        store.gaps(symbols, name, start=start, end=end).with_columns(pl.lit(name).alias("timeframe"))
        for name, symbols in series.group_by("timeframe", maintain_order=True).agg("symbol").iter_rows()
        if Timeframe.is_name(name)
    ]
    rows = series.select(*KEY, pl.int_range(pl.len()).alias("row"))
    holes = pl.concat(found) if found else pl.DataFrame(schema=HOLE)
    return holes.join(rows, on=KEY).with_columns(pl.col("start", "end").to_physical())


def extents_of(series: pl.DataFrame, start: str | None, end: str | None) -> pl.DataFrame:
    """Return the range in which each series could have bars: the one asked for, else first bar to last bar.

    Columns `start` and `end` in ms, the same range as that of `MarketDataStore.gaps`. It is empty for a
    timeframe that only another program knows.
    """
    now = int(time.time() * 1000)
    spans = []
    for name, first, last in series.select("timeframe", pl.col("first", "last").to_physical()).iter_rows():
        if not Timeframe.is_name(name):
            spans.append((first, first))
            continue
        bar = Timeframe.parse(name)
        low = first if start is None else _ceil(bar, to_ms(start, "start"))
        high = bar.next(last) if end is None else min(_ceil(bar, to_ms(end, "end")), bar.next(now))
        spans.append((low, max(low, high)))
    return pl.DataFrame(spans, {"start": pl.Int64, "end": pl.Int64}, orient="row")


def _ceil(bar: Timeframe, moment: int) -> int:
    """Return the start of the first bar at or after a moment. The moment may lie before or after all bars."""
    return bar.next(min(max(moment, EARLIEST), LATEST) - 1)
