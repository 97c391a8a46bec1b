"""What the local exchange was asked, and when: what tests hold clients to."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Asked", "most_in_a_second"]


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
