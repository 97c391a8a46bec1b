"""Candles to measure with: a seeded random walk, the same on every machine and in every run."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import polars as pl
import pyarrow as pa

__all__ = ["MINUTE", "START", "columns_of", "frame", "symbol", "tuples"]

MINUTE = 60_000
START = int(datetime(2023, 1, 1, tzinfo=UTC).timestamp() * 1000)
STEP = 0.0008  # of the price, from one minute to the next: about a crypto market's


def symbol(number: int) -> str:
    """Return the name of the symbol of a number; names sort as numbers do."""
    return f"SYM-{number:05}"


def frame(bars: int, seed: int, start: int = START) -> pl.DataFrame:
    """Return `bars` candles of one minute: timestamp (Int64 ms), prices to the cent, volume to 1e-4.

    Numbers with a fraction, because SQLite stores whole ones in fewer bytes and would flatter us.
    """
    step, up, down, size = (_uniform(bars, seed * 4 + part) for part in range(4))
    close = 100 * ((step - 0.5) * (STEP * 12**0.5)).cum_sum().exp()
    opened = close.shift(1, fill_value=100.0)
    drawn = pl.DataFrame({"open": opened, "close": close, "up": up, "down": down, "size": size})
    high = pl.max_horizontal("open", "close") * (1 + pl.col("up") * STEP)
    low = pl.min_horizontal("open", "close") * (1 - pl.col("down") * STEP)
    return drawn.select(
        pl.int_range(start, start + bars * MINUTE, MINUTE, eager=True).alias("timestamp"),
        pl.col("open").round(2),
        high.round(2).alias("high"),
        low.round(2).alias("low"),
        pl.col("close").round(2),
        (-(1 - pl.col("size")).log() * 12).round(4).alias("volume"),
    )


def tuples(name: str, rows: pl.DataFrame) -> list[tuple[object, ...]]:
    """Return rows as the table has them: (symbol, timeframe, timestamp, open, high, low, close, volume)."""
    return [(name, "1m", *row) for row in rows.iter_rows()]


def columns_of(answer: pl.DataFrame) -> list[tuple[object, ...]]:
    """Return a frame that was read as rows with integer times, to compare with `frame` and raw rows."""
    return answer.with_columns(pl.col("timestamp").cast(pl.Int64)).rows()


def _uniform(count: int, seed: int) -> pl.Series:
    """Draw from [0, 1): from Python's generator, whose bytes do not change between versions."""
    raw = random.Random(seed).randbytes(8 * count)
    bits = pl.from_arrow(pa.Array.from_buffers(pa.uint64(), count, [None, pa.py_buffer(raw)]))
    assert isinstance(bits, pl.Series)
    return (bits // 2**11).cast(pl.Float64) / 2.0**53
