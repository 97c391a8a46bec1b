"""What a service needs of a store, and what a store needs of what holds its rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import polars as pl
import pyarrow as pa

__all__ = ["MarketDataStorage", "Repository"]


@runtime_checkable
class MarketDataStorage(Protocol):
    """A store of market data: candles that stay, and realtime rows in memory. `MarketDataStore` is one."""

    @property
    def path(self) -> Path:
        """Where it is."""

    def write(self, symbol: str, timeframe: Any, data: object, **said: Any) -> Any:
        """Store candles of one series, all or none."""

    def candles(self, symbols: str | Sequence[str] | None, timeframe: Any, **asked: Any) -> pl.DataFrame:
        """Return candles as a frame."""

    def arrow(self, symbols: str | Sequence[str] | None, timeframe: Any, **asked: Any) -> pa.Table:
        """Return candles as an Arrow table."""

    def missing(self, symbols: str | Sequence[str], timeframe: Any, **asked: Any) -> pl.DataFrame:
        """Return the ranges that are worth asking a source for."""

    def gaps(self, symbols: str | Sequence[str] | None, timeframe: Any, **asked: Any) -> pl.DataFrame:
        """Return every hole, and why."""

    def cover(self, symbols: str | Sequence[str], timeframe: Any, **said: Any) -> None:
        """State why bars are absent in a range."""

    def close(self) -> None:
        """Let go of it; what was written is safe."""


@runtime_checkable
class Repository(Protocol):
    """What holds rows of one kind and says so: `CandleRepository`, and each realtime table."""

    def stats(self) -> dict[str, Any]:
        """Return rows, bytes and counts."""

    def close(self) -> None:
        """Let go of them."""


Clock = Callable[[], float]
"""Seconds since 1970."""
