"""Pages of a source, and what they say together."""

import asyncio
from itertools import pairwise


def pages_of(source, symbol, timeframe, start, end, *, close=False):
    """Return the pages of a range, in the order in which a source gives them."""

    async def run():
        try:
            return [page async for page in source.candles(symbol, timeframe, start, end)]
        finally:
            if close:
                await source.aclose()

    return asyncio.run(run())


def times_of(pages):
    """Return when the bars of pages start, ascending."""
    return sorted(int(time) for page in pages if len(page.rows) for time in page.rows["timestamp"])


def covered(pages):
    """Return the range that pages cover, which they must do without an overlap and without a hole."""
    ranges = sorted((page.start, page.end) for page in pages)
    assert all(start < end for start, end in ranges)
    assert all(before[1] == after[0] for before, after in pairwise(ranges))
    return (ranges[0][0], ranges[-1][1]) if ranges else None
