"""The table of `mdstore watch`: each market with its price, its change, its forming bar, and how it comes."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from mdstore.cli.shared.errors import said
from mdstore.cli.shared.texts import count
from mdstore.errors import MarketDataError
from mdstore.realtime.rows import Ticker, Trade
from mdstore.reports.text_chart import digits
from mdstore.sources.watching.watch import Watch
from mdstore.store.store import MarketDataStore

__all__ = ["WatchTable", "error_text", "stored_bars"]

NS_PER_MS: Final = 1_000_000
RATE_SECONDS: Final = 2.0
# Columns by the width of the terminal at which there is room for them.
ROOM: Final = {"volume": 110, "low": 100, "high": 100, "open": 90, "lag": 60, "rows/s": 50, "close": 50}
UP, DOWN = "green", "red"


def error_text(error: Exception) -> str:
    """Return what went wrong, of what, and when it is tried again, as the notes of the error say.

    Of a library's own error its kind is told, too, since its text may say nothing.
    """
    notes = "; ".join(getattr(error, "__notes__", ()))
    text = f"{type(error).__name__}: {error}" if str(error) else repr(error)
    if isinstance(error, MarketDataError | OSError):
        text = said(error) or repr(error)
    return f"{text} ({notes})" if notes else text


class WatchTable:
    """Draws what is live; rates are those of the latest seconds."""

    def __init__(self, store: MarketDataStore, watch: Watch, counts: Counter[str]) -> None:
        self._store, self._watch, self._counts = store, watch, counts
        self._timeframe = watch.timeframes[0]
        self._begun = time.monotonic()
        self._before: tuple[float, Counter[str]] = (self._begun, Counter())
        self._rates: dict[str, float] = {}

    def heading(self) -> Text:
        """Return what is known of the watch as a whole, and what failed last."""
        self._reckon()
        stats = self._watch.stats()
        holes = int(stats["holes"])
        parts = [
            f"{self._watch.exchange}  {stats['alive']} of {count(int(stats['connections']), 'connection')}",
            f"{sum(self._rates.values()):,.0f} rows/s",
            f"{count(stored_bars(self._store, self._watch), 'bar')} stored",
            f"{count(holes, 'hole')} to fetch" if holes else "no holes",
        ]
        if stats["reconnects"]:
            parts.append(count(int(stats["reconnects"]), "reconnect"))
        if self._watch.gone:
            parts.append(f"traded no more: {', '.join(self._watch.gone)}")
        heading = Text("  ".join(parts), style="bold", no_wrap=True, overflow="ellipsis")
        if self._watch.errors:
            failure = self._watch.errors[-1]
            at = datetime.fromtimestamp(failure.at, UTC)
            what = error_text(failure.error).splitlines()[0]
            heading.append(f"\n{at:%H:%M:%SZ} {what}", style="dim red")
        return heading

    def table(self, height: int, width: int) -> Group:
        """Return the table, of at most so many lines."""
        names = [
            name
            for name in (
                "symbol",
                "price",
                "change",
                "open",
                "high",
                "low",
                "close",
                "volume",
                "lag",
                "rows/s",
            )
            if width >= ROOM.get(name, 0)
        ]
        table = Table(box=None, pad_edge=False, header_style="bold", expand=False)
        for name in names:
            shown = f"{name} {self._timeframe}" if name == "close" else name
            table.add_column(shown, justify="left" if name == "symbol" else "right", no_wrap=True)
        symbols = self._watch.symbols
        shown_symbols = symbols if len(symbols) <= height - 1 else symbols[: max(1, height - 2)]
        for symbol in shown_symbols:
            cells = self._cells(symbol)
            table.add_row(*(cells[name] for name in names))
        left = len(symbols) - len(shown_symbols)
        return Group(table, Text(f"and {left:,} more", style="dim")) if left else Group(table)

    def _cells(self, symbol: str) -> dict[str, Text]:
        ticker, trade = self._store.tickers.latest(symbol), self._store.trades.latest(symbol)
        known = [row for row in (ticker, trade) if row is not None]
        newest = max(known, key=lambda row: row.timestamp, default=None)
        bar = self._store.live.forming(symbol, self._timeframe)
        prices = [] if bar is None else [bar.open, bar.high, bar.low, bar.close]
        places = digits([*prices, *([] if newest is None else [newest.price])])
        cells = {
            name: _number(None if bar is None else getattr(bar, name), places)
            for name in ("open", "high", "low", "close")
        }
        change = None if ticker is None else ticker.change_rate
        style = "" if not change else UP if change > 0 else DOWN
        return cells | {
            "symbol": Text(symbol), "price": _number(None if newest is None else newest.price, places, style),
            "change": Text("" if change is None else f"{change:+.2%}", style=style),
            "volume": Text("" if bar is None else f"{bar.volume:,.4g}"), "lag": _lag(newest),
            "rows/s": Text(f"{self._rates.get(symbol, 0):,.0f}"),
        }  # fmt: skip

    def _reckon(self) -> None:
        """Take the rates anew, once so often."""
        now, (then, before) = time.monotonic(), self._before
        if now - then < (RATE_SECONDS if self._rates else 0.5):
            return
        counts = Counter(self._counts)
        self._rates = {symbol: (number - before[symbol]) / (now - then) for symbol, number in counts.items()}
        self._before = (now, counts)


def stored_bars(store: MarketDataStore, watch: Watch) -> int:
    """Count the bars that were stored as they ended, and those that were fetched."""
    return int(store.live.stats()["landed"] or 0) + watch.fetched


def _number(value: float | None, places: int, style: str = "") -> Text:
    return Text("" if value is None else f"{value:,.{places}f}", style=style)


def _lag(row: Ticker | Trade | None) -> Text:
    """Return how long the newest row was on its way, by the two clocks."""
    received: Any = None if row is None else row.received
    if row is None or received is None:
        return Text("")
    return Text(f"{(received // NS_PER_MS - row.timestamp):,} ms")
