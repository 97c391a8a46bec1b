"""What `mdstore report` does: some reads, so that there is a figure of them, then the report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console

from mdstore.core.timeframe import Timeframe
from mdstore.reports.store_report import report_page, write_report

if TYPE_CHECKING:
    from mdstore.store.store import MarketDataStore

__all__ = ["pipe_report", "print_report"]

SERIES: Final = 10
BARS: Final = 1_000
TIMES: Final = 3


def print_report(store: MarketDataStore, out: Console, err: Console, target: Path, *, force: bool) -> None:
    """Write the report, and say where it is."""
    with err.status("reading", spinner="dots"):
        _read_some(store)
        path = write_report(store, target, force=force)
    out.print(f"{path} has the report", highlight=False, markup=False)


def pipe_report(store: MarketDataStore, err: Console) -> None:
    """Write the report to standard output."""
    with err.status("reading", spinner="dots"):
        _read_some(store)
        made = report_page(store)
    sys.stdout.buffer.write(made.encode())
    sys.stdout.buffer.flush()


def _read_some(store: MarketDataStore) -> None:
    """Read the latest bars of the largest series a few times: this process has made no calls of its own."""
    largest = store.series().sort("rows", descending=True).head(SERIES)
    for symbol, timeframe in largest.select("symbol", "timeframe").iter_rows():
        for _ in range(TIMES if Timeframe.is_name(timeframe) else 0):
            store.candles(symbol, timeframe, limit=BARS)
