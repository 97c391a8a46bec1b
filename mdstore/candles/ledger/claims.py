"""What somebody says of ranges of series: where candles are from, and why there are none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import apsw

from mdstore.candles.file.database import Database
from mdstore.candles.ledger import coverage
from mdstore.candles.ledger.coverage import Interval, Key
from mdstore.core.time_bounds import FIRST_BAR, FOREVER, LAST_BAR
from mdstore.core.timeframe import Timeframe

__all__ = ["Claim", "beside", "cover", "enter", "forget", "uncover"]


@dataclass(frozen=True, slots=True)
class Claim:
    """What is said of the data of a write: where it is from, and in which range it is all that there is.

    `covers` is `[start, end)` in ms, "data" for that from a series' first bar in the data to its last, None
    for none; `reason` is why bars in it that the data lacks are not there, "unknown" where nobody said.
    `series` is covered even if the data has no row of it. From `settled` on (ms) the source may yet amend
    what it has given: bars there are unsettled, whether they came or not.
    """

    source: str = ""
    covers: tuple[int, int] | Literal["data"] | None = None
    reason: str = "unknown"
    series: Key | None = None
    settled: int = FOREVER

    @property
    def range(self) -> tuple[int, int] | None:
        """The range that is covered, where it is told and not that of the data."""
        return None if self.covers == "data" else self.covers

    def of(self, first: int, last: int, bar: Timeframe) -> Claim:
        """Return it with the range from a first bar to a last one."""
        return replace(self, covers=(first, bar.next(last)))


def cover(database: Database, keys: Iterable[Key], claim: Claim, clock: Callable[[], float]) -> None:
    """Enter what is said of a range of some series, without candles."""
    now = int(clock() * 1000)
    with database.writing() as con:
        for key in keys:
            enter(con, key, claim, now, (), of_write=False)


def uncover(database: Database, keys: Iterable[Key], start: int, end: int) -> None:
    """Take back what is said of a range of some series."""
    with database.writing() as con:
        for key in keys:
            forget(con, key, start, end)


def forget(con: apsw.Connection, key: Key, start: int, end: int) -> None:
    """Forget what is said of a range of one series."""
    bar = Timeframe.parse(key[1])
    coverage.forget(con, key, _first_from(bar, start), _first_from(bar, end))


def enter(
    con: apsw.Connection,
    key: Key,
    claim: Claim,
    now: int,
    refused: Sequence[int | None],
    *,
    of_write: bool,
) -> None:
    """Enter what is said of a range of one series; it holds of whole bars that have ended.

    What is said with a write takes no reason's place, since it is said of whatever the data lacks. Bars that
    were `refused` have failed, whatever was answered before; all of them, where one is of a time that cannot
    be read (None).
    """
    assert claim.range is not None  # noqa: S101 - for mypy
    bar, (start, end) = Timeframe.parse(key[1]), claim.range
    start = _first_from(bar, start)
    if claim.reason != "after_delisting":
        end = min(end, now)
    end = bar.floor(end) if end < LAST_BAR else FOREVER
    starts = sorted({bar.floor(moment) for moment in refused if moment is not None})
    failed = [(first, bar.next(first)) for first in starts if start <= first < end]
    if None in refused:
        failed = [(start, end)] if start < end else []
    settled = max(start, min(end, claim.settled))
    for low, high in coverage.without(start, settled, failed) if start < settled else ():
        said = Interval(low, high, claim.reason, claim.source, now)
        coverage.state(con, key, said, as_much_as="unknown" if of_write else None)
    for low, high in coverage.without(settled, end, failed) if settled < end else ():
        coverage.state(con, key, Interval(low, high, "unsettled", claim.source, now))
    for low, high in failed:
        failure = Interval(low, high, "fetch_failed", claim.source, now)
        coverage.state(con, key, failure, as_much_as="unknown")


def beside(claim: Claim, bar: Timeframe, first: int | None, last: int | None, now: int) -> int:
    """Return how many bars that have ended are covered before `first` and behind `last`.

    An end that is open counts as none: whoever leaves it open knows of no page.
    """
    if claim.range is None or first is None or last is None:
        return 0
    start, end = claim.range
    low, high = _first_from(bar, start), min(end, now)
    before = bar.span(low, first) if -FOREVER < low < first else 0
    next_one = bar.next(last)
    behind = bar.span(next_one, bar.floor(high)) if end < FOREVER and next_one < high else 0
    return before + behind


def _first_from(bar: Timeframe, moment: int) -> int:
    """Return the start of the first bar at or after a moment; what is before or after all bars is open."""
    if FIRST_BAR <= moment < LAST_BAR:
        return bar.next(moment - 1)
    return -FOREVER if moment < FIRST_BAR else FOREVER
