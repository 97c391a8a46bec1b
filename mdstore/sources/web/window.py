"""When a host may be asked again, so that it never counts more than it allows in any second.

A host counts requests as they arrive, and nobody but the host knows when that was: the network may hold one
up and not the next. But a request has arrived before it is answered, and earlier than that by at least the
way back. So a place is free a second after `answered - floor`, where `floor` is the shortest time that an
answer has taken of late: what is sent then arrives a second after the other or more, however much the network
held it up. That costs the jitter of the network, not its delay: 0.2 s that hardly vary cost nothing.

Times are of the machine's monotonic clock, which is one for all its processes, and begins anew with each
start of the machine: entries that lie in the future are from before it, and are dropped.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

__all__ = ["SPREAD", "UNANSWERED", "WINDOW", "Floor", "Sent", "Window"]

WINDOW: Final = 1.003
"""The second, and 3 ms by which the shortest way may be shorter than any that was seen of late."""
UNANSWERED: Final = 3.0
"""A request without an answer counts as arrived so long after it was sent: its process may have died."""
SPREAD: Final = 0.9
"""Requests are spread over so much of a second. The whole of it would add the lateness of each wake-up."""
POLL: Final = 0.005
"""So often it is looked whether an answer has come that a place depends on."""
LONGEST: Final = 3600.0
ROUND: Final = 1e-6
"""Times of a machine that runs for months are exact to so much of a second."""


@dataclass(slots=True)
class Sent:
    """A request: its number, when it was sent, what it costs, and from when its place is free."""

    number: int
    sent: float
    cost: float
    freed: float = math.inf

    @property
    def free(self) -> float:
        """When its place is free at the latest."""
        return self.sent + UNANSWERED + WINDOW if self.freed == math.inf else self.freed


@dataclass(slots=True)
class Window:
    """The requests of one group of a host that it may still count."""

    entries: list[Sent] = field(default_factory=list)

    def drop_old(self, now: float) -> None:
        """Forget what the host counts no more, and what cannot be true."""
        self.entries = [
            one
            for one in self.entries
            if one.sent <= now < one.free and one.free - one.sent <= LONGEST + ROUND
        ]

    def wait(self, now: float, cost: float, limit: float) -> float:
        """Return in how many seconds it is worth asking again; 0 if a request may be sent now."""
        self.drop_old(now)
        ours = (one for one in self.entries if one.number)
        last = max(ours, key=lambda one: one.sent, default=None)
        spread = 0.0 if last is None else last.sent + SPREAD * min(last.cost / limit, 1.0) - now
        used = sum(one.cost for one in self.entries)
        for one in sorted(self.entries, key=lambda one: one.free):
            if used + cost <= limit:
                break
            used -= one.cost
            spread = max(spread, one.free - now if one.freed < math.inf else min(one.free - now, POLL))
        return max(spread, 0.0)

    def answer(self, number: int, freed: float) -> None:
        """Note when the place of a request is free."""
        for one in self.entries:
            if one.number == number:
                one.freed = freed

    def others(self, sent: float, remaining: float, limit: float) -> float:
        """Tell how many requests a host has counted that are not ours, by what it says remains.

        Ours are counted generously, as the host may still count what we count no more.
        """
        ours = sum(one.cost for one in self.entries if one.free > sent)
        return max(limit - remaining - ours, 0.0)

    def fill(self, now: float, cost: float, seconds: float) -> None:
        """Take up places for a while that are not ours to give, an hour at most."""
        self.entries.append(Sent(0, now, cost, now + min(seconds, LONGEST)))


class Floor:
    """The shortest time that an answer took of late; 0 until enough have come.

    The first answers are of new connections, which take longer than their requests do.
    """

    LEAST = 16

    def __init__(self, times: Iterable[float] = ()) -> None:
        self._times: deque[float] = deque(times, maxlen=64)

    def add(self, seconds: float) -> None:
        """Take note of how long an answer took."""
        self._times.append(seconds)

    @property
    def seconds(self) -> float:
        """The shortest of the last 64."""
        return min(self._times) if len(self._times) >= self.LEAST else 0.0
