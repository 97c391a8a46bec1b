"""How the times of one table are written: what a call says of it, and what its rows have told so far."""

# What a plain read does not need is imported by the function that does.
# ruff: noqa: PLC0415

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Self

from mdstore.errors import TimestampError

__all__ = ["UNITS", "TimeStyle", "Told", "Unit"]

Unit = Literal["s", "ms", "us", "ns", "excel"]
"""Of numbers since 1970, UTC; those of a spreadsheet are days since 1899-12-30, of no zone."""
UNITS = ("s", "ms", "us", "ns", "excel")


@dataclass(slots=True)
class Told:
    """What the rows of a table have told of its times, the same for all its chunks.

    `orders` are the orders of day and month ("dm", "md") of dates that can be read in one way only; `leans`
    is whether others were read by that, `undecided` whether some could not be read, since nothing tells yet.
    `spelled` is whether there were texts other than ISO 8601, `written` whether whole numbers are dates as
    they are written (202401250900), None until some have told.
    """

    orders: set[str] = field(default_factory=set)
    leans: bool = False
    undecided: bool = False
    spelled: bool = False
    written: bool | None = None


class TimeStyle:
    """What is known of the times of one table: `unit` of numbers, `pattern` of texts, `tz` of naive times.

    Each is None where nobody says; `told` is what the rows say.
    """

    __slots__ = ("pattern", "told", "tz", "unit")

    def __init__(
        self, unit: Unit | None = None, date_format: str | None = None, tz: str | None = None
    ) -> None:
        if unit is not None and (not isinstance(unit, str) or unit not in UNITS):
            raise TimestampError(f"unit {unit!r} is none of 's', 'ms', 'us', 'ns', 'excel'")
        self.unit = unit
        self.pattern = None if date_format is None else _pattern(date_format)
        self.tz = None if tz is None else _zone(tz)
        self.told = Told()

    def of_zone(self, tz: str | None) -> Self:
        """Return the same style for times of which a table says the zone."""
        other = type(self)(self.unit, tz=tz)
        other.pattern, other.told = self.pattern, self.told
        return other


def _zone(tz: str) -> str:
    from mdstore.core.column_names import ZONES
    from mdstore.core.zones import check_zone

    return check_zone(ZONES.get(tz.lower(), tz) if isinstance(tz, str) else tz)


def _pattern(date_format: str) -> str:
    from mdstore.core.time_spellings import pattern_of

    return pattern_of(date_format)
