"""What `mdstore watch` prints: a table that lives in a terminal, elsewhere a line for each bar that ends."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from mdstore.cli.output.watch_table import WatchTable, error_text, stored_bars
from mdstore.cli.shared.errors import said
from mdstore.cli.shared.json_text import json_text
from mdstore.cli.shared.texts import count
from mdstore.core.timestamps import ms_to_datetime
from mdstore.errors import InvalidInputError
from mdstore.realtime.rows import ClosedBar
from mdstore.realtime.subscription import Subscription
from mdstore.sources.watching.watch import Watch
from mdstore.store.store import MarketDataStore

__all__ = ["Watched"]

LOOK_SECONDS: Final = 0.1
REFRESHES: Final = 4
"""How often a second the table is drawn."""


class Watched:
    """A watch, as it is shown until it is interrupted."""

    def __init__(self, store: MarketDataStore, out: Console, remarks: Console, *, as_json: bool) -> None:
        self._store, self._out, self._remarks, self._as_json = store, out, remarks, as_json
        self._counts: Counter[str] = Counter()
        self._begun = self._interrupted = False

    def run(self, exchange: str, symbols: list[str], timeframes: list[str], **options: Any) -> None:
        """Watch until Ctrl-C or SIGTERM. Raises what keeps it from beginning, or has ended it."""
        lives = self._out.is_terminal and not self._as_json
        on_error = None if lives else self._say
        watch = self._store.watch(exchange, symbols, timeframes, on_error=on_error, **options)
        begun = time.monotonic()
        for table in self._store.realtime.tables.values():
            table.add_listener(_Tally(self._counts))
        try:
            with self._interrupts(), watch:
                self._begun = True
                self._serve()
                show = self._show_table if lives else self._print_bars
                show(watch)
        finally:
            if self._begun:  # whatever has ended it
                self._remarks.print(escape(self._summary(watch, time.monotonic() - begun)), highlight=False)

    def _serve(self) -> None:
        """Give what is live to other processes; one that watches another exchange may do so already."""
        try:
            self._store.serve()
        except (InvalidInputError, OSError) as error:
            self._remarks.print(f"what is live is not served: {escape(said(error))}", highlight=False)

    # ---- a terminal

    def _show_table(self, watch: Watch) -> None:
        table = WatchTable(self._store, watch, self._counts)
        with Live(console=self._out, auto_refresh=False, screen=False, transient=False) as live:
            while not self._is_over(watch, 1 / REFRESHES):
                live.update(self._lines(table), refresh=True)

    def _lines(self, table: WatchTable) -> Group:
        height = max(1, self._out.size.height - 5)
        return Group(
            table.heading(), table.table(height, self._out.width), Text("Ctrl-C ends it", style="dim")
        )

    # ---- anything else

    def _print_bars(self, watch: Watch) -> None:
        subscriptions = [self._store.live.subscribe(timeframe) for timeframe in watch.timeframes]
        try:
            while not self._is_over(watch, LOOK_SECONDS):
                self._print_new(subscriptions)
        finally:
            self._store.live.flush(1.0)
            self._print_new(subscriptions)

    def _print_new(self, subscriptions: list[Subscription[ClosedBar]]) -> None:
        for subscription in subscriptions:
            for bar in subscription.drain():
                if not bar.partial:
                    print(json_text(_record(bar)) if self._as_json else _line(bar), flush=True)

    def _say(self, error: Exception) -> None:
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        self._remarks.print(escape(f"{now} {error_text(error)}"), highlight=False)

    # ---- the end

    @contextmanager
    def _interrupts(self) -> Iterator[None]:
        """Take note of Ctrl-C and SIGTERM; a second one, or one before the watch begins, ends it at once."""
        before = {
            number: signal.signal(number, self._interrupt) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _interrupt(self, _number: int, _frame: object) -> None:
        if self._interrupted or not self._begun:
            raise KeyboardInterrupt
        self._interrupted = True

    def _is_over(self, watch: Watch, seconds: float) -> bool:
        """Wait, and tell whether the watch has ended or was interrupted. Raises what has ended it."""
        until = time.monotonic() + seconds
        while not self._interrupted and (left := until - time.monotonic()) > 0:
            if watch.wait(min(left, LOOK_SECONDS)):
                return True
        return self._interrupted

    def _summary(self, watch: Watch, seconds: float) -> str:
        stats = watch.stats()
        parts = [
            count(int(stats["messages"]), "message"),
            f"{count(stored_bars(self._store, watch), 'bar')} stored",
            count(int(stats["reconnects"]), "reconnect"),
        ]
        if watch.gone:
            parts.append(f"traded no more: {', '.join(watch.gone)}")
        if waiting := int(self._store.live.stats()["pending"] or 0):
            parts.insert(2, f"{waiting:,} not stored, which a sync fetches")
        if watch.recorder is not None and watch.recorder.files:
            parts.append("recorded in " + ", ".join(str(path) for path in watch.recorder.files))
        return f"watched {count(len(watch.symbols), 'market')} for {seconds:,.0f} s: {'; '.join(parts)}"


class _Tally:
    """Counts the rows of each symbol."""

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts

    def offer(self, row: Any) -> None:
        self._counts[row.symbol] += 1


def _record(bar: ClosedBar) -> dict[str, Any]:
    return {**bar._asdict(), "timestamp": ms_to_datetime(bar.timestamp)}


def _line(bar: ClosedBar) -> str:
    values = " ".join(f"{value:.12g}" for value in bar[3:8])
    again = " amended" if bar.amended else ""
    return f"{ms_to_datetime(bar.timestamp):%Y-%m-%dT%H:%M:%SZ} {bar.symbol} {bar.timeframe} {values}{again}"
