"""Which way the bars of each symbol come: as they are stored, or made of shorter ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mdstore.core.timeframe import Timeframe
from mdstore.service.requests import CandleRequest

if TYPE_CHECKING:
    from mdstore.store.store import MarketDataStore

__all__ = ["Road", "is_stored", "made_of", "roads_of", "stored_road"]

KEY = ("symbol", "timeframe")


@dataclass(frozen=True, slots=True)
class Road:
    """What the bars of some symbols are made of: those of `source`; None for stored ones.

    `symbols` None is all that are stored.
    """

    source: Timeframe | None
    symbols: tuple[str, ...] | None

    def of(self, request: CandleRequest) -> CandleRequest:
        """Return what is asked for of these symbols."""
        return request if request.symbols == self.symbols else replace(request, symbols=self.symbols)


def stored_road(request: CandleRequest) -> tuple[Road, ...]:
    """Return the one road on which nothing is made."""
    return (Road(None, request.symbols),)


def is_stored(roads: Iterable[Road]) -> bool:
    """Tell whether nothing is made on some roads."""
    for road in roads:  # noqa: SIM110 - each read asks; `all` of a generator takes twice as long
        if road.source is not None:
            return False
    return True


def roads_of(store: MarketDataStore, request: CandleRequest, *, derives: bool) -> tuple[Road, ...]:
    """Return the roads of the symbols of a request, each symbol on one.

    Bars that are stored are given as they are, if nothing was said, and others are made of the longest
    shorter ones that are stored of the symbol, where the policy `derives`.
    """
    if isinstance(request.derive, Timeframe):
        return (Road(request.derive, request.symbols),)
    takes_stored = request.derive is None and request.tz is None
    if request.derive is False or (takes_stored and not derives):
        return stored_road(request)
    wanted = request.symbols
    if (
        takes_stored
        and wanted is not None
        and store._candles.stored(str(request.timeframe)).issuperset(wanted)
    ):
        return stored_road(request)
    fits = _fitting(store, request)
    sources = {
        symbol: _source(fits.get(symbol, []), request, takes_stored=takes_stored) for symbol in wanted or fits
    }
    if request.tz is not None:  # no stored bar is cut by the clocks of a zone
        longest = _longest(part for part in sources.values() if part is not None)
        sources = {symbol: part or longest for symbol, part in sources.items()}
    if len(set(sources.values())) <= 1:
        return (Road(next(iter(sources.values()), None), wanted),)
    by_source: dict[Timeframe | None, list[str]] = {}
    for symbol, part in sources.items():
        by_source.setdefault(part, []).append(symbol)
    return tuple(Road(part, tuple(names)) for part, names in by_source.items())


def made_of(names: Iterable[str], timeframe: Timeframe) -> str | None:
    """Return which of some stored timeframes bars that are not stored are made of; None where none fits."""
    longest = _longest(part for name in names if (part := _part(name, timeframe)) is not None)
    return None if longest is None else str(longest)


def _fitting(store: MarketDataStore, request: CandleRequest) -> dict[str, list[Timeframe]]:
    """Return by symbol the stored timeframes that give the bars that are asked for; no other symbol."""
    wanted = None if request.symbols is None else frozenset(request.symbols)
    bars: dict[str, Timeframe | None] = {}
    found: dict[str, list[Timeframe]] = {}
    for symbol, name in store.series().select(KEY).sort(KEY).iter_rows():
        if wanted is not None and symbol not in wanted:
            continue
        if name not in bars:
            bars[name] = _part(name, request.timeframe)
        bar = bars[name]
        if bar is not None:
            found.setdefault(symbol, []).append(bar)
    return found


def _part(name: str, timeframe: Timeframe) -> Timeframe | None:
    """Return the timeframe of a name if bars can be made of it; another program's may be none."""
    bar = Timeframe.parse(name) if Timeframe.is_name(name) else None
    return bar if bar is not None and timeframe.holds(bar) else None


def _source(fits: list[Timeframe], request: CandleRequest, *, takes_stored: bool) -> Timeframe | None:
    if takes_stored and request.timeframe in fits:
        return None
    return _longest(part for part in fits if part != request.timeframe)


def _longest(parts: Iterable[Timeframe]) -> Timeframe | None:
    return max(parts, key=lambda part: part.longest_ms, default=None)
