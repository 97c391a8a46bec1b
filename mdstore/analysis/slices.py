"""Expressions of many symbols whose candles lie under each other, by the slice of each: nothing is grouped.

To group copies what lies in chunks; what is asked of a slice reads the memory where it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import polars as pl
from polars.exceptions import PanicException, PolarsError

__all__ = ["Part", "reduced", "sliced"]

Part = tuple[int, int]
"""Where a symbol's rows start, and how many they are."""

# What a column itself is asked, in 2 us and its rows; a query takes 15 besides.
REDUCTIONS: dict[str, Callable[[pl.Series], object]] = {
    "mean": pl.Series.mean, "sum": pl.Series.sum, "min": pl.Series.min, "max": pl.Series.max,
}  # fmt: skip
# Slices that are asked together: as quick as all at once, and an interrupt waits for no more.
TOGETHER = 50
# To optimize a query of a slice takes as long as to sum up 5,000 rows, and there is nothing to gain.
AS_IT_IS = pl.QueryOptFlags.none()


def reduced(candles: pl.DataFrame, exprs: Sequence[pl.Expr], parts: Sequence[Part]) -> pl.DataFrame | None:
    """Return a row for each part, of expressions that are each one of `REDUCTIONS` of a column of floats.

    None where one is anything else.
    """
    asked = [_reduction(expr, candles) for expr in exprs]
    if None in asked:
        return None
    found = [
        pl.Series(name, [reduce(column.slice(*part)) for part in parts], pl.Float64)
        for name, column, reduce in filter(None, asked)
    ]
    return pl.DataFrame(found)


def _reduction(
    expr: pl.Expr, candles: pl.DataFrame
) -> tuple[str, pl.Series, Callable[[pl.Series], object]] | None:
    """Return the name of what an expression gives, of which column, and what it is asked."""
    roots = expr.meta.root_names()
    if len(roots) != 1 or candles.schema.get(roots[0]) != pl.Float64:
        return None
    bare = expr.meta.undo_aliases()
    for name, reduce in REDUCTIONS.items():
        if bare.meta.eq(getattr(pl.col(roots[0]), name)()):
            return expr.meta.output_name(), candles[roots[0]], reduce
    return None


def sliced(
    candles: pl.DataFrame, results: Sequence[pl.Expr], parts: Sequence[Part]
) -> Iterator[list[pl.DataFrame | Exception]]:
    """Yield a row for each part, or why there is none, of some parts at a time; without Python functions."""
    for at in range(0, len(parts), TOGETHER):
        queries = [candles.slice(*part).lazy().select(results) for part in parts[at : at + TOGETHER]]
        try:
            yield list(pl.collect_all(queries, engine="in-memory", optimizations=AS_IT_IS))
        except (PolarsError, PanicException):  # of one of them
            yield [_row_or_error(query) for query in queries]


def _row_or_error(query: pl.LazyFrame) -> pl.DataFrame | Exception:
    try:
        return query.collect(engine="in-memory", optimizations=AS_IT_IS)
    except (PolarsError, PanicException) as error:
        return error
