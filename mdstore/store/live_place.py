"""Where live bars go: the store, and its ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from mdstore.candles.ledger.claims import Claim
from mdstore.candles.repository import CandleRepository
from mdstore.core.hole_reasons import Stated
from mdstore.core.time_bounds import FOREVER

__all__ = ["LivePlace"]

SOURCE, BACKFILL = "live", "backfill"
Key = tuple[str, str]
Row = tuple[int, float, float, float, float, float]
Range = tuple[int, int]


class Writes(Protocol):
    """What a store writes, and knows to be missing."""

    @property
    def write(self) -> Callable[..., object]:
        """Stores candles of one series."""

    @property
    def write_many(self) -> Callable[..., object]:
        """Stores candles of several series."""

    @property
    def missing(self) -> Callable[..., Any]:
        """Gives what is worth asking for."""


class LivePlace:
    """Takes live bars, what is known of those that are not there, and what was fetched in their place."""

    def __init__(self, store: Writes, candles: CandleRepository) -> None:
        self._store, self._candles = store, candles

    def refuse_to_write(self) -> None:
        """Raise `ReadOnlyError` where nothing can be stored."""
        self._candles.refuse_to_write()

    def __call__(self, symbol: str, timeframe: str, rows: list[Row]) -> object:
        """Store bars of one series."""
        return self._store.write(symbol, timeframe, rows, source=SOURCE)

    def land(self, rows: Mapping[Key, list[Row]]) -> object:
        """Store bars of several series in one transaction: 300 in 20 ms, which take 360 one by one."""
        flat = [(*key, *row) for key, found in rows.items() for row in found]
        return self._store.write_many(flat, source=SOURCE)

    def state(self, quiet: Mapping[Key, Sequence[Range]], doubted: Mapping[Key, Sequence[Range]]) -> None:
        """State where there was no trade, and have what is `doubted` asked for again, stored or not."""
        said = [(key, _claim(one, "no_trade")) for key, found in quiet.items() for one in found]
        self._candles.ledger.note(said, [(key, *one) for key, found in doubted.items() for one in found])

    def fill(
        self, symbol: str, timeframe: str, rows: Any, start: int, end: int,
        *, absent: Stated | None = None, settled: int | None = None,
    ) -> object:  # fmt: skip
        """Store what was fetched for a range; of what is not among it, the source has no more.

        Where it is said why bars are absent, or from when on they may be amended, the range is proven by
        whoever fetched it: it is stated apart, since a full page with a wider `covers` would be doubted.
        """
        if absent is None and settled is None:
            return self._store.write(symbol, timeframe, rows, source=BACKFILL, covers=(start, end))
        if len(rows):
            self._store.write(symbol, timeframe, rows, unit="ms", source=BACKFILL)
        until = FOREVER if settled is None else settled
        said = Claim(BACKFILL, (start, end), absent or "unknown", settled=until)
        self._candles.ledger.cover([(symbol, timeframe)], said)
        return None

    def missing(self, symbols: Sequence[str], timeframe: str) -> dict[str, list[Range]]:
        """Return the ranges that are worth asking for, of those of the symbols that are stored."""
        there = self._candles.stored(timeframe)
        found: dict[str, list[Range]] = {}
        known = [symbol for symbol in symbols if symbol in there]
        if known:
            ranges = self._store.missing(known, timeframe)
            times = zip(ranges["start"].dt.epoch("ms"), ranges["end"].dt.epoch("ms"), strict=True)
            for symbol, one in zip(ranges["symbol"].to_list(), times, strict=True):
                found.setdefault(symbol, []).append(one)
        return found


def _claim(covers: Range, reason: Stated) -> Claim:
    return Claim(SOURCE, covers, reason)
