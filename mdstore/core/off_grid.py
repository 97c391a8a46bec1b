"""Times that are not the start of a bar: days of a zone, and rows that are moved to the start of theirs.

A day that begins at midnight of its own zone (a Korean stock's at 00:00+09:00, the day before in UTC) bears
that date. What is moved to the start of its day goes by the date that its own clock shows, too. And a row
that had to be moved (the half bar of a download at 03:28:14) never takes the place of one that stood where it
belongs.
"""

from __future__ import annotations

import polars as pl

from mdstore.core.time_style import TimeStyle
from mdstore.core.timeframe import DAY, Timeframe
from mdstore.core.timestamps import wall_clock
from mdstore.errors import Hint, TimestampError

__all__ = ["AS_DATES", "Align", "dated", "exact_first"]

Align = str
"""What is done with times that start no bar: "floor", or the zone whose dates they are."""

AS_DATES = "bars at midnight of their own time zone are taken as that date"


def dated(
    typed: pl.DataFrame, times: pl.Series, bar: Timeframe, style: TimeStyle, align: Align | None = None
) -> pl.DataFrame:
    """Give rows of days, or longer bars, that are at midnight of their own zone the date they have there.

    With `align="floor"` all that start no bar get the time that their own clock shows, with a zone for
    `align` the date that it was there. `typed` has the column `timestamp` (ms, UTC), `times` are the same as
    they were given. Times without a zone, or in UTC, stay, unless the call names a zone.
    """
    zone = None if align in (None, "floor") else align
    if bar.shortest_ms < DAY:
        if zone is not None:
            raise TimestampError(
                f"align={zone!r} takes the dates of days and longer bars, and these are {bar} bars",
                hint=Hint("leave align= out, or align='floor'", "leave --align out, or --align floor"),
            )
        return typed
    stamps = typed["timestamp"]
    wall = _clock(stamps, zone) if zone is not None else _wall(stamps, times, style)
    if wall is None:
        return typed
    dates = wall - wall % DAY
    if zone is not None:
        return typed.with_columns(dates.alias("timestamp"), pl.lit(value=True).alias("whole"))
    at_midnight = (wall == dates).fill_null(value=False)
    off = at_midnight & (wall != stamps)
    if align == "floor":
        starts = typed.select(bar.floor_expr(pl.col("timestamp"))).to_series()
        off |= ((starts != stamps) & wall.is_not_null()).fill_null(value=False)
    if not off.any():
        return typed
    return typed.with_columns(
        pl.when(off).then(wall).otherwise(stamps).alias("timestamp"),
        ((at_midnight & off) | typed["whole"]).alias("whole"),
    )


def _wall(stamps: pl.Series, times: pl.Series, style: TimeStyle) -> pl.Series | None:
    """Return what the clocks of their own zones show at times; that of the call for times in UTC."""
    wall = wall_clock(times, style)
    if style.tz is None:
        return wall
    there = _clock(stamps, style.tz)
    return there if wall is None else there.zip_with((wall.is_null() | (wall == stamps)), wall)


def _clock(stamps: pl.Series, zone: str) -> pl.Series:
    moments = stamps.cast(pl.Datetime("ms", "UTC")).dt.convert_time_zone(zone)
    return moments.dt.replace_time_zone(None).to_physical()


def exact_first(good: pl.DataFrame, keys: list[str]) -> pl.Series | None:
    """Tell which rows stay: not those that were `moved` onto a bar where another row stood. None is all."""
    if not good["moved"].any():
        return None
    exact = good.filter(~pl.col("moved")).select(keys).unique().with_columns(taken=True)
    taken = good.select(*keys).join(exact, on=keys, how="left", maintain_order="left")["taken"]
    yields = good["moved"] & taken.fill_null(value=False)
    return ~yields if yields.any() else None
