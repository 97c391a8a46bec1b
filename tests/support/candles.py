"""Candles to test with: made ones, and Hypothesis strategies for valid ones."""

import struct

import polars as pl
from hypothesis import strategies as st

from mdstore.core.timeframe import Timeframe

START = 1_756_684_800_000  # 2025-09-01T00:00Z
MINUTE = 60_000


def walk(bars, *, start=START, step=MINUTE, seed=0):
    """Return `bars` valid candles of a deterministic walk, as the store's own columns."""
    times = [start + i * step for i in range(bars)]
    opens = [100 + ((i * 7919 + seed * 104729) % 1000) / 7 for i in range(bars)]
    closes = [value + ((i * 31) % 13 - 6) / 3 for i, value in enumerate(opens)]
    return pl.DataFrame(
        {
            "timestamp": pl.Series(times, dtype=pl.Int64).cast(pl.Datetime("ms", "UTC")),
            "open": opens,
            "high": [max(pair) + 0.1 for pair in zip(opens, closes, strict=True)],
            "low": [min(pair) - 0.1 for pair in zip(opens, closes, strict=True)],
            "close": closes,
            "volume": [(i * 17 % 101) / 3 for i in range(bars)],
        }
    )


numbers = st.floats(allow_nan=False, allow_infinity=False)
SPECIFIED = ("1s", "1m", "3m", "5m", "10m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d", "1w", "1M")
timeframes = st.sampled_from((*SPECIFIED, "7m", "90s", "2w", "3M", "45d")).map(Timeframe.parse)
moments = st.integers(-8_000_000_000_000, 4_102_444_800_000)  # 1716 to 2100


@st.composite
def candle_frames(draw, timeframe, *, min_rows=0, max_rows=60):
    """Draw a valid frame for a timeframe: any finite doubles, unsorted, each time once."""
    rows = draw(st.integers(min_rows, max_rows))
    stamps = draw(
        st.lists(
            moments.map(timeframe.floor).filter(lambda t: t >= -8_000_000_000_000),
            min_size=rows,
            max_size=rows,
            unique=True,
        )
    )
    stamps = [stamp for stamp in stamps if stamp < 1_760_000_000_000]
    prices = [sorted(draw(st.lists(numbers, min_size=4, max_size=4))) for _ in stamps]
    turn = [draw(st.booleans()) for _ in stamps]
    return pl.DataFrame(
        {
            "timestamp": pl.Series(stamps, dtype=pl.Int64).cast(pl.Datetime("ms", "UTC")),
            "open": pl.Series(
                [p[2 if t else 1] for p, t in zip(prices, turn, strict=True)], dtype=pl.Float64
            ),
            "high": pl.Series([p[3] for p in prices], dtype=pl.Float64),
            "low": pl.Series([p[0] for p in prices], dtype=pl.Float64),
            "close": pl.Series(
                [p[1 if t else 2] for p, t in zip(prices, turn, strict=True)], dtype=pl.Float64
            ),
            "volume": pl.Series(
                [draw(st.floats(0, allow_nan=False, allow_infinity=False)) for _ in stamps], dtype=pl.Float64
            ),
        }
    )


def bits(frame):
    """Return the bytes of each column's values, so that equal means equal to the last bit."""
    return {
        name: struct.pack(
            f"{len(frame)}{'d' if dtype.is_float() else 'q'}", *frame[name].to_physical().to_list()
        )
        for name, dtype in frame.schema.items()
        if name != "symbol"
    }


def positive_zero(frame):
    """Return a frame with its negative zeros positive: SQLite, and so the store, knows only one zero."""
    floats = [name for name, dtype in frame.schema.items() if dtype.is_float()]
    return frame.with_columns(
        pl.Series(name, [value or 0.0 for value in frame[name]], dtype=pl.Float64) for name in floats
    )
