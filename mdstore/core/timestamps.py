"""Times in: whatever a user has, as milliseconds since 1970, UTC.

A time may be a datetime (aware, or naive and then UTC), a date (its midnight), a text in ISO 8601 or in one
of the other spellings of `time_spellings`, or a number. What a call says of them (`unit=`, `date_format=`,
`tz=`) and what the rows have told is a `TimeStyle`. The unit of numbers is told by `unit=`, or of each number
by its size, since the sizes cannot be confused:

============  ==================  ===================================
magnitude     unit                covers
============  ==================  ===================================
1e8 to 1e11   seconds             1973-03-03 to 5138-11-16
1e11 to 1e14  milliseconds        the same
1e14 to 1e17  microseconds        the same
from 1e17     nanoseconds         1973-03-03 to 2262-04-11
============  ==================  ===================================

Smaller numbers need `unit=`. A single 0 is 1970. Whole numbers of 8, 12 and 14 digits of which most are dates
as they are written (20240131, 202401310900, 20240131090000) are read so.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from numbers import Integral
from typing import TYPE_CHECKING

import polars as pl

from mdstore.core.time_numbers import (
    LARGEST,
    MAGNITUDES,
    NS_PER,
    are_dates,
    date_in,
    read_numbers,
    unit_trouble,
    whole_ms,
)
from mdstore.core.time_style import TimeStyle, Unit
from mdstore.errors import TimestampError

if TYPE_CHECKING:
    from mdstore.core.spelled_times import Read

__all__ = ["Moment", "TimeStyle", "Unit", "column_to_ms", "ms_to_datetime", "to_ms", "unclear", "wall_clock"]

Moment = datetime | date | str | int

# How nearly all files write times, by a look at the first: read in one query, where the others take twenty.
PLAINLY = (
    (re.compile(r"\d{4}-\d\d-\d\d"), "%Y-%m-%d"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?"), "%Y-%m-%d %H:%M:%S%.f"),
)
LONGEST_DATE = 10  # characters: a date with an offset has more
# Whole numbers of so many digits are counts since 1970, and no dates as they are written.
COUNTS = (10, 13, 16)
DIGITS = re.compile(r"-?(\d{1,7}|\d{9,})")  # eight are a date, 20250901
# A year or a month, which stands for its first moment.
PARTIAL = re.compile(r"((?:1[7-9]|2[01])\d\d)(?:-(0[1-9]|1[0-2]))?")
OFFSET = r"[+-]\d\d:?\d\d$"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
# Texts of digits that are numbers: eight are a date, and fourteen a date and a time of day.
NUMBERS, NUMBERS_OF_A_UNIT = r"^-?(\d{1,7}|\d{9,13}|\d{15,})$", r"^-?\d+$"
FRACTIONS = r"^-?\d+(\.\d*|(\.\d*)?[eE][+-]?\d+)$"
# 22-10-28 is of no year 22, but `%Y` reads it so.
FIRST_YEAR = (datetime(1000, 1, 1, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
# The spelling of nearly all files, which is read at once; `spelled_times` reads what else there is.
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

    A year (`"2024"`) and a month (`"2024-01"`) are their first moment. Rounding up keeps half-open ranges
    exact: no bar starts between two milliseconds. `what` names the argument in the error.
    Raises `TimestampError`.

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
    if isinstance(value, str) and (partial := PARTIAL.fullmatch(value.strip())):
        return to_ms(date(int(partial[1]), int(partial[2] or 1), 1))
    if isinstance(value, str) and value.strip().isdecimal() and (written := date_in(int(value))) is not None:
        return to_ms(written)
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


def column_to_ms(column: pl.Series, how: TimeStyle | Unit | None = None) -> tuple[pl.Series, pl.Series]:
    """Return a column of times as Int64 milliseconds (null where unreadable), and where they were whole.

    `how` is how they are written, or the unit of numbers. Times finer than a millisecond are floored, and
    False in the second series. Raises `TimestampError` when the whole column cannot be read: a type that
    holds no times, numbers whose unit cannot be told, dates whose order of day and month nothing tells.
    """
    style = how if isinstance(how, TimeStyle) else TimeStyle(how)
    dtype = column.dtype
    if dtype == pl.Date:
        column, dtype = column.cast(pl.Datetime("ms")), pl.Datetime("ms")
    if isinstance(dtype, pl.Datetime):
        # Not by `to_physical`, which plans a query: 0.05 ms.
        return whole_ms(_moments(column, style).cast(pl.Int64), NS_PER[dtype.time_unit])
    if dtype.is_numeric():
        if style.pattern is not None:
            return _texts(_digits_of(column), style)
        wanted = pl.Int64 if dtype.is_integer() else pl.Float64
        return _numbers(column if dtype == wanted else column.cast(wanted, strict=False), style)
    if dtype == pl.Object:
        return _objects(column, style)
    if dtype in (pl.String, pl.Categorical, pl.Enum, pl.Null):
        return _texts(column.cast(pl.String), style)
    raise TimestampError(f"timestamp: a column of {dtype} holds no times")


def wall_clock(column: pl.Series, style: TimeStyle) -> pl.Series | None:
    """Return what the clocks of their own zones show at times, as ms since 1970; None where none has a zone.

    Null for a time without a zone, or one that cannot be read. Times that bear no zone are of `style.tz`.
    """
    dtype = column.dtype
    if isinstance(dtype, pl.Datetime) or dtype == pl.Date:
        zone = dtype.time_zone if isinstance(dtype, pl.Datetime) else None
        if (zone or style.tz) in (None, "UTC"):
            return None
        return column.cast(pl.Datetime("ms", zone)).dt.replace_time_zone(None).to_physical()
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        texts = column.cast(pl.String)
        return None if _are_bare(texts, style) else _wall_of_texts(texts.str.strip_chars(), style)
    if dtype == pl.Object:
        walls = pl.Series(column.name, [_wall(value, style) for value in column], dtype=pl.Int64)
        return None if walls.null_count() == len(walls) else walls
    return None


def unclear(column: pl.Series, style: TimeStyle) -> pl.Series | None:
    """Tell which times a zone's clocks show twice, or never, as where they are set back; None for none."""
    dtype = column.dtype
    if dtype == pl.Object:
        texts = [value.isoformat(" ") if _is_naive(value) else value for value in column]
        column = pl.Series(column.name, [text if _is_text(text) else None for text in texts], dtype=pl.String)
    if column.dtype in (pl.String, pl.Categorical, pl.Enum):
        return _any(_read_spelled(column.cast(pl.String), style, 2 * len(column)).unclear)
    if style.tz is not None and isinstance(dtype, pl.Datetime) and dtype.time_zone is None:
        from mdstore.core.spelled_times import localised  # noqa: PLC0415 - as in `_read_spelled`

        return _any(localised(column, style.tz)[1])
    return None


def _any(where: pl.Series) -> pl.Series | None:
    return where if where.any() else None


def _moments(column: pl.Series, style: TimeStyle) -> pl.Series:
    """Give naive datetimes their zone, where one is said."""
    assert isinstance(column.dtype, pl.Datetime)  # noqa: S101 - for mypy
    if style.tz is None or column.dtype.time_zone is not None:
        return column
    return column.dt.replace_time_zone(style.tz, ambiguous="null", non_existent="null")


def _digits_of(numbers: pl.Series) -> pl.Series:
    """Write whole numbers as texts, as 20240125, for a format to read."""
    return numbers.cast(pl.Int64, strict=False).cast(pl.String)


def _are_bare(texts: pl.Series, style: TimeStyle) -> bool:
    """Tell texts that are too short to bear a zone, and read as no other spelling that may."""
    if style.tz is not None or style.pattern is not None or style.told.spelled:
        return False
    longest = texts.str.len_bytes().max()
    return isinstance(longest, int) and longest <= LONGEST_DATE


def _wall_of_texts(texts: pl.Series, style: TimeStyle) -> pl.Series | None:
    if style.pattern is not None:
        return _none_empty(_read_spelled(texts, style, 2 * len(texts)).wall)
    plain = _plain(texts, style)
    zoned = plain.str.contains(OFFSET).fill_null(value=False)
    if style.tz is None and not style.told.spelled and not zoned.any():
        return None
    zoned |= style.tz is not None
    wall = pl.Series(texts.name, [None] * len(texts), dtype=pl.Int64)
    if zoned.any():
        shown = plain.set(~zoned, None).str.replace(OFFSET, "")
        wall = whole_ms(_parse_texts(shown, None), NS_PER["us"])[0]
    if style.told.spelled:
        wall = wall.fill_null(_read_spelled(texts.set(wall.is_not_null(), None), style, 2 * len(texts)).wall)
    return _none_empty(wall)


def _none_empty(column: pl.Series) -> pl.Series | None:
    return None if column.null_count() == len(column) else column


def _wall(value: object, style: TimeStyle) -> int | None:
    """Return what the clock of a datetime's own zone shows; None for what has no zone."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
    if isinstance(value, date) and not isinstance(value, datetime) and style.tz is not None:
        return to_ms(value)
    if not isinstance(value, datetime) or value != value or (value.tzinfo or style.tz) is None:  # noqa: PLR0124 - pandas' NaT
        return None
    return (value.replace(tzinfo=UTC) - EPOCH) // MILLISECOND


def _number_to_ms(number: int, what: str) -> int:
    if number == 0:
        return 0
    if date_in(number) is not None:  # as milliseconds, 202401250900 would be of 1976
        raise TimestampError(
            f"{what}: cannot tell the unit of {number}: it looks like a date as it is written; give a date "
            "or a text"
        )
    for unit, first, end in MAGNITUDES:
        if first <= abs(number) < end:
            return -(-number * NS_PER[unit] // NS_PER["ms"])
    trouble = unit_trouble(number, number)
    raise TimestampError(f"{what}: cannot tell the unit of {number}: {trouble}; give a date or a text")


def _parse_text(text: str, what: str) -> datetime:
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise TimestampError(f"{what}: {text!r} is no ISO 8601 time such as '2025-09-01T00:00'") from error


def _numbers(numbers: pl.Series, style: TimeStyle, *, alone: bool = True) -> tuple[pl.Series, pl.Series]:
    """Read numbers: moments, or dates as they are written, which the first rows of a table tell."""
    if style.unit is None and style.told.written is not False and numbers.count():
        if style.told.written is None:
            style.told.written = are_dates(numbers)
        if style.told.written:
            return _words(_digits_of(numbers), style)
    return read_numbers(numbers, style.unit, alone=alone)


# ---- texts


def _texts(texts: pl.Series, style: TimeStyle, *, alone: bool = True) -> tuple[pl.Series, pl.Series]:
    """Read texts; `alone` is whether they are all of their column."""
    counts = _counts(texts)
    if counts is not None and style.pattern is None:
        return _numbers(counts, style, alone=alone)
    plainly = _plainly(texts) if style.pattern is None and style.tz is None else None
    if plainly is not None:
        return whole_ms(plainly, NS_PER["us"])
    stripped = texts.str.strip_chars()
    if style.pattern is not None:
        read = _read_spelled(stripped, style)
        return read.ms, read.whole
    digits = stripped.str.contains(NUMBERS_OF_A_UNIT if style.unit else NUMBERS).fill_null(value=True)
    if digits.all():
        return _numbers(stripped.cast(pl.Int64, strict=False), style, alone=alone)
    if digits.any() and digits.sum() > texts.null_count():
        # Each row by itself: a text among numbers, as a header that is repeated, spoils no other.
        numbers, exact = _numbers(
            stripped.set(~digits, None).cast(pl.Int64, strict=False), style, alone=False
        )
        times, whole = _words(stripped.set(digits, None), style)
        return numbers.fill_null(times), exact & whole
    return _words(stripped, style)


def _counts(texts: pl.Series) -> pl.Series | None:
    """Return texts as whole numbers where each is one of as many digits; None where one is not."""
    first = (texts[0] if len(texts) else None) or ""
    digits = len(first)
    if digits not in COUNTS or not first.isdecimal() or not _are_so_long(texts, digits):
        return None
    numbers = texts.cast(pl.Int64, strict=False)
    least = numbers.min()
    # With a sign, one of so many characters has a digit less.
    plain = isinstance(least, int) and least >= 10 ** (digits - 1) and not numbers.null_count()
    return numbers if plain else None


def _are_so_long(texts: pl.Series, length: int) -> bool:
    lengths = texts.str.len_bytes()
    return lengths.min() == length == lengths.max()


def _plainly(texts: pl.Series) -> pl.Series | None:
    """Return texts that are all written in one plain way as microseconds; None for others."""
    first = (texts[0] if len(texts) else None) or ""
    pattern = next((pattern for shape, pattern in PLAINLY if shape.fullmatch(first)), None)
    if pattern is None:
        return None
    moments = texts.str.to_datetime(pattern, time_unit="us", strict=False, exact=True).to_physical()
    earliest = moments.min()
    early = isinstance(earliest, int) and earliest < FIRST_YEAR
    return None if early or moments.null_count() != texts.null_count() else moments


def _words(texts: pl.Series, style: TimeStyle) -> tuple[pl.Series, pl.Series]:
    """Read texts that are no whole numbers: those in ISO 8601 at once, then what is left."""
    moments = _parse_texts(_plain(texts, style), style.tz)
    ms, whole = whole_ms(moments, NS_PER["us"])
    if moments.null_count() == texts.null_count():
        return ms, whole
    left = moments.is_null() & texts.is_not_null()
    read = _others(texts.filter(left), style, texts.count())
    places = left.arg_true()
    return ms.scatter(places, read.ms), whole.scatter(places, read.whole)


def _others(texts: pl.Series, style: TimeStyle, of: int) -> Read:
    """Read what is no ISO 8601: 1325412060.0 and 1.7e12 are numbers, 19991110.0 is a date.

    `of` is how many rows their column has.
    """
    style.told.spelled = True
    fractions = texts.str.contains(FRACTIONS)
    if not fractions.any():
        return _read_spelled(texts, style, of)
    read = _read_spelled(texts.set(fractions, None), style, of)
    wholes = texts.set(~fractions, None).str.replace(r"\.0*$", "")
    digits = wholes.str.contains(NUMBERS_OF_A_UNIT).fill_null(value=True)
    ms, whole = _texts(wholes.set(~digits, None), style, alone=False)
    floats, exact = read_numbers(
        wholes.set(digits, None).cast(pl.Float64, strict=False), style.unit, alone=False
    )
    return type(read)(
        read.ms.fill_null(ms).fill_null(floats), read.whole & whole & exact, read.wall, read.unclear
    )


def _plain(texts: pl.Series, style: TimeStyle) -> pl.Series:
    """Write times the one way that is parsed: 2025-09-01 00:00:00, a zone as +09:00."""
    plain = pl.col(texts.name).str.replace(r"(\d)T(\d)", "$1 $2").str.replace_all("/", "-", literal=True)
    # Where times without a zone are of another, those in UTC say so.
    plain = plain.str.replace(r"\s*(?:Z|UTC)$", "" if style.tz is None else "+00:00")
    plain = plain.str.replace(r"\s*([+-]\d\d:?\d\d)$", "$1")
    return texts.to_frame().select(plain).to_series()  # in one go: each step by itself costs 80 us more


def _parse_texts(plain: pl.Series, tz: str | None) -> pl.Series:
    """Parse year-first texts to Int64 microseconds; null where no format fits. Naive ones are of `tz`."""
    parsed = pl.Series(plain.name, [None] * len(plain), dtype=pl.Int64)
    for pattern, zoned in TEXT_FORMATS:
        missing = parsed.is_null() & plain.is_not_null()
        if not missing.any():
            break
        moments = plain.str.to_datetime(
            pattern, time_unit="us", time_zone="UTC" if zoned else None, strict=False, exact=True
        )
        if tz is not None and not zoned:
            moments = moments.dt.replace_time_zone(tz, ambiguous="null", non_existent="null")
        parsed = parsed.fill_null(moments.to_physical())
    earliest = parsed.min()
    if isinstance(earliest, int) and earliest < FIRST_YEAR:
        return parsed.set((parsed < FIRST_YEAR).fill_null(value=False), None)
    return parsed


# ---- values of any kind


def _objects(column: pl.Series, style: TimeStyle) -> tuple[pl.Series, pl.Series]:
    """Read a column of mixed Python objects: numbers, texts and naive datetimes as columns of their kind."""
    values = column.to_list()
    rest = [_object_ms(value) for value in values]
    ms = pl.Series(column.name, [one[0] for one in rest], dtype=pl.Int64)
    whole = pl.Series(column.name, [one[1] for one in rest], dtype=pl.Boolean)
    for of_kind, dtype in KINDS:
        mine = [value if of_kind(value) else None for value in values]
        if any(value is not None for value in mine):
            part = pl.Series(
                column.name,
                [str(v) if dtype == pl.String and v is not None else v for v in mine],
                dtype=dtype,
                strict=False,
            )
            alone = part.count() + column.null_count() == len(column)
            numeric = dtype.is_numeric() and style.pattern is None
            read, exact = _numbers(part, style, alone=alone) if numeric else column_to_ms(part, style)
            ms, whole = ms.fill_null(read), whole & exact
    return ms, whole


def _is_number(value: object) -> bool:
    return isinstance(value, Integral | float) and not isinstance(value, bool) and abs(value) < LARGEST  # type: ignore[operator]


def _is_text(value: object) -> bool:
    if isinstance(value, str):
        return value.isascii() or value.encode(errors="ignore").decode() == value  # no half characters
    return type(value).__name__ == "datetime64"  # which prints as ISO 8601


def _is_naive(value: object) -> bool:
    return isinstance(value, datetime) and value == value and value.tzinfo is None  # noqa: PLR0124 - pandas' NaT


KINDS = (
    (lambda value: _is_number(value) and isinstance(value, Integral), pl.Int64()),
    (lambda value: _is_number(value) and isinstance(value, float), pl.Float64()),
    (_is_text, pl.String()),
    (_is_naive, pl.Datetime("us")),
    (lambda value: isinstance(value, date) and not isinstance(value, datetime), pl.Date()),
)


def _object_ms(value: object) -> tuple[int | None, bool]:
    """Read a datetime of a zone; None for what else there is."""
    try:
        if isinstance(value, datetime) and value == value and value.tzinfo is not None:  # noqa: PLR0124 - pandas' NaT
            return to_ms(
                value.replace(microsecond=value.microsecond // 1000 * 1000)
            ), value.microsecond % 1000 == 0
    except (OverflowError, ValueError, TypeError):
        pass
    return None, True


def _read_spelled(texts: pl.Series, style: TimeStyle, of: int = 0) -> Read:
    # The names of all columns and zones come with it, 6 ms, and a read of candles needs none.
    from mdstore.core.spelled_times import read_spelled  # noqa: PLC0415

    return read_spelled(texts, style, of)
