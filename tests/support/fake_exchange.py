"""An exchange without a network: bars in truth, given as an exchange does, and a log of what was asked."""

import asyncio
import time

from mdstore.core.timeframe import Timeframe
from mdstore.errors import NoSuchMarketError
from mdstore.sources.sync.candle_source import Market
from mdstore.sources.sync.coordinator import Limits, Page, cut
from tests.support.candles import MINUTE, START

__all__ = ["FakeExchange", "Resting", "asked_twice", "at", "bars"]


class FakeExchange:
    """Gives pages of rows, newest first, each time proven, as Upbit does; the forming bar is in none.

    `truth` are rows by (symbol, timeframe), the first of which is the listing. What the latest `settles` bars
    are may change: `amend` is given a row and how many bars ago it ended. `plan` says of each request in
    turn what becomes of it: None, "fail", "lost" (behind its page), "slow", "exit" or a page of its own.
    """

    def __init__(
        self, truth, clock, *, page=200, settles=2, concurrency=4, plan=(), knows_first=True, amend=None,
         delay=0.0, name="fake",
    ):  # fmt: skip
        self.truth, self.clock, self.name = truth, clock, name
        self.limits, self.settles, self.pace = Limits(page, concurrency), settles, None
        self.proves_pages, self.rests = True, 0.0
        self.timeframes = sorted({bar for _, bar in truth}) or ["1m"]
        self.plan, self.knows_first = list(plan), knows_first
        self.amend, self.delay = amend, delay
        self.log, self.facts, self.requests = [], [], 0
        self.under_way = self.most_under_way = 0
        self.closed = False
        self.behind = 0  # so many ms its clock is behind that of the machine

    async def candles(self, symbol, timeframe, start, end):
        bar, at = Timeframe.parse(timeframe), end
        if self.behind:
            at = min(end, bar.floor(int(self.clock() * 1000) - self.behind))
        while at > start:
            fault = await self._answer()
            low, rows = self._page(symbol, timeframe, bar, start, at)
            if fault == "fail":
                raise ConnectionError("the exchange is down")
            self.log.append((symbol, timeframe, low, at))
            for page in (
                self._proven(symbol, timeframe, low, at, rows) if fault in (None, "lost") else [fault]
            ):
                yield page
            if fault == "lost":
                raise ConnectionError("the connection was lost")
            at = low

    def stretches(self, timeframe, start, end):
        return cut(Timeframe.parse(timeframe), start, end, self.limits.page_bars * 10)

    def _proven(self, symbol, timeframe, low, high, rows):
        listed = self.truth[symbol, timeframe][0][0]
        if low >= listed or not self.knows_first:
            return [Page(low, high, rows, "no_trade", int(self.clock() * 1000) - self.behind)]
        before = [Page(low, min(listed, high), [], "before_listing")]
        return before + ([Page(listed, high, rows, "no_trade")] if listed < high else [])

    async def _answer(self):
        self.requests += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        fault = self.plan.pop(0) if self.plan else None
        try:
            await asyncio.sleep(1_000 if fault == "slow" else self.delay)
        finally:
            self.under_way -= 1
        if fault == "exit":
            raise SystemExit(3)
        return fault

    def _page(self, symbol, timeframe, bar, start, end):
        now = int(self.clock() * 1000) - self.behind
        if (symbol, timeframe) not in self.truth:
            raise NoSuchMarketError(f"{self.name} has no market {symbol}")
        there = [row for row in self.truth[symbol, timeframe] if start <= row[0] < end]
        there = [row for row in there if bar.next(row[0]) <= now][-self.limits.page_bars :]
        low = there[0][0] if len(there) == self.limits.page_bars else start
        if self.amend is not None:
            there = [self.amend(row, bar.span(bar.next(row[0]), bar.floor(now))) for row in there]
        return low, there

    async def markets(self):
        self.requests += 1
        self.facts.append("markets")
        return [Market(symbol) for symbol in sorted({s for s, _ in self.truth})]

    async def first(self, symbol, timeframe):
        self.requests += 1
        self.facts.append(("first", symbol, timeframe))
        rows = self.truth.get((symbol, timeframe))
        return rows[0][0] if rows and self.knows_first else None

    def report(self, metrics):
        pass

    async def aclose(self):
        self.closed = True


class Resting(FakeExchange):
    """Is left alone `until` some time, by `time.monotonic`, and gives nothing before."""

    until = 0.0

    @property
    def rests(self):
        return max(0.0, self.until - time.monotonic())

    @rests.setter
    def rests(self, value):
        pass

    async def candles(self, *asked):
        if self.rests:
            raise ConnectionError("left alone")
        async for page in super().candles(*asked):
            yield page


def asked_twice(log, step=MINUTE):
    """Return the bars that were asked for more than once, by series."""
    seen, twice = set(), {}
    for symbol, timeframe, low, high in log:
        bars = {(symbol, timeframe, at) for at in range(low, high, step)}
        for one in bars & seen:
            twice.setdefault((symbol, timeframe), []).append(one[2])
        seen |= bars
    return twice


def at(minutes):
    """Return the time (ms) so many minutes behind the first bar."""
    return START + minutes * MINUTE


def bars(count, *, start=START, step=MINUTE, seed=0, without=()):
    """Return so many rows of a walk, without those at some places."""
    rows = []
    for at in range(count):
        value = 100 + ((at * 7919 + seed * 104_729) % 1000) / 7
        rows.append((start + at * step, value, value + 2.5, value - 1.25, value + 1, (at * 17 % 101) / 3))
    return [row for at, row in enumerate(rows) if at not in set(without)]
