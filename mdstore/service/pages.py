"""Whether what a source gave is a page of what it was asked for, and what that page proves."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from mdstore.core.bad_rows import first_error
from mdstore.core.candle_rules import Checked, Terms, check
from mdstore.core.duplicates import conflict_error
from mdstore.core.inputs import Incoming
from mdstore.core.schema import CANDLE_COLUMNS
from mdstore.core.time_style import TimeStyle
from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import ms_to_datetime
from mdstore.errors import InvalidInputError
from mdstore.service.coordinator import Page

__all__ = ["Proven", "proven"]

NO_ROWS = pl.DataFrame(
    schema={name: pl.Int64 if name == "timestamp" else pl.Float64 for name in CANDLE_COLUMNS}
)


@dataclass(frozen=True, slots=True)
class Proven:
    """The rows of a page in the range that was asked for, and the range of which they are all there is."""

    rows: pl.DataFrame
    start: int
    end: int


def proven(page: Page, symbol: str, timeframe: Timeframe, most: int, now: int) -> Proven:
    """Return what a page is worth; `most` is how many rows the source gives at most.

    - Rows that are no candles, of another symbol or timeframe, or off the grid, are no page. Raises
      `MarketDataError`.
    - A page that is full covers no more than its rows: what was cut off, nobody knows.
    - Nor does one with rows behind the range: the source did not keep to it, and may have left out what lies
      before them. The one bar at its end is no such sign, since for many sources the end is included.
    """
    rows = _rows(page.rows, symbol, timeframe, now)
    time = pl.col("timestamp")
    inside = rows.filter((time >= page.start) & (time < page.end))
    behind = rows.filter(time > page.end)
    times = rows["timestamp"]
    if len(rows) and inside.is_empty() and not _is_at_end(rows, page):
        first, last = (ms_to_datetime(int(times[at])) for at in (0, -1))
        raise InvalidInputError(
            f"asked for {symbol} {timeframe} of [{ms_to_datetime(page.start)}, {ms_to_datetime(page.end)}), "
            f"the source gave bars from {first} to {last}: it did not keep to the range, and proves nothing"
        )
    if len(behind) == 0 and len(rows) < min(most, timeframe.span(page.start, page.end)):
        return Proven(inside, page.start, page.end)
    if inside.is_empty():
        return Proven(inside, page.start, page.end)
    there = inside["timestamp"]
    return Proven(inside, int(there[0]), timeframe.next(int(there[-1])))


def _is_at_end(rows: pl.DataFrame, page: Page) -> bool:
    return len(rows) == 1 and rows["timestamp"][0] == page.end


def _rows(data: object, symbol: str, timeframe: Timeframe, now: int) -> pl.DataFrame:
    """Return rows as candles, ascending, each time once."""
    if isinstance(data, list | tuple) and not data:
        return NO_ROWS
    parts = []
    for piece in Incoming(data, CANDLE_COLUMNS, symbol=symbol, timeframe=str(timeframe)):
        checked = check(piece.frame, (symbol, timeframe), Terms(TimeStyle(), None, now), 0, piece.row)
        _refuse_bad(checked)
        parts += [group.rows for group in checked.groups]
    whole = pl.concat([NO_ROWS, *(part.select(CANDLE_COLUMNS) for part in parts)])
    return whole.unique("timestamp", keep="last").sort("timestamp")


def _refuse_bad(checked: Checked) -> None:
    if len(checked.bad):
        raise first_error(checked.bad, checked.rows)
    if checked.conflict is not None:
        raise conflict_error(checked.conflict, checked.conflicts)
