"""Times, numbers, counts and sizes as they are written for eyes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from math import isfinite
from typing import Any

from mdstore.core.sizes import size_text
from mdstore.reports.text_chart import digits

__all__ = ["count", "is_intraday", "moment", "moments", "number_text", "number_texts", "size_text"]

# From here on floats have no decimals, and Python's short form says as much as all the digits.
HUGE = 1e15
# A column that needs more of them has exponents: 1e-300.
MOST_DECIMALS = 20


def moment(value: datetime | date | None, *, intraday: bool = False) -> str:
    """Write a time in short: a midnight as its date, unless it is the start of a bar of minutes or hours.

    >>> moment(datetime(2025, 9, 1)), moment(datetime(2025, 9, 1), intraday=True)
    ('2025-09-01', '2025-09-01 00:00')
    """
    return moments([value], intraday=intraday)[0]


def moments(values: Sequence[datetime | date | None], *, intraday: bool) -> list[str]:
    """Write times in one format: with seconds, or with the time of day, if any of them needs that."""
    times = [value for value in values if isinstance(value, datetime)]
    clock = intraday or any(time.hour or time.minute or time.second or time.microsecond for time in times)
    pattern = "%Y-%m-%d"
    if clock:
        pattern += " %H:%M:%S" if any(time.second or time.microsecond for time in times) else " %H:%M"
    return [
        "" if value is None else f"{value:{pattern}}" if isinstance(value, datetime) else value.isoformat()
        for value in values
    ]


def is_intraday(timeframe: str) -> bool:
    """Tell whether bars are shorter than a day.

    >>> is_intraday("4h"), is_intraday("1d"), is_intraday("1M"), is_intraday("1d@15h"), is_intraday("1w@Sun")
    (True, False, False, True, False)
    """
    length, _, where = timeframe.partition("@")
    return length.endswith(("s", "m", "h")) or where.endswith(("s", "m", "h"))


def count(number: int, noun: str) -> str:
    """Write a number of things.

    >>> count(1, "row"), count(12154, "row")
    ('1 row', '12,154 rows')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def number_texts(values: Sequence[float]) -> list[str]:
    """Write numbers with the same number of decimals, as many as any of them needs.

    >>> number_texts([1519.0, 1519.25])
    ['1,519.00', '1,519.25']
    """
    decimals = digits(values)
    return [number_text(value, decimals, ",") for value in values]


def number_text(value: Any, decimals: int, comma: str) -> str:
    """Write one value of a table: a number with so many decimals, `comma` between its thousands."""
    if value is None:
        return ""
    if isinstance(value, float):
        if not isfinite(value) or abs(value) >= HUGE or decimals > MOST_DECIMALS:
            return repr(value)
        # Not of the double itself, whose further digits nobody wrote: 0.1 is 0.1000000000000000055.
        return f"{Decimal(repr(value)):{comma}.{decimals}f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:{comma}}"
    return "".join(letter if letter.isprintable() else " " for letter in str(value))
