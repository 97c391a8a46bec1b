"""Rows that keep the rules of stored candles: those of a series, of several, and of a chunk of a call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import polars as pl

if TYPE_CHECKING:
    from mdstore.core.duplicates import Conflict

__all__ = ["Checked", "Group", "OnInvalid", "Stack"]

OnInvalid = Literal["raise", "quarantine", "drop"]
"""What becomes of rows that break a rule."""


@dataclass(frozen=True, slots=True)
class Group:
    """Good rows of one series: timestamp (Int64 ms) and the five values, ascending, each time once."""

    symbol: str
    timeframe: str
    rows: pl.DataFrame
    moved: pl.Series | None = None
    """The times of rows that were moved to the start of their bar; None for none."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Good rows of several series of one timeframe under each other, by symbol, each as in a `Group`.

    Those of the i-th symbol end at `ends[i]`. What is done with all at once costs nothing by the series.
    """

    timeframe: str
    symbols: Sequence[str]
    ends: Sequence[int]
    rows: pl.DataFrame

    def groups(self) -> Iterator[Group]:
        """Yield the rows of each series."""
        at = 0
        for symbol, end in zip(self.symbols, self.ends, strict=True):
            yield Group(symbol, self.timeframe, self.rows.slice(at, end - at))
            at = end


@dataclass(frozen=True, slots=True)
class Checked:
    """One chunk after checking.

    `bad` has the columns of `BAD_SCHEMA`: row counts over the whole call, time is in ms, where it could be
    read, record is the row as JSON.
    `duplicates` counts the rows that a later row of the same key replaced by equal values, `conflicts` those
    replaced by others, `conflict` is the first of these; `rows` counts all that were checked. `ignored` are
    the columns that were not kept so far, `notes` what was understood. `withheld` counts the rows that were
    moved to the start of a bar where another row stood, `widened` those whose high or low was moved to hold
    open and close.
    """

    groups: Sequence[Group | Stack]
    bad: pl.DataFrame
    duplicates: int
    rows: int
    conflicts: int = 0
    conflict: Conflict | None = None
    ignored: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    withheld: int = 0
    widened: int = 0
