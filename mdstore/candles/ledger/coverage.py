"""Coverage: what is known of ranges of a series besides its candles, kept in the transactions that write.

A range was asked for and answered (`unknown`: of a bar that is not there no more is known), somebody has said
why there are no bars (`no_trade`, `exchange_down`, ...), or a fetch of it failed. What says more stays where
something that says less comes later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import apsw

from mdstore.candles.file import digests
from mdstore.core.hole_reasons import is_answer, rank, stays
from mdstore.core.timeframe import DAY

__all__ = ["Interval", "Key", "forget", "known", "of_timeframe", "state", "without", "without_bars"]

Key = tuple[str, str]
"""A series: symbol and timeframe."""

COLUMNS = 'start, "end", reason, source, asked'
# Intervals do not overlap: besides those that start in the range, the last one before it can reach into it.
TOUCHING = f"""
SELECT {COLUMNS} FROM coverage WHERE timeframe = ?1 AND symbol = ?2 AND start <= ?4 AND "end" >= ?3
  AND start >= coalesce(
    (SELECT max(start) FROM coverage WHERE timeframe = ?1 AND symbol = ?2 AND start < ?3), ?3)
ORDER BY start
"""  # noqa: S608 - of constants
INSERT = f"INSERT INTO coverage (timeframe, symbol, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
# The next page of a fetch, in one statement in place of three: what was said last ends where this begins.
GO_ON = f"""
UPDATE coverage SET "end" = ?4, asked = max(asked, ?7)
WHERE timeframe = ?1 AND symbol = ?2 AND "end" = ?3 AND reason = ?5 AND source = ?6
  AND asked / {DAY} = ?7 / {DAY} AND start =
    (SELECT max(start) FROM coverage WHERE timeframe = ?1 AND symbol = ?2 AND start <= ?4)
"""  # noqa: S608 - of constants
WITHOUT_BARS = """
SELECT DISTINCT symbol, timeframe FROM coverage WHERE ?1 IS NULL OR timeframe = ?1
EXCEPT SELECT symbol, timeframe FROM series
"""
DELETE = "DELETE FROM coverage WHERE timeframe = ? AND symbol = ? AND start = ?"
OF_SERIES = "SELECT * FROM coverage WHERE symbol = ? AND timeframe = ? ORDER BY start"
OF_TIMEFRAME = "SELECT * FROM coverage WHERE timeframe = ? ORDER BY symbol, start"


@dataclass(frozen=True, slots=True)
class Interval:
    """What is known of `[start, end)`: bounds are starts of bars in ms, or open; asked in ms."""

    start: int
    end: int
    reason: str
    source: str
    asked: int

    @property
    def is_answered(self) -> bool:
        """Whether there is no use in asking (again) for the bars that are not there."""
        return is_answer(self.reason)


def known(con: apsw.Connection, key: Key) -> list[Interval]:
    """Return the intervals of a series, ascending. Raises `DamagedDataError`."""
    rows: digests.Rows = con.execute(OF_SERIES, key).fetchall()
    digests.prove(con, "coverage", key, rows)
    return [Interval(*row[2:]) for row in rows]


def of_timeframe(con: apsw.Connection, timeframe: str) -> dict[str, list[Interval]]:
    """Return the intervals of each series of a timeframe, by symbol, ascending. Raises `DamagedDataError`."""
    found: dict[str, list[Interval]] = {}
    rows: digests.Rows = con.execute(OF_TIMEFRAME, (timeframe,)).fetchall()
    digests.prove_all(con, "coverage", rows, timeframe)
    for symbol, _, *row in rows:
        found.setdefault(symbol, []).append(Interval(*row))
    return found


def without_bars(con: apsw.Connection, timeframe: str | None) -> list[Key]:
    """Return the series of a timeframe, or all, of which something was said and no bar is stored, ordered."""
    return sorted(con.execute(WITHOUT_BARS, (timeframe,)))


def state(con: apsw.Connection, key: Key, new: Interval, as_much_as: str | None = None) -> None:
    """Enter an interval: it takes the place of what says no more, and joins what says the same beside it.

    It says as much as its reason does, or as another.
    """
    if new.start >= new.end:
        return
    symbol, timeframe = key
    con.execute(GO_ON, (timeframe, symbol, new.start, new.end, new.reason, new.source, new.asked))
    if not con.changes():
        says = rank(as_much_as or new.reason)
        _change(con, key, new.start, new.end, lambda olds: _overlaid(olds, new, says))


def forget(con: apsw.Connection, key: Key, start: int, end: int) -> None:
    """Take back what is known of a range."""
    if start < end:
        _change(con, key, start, end, lambda olds: _cut(olds, start, end))


def without(start: int, end: int, holes: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return what is left of `[start, end)` without `holes`, which are sorted and disjoint."""
    left, at = [], start
    for low, high in holes:
        if low > at:
            left.append((at, min(low, end)))
        at = max(at, high)
        if at >= end:
            break
    if at < end:
        left.append((at, end))
    return left


def _change(
    con: apsw.Connection,
    key: Key,
    start: int,
    end: int,
    make: Callable[[Sequence[Interval]], list[Interval]],
) -> None:
    symbol, timeframe = key
    olds = [Interval(*row) for row in con.execute(TOUCHING, (timeframe, symbol, start, end))]
    news = make(olds)
    for old in olds:
        if old not in news:
            con.execute(DELETE, (timeframe, symbol, old.start))
    for one in news:
        if one not in olds:
            row = (timeframe, symbol, one.start, one.end, one.reason, one.source, one.asked)
            con.execute(INSERT, row)


def _overlaid(olds: Sequence[Interval], new: Interval, says: int) -> list[Interval]:
    kept = [old for old in olds if stays(old.reason, new.reason, says)]
    goes = [old for old in olds if not stays(old.reason, new.reason, says)]
    free = without(new.start, new.end, [(old.start, old.end) for old in kept])
    added = [replace(new, start=start, end=end) for start, end in free]
    rest = _cut(goes, new.start, new.end)
    return _joined(sorted([*kept, *rest, *added], key=lambda one: one.start))


def _cut(olds: Sequence[Interval], start: int, end: int) -> list[Interval]:
    """Return what intervals say outside of `[start, end)`."""
    before = [replace(old, end=min(old.end, start)) for old in olds if old.start < start]
    behind = [replace(old, start=max(old.start, end)) for old in olds if old.end > end]
    return before + behind


def _joined(intervals: Sequence[Interval]) -> list[Interval]:
    """Make one interval of those beside each other that say the same, and were asked on the same day."""
    made: list[Interval] = []
    for one in intervals:
        last = made[-1] if made else None
        same = last is not None and _saying(last, last.end) == _saying(one, one.start)
        if last is None or not same:
            made.append(one)
            continue
        made[-1] = Interval(last.start, one.end, one.reason, one.source, max(last.asked, one.asked))
    return made


def _saying(one: Interval, bound: int) -> tuple[object, ...]:
    return bound, one.reason, one.source, one.asked // DAY
