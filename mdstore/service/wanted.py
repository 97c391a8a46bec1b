"""Bars that are wanted of an upstream, and what came of asking."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from mdstore.core.timeframe import Timeframe

__all__ = ["NO_TIMES", "Got", "Outcome", "Wanted"]

NO_TIMES = pl.Series([], dtype=pl.Int64)


@dataclass(frozen=True, slots=True)
class Got:
    """What a tier gave of a range (ms) of a symbol, and the microseconds that took.

    `kept` are the times of bars that were stored before, and stayed as they were.
    """

    tier: str
    symbol: str
    start: int
    end: int
    rows: int
    microseconds: float
    kept: pl.Series = field(default_factory=lambda: NO_TIMES, compare=False, repr=False)


@dataclass(slots=True)
class Outcome:
    """What asking brought: rows by tier, and why something did not come, by symbol.

    `late` is when the newest bar has ended that may come yet (ms), None where none is waited for.
    """

    parts: list[Got] = field(default_factory=list)
    troubles: dict[str, str] = field(default_factory=dict)
    late: int | None = None

    @property
    def rows(self) -> dict[str, int]:
        """The rows that came, by tier; a tier that gave none is not among them."""
        found: dict[str, int] = {}
        for part in self.parts:
            if part.rows:
                found[part.tier] = found.get(part.tier, 0) + part.rows
        return found

    def join(self, other: Outcome) -> None:
        """Add what another brought."""
        self.parts += other.parts
        self.troubles.update(other.troubles)
        self.wait_for(other.late)

    def wait_for(self, end: int | None) -> None:
        """Take note that the bar that ended then (ms) may come yet."""
        if end is not None and (self.late is None or self.late < end):
            self.late = end


@dataclass(frozen=True, slots=True)
class Wanted:
    """Bars of one series in `[start, end)` (ms)."""

    symbol: str
    timeframe: Timeframe
    start: int
    end: int

    @property
    def key(self) -> tuple[str, str]:
        """Which series it is."""
        return self.symbol, str(self.timeframe)

    def within(self, start: int, end: int) -> Wanted:
        """Return a part of it."""
        return Wanted(self.symbol, self.timeframe, max(start, self.start), min(end, self.end))

    def got(self, tier: str, rows: int, microseconds: float, kept: pl.Series = NO_TIMES) -> Got:
        """Return what a tier gave of it."""
        return Got(tier, self.symbol, self.start, self.end, rows, microseconds, kept)

    def __str__(self) -> str:
        return f"{self.symbol} {self.timeframe}"
