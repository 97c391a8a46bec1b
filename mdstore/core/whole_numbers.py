"""Whole numbers that no price or volume can be: a binary fraction of 64 bits holds them up to 2^53.

Above, it holds every second one, then every fourth: 9007199254740993 was stored as 9007199254740992, and
nobody was told. What is written with a decimal point is rounded everywhere, as 0.1 is; a whole number is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import polars as pl

__all__ = ["HELD", "INEXACT", "inexact", "inexact_rules"]

EXACT: Final = 2.0**53
INEXACT: Final = "inexact"
"""The column that names, of each row, the first of its columns in which such a number is."""
HELD: Final = "{} is a whole number of 2^53 at most, or one that a Float64 holds"
WHOLE: Final = re.compile(r"\s*[+-]?\d+\s*")


def inexact(made: Sequence[pl.Series], given: Sequence[pl.Series]) -> pl.Series | None:
    """Return the column `INEXACT` of numbers that are `made` of given ones; None where all are held."""
    found = [
        (one.name, mask)
        for one, its in zip(made, given, strict=True)
        if (mask := _differs(one, its)) is not None and mask.any()
    ]
    if not found:
        return None
    names = [pl.when(mask).then(pl.lit(name)) for name, mask in found]
    return pl.select(pl.coalesce(names).alias(INEXACT)).to_series()


def inexact_rules(
    rows: pl.DataFrame,
) -> list[tuple[str, Callable[[pl.DataFrame], pl.Series | None], str]]:
    """Return the rules that such rows break; none where there is no such row, as nearly always."""
    if INEXACT not in rows.columns:
        return []
    return [
        (name, partial(_is_of, name), HELD.format(name))
        for name in rows[INEXACT].drop_nulls().unique().sort()
    ]


def _is_of(name: str, rows: pl.DataFrame) -> pl.Series:
    return (rows[INEXACT] == name).fill_null(value=False)


def _differs(made: pl.Series, given: pl.Series) -> pl.Series | None:
    """Tell which numbers are not the whole ones that were given; None where surely none."""
    if given.dtype.is_float():
        return None
    least, most = made.min(), made.max()
    if not (isinstance(least, float) and isinstance(most, float) and max(-least, most) >= EXACT):
        return None
    if given.dtype.is_integer():
        return made.cast(given.dtype, strict=False).ne_missing(given)
    rows = ((made.abs() >= EXACT) & made.is_finite()).fill_null(value=False).arg_true()
    wrong = [row for row in rows if _is_other(made[row], given[row])]
    return pl.Series([False]).new_from_index(0, len(made)).scatter(wrong, values=True)


def _is_other(made: float, given: object) -> bool:
    """Tell whether what was given is written as a whole number, and is another."""
    text = str(given)
    return WHOLE.fullmatch(text) is not None and int(text) != made
