"""Bars that this process has written, kept for a while: answers that are kept grow by them.

Only what was new to the file in all its rows is kept, with the revisions of the store before and after it. So
whoever knows a series as it was before knows it as it is after, without a look at the file.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import polars as pl

from mdstore.core.checked_rows import Group, Stack
from mdstore.core.schema import CANDLE_COLUMNS

__all__ = ["MOST_ROWS", "Appended", "Written", "count_rows"]

MOST_ROWS = 100_000
"""Rows that are kept, of one write and of all: 5 MB. A feed of 10,000 series is ten minutes of them."""


@dataclass(frozen=True, slots=True)
class Appended:
    """Bars that were all new to the store as it was at revision `before`, and made it that of `after`."""

    before: int
    after: int
    groups: Sequence[Group | Stack]


def _copied(groups: Sequence[Group | Stack]) -> Iterator[Stack]:
    """Yield rows by timeframe in memory of our own: what is given lies in arrays that may change later."""
    by_timeframe: dict[str, list[Group | Stack]] = {}
    for group in groups:
        by_timeframe.setdefault(group.timeframe, []).append(group)
    for timeframe, some in by_timeframe.items():
        stacks = [_stacked(group) for group in some]
        frames = [one.rows for one in stacks]
        starts = accumulate(map(len, frames), initial=0)
        one = frames[0][pl.int_range(len(frames[0]), eager=True)] if len(frames) == 1 else None
        rows = pl.concat(frames, rechunk=True) if one is None else one
        symbols = [symbol for one in stacks for symbol in one.symbols]
        ends = [start + end for start, one in zip(starts, stacks, strict=False) for end in one.ends]
        yield Stack(timeframe, symbols, ends, rows)


def _stacked(group: Group | Stack) -> Stack:
    """Return the rows of a series as a stack."""
    if isinstance(group, Stack):
        return group
    return Stack(group.timeframe, [group.symbol], [len(group.rows)], group.rows)


class Written:
    """What was written last, as a chain of revisions; threads may share it."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, Appended] = OrderedDict()
        self._rows = 0
        self._lock = threading.Lock()

    def note(self, parts: Sequence[Appended | None]) -> None:
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

    def between(self, before: int, after: int) -> list[Appended] | None:
        """Return what has led from one revision of the store to another; None where it is not known."""
        chain = list[Appended]()
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
