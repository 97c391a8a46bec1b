"""What is asked for, counted, and kept in the file before much of it can be lost."""

from __future__ import annotations

import threading
from collections.abc import Collection
from contextlib import suppress
from typing import TYPE_CHECKING

from mdstore.errors import MarketDataError

if TYPE_CHECKING:
    from mdstore.store.store import MarketDataStore

__all__ = ["Usage"]

SECONDS = 60.0
"""Of a process that is killed, the asks of so many seconds are lost."""
ASKS = 20_000
"""Or of so many asks, where these come sooner."""


class Usage:
    """Counts asks by symbol and timeframe; it is never in the way of who asks."""

    def __init__(self, store: MarketDataStore) -> None:
        self._store, self._is_kept = store, not store.read_only
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._asks: dict[tuple[str, str], int] = {}
        self._left = ASKS
        self._timer: threading.Timer | None = None

    def note(self, symbols: Collection[str], timeframe: str) -> None:
        """Count an ask for each of some symbols."""
        if not self._is_kept:
            return
        asks = self._asks
        for symbol in symbols:
            key = (symbol, timeframe)
            asks[key] = asks.get(key, 0) + 1
        self._left -= len(symbols)
        if self._left <= 0:
            self._flush_soon(0.0)
        elif self._timer is None:
            self._flush_soon(SECONDS)

    def flush(self, *, fades: bool = True) -> None:
        """Keep in the file what was asked for; what was long ago counts less then if it `fades`."""
        with self._lock:
            # A copy: whoever began to note before this still does.
            timer, asks = self._timer, self._asks.copy()
            self._begin()
        if timer is not None:
            timer.cancel()
        if asks and not self._store._candles.used(asks, fades=fades) and len(asks) < ASKS:
            for key, count in asks.items():  # the file was busy: they are said later
                self._asks[key] = self._asks.get(key, 0) + count

    def forget(self) -> None:
        """Begin anew in a forked process: what was counted is the parent's to say, and its thread."""
        self._lock = threading.Lock()
        self._begin()

    def _flush_soon(self, seconds: float) -> None:
        """Have it flushed by another thread, unless that is so already."""
        with self._lock:
            if self._timer is not None:
                if seconds:
                    return
                self._timer.cancel()
            self._left = self._left if seconds else ASKS
            self._timer = threading.Timer(seconds, self._flush_quietly)
            self._timer.name, self._timer.daemon = "mdstore-usage", True
            self._timer.start()

    def _flush_quietly(self) -> None:
        with suppress(MarketDataError):  # the store was closed
            self.flush(fades=False)
