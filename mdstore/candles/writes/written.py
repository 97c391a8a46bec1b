"""Bars that this process has written, kept for a while: answers that are kept grow by them.

Only what was new to the file in all its rows is kept, with the revisions of the store before and after it. So
whoever knows a series as it was before knows it as it is after, without a look at the file.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mdstore.core.candle_rules import Group, Stack
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


class Written:
    """What was written last, as a chain of revisions; threads may share it."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, Appended] = OrderedDict()
        self._rows = 0
        self._lock = threading.Lock()

    def note(self, appended: Appended | None) -> None:
        """Keep what a transaction has appended, which is committed; None is one that did something else."""
        if appended is None:
            return
        with self._lock:
            self._kept[appended.before] = appended
            self._rows += count_rows(appended.groups)
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
