"""The quiet hours of a day, in a zone: stated, or the quietest that were observed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, tzinfo
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from mdstore.errors import InvalidInputError

__all__ = ["QuietWindow"]

HOUR = 3_600_000
HOURS = 24
LENGTH = 2
"""Hours of a window that is observed."""


@dataclass(frozen=True, slots=True)
class QuietWindow:
    """The hours `[start, end)` of every day by the clocks of `zone`; they may go over midnight.

    >>> str(QuietWindow.parse("23:00-01:30", "Asia/Seoul"))
    '23:00-01:30 Asia/Seoul'
    """

    start: time = time(2)
    end: time = time(4)
    zone: tzinfo = UTC
    observed: bool = False

    @classmethod
    def parse(cls, hours: str, zone: str = "UTC") -> Self:
        """Return the window of a text such as "02:00-04:00". Raises `InvalidInputError`."""
        try:
            start, end = (time.fromisoformat(part.strip()) for part in hours.split("-"))
        except (ValueError, AttributeError) as error:
            raise InvalidInputError(
                f"{hours!r} are no hours of a day", hint="give a start and an end, such as 02:00-04:00"
            ) from error
        try:
            return cls(start, end, ZoneInfo(zone))
        except (ZoneInfoNotFoundError, ValueError, OSError, TypeError) as error:
            raise InvalidInputError(f"{zone!r} is no time zone", hint="such as UTC or Asia/Seoul") from error

    @classmethod
    def quietest(cls, by_hour: Mapping[int, int]) -> Self:
        """Return the two hours of a day (UTC) in which least came, of bars by the hour since 1970.

        What came in hour 0 came nobody knows when. Of equals the earliest; without any, 02:00 to 04:00.
        """
        by_clock = Counter[int]()
        for hour, rows in by_hour.items():
            if hour > 0:
                by_clock[hour % HOURS] += rows
        if not by_clock:
            return cls(observed=True)
        first = min(range(HOURS), key=lambda at: (sum(by_clock[(at + n) % HOURS] for n in range(LENGTH)), at))
        return cls(time(first), time((first + LENGTH) % HOURS), UTC, observed=True)

    def holds(self, now: float) -> bool:
        """Tell whether a time (seconds since 1970) is in it; a window without length holds the whole day."""
        clock = self.clock(now)
        if self.start < self.end:
            return self.start <= clock < self.end
        return clock >= self.start or clock < self.end

    def clock(self, now: float) -> time:
        """Return what its clocks show at a time (seconds since 1970), to the second."""
        return datetime.fromtimestamp(now, self.zone).time().replace(microsecond=0)

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M} {self.zone}{' (observed)' if self.observed else ''}"
