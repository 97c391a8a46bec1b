"""Holes that all series share: where nobody has a bar, the market was down, not the symbol quiet."""

from __future__ import annotations

import polars as pl

__all__ = ["shared_holes"]

LEAST = 2
"""Series that must be there: a hole of the only one is shared by nobody."""
# A market that is closed lacks nothing; and where somebody has said that it was down, nobody need be told.
CLOSED, SAID = "session_closed", "exchange_down"
QUIET = "no_trade"
"""Whoever says so has looked, and was answered: the market was there, and nothing was traded."""


def shared_holes(holes: pl.DataFrame, extents: pl.DataFrame) -> pl.DataFrame:
    """Return the ranges in which every series lacks its bars: `start`, `end`, `series` (how many there are).

    `holes` has `start`, `end` (ms) and `reason`, of series of one timeframe; `extents` has `start` and `end`
    of each series, from its first bar to its last. A series counts where it could have a bar. What is said of
    all to be the exchange's own is left out, and where it is said of any that nothing was traded.

    >>> holes = pl.DataFrame({"start": [60, 30], "end": [120, 90], "reason": ["unknown"] * 2})
    >>> shared_holes(holes, pl.DataFrame({"start": [0, 0], "end": [300, 300]})).rows()
    [(60, 90, 2)]
    """
    lacking = holes.filter(~pl.col("reason").is_in([CLOSED, QUIET]))
    steps = pl.concat([
        _steps(extents, "there", 1),
        _steps(holes.filter(pl.col("reason") == CLOSED), "there", -1),
        _steps(lacking, "lacking", 1),
        _steps(lacking.filter(pl.col("reason") == SAID), "said", 1),
    ])  # fmt: skip
    changes = steps.group_by("at").agg(pl.col("there", "lacking", "said").sum()).sort("at")
    spans = changes.select(
        pl.col("at").alias("start"),
        pl.col("at").shift(-1).alias("end"),
        pl.col("there", "lacking", "said").cum_sum(),
    )
    shared = spans.filter(
        (pl.col("there") >= LEAST)
        & (pl.col("lacking") == pl.col("there"))
        & (pl.col("said") < pl.col("there"))
    )
    # Side by side they are one: a series has begun or ended in it.
    begins = (pl.col("start") != pl.col("end").shift(1)).fill_null(value=True).cum_sum().alias("run")
    return (
        shared.with_columns(begins)
        .group_by("run", maintain_order=True)
        .agg(pl.col("start").first(), pl.col("end").last(), pl.col("there").max().alias("series"))
        .drop("run")
    )


def _steps(ranges: pl.DataFrame, name: str, by: int) -> pl.DataFrame:
    """Return where a count goes up and down again: a row for each end of each range."""
    counts = {
        one: pl.lit(by if one == name else 0, pl.Int64).alias(one) for one in ("there", "lacking", "said")
    }
    ups = ranges.select(pl.col("start").cast(pl.Int64).alias("at"), *counts.values())
    downs = ranges.select(pl.col("end").cast(pl.Int64).alias("at"), *(-one for one in counts.values()))
    return pl.concat([ups, downs])
