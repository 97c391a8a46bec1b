"""What a host says besides its answer: how long to wait, how long a ban lasts, what its clock shows."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

__all__ = ["Answer", "Request", "ban_seconds", "excerpt", "is_json", "wait_seconds"]

FIRST_BAN: Final = 60.0
"""A ban of which no end was said, the first time; each that follows is waited for twice as long."""
BELIEVED: Final = 2
LONGEST_UNSAID: Final = 3600.0
UNTIL: Final = re.compile(r"until\s+(\d{13})")  # Binance: IP banned until 1620286253180
SAID: Final = re.compile(
    r"(\d+)\s*(milliseconds?|ms|seconds?|secs?|minutes?|mins?|hours?|days?|초|분|시간|일|s\b|m\b|h\b)",
    re.IGNORECASE,
)
LENGTHS: Final[tuple[tuple[tuple[str, ...], float], ...]] = (
    (("milli", "ms"), 0.001), (("s", "초"), 1.0), (("m", "분"), 60.0), (("h", "시간"), 3600.0),
    (("d", "일"), 86_400.0),
)  # fmt: skip
SHOWN: Final = 120


@dataclass(frozen=True, slots=True)
class Request:
    """What a host is asked: a path with its parameters, of which group it is counted, and at what cost."""

    path: str
    params: Mapping[str, str | int] = field(default_factory=dict)
    group: str = ""
    cost: float = 1.0
    what: str = ""
    """What is asked for, in words, for errors."""
    is_large: bool = False
    """Whether its answer may take long, as long as something of it comes."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a host has answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def clock(self) -> int | None:
        """What the host's clock showed (ms since 1970, to the second before), where it says so."""
        try:
            date = parsedate_to_datetime(self.headers.get("Date", ""))
        except (ValueError, OverflowError):  # of a year that is none
            return None
        return int(date.replace(tzinfo=date.tzinfo or UTC).timestamp()) * 1000

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode(errors="replace")


def wait_seconds(answer: Answer, now: float) -> float | None:
    """Return how long a host asks to wait, by `Retry-After`: seconds, or a date; None if it does not say.

    `now` is the time in seconds since 1970; the host's own clock is taken where it shows one.
    """
    said = answer.headers.get("Retry-After", "")
    try:
        seconds = float(said)
    except ValueError:
        try:
            date = parsedate_to_datetime(said)
        except (ValueError, OverflowError):
            return None
        seconds = date.replace(tzinfo=date.tzinfo or UTC).timestamp() - _shown(answer, now)
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _shown(answer: Answer, now: float) -> float:
    """Return what a host's clock shows (seconds since 1970): by that it says when a wait is over."""
    return now if answer.clock is None else answer.clock / 1000


def ban_seconds(answer: Answer, now: float, bans: int) -> float:
    """Return how long a ban lasts, by what the answer says; `now` is the time in seconds since 1970.

    Where it says nothing, a minute, and twice as long each time: `bans` were there before. So it is where it
    says that it is over by now, and it was not `BELIEVED` times.

    >>> ban_seconds(Answer(418, {}, b'{"msg": "IP banned until 1620286253180."}'), 1620286250.18, 0)
    3.0
    >>> ban_seconds(Answer(418, {}, "2분 동안 차단되었습니다".encode()), 0, 0)
    120.0
    """
    unsaid = min(FIRST_BAN * float(2**bans), LONGEST_UNSAID)
    said = _said_seconds(answer, now)
    return unsaid if said is None or (said == 0 and bans >= BELIEVED) else said


def _said_seconds(answer: Answer, now: float) -> float | None:
    """Return how long a ban lasts, by its header or by its words; None where it does not say."""
    if (seconds := wait_seconds(answer, now)) is not None:
        return seconds
    if until := UNTIL.search(answer.text):
        return max(int(until[1]) / 1000 - _shown(answer, now), 0.0)
    if said := SAID.search(answer.text):
        unit = said[2].lower()
        return int(said[1]) * next(long for starts, long in LENGTHS if unit.startswith(starts))
    return None


def is_json(answer: Answer) -> bool:
    """Tell whether an answer is JSON, as that of an exchange is, and a page for people is not."""
    try:
        json.loads(answer.body)
    except (ValueError, RecursionError):
        return False
    return True


def excerpt(answer: Answer) -> str:
    """Return the beginning of an answer in one line, for an error."""
    text = " ".join(answer.text[:2_000].split())
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
