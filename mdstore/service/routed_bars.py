"""The bars that a router sees form, behind those that the store has."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import polars as pl

from mdstore.core.long_table import latest_of_each
from mdstore.core.schema import CANDLE_COLUMNS
from mdstore.core.time_bounds import FOREVER
from mdstore.service.meters import Meters
from mdstore.service.requests import CandleRequest
from mdstore.sources.sync.page_proof import candle_rows

if TYPE_CHECKING:
    from mdstore.service.router import SmartRouter

__all__ = ["with_routed"]

PARTIAL = pl.lit(value=False).alias("partial")


def with_routed(found: Any, router: SmartRouter, request: CandleRequest, meters: Meters, now: int) -> Any:
    """Return bars, and behind them what a router holds that is later; it never gives a part of a bar."""
    clock, bars, parts = time.perf_counter(), found.frame(), []
    for symbol in request.symbols or _symbols(bars):
        mine = bars.filter(pl.col("symbol").cast(pl.String) == symbol) if request.is_long else bars
        last = mine["timestamp"].to_physical().max()
        start = request.timeframe.next(request.start - 1) if request.start > -FOREVER else request.start
        start = start if last is None else max(start, request.timeframe.next(int(last)))
        try:
            later = router.candles(symbol, str(request.timeframe), start, request.end)
            inside = [bar for bar in later if start <= bar.timestamp < request.end]
            good = candle_rows([tuple(bar[:6]) for bar in inside], symbol, request.timeframe, now)
            # A bar has not ended before its time, whatever a router says of it.
            ended = request.timeframe.floor(now)
            closed = {bar.timestamp: bar.closed and bar.timestamp < ended for bar in inside}
            rows = [(*row, closed[row[0]]) for row in good.iter_rows()]
        except Exception as error:  # somebody else's code: without it there is what the store has
            meters.failed(f"{router.name}: {symbol} {request.timeframe}", error)
            continue
        if rows:
            parts.append(_frame(rows, bars, symbol if request.is_long else None))
    taken, given = (time.perf_counter() - clock) * 1e6, sum(map(len, parts))
    size = sum(int(part.estimated_size()) for part in parts)
    meters.add("router", taken, hit=bool(parts), rows=given, size=size)
    if not parts:
        return found
    from mdstore.store.reading import Made  # noqa: PLC0415 - with all of candles, which nobody waits for else

    both = pl.concat([bars, *parts])
    if request.is_long:
        both = both.sort(pl.col("symbol").cast(pl.String), "timestamp")
    return Made(latest_of_each(both, request.count), "with what a router sees form")


def _symbols(bars: pl.DataFrame) -> list[str]:
    return bars["symbol"].unique().cast(pl.String).sort().to_list() if "symbol" in bars.columns else []


def _frame(rows: list[tuple[Any, ...]], like: pl.DataFrame, symbol: str | None) -> pl.DataFrame:
    made = pl.DataFrame(rows, [*CANDLE_COLUMNS, "closed"], orient="row").with_columns(PARTIAL)
    if symbol is not None:
        made = made.with_columns(pl.lit(symbol).alias("symbol"))
    return made.select(pl.col(name).cast(kind) for name, kind in like.schema.items())
