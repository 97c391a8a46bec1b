"""A small market of several symbols, to screen."""

import polars as pl

from tests.support.candles import walk

open_, high, low, close, volume = map(pl.col, ("open", "high", "low", "close", "volume"))


def together(frames, *, chunks=False):
    """Return a long frame of symbols' frames, and where each ends."""
    named = [
        frame.select(pl.lit(name).cast(pl.Categorical).alias("symbol"), pl.all())
        for name, frame in frames.items()
        if len(frame)
    ]
    long = pl.concat(named, rechunk=not chunks)
    assert not chunks or long.n_chunks() == len(named)
    ends = [sum(len(frame) for frame in list(frames.values())[: i + 1]) for i in range(len(frames))]
    return long, ends


MARKET = {"KRW-BTC": walk(60), "KRW-ETH": walk(25, seed=1), "A": walk(1, seed=2), "B": walk(2, seed=3)}
LONG, ENDS = together(MARKET)
