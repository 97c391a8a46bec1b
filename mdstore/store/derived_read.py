"""Derived bars: a read of a stored timeframe, put together to a longer one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import polars as pl

from mdstore.analysis.resample import bar_starts, reach, resample, symbol_ends
from mdstore.candles.file.table_reads import Request
from mdstore.candles.ledger.coverage import Interval
from mdstore.candles.ledger.ledger import Known
from mdstore.candles.reads.explanation import Reader
from mdstore.core.arguments import column_list
from mdstore.core.calendars import Grid, calendar_of
from mdstore.core.extra_columns import Extra
from mdstore.core.hole_reasons import NEVER_BARS
from mdstore.core.long_table import latest_of_each
from mdstore.core.time_bounds import FOREVER
from mdstore.core.timeframe import DAY, Timeframe

__all__ = ["MADE", "Bars", "derived", "of_source", "put_together", "with_of"]

MADE = ("closed", "bars", "of")
"""The columns of a derived bar beside those of a stored one."""
NONE = pl.Series([], dtype=pl.Int64)


def derived(
    candles: Reader,
    request: Request,
    source: Timeframe,
    tz: str | None,
    columns: Sequence[str] | None,
) -> pl.DataFrame:
    """Return bars of `request.timeframe` made of those of `source`; range and limit count the bars made."""
    known = (*request.columns, *MADE)
    wanted = known if columns is None else column_list(columns, known)
    answer = candles.read(of_source(request, source, tz))
    bars = Bars(answer.frame(), answer.symbols, answer.ends, answer.lasts)
    made = put_together(candles, bars, request, source, tz, of="of" in wanted)
    return latest_of_each(made, request.limit).select(wanted)


@dataclass(frozen=True, slots=True)
class Bars:
    """Source bars: those of the i-th symbol end at row `ends[i]`, the last that is over is at `lasts[i]`.

    `closed` tells of each whether it had ended when it came; None where that is what the ledger says.
    """

    frame: pl.DataFrame
    symbols: Sequence[str]
    ends: Sequence[int]
    lasts: Sequence[int]
    closed: pl.Series | None = None


def of_source(request: Request, source: Timeframe, tz: str | None) -> Request:
    """Return the request for the source bars that the bars of a request are made of."""
    start, end = reach(request.timeframe, request.start, request.end, tz)
    bars = None if request.limit is None else _bars_for(request.limit, request.timeframe, source)
    return replace(request, timeframe=source, start=start, end=end, limit=bars)


def put_together(
    candles: Reader, bars: Bars, request: Request, source: Timeframe, tz: str | None, *, of: bool
) -> pl.DataFrame:
    """Make bars of source bars; without `of`, that column is of all that the clock has room for."""
    said = candles.ledger.known(bars.symbols, str(source))
    made = resample(
        bars.frame, source, request.timeframe, tz=tz, ends=bars.ends, lasts=bars.lasts,
        calendars=[calendar_of(symbol, said.calendars) for symbol in bars.symbols],
        extras={one.name: one.resample for one in _extras(candles, request)},
    )  # fmt: skip
    if request.as_of is None:  # of the past nobody has kept it
        made = _open_where(made, _unfinished(bars, said))
    if not of:
        return made
    return _without_what_never_was(made, bars.frame, bars.symbols, bars.ends, said, request, source, tz)


def _unfinished(bars: Bars, said: Known) -> Sequence[int]:
    """Return the rows of source bars that had not ended when they came."""
    if bars.closed is not None:
        return (~bars.closed).arg_true().to_list()
    found, times = list[int](), bars.frame["timestamp"].to_physical()
    for early, (low, high) in zip(said.unfinished, pairwise([0, *bars.ends]), strict=True):
        if early:
            part = times.slice(low, high - low)
            found += (part.is_in(pl.Series(early).implode()).arg_true() + low).to_list()
    return found


def _open_where(made: pl.DataFrame, rows: Sequence[int]) -> pl.DataFrame:
    """Take back that bars are closed in which some source bars are, by their rows."""
    if not rows:
        return made
    places = made["bars"].cum_sum().search_sorted(pl.Series(rows), side="right")
    return made.with_columns(made["closed"].scatter(places, values=False))


def _extras(candles: Reader, request: Request) -> list[Extra]:
    """Return the declared columns of a request."""
    return [one for one in candles.ledger.declared() if one.name in request.extras] if request.extras else []


def _without_what_never_was(  # noqa: PLR0917 - what was read, what was made of it, and what is said of it
    made: pl.DataFrame,
    frame: pl.DataFrame,
    symbols: Sequence[str],
    ends: Sequence[int],
    said: Known,
    request: Request,
    source: Timeframe,
    tz: str | None,
) -> pl.DataFrame:
    """Take out of `of` the source bars that are known never to have been."""
    told = {
        symbol: never
        for symbol, intervals in zip(symbols, said.intervals, strict=True)
        if (never := _never(intervals, request.as_of))
    }
    if not told or made.is_empty():
        return made
    present = [
        (symbol, rows)
        for symbol, rows in zip(symbols, pairwise([0, *ends]), strict=True)
        if rows[0] < rows[1]
    ]
    counts = []
    for (symbol, (low, high)), (first, last) in zip(present, pairwise([0, *symbol_ends(made)]), strict=True):
        part = made.slice(first, last - first)
        if symbol in told:
            market = Grid(source, calendar_of(symbol, said.calendars))
            rows = frame.slice(low, high - low)
            counts.append(could_hold(part, rows, request.timeframe, tz, market, told[symbol]))
        else:
            counts.append(part["of"])
    return made.with_columns(pl.concat(counts).alias("of"))


def with_of(
    candles: Reader, made: pl.DataFrame, request: Request, source: Timeframe, tz: str | None
) -> pl.DataFrame:
    """Give `of` to bars that have none, since they were filled in: no source bar is in them."""
    empty = made["of"].is_null()
    if not empty.any():
        return made
    symbols = made["symbol"].unique().cast(pl.String).to_list() if request.is_long else request.symbols or ()
    said = candles.ledger.known(symbols, str(source))
    of = made["of"]
    for symbol, intervals in zip(symbols, said.intervals, strict=True):
        its = empty & (made["symbol"].cast(pl.String) == symbol) if request.is_long else empty
        market = Grid(source, calendar_of(symbol, said.calendars))
        told = _never(intervals, request.as_of)
        bars = made.filter(its)
        held = could_hold(bars, bars.clear(), request.timeframe, tz, market, told)
        of = of.scatter(its.arg_true(), held)
    return made.with_columns(of.alias("of"))


def _never(intervals: Sequence[Interval], as_of: int | None) -> list[Interval]:
    return [one for one in intervals if one.reason in NEVER_BARS and (as_of is None or one.asked <= as_of)]


def could_hold(  # noqa: PLR0917 - the bars, what they are of, and how they are cut
    made: pl.DataFrame,
    rows: pl.DataFrame,
    target: Timeframe,
    tz: str | None,
    market: Grid,
    told: Sequence[Interval],
) -> pl.Series:
    """Return how many source bars each bar of one series could be made of; `rows` are those there are."""
    starts = made["timestamp"].to_physical()
    if starts.is_empty():
        return NONE
    cuts = bar_starts(target, tz, starts[0], starts[-1] + target.longest_ms + 2 * DAY)
    ends = cuts.gather(cuts.search_sorted(starts, side="right"))
    asked = [(max(one.start, starts[0]), min(one.end, ends[-1])) for one in told]
    never = pl.concat([NONE, *(market.starts(*each).alias("") for each in asked if each[0] < each[1])])
    never = never.filter(~never.is_in(rows["timestamp"].to_physical().implode()))
    bar = starts.search_sorted(never, side="right").cast(pl.Int64) - 1
    inside = bar.filter((bar >= 0) & (never < ends.gather(bar.clip(0))))
    counts = inside.alias("bar").value_counts(name="never")
    places = pl.DataFrame({"bar": pl.int_range(len(starts), eager=True)})
    less = places.join(counts, on="bar", how="left", maintain_order="left")["never"].fill_null(0)
    return market.expected_in(starts, ends) - less.cast(pl.Int64)


def _bars_for(limit: int, target: Timeframe, source: Timeframe) -> int:
    """Return how many source bars surely make `limit` whole ones: holes only make them reach further back.

    One more for the earliest, which may be cut, and one for a day of 25 hours.
    """
    return min((limit + 2) * -(-target.longest_ms // source.shortest_ms), FOREVER)
