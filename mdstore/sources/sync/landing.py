"""A page of a source lands in a store: its rows and the range that it proves, in one transaction."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Literal, Protocol

from mdstore.core.hole_reasons import Stated
from mdstore.core.schema import CANDLE_COLUMNS
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
        data: object,
        *,
        unit: Literal["ms"],
        on_invalid: Literal["quarantine"],
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

    `source` is who gave it; `absent` why bars are not there that are not among the rows. Rows that are bad
    are set aside with their reason, and their bars are known to have failed.
    """
    start, end = ms_to_datetime(good.start), ms_to_datetime(good.end)
    if len(good.rows) or len(good.bad):
        rows = _with_bad(good) if len(good.bad) else good.rows
        store.write(
            *series,
            rows,
            unit="ms",
            on_invalid="quarantine",
            source=source,
            covers=(start, end),
            absent=absent,
        )
    elif good.start < good.end:
        store.cover(*series, start=start, end=end, reason=absent, source=source)
    return len(good.rows)


def _with_bad(good: Proven) -> list[dict[str, Any]]:
    """Return the rows, and those that are bad as they came, so that both land in one transaction."""
    rows = list(good.rows.iter_rows(named=True))
    for time, record in good.bad.select("time", "record").iter_rows():
        given = json.loads(record)
        rows.append({name: time if name == "timestamp" else given[name] for name in CANDLE_COLUMNS})
    return rows
