"""An upstream to test with: candles in truth, and a source of them that fails, lies and is slow by a plan."""

import asyncio

import polars as pl

from mdstore.core.timeframe import Timeframe
from mdstore.service.memory_coordinator import MemoryCoordinator
from mdstore.sources.sync.coordinator import Limits, Page
from tests.support.candles import MINUTE, START

__all__ = ["Clock", "Faulty", "bars_asked"]


OF_ROWS = frozenset({"symbol", "grid", "range"})
"""Faults that rows have."""


class Clock:
    """A clock that stands still until it is set; seconds since 1970."""

    def __init__(self, now=START / 1000):
        self.now = now

    @classmethod
    def behind(cls, bars):
        """Return one that is so many minutes behind the start, and a little."""
        made = cls()
        made.at(bars)
        return made

    def __call__(self):
        return self.now

    def at(self, bars, step=MINUTE):
        """Be so many bars behind the start, and a little."""
        self.now = (START + bars * step) / 1000 + 10


class Faulty(MemoryCoordinator):
    """Gives pages, but for what `plan` says of each request in turn; behind its end all goes well.

    "fail" raises, "slow" never answers, "half" gives the latter half of the rows, "part" the first half of a
    page, and says so, "late" fails behind the first page, "cancelled" raises that, "bad" has rows with a
    wrong value, "html", "none", "symbol", "grid" and "range" are no pages.
    """

    def __init__(self, *args, plan=(), timeout=10.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.plan = list(plan)
        self.limits = Limits(self.limits.page_bars, self.limits.concurrency, timeout)

    async def candles(self, symbol, timeframe, start, end):
        fault = self.plan.pop(0) if self.plan else None
        if fault == "fail":
            self.requests.append((symbol, timeframe, start, end))
            raise ConnectionError("the exchange is down")
        if fault == "cancelled":
            self.requests.append((symbol, timeframe, start, end))
            raise asyncio.CancelledError
        if fault == "slow":
            self.requests.append((symbol, timeframe, start, end))
            await asyncio.sleep(1_000)
        async for page in super().candles(symbol, timeframe, start, end):
            if fault == "late":
                yield page
                raise ConnectionError("the connection was lost")
            if fault == "part":
                yield self._part(page, timeframe)
                continue
            if fault is None:
                yield page
                continue
            changed = self._changed(page, fault, symbol)
            # No row of no page has a wrong symbol: that is the page of before.
            is_told = fault == "bad" or (fault in OF_ROWS and page.rows.is_empty())
            yield Page(page.start, page.end, changed, page.absent if is_told else None)

    def _part(self, page, timeframe):
        bar = Timeframe.parse(timeframe)
        middle = bar.floor((page.start + page.end) // 2)
        end = middle if middle > page.start else page.end
        return Page(
            page.start, end, page.rows.filter(page.rows["timestamp"].to_physical() < end), page.absent
        )

    def _changed(self, page, fault, symbol):
        rows = page.rows
        if fault == "half":
            return rows[len(rows) // 2 :]
        if fault == "bad":
            return [
                (*row[:3], row[3] + 1e6, *row[4:]) if at % 7 == 3 else row
                for at, row in enumerate(rows.rows())
            ]
        if fault == "html":
            return "<html>Service unavailable</html>"
        if fault == "none":
            return None
        if fault == "symbol":
            return rows.with_columns(symbol=pl.lit(f"{symbol}X"))
        moved = {"grid": "17s", "range": "-30d"}[fault]
        return rows.with_columns(rows["timestamp"].dt.offset_by(moved))


def bars_asked(source, step=MINUTE):
    """Return how many bars were asked for in all."""
    return sum((end - start) // step for _, _, start, end in source.requests)
