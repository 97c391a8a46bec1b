"""What a sync needs of the store that it fills: what is missing there, and a place where pages land."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from mdstore.core.checked_rows import Checked
from mdstore.core.hole_reasons import Stated
from mdstore.core.timeframe import Timeframe

if TYPE_CHECKING:
    from mdstore.candles.writes.results import WriteResult
    from mdstore.core.extra_columns import Extra
    from mdstore.sources.sync.leasing import TakesLeases

__all__ = ["Key", "Landing", "Range", "Row", "Said", "SyncPlace"]

Key = tuple[str, str]
"""A series: symbol and timeframe."""
Row = tuple[int, float, float, float, float, float]
"""A bar: when it starts (ms), and its values."""
Range = tuple[int, int]
"""Bars that start in `[start, end)`, in ms."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a page says of `[start, end)` (ms): all there is came with it.

    `absent` is why other bars are not there, where that is known. From `settled` on they may yet change.
    """

    start: int
    end: int
    absent: Stated | None
    settled: int


@dataclass(frozen=True, slots=True)
class Landing:
    """Rows of one series, and what is said of the ranges that they are from; `source` gave them.

    `keep` are ranges whose stored bars must not change: `land` raises `ConflictError` where they would.
    """

    key: Key
    rows: Checked
    said: Sequence[Said]
    source: str
    keep: Sequence[Range] = ()


class SyncPlace(Protocol):
    """A store, as a sync sees it. Its methods may be called in any thread."""

    @property
    def leases(self) -> TakesLeases:
        """Names that one process has at a time."""

    def now(self) -> int:
        """Return the time in ms."""

    def to_ask(
        self, symbols: Sequence[str], timeframe: Timeframe, start: int | None, end: int, page: int | None
    ) -> dict[str, list[Range]]:
        """Return what is worth asking for in `[start, end)`, by symbol; no start is the first stored bar."""

    def first_bars(self, timeframe: Timeframe) -> Mapping[str, int]:
        """Return the first stored bar of each series of a timeframe (ms)."""

    def failed(self, symbols: Sequence[str], timeframe: Timeframe) -> set[str]:
        """Return those symbols of which a fetch failed, and was not made up for: it is known from when on."""

    def sources(self, symbols: Sequence[str], timeframe: Timeframe) -> Mapping[str, Sequence[str]]:
        """Return from which sources the stored bars of series are, by symbol."""

    def given_until(self, key: Key, source: str) -> int | None:
        """Return where the last stored bar of a series ends, if `source` gave any of its bars."""

    def stored(self, key: Key, start: int, end: int) -> list[Row]:
        """Return the bars of a series that are stored in a range."""

    def extras(self, key: Key) -> Callable[[], list[Extra]]:
        """Return what gives the declared columns that are kept of a series."""

    def land(self, landings: Sequence[Landing]) -> list[WriteResult]:
        """Store rows of several series, each once, and what is said of them, in one transaction."""

    def state(
        self, key: Key, start: int | None, end: int | None, reason: Stated | Literal["unknown"], source: str
    ) -> None:
        """State why there are no bars in a range, "unknown" of one that was answered; no end is open."""

    def state_failed(self, key: Key, start: int, end: int, source: str) -> None:
        """State that a fetch failed of what is worth asking for in a range."""

    def holes(self, key: Key, start: int, end: int) -> dict[str, int]:
        """Return how many bars are not there in a range, by reason."""
