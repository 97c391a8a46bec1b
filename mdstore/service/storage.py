"""What a service needs of a store, and what a store needs of what holds its rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import polars as pl
import pyarrow as pa

if TYPE_CHECKING:
    from mdstore.candles.writes.results import WriteResult
    from mdstore.core.hole_reasons import Stated
    from mdstore.core.timeframe import Timeframe
    from mdstore.core.timestamps import Moment
    from mdstore.store.requests import Covers

    Symbols: TypeAlias = str | Sequence[str] | None

__all__ = ["MarketDataStorage", "Repository"]


@runtime_checkable
class MarketDataStorage(Protocol):
    """A store of market data: candles that stay, and realtime rows in memory. `MarketDataStore` is one."""

    @property
    def path(self) -> Path:
        """Where it is."""

    def write(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        data: object,
        *,
        source: str | None = None,
        covers: Covers | None = None,
        absent: Stated | None = None,
    ) -> WriteResult:
        """Store candles of one series, all or none."""

    def candles(
        self,
        symbols: Symbols,
        timeframe: str | Timeframe,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        limit: int | None = None,
        as_of: Moment | None = None,
    ) -> pl.DataFrame:
        """Return candles as a frame."""

    def arrow(
        self,
        symbols: Symbols,
        timeframe: str | Timeframe,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        limit: int | None = None,
        as_of: Moment | None = None,
    ) -> pa.Table:
        """Return candles as an Arrow table."""

    def missing(
        self,
        symbols: str | Sequence[str],
        timeframe: str | Timeframe,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        page: int | None = None,
    ) -> pl.DataFrame:
        """Return the ranges that are worth asking a source for."""

    def gaps(
        self,
        symbols: Symbols,
        timeframe: str | Timeframe,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
    ) -> pl.DataFrame:
        """Return every hole, and why."""

    def cover(
        self,
        symbols: str | Sequence[str],
        timeframe: str | Timeframe,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        reason: Stated | None = None,
        source: str | None = None,
    ) -> None:
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
