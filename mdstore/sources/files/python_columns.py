"""Columns of Python values, as JSON and workbooks give them."""

from __future__ import annotations

from typing import Any

import polars as pl

from mdstore.core.column_names import recognise
from mdstore.core.schema import VALUES

__all__ = ["column"]


def column(name: str, own: str, values: list[Any]) -> pl.Series:
    """Make a column, `own` in the file: prices are floats, the whole ones too; other types stay."""
    kinds = set(map(type, values)) - {type(None)}
    if float in kinds and kinds <= {int, float} and _is_value(own):
        numbers = [None if value is None else _float(value) for value in values]
        return pl.Series(name, numbers, dtype=pl.Float64)
    try:
        return pl.Series(name, values, strict=True)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
        return pl.Series(name, values, dtype=pl.Object)


def _is_value(own: str) -> bool:
    return next(iter(recognise([own])), "") in VALUES


def _float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:  # a whole number beyond the largest double
        return float("inf")
