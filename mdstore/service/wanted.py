"""Bars that are wanted of an upstream, and what came of asking."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import ms_to_datetime

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdstore.store.store import MarketDataStore

__all__ = ["NO_TIMES", "Got", "Outcome", "Wanted", "missing"]

Range = tuple[int, int]
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
    """What asking brought: rows by tier, and why something did not come, by symbol."""

    parts: list[Got] = field(default_factory=list)
    troubles: dict[str, str] = field(default_factory=dict)

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


def missing(
    store: MarketDataStore,
    symbols: Sequence[str],
    timeframe: Timeframe,
    between: tuple[int | None, int],
    page: int | None = None,
) -> dict[str, list[Range]]:
    """Return by symbol the ranges (ms) that are missing, each of at most a page.

    `between` is where to look, without a start from the first bar on.
    """
    start, end = between
    first = None if start is None else ms_to_datetime(start)
    found = store.missing(list(symbols), timeframe, start=first, end=ms_to_datetime(end), page=page)
    names, times = found["symbol"].cast(pl.String), found.select(pl.col("start", "end").to_physical())
    by_symbol: dict[str, list[Range]] = {}
    for symbol, one in zip(names, times.iter_rows(), strict=True):
        by_symbol.setdefault(symbol, []).append(one)
    return by_symbol
