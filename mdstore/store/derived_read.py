"""Derived bars: a read of a stored timeframe, put together to a longer one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from mdstore.analysis.resample import reach, resample
from mdstore.candles.file.table_reads import Request
from mdstore.candles.reads.explanation import Reader
from mdstore.core.arguments import column_list
from mdstore.core.long_table import latest_of_each
from mdstore.core.schema import CANDLE_COLUMNS
from mdstore.core.time_bounds import FOREVER
from mdstore.core.timeframe import Timeframe

__all__ = ["derived"]


def derived(
    candles: Reader,
    request: Request,
    source: Timeframe,
    tz: str | None,
    columns: Sequence[str] | None,
) -> pl.DataFrame:
    """Return bars of `request.timeframe` made of those of `source`; range and limit count the bars made."""
    known = (*(("symbol",) if request.is_long else ()), *CANDLE_COLUMNS, "closed")
    wanted = known if columns is None else column_list(columns, known)
    start, end = reach(request.timeframe, request.start, request.end, tz)
    bars = None if request.limit is None else _bars_for(request.limit, request.timeframe, source)
    answer = candles.read(replace(request, timeframe=source, start=start, end=end, limit=bars))
    made = resample(answer.frame(), source, request.timeframe, tz=tz, ends=answer.ends, lasts=answer.lasts)
    return latest_of_each(made, request.limit).select(wanted)


def _bars_for(limit: int, target: Timeframe, source: Timeframe) -> int:
    """Return how many source bars surely make `limit` whole ones: holes only make them reach further back.

    One more for the earliest, which may be cut, and one for a day of 25 hours.
    """
    return min((limit + 2) * -(-target.longest_ms // source.shortest_ms), FOREVER)
