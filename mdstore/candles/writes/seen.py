"""What a call has done to one series so far."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

import polars as pl

from mdstore.candles.writes.bar_changes import Changes

__all__ = ["Seen"]


@dataclass(slots=True)
class Seen:
    """What a call has done to one series."""

    changes: Changes
    inserted: int = 0
    changed: bool = False
    first: int | None = None
    last: int | None = None
    end: int | None = None
    """The last bar that was stored before the call, once that is known."""
    behind: int | None = None
    """From when on nothing was stored, nor held by a cell, once that is known."""
    parts: list[tuple[pl.Series, int, int]] = field(default_factory=list)
    """The times that the call has written, as parts of columns: where each begins and ends."""
    extras: tuple[str, ...] = ()
    """The declared columns that the series has values of, with those of the call, once there are such."""
    given: tuple[str, ...] = ()
    """Those in the rows that are written just now."""

    def note(self, times: pl.Series, start: int, end: int, first: int, last: int) -> None:
        """Take note of rows that were written, or were there already: those `[start, end)` of a column."""
        self.parts.append((times, start, end))
        self.first = first if self.first is None else min(self.first, first)
        self.last = last if self.last is None else max(self.last, last)

    @property
    def runs(self) -> list[pl.Series]:
        """The times that the call has written, each run sorted; to make one of a part takes 3 us."""
        return [times.slice(start, end - start) for times, start, end in self.parts]

    @property
    def reach(self) -> tuple[int, int]:
        """The first and the last of its rows (ms); it has some."""
        assert self.first is not None  # noqa: S101 - for mypy
        assert self.last is not None  # noqa: S101
        return self.first, self.last

    def new_times(self) -> Iterator[int]:
        """Yield the times of bars that were not there before the call."""
        return filter(self.changes.is_new, chain.from_iterable(self.runs))

    @property
    def next_cell(self) -> int:
        """From when on (ms) a cell of rows that come behind all others begins."""
        assert self.behind is not None  # noqa: S101 - it was asked for; for mypy
        return self.behind if self.last is None else max(self.behind, self.last + 1)

    def is_behind(self, first: int) -> bool:
        """Tell whether rows from a time on are behind all that is there, and that the call has given."""
        return first >= self.next_cell

    def again(self, times: pl.Series) -> pl.Series | None:
        """Mark the times that came in an earlier chunk; None if there are none, as in sorted data."""
        low, high = times[0], times[-1]
        near = [
            column.slice(start, end - start)
            for column, start, end in self.parts
            if column[start] <= high and low <= column[end - 1]
        ]
        return times.is_in(pl.concat(near).implode()) if near else None
