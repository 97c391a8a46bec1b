"""A page of a source lands in a store: its rows and the range that it proves, in one transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Protocol

import polars as pl

from mdstore.core.hole_reasons import Stated
from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import ms_to_datetime
from mdstore.sources.sync.page_proof import Proven

__all__ = ["Lands", "land"]


class Lands(Protocol):
    """What takes pages: a store."""

    def write(
        self,
        symbol: str,
        timeframe: Timeframe,
        data: pl.DataFrame,
        *,
        unit: Literal["ms"],
        source: str,
        covers: tuple[datetime, datetime],
        absent: Stated | None,
    ) -> object:
        """Store candles of one series, all or none."""

    def cover(
        self,
        symbols: str,
        timeframe: Timeframe,
        *,
        start: datetime,
        end: datetime,
        reason: Stated | None,
        source: str,
    ) -> None:
        """State why bars are absent in a range."""


def land(
    store: Lands,
    series: tuple[str, Timeframe],
    good: Proven,
    *,
    source: str,
    absent: Stated | None,
) -> int:
    """Store what a page has proven of a series, and return how many rows that were.

    `source` is who gave it; `absent` why bars are not there that are not among the rows.
    """
    start, end = ms_to_datetime(good.start), ms_to_datetime(good.end)
    if len(good.rows):
        store.write(*series, good.rows, unit="ms", source=source, covers=(start, end), absent=absent)
    elif good.start < good.end:
        store.cover(*series, start=start, end=end, reason=absent, source=source)
    return len(good.rows)
