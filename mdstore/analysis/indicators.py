"""The functions of the screening language: what each name takes and gives, and how it is built.

The indicators are null until their window is full.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Literal

import polars as pl

__all__ = ["ANY", "FUNCTIONS", "Function", "Kind", "Setting", "Shape"]

Kind = Literal["number", "condition", "time"]
Shape = Literal["along", "row", "one"]
"""A value for each bar out of several bars, a value for each bar out of itself, or one value out of all."""

LONGEST_WINDOW = 100_000
SMALLEST = 1e-300


@dataclass(frozen=True, slots=True)
class Setting:
    """A number that must be written out; required where it has no default."""

    name: str
    low: float
    high: float
    whole: bool = False
    default: float | None = None


@dataclass(frozen=True, slots=True)
class Function:
    """How a name is turned into an expression.

    `build` takes the subject, other values and the settings. `takes` is what the subject may be, None where
    there is none; `gives` None is the kind of the subject. `copies` is how often the subject stands in the
    result.
    """

    build: Callable[..., pl.Expr]
    settings: tuple[Setting, ...] = ()
    shape: Shape = "along"
    takes: tuple[Kind, ...] | None = ("number",)
    gives: Kind | None = "number"
    others: tuple[str, ...] = ()
    copies: int = 1


def _rsi(x: pl.Expr, window: int) -> pl.Expr:
    """Return the relative strength index: J. W. Wilder, New Concepts in Technical Trading Systems (1978), VI.

    His 100 - 100 / (1 + gains / losses) is 50 + 50 * (gains - losses) / (gains + losses), which needs half
    the operations. Where nothing moved at all it is 50.
    """
    change = x.diff()
    moved = _wilder(change.abs(), window).clip(SMALLEST)
    return 50 + 50 * (_wilder(change, window) / moved)


def _atr(window: int) -> pl.Expr:
    """Return the average true range: Wilder, the same book, III; the first bar's range is high - low."""
    high, low, before = pl.col("high"), pl.col("low"), pl.col("close").shift(1)
    return _wilder(pl.max_horizontal(high - low, (high - before).abs(), (low - before).abs()), window)


def _wilder(x: pl.Expr, window: int) -> pl.Expr:
    """Smooth as Wilder does: the mean of the first `window` values, then 1 / window of each further one."""
    seeded = pl.when(x.cum_count() > window).then(x).otherwise(x.rolling_mean(window))
    return seeded.ewm_mean(alpha=1 / window, adjust=False)


def _crossed_above(x: pl.Expr, other: pl.Expr) -> pl.Expr:
    above = x - other
    return (above > 0) & (above.shift(1) <= 0)


def _crossed_below(x: pl.Expr, other: pl.Expr) -> pl.Expr:
    return _crossed_above(other, x)


ANY: tuple[Kind, ...] = ("number", "condition", "time")
WINDOW = (Setting("window", 1, LONGEST_WINDOW, whole=True),)
BACK = (Setting("n", 1, LONGEST_WINDOW, whole=True, default=1),)
QUANTILE = Setting("quantile", 0, 1)
LOWER, UPPER = Setting("lower", -inf, inf, default=-inf), Setting("upper", -inf, inf, default=inf)
ROLLING = {
    **{f"rolling_{method}": method for method in ("mean", "min", "max", "sum", "median", "std")},
    "sma": "mean", "lowest": "min", "highest": "max",
}  # fmt: skip

FUNCTIONS = {
    **{name: Function(getattr(pl.Expr, f"rolling_{method}"), WINDOW) for name, method in ROLLING.items()},
    "rolling_quantile": Function(
        lambda x, quantile, window: x.rolling_quantile(quantile, "linear", window), (QUANTILE, *WINDOW)
    ),
    "ema": Function(lambda x, window: x.ewm_mean(span=window, adjust=False, min_samples=window), WINDOW),
    "ewm_mean": Function(lambda x, span: x.ewm_mean(span=span), (Setting("span", 1, LONGEST_WINDOW),)),
    "rsi": Function(_rsi, WINDOW, copies=6),
    "atr": Function(_atr, WINDOW, takes=None),
    "shift": Function(pl.Expr.shift, BACK, takes=ANY, gives=None),
    "diff": Function(pl.Expr.diff, BACK),
    "pct_change": Function(pl.Expr.pct_change, BACK),
    **{name: Function(getattr(pl.Expr, name)) for name in ("cum_sum", "cum_max", "cum_min")},
    "crossed_above": Function(_crossed_above, gives="condition", others=("other",), copies=2),
    "crossed_below": Function(_crossed_below, gives="condition", others=("other",), copies=2),
    **{name: Function(getattr(pl.Expr, name), shape="row") for name in ("abs", "sqrt", "log", "exp")},
    "round": Function(pl.Expr.round, (Setting("decimals", 0, 15, whole=True, default=0),), "row"),
    "clip": Function(pl.Expr.clip, (LOWER, UPPER), "row"),
    **{
        name: Function(getattr(pl.Expr, name), shape="one")
        for name in ("mean", "sum", "min", "max", "median", "std")
    },
    "quantile": Function(lambda x, quantile: x.quantile(quantile, "linear"), (QUANTILE,), "one"),
    "first": Function(pl.Expr.first, shape="one", takes=ANY, gives=None),
    "last": Function(pl.Expr.last, shape="one", takes=ANY, gives=None),
    "count": Function(lambda x: x.count().cast(pl.Int64), shape="one", takes=ANY),
}
