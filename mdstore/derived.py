"""Derived bars: a read of a stored timeframe, put together to a longer one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import polars as pl

from mdstore.arguments import column_list
from mdstore.candles.reader import Request
from mdstore.candles.repository import CandleRepository
from mdstore.resample import reach, resample, start_of_latest
from mdstore.schema import CANDLE_COLUMNS
from mdstore.timeframe import Timeframe

__all__ = ["derived"]


def derived(
    candles: CandleRepository,
    request: Request,
    source: Timeframe,
    tz: str | None,
    columns: Sequence[str] | None,
) -> pl.DataFrame:
    """Return bars of `request.timeframe` made of those of `source`; range and limit count the bars made."""
    known = (*(("symbol",) if request.is_long else ()), *CANDLE_COLUMNS, "closed")
    wanted = known if columns is None else column_list(columns, known)
    start, end = reach(request.timeframe, request.start, request.end, tz)
    made = pl.DataFrame()
    for low in _lows(candles, request, source, (start, end), tz):
        answer = candles.read(replace(request, timeframe=source, start=low, end=end, limit=None))
        ends = answer.ends
        made = resample(answer.frame(), source, request.timeframe, tz=tz, ends=ends, lasts=answer.lasts)
        if request.limit is None or _has(made, request, len(ends)):
            break
    return _latest(made, request).select(wanted)


def _lows(
    candles: CandleRepository, request: Request, source: Timeframe, window: tuple[int, int], tz: str | None
) -> Iterator[int]:
    """Yield where a read for `limit` bars may begin, further back each time: there may be holes."""
    start, end = window
    if request.limit is None:
        yield start
        return
    spans = candles.spans(request.symbols, source)
    first = min(first for first, _ in spans.values())
    bars = request.limit
    while True:
        low = min(
            start_of_latest(request.timeframe, min(last, end - 1), bars, tz) for _, last in spans.values()
        )
        if low <= max(first, start):
            yield start
            return
        yield low
        bars *= 4


def _has(made: pl.DataFrame, request: Request, symbols: int) -> bool:
    """Tell whether every symbol has as many bars as are wanted."""
    assert request.limit is not None  # noqa: S101 - for mypy
    if not request.is_long:
        return len(made) >= request.limit
    counts = made.group_by("symbol").len()["len"]
    return len(counts) == symbols and (counts >= request.limit).all()


def _latest(made: pl.DataFrame, request: Request) -> pl.DataFrame:
    if request.limit is None:
        return made
    if not request.is_long:
        return made.tail(request.limit)
    most = min(request.limit, max(len(made), 1))  # Polars counts a group's rows in 32 bits
    return made.group_by("symbol", maintain_order=True).tail(most)
