"""What a write does to the bars of a series: which are new, and what others were before.

Rows behind the end of a series, or where there are none, are new without a look. Others are compared with
what is stored, and only those that differ are written: as whole columns where all of them are there, as in a
correction, of which 200 took a third longer row by row; else row by row. To have SQLite tell of each row
that it changes took as long as to write it.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final, cast

import apsw
import polars as pl
import pyarrow as pa

from mdstore.candles.file.bar_columns import columns_of_bars, columns_of_frame
from mdstore.candles.file.bar_digests import (
    FEW,
    Sums,
    sums_of_changes,
    sums_of_frame,
    sums_of_replaced,
)
from mdstore.candles.file.carried import Writer
from mdstore.candles.file.digests import damaged, span_of
from mdstore.candles.file.row_hashes import hash_of_extra
from mdstore.candles.file.table_writes import packed, upsert_packed, upsert_rows
from mdstore.candles.file.wide_rows import values_of
from mdstore.candles.ledger import replacements, revisions, unfinished
from mdstore.candles.ledger.arrivals import Came
from mdstore.candles.ledger.origins import sources_of
from mdstore.candles.ledger.revisions import Values
from mdstore.candles.writes.old_bars import Columns, OldBars, only
from mdstore.core.time_bounds import FOREVER
from mdstore.core.timeframe import Timeframe

__all__ = ["WATCH_ROWS", "Changes"]

STORED = """
SELECT timestamp, open, high, low, close, volume FROM candles
WHERE symbol = ? AND timeframe = ? AND timestamp BETWEEN ? AND ?
"""
STORED_AT = """
SELECT timestamp, open, high, low, close, volume FROM candles
WHERE symbol = ? AND timeframe = ? AND timestamp IN (SELECT value FROM carray(?))
"""
WATCH_ROWS = 4  # so few are compared, which costs less than to ask where their series ends
MOST_BESIDE = 2  # so many bars a row are read in one go, which costs less than to look for each
Ranges = Sequence[tuple[int, int]]
Names = tuple[tuple[str, ...], tuple[str, ...]]
Extras = tuple[float | None, ...]
TIMESTAMP = 2  # its place in a row
# Of nearly all series that are written, of which nothing is changed: 10,000 sets are made, and searched by
# the garbage collector, in as long as SQLite writes a bar of each. None of these is ever changed.
NONE_REPLACED: Final[Counter[str]] = Counter()
NO_OLDS: Final = OldBars()
NO_EXTRAS: Final[dict[int, Extras]] = {}


class Changes:
    """The changes of one series in one transaction."""

    __slots__ = (
        "_fresh",
        "_places",
        "_written",
        "bar",
        "key",
        "last_extras",
        "old_extras",
        "olds",
        "replaced",
        "span",
    )  # fmt: skip

    def __init__(self, symbol: str, timeframe: str) -> None:
        self.key = (symbol, timeframe)
        self.bar = Timeframe.parse(timeframe)
        self._fresh: list[tuple[int, int]] = []
        self.olds = NO_OLDS
        """What the rows that were updated were before the call."""
        self.span = span_of(timeframe)
        self._written: Sequence[int] = ()  # the times of what `put` wrote last
        self._places: Sequence[int] = ()  # of the declared columns of the series, in their table
        self.old_extras = NO_EXTRAS
        """What values of declared columns were before the call, by time, in the order of the table."""
        self.last_extras: tuple[int, Extras] = (0, ())
        """What those of the row that was updated last were, and its time."""
        self.replaced: Counter[str] = NONE_REPLACED
        """How many ended bars of which sources have been replaced, once they are recorded."""

    def is_new(self, time: int) -> bool:
        """Tell whether a bar that was written was not there before the call."""
        return any(start <= time < end for start, end in self._fresh)

    def insert(self, con: Writer, rows: pl.DataFrame) -> None:
        """Take note of new rows where there were none, written just now."""
        times = rows["timestamp"]
        self._fresh.append((times[0], self.bar.next(times[-1])))
        con.carried.add(self.key, sums_of_frame(rows, self.span))

    def arrive(self, con: Writer, times: Sequence[int], sums: Sums) -> None:
        """Take note of new rows behind all others, written just now, and of what they add to the digests.

        Of a few bars each hole between them is told, as of those that are compared, see `put`.
        """
        few = len(times) <= WATCH_ROWS
        self._fresh += self.bar.runs(times) if few else [(times[0], self.bar.next(times[-1]))]
        con.carried.add(self.key, sums)

    @property
    def alone(self) -> Came | None:
        """The one new bar, where nothing else has changed; else None."""
        if self.olds or len(self._fresh) != 1:
            return None
        start, end = self._fresh[0]
        is_alone = self.bar.next(start) == end and self.old_extras.keys() <= {start}
        return (self.key[0], self.bar, start, end) if is_alone else None

    def put(self, con: Writer, rows: pl.DataFrame) -> tuple[int, int]:
        """Write the candles that are not there as they are; return how many are new, and how many are not."""
        found, self._written = self._stored(con, rows["timestamp"]), ()
        if len(rows) <= FEW:
            return self._merge(con, rows, cast("list[Values]", found.fetchall()))
        came = columns_of_frame(rows)
        with self._as_numbers(con):
            gone = columns_of_bars(cast("Iterator[Values]", found))
        if values_of(gone[0]) == values_of(came[0]):
            return 0, self._replace(con, came, [came[0], *gone[1:]])
        return self._merge(
            con, rows, list(zip(values_of(gone[0]), *map(pa.Array.to_pylist, gone[1:]), strict=True))
        )

    def _replace(self, con: Writer, came: Sequence[pa.Array], gone: Sequence[pa.Array]) -> int:
        """Write candles in the place of those of the same times, as whole columns; return how many differ."""
        differs = _differing(came, gone)
        if differs is None:
            return 0
        if not differs.all():
            where = differs.to_list()
            came, gone = _only(came, where), _only(gone, where)
        with con.telling(None):
            upsert_packed(con, self.key, packed(came))
        con.carried.add(self.key, sums_of_replaced(came, gone, self.span))
        self._old_bars().add_columns(gone)
        self._written = values_of(came[0])
        return len(self._written)

    def _merge(self, con: Writer, rows: pl.DataFrame, stored: Sequence[Values]) -> tuple[int, int]:
        """Write candles of which some may be there; return how many are new, and how many differ."""
        before = {bar[0]: bar for bar in stored}
        # As tuples from here on: to pick rows of a frame wakes Polars' threads, for as long as all of this.
        new = zip(*(column.to_list() for column in rows.iter_columns()), strict=True)
        changed = [row for row in new if before.get(row[0]) != row]
        if not changed:
            return 0, 0
        with con.telling(None):
            upsert_rows(con, self.key, changed)
        gone = [before[row[0]] for row in changed if row[0] in before]
        came = [row[0] for row in changed if row[0] not in before]
        with self._as_numbers(con):
            sums = sums_of_changes(changed, gone, self.span)
        con.carried.add(self.key, sums)
        if gone:
            self._old_bars().add(gone)
        self._written = [row[0] for row in changed]
        self._fresh += self.bar.runs(came)
        return len(came), len(gone)

    @contextmanager
    def _as_numbers(self, con: Writer) -> Iterator[None]:
        """Raise `DamagedDataError` where a price that is stored is a text or a null."""
        try:
            yield
        except (TypeError, ValueError, struct.error) as error:
            raise damaged(con, "candles", self.key) from error

    def _old_bars(self) -> OldBars:
        """Return where it is kept what bars were before."""
        if self.olds is NO_OLDS:
            self.olds = OldBars()
        return self.olds

    def _stored(self, con: apsw.Connection, times: pl.Series) -> apsw.Cursor:
        """Ask for the bars that are stored at some times, ascending."""
        first, last = times[0], times[-1]
        if self.bar.span(first, last + 1) <= MOST_BESIDE * len(times):
            return con.execute(STORED, (*self.key, first, last))
        return con.execute(STORED_AT, (*self.key, apsw.carray(array("q", times))))

    def put_extras(self, con: Writer, names: Names, write: Callable[[], None]) -> int:
        """Write values of declared columns of bars that were put just now; return how many more that changes.

        `names` are the columns in the order of the table, and of the series.
        """
        in_table, in_series = names
        self._places = [in_table.index(name) for name in in_series]
        changed = set[int]()
        self.old_extras = self.old_extras or {}
        with con.telling(partial(self._note_extras, con, changed)):
            write()
        return len(changed.difference(self._written))

    def record(self, con: Writer, source: str, revision: int) -> list[Came]:
        """Keep what closed bars were before they changed, and return the ranges of bars that have arrived.

        Of bars that were forming nothing is kept: they have arrived with this write.
        """
        ranges = self._fresh if len(self._fresh) == 1 else _joined(sorted(self._fresh))
        if self.olds:
            forming = set(unfinished.of(con, [self.key]).get(self.key, ()))
            closed = _outside(self.olds.columns, ranges)
            if forming:
                early = [time for time in closed[0] if time in forming]
                closed = only(closed, [time not in forming for time in closed[0]])
                ranges = [*ranges, *((time, self.bar.next(time)) for time in early)]
            if closed[0]:
                times = closed[0].tolist()
                self.replaced = sources_of(con, self.key, times)
                replacements.replace(con, self.key, self.bar.runs(times), source, revision)
                revisions.revise(con, self.key, closed, source, revision)
        if self.old_extras:
            ranges = [*ranges, *self._record_extras(con, source, revision)]
        return [(self.key[0], self.bar, start, end) for start, end in ranges]

    def _record_extras(self, con: Writer, source: str, revision: int) -> list[tuple[int, int]]:
        """Do the same for values of declared columns; of a bar that is new in this call they are new, too."""
        fresh = _joined(sorted(self._fresh))
        forming = set(unfinished.of(con, [self.key]).get(self.key, ()))
        olds = {time: old for time, old in self.old_extras.items() if not _is_in(time, fresh)}
        closed = {time: old for time, old in olds.items() if time not in forming}
        revisions.revise_extras(con, self.key, closed, source, revision)
        return [
            (time, self.bar.next(time)) for time in sorted(olds.keys() & forming - set(self.olds.columns[0]))
        ]

    def _note_extras(self, con: Writer, changed: set[int], change: apsw.PreUpdate) -> None:
        """Take note of a row of declared columns: of its digest, and of what it was if anything changes."""
        if change.table_name != "extras":
            return  # what a trigger of a rebuild, or of another program, writes elsewhere
        row, old = change.new, change.old
        assert row is not None  # noqa: S101 - nothing is deleted here; for mypy
        time = cast("int", row[TIMESTAMP])
        new = cast("Extras", row[TIMESTAMP + 1 :])
        before = cast("Extras", old[TIMESTAMP + 1 :]) if old is not None else (None,) * len(new)
        if new == before:  # a row without a value where there was none
            return
        try:
            change_of_sum = sum(
                hash_of_extra(time, new[at], place) - hash_of_extra(time, before[at], place)
                for place, at in enumerate(self._places)
            )
        except (TypeError, struct.error) as error:
            raise damaged(con, "candles", self.key) from error
        con.carried.add(self.key, {time // self.span: change_of_sum})
        changed.add(time)
        self.old_extras.setdefault(time, before)
        self.last_extras = (time, before)

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
        """Mark bars of a series that changed, which were written before they had ended; see `unmark`.

        By the clock only new bars are: one that was there without a mark had ended, and a clock that is set
        back does not make it form again. Its past would be lost with its next change.
        """
        *asked, now = map(self.bar.floor, moments)
        fresh = _joined(sorted(self._fresh))
        new = {time for run in times for time in run.filter(run >= now) if _is_in(time, fresh)}
        new |= {time for run in times for time in run.filter(run.is_in(asked))}
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


def _outside(bars: Columns, ranges: Ranges) -> Columns:
    """Return the bars that lie in none of some ranges; both are sorted, and the ranges disjoint."""
    times = bars[0]
    if not ranges or times[-1] < ranges[0][0] or times[0] >= ranges[-1][1]:
        return bars  # as nearly always: new bars lie behind those that are corrected
    return only(bars, [not _is_in(time, ranges) for time in times])


def _differing(came: Sequence[pa.Array], gone: Sequence[pa.Array]) -> pl.Series | None:
    """Tell which bars differ from others of the same times; None for none of them."""
    differs: pl.Series | None = None
    for new, old in zip(came, gone, strict=True):
        if not new.equals(old):
            other = pl.Series(new) != pl.Series(old)
            differs = other if differs is None else differs | other
    return differs


def _only(columns: Sequence[pa.Array], where: Sequence[bool]) -> list[pa.Array]:
    """Return some rows of columns, one at least; those that lie side by side are not copied."""
    first, count = where.index(True), sum(where)
    if all(where[first : first + count]):
        return [column.slice(first, count) for column in columns]
    chosen = pl.Series(where)
    return [pl.Series(column).filter(chosen).to_arrow() for column in columns]


def _is_in(time: int, ranges: Ranges) -> bool:
    """Tell whether a time lies in one of some ranges, which are sorted and disjoint."""
    at = bisect_right(ranges, (time, FOREVER)) - 1
    return at >= 0 and ranges[at][0] <= time < ranges[at][1]
