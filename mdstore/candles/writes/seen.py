"""What a call has done to one series so far."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from mdstore.candles.writes.bar_changes import Changes

__all__ = ["Seen"]


@dataclass(slots=True)
class Seen:
    """What a call has done to one series; `runs` are the times it has written, each run sorted."""

    changes: Changes
    inserted: int = 0
    changed: bool = False
    first: int | None = None
    last: int | None = None
    end: int | None = None
    runs: list[pl.Series] = field(default_factory=list)
    extras: tuple[str, ...] = ()
    """The declared columns that the series has values of, with those of the call, once there are such."""
    given: tuple[str, ...] = ()
    """Those in the rows that are written just now."""

    def again(self, times: pl.Series) -> pl.Series | None:
        """Mark the times that came in an earlier chunk; None if there are none, as in sorted data."""
        low, high = times[0], times[-1]
        near = [run for run in self.runs if run[0] <= high and low <= run[-1]]
        return times.is_in(pl.concat(near).implode()) if near else None
