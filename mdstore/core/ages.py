"""Ages, as people write them: `90d`, `12w`, `1y`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from mdstore.core.excerpts import excerpt
from mdstore.errors import InvalidInputError

__all__ = ["age_ms"]

DAY: Final = 86_400_000
UNITS: Final = {"h": DAY // 24, "d": DAY, "w": 7 * DAY, "y": 365 * DAY}
"""Milliseconds; a year is one of 365 days."""
AGE: Final = re.compile(r"\s*(\d{1,6})\s*([hdwy])\s*", re.IGNORECASE)
MILLISECOND: Final = timedelta(milliseconds=1)


def age_ms(age: str | timedelta, what: str) -> int:
    """Return an age in milliseconds; `what` names the argument in the error. Raises `InvalidInputError`.

    >>> age_ms("90d", "freeze_after"), age_ms(timedelta(hours=1), "freeze_after")
    (7776000000, 3600000)
    """
    if isinstance(age, timedelta) and age > timedelta():
        return age // MILLISECOND
    found = AGE.fullmatch(age) if isinstance(age, str) else None
    if found is None or not int(found[1]):
        raise InvalidInputError(
            f"{what}={excerpt(repr(age))} is no age", hint="a number of h, d, w or y, such as 90d or 1y"
        )
    return int(found[1]) * UNITS[found[2].lower()]
