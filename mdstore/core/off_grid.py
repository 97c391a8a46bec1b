"""Times that are not the start of a bar: days of a zone, and rows that are moved to the start of theirs.

A day that begins at midnight of its own zone (a Korean stock's at 00:00+09:00, the day before in UTC) bears
that date. And a row that had to be moved (the half bar of a download at 03:28:14) never takes the place of
one that stood where it belongs.
"""

from __future__ import annotations

import polars as pl

from mdstore.core.time_style import TimeStyle
from mdstore.core.timeframe import DAY, Timeframe
from mdstore.core.timestamps import wall_clock

__all__ = ["AS_DATES", "dated", "exact_first"]

AS_DATES = "bars at midnight of their own time zone are taken as that date"


def dated(typed: pl.DataFrame, times: pl.Series, bar: Timeframe, style: TimeStyle) -> pl.DataFrame:
    """Give rows of days, or longer bars, that are at midnight of their own zone the date they have there.

    `typed` has the column `timestamp` (ms, UTC), `times` are the same as they were given. Times without a
    zone, or in UTC, stay.
    """
    if bar.shortest_ms < DAY:
        return typed
    wall = wall_clock(times, style)
    if wall is None:
        return typed
    at_midnight = (wall % DAY == 0).fill_null(value=False) & (wall != typed["timestamp"])
    if not at_midnight.any():
        return typed
    return typed.with_columns(
        pl.when(at_midnight).then(wall).otherwise(typed["timestamp"]).alias("timestamp"),
        (at_midnight | typed["whole"]).alias("whole"),
    )


def exact_first(good: pl.DataFrame, keys: list[str]) -> pl.Series | None:
    """Tell which rows stay: not those that were `moved` onto a bar where another row stood. None is all."""
    if not good["moved"].any():
        return None
    exact = good.filter(~pl.col("moved")).select(keys).unique().with_columns(taken=True)
    taken = good.select(*keys).join(exact, on=keys, how="left", maintain_order="left")["taken"]
    yields = good["moved"] & taken.fill_null(value=False)
    return ~yields if yields.any() else None
