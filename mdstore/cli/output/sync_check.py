"""What `mdstore sync --check` asks an exchange for, a little of each kind, and what it says of it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from mdstore.cli.shared.errors import ERROR, said
from mdstore.cli.shared.texts import count
from mdstore.core.timeframe import Timeframe
from mdstore.errors import MarketDataError
from mdstore.sources.exchanges.candle_sources import open_source

if TYPE_CHECKING:
    from mdstore.sources.exchanges.candle_source import CandleSource

__all__ = ["check_source"]

BARS = 3
USUAL = ("KRW-BTC", "BTCUSDT", "BTC/USDT")
"""Markets that are always traded, so that there are bars of a second, too."""
Line = tuple[str, str, bool]
"""What was asked for, what came, and whether that is as it should be."""


def check_source(source: str, base_url: str | None, out: Console) -> int:
    """Ask an exchange for a little of each kind, and print what came; return the exit code."""
    lines = asyncio.run(_checked(open_source(source, base_url=base_url)))
    for what, answer, _ in lines:
        out.print(f"{what:<9} {escape(answer)}", highlight=False, soft_wrap=True)
    right = sum(is_right for _, _, is_right in lines)
    out.print(f"{right} of {count(len(lines), 'kind')} of requests answered as expected", highlight=False)
    return 0 if right == len(lines) else ERROR


async def _checked(exchange: CandleSource) -> list[Line]:
    try:
        markets = [market.symbol for market in await exchange.markets()]
        if not markets:
            return [("markets", "none at all", False)]
        symbol = next((one for one in USUAL if one in markets), markets[0])
        each = [await _latest(exchange, symbol, name) for name in exchange.timeframes]
        listed = await _listed(exchange, symbol)
        return [("markets", f"{count(len(markets), 'market')}, such as {symbol}", True), *each, listed]
    except MarketDataError as error:
        return [("markets", said(error), False)]
    finally:
        await exchange.aclose()


async def _latest(exchange: CandleSource, symbol: str, name: str) -> Line:
    timeframe = Timeframe.parse(name)
    start = end = timeframe.floor(time.time_ns() // 1_000_000)
    for _ in range(BARS):
        start = timeframe.floor(start - 1)
    try:
        rows = [len(page.rows) async for page in exchange.candles(symbol, name, start, end)]
    except MarketDataError as error:
        return name, said(error), False
    return name, f"{count(sum(rows), 'bar')} of the latest {BARS}", True


async def _listed(exchange: CandleSource, symbol: str) -> Line:
    name = next((name for name in ("1d", "1h") if name in exchange.timeframes), exchange.timeframes[-1])
    try:
        first = await exchange.first(symbol, name)
    except MarketDataError as error:
        return "listing", said(error), False
    since = "unknown" if first is None else f"{time.strftime('%Y-%m-%d', time.gmtime(first / 1000))}"
    return "listing", f"the first {name} bar of {symbol}: {since}", True
