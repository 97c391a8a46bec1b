"""Holes of one series or of many, cut where their reason changes, with the reason of each.

The calendar says when a market was closed, the coverage what somebody has said or asked for; what nobody
knows is `unknown`. Nothing is guessed. All series go through the same few queries: one by one 10,000 of them
take eight seconds, most of it to plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from mdstore.candles.file.catalogue import Series
from mdstore.candles.ledger.coverage import Interval
from mdstore.candles.reads.holes_between import HOLES
from mdstore.core.calendars import ALWAYS, Grid
from mdstore.core.hole_reasons import OF_THE_INSTRUMENT

__all__ = ["EXPLAINED", "KnownSeries", "by_grid", "explained"]

EXPLAINED = {
    "series": pl.UInt32, "start": pl.Int64, "end": pl.Int64, "bars": pl.Int64,
    "reason": pl.String, "source": pl.String, "asked": pl.Int64,
}  # fmt: skip
SAID = {
    "series": pl.UInt32, "start": pl.Int64, "said_until": pl.Int64,
    "said": pl.String, "source": pl.String, "asked": pl.Int64,
}  # fmt: skip
SAME = ("series", "reason", "source", "asked")


@dataclass(frozen=True, slots=True)
class KnownSeries:
    """What is known of one series; `early` are bars that were stored before they had ended."""

    symbol: str
    stored: Series | None
    grid: Grid
    known: Sequence[Interval]
    early: Sequence[int]


def by_grid(known: Sequence[KnownSeries]) -> dict[Grid, pl.Series]:
    """Return the numbers of series by the grid that they share."""
    numbers: dict[Grid, list[int]] = {}
    for number, one in enumerate(known):
        numbers.setdefault(one.grid, []).append(number)
    return {grid: pl.Series(of, dtype=pl.UInt32) for grid, of in numbers.items()}


def explained(holes: pl.DataFrame, known: Sequence[KnownSeries], now: int) -> pl.DataFrame:
    """Cut holes where their reason changes, and say it; the result has the columns `EXPLAINED`.

    `holes` are `series`, the place in `known`, `start` and `end` (ms, starts of bars), sorted by the first
    two and apart from each other.
    """
    if holes.is_empty():
        return pl.DataFrame(schema=EXPLAINED)
    grid = known[0].grid
    forming = grid.timeframe.floor(now)
    said, closed = _said(holes, known), _closed(holes, known)
    holes = _cut(holes, pl.concat([_inside(holes, said), *_bounds(holes, closed, forming)]))
    is_said, shut = pl.col("start") < pl.col("said_until"), pl.col("start") < pl.col("shut_until")
    why = (
        pl.when(is_said & pl.col("said").is_in(OF_THE_INSTRUMENT)).then("said")
        .when(shut).then(pl.lit("session_closed"))
        .when(is_said).then("said")
        .when(pl.col("start") >= forming).then(pl.lit("forming"))
        .otherwise(pl.lit("unknown"))
    )  # fmt: skip
    stands = is_said & (pl.col("reason") == pl.col("said"))
    holes = (
        _with_what_is_said(holes, said)
        .with_columns(_shut_until(holes, closed).alias("shut_until")).lazy()
        .with_columns(why.alias("reason"))
        .with_columns(pl.when(stands).then(name) for name in ("source", "asked"))
        .select("start", "end", *SAME).collect(engine="in-memory")
    )  # fmt: skip
    joined = _joined(holes) if len(said) or closed else holes
    return joined.with_columns(grid.count(joined["start"], joined["end"]).alias("bars")).select(
        tuple(EXPLAINED)
    )


# ---- what is known of holes


def _said(holes: pl.DataFrame, known: Sequence[KnownSeries]) -> pl.DataFrame:
    """Return what is said of ranges that reach into the holes of their series."""
    if not any(one.known for one in known):
        return pl.DataFrame(schema=SAID)
    reach = holes.group_by("series", maintain_order=True).agg(pl.col("start").first(), pl.col("end").last())
    rows = [
        (number, one.start, one.end, one.reason, one.source or None, one.asked)
        for number, low, high in reach.iter_rows()
        for one in known[number].known
        if one.end > low and one.start < high
    ]
    return pl.DataFrame(rows, SAID, orient="row")


@dataclass(frozen=True, slots=True)
class _Closed:
    """When a market is closed, and the numbers of its series."""

    numbers: pl.Series
    starts: pl.Series
    ends: pl.Series

    def of(self, holes: pl.DataFrame) -> pl.Series:
        """Tell which holes are of its series."""
        return holes["series"].is_in(self.numbers.implode())


def _closed(holes: pl.DataFrame, known: Sequence[KnownSeries]) -> list[_Closed]:
    """Return the times at which each market is closed, between its series' first hole and the last."""
    found = []
    for grid, numbers in by_grid(known).items():
        some = holes.filter(holes["series"].is_in(numbers.implode()))
        if len(some) and grid.calendar != ALWAYS:
            starts, ends = grid.closed(some["start"].min(), some["end"].max())  # type: ignore[arg-type]
            found.append(_Closed(numbers, starts, ends))
    return found


# ---- frames


def _inside(holes: pl.DataFrame, said: pl.DataFrame) -> pl.DataFrame:
    """Return the bounds of what is said that lie inside of holes, as `series` and `time`."""
    bounds = pl.concat(
        [said.select("series", pl.col(name).alias("time")) for name in ("start", "said_until")]
    )
    if bounds.is_empty():
        return bounds
    before = holes.select("series", pl.col("start").alias("time"), "end")
    bounds = bounds.sort("time").join_asof(
        before.sort("time"), on="time", by="series", allow_exact_matches=False, check_sortedness=False
    )
    return bounds.filter(pl.col("time") < pl.col("end")).select("series", "time")


def _bounds(holes: pl.DataFrame, closed: Sequence[_Closed], forming: int) -> list[pl.DataFrame]:
    """Return the bounds that all holes share, or all of a market, where they lie inside of holes."""
    found = [_shared(holes, pl.Series([forming]))]
    for one in closed:
        bounds = pl.concat([one.starts, one.ends]).unique().sort()
        found.append(_shared(holes.filter(one.of(holes)), bounds))
    return found


def _shared(holes: pl.DataFrame, bounds: pl.Series) -> pl.DataFrame:
    """Return, for each hole, the bounds (ascending) that lie inside of it."""
    low = bounds.search_sorted(holes["start"], side="right").cast(pl.Int64)
    high = bounds.search_sorted(holes["end"], side="left").cast(pl.Int64)
    cut = pl.DataFrame({"series": holes["series"], "low": low, "high": high}).filter(low < high)
    places = cut.select("series", pl.int_ranges("low", "high").alias("place")).explode("place")
    return places.select("series", bounds.gather(places["place"]).alias("time"))


def _cut(holes: pl.DataFrame, bounds: pl.DataFrame) -> pl.DataFrame:
    """Cut holes at bounds, each of which lies inside of one."""
    if bounds.is_empty():
        return holes
    bounds = bounds.unique()
    starts, ends = (
        pl.concat([holes.select("series", time=name), bounds]).sort("series", "time")
        for name in ("start", "end")
    )
    return pl.DataFrame({"series": starts["series"], "start": starts["time"], "end": ends["time"]}, HOLES)


def _with_what_is_said(holes: pl.DataFrame, said: pl.DataFrame) -> pl.DataFrame:
    """Add what is said of the start of each hole, or of a time before: up to `said_until`."""
    if said.is_empty():
        return holes.with_columns(pl.lit(None, dtype).alias(name) for name, dtype in list(SAID.items())[2:])
    number = pl.int_range(pl.len()).alias("number")
    found = (
        holes.with_columns(number)
        .sort("start")
        .join_asof(said.sort("start"), on="start", by="series", coalesce=True, check_sortedness=False)
    )
    return found.sort("number").drop("number")


def _shut_until(holes: pl.DataFrame, closed: Sequence[_Closed]) -> pl.Series:
    """Return until when the market of each hole is closed that closed last, at its start or before."""
    until = pl.Series([None], dtype=pl.Int64).new_from_index(0, len(holes))
    for one in closed:
        if len(one.starts):
            place = one.starts.search_sorted(holes["start"], side="right").cast(pl.Int64) - 1
            until = one.ends.gather(place.clip(0)).zip_with((place >= 0) & one.of(holes), until)
    return until


def _joined(holes: pl.DataFrame) -> pl.DataFrame:
    """Make one hole of those beside each other of which the same is said."""
    same = holes["start"] == holes["end"].shift(1)
    for name in SAME:
        same &= holes[name].eq_missing(holes[name].shift(1))
    first = ~same.fill_null(value=False)
    if first.all():
        return holes
    number = first.cum_sum().alias("number")
    whole = holes.group_by(number, maintain_order=True)
    return whole.agg(pl.all().exclude("end").first(), pl.col("end").last()).drop("number")
