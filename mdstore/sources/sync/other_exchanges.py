"""Series that hold bars of another exchange: who asks leaves them alone, as they would be made of both."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mdstore.core.timeframe import Timeframe
from mdstore.errors import InvalidInputError
from mdstore.sources.sync.sync_place import SyncPlace

__all__ = ["OtherExchanges"]


class OtherExchanges:
    """Looks for bars of exchanges other than `source`; `is_exchange` tells which sources are exchanges.

    What came from a file, a source of one's own or a websocket says nothing of that. A series is looked at
    once: a sync that goes on every minute adds bars of its own alone. `verb` is what is done instead in
    another store.
    """

    def __init__(
        self, place: SyncPlace, source: str, is_exchange: Callable[[str], bool], *, verb: str = "sync"
    ) -> None:
        self._place, self._source, self._is_exchange, self._verb = place, source, is_exchange, verb
        self._seen: set[tuple[str, Timeframe]] = set()

    def refused(self, symbols: Iterable[str], timeframe: Timeframe) -> dict[str, InvalidInputError]:
        """Return by symbol why a series is not asked for."""
        new = [symbol for symbol in symbols if (symbol, timeframe) not in self._seen]
        found = {}
        for symbol, sources in self._place.sources(new, timeframe).items():
            others = sorted(one for one in sources if one != self._source and self._is_exchange(one))
            if others:
                found[symbol] = InvalidInputError(
                    f"{symbol} {timeframe} is stored already, from {', '.join(others)}: its bars would be "
                    "made of both",
                    hint=f"{self._verb} in another store",
                )
        self._seen.update((symbol, timeframe) for symbol in new if symbol not in found)
        return found
