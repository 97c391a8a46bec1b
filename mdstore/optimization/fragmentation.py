"""How the file lies and grows: free pages, order of the leaves, what comes when, where that leads."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from mdstore.core.did_you_mean import did_you_mean
from mdstore.errors import InvalidInputError
from mdstore.optimization.ownership import Owner, upkeep_of
from mdstore.optimization.threads import Stop, never

if TYPE_CHECKING:
    from mdstore.candles.upkeep.growth import Growth

__all__ = ["MEASURED", "FragmentationMonitor", "Trend"]

HOUR: Final = 3_600_000
DAY: Final = 86_400_000
HOURS: Final = 24
HOT_DAYS, WARM_DAYS = 1, 30
SHOWN_DAYS: Final = 30
WEEK: Final = 7
MEASURED: Final = "measured"
"""The kind of record that the monitor keeps."""
LAYOUT: Final = {
    "name": pl.String,
    "pages": pl.Int64,
    "leaves": pl.Int64,
    "in_order": pl.Float64,
    "slack": pl.Float64,
}
PATTERNS: Final[Mapping[str, Any]] = {
    "symbol": pl.String,
    "timeframe": pl.String,
    "rows": pl.Int64,
    "per_day": pl.List(pl.Int64),
    "growth_per_day": pl.Float64,
    "last_arrival": pl.Int64,
    "temperature": pl.String,
}


@dataclass(frozen=True, slots=True)
class Trend:
    """How the size of the file went: bytes a day, by how many measures of how many days."""

    bytes_now: int
    bytes_per_day: float
    measures: int
    days: float

    def forecast(self, days: float) -> int:
        """Return the size in so many days, if it goes on as it went; in bytes."""
        return max(0, round(self.bytes_now + self.bytes_per_day * days))


class FragmentationMonitor:
    """What the pages of a store's file look like, and how they change."""

    def __init__(self, owner: Owner) -> None:
        self._upkeep = upkeep_of(owner)

    def check_fragmentation_ratio(self) -> float:
        """Return the free pages over all pages, in percent; 100 less the utilisation. Microseconds."""
        pages = self._upkeep.pages()
        return 100.0 * pages.free / pages.count if pages.count else 0.0

    def layout(self, *tables: str) -> pl.DataFrame:
        """Return how the leaves of tables and indexes lie, of all or those named; reads all their pages.

        `pages`, `leaves`; `in_order` is the share of leaves that lie just behind the one before by the key,
        which is what a scan from the disk goes by; `slack` is the share of bytes that hold nothing. Raises
        `InvalidInputError` for a name that the file does not have.
        """
        found = self._upkeep.tables(tables or None)
        there = {one.name for one in found}
        for name in (one for one in tables if one not in there):
            known = [one.name for one in self._upkeep.tables()]
            hint = did_you_mean(name, known, shown=repr) or f"they are {', '.join(sorted(known))}"
            raise InvalidInputError(f"the file has no table or index {name!r}", hint=hint)
        return pl.DataFrame([asdict(one) for one in found], schema=LAYOUT).sort("pages", descending=True)

    async def monitor_insert_patterns(self) -> pl.DataFrame:
        """Return what came when, a row a series: as it is known from when its bars arrived.

        `rows`; `per_day`, the bars that came on each of the last 30 days, the oldest first (a day is the last
        24 hours, and so on back); `growth_per_day`, the mean of the last seven, or of those since its first;
        `last_arrival`; `temperature`, "hot" where bars came in the last day, "warm" in the last 30, else
        "cold".
        """
        return await asyncio.to_thread(self.insert_patterns)

    def insert_patterns(self) -> pl.DataFrame:
        """Do as `monitor_insert_patterns` does, where there is no event loop."""
        now = int(self._upkeep.now() * 1000)
        rows = [_pattern(one, now) for one in self._upkeep.growth()]
        frame = pl.DataFrame(rows, schema=PATTERNS, orient="row")
        return frame.with_columns(pl.col("last_arrival").cast(pl.Datetime("ms", "UTC")))

    def rows_by_hour(self) -> dict[int, int]:
        """Return how many bars of all series came in each hour since 1970 of the last week."""
        since = int(self._upkeep.now() * 1000) // HOUR - WEEK * HOURS
        found: dict[int, int] = {}
        for one in self._upkeep.growth():
            for hour, rows in one.by_hour.items():
                if hour > since:
                    found[hour] = found.get(hour, 0) + rows
        return found

    def measure(self, *, stop: Stop = never) -> dict[str, object]:
        """Measure size, free pages and the order of `candles`; keep it, and return it."""
        pages = self._upkeep.pages()
        found: dict[str, object] = {"bytes": pages.bytes, "pages": pages.count, "free": pages.free}
        found |= {one.name: round(one.in_order, 4) for one in self._upkeep.tables(("candles",), stop=stop)}
        self._upkeep.record(MEASURED, found)
        return found

    def history(self) -> pl.DataFrame:
        """Return what was measured: `at`, `bytes`, `pages`, `free`, and of `candles` the share in order.

        The file keeps the last 400.
        """
        kept = self._upkeep.records(MEASURED)
        schema = {
            "at": pl.Int64, "bytes": pl.Int64, "pages": pl.Int64, "free": pl.Int64, "candles": pl.Float64,
        }  # fmt: skip
        return pl.DataFrame(kept, schema=schema).with_columns(pl.col("at").cast(pl.Datetime("ms", "UTC")))

    def trend(self) -> Trend:
        """Return how the size of the file goes, by a straight line through what was measured."""
        kept = [(one["at"] / DAY, float(one["bytes"])) for one in self._upkeep.records(MEASURED)]
        now = self._upkeep.pages().bytes
        days = kept[-1][0] - kept[0][0] if kept else 0.0
        return Trend(now, _slope(kept), len(kept), days)


def _pattern(one: Growth, now: int) -> tuple[object, ...]:
    per_day = [0] * SHOWN_DAYS
    for hour, rows in one.by_hour.items():
        back = (now // HOUR - hour) // HOURS
        if 0 <= back < SHOWN_DAYS:
            per_day[SHOWN_DAYS - 1 - back] += rows
    known = [hour for hour in one.by_hour if hour > 0]
    age = (now // HOUR - min(known)) // HOURS + 1 if known else WEEK
    days = max(1, min(WEEK, age))
    still = (now - one.last) / DAY
    temperature = "hot" if still < HOT_DAYS else "warm" if still < WARM_DAYS else "cold"
    growth = sum(per_day[-days:]) / days
    return one.symbol, one.timeframe, one.rows, per_day, growth, one.last, temperature


def _slope(points: list[tuple[float, float]]) -> float:
    """Return the slope of the straight line nearest to points (least squares); 0 where they have none."""
    if not points:
        return 0.0
    mean_x, mean_y = (sum(values) / len(points) for values in zip(*points, strict=True))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
