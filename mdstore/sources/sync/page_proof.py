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
from mdstore.sources.sync.coordinator import Page

__all__ = ["Proven", "candle_rows", "proven"]

NO_ROWS = pl.DataFrame(
    schema={name: pl.Int64 if name == "timestamp" else pl.Float64 for name in CANDLE_COLUMNS}
)


@dataclass(frozen=True, slots=True)
class Proven:
    """The rows of a page in the range that was asked for, and the range of which they are all there is."""

    rows: pl.DataFrame
    start: int
    end: int


def proven(page: Page, symbol: str, timeframe: Timeframe, most: int, times: tuple[int, int]) -> Proven:
    """Return what a page is worth; `most` is how many rows the source gives at most.

    `times` are now, and by how much a bar may come late, both in ms.

    - Rows that are no candles, of another symbol or timeframe, or off the grid, are no page. Raises
      `MarketDataError`.
    - A page that is full covers no more than its rows: what was cut off, nobody knows.
    - Nor does one with rows behind the range: the source did not keep to it, and may have left out what lies
      before them. The one bar at its end is no such sign, since for many sources the end is included.
    - Bars that have just ended may yet be published: those that are absent behind the last row, and ended no
      longer ago than a bar may come late, are not covered.
    """
    now, late = times
    rows, given = candle_rows(page.rows, symbol, timeframe, now)
    settled = min(page.end, timeframe.floor(now - late))
    time = pl.col("timestamp")
    inside = rows.filter((time >= page.start) & (time < page.end))
    is_full = given >= min(most, timeframe.span(page.start, page.end))
    if len(rows) and inside.is_empty() and (is_full or not _is_at_end(rows, page)):
        first, last = (ms_to_datetime(int(rows["timestamp"][at])) for at in (0, -1))
        raise InvalidInputError(
            f"asked for {symbol} {timeframe} of [{ms_to_datetime(page.start)}, {ms_to_datetime(page.end)}), "
            f"the source gave bars from {first} to {last}: it did not keep to the range, and proves nothing"
        )
    if inside.is_empty():
        return Proven(inside, page.start, max(page.start, settled))
    there = inside["timestamp"]
    ends = timeframe.next(int(there[-1]))
    if is_full or len(rows.filter(time > page.end)):
        return Proven(inside, int(there[0]), ends)
    return Proven(inside, page.start, max(ends, settled))


def _is_at_end(rows: pl.DataFrame, page: Page) -> bool:
    return len(rows) == 1 and rows["timestamp"][0] == page.end


def candle_rows(data: object, symbol: str, timeframe: Timeframe, now: int) -> tuple[pl.DataFrame, int]:
    """Return rows as candles, ascending, each time once; and how many were given."""
    if isinstance(data, list | tuple) and not data:
        return NO_ROWS, 0
    parts, given = [], 0
    for piece in Incoming(data, CANDLE_COLUMNS, symbol=symbol, timeframe=str(timeframe)):
        checked = check(piece.frame, (symbol, timeframe), Terms(TimeStyle(), None, now), 0, piece.row)
        _refuse_bad(checked)
        given += checked.rows
        parts += [group.rows for group in checked.groups]
    whole = pl.concat([NO_ROWS, *(part.select(CANDLE_COLUMNS) for part in parts)])
    return whole.unique("timestamp", keep="last").sort("timestamp"), given


def _refuse_bad(checked: Checked) -> None:
    if len(checked.bad):
        raise first_error(checked.bad, checked.rows)
    if checked.conflict is not None:
        raise conflict_error(checked.conflict, checked.conflicts)
