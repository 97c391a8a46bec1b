"""Numbers as times, in the unit that is said or that the size of each tells: the table in `timestamps`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

import polars as pl

from mdstore.core.time_style import Unit
from mdstore.errors import Hint, TimestampError

__all__ = [
    "LARGEST", "MAGNITUDES", "NS_PER", "are_dates", "date_in", "read_numbers", "unit_trouble", "whole_ms",
]  # fmt: skip

LARGEST = 2**63 - 1
NS_PER = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
MAGNITUDES: tuple[tuple[Unit, int, int], ...] = (
    ("s", 10**8, 10**11),
    ("ms", 10**11, 10**14),
    ("us", 10**14, 10**17),
    ("ns", 10**17, 2**63),
)
# Numbers that are dates as they are written, by their digits: 20240125, 202401250900, 20240125090000. As
# seconds, milliseconds and milliseconds they would be of 1970, of a summer of 1976 and of the year 2611.
WRITTEN = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
FIRST_YEAR, LAST_YEAR = 1900, 2100
# Excel's day 25569 is the first of 1970; its serials of today are near 45,000.
EXCEL_1970, EXCEL_FIRST, EXCEL_END = 25_569, 20_000, 80_000
MS_PER_DAY = 86_400_000
YYMMDD = re.compile(r"(\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")
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


def date_in(number: int) -> datetime | None:
    """Return the date and time of day that a number is as it is written; None for others.

    >>> date_in(202401250900), date_in(1706140800)
    (datetime.datetime(2024, 1, 25, 9, 0), None)
    """
    digits = str(number)
    pattern = WRITTEN.get(len(digits))
    if pattern is None or not FIRST_YEAR <= int(digits[:4]) <= LAST_YEAR:
        return None
    try:
        return datetime.strptime(digits, pattern)
    except ValueError:
        return None


def are_dates(numbers: pl.Series) -> bool:
    """Tell numbers of which most are dates as they are written, in as many digits each.

    Most: one bad date must not make the others milliseconds of 1976, of which hardly any reads as a date.
    """
    low, high = numbers.min(), numbers.max()
    if not isinstance(low, int | float) or not isinstance(high, int | float) or low != low:  # noqa: PLR0124 - NaN
        return False
    digits = len(str(int(low))) if low > 0 and high < LARGEST else 0
    pattern = WRITTEN.get(digits)
    if pattern is None or len(str(int(high))) != digits:
        return False
    tens = 10 ** (digits - 4)
    if int(low) // tens < FIRST_YEAR or int(high) // tens > LAST_YEAR:
        return False
    texts = numbers.cast(pl.Int64, strict=False).cast(pl.String)
    minutes = texts.str.pad_end(14, "0").str.to_datetime("%Y%m%d%H%M%S", strict=False)
    return 2 * minutes.count() > numbers.count()


def read_numbers(numbers: pl.Series, unit: Unit | None, *, alone: bool = True) -> tuple[pl.Series, pl.Series]:
    """Read numbers in a unit, or each in the one that its size tells; what is of none becomes null.

    `alone` is whether nothing else is in the column, so that most of them must be times.
    """
    made = _whole_floats if numbers.dtype.is_float() else whole_ms
    if unit == "excel":
        days = (numbers.cast(pl.Float64) - EXCEL_1970) * MS_PER_DAY
        days = days.set(~days.is_finite().fill_null(value=False), None)
        return days.round().cast(pl.Int64, strict=False), _all_true(numbers)
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
        f"timestamp: cannot tell the unit of numbers between {low} and {high}: {unit_trouble(high)}",
        hint=_unit_hint(low, high),
    )


def _unit_hint(low: float, high: float) -> Hint:
    if low >= EXCEL_FIRST and high < EXCEL_END:
        return Hint(
            "pass unit='excel' where Excel counted days", "pass --unit excel where Excel counted days"
        )
    if all(YYMMDD.fullmatch(f"{int(number):06}") for number in (low, high)):
        return Hint(
            "where they are written YYMMDD, pass date_format='%y%m%d'",
            "where they are written YYMMDD, pass --date-format %y%m%d",
        )
    return Hint("pass unit='s', 'ms', 'us' or 'ns'", "pass --unit s, ms, us or ns")


def unit_trouble(high: float) -> str:
    """Say why numbers do not tell their unit."""
    if high >= MAGNITUDES[-1][2]:
        return "too large for a time"
    return "too small for a time after 1973"
