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
    minute = pl.int_range(start // MINUTE, max(start, end) // MINUTE + 1, dtype=pl.UInt64, eager=True)
    at = _walk(minute, seed).exp() * price
    drawn = [_uniform(minute, seed ^ salt) for salt in (1, 2, 3, 4)]
    bars = pl.DataFrame([minute, at, *drawn], schema=["minute", "at", "up", "down", "traded", "silent"])
    price_at, ends = pl.col("at"), (pl.col("open"), pl.col("close"))
    bars = bars.with_columns(open=_on_tick(price_at, price), close=_on_tick(price_at.shift(-1), price))[:-1]
    top, bottom = pl.max_horizontal(ends), pl.min_horizontal(ends)
    bars = bars.filter(pl.col("silent") >= silent).with_columns(
        high=pl.max_horizontal(_on_tick(top * (1 + WICK * pl.col("up").pow(3)), price), *ends),
        low=pl.min_horizontal(_on_tick(bottom * (1 - WICK * pl.col("down").pow(3)), price), *ends),
        volume=(-(1 - pl.col("traded")).log() * TURNOVER[won] / price).clip(SMALLEST).round(DIGITS),
    )
    return bars.select(
        (pl.col("minute").cast(pl.Int64) * MINUTE).alias("timestamp"),
        "open", "high", "low", "close", "volume",
        value=(pl.col("volume") * pl.mean_horizontal("open", "high", "low", "close")).round(5),
    )  # fmt: skip


def _walk(minute: pl.Series, seed: int) -> pl.Series:
    path = _wave(minute, 1, seed + 101) * HEIGHT
    for wave in range(1, WAVES):
        path = path + _wave(minute, 4**wave, seed + (wave + 1) * 101) * (HEIGHT * 2**wave)
    return path


def _wave(minute: pl.Series, period: int, seed: int) -> pl.Series:
    """Return random numbers of [-0.5, 0.5) at multiples of a period, joined by straight lines."""
    if period == 1:
        return _uniform(minute, seed) - 0.5
    first, last = int(minute[0]) // period, int(minute[-1]) // period + 1
    points = _uniform(pl.int_range(first, last + 1, dtype=pl.UInt64, eager=True), seed) - 0.5
    left = minute // period - first
    part = (minute % period).cast(pl.Float64) / period
    start = points.gather(left)
    return start + (points.gather(left + 1) - start) * part


def _uniform(number: pl.Series, seed: int) -> pl.Series:
    """Return a number of [0, 1) for a whole number: the same for the same number and seed, on any machine."""
    mixed = (number + seed % 2**32 * SECOND % 2**64) * STEP
    mixed = (mixed ^ (mixed // SHIFTS[0])) * FIRST
    mixed = (mixed ^ (mixed // SHIFTS[1])) * SECOND
    return (mixed ^ (mixed // SHIFTS[2])).cast(pl.Float64) / UNITS


def _on_tick(price: pl.Expr, about: float) -> pl.Expr:
    """Round to six digits of what the market costs, as exchanges do."""
    digits = 5 - floor(log10(about))
    if digits >= 0:
        return price.round(digits)
    tick = 10.0**-digits
    return (price / tick).round() * tick
