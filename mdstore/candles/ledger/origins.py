"""Where the bars that are there now came from: as they arrived, or by the change that replaced them last."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple, cast

import apsw

from mdstore.candles.file.bar_digests import read_proven
from mdstore.candles.file.declared_columns import names_of
from mdstore.candles.file.digests import REVISION, SOURCE, TIME
from mdstore.candles.file.wide_rows import times_of
from mdstore.candles.ledger import arrivals, revisions
from mdstore.candles.ledger.arrivals import ARRIVALS, Arrival
from mdstore.core.time_bounds import FOREVER
from mdstore.core.timeframe import Timeframe

__all__ = ["Origin", "origins", "sources_of"]

Key = tuple[str, str]

REPLACED = """
SELECT timestamp, source FROM revisions WHERE symbol = ? AND timeframe = ? AND timestamp BETWEEN ? AND ?
ORDER BY timestamp, revision
"""
ARRIVED = f"""
SELECT start, "end", source FROM {ARRIVALS} WHERE symbol = ? AND timeframe = ? AND start <= ? AND "end" > ?
ORDER BY start
"""  # noqa: S608 - of constants


class Origin(NamedTuple):
    """Where the bars in an interval of a series came from, and when the first and the last of them did."""

    symbol: str
    timeframe: str
    start: int
    end: int
    source: str
    first: int
    last: int

    def is_of_the_same(self, other: Origin) -> bool:
        """Tell whether another is of the same series and source."""
        mine = (self.symbol, self.timeframe, self.source)
        return mine == (other.symbol, other.timeframe, other.source)

    def joined(self, later: Origin) -> Origin:
        """Return both as one."""
        first, last = min(self.first, later.first), max(self.last, later.last)
        return self._replace(end=later.end, first=first, last=last)


def origins(con: apsw.Connection, key: Key | None = None) -> list[Origin]:
    """Return where bars came from, of a series or of all; those behind each other from one source are one.

    Raises `DamagedDataError`.
    """
    found: list[Origin] = []
    for series, rows in groupby(arrivals.known(con, key), key=lambda row: row[:2]):
        for new in _of_series(con, series, [arrival for _, _, arrival in rows]):
            if found and found[-1].is_of_the_same(new):
                found[-1] = found[-1].joined(new)
            else:
                found.append(new)
    return found


def sources_of(con: apsw.Connection, key: Key, times: Sequence[int]) -> Counter[str]:
    """Count the bars that are stored at some times (ascending) by where they came from."""
    reach = times[0], times[-1]
    replaced = dict(cast("list[tuple[int, str]]", con.execute(REPLACED, (*key, *reach)).fetchall()))
    rows = con.execute(ARRIVED, (*key, *reversed(reach))).fetchall()
    arrived = cast("list[tuple[int, int, str]]", rows)
    found: Counter[str] = Counter()
    at = 0
    for time in times:
        while at < len(arrived) and arrived[at][1] <= time:
            at += 1
        came = arrived[at][2] if at < len(arrived) and arrived[at][0] <= time else ""
        found[replaced.get(time, came)] += 1
    return found


def _of_series(con: apsw.Connection, key: Key, came: Sequence[Arrival]) -> Iterator[Origin]:
    """Yield where the bars of a series came from, ascending."""
    if not Timeframe.is_name(key[1]):  # as another program wrote it: nothing of it ever changed by us
        yield from (Origin(*key, one.start, one.end, one.source, one.first, one.last) for one in came)
        return
    bar = Timeframe.parse(key[1])
    changes = {row[TIME]: (row[SOURCE], row[REVISION]) for row in revisions.rows(con, key, -FOREVER, FOREVER)}
    if not changes:
        # What was there before arrivals were noted ends behind its last bar's start.
        for one in came:
            yield Origin(*key, one.start, bar.next(one.end - 1), one.source, one.first, one.last)
        return
    changed = sorted((time, *change) for time, change in changes.items())
    left = _left(con, key, bar, came, [time for time, _, _ in changed])
    yield from sorted([*_replaced(key, bar, changed), *left])


def _replaced(key: Key, bar: Timeframe, changed: Iterable[tuple[int, str, int]]) -> Iterator[Origin]:
    for time, source, revision in changed:
        yield Origin(*key, time, bar.next(time), source, revision, revision)


def _left(
    con: apsw.Connection, key: Key, bar: Timeframe, came: Sequence[Arrival], changed: Sequence[int]
) -> Iterator[Origin]:
    """Yield what is left of arrivals between bars that have changed, where there are bars."""
    if not came:
        return
    reach = min(one.start for one in came), max(one.end for one in came)
    there = times_of(read_proven(con, key, *reach, names_of(con, key)))
    for one in came:
        inside = changed[bisect_left(changed, one.start) : bisect_left(changed, one.end)]
        low = one.start
        for time in [*inside, one.end]:
            first, behind = bisect_left(there, low), bisect_left(there, time)
            if first < behind:
                part = one.within(bar, there[first], bar.next(there[behind - 1]))
                yield Origin(*key, part.start, bar.next(part.end - 1), part.source, part.first, part.last)
            low = bar.next(time)
