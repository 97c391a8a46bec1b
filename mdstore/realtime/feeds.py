"""How far a connection has come, by the exchange's time: what is proven to be whole, and what is not.

The local clock has no say in it. It may be wrong, it may step, and it goes on while a connection stalls:
a bar of which a third had come was stored as whole because a minute had passed here.

- A feed's `time` is the latest exchange time of anything that came by it. What was made `grace` milliseconds
  before that has come, too: exchanges send what is of different symbols, or streams, in no strict order.
- From its first trade (or stated time) after a subscription on, and that grace later, a feed sees everything.
- What is lost with a connection may be as old as its time less the grace.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from mdstore.core.time_bounds import FOREVER
from mdstore.realtime.bars import Bar

__all__ = ["Feed", "Series"]


class Series(Protocol):
    """What is made of what comes by a feed: bars of one symbol and timeframe."""

    symbol: str
    open: list[Bar]

    def begin(self, since: int, heard: int) -> None:
        """Know that bars which start at a time (ms) or later are seen whole; something came of `heard`."""

    def close_until(self, proven: int) -> None:
        """Close the bars that ended by a time (ms) until which all has come."""

    def lose(self, proven: int) -> None:
        """Know that what was made after a time (ms) may be lost."""


class Feed:
    """One connection, and the series that are made of what comes by it.

    Of the symbols `awaited` (None: of all) all is seen from the next trade on. `due` is the time at which the
    next bar is whole. `not_before` is a local time (ms): that clock may delay, but never declare. A feed
    `is_told` of lost connections by its session; one without a session is not. `digits` are the decimals of
    volumes, where they are known: sums are rounded to them.
    """

    __slots__ = (
        "awaited",
        "digits",
        "due",
        "grace",
        "is_told",
        "name",
        "not_before",
        "seen",
        "series",
        "time",
    )

    def __init__(
        self, grace: int, name: str = "", digits: int | None = None, *, is_told: bool = False
    ) -> None:
        self.name, self.grace, self.digits, self.is_told = name, grace, digits, is_told
        self.time, self.due = -FOREVER, FOREVER
        self.awaited: frozenset[str | None] = frozenset()
        self.not_before = -FOREVER
        self.seen: dict[str | None, int] = {}
        """Since when (ms) all is seen, by symbol."""
        self.series: list[Series] = []

    @property
    def proven(self) -> int:
        """Up to which time everything has come."""
        return self.time - self.grace if self.time > -FOREVER else -FOREVER

    def await_first(self, symbols: Iterable[str | None], now: int) -> None:
        """Take note that symbols were subscribed to at a local time (ms): the next trade of one proves it."""
        self.not_before = max(self.not_before, now) if self.awaited else now
        self.awaited |= frozenset(symbols)

    def hear(self, moment: int, of: str | None) -> None:
        """Take note of something made at a moment (ms): a trade of a symbol, or (None) a stated time."""
        if self.awaited and moment > self.time and (of is None or not self.awaited.isdisjoint((of, None))):
            since = max(moment + self.grace, self.not_before)
            begun, self.awaited = self.awaited, frozenset()
            self.seen |= dict.fromkeys(begun, since)
            for one in self.series:
                if not begun.isdisjoint((one.symbol, None)):
                    one.begin(since, moment)
        if moment > self.time:
            self.time = moment
            if moment >= self.due:
                self.close_due()

    def close_due(self) -> None:
        """Close the bars of which all has come; most series have none."""
        proven, due = self.proven, FOREVER
        for one in self.series:
            if one.open and one.open[0].end <= proven:
                one.close_until(proven)
            if one.open and one.open[0].end < due:
                due = one.open[0].end
        self.due = due + self.grace if due < FOREVER else FOREVER

    def join(self, series: Series, *, is_first: bool) -> None:
        """Have a series made of what comes from now on: nothing of a later time has come before.

        Nothing at all has, where it `is_first` of its symbol.
        """
        self.series.append(series)
        since = self.seen.get(series.symbol, self.seen.get(None))
        if since is not None:
            series.begin(since if is_first else max(since, self.time + 1), self.time)

    def refresh(self) -> None:
        """Reckon anew when the next bar is whole."""
        ends = [one.open[0].end for one in self.series if one.open]
        self.due = min(ends) + self.grace if ends else FOREVER

    def lose(self, symbols: Iterable[str] | None = None) -> None:
        """Take note that the connection was lost: what has not been proven never will be."""
        self.close_due()
        lost = None if symbols is None else frozenset(symbols)
        self.awaited = frozenset() if lost is None else self.awaited - lost
        self.seen = {} if lost is None else {s: since for s, since in self.seen.items() if s not in lost}
        for one in self.series:
            if lost is None or one.symbol in lost:
                one.lose(self.proven)
        self.refresh()
