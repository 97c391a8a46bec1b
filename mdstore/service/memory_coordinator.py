"""A source of candles that are given to it: for tests, and for programs without a network."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import polars as pl

from mdstore.core.hole_reasons import Stated
from mdstore.core.timeframe import Timeframe
from mdstore.sources.sync.coordinator import Limits, Metrics, Page, cut

__all__ = ["MemoryCoordinator"]


class MemoryCoordinator:
    """Gives the candles of frames, by (symbol, timeframe), as `store.candles` returns them.

    `absent` is why bars are not there that a frame has not. `requests` are the ranges that were asked for,
    `metrics` what was reported.
    """

    def __init__(
        self,
        candles: Mapping[tuple[str, str], pl.DataFrame],
        *,
        name: str = "memory",
        page_bars: int = 200,
        absent: Stated | None = None,
    ) -> None:
        self.name = name
        self.limits = Limits(page_bars)
        self.held = dict(candles)
        self.requests: list[tuple[str, str, int, int]] = []
        self.metrics: list[Metrics] = []
        self._absent = absent

    async def candles(self, symbol: str, timeframe: str, start: int, end: int) -> AsyncIterator[Page]:
        """Give the pages of a range, ascending. Raises `KeyError` for a series that it has not."""
        rows = self.held[symbol, timeframe]
        self.requests.append((symbol, timeframe, start, end))
        times = rows["timestamp"].to_physical()
        for low, high in cut(Timeframe.parse(timeframe), start, end, self.limits.page_bars):
            yield Page(low, high, rows.filter((times >= low) & (times < high)), self._absent)

    def report(self, metrics: Metrics) -> None:
        """Keep what was reported."""
        self.metrics.append(metrics)
