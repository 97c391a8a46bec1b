"""Bars that this process has written, kept for a while: answers that are kept grow by them.

Only what was new to the file in all its rows is kept, with the revisions of the store before and after it. So
whoever knows a series as it was before knows it as it is after, without a look at the file.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Generic, TypeVar

import polars as pl
import pyarrow as pa

from mdstore.candles.file.bar_columns import batch_of
from mdstore.candles.file.wide_rows import values_of
from mdstore.core.checked_rows import Group, Stack
from mdstore.core.once import once
from mdstore.core.schema import CANDLE_COLUMNS

__all__ = ["MOST_ROWS", "Appended", "NewBars", "Written", "count_rows"]

Rows = TypeVar("Rows", bound=Group | Stack)

MOST_ROWS = 100_000
"""Rows that are kept, of one write and of all: 5 MB. A feed of 10,000 series is ten minutes of them."""


@dataclass(frozen=True, slots=True)
class Appended(Generic[Rows]):
    """Bars that were all new to the store as it was at revision `before`, and made it that of `after`."""

    before: int
    after: int
    groups: Sequence[Rows]


@dataclass(frozen=True)
class NewBars(Stack):
    """Such bars in memory of our own, sorted by symbol; all that is kept grows by the same of them."""

    @once
    def times(self) -> memoryview:
        """The times of the rows (ms)."""
        return values_of(self.rows["timestamp"].to_arrow())

    @once
    def batch(self) -> pa.RecordBatch:
        """The rows as they would be read."""
        return batch_of(self.rows)


def _copied(groups: Iterable[Group | Stack]) -> Iterator[NewBars]:
    """Yield rows in memory of our own: what is given lies in arrays that may change later."""
    alone: dict[str, Group] = {}
    for group in groups:
        if alone and not _is_beside(group, alone):
            yield _stacked(alone)
            alone = {}
        if isinstance(group, Group):
            alone[group.symbol] = group
        elif sorted(group.symbols) != group.symbols:
            yield from _copied(group.groups())
        else:
            yield NewBars(group.timeframe, group.symbols, group.ends, _copy(group.rows))
    if alone:
        yield _stacked(alone)


def _is_beside(group: Group | Stack, others: Mapping[str, Group]) -> bool:
    """Tell whether it is of another series than others are, of their timeframe."""
    if not isinstance(group, Group) or group.symbol in others:
        return False
    return group.timeframe == next(iter(others.values())).timeframe


def _stacked(groups: Mapping[str, Group]) -> NewBars:
    symbols = sorted(groups)
    frames = [groups[symbol].rows for symbol in symbols]
    rows = _copy(frames[0]) if len(frames) == 1 else pl.concat(frames, rechunk=True)
    return NewBars(groups[symbols[0]].timeframe, symbols, list(accumulate(map(len, frames))), rows)


def _copy(rows: pl.DataFrame) -> pl.DataFrame:
    return rows[pl.int_range(len(rows), eager=True)]


class Written:
    """What was written last, as a chain of revisions; threads may share it."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, Appended[NewBars]] = OrderedDict()
        self._rows = 0
        self._lock = threading.Lock()

    def note(self, parts: Sequence[Appended[Group | Stack] | None]) -> None:
        """Keep what the parts of a transaction have appended, which is committed; None did something else."""
        found = [one for one in parts if one is not None]
        groups = [group for one in found for group in one.groups]
        if not groups or len(found) < len(parts) or count_rows(groups) > MOST_ROWS:
            return
        appended = Appended(found[0].before, found[-1].after, list(_copied(groups)))
        with self._lock:
            self._kept[appended.before] = appended
            self._rows += count_rows(groups)
            while self._rows > MOST_ROWS:
                _, oldest = self._kept.popitem(last=False)
                self._rows -= count_rows(oldest.groups)

    def between(self, before: int, after: int) -> list[Appended[NewBars]] | None:
        """Return what has led from one revision of the store to another; None where it is not known."""
        chain = list[Appended[NewBars]]()
        with self._lock:
            while before != after:
                one = self._kept.get(before)
                if one is None:
                    return None
                chain.append(one)
                before = one.after
        return chain

    def after_fork(self) -> None:
        """Go on in a forked child, whose parent's threads may have held the lock."""
        self._lock = threading.Lock()


def count_rows(groups: Iterable[Group | Stack]) -> int:
    """Return how many rows there are; so many that they are not kept, where there are declared columns."""
    return sum(len(one.rows) if one.rows.width == len(CANDLE_COLUMNS) else MOST_ROWS + 1 for one in groups)
