"""Rows of several series under each other, those of each together: what is beside a row in its own series.

A frame bears the numbers of series in its column `series`. To look at neighbours and leave out those of
another series takes a few milliseconds for a million rows; to group by the series first takes ten times that.
"""

from __future__ import annotations

import polars as pl

__all__ = ["ascending", "beside", "first_rows"]


def first_rows(series: pl.Series) -> pl.Series:
    """Tell which rows are the first of their series."""
    return (series != series.shift(1)).fill_null(value=True)


def beside(name: str, rows: int) -> pl.Expr:
    """Return the value of a column so many rows before, in the same series, else null; below 0, behind."""
    series = pl.col("series")
    return pl.when(series == series.shift(rows)).then(pl.col(name).shift(rows))


def ascending(rows: pl.DataFrame) -> bool:
    """Tell whether the times (`start`) of each series ascend, and each comes once."""
    starts = rows["start"]
    return bool(((starts > starts.shift(1)).fill_null(value=True) | first_rows(rows["series"])).all())
