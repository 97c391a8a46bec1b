"""What the local exchange was asked, and when: what tests hold clients to."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Final, NamedTuple

__all__ = ["MOST", "Asked", "RequestLog", "most_in_a_second"]

MOST: Final = 200_000
"""So many requests are kept, about 100 MB: one that runs for days would grow without an end."""


class Asked(NamedTuple):
    """One request: when it came (seconds of the monotonic clock), for what, and what became of it.

    `rows` is how many candles it was answered with, `fault` what went wrong by the plan.
    """

    at: float
    group: str
    path: str
    query: dict[str, str]
    agent: str
    weight: int
    status: int = 0
    rows: int = 0
    fault: str | None = None


class RequestLog(deque[Asked]):
    """The latest requests; each has the number that it had from the beginning on."""

    def __init__(self) -> None:
        super().__init__(maxlen=MOST)
        self._count = 0

    def append(self, asked: Asked) -> None:
        """Add a request."""
        self._count += 1
        super().append(asked)

    def since(self, number: int) -> list[Asked]:
        """Return those from a number on that are kept yet."""
        return list(islice(self, max(number - (self._count - len(self)), 0), None))


def most_in_a_second(asked: list[Asked], group: str) -> int:
    """Return how many requests of a group came in the busiest second, wherever it began.

    >>> asked = [Asked(at, "candles", "/", {}, "", 1) for at in (0.0, 0.5, 1.1, 1.2, 2.3)]
    >>> most_in_a_second(asked, "candles")
    3
    """
    times = sorted(one.at for one in asked if one.group == group)
    most = first = 0
    for last, at in enumerate(times):
        while at - times[first] >= 1:
            first += 1
        most = max(most, last - first + 1)
    return most
