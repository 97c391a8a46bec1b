"""When the bars that are stored came, by series: told by `arrivals`, no other book is kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import apsw

from mdstore.candles.file.bar_places import count_bars
from mdstore.candles.file.database import Database
from mdstore.candles.ledger import arrivals
from mdstore.candles.ledger.arrivals import Arrival
from mdstore.core.timeframe import Timeframe

__all__ = ["HOUR", "Growth", "growth"]

HOUR = 3_600_000


@dataclass(frozen=True, slots=True)
class Growth:
    """One series: how many of its bars came in which hour (since 1970, UTC), and when the last came (ms).

    Bars from before a file had arrivals came in hour 0.
    """

    symbol: str
    timeframe: str
    by_hour: dict[int, int]
    last: int

    @property
    def rows(self) -> int:
        """How many bars there are."""
        return sum(self.by_hour.values())


def growth(database: Database) -> list[Growth]:
    """Return when the bars of each series came, sorted by series. Raises `DamagedDataError`."""
    with database.reading() as con:
        by_key: dict[tuple[str, str], list[Arrival]] = defaultdict(list)
        for symbol, timeframe, arrival in arrivals.known(con):
            by_key[symbol, timeframe].append(arrival)
        return [_growth(con, key, found) for key, found in sorted(by_key.items())]


def _growth(con: apsw.Connection, key: tuple[str, str], found: Iterable[Arrival]) -> Growth:
    by_hour: dict[int, int] = defaultdict(int)
    last, bar = 0, Timeframe.parse(key[1])
    for one in found:
        if one.lags is None:
            by_hour[one.arrived // HOUR] += count_bars(con, key, one.start, one.end)
            last = max(last, one.arrived)
            continue
        for start, _ in one.later(bar, -1):
            came = one.within(bar, start, bar.next(start)).first
            by_hour[came // HOUR] += 1
            last = max(last, came)
    return Growth(*key, dict(by_hour), last)
