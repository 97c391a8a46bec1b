"""Whether what a source gave is a page of what it was asked for, and what that page proves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from mdstore.core.bad_rows import first_error
from mdstore.core.candle_rules import NO_BAD, Terms, check
from mdstore.core.checked_rows import Checked
from mdstore.core.duplicates import conflict_error
from mdstore.core.extra_columns import Extra
from mdstore.core.inputs import Incoming
from mdstore.core.schema import CANDLE_COLUMNS
from mdstore.core.time_style import TimeStyle
from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import ms_to_datetime
from mdstore.errors import InvalidInputError
from mdstore.sources.sync.coordinator import Page

__all__ = ["Proven", "candle_rows", "checked_rows", "proven", "without_edges"]

NO_ROWS = pl.DataFrame(
    schema={name: pl.Int64 if name == "timestamp" else pl.Float64 for name in CANDLE_COLUMNS}
)
ANY_STYLE = TimeStyle()
FEW_BAD = 10
"""So many rows with a wrong value may be an exchange's mistakes; more, if most are, and it is no page."""


@dataclass(frozen=True, slots=True)
class Proven:
    """The rows of a page in the range that was asked for, and the range of which they are all there is.

    Of the bars of `bad` rows, which have the columns of `candle_rules.BAD_SCHEMA`, nothing is known.
    """

    rows: pl.DataFrame
    start: int
    end: int
    bad: pl.DataFrame = field(default_factory=lambda: NO_BAD, compare=False)

    def without(self, times: pl.Series) -> Proven:
        """Return it without the rows of some times (ms); what it proves is the same."""
        if times.is_empty():
            return self
        rows, bad = (
            frame.filter(~frame[name].is_in(times.implode()))
            for frame, name in ((self.rows, "timestamp"), (self.bad, "time"))
        )
        return replace(self, rows=rows, bad=bad)


def proven(  # noqa: PLR0917 - a page, what was asked for, and what is known of the source
    page: Page,
    symbol: str,
    timeframe: Timeframe,
    most: int,
    times: tuple[int, int],
    extras: Callable[[], Sequence[Extra]] = tuple,
) -> Proven:
    """Return what a page is worth; `most` is how many rows the source gives at most.

    `times` are now, and by how much a bar may come late, both in ms; `extras` gives the declared columns.

    - Rows that are no candles, of another symbol or timeframe, or off the grid, are no page. Raises
      `MarketDataError`.
    - A row with its right time and a wrong value (a high below the low) is `bad`: it says nothing of its bar,
      and the others of theirs. Where most rows are so, and more than a few, it is no page.
    - A page that is full covers no more than its rows: what was cut off, nobody knows.
    - Nor does one with rows behind the range: the source did not keep to it, and may have left out what lies
      before them. The one bar at its end is no such sign, since for many sources the end is included.
    - Bars that have just ended may yet be published: those that are absent behind the last row, and ended no
      longer ago than a bar may come late, are not covered.
    """
    now, late = times
    rows, given, bad = checked_rows(page.rows, symbol, timeframe, now, extras=extras)
    bad = bad.filter((pl.col("time") >= page.start) & (pl.col("time") < page.end)) if len(bad) else bad
    settled = min(page.end, timeframe.floor(now - late))
    time = pl.col("timestamp")
    inside = rows.filter((time >= page.start) & (time < page.end))
    is_full = given >= min(most, timeframe.span(page.start, page.end))
    if len(rows) and inside.is_empty() and bad.is_empty() and (is_full or not _is_at_end(rows, page)):
        first, last = (ms_to_datetime(int(rows["timestamp"][at])) for at in (0, -1))
        raise InvalidInputError(
            f"asked for {symbol} {timeframe} of [{ms_to_datetime(page.start)}, {ms_to_datetime(page.end)}), "
            f"the source gave bars from {first} to {last}: it did not keep to the range, and proves nothing"
        )
    named = pl.concat([inside["timestamp"], bad["time"]]).sort()
    if named.is_empty():
        return Proven(inside, page.start, max(page.start, settled))
    ends = timeframe.next(int(named[-1]))
    if is_full or len(rows.filter(time > page.end)):
        return Proven(inside, int(named[0]), ends, bad)
    return Proven(inside, page.start, max(ends, settled), bad)


def without_edges(good: Proven, timeframe: Timeframe) -> Proven:
    """Leave out what is lacking before the first row, or behind the last, if no hole within is as long.

    A server that gives fewer rows than one says it does looks like that, and gives the others when they are
    asked for by themselves; of bars that never were, that costs one more request.
    """
    times = pl.concat([good.rows["timestamp"], good.bad["time"]]).sort()
    if times.is_empty():
        return good
    ends = [timeframe.next(at) for at in times]
    longest = max((low - high for low, high in zip(times[1:], ends, strict=False)), default=0)
    start = times[0] if times[0] - good.start > longest else good.start
    end = ends[-1] if good.end - ends[-1] > longest else good.end
    return replace(good, start=start, end=end)


def _is_at_end(rows: pl.DataFrame, page: Page) -> bool:
    return len(rows) == 1 and rows["timestamp"][0] == page.end


def candle_rows(data: object, symbol: str, timeframe: Timeframe, now: int) -> pl.DataFrame:
    """Return rows as candles, ascending, each time once. Raises `MarketDataError` where one is none."""
    rows, given, bad = checked_rows(data, symbol, timeframe, now)
    if len(bad):
        raise first_error(bad, given)
    return rows


def checked_rows(
    data: object,
    symbol: str,
    timeframe: Timeframe,
    now: int,
    *,
    style: TimeStyle = ANY_STYLE,
    extras: Callable[[], Sequence[Extra]] = tuple,
) -> tuple[pl.DataFrame, int, pl.DataFrame]:
    """Return rows as candles, how many were given, and those of them of which only the time is right.

    Where most are so, and more than a few, it is no page: that raises `MarketDataError`, as do other times.
    """
    if isinstance(data, list | tuple) and not data:
        return NO_ROWS, 0, NO_BAD
    parts, bad, given = [NO_ROWS], [NO_BAD], 0
    incoming = Incoming(
        data, CANDLE_COLUMNS, symbol=symbol, timeframe=str(timeframe), style=style, extras=extras
    )
    for piece in incoming:
        checked = check(piece.frame, (symbol, timeframe), Terms(style, None, now), 0, piece.row)
        _refuse_no_page(checked)
        given += checked.rows
        parts += [group.rows for group in checked.groups]
        bad.append(checked.bad)
    wrong = pl.concat(bad)
    if len(wrong) > max(FEW_BAD, given / 2):
        raise first_error(wrong, given)
    whole = parts[1] if len(parts) == 2 else pl.concat(parts, how="diagonal")  # noqa: PLR2004 - of one piece
    return whole.unique("timestamp", keep="last").sort("timestamp"), given, wrong


def _refuse_no_page(checked: Checked) -> None:
    """Refuse rows of which one is of no bar that was asked for, and a bar of two values."""
    if checked.conflict is not None:
        raise conflict_error(checked.conflict, checked.conflicts)
    elsewhere = checked.bad.filter(pl.col("column") == "timestamp") if len(checked.bad) else checked.bad
    if len(elsewhere):
        raise first_error(elsewhere, checked.rows)
