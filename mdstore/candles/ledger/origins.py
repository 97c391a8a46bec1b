"""Where the bars that are there now came from: as they arrived, or by the change that replaced them last."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import apsw

from mdstore.candles.file.bar_digests import read_proven
from mdstore.candles.file.declared_columns import names_of
from mdstore.candles.file.wide_rows import times_of
from mdstore.candles.ledger import arrivals, replacements
from mdstore.candles.ledger.arrivals import Arrival
from mdstore.candles.ledger.replacements import Replacement
from mdstore.core.timeframe import Timeframe

__all__ = ["Origin", "origins", "sources_ever", "sources_of"]

Key = tuple[str, str]
EVER = f"""
SELECT source FROM {arrivals.ARRIVALS} WHERE timeframe = ?1 AND symbol = ?2
UNION SELECT source FROM replacements WHERE timeframe = ?1 AND symbol = ?2
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
    reach = times[0], times[-1] + 1
    replaced = [(one.start, one.end, one.source) for one in replacements.of_range(con, key, *reach)]
    found, left = _counted(times, replaced)
    if left:
        arrived, left = _counted(left, arrivals.sources(con, key, *reach))
        found.update(arrived)
        found[""] += len(left)
    return +found


def sources_ever(con: apsw.Connection, key: Key) -> set[str]:
    """Return which sources gave bars of a series that are there, or that were there once."""
    rows = con.execute(EVER, (key[1], key[0]))
    return {source for (source,) in rows}


def _counted(
    times: Sequence[int], ranges: Iterable[tuple[int, int, str]]
) -> tuple[Counter[str], Sequence[int]]:
    """Count times by the source of the range that they lie in; return those, too, that lie in none."""
    found, left, at = Counter[str](), list[int](), 0
    for start, end, source in ranges:
        low = bisect_left(times, start, at)
        left += times[at:low]
        at = bisect_left(times, end, low)
        found[source] += at - low
    return found, [*left, *times[at:]]


def _of_series(con: apsw.Connection, key: Key, came: Sequence[Arrival]) -> Iterator[Origin]:
    """Yield where the bars of a series came from, ascending."""
    if not Timeframe.is_name(key[1]):  # as another program wrote it: nothing of it ever changed by us
        yield from (Origin(*key, one.start, one.end, one.source, one.first, one.last) for one in came)
        return
    bar = Timeframe.parse(key[1])
    replaced = replacements.known(con, key)
    if not replaced:
        # What was there before arrivals were noted ends behind its last bar's start.
        for one in came:
            yield Origin(*key, one.start, bar.next(one.end - 1), one.source, one.first, one.last)
        return
    changed = [Origin(*key, one.start, one.end, one.source, one.revision, one.revision) for one in replaced]
    yield from sorted([*changed, *_left(con, key, bar, came, replaced)])


def _left(
    con: apsw.Connection, key: Key, bar: Timeframe, came: Sequence[Arrival], replaced: Sequence[Replacement]
) -> Iterator[Origin]:
    """Yield what is left of arrivals between bars that were replaced, where there are bars."""
    if not came:
        return
    reach = min(one.start for one in came), max(one.end for one in came)
    there = times_of(read_proven(con, key, *reach, names_of(con, key)))
    starts, ends = [one.start for one in replaced], [one.end for one in replaced]
    for one in came:
        inside = replaced[bisect_right(ends, one.start) : bisect_left(starts, one.end)]
        low = one.start
        for start, end in [*((part.start, part.end) for part in inside), (one.end, one.end)]:
            first, behind = bisect_left(there, low), bisect_left(there, min(start, one.end))
            if first < behind:
                part = one.within(bar, there[first], bar.next(there[behind - 1]))
                yield Origin(*key, part.start, bar.next(part.end - 1), part.source, part.first, part.last)
            low = max(low, end)
