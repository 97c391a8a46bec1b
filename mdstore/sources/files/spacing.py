"""A timeframe from the timestamps themselves: the most common distance between neighbours."""

from __future__ import annotations

import polars as pl

from mdstore.core.timeframe import DAY, HOUR, MINUTE, SECOND, WEEK, Timeframe
from mdstore.core.timestamps import Unit, column_to_ms

__all__ = ["contradicts", "timeframe_of"]

UNITS = (("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND))
# So many bars that are all whole multiples of a longer one apart are bars of that.
REGULAR = 30
SHORTEST_MONTH, LONGEST_MONTH, MEAN_MONTH = 28 * DAY, 31 * DAY, 30.44 * DAY


def timeframe_of(frame: pl.DataFrame, unit: Unit | None) -> Timeframe | None:
    """Return the bar length that the `timestamp` column suggests; None if it suggests none.

    Gaps and nights do not matter, since the most common distance counts. Bars on the first of every month
    are months, bars on Mondays every seven days are weeks.
    """
    stamps = column_to_ms(frame["timestamp"], unit)[0].alias("ms")
    series = frame["symbol"] if "symbol" in frame.columns else pl.repeat("", len(frame), eager=True)
    bars = pl.DataFrame([series.alias("symbol"), stamps]).drop_nulls("ms").unique().sort("symbol", "ms")
    steps = bars.select(pl.col("ms").diff().over("symbol").drop_nulls())["ms"]
    if not len(steps):
        return None
    counts = steps.value_counts().sort(["count", "ms"], descending=[True, False])
    return _named(int(counts["ms"][0]), bars["ms"])


def contradicts(frame: pl.DataFrame, timeframe: str | None, spacing: str | None, unit: Unit | None) -> bool:
    """Tell whether rows cannot be bars of a timeframe that their file's name seems to say.

    `data_6m` may be six months of 15m bars: these start where no 6m bar does, and all of many are 15m apart.
    """
    if timeframe is None or spacing is None or timeframe == spacing:
        return False
    said, apart = Timeframe.parse(timeframe), Timeframe.parse(spacing)
    stamps = column_to_ms(frame["timestamp"], unit)[0].drop_nulls().alias("ms").unique()
    if apart.shortest_ms < said.shortest_ms or not _on_grid(stamps, apart):
        return False
    return not _on_grid(stamps, said) or len(stamps) >= REGULAR


def _named(step: int, stamps: pl.Series) -> Timeframe | None:
    months = round(step / MEAN_MONTH)
    likely = months * SHORTEST_MONTH <= step <= months * LONGEST_MONTH
    if months and likely and _on_grid(stamps, Timeframe(1, "M")):
        return Timeframe(months, "M")
    if step % WEEK == 0:
        weeks = Timeframe(step // WEEK, "w")
        return weeks if _on_grid(stamps, Timeframe(1, "w")) else None
    for unit, size in UNITS:
        if step % size == 0:
            return Timeframe.parse(f"{step // size}{unit}")
    return None


def _on_grid(stamps: pl.Series, bar: Timeframe) -> bool:
    starts = stamps.to_frame().select(bar.floor_expr(pl.col(stamps.name)).alias("start"))["start"]
    return bool((starts == stamps).all())
