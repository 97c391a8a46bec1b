"""How long something is kept: lengths of time as people write them, `90d` or `1y`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from mdstore.errors import InvalidInputError

__all__ = ["period_ms"]

HOUR: Final = 3_600_000
UNITS: Final = {"h": HOUR, "d": 24 * HOUR, "w": 168 * HOUR, "M": 31 * 24 * HOUR, "y": 366 * 24 * HOUR}
"""Months and years are the longest there are: nothing goes earlier than was meant."""
WRITTEN: Final = re.compile(r"([1-9][0-9]{0,5})([hdwMy])")
MILLISECOND: Final = timedelta(milliseconds=1)


def period_ms(value: str | timedelta, what: str) -> int:
    """Return a length of time in milliseconds. Raises `InvalidInputError`.

    >>> period_ms("1d", "keep"), period_ms(timedelta(hours=1), "keep")
    (86400000, 3600000)
    """
    if isinstance(value, timedelta) and value > timedelta(0):
        return value // MILLISECOND
    match = WRITTEN.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise InvalidInputError(
            f"{what}={value!r} is no length of time: write a whole number and one of h, d, w, M (months), y, "
            "such as '90d' or '1y'"
        )
    return int(match[1]) * UNITS[match[2]]
