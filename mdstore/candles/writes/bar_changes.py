"""What a write does to the bars of a series: which are new, and what others were before.

Rows behind the end of a series, or where there are none, are new without a look. Others are watched: SQLite
says of each row that it inserts or updates what it was before (1.5 us), and nothing of those that stay.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Sequence
from typing import cast

import apsw
import polars as pl

from mdstore.candles.ledger import revisions, unfinished
from mdstore.candles.ledger.arrivals import Came
from mdstore.candles.ledger.revisions import Values
from mdstore.candles.packs.cells import FOREVER
from mdstore.core.timeframe import Timeframe

__all__ = ["Changes"]

Ranges = Sequence[tuple[int, int]]
TIMESTAMP = 2  # its place in a row


class Changes:
    """The changes of one series in one transaction."""

    __slots__ = ("_fresh", "_inserted", "_olds", "_updated", "bar", "key", "last_updated")

    def __init__(self, symbol: str, timeframe: str) -> None:
        self.key = (symbol, timeframe)
        self.bar = Timeframe.parse(timeframe)
        self._fresh: list[tuple[int, int]] = []
        self._olds: dict[int, Values] = {}
        self._inserted = self._updated = 0
        self.last_updated: Values = (0, 0.0, 0.0, 0.0, 0.0, 0.0)
        """What the row that was updated last was before."""

    @property
    def olds(self) -> Collection[Values]:
        """What the rows that were updated were before the call."""
        return self._olds.values()

    def insert(self, first: int, last: int) -> None:
        """Take note of new rows where there were none."""
        self._fresh.append((first, self.bar.next(last)))

    @property
    def alone(self) -> int | None:
        """The start of the one new bar, where nothing else has changed; else None."""
        if self._olds or len(self._fresh) != 1:
            return None
        start, end = self._fresh[0]
        return start if self.bar.next(start) == end else None

    def watched(self, con: apsw.Connection, write: Callable[[], None]) -> tuple[int, int]:
        """Write rows some of which may be there; return how many came and how many changed."""
        self._inserted = self._updated = 0
        con.preupdate_hook(self._note)
        try:
            write()
        finally:
            con.preupdate_hook(None)
        return self._inserted, self._updated

    def record(self, con: apsw.Connection, source: str, revision: int) -> list[Came]:
        """Keep what closed bars were before they changed, and return the ranges of bars that have arrived.

        Of bars that were forming nothing is kept: they have arrived with this write.
        """
        ranges = self._fresh if len(self._fresh) == 1 else _joined(sorted(self._fresh))
        if self._olds:
            forming = set(unfinished.of(con, [self.key]).get(self.key, ()))
            olds = [old for time, old in self._olds.items() if not _is_in(time, ranges)]
            closed = [old for old in olds if old[0] not in forming]
            revisions.revise(con, self.key, closed, source, revision)
            ranges = [*ranges, *((old[0], self.bar.next(old[0])) for old in olds if old[0] in forming)]
        return [(self.key[0], self.bar, start, end) for start, end in ranges]

    def _note(self, change: apsw.PreUpdate) -> None:
        old = change.old
        if old is None:
            self._inserted += 1
            new = change.new
            assert new is not None  # noqa: S101 - nothing is deleted here; for mypy
            time = cast("int", new[TIMESTAMP])
            self._fresh.append((time, self.bar.next(time)))
        else:
            self._updated += 1
            values = cast("Values", old[TIMESTAMP:])
            self.last_updated = values
            self._olds.setdefault(values[0], values)

    def unmark(
        self, con: apsw.Connection, times: Sequence[pl.Series], early: Sequence[int], moments: Sequence[int]
    ) -> None:
        """Take the marks off bars that were written before they had ended, and now again after.

        `times` are those written, whether they changed or not, and `early` the bars with a mark. `moments`
        are times at which a bar was forming; what starts after the last of them is, too.
        """
        forming, last = set(map(self.bar.floor, moments)), self.bar.floor(moments[-1])
        near = [run.filter((run >= early[0]) & (run <= early[-1])) for run in times]
        written = {time for run in near for time in run}
        for time in early:
            if time < last and time in written and time not in forming:
                unfinished.clear(con, self.key, time, time + 1)

    def mark(self, con: apsw.Connection, times: Sequence[pl.Series], moments: Sequence[int]) -> None:
        """Mark bars of a series that changed, which were written before they had ended; see `unmark`."""
        forming, last = set(map(self.bar.floor, moments)), self.bar.floor(moments[-1])
        new = {time for run in times for time in run.filter((run >= last) | run.is_in(list(forming)))}
        unfinished.mark(con, self.key, sorted(new))


def _joined(ranges: Ranges) -> list[tuple[int, int]]:
    """Make one range of those that overlap or touch; they are sorted."""
    made: list[tuple[int, int]] = []
    for start, end in ranges:
        if made and start <= made[-1][1]:
            made[-1] = (made[-1][0], max(made[-1][1], end))
        else:
            made.append((start, end))
    return made


def _is_in(time: int, ranges: Ranges) -> bool:
    """Tell whether a time lies in one of some ranges, which are sorted and disjoint."""
    at = bisect_right(ranges, (time, FOREVER)) - 1
    return at >= 0 and ranges[at][0] <= time < ranges[at][1]
