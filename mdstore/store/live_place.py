"""Where live bars go: the store, and its ledger."""

# What a plain read does not need is imported by the method that does.
# ruff: noqa: PLC0415

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from mdstore.candles.ledger.claims import Claim
from mdstore.candles.repository import CandleRepository
from mdstore.core.hole_reasons import Stated
from mdstore.core.time_bounds import FOREVER
from mdstore.core.timeframe import Timeframe

if TYPE_CHECKING:
    from mdstore.candles.file.leases import Lease
    from mdstore.realtime.bars import Row
    from mdstore.realtime.live_writer import Key
    from mdstore.realtime.ranges import Range
    from mdstore.sources.sync.sync_place import SyncPlace

__all__ = ["LivePlace"]

SOURCE, BACKFILL = "live", "backfill"


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

    def __init__(self, store: Writes, candles: CandleRepository, place: Callable[[], SyncPlace]) -> None:
        self._store, self._candles, self._place = store, candles, place

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
        *, absent: Stated | None = None, settled: int | None = None, source: str | None = None,
    ) -> object:  # fmt: skip
        """Store what was fetched for a range; of what is not among it, the source has no more.

        Where it is said why bars are absent, or from when on they may be amended, the range is proven by
        whoever fetched it: it is stated apart, since a full page with a wider `covers` would be doubted.
        """
        name = source or BACKFILL
        if absent is None and settled is None:
            return self._store.write(symbol, timeframe, rows, source=name, covers=(start, end))
        if len(rows):
            self._store.write(symbol, timeframe, rows, unit="ms", source=name)
        until = FOREVER if settled is None else settled
        said = Claim(name, (start, end), absent or "unknown", settled=until)
        self._candles.ledger.cover([(symbol, timeframe)], said)
        return None

    def lease(self, symbol: str, timeframe: str) -> Lease | None:
        """Return what only one has at a time who asks for a series, or None while somebody else has it."""
        from mdstore.sources.sync.leasing import lease_name

        return self._candles.leases.take(lease_name((symbol, timeframe)))

    def lacks(self, symbol: str, timeframe: str, start: int, end: int) -> list[Range]:
        """Return what is worth asking for of a range whose bars have ended by the exchange's clock.

        The latest are in any case: what is missing is told by the clock of this machine, which may be behind.
        """
        from mdstore.realtime.ranges import Ranges
        from mdstore.sources.sync.coordinator import LATE_MS

        place, bar, found = self._place(), Timeframe.parse(timeframe), Ranges()
        for one in place.to_ask([symbol], bar, start, end, None).get(symbol, []):
            found.add(*one)
        found.add(max(start, bar.floor(place.now() - LATE_MS)), end)
        return list(found)

    def stored(self, symbol: str, timeframe: str, start: int, end: int) -> list[Row]:
        """Return the bars of a range that are stored."""
        return self._place().stored((symbol, timeframe), start, end)

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
