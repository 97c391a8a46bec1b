"""Live bars as frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

__all__ = ["LiveBar", "frame_of", "long_frame_of"]

LiveBar = tuple[int, float, float, float, float, float, bool]
"""timestamp (ms), open, high, low, close, volume, closed."""

Schema = dict[str, pl.DataType | type[pl.DataType]]
SCHEMA: Schema = {
    "timestamp": pl.Datetime("ms", "UTC"), "open": pl.Float64, "high": pl.Float64, "low": pl.Float64,
    "close": pl.Float64, "volume": pl.Float64, "closed": pl.Boolean, "partial": pl.Boolean,
}  # fmt: skip
LONG_SCHEMA: Schema = {"symbol": pl.Categorical, **SCHEMA}
Shown = Sequence[tuple[LiveBar, bool]]
"""Bars, and whether each is partial."""


def frame_of(bars: Shown) -> pl.DataFrame:
    """Return the bars of one series as a frame."""
    return _columns(SCHEMA, [(*bar, partial) for bar, partial in bars])


def long_frame_of(found: Mapping[str, Shown]) -> pl.DataFrame:
    """Return the bars of several series as one frame, by symbol."""
    rows = [(symbol, *bar, partial) for symbol, bars in found.items() for bar, partial in bars]
    return _columns(LONG_SCHEMA, rows)


def _columns(schema: Schema, rows: Sequence[tuple[object, ...]]) -> pl.DataFrame:
    """Return rows as a frame; by column, which takes half the time that rows do."""
    columns = zip(*rows, strict=True) if rows else ((),) * len(schema)
    return pl.DataFrame(
        [
            pl.Series(name, list(values), dtype=kind)
            for (name, kind), values in zip(schema.items(), columns, strict=True)
        ]
    )
