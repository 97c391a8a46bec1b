"""Bars of a market that never was: each minute is a function of its number and a seed.

Nothing is drawn one after the other, so any minute of any year costs the same: a year of minutes takes 0.2 s.
"""

from __future__ import annotations

from math import floor, log10

import polars as pl

__all__ = ["MINUTE", "generated"]

MINUTE = 60_000
# Waves of 1 minute, 4 minutes, ... up to two years, each half as steep and twice as high as the one before:
# what a random walk looks like at every scale.
WAVES = 11
HEIGHT = 0.0006
WICK = 0.0008
# What is traded in a minute, in the currency that prices are in.
TURNOVER = {True: 1e8, False: 1e5}  # won, or dollars
SMALLEST = 1e-4
DIGITS = 8
# Constants of the splitmix64 generator: https://prng.di.unimi.it/splitmix64.c
STEP, FIRST, SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
SHIFTS = (1 << 30, 1 << 27, 1 << 31)
UNITS = 2.0**64


def generated(span: tuple[int, int], seed: int, price: float, *, silent: float, won: bool) -> pl.DataFrame:
    """Return the minutes of `[start, end)` (ms): timestamp, open, high, low, close, volume, value.

    `price` is about what they cost, `silent` the share of minutes without a trade.
    """
    start, end = span
    numbers = pl.int_range(start // MINUTE, max(start, end) // MINUTE + 1, dtype=pl.UInt64, eager=True)
    minute, log = pl.col("minute"), pl.col("log")
    path = numbers.to_frame("minute").with_columns(log=_walk(minute, seed))
    at = price * log.exp()
    bars = path.with_columns(
        open=_on_tick(at, price),
        close=_on_tick(at.shift(-1), price),
        up=1 + WICK * _uniform(minute, seed ^ 1).pow(3),
        down=1 - WICK * _uniform(minute, seed ^ 2).pow(3),
        volume=(-(1 - _uniform(minute, seed ^ 3)).log() * TURNOVER[won] / price).clip(SMALLEST).round(DIGITS),
        traded=_uniform(minute, seed ^ 4) >= silent,
    )[:-1]
    ends = (pl.col("open"), pl.col("close"))
    bars = bars.filter("traded").with_columns(
        high=pl.max_horizontal(_on_tick(pl.max_horizontal(ends) * pl.col("up"), price), *ends),
        low=pl.min_horizontal(_on_tick(pl.min_horizontal(ends) * pl.col("down"), price), *ends),
    )
    return bars.select(
        (minute.cast(pl.Int64) * MINUTE).alias("timestamp"), "open", "high", "low", "close", "volume",
        value=(pl.col("volume") * pl.mean_horizontal("open", "high", "low", "close")).round(5),
    )  # fmt: skip


def _walk(minute: pl.Expr, seed: int) -> pl.Expr:
    return pl.sum_horizontal(
        HEIGHT * 2**wave * (_wave(minute, 4**wave, seed + (wave + 1) * 101) - 0.5) for wave in range(WAVES)
    )


def _wave(minute: pl.Expr, period: int, seed: int) -> pl.Expr:
    """Return random numbers at multiples of a period, joined by straight lines."""
    left = minute // pl.lit(period, dtype=pl.UInt64)
    part = (minute % pl.lit(period, dtype=pl.UInt64)).cast(pl.Float64) / period
    return _uniform(left, seed) * (1 - part) + _uniform(left + 1, seed) * part


def _uniform(number: pl.Expr, seed: int) -> pl.Expr:
    """Return a number of [0, 1) for a whole number: the same for the same number and seed, on any machine."""
    mixed = (number + pl.lit(seed % 2**32, dtype=pl.UInt64) * _u64(SECOND)) * _u64(STEP)
    mixed = (mixed ^ (mixed // _u64(SHIFTS[0]))) * _u64(FIRST)
    mixed = (mixed ^ (mixed // _u64(SHIFTS[1]))) * _u64(SECOND)
    return (mixed ^ (mixed // _u64(SHIFTS[2]))).cast(pl.Float64) / UNITS


def _u64(number: int) -> pl.Expr:
    return pl.lit(number, dtype=pl.UInt64)


def _on_tick(price: pl.Expr, about: float) -> pl.Expr:
    """Round to six digits of what the market costs, as exchanges do."""
    digits = 5 - floor(log10(about))
    if digits >= 0:
        return price.round(digits)
    tick = 10.0**-digits
    return (price / tick).round() * tick
