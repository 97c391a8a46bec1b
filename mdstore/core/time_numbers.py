"""Numbers as times, in the unit that is said or that the size of each tells: the table in `timestamps`."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from mdstore.core.time_style import Unit
from mdstore.errors import Hint, TimestampError

__all__ = ["LARGEST", "MAGNITUDES", "NS_PER", "read_numbers", "unit_trouble", "whole_ms"]

LARGEST = 2**63 - 1
NS_PER = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
MAGNITUDES: tuple[tuple[Unit, int, int], ...] = (
    ("s", 10**8, 10**11),
    ("ms", 10**11, 10**14),
    ("us", 10**14, 10**17),
    ("ns", 10**17, 2**63),
)
# Seconds that are so few among finer times have rather lost digits: a millisecond of ten digits is none.
RARE = 10


def _all_true(column: pl.Series) -> pl.Series:
    return pl.Series([True]).new_from_index(0, len(column))


def whole_ms(numbers: pl.Series, ns: int) -> tuple[pl.Series, pl.Series]:
    """Turn integers of `ns` nanoseconds each into milliseconds."""
    numbers = numbers.cast(pl.Int64)
    if ns >= NS_PER["ms"]:
        factor = ns // NS_PER["ms"]
        if factor > 1:
            numbers = numbers.set(
                numbers.abs() > LARGEST // factor, None
            )  # would wrap into a believable year
        return numbers * factor, _all_true(numbers)
    per_ms = NS_PER["ms"] // ns
    return numbers // per_ms, (numbers % per_ms == 0).fill_null(value=True)


def _whole_floats(numbers: pl.Series, ns: int) -> tuple[pl.Series, pl.Series]:
    finite = numbers.set(~numbers.is_finite().fill_null(value=False), None)
    exact = finite * (ns / NS_PER["ms"]) if ns >= NS_PER["ms"] else finite / (NS_PER["ms"] / ns)
    floored = exact.floor()
    return floored.cast(pl.Int64, strict=False), (exact == floored).fill_null(value=True)


def read_numbers(numbers: pl.Series, unit: Unit | None, *, alone: bool = True) -> tuple[pl.Series, pl.Series]:
    """Read numbers in a unit, or each in the one that its size tells; what is of none becomes null.

    `alone` is whether nothing else is in the column, so that most of them must be times.
    """
    made = _whole_floats if numbers.dtype.is_float() else whole_ms
    if unit is not None:
        return made(numbers, NS_PER[unit])
    sizes = numbers.abs()
    if numbers.dtype.is_float():
        sizes = sizes.set(~sizes.is_finite().fill_null(value=False), None)
    low, high = sizes.min(), sizes.max()
    if low is None or high is None:
        return made(numbers, NS_PER["ms"])
    assert isinstance(low, int | float) and isinstance(high, int | float)  # noqa: S101, PT018 - for mypy
    for name, first, end in MAGNITUDES:
        if first <= low and high < end:
            return made(numbers, NS_PER[name])
    counts = {name: int(_within(sizes, first, end).sum()) for name, first, end in MAGNITUDES}
    if alone and 2 * sum(counts.values()) <= sizes.count():
        raise _no_unit(low, high)
    few = 0 < RARE * counts["s"] <= sum(counts.values())
    return _by_size(numbers, sizes, MAGNITUDES[1:] if few else MAGNITUDES)


def _by_size(
    numbers: pl.Series, sizes: pl.Series, magnitudes: Sequence[tuple[Unit, int, int]]
) -> tuple[pl.Series, pl.Series]:
    """Read each number in the unit of its size: Binance's klines are in ms to 2024, in us from 2025 on."""
    made = _whole_floats if numbers.dtype.is_float() else whole_ms
    ms, whole = pl.Series(numbers.name, [None] * len(numbers), dtype=pl.Int64), _all_true(numbers)
    for name, first, end in magnitudes:
        here = _within(sizes, first, end)
        if here.any():
            read, exact = made(numbers.set(~here, None), NS_PER[name])
            ms, whole = ms.fill_null(read), whole & exact
    return ms, whole


def _within(sizes: pl.Series, first: int, end: int) -> pl.Series:
    return sizes.is_between(first, end - 1).fill_null(value=False)


def _no_unit(low: float, high: float) -> TimestampError:
    return TimestampError(
        f"timestamp: cannot tell the unit of numbers between {low} and {high}: {unit_trouble(low, high)}",
        hint=Hint("pass unit='s', 'ms', 'us' or 'ns'", "pass --unit s, ms, us or ns"),
    )


def unit_trouble(low: float, high: float) -> str:
    """Say why numbers do not tell their unit."""
    if MAGNITUDES[-1][2] <= high:
        return "too large for a time"
    if low >= 19_000_101 and high <= 21_001_231:  # noqa: PLR2004 - years 1900 to 2100 as YYYYMMDD
        return "they look like dates written YYYYMMDD; give these as dates or texts"
    return "too small for a time after 1973"
