"""Since when the bars of a series are known, and where they are from.

Kept in the transactions that change candles, for `as_of` to undo them. A transaction's time is the revision
it gives the store: about its milliseconds since 1970, and always greater than those before.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple, cast

import apsw

from mdstore.candles.file import catalogue, digests
from mdstore.core.timeframe import Timeframe

__all__ = [
    "ARRIVALS", "LONGEST", "TAIL_BEGAN", "Arrival", "Came", "Row", "arrive", "came_later", "come_next",
    "forget", "grown", "is_next", "known", "sources", "spill",
]  # fmt: skip

Key = tuple[str, str]
Came = tuple[str, Timeframe, int, int]
"""A symbol, its timeframe, and the bounds of a range of its bars (ms)."""
Row = tuple[Any, ...]
"""A row of the catalogue, in the order of its columns."""

# Bars that come one by one at the end of a series share a row: 4 bytes each in place of 60. The last such row
# is in `series`, whose page a write changes anyway: a live bar writes no other. Not more of them, since each
# bar writes the row anew.
MOST_LAGS = 64
WIDTH = 4
LONGEST = 1 << 8 * WIDTH  # ms: behind so many the next bar begins another row
ALONE = bytes(WIDTH)
TAIL_SOURCE, TAIL_BEGAN, TAIL_LAGS = 7, 8, 9  # places of columns of the catalogue
COLUMNS = 'start, "end", source, began, arrived, lags'
TAIL = "tail_start, last + 1, tail_source, tail_began, revision, tail_lags"
ARRIVALS = f"""
(SELECT symbol, timeframe, {COLUMNS} FROM arrivals
 UNION ALL SELECT symbol, timeframe, {TAIL} FROM series WHERE tail_lags IS NOT NULL)
"""  # noqa: S608 - of constants
"""All arrivals, as a table; in one of lags `arrived` is no less than the latest of them."""

RETURNING = "RETURNING symbol, timeframe"
LAG = f"unhex(printf('%0{2 * WIDTH}x', ?4 - tail_began))"
NEXT = f"""
UPDATE series SET last = ?3, rows = rows + 1, revision = ?4, tail_lags = CAST(tail_lags || {LAG} AS BLOB)
WHERE symbol = ?1 AND timeframe = ?2 AND last = ?5 AND tail_source = ?6
  AND length(tail_lags) < {MOST_LAGS * WIDTH} AND ?4 - tail_began < {LONGEST}
"""  # noqa: S608
# To have each UPDATE say whether there was such a row takes 3 us, of 5; this takes 1.
GREW = """
SELECT symbol FROM carray(?2) AS wanted CROSS JOIN series
WHERE symbol = wanted.value AND timeframe = ?1 AND revision = ?3
"""
AGAIN = f"""
UPDATE series SET tail_lags = CAST(substr(tail_lags, 1, length(tail_lags) - {WIDTH}) || {LAG} AS BLOB)
WHERE symbol = ?1 AND timeframe = ?2 AND last = ?3 AND tail_source = ?5 AND length(tail_lags) >= {WIDTH}
  AND ?4 - tail_began < {LONGEST}
{RETURNING}
"""  # noqa: S608
BEGIN = f"""
UPDATE series SET tail_start = ?3, tail_source = ?4, tail_began = ?5, tail_lags = ?6
WHERE symbol = ?1 AND timeframe = ?2 AND last = ?3
{RETURNING}
"""  # noqa: S608
SPILL = f"""
INSERT INTO arrivals (symbol, timeframe, {COLUMNS})
SELECT symbol, timeframe, {TAIL} FROM series WHERE tail_lags IS NOT NULL
"""  # noqa: S608
END = """
UPDATE series SET tail_start = NULL, tail_source = NULL, tail_began = NULL, tail_lags = NULL
WHERE tail_lags IS NOT NULL
"""
OF_SERIES = " AND symbol = ? AND timeframe = ?"
# Ranges do not overlap: besides those that start in the range, the last one before it can reach into it.
OVERLAPPING = f"""
SELECT {COLUMNS} FROM arrivals WHERE timeframe = ?1 AND symbol = ?2 AND start < ?4 AND "end" > ?3
  AND start >= coalesce(
    (SELECT max(start) FROM arrivals WHERE timeframe = ?1 AND symbol = ?2 AND start <= ?3), ?3)
ORDER BY start
"""  # noqa: S608
SOURCES = f"""
SELECT start, "end", source FROM ({OVERLAPPING})
UNION ALL SELECT tail_start, last + 1, tail_source FROM series
WHERE timeframe = ?1 AND symbol = ?2 AND tail_lags IS NOT NULL AND tail_start < ?4 AND last >= ?3
"""  # noqa: S608
REACHED = """
SELECT symbol, timeframe FROM (
  SELECT symbol, timeframe, "end" FROM arrivals WHERE timeframe = ?1 AND symbol = ?2 AND start < ?4
  ORDER BY start DESC LIMIT 1)
WHERE "end" > ?3
"""
LAST = """
SELECT "end" FROM arrivals WHERE timeframe = ? AND symbol = ? AND start < ? ORDER BY start DESC LIMIT 1
"""
OF_ONE = "SELECT * FROM arrivals WHERE timeframe = ? AND symbol = ?"
OF_ONES_TAIL = "SELECT * FROM series WHERE timeframe = ? AND symbol = ?"
OF_ALL = "SELECT * FROM arrivals"
TAILS = "SELECT * FROM series"
INSERT = f"INSERT INTO arrivals (timeframe, symbol, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
DELETE = "DELETE FROM arrivals WHERE timeframe = ? AND symbol = ? AND start = ?"


class Arrival(NamedTuple):
    """The bars that are there in `[start, end)` (ms) came from `source` in the store's revision `arrived`.

    With `lags` they came one by one, each in the revision `began` and its lag, and none after `arrived`.
    """

    start: int
    end: int
    source: str
    began: int
    arrived: int
    lags: bytes | None = None

    @property
    def first(self) -> int:
        """The revision that brought the first of them."""
        return self.began if self.lags is None else self.began + next(_lags(self.lags))

    @property
    def last(self) -> int:
        """The revision that brought the last of them."""
        return self.arrived if self.lags is None else self.began + max(_lags(self.lags))

    def within(self, bar: Timeframe, start: int, end: int) -> Arrival:
        """Return the part of it in a range that it reaches into."""
        low, high = max(self.start, start), min(self.end, end)
        if self.lags is None:
            return self._replace(start=low, end=high)
        skipped = bar.span(self.start, low)
        lags = self.lags[skipped * WIDTH : (skipped + bar.span(low, high)) * WIDTH]
        return Arrival(low, high, self.source, self.began, self.began + max(_lags(lags)), lags)

    def later(self, bar: Timeframe, at: int) -> Iterator[tuple[int, int]]:
        """Yield the ranges of bars that came after revision `at`."""
        if self.arrived <= at:
            return
        if self.lags is None:
            yield self.start, self.end
            return
        start = self.start
        for lag in _lags(self.lags):
            end = bar.next(start)
            if self.began + lag > at:
                yield start, end
            start = end


def come_next(con: apsw.Connection, bars: Sequence[Came], source: str, revision: int) -> set[Key]:
    """Grow series by one bar each, the next of those that came one by one; return which of them did grow.

    One call for all: a feed brings the next bar of hundreds of series at once. Nothing else has yet stamped
    a series with the revision.
    """
    grew = set[Key]()
    for bar, some in _by_bar(bars).items():
        name, before = str(bar), {start: bar.floor(start - 1) for start in some.values()}
        con.executemany(
            NEXT,
            ((symbol, name, start, revision, before[start], source) for symbol, start in some.items()),
        )
        found = con.execute(GREW, (name, apsw.carray(tuple(some)), revision))
        grew.update((str(symbol), name) for (symbol,) in found)
    return grew


def is_next(row: Row, before: int, source: str) -> bool:
    """Tell whether `come_next` grows a series by a bar, within `LONGEST`; `before` is the bar before it."""
    return (
        row[catalogue.LAST] == before
        and row[TAIL_SOURCE] == source
        and row[TAIL_LAGS] is not None
        and len(row[TAIL_LAGS]) < MOST_LAGS * WIDTH
    )


def grown(row: Row, time: int, revision: int) -> Row:
    """Return a row of the catalogue as `come_next` leaves it, with one more bar."""
    symbol, timeframe, first, _, rows, _, start, source, began, lags, *others = row
    lags += (revision - began).to_bytes(WIDTH, "big")
    return symbol, timeframe, first, time, rows + 1, revision, start, source, began, lags, *others


def _by_bar(bars: Sequence[Came]) -> dict[Timeframe, dict[str, int]]:
    """Return the starts of bars by their timeframe and symbol."""
    found: dict[Timeframe, dict[str, int]] = {}
    for symbol, bar, start, _ in bars:
        found.setdefault(bar, {})[symbol] = start
    return found


def arrive(con: apsw.Connection, came: Sequence[Came], source: str, revision: int) -> None:
    """Enter what came in a revision; in its range it takes the place of what came before.

    Those of a series stand beside each other. The series are as they are now in the catalogue; those that
    grew have no arrivals there, see `spill`.
    """
    if not came:  # but corrections
        return
    names: dict[Timeframe, str] = {}
    lasts: dict[Key, tuple[Timeframe, int, int]] = {}
    for (symbol, bar), of_series in groupby(came, key=lambda one: one[:2]):
        *some, (start, end) = sorted((start, end) for _, _, start, end in of_series)
        name = _name(bar, names)
        if some:
            spill(con, [(symbol, name)])
            _cut(con, symbol, bar, some, Arrival(start, end, source, revision, revision))
        lasts[symbol, name] = (bar, start, end)
    _arrive(con, lasts, source, revision)


def _arrive(
    con: apsw.Connection, came: dict[Key, tuple[Timeframe, int, int]], source: str, revision: int
) -> None:
    """Enter one range of each of some series: a call for each step, not for each series."""
    alone = {key: start for key, (bar, start, end) in came.items() if bar.next(start) == end}
    again = set(con.executemany(AGAIN, ((*key, start, revision, source) for key, start in alone.items())))
    left = {key: one for key, one in came.items() if key not in again}
    spill(con, left)
    asked = ((name, symbol, start, end) for (symbol, name), (_, start, end) in left.items())
    reached = cast("list[Key]", con.executemany(REACHED, asked).fetchall())
    for key in reached:  # none, as for the next page of a fetch
        bar, start, end = left[key]
        _cut(con, key[0], bar, [(start, end)])
    begun = ((*key, start, source, revision, ALONE) for key, start in alone.items() if key in left)
    tails = set(con.executemany(BEGIN, begun))
    con.executemany(INSERT, (
        (name, symbol, start, end, source, revision, revision, ALONE if (symbol, name) in alone else None)
        for (symbol, name), (_, start, end) in left.items()
        if (symbol, name) not in tails
    ))  # fmt: skip


def _name(bar: Timeframe, names: dict[Timeframe, str]) -> str:
    """Return the name of a timeframe, which is made once: it takes a microsecond."""
    return names.get(bar) or names.setdefault(bar, str(bar))


def spill(con: apsw.Connection, keys: Iterable[Key] | None = None) -> None:
    """Move the arrivals of last bars from the catalogue to the others, of some series or of all."""
    if keys is None:
        con.execute(SPILL)
        con.execute(END)
        return
    moved = con.executemany(f"{SPILL}{OF_SERIES} {RETURNING}", keys).fetchall()
    con.executemany(END + OF_SERIES, moved)


def forget(con: apsw.Connection, symbol: str, bar: Timeframe, start: int, end: int) -> None:
    """Forget when bars that are deleted came."""
    if start < end:
        _cut(con, symbol, bar, [(start, end)])


def came_later(con: apsw.Connection, symbol: str, bar: Timeframe, at: int) -> list[tuple[int, int]]:
    """Return the ranges of a series of bars that came after revision `at`, ascending, joined.

    Raises `DamagedDataError`.
    """
    found: list[tuple[int, int]] = []
    for _, _, one in known(con, (symbol, str(bar))):
        for start, end in one.later(bar, at):
            if found and found[-1][1] == start:
                found[-1] = (found[-1][0], end)
            else:
                found.append((start, end))
    return found


def known(con: apsw.Connection, key: tuple[str, str] | None = None) -> list[tuple[str, str, Arrival]]:
    """Return symbol, timeframe and arrival, of a series or all, ascending. Raises `DamagedDataError`."""
    rows: digests.Rows
    tails: digests.Rows
    if key is None:
        rows, tails = con.execute(OF_ALL).fetchall(), con.execute(TAILS).fetchall()
        digests.prove_all(con, "arrivals", rows)
        digests.prove_all(con, "series", tails)
    else:
        rows = con.execute(OF_ONE, (key[1], key[0])).fetchall()
        tails = con.execute(OF_ONES_TAIL, (key[1], key[0])).fetchall()
        digests.prove(con, "arrivals", key, rows)
        digests.prove(con, "series", key, tails)
    found = [(row[0], row[1], Arrival(*row[2:])) for row in rows]
    for symbol, timeframe, _, last, _, revision, start, source, began, lags, _ in tails:
        if lags is not None:
            found.append((symbol, timeframe, Arrival(start, last + 1, source, began, revision, lags)))
    return sorted(found, key=lambda one: (*one[:2], one[2].start))


def sources(con: apsw.Connection, key: tuple[str, str], start: int, end: int) -> list[tuple[int, int, str]]:
    """Return where the bars of a range came from: ranges, ascending, and their source, as it is found."""
    rows = con.execute(SOURCES, (key[1], key[0], start, end)).fetchall()
    return cast("list[tuple[int, int, str]]", rows)


def _cut(
    con: apsw.Connection,
    symbol: str,
    bar: Timeframe,
    ranges: Sequence[tuple[int, int]],
    new: Arrival | None = None,
) -> None:
    """Take the bars that start in some ranges, ascending, out of the arrivals; each is like `new` then.

    What was there goes and comes once, however many of the ranges lie in it: every other bar of 100,000 that
    was missing took 2.4 s, when each cut the rest of one arrival again.
    """
    name, made, rest = str(bar), list[Arrival](), list[Arrival]()
    for start, end in ranges:
        if rest and rest[0].end <= start:
            made += rest
            rest = []
        reached = rest[0].end if rest else start
        olds = [*rest, *(_taken(con, symbol, name, reached, end) if reached < end else ())]
        rest = []
        for old in olds:
            if old.start < start:
                made.append(old.within(bar, old.start, bar.next(start - 1)))
            after = old.end if old.end <= end else bar.next(end - 1)
            if after < old.end:
                rest = [old.within(bar, after, old.end)]
        if new is not None:
            made.append(new._replace(start=start, end=end))
    _insert(con, symbol, name, [*made, *rest])


def _taken(con: apsw.Connection, symbol: str, name: str, start: int, end: int) -> list[Arrival]:
    """Return the arrivals that reach into a range, and delete them."""
    last = con.execute(LAST, (name, symbol, end)).get
    if last is None or last <= start:  # as for the next page of a fetch, where this is all
        return []
    olds = [Arrival(*row) for row in con.execute(OVERLAPPING, (name, symbol, start, end))]
    con.executemany(DELETE, ((name, symbol, old.start) for old in olds))
    return olds


def _insert(con: apsw.Connection, symbol: str, timeframe: str, new: Iterable[Arrival]) -> None:
    con.executemany(INSERT, ((timeframe, symbol, *one) for one in new))


def _lags(lags: bytes) -> Iterator[int]:
    return (lag for (lag,) in struct.iter_unpack(">I", lags))
