"""What is being written to a store, by whom ever: seen by looking at its series again and again."""

from __future__ import annotations

import time
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import polars as pl
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mdstore.cli.shared.spark import spark
from mdstore.cli.shared.texts import is_intraday, moment

if TYPE_CHECKING:
    from mdstore.store.store import MarketDataStore

__all__ = ["Activity"]

LOOKS: Final = 60
SHOWN: Final = 15
HOT_SECONDS: Final = 5.0


class Activity:
    """The series as they were at each look, and what has changed since the one before.

    A series is known to have changed by its revision, which is about the time (ms) of the change.
    """

    def __init__(self) -> None:
        self._series = pl.DataFrame()
        self._before: dict[tuple[str, str], int] | None = None
        self._more: dict[tuple[str, str], int] = {}
        self._looked = 0.0
        self._rates: deque[float] = deque(maxlen=LOOKS)

    def look(self, store: MarketDataStore) -> None:
        """Look at the series."""
        now = time.monotonic()
        self._series = store.series().sort("revision", descending=True)
        rows = {(symbol, bar): count for symbol, bar, count in self._rows()}
        if self._before is not None:
            more = {key: count - self._before.get(key, 0) for key, count in rows.items()}
            self._more = {key: number for key, number in more.items() if number}
            self._rates.append(sum(self._more.values()) / max(now - self._looked, 1e-6))
        self._before, self._looked = rows, now

    def summary(self) -> Text:
        """Say how much is being written, and draw how much that was at the latest looks."""
        names = f"{len(self._series):,} series"
        if not self._rates:
            return Text(names)
        line = Text(f"{names}; {self._rates[-1]:,.0f} candles a second more  ")
        line.append(spark([max(0.0, rate) for rate in self._rates], LOOKS), style="green")
        return line

    def table(self, lines: int | None) -> RenderableType:
        """Return the series that changed last, in so many lines: head, rows, and how many are left."""
        most = SHOWN if lines is None else lines - 1
        shown = len(self._series) if len(self._series) <= most else most - 1
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("series changed last", "rows", "more", "last bar", "changed"):
            table.add_column(name, justify="left" if name[0] in "sl" else "right", no_wrap=True)
        now = time.time() * 1000
        for row in self._series.head(max(0, shown)).iter_rows(named=True):
            table.add_row(*self._cells(row, now))
        left = len(self._series) - shown
        return Group(table, Text(f"and {left:,} more", style="dim")) if left > 0 else table

    def _cells(self, row: dict[str, Any], now: float) -> list[Text]:
        more = self._more.get((row["symbol"], row["timeframe"]), 0)
        seconds = max(0.0, (now - row["revision"]) / 1000)
        style = "bold green" if seconds < HOT_SECONDS else ""
        changed = datetime.fromtimestamp(row["revision"] / 1000, UTC)
        return [
            Text(f"{row['symbol']} {row['timeframe']}", style=style),
            Text(f"{row['rows']:,}"),
            Text(f"{more:+,}" if more else "", style="green" if more > 0 else "red"),
            Text(moment(row["last"], intraday=is_intraday(row["timeframe"]))),
            Text(f"{changed:%Y-%m-%d %H:%M:%S}", style=style),
        ]

    def _rows(self) -> list[tuple[str, str, int]]:
        return self._series.select(pl.col("symbol").cast(pl.String), "timeframe", "rows").rows()
