"""Numbers as times, in the unit that is said or that the size of each tells: the table in `timestamps`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from mdstore.core.time_style import Unit
from mdstore.errors import Hint, TimestampError

__all__ = [
    "LARGEST", "MAGNITUDES", "NS_PER", "are_dates", "date_in", "no_unit", "of_spreadsheet", "read_numbers",
    "unit_trouble", "whole_ms",
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
# Numbers that are more likely written otherwise than as a count since 1970: where all of a table are.
TICKS = (630_822_816 * 10**9, 643_444_128 * 10**9)
"""2000 to 2040 in .NET's ticks, of 100 ns since the year 1; as nanoseconds these are of a half-year, 1990."""
DATES = (19_000_101, 21_001_231)
SHORT_DATES = (100_101, 991_231)  # YYMMDD, and YYYYMM
SHORT = Hint(
    "date_format='%y%m%d' (or '%Y%m') where they are dates written so",
    "--date-format %y%m%d (or %Y%m) where they are dates written so",
)
SERIALS = (20_000, 80_000)  # 1954 to 2119, as a spreadsheet counts days
FIRST_SERIAL = 25_569  # 1970-01-01
SECONDS_OF_DAY = 86_400
GIVE_UNIT = Hint("pass unit='s', 'ms', 'us' or 'ns'", "pass --unit s, ms, us or ns")
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
        return numbers * factor if factor > 1 else numbers, _all_true(numbers)
    per_ms = NS_PER["ms"] // ns
    whole = numbers % per_ms == 0
    return numbers // per_ms, whole.fill_null(value=True) if whole.null_count() else whole


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
        return whole_ms(of_spreadsheet(numbers).to_physical(), NS_PER["ms"])
    if unit is not None:
        return made(numbers, NS_PER[unit])
    least = numbers.min()
    # Of whole numbers from 0 on, as nearly always: for `abs` a query is planned, 0.05 ms.
    is_plain = numbers.dtype.is_integer() and isinstance(least, int) and least >= 0
    sizes = numbers if is_plain else numbers.abs()
    if numbers.dtype.is_float():
        sizes = sizes.set(~sizes.is_finite().fill_null(value=False), None)
    low, high = sizes.min(), sizes.max()
    if low is None or high is None:
        return made(numbers, NS_PER["ms"])
    assert isinstance(low, int | float) and isinstance(high, int | float)  # noqa: S101, PT018 - for mypy
    if alone and (trouble := _otherwise(low, high)) is not None:
        raise trouble
    for name, first, end in MAGNITUDES:
        if first <= low and high < end:
            return made(numbers, NS_PER[name])
    counts = {name: int(_within(sizes, first, end).sum()) for name, first, end in MAGNITUDES}
    if alone and 2 * sum(counts.values()) <= sizes.count():
        raise no_unit(low, high)
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


def of_spreadsheet(days: pl.Series) -> pl.Series:
    """Return days as a spreadsheet counts them as naive datetimes, to the second; null for what is no number.

    >>> of_spreadsheet(pl.Series([45293.0, 45293.39583])).dt.to_string("%Y-%m-%d %H:%M:%S").to_list()
    ['2024-01-02 00:00:00', '2024-01-02 09:30:00']
    """
    if days.dtype == pl.Object:
        numbers = [value if isinstance(value, int | float) else None for value in days]
        days = pl.Series(days.name, numbers, dtype=pl.Float64, strict=False)
    seconds = ((days.cast(pl.Float64, strict=False) - FIRST_SERIAL) * SECONDS_OF_DAY).round()
    return (seconds.cast(pl.Int64, strict=False) * 1_000).cast(pl.Datetime("ms"))


def _otherwise(low: float, high: float) -> TimestampError | None:
    """Return the error of numbers that are likely no count since 1970, though their size would fit one."""
    if TICKS[0] <= low and high < TICKS[1]:
        return TimestampError(
            f"timestamp: are numbers such as {low} nanoseconds, of 1990, or .NET's ticks?",
            hint=Hint(
                "pass unit='ns' where they are nanoseconds; write ticks as dates",
                "pass --unit ns where they are nanoseconds; write ticks as dates",
            ),
        )
    return None


def no_unit(low: float, high: float) -> TimestampError:
    """Return the error of numbers that do not tell their unit, with the hint that fits their size."""
    hint = GIVE_UNIT
    if DATES[0] <= low and high <= DATES[1] and low % 1 == high % 1 == 0:
        hint = Hint("pass date_format='%Y%m%d'", "pass --date-format %Y%m%d")
    elif SHORT_DATES[0] <= low and high <= SHORT_DATES[1]:
        hint = Hint(f"{GIVE_UNIT.python}, or {SHORT.python}", f"{GIVE_UNIT.cli}, or {SHORT.cli}")
    elif SERIALS[0] <= low and high <= SERIALS[1]:
        hint = Hint("pass unit='excel'", "pass --unit excel")
    return TimestampError(
        f"timestamp: cannot tell the unit of numbers between {low} and {high}: {unit_trouble(low, high)}",
        hint=hint,
    )


def unit_trouble(low: float, high: float) -> str:
    """Say why numbers do not tell their unit."""
    if high >= MAGNITUDES[-1][2]:
        return "too large for a time"
    if low >= DATES[0] and high <= DATES[1]:
        return "they look like dates written YYYYMMDD; give these as dates or texts"
    if low >= SERIALS[0] and high <= SERIALS[1]:
        return "they look like dates as a spreadsheet counts them"
    return "too small for a time after 1973"
