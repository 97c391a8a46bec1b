"""What a broken connection missed, from the exchange's REST: pages that prove all of it, or an error."""

from __future__ import annotations

from mdstore.core.timestamps import ms_to_datetime
from mdstore.errors import SourceError
from mdstore.realtime.backfill import Part
from mdstore.sources.exchanges.candle_source import CandleSource

__all__ = ["fetched"]


async def fetched(source: CandleSource, symbol: str, timeframe: str, start: int, end: int) -> list[Part]:
    """Return the parts of `[start, end)` ms, ascending; each says why bars in it are not there.

    Raises `SourceError` where the pages leave a gap: the exchange may not have published the last bars yet.
    """
    pages = [page async for page in source.candles(symbol, timeframe, start, end)]
    pages.sort(key=lambda page: page.start)
    proven = start
    for page in pages:
        if page.start > proven:
            break
        proven = max(proven, page.end)
    if proven < end:
        raise SourceError(
            f"{source.name} gave no proof of {symbol} {timeframe} from {ms_to_datetime(proven)} to "
            f"{ms_to_datetime(end)}; it is asked again"
        )
    return [Part(page.start, page.end, page.rows, page.absent) for page in pages]
