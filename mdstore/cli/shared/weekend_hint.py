"""A hint for users whose stocks seem to be full of holes: the market was closed, and nobody has said when.

Markets that close at weekends have next to no bars on Saturdays and Sundays (UTC), and many more on the
other days, however rarely they trade. Holes that are longer than a holiday are not looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from mdstore.core.calendars import calendar_of
from mdstore.core.likely_calendars import likely_calendars
from mdstore.core.timeframe import DAY, WEEK, Timeframe

if TYPE_CHECKING:
    from mdstore.store.store import MarketDataStore

__all__ = ["may_close", "resting", "weekend_hint"]

FIRST_SATURDAY = 2 * DAY  # 1970 began on a Thursday
# How long markets close: two days at a weekend, less if they open on Sunday night, five with holidays.
WEEKEND, SUNDAY_NIGHT, LONGEST = 2 * DAY, 3 * 3_600_000, 5 * DAY
# Weekdays have at least so many times more bars than weekends, in the same time.
TIMES = 10


def weekend_hint(
    store: MarketDataStore, series: pl.DataFrame, extents: pl.DataFrame, holes: pl.DataFrame
) -> str | None:
    """Return a hint to set a calendar, if there are series without one that seem to rest at weekends.

    `extents` has `start` and `end` (ms) of each series; `holes` has `row` (the row of `series`, from 0),
    `start`, `end` (ms) and `reason`.
    """
    if holes.is_empty():
        return None
    rows = resting(extents, holes)
    listed = series.select(pl.col("symbol").cast(pl.String), "timeframe").rows()
    candidates = may_close(store, [listed[row] for row in rows])
    if not candidates:
        return None
    symbol = candidates[0]
    more = f" (and {len(candidates) - 1:,} more like it)" if len(candidates) > 1 else ""
    first, *others = likely_calendars(symbol)
    besides = f" (or {', '.join(others)})" if others else ""
    return (
        f"Hint: if {symbol}{more} trades on an exchange with weekends, say which: "
        f"mdstore calendar '{symbol}' {first}{besides}"
    )


def may_close(store: MarketDataStore, keys: list[tuple[str, str]]) -> list[str]:
    """Return the symbols without a calendar among those with bars of a day or shorter."""
    patterns = dict.fromkeys(store.calendars()["pattern"], "set")
    return list(
        dict.fromkeys(
            symbol
            for symbol, name in keys
            if Timeframe.is_name(name)
            and (Timeframe.parse(name).ms or WEEK) <= DAY
            and calendar_of(symbol, patterns) != "set"
        )
    )


def resting(extents: pl.DataFrame, holes: pl.DataFrame) -> list[int]:
    """Return the rows that have bars on weekdays, next to none at weekends, and no reason for that."""
    whole = extents.with_columns(pl.int_range(pl.len()).alias("row")).with_columns(*_parts())
    length = pl.col("end") - pl.col("start")
    is_rest = (pl.col("reason") == "unknown") & (length <= LONGEST)
    sums = (
        holes.with_columns(*_parts(), is_rest.alias("is_rest"))
        .group_by("row")
        .agg(
            pl.col(name).filter(pl.col("is_rest") == rest).sum().alias(f"{name}_{kind}")
            for name in ("weekend", "week")
            for kind, rest in (("rest", True), ("other", False))
        )
    )
    both = whole.join(sums, on="row")
    could = {name: pl.col(name) - pl.col(f"{name}_other") for name in ("weekend", "week")}
    held = {name: could[name] - pl.col(f"{name}_rest") for name in ("weekend", "week")}
    found = both.filter(
        (pl.col("weekend_rest") >= WEEKEND - SUNDAY_NIGHT)
        & (held["week"] > 0)
        & (held["weekend"] / could["weekend"] * TIMES <= held["week"] / could["week"])
    )
    rows: list[int] = found["row"].sort().to_list()
    return rows


def _parts() -> list[pl.Expr]:
    """Return how many milliseconds from start to end are of weekends, and how many are not."""
    weekend = _weekends_before(pl.col("end")) - _weekends_before(pl.col("start"))
    return [weekend.alias("weekend"), (pl.col("end") - pl.col("start") - weekend).alias("week")]


def _weekends_before(time: pl.Expr) -> pl.Expr:
    since = time - FIRST_SATURDAY
    return since.floordiv(WEEK) * WEEKEND + (since % WEEK).clip(None, WEEKEND)
