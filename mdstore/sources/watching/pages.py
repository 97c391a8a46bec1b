"""What a broken connection missed, from the exchange's REST: pages that prove all of it, or an error."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from itertools import pairwise

import polars as pl

from mdstore.core.time_style import TimeStyle
from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import ms_to_datetime
from mdstore.errors import SourceError
from mdstore.realtime.backfill import Part
from mdstore.realtime.ranges import Ranges
from mdstore.sources.sync.candle_source import CandleSource
from mdstore.sources.sync.coordinator import LATE_MS, Page
from mdstore.sources.sync.page_proof import checked_rows
from mdstore.sources.sync.page_rows import said_of_page, settled_from

__all__ = ["fetched"]

IN_MS = TimeStyle("ms")


def now_ms() -> int:
    """Return this machine's time."""
    return time.time_ns() // 1_000_000


async def fetched(  # noqa: PLR0917 - of a series, and a range of it
    source: CandleSource, symbol: str, timeframe: str, start: int, end: int,
    trouble: Callable[[Exception], object], now: Callable[[], int] = now_ms,
) -> AsyncGenerator[Part]:  # fmt: skip
    """Yield the parts of `[start, end)` ms, as their pages come; each says why bars in it are not there.

    A bar whose row is wrong is left to a sync: `trouble` is told, and there is a part without rows.

    Raises `SourceError` where the pages leave a gap, unless it is the last bars, and these have just ended:
    the exchange may not have published them yet.
    """
    left, bar = Ranges(), Timeframe.parse(timeframe)
    left.add(start, end)
    async for page in source.candles(symbol, timeframe, start, end):
        clock = now()
        settled = settled_from(bar, min(clock, page.clock or clock), source.settles)
        for part in _parts(page, symbol, bar, (clock, settled), trouble):
            yield replace(part, source=source.name)
        left.remove(page.start, page.end)
    gaps = [(low, high) for low, high in left if high < end or bar.next(low) <= now() - LATE_MS]
    if gaps:
        low, high = map(ms_to_datetime, gaps[0])
        raise SourceError(
            f"{source.name} gave no proof of {symbol} {timeframe} from {low} to {high}; it is asked again"
        )


def _parts(
    page: Page, symbol: str, bar: Timeframe, times: tuple[int, int], trouble: Callable[[Exception], object]
) -> list[Part]:
    """Cut a page where a row of it is wrong. Raises `MarketDataError` where it is no page.

    `times` are now, and from when on bars may yet be amended (ms).
    """
    rows, (now, settled) = page.rows, times
    _, given, bad = checked_rows(rows, symbol, bar, now, style=IN_MS)
    said = said_of_page(page.start, page.end, page, settled)
    if not len(bad) or not isinstance(rows, pl.DataFrame):
        return [Part(page.start, page.end, rows, page.absent, said.settled)]
    first = bad.sort("time").row(0, named=True)
    trouble(
        SourceError(
            f"{symbol} {bar}: {len(bad):,} of {given:,} rows that were fetched are wrong, and left to a "
            f"sync: {first['column']} = {first['value']} of {ms_to_datetime(first['time'])} breaks the rule "
            f"'{first['rule']}'"
        )
    )
    wrong = sorted(set(bad["time"].to_list()))
    edges = [page.start, *(edge for one in wrong for edge in (one, bar.next(one))), page.end]
    time_of = pl.col("timestamp")
    return [
        Part(low, high, None)
        if low in wrong
        else Part(low, high, rows.filter((time_of >= low) & (time_of < high)), page.absent, said.settled)
        for low, high in pairwise(edges)
        if low < high
    ]
