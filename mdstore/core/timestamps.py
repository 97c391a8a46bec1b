"""Times in: whatever a user has, as milliseconds since 1970, UTC.

A time may be a datetime (aware, or naive and then UTC), a date (its midnight), an ISO 8601 text or a whole
number. The unit of numbers is told by `unit=`, or by size where the sizes cannot be confused:

============  ==================  ===================================
magnitude     unit                covers
============  ==================  ===================================
1e8 to 1e11   seconds             1973-03-03 to 5138-11-16
1e11 to 1e14  milliseconds        the same
1e14 to 1e17  microseconds        the same
from 1e17     nanoseconds         1973-03-03 to 2262-04-11
============  ==================  ===================================

Smaller numbers (and so `20240131`, which is a date and no second of 1970) need `unit=`; so does a column
whose numbers lie in two of the ranges. A single 0 is 1970.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta
from numbers import Integral
from typing import Literal

import polars as pl

from mdstore.errors import Hint, TimestampError

__all__ = ["Moment", "Unit", "column_to_ms", "ms_to_datetime", "to_ms", "wall_clock"]

Moment = datetime | date | str | int
Unit = Literal["s", "ms", "us", "ns"]

LARGEST = 2**63 - 1
DOTTED = r"^(\d{4})\.(\d\d?)\.(\d\d?)\b"
DIGITS = re.compile(r"-?(\d{1,7}|\d{9,})")  # eight are a date, 20250901
OFFSET = r"[+-]\d\d:?\d\d$"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
NS_PER = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
MAGNITUDES = (("s", 10**8, 10**11), ("ms", 10**11, 10**14), ("us", 10**14, 10**17), ("ns", 10**17, 2**63))
# Year first only: 01/02/2024 is two different days in two countries, and is refused rather than guessed.
# One number in so many may be of another unit than the others.
RARE = 10
TEXT_FORMATS = (
    ("%Y-%m-%d %H:%M:%S%.f", False),
    ("%Y-%m-%d", False),
    ("%Y-%m-%d %H:%M", False),
    ("%Y-%m-%d %H:%M:%S%.f%z", True),
    ("%Y-%m-%d %H:%M%z", True),
    ("%Y%m%d %H:%M:%S", False),
    ("%Y%m%d %H:%M", False),
    ("%Y%m%d", False),
)


def to_ms(value: Moment, what: str = "time") -> int:
    """Return a moment as milliseconds since 1970, UTC, rounded up to a whole one.

    Rounding up keeps half-open ranges exact: no bar starts between two milliseconds. `what` names the
    argument in the error. Raises `TimestampError`.

    >>> to_ms("2025-09-01")
    1756684800000
    >>> to_ms("2025-09-01T09:00:00+09:00")
    1756684800000
    """
    if isinstance(value, bool):
        raise TimestampError(f"{what}: {value!r} is no time")
    number: object = value
    if isinstance(number, Integral):  # numpy's, too
        return _number_to_ms(int(number), what)
    if type(value).__module__ == "numpy":
        value = str(value)  # a datetime64 prints as ISO 8601
    if isinstance(value, str) and DIGITS.fullmatch(value.strip()):
        return _number_to_ms(int(value), what)  # fromisoformat reads 17121230... as the year 1712
    if isinstance(value, str):
        value = _parse_text(value, what)
    if isinstance(value, datetime):
        if value != value:  # noqa: PLR0124 - pandas' NaT, a datetime that is none
            raise TimestampError(f"{what}: {value!r} is no time")
        aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return -((EPOCH - aware) // MILLISECOND)
    if isinstance(value, date):
        return (datetime(value.year, value.month, value.day, tzinfo=UTC) - EPOCH) // MILLISECOND
    raise TimestampError(
        f"{what}: cannot read {value!r} ({type(value).__name__}) as a time: give a datetime, a date, "
        "an ISO 8601 text or a whole number"
    )


def ms_to_datetime(timestamp: int) -> datetime:
    """Return the aware UTC datetime of a time in milliseconds since 1970."""
    return EPOCH + timestamp * MILLISECOND


def column_to_ms(column: pl.Series, unit: Unit | None = None) -> tuple[pl.Series, pl.Series]:
    """Return a column of times as Int64 milliseconds (null where unreadable), and where they were whole.

    Times finer than a millisecond are floored, and False in the second series. Raises `TimestampError` when
    the whole column cannot be read: a type that holds no times, or numbers whose unit cannot be told.
    """
    if unit is not None and (not isinstance(unit, str) or unit not in NS_PER):
        raise TimestampError(f"unit {unit!r} is none of 's', 'ms', 'us', 'ns'")
    dtype = column.dtype
    if isinstance(dtype, pl.Datetime):
        return _whole(column.to_physical(), NS_PER[dtype.time_unit])
    if dtype == pl.Date:
        return _whole(column.cast(pl.Datetime("ms")).to_physical(), NS_PER["ms"])
    if dtype.is_integer():
        numbers = column.cast(pl.Int64, strict=False)
        return _whole(numbers, NS_PER[unit]) if unit else _whole(*_in_unit(numbers))
    if dtype.is_float() or isinstance(dtype, pl.Decimal):
        return _whole_floats(column.cast(pl.Float64), unit)
    if dtype == pl.Object:
        return _objects(column, unit)
    if dtype in (pl.String, pl.Categorical, pl.Enum, pl.Null):
        return _texts(column.cast(pl.String), unit)
    raise TimestampError(f"timestamp: a column of {dtype} holds no times")


def wall_clock(column: pl.Series) -> pl.Series | None:
    """Return what the clocks of their own zones show at times, as ms since 1970; None where none has a zone.

    Null for a time without a zone, or one that cannot be read.
    """
    dtype = column.dtype
    if isinstance(dtype, pl.Datetime):
        if dtype.time_zone in (None, "UTC"):
            return None
        return column.dt.replace_time_zone(None).cast(pl.Datetime("ms")).to_physical()
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        plain = _plain(column.cast(pl.String).str.strip_chars())
        zoned = plain.str.contains(OFFSET).fill_null(value=False)
        if not zoned.any():
            return None
        shown = plain.set(~zoned, None).str.replace(OFFSET, "")
        return _whole(_read(shown), NS_PER["us"])[0]
    if dtype == pl.Object:
        walls = pl.Series(column.name, [_wall(value) for value in column], dtype=pl.Int64)
        return None if walls.null_count() == len(walls) else walls
    return None


def _wall(value: object) -> int | None:
    """Return what the clock of a datetime's own zone shows; None for what has no zone."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
    if not isinstance(value, datetime) or value != value or value.tzinfo is None:  # noqa: PLR0124 - pandas' NaT
        return None
    return (value.replace(tzinfo=UTC) - EPOCH) // MILLISECOND


def _number_to_ms(number: int, what: str) -> int:
    if number == 0:
        return 0
    for unit, first, end in MAGNITUDES:
        if first <= abs(number) < end:
            return -(-number * NS_PER[unit] // NS_PER["ms"])
    trouble = _unit_trouble(number, number)
    raise TimestampError(f"{what}: cannot tell the unit of {number}: {trouble}; give a date or a text")


def _parse_text(text: str, what: str) -> datetime:
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise TimestampError(f"{what}: {text!r} is no ISO 8601 time such as '2025-09-01T00:00'") from error


def _all_true(column: pl.Series) -> pl.Series:
    return pl.Series([True]).new_from_index(0, len(column))


def _whole(numbers: pl.Series, ns: int) -> tuple[pl.Series, pl.Series]:
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


def _whole_floats(numbers: pl.Series, unit: Unit | None) -> tuple[pl.Series, pl.Series]:
    finite = numbers.set(~numbers.is_finite().fill_null(value=False), None)
    finite, ns = (finite, NS_PER[unit]) if unit else _in_unit(finite)
    exact = finite * (ns / NS_PER["ms"]) if ns >= NS_PER["ms"] else finite / (NS_PER["ms"] / ns)
    floored = exact.floor()
    return floored.cast(pl.Int64, strict=False), (exact == floored).fill_null(value=True)


def _in_unit(numbers: pl.Series) -> tuple[pl.Series, int]:
    """Tell the unit of a column, in nanoseconds; a number that is no time in it becomes null."""
    unit = _infer_unit(numbers)
    _, first, end = next(one for one in MAGNITUDES if one[0] == unit)
    sizes = numbers.abs()
    outside = ((sizes < first) | (sizes > end - 1)).fill_null(value=False)
    return (numbers.set(outside, None) if outside.any() else numbers), NS_PER[unit]


def _is_outside(value: object, unit: str) -> bool:
    _, first, end = next(one for one in MAGNITUDES if one[0] == unit)
    return _is_number(value) and not first <= abs(value) < end  # type: ignore[arg-type]  # a number


def _is_number(value: object) -> bool:
    return isinstance(value, Integral | float) and not isinstance(value, bool)


def _infer_unit(numbers: pl.Series) -> Unit:
    """Tell the unit of a column by its magnitude; see the table at the top."""
    sizes = numbers.drop_nulls().abs()
    if len(sizes) == 0:
        return "ms"
    low, high = sizes.min(), sizes.max()
    assert isinstance(low, int | float) and isinstance(high, int | float)  # noqa: S101, PT018 - for mypy
    for unit, first, end in MAGNITUDES:
        if first <= low and high < end:
            return unit  # type: ignore[return-value]  # the table holds only units
    counts = {unit: int(sizes.is_between(first, end - 1).sum()) for unit, first, end in MAGNITUDES}
    likely = max(counts, key=counts.__getitem__)
    # The others are of no unit, as 0 or 5 in a column of milliseconds, or few: each is refused by itself.
    alone = counts[likely] == sum(counts.values()) and 2 * counts[likely] > len(sizes)
    if alone or counts[likely] * RARE >= len(sizes) * (RARE - 1):
        return likely  # type: ignore[return-value]
    raise TimestampError(
        f"timestamp: cannot tell the unit of numbers between {low} and {high}: {_unit_trouble(low, high)}",
        hint=Hint("pass unit='s', 'ms', 'us' or 'ns'", "pass --unit s, ms, us or ns"),
    )


def _unit_trouble(low: float, high: float) -> str:
    """Say why numbers do not tell their unit."""
    if MAGNITUDES[-1][2] <= high:
        return "too large for a time"
    if low >= 19_000_101 and high <= 21_001_231:  # noqa: PLR2004 - years 1900 to 2100 as YYYYMMDD
        return "they look like dates written YYYYMMDD; give these as dates or texts"
    smallest = MAGNITUDES[0][1]
    return "too small for a time after 1973" if low < smallest else "they are of more than one unit"


def _texts(texts: pl.Series, unit: Unit | None) -> tuple[pl.Series, pl.Series]:
    stripped = texts.str.strip_chars()
    # Eight digits are a date, 20250901, unless a unit says otherwise.
    number = r"^-?\d+$" if unit else r"^-?(\d{1,7}|\d{9,})$"
    digits = stripped.str.contains(number).fill_null(value=True)
    if digits.all():
        return column_to_ms(stripped.cast(pl.Int64, strict=False), unit)
    if digits.any() and digits.sum() > texts.null_count():
        # Each row by itself: a text among numbers, as a header that is repeated, spoils no other.
        numbers, exact = column_to_ms(stripped.set(~digits, None).cast(pl.Int64, strict=False), unit)
        times, whole = _whole(_read(_plain(stripped.set(digits, None))), NS_PER["us"])
        return numbers.fill_null(times), exact & whole
    return _whole(_read(_plain(stripped)), NS_PER["us"])


def _plain(texts: pl.Series) -> pl.Series:
    """Write times the one way that is parsed: 2025-09-01 00:00:00, a zone as +09:00."""
    plain = pl.col(texts.name).str.replace(r"(\d)T(\d)", "$1 $2").str.replace_all("/", "-", literal=True)
    plain = plain.str.replace(r"\s*(?:Z|UTC)$", "").str.replace(r"\s*([+-]\d\d:?\d\d)$", "$1")
    return texts.to_frame().select(plain).to_series()  # in one go: each step by itself costs 80 us more


def _read(plain: pl.Series) -> pl.Series:
    """Parse texts to Int64 microseconds; dates with dots, MetaTrader's, are looked for among what is left."""
    parsed = _parse_texts(plain)
    if parsed.null_count() == plain.null_count():
        return parsed
    left = plain.set(parsed.is_not_null(), None)
    if not left.str.contains(DOTTED).any():
        return parsed
    return parsed.fill_null(_parse_texts(left.str.replace(DOTTED, "$1-$2-$3")))


def _parse_texts(plain: pl.Series) -> pl.Series:
    """Parse year-first texts to Int64 microseconds; null where no format fits."""
    parsed = pl.Series(plain.name, [None] * len(plain), dtype=pl.Int64)
    for pattern, zoned in TEXT_FORMATS:
        missing = parsed.is_null() & plain.is_not_null()
        if not missing.any():
            break
        moments = plain.str.to_datetime(
            pattern, time_unit="us", time_zone="UTC" if zoned else None, strict=False, exact=True
        )
        parsed = parsed.fill_null(moments.to_physical())
    return parsed


def _objects(column: pl.Series, unit: Unit | None) -> tuple[pl.Series, pl.Series]:
    """Read a column of mixed Python objects one by one; numbers in it are all of one unit."""
    values = column.to_list()
    numbers = [v for v in values if _is_number(v) and abs(v) < LARGEST]
    if numbers and unit is None:
        unit = _infer_unit(pl.Series(numbers, dtype=pl.Float64, strict=False))
        values = [None if _is_outside(value, unit) else value for value in values]
    read = [_object_ms(value, NS_PER[unit or "ms"]) for value in values]
    return (
        pl.Series(column.name, [ms for ms, _ in read], dtype=pl.Int64),
        pl.Series(column.name, [whole for _, whole in read], dtype=pl.Boolean),
    )


def _object_ms(value: object, ns: int) -> tuple[int | None, bool]:
    try:
        if isinstance(value, Integral | float) and not isinstance(value, bool):
            exact = (
                float(value) * ns / NS_PER["ms"]
                if isinstance(value, float)
                else int(value) * ns / NS_PER["ms"]
            )
            inside = abs(exact) < LARGEST
            return (math.floor(exact), exact == math.floor(exact)) if inside else (None, True)
        ms = to_ms(value)  # type: ignore[arg-type]  # to_ms refuses what it cannot read
        return ms, not (isinstance(value, datetime) and value.microsecond % 1000)
    except (TimestampError, OverflowError, ValueError, TypeError):
        return None, True
