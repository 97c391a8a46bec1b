"""What a sync asks for: what is missing of the series that are wanted, but for what is left alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mdstore.core.timeframe import Timeframe
from mdstore.realtime.ranges import Ranges
from mdstore.sources.sync.bad_bars import BadBars
from mdstore.sources.sync.sync_place import Key, Range, SyncPlace

__all__ = ["Wanted", "WorthAsking", "joined"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which series a sync is of: symbols and timeframes, in `[start, end)` (ms).

    Without a start each is wanted from its first stored bar on.
    """

    symbols: Sequence[str]
    timeframes: Sequence[Timeframe]
    start: int | None
    end: int


class WorthAsking:
    """What one sync asks a source for. `bad` knows which bars came with a row that is none, and when."""

    def __init__(self, place: SyncPlace, source: str, wanted: Wanted, bad: BadBars) -> None:
        self._place, self._source, self._wanted, self._bad = place, source, wanted, bad
        self._bad_here: dict[Key, set[int]] = {}

    def of(
        self, symbols: Sequence[str], timeframe: Timeframe, page: int | None = None, start: int | None = None
    ) -> dict[str, list[Range]]:
        """Return the ranges that lack something, by symbol; those of whole pages where there is a `page`.

        `start` is from when on they are wanted (ms), where that is known by now.
        """
        start = self._wanted.start if start is None else start
        found = self._missing(symbols, timeframe, start, page) if symbols else {}
        for symbol, ranges in found.items():
            alone = self._bad.left_alone(self._source, (symbol, str(timeframe)))
            if alone:
                bars = self._missing([symbol], timeframe, start, None).get(symbol, []) if page else ranges
                left = self._without(symbol, timeframe, alone, bars)
                # A page is worth asking for where it lacks any other.
                found[symbol] = [one for one in ranges if _meets(one, left)] if page else left
        return {symbol: ranges for symbol, ranges in found.items() if ranges}

    def landed(self, key: Key, part: Range, bad: Sequence[int]) -> None:
        """Take note that a range came, and which bars of it are bad."""
        others = {at for at in self._bad_here.get(key, ()) if not part[0] <= at < part[1]}
        self._bad_here[key] = {*others, *bad}
        self._bad.came(self._source, key, part, bad)

    def bad_of(self, key: Key) -> int:
        """Return how many bars of a series are not there since their rows were bad, now or a while ago."""
        return len(self._bad_here.get(key, ()))

    def _missing(
        self, symbols: Sequence[str], timeframe: Timeframe, start: int | None, page: int | None
    ) -> dict[str, list[Range]]:
        return self._place.to_ask(symbols, timeframe, start, self._wanted.end, page)

    def _without(
        self, symbol: str, timeframe: Timeframe, alone: Sequence[int], bars: Sequence[Range]
    ) -> list[Range]:
        """Leave bars alone that are among those worth asking for."""
        worth = joined(bars)
        self._bad_here[symbol, str(timeframe)] = {at for at in alone if at in worth}
        for at in alone:
            worth.remove(at, timeframe.next(at))
        return list(worth)


def joined(ranges: Iterable[Range]) -> Ranges:
    """Make one range of those that touch."""
    made = Ranges()
    for one in ranges:
        made.add(*one)
    return made


def _meets(part: Range, others: Iterable[Range]) -> bool:
    return any(low < part[1] and part[0] < high for low, high in others)
