"""Candles on a regular grid: a read, and bars for the times that have none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from mdstore.analysis.fill import Fill, check_fill, filled, filled_long
from mdstore.analysis.resample import bar_starts
from mdstore.candles.file.table_reads import Request
from mdstore.candles.reads.explanation import Reader
from mdstore.core.arguments import column_list
from mdstore.core.calendars import ALWAYS, Grid, calendar_of
from mdstore.core.long_table import latest_of_each
from mdstore.core.time_bounds import FOREVER
from mdstore.core.timeframe import DAY, Timeframe
from mdstore.errors import InvalidInputError
from mdstore.store.derived_read import MADE, derived, with_of

__all__ = ["gridded"]

MOST_BARS = 200_000_000
"""Bars to a symbol: 10 GB of them; more is a mistake in the range."""


def gridded(
    candles: Reader,
    request: Request,
    how: Fill,
    source: tuple[Timeframe, str | None] | None,
    columns: Sequence[str] | None,
    *,
    now: int,
) -> pl.DataFrame:
    """Return the bars of a request, and those that are missing on its grid, with a column `filled`.

    `source` is what the bars are derived from, and the zone that cuts them; None for stored ones. `now` is in
    ms; with `as_of` it is that time, whatever the clock says.
    """
    check_fill(how)
    now = now if request.as_of is None else request.as_of
    tail = (*MADE, "filled") if source else ("filled",)
    known = (*request.columns, *tail)
    wanted = known if columns is None else column_list(columns, known)
    bars = _bars(candles, request, source)
    calendars = candles.ledger.calendars()
    before = replace(request, start=-FOREVER, end=request.start, limit=1)
    befores = (
        _closes(_bars(candles, before, source), request) if how == "flat" and request.start > -FOREVER else {}
    )
    if not request.is_long:
        assert request.symbols is not None  # noqa: S101 - only a long answer is of every symbol; for mypy
        symbol = request.symbols[0]
        grid = _grid(request, bars, calendar_of(symbol, calendars), source, now)
        made = latest_of_each(filled(bars, grid, how, before=befores.get(symbol)), request.limit)
        return (made if source is None else with_of(candles, made, request, *source)).select(wanted)
    parts = bars.partition_by("symbol", as_dict=True, maintain_order=True)
    by_symbol = {str(symbol): part for (symbol,), part in parts.items()}
    symbols = request.symbols or _all_symbols(candles, request, source)
    grids = {
        symbol: _grid(
            request, by_symbol.get(symbol, bars.clear()), calendar_of(symbol, calendars), source, now
        )
        for symbol in symbols
    }
    made = latest_of_each(filled_long(bars, grids, how, befores=befores), request.limit)
    return (made if source is None else with_of(candles, made, request, *source)).select(wanted)


def _bars(candles: Reader, request: Request, source: tuple[Timeframe, str | None] | None) -> pl.DataFrame:
    return candles.read(request).frame() if source is None else derived(candles, request, *source, None)


def _all_symbols(
    candles: Reader, request: Request, source: tuple[Timeframe, str | None] | None
) -> Sequence[str]:
    """Return every symbol that has bars, in the range or not."""
    bar = source[0] if source else request.timeframe
    return candles.read(replace(request, timeframe=bar, start=-FOREVER, end=FOREVER, limit=1)).symbols


def _closes(bars: pl.DataFrame, request: Request) -> dict[str, float]:
    if not request.is_long:
        return dict(zip(request.symbols or (), bars["close"], strict=False))
    return dict(zip(bars["symbol"].cast(pl.String), bars["close"], strict=True))


def _grid(
    request: Request,
    bars: pl.DataFrame,
    calendar: str,
    source: tuple[Timeframe, str | None] | None,
    now: int,
) -> pl.Series:
    """Return the starts of the bars that there should be; none in the future, and none that is forming."""
    bar, times = request.timeframe, bars["timestamp"].to_physical()
    # A limit has cut off what comes before its bars.
    is_cut = request.limit is not None and len(bars) >= request.limit
    has_start, has_end = request.start > -FOREVER and not is_cut, request.end < FOREVER
    if not len(times) and not (has_start and has_end):
        return pl.Series([], dtype=pl.Int64)
    start = request.start if has_start else times[0]
    end = min(request.end, now) if has_end else times[-1] + 1
    tz = source[1] if source else None
    if (end - start) // bar.shortest_ms > MOST_BARS:
        raise InvalidInputError(
            f"fill: from start to end there are over {MOST_BARS:,} {bar} bars", hint="give a shorter range"
        )
    if start >= end:
        return pl.Series([], dtype=pl.Int64)
    if source is None:
        starts = Grid(bar, calendar).starts(start, end)
    else:
        starts = bar_starts(bar, tz, start, end)
        if calendar != ALWAYS:
            starts = _open_ones(starts, Grid(source[0], calendar), bar)
    return starts if request.end >= FOREVER else starts.filter(starts < _forming(bar, tz, now))


def _open_ones(starts: pl.Series, market: Grid, bar: Timeframe) -> pl.Series:
    """Return those bars in which the market is open at some time."""
    if not len(starts):
        return starts
    lows, highs = market.stretches(starts[0], starts[-1] + bar.longest_ms + DAY)
    # The first stretch that ends after a bar's start must begin before the next bar does.
    after = highs.search_sorted(starts, side="right")
    ends = starts.shift(-1, fill_value=starts[-1] + bar.longest_ms)
    lows = pl.concat([lows, pl.Series([FOREVER])])
    return starts.filter(lows.gather(after) < ends)


def _forming(bar: Timeframe, tz: str | None, now: int) -> int:
    """Return the start of the bar that is forming."""
    return int(bar_starts(bar, tz, now - bar.longest_ms - DAY, now + 1)[-1])
