"""What a broken connection missed, from the exchange's REST: pages that prove all of it, or an error.

Others may sync the same series: one at a time asks for it, and what the others have brought is not asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from itertools import pairwise

import polars as pl

from mdstore.core.time_style import TimeStyle
from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import ms_to_datetime
from mdstore.errors import SourceError
from mdstore.realtime.backfill import Part
from mdstore.realtime.ranges import Ranges
from mdstore.sources.exchanges.candle_source import CandleSource
from mdstore.sources.sync.asking import left_of
from mdstore.sources.sync.coordinator import Page
from mdstore.sources.sync.leasing import held, taken
from mdstore.sources.sync.page_proof import checked_rows
from mdstore.sources.sync.page_rows import LATE_MS, said_of_page, settled_from
from mdstore.sources.sync.sync_place import SyncPlace

__all__ = ["fetched", "lacking"]

IN_MS = TimeStyle("ms")


async def lacking(  # noqa: PLR0917 - of a series, and a range of it
    source: CandleSource, place: SyncPlace, symbol: str, timeframe: str, start: int, end: int,
    trouble: Callable[[Exception], object],
) -> AsyncGenerator[Part]:  # fmt: skip
    """Yield the parts of `[start, end)` ms: what is there by now, and what is asked for, as in `fetched`.

    Nothing while another asks for the series. The latest bars are asked for in any case: whether they have
    ended is known by the exchange's clock, and the place goes by that of this machine.
    """
    key, bar = (symbol, timeframe), Timeframe.parse(timeframe)
    lease = await taken(place.leases, key)
    if lease is None:
        return
    async with held(lease):
        found = await asyncio.to_thread(place.to_ask, [symbol], bar, start, end, None)
        wanted = Ranges()
        for one in (*found.get(symbol, ()), (max(start, settled_from(bar, place.now(), 0)), end)):
            if one[0] < one[1]:
                wanted.add(*one)
        for low, high in left_of((start, end), wanted):
            yield Part(low, high, await asyncio.to_thread(place.stored, key, low, high), stored=True)
        for low, high in wanted:
            async with aclosing(fetched(source, *key, low, high, trouble, place.now)) as parts:
                async for part in parts:
                    yield part


async def fetched(  # noqa: PLR0917 - of a series, and a range of it
    source: CandleSource, symbol: str, timeframe: str, start: int, end: int,
    trouble: Callable[[Exception], object], now: Callable[[], int],
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
            yield part
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
