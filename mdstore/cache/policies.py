"""How long an answer is kept: policies, which are values, and the table of them by kind of data.

A policy is anything that has `expires(key, now)`: the time at which an answer made at `now` is too old (both
ms since 1970, UTC), or None where time alone does not make it old.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from mdstore.cache.ages import Clocks, End
from mdstore.cache.data_cache import Key
from mdstore.core.calendars import ALWAYS, Grid, calendar_of, check_calendar
from mdstore.core.polars_forks import refuse_broken_polars
from mdstore.core.timeframe import MINUTE, Timeframe
from mdstore.errors import ForkedError, Hint, InvalidInputError

__all__ = ["LRU", "POLICIES", "TTL", "Negative", "NextBar", "Policies", "Policy", "SessionTTL"]

SECOND = 1_000
LONGEST = 1e11  # seconds: 3,000 years
ONE_MINUTE = Timeframe.parse("1m")


class Policy(Protocol):
    """How long an answer is kept."""

    def expires(self, key: Key, now: int) -> int | None:
        """Return the time (ms) from which an answer made at `now` is too old; None is never."""


@dataclass(frozen=True, slots=True)
class TTL:
    """So many seconds.

    >>> TTL(1.5).expires(Key("ticker"), 10_000)
    11500
    """

    seconds: float

    def __post_init__(self) -> None:
        _check_seconds(self.seconds)

    def expires(self, _: Key, now: int) -> int:  # noqa: D102 - as the protocol says
        return now + math.ceil(self.seconds * SECOND)


@dataclass(frozen=True, slots=True)
class Negative(TTL):
    """So many seconds, for answers that hold nothing: soon there may be something."""


@dataclass(frozen=True, slots=True)
class LRU:
    """Until others want the room: for answers whose key has the revisions of all they were made of."""

    def expires(self, _: Key, __: int) -> None:  # noqa: D102
        return None


@dataclass(frozen=True, slots=True)
class NextBar:
    """Until the next bar ends, where the answer is about the latest ones; else until others want the room.

    The latest are the one that forms and the one before it, which may not have come yet. `otherwise` are the
    seconds for keys without a timeframe.

    >>> NextBar().expires(Key("candles", timeframe="1h"), 5_000_000)
    7200000
    >>> NextBar().expires(Key("candles", timeframe="1h", end=0), 5_000_000) is None
    True
    """

    otherwise: float = 60.0

    def __post_init__(self) -> None:
        _check_seconds(self.otherwise)

    def expires(self, key: Key, now: int) -> int | None:  # noqa: D102
        if key.timeframe is None:
            return TTL(self.otherwise).expires(key, now)
        timeframe = Timeframe.parse(key.timeframe)
        before_last = timeframe.floor(timeframe.floor(now) - 1)
        return None if key.end is not None and key.end <= before_last else timeframe.next(now)


@dataclass(frozen=True, slots=True)
class SessionTTL:
    """`open_seconds` while the market trades; `closed_seconds` while it does not, and not beyond its opening.

    `calendar` is a name such as `XKRX`, or a dict of patterns of symbols, as the store has them; by default
    it always trades. Of many symbols it is enough that one of them trades. The first question about a
    calendar takes up to a second. Raises `InvalidInputError` for a calendar that there is not.

    >>> SessionTTL(5, 3600).expires(Key("sql"), 0)
    5000
    """

    open_seconds: float
    closed_seconds: float
    calendar: str | Mapping[str, str] = ALWAYS

    def __post_init__(self) -> None:
        _check_seconds(self.open_seconds)
        _check_seconds(self.closed_seconds)
        for name in [self.calendar] if isinstance(self.calendar, str) else self.calendar.values():
            check_calendar(name)

    def expires(self, key: Key, now: int) -> int:  # noqa: D102
        opens = min(_opening(calendar, now) for calendar in self._calendars(key))
        if opens <= now:
            return now + math.ceil(self.open_seconds * SECOND)
        return min(now + math.ceil(self.closed_seconds * SECOND), opens)

    def _calendars(self, key: Key) -> set[str]:
        if isinstance(self.calendar, str):
            return {self.calendar}
        if not key.symbols:  # all: also those that no pattern matches
            return {ALWAYS, *self.calendar.values()}
        return {calendar_of(symbol, self.calendar) for symbol in key.symbols}


def _opening(calendar: str, now: int) -> int:
    """Return the start of the first minute of trade from that of `now` on; of now, if there is trade."""
    if calendar == ALWAYS:
        return now
    try:
        refuse_broken_polars()  # calendars are made by it
    except ForkedError:
        return now  # the shorter of the two is right, too
    return _minutes(calendar).after(ONE_MINUTE.floor(now), 1) - MINUTE


@lru_cache(maxsize=64)
def _minutes(calendar: str) -> Grid:
    return Grid(ONE_MINUTE, calendar)


def _check_seconds(seconds: object) -> None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= LONGEST:
        raise InvalidInputError(
            f"a policy keeps answers for a number of seconds, not {seconds!r}",
            hint=Hint("LRU() keeps them until others want the room", "give a number of seconds"),
        )


# By the kind of a key. What has no row of its own is kept as OTHER says, what holds no rows as EMPTY does.
OTHER, EMPTY = "other", "empty"
POLICIES: Mapping[str, Policy] = {
    "candles": NextBar(),
    "resample": NextBar(),
    "screen": NextBar(),
    "sql": SessionTTL(60, 3600),
    "ticker": TTL(1),
    "orderbook": TTL(1),
    "trades": TTL(1),
    OTHER: TTL(60),
    EMPTY: Negative(5),
}


class Policies:
    """The table of policies, with a user's own rows over it. Raises `InvalidInputError` for what is none.

    >>> Policies({"ticker": TTL(5)}).expires(Key("ticker"), rows=1, now=0)
    5000
    """

    def __init__(self, own: Mapping[str, Policy] | None = None) -> None:
        if own is not None and not isinstance(own, Mapping):
            raise InvalidInputError(f"policies: a dict of kinds of data and their policies, not {own!r}")
        self._table = {**POLICIES, **(own or {})}
        for kind, policy in self._table.items():
            if not callable(getattr(policy, "expires", None)) or isinstance(policy, type):
                raise InvalidInputError(
                    f"policies: {policy!r} of {kind!r} is no policy",
                    hint=Hint(
                        "give a value such as TTL(60), LRU(), NextBar() or SessionTTL(60, 3600)",
                        "give a number of seconds",
                    ),
                )

    def expires(self, key: Key, *, rows: int, now: int) -> int | None:
        """Return the time (ms) from which an answer of so many rows, made at `now`, is too old."""
        policy = self._table.get(key.kind) or self._table[OTHER]
        ends = policy.expires(key, now)
        if rows:
            return ends
        soon = self._table[EMPTY].expires(key, now)
        return min((end for end in (ends, soon) if end is not None), default=None)

    def end(self, key: Key, rows: int, ttl: float | None, clocks: Clocks) -> End:
        """Return the end of an answer that is made now: after `ttl` seconds, if that is given."""
        now = clocks.now()
        return clocks.end(self.expires(key, rows=rows, now=now) if ttl is None else now + ttl * SECOND)
