"""Prices that miss their bounds by rounding: a close above its high in the last digits of a double.

Whoever adjusts open, high, low and close for dividends multiplies each by the same ratio and rounds each by
itself. Of prices that were equal before, one may come out up to a few units in the last place (ulp) above the
other: most long histories of yfinance hold such a bar.
"""

from __future__ import annotations

import json
import math
from typing import Literal

import polars as pl
import pyarrow as pa

__all__ = ["MOST_ULPS", "WIDENED", "Tolerance", "misses_by_rounding", "widen"]

Tolerance = Literal["ulp"]
# Two roundings of half an ulp each make one; a price that went through a ratio and back has had four.
MOST_ULPS = 4
WIDENED = f"high or low was widened by at most {MOST_ULPS} ulp where open or close missed it by rounding"


def widen(rows: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Move highs and lows by at most `MOST_ULPS` to hold open and close; return the rows, and how many moved.

    Rows that miss by more stay as they are, to be judged.
    """
    top = rows.select(pl.max_horizontal("open", "close")).to_series()
    bottom = rows.select(pl.min_horizontal("open", "close")).to_series()
    low = _near(rows["low"], bottom, rows["low"] > bottom)
    high = _near(rows["high"], top, rows["high"] < top)
    moved = int((low | high).sum())
    if not moved:
        return rows, 0
    return rows.with_columns(
        top.zip_with(high, rows["high"]).alias("high"), bottom.zip_with(low, rows["low"]).alias("low")
    ), moved


def misses_by_rounding(record: str) -> bool:
    """Tell whether a bad row, as JSON, breaks the bounds of its prices by so little that `widen` mends it."""
    try:
        prices = json.loads(record)
        first, high, low, last = (float(prices[name]) for name in ("open", "high", "low", "close"))
    except (KeyError, TypeError, ValueError):
        return False
    frame = pl.DataFrame({"open": [first], "high": [high], "low": [low], "close": [last]})
    mended, moved = widen(frame)
    _, high, low, _ = mended.row(0)
    return bool(moved) and math.isfinite(high) and low <= min(first, last) and high >= max(first, last)


def _near(bound: pl.Series, price: pl.Series, missed: pl.Series) -> pl.Series:
    """Tell where a bound that is missed is missed by at most `MOST_ULPS`."""
    missed = missed.fill_null(value=False)
    if missed.any():
        same_sign = (bound < 0) == (price < 0)
        near = (_bits(bound) - _bits(price)).abs() <= MOST_ULPS
        missed &= near.fill_null(value=False) & same_sign.fill_null(value=False)
    return missed


def _bits(prices: pl.Series) -> pl.Series:
    """Return doubles of one sign as integers, of which neighbours are one apart."""
    return pl.Series(prices.name, prices.rechunk().to_arrow().view(pa.int64()))
