"""Exchanges that are watched: what comes by their websockets goes into the live part of a store."""

# What a plain read does not need is imported by the method that does.
# ruff: noqa: PLC0415

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakSet

from mdstore.core.arguments import positive_seconds, symbol_list
from mdstore.core.timeframe import Timeframe
from mdstore.errors import InvalidInputError

if TYPE_CHECKING:
    from mdstore.realtime.cache import RealtimeDataCache
    from mdstore.sources.recordings.recorder import Recorder
    from mdstore.sources.sync.sync_place import SyncPlace
    from mdstore.sources.watching.watch import Watch

__all__ = ["Watching"]

SILENCE = 60.0


class Watching:
    """The watches of one store; they end with it."""

    def __init__(self, cache: Callable[[], RealtimeDataCache], place: Callable[[], SyncPlace]) -> None:
        self._cache, self._place = cache, place
        self._watches: WeakSet[Watch] = WeakSet()

    def watch(
        self,
        exchange: str,
        symbols: str | Sequence[str],
        timeframes: str | Timeframe | Sequence[str | Timeframe] = "1m",
        *,
        orderbooks: bool = False,
        record: str | os.PathLike[str] | Recorder | None = None,
        silence: float = SILENCE,
        base_url: str | None = None,
        on_error: Callable[[Exception], object] | None = None,
    ) -> Watch:
        """Watch markets of an exchange: `with store.watch("upbit", ["KRW-BTC"], "1m") as watch:`.

        `exchange` is "upbit", "binance" or "binance-futures", `symbols` are names or patterns (`"KRW-*"`).
        What comes by the websocket is in `tickers`, `trades` and, with `orderbooks=True`, `orderbooks`; bars
        of the timeframes form in `live` (`live.subscribe("1m")` gives them as they end), and are stored once
        they have ended. A connection that is lost, refused or silent for `silence` seconds is made anew: at
        once, or half a second later, twice as long after each that fails, and a minute at most. Bars that
        were not seen whole are fetched by REST before they are stored, those that a stored series lacks among
        them. `serve()` gives what is live to other processes.

        `record` is a path, such as `recordings/upbit`, to which raw messages are written for `replay`, or a
        `Recorder`. `base_url` is asked in the exchange's place, as that of a `LocalExchange`. `on_error` is
        told of what fails, in threads of the watch, which goes on: the notes of an error (`__notes__`) say of
        which symbols, and when it is tried again. `watch.errors` has the latest, `watch.stats()` the counts.

        Raises `InvalidInputError` here, and by `with` `NoSuchMarketError` for a symbol that the exchange does
        not have, and `SourceError` where it does not answer. A series that has bars of another exchange, such
        as the spot market's, is refused, as by `sync`: its bars would be made of both.
        """
        from mdstore.sources.exchanges.candle_sources import is_exchange, open_source
        from mdstore.sources.sync.other_exchanges import OtherExchanges
        from mdstore.sources.watching.streams import stream_of
        from mdstore.sources.watching.watch import Watch, WatchAsked

        names = symbol_list(symbols)
        if names is None:
            raise InvalidInputError('symbols=None: name the markets, or give a pattern such as "KRW-*"')
        bars = [timeframes] if isinstance(timeframes, str | Timeframe) else list(timeframes)
        asked = WatchAsked(
            names,
            tuple(map(Timeframe.parse, bars)),
            orderbooks,
            positive_seconds(silence, "silence", or_none=False),
            base_url,
        )
        stream = stream_of(exchange)
        watch = Watch(
            self._cache(), stream, partial(open_source, exchange, base_url=base_url), asked,
            record=record, on_error=on_error,
            refused=OtherExchanges(self._place(), exchange, is_exchange, verb="watch").refused,
        )  # fmt: skip
        self._watches.add(watch)
        return watch

    def close(self) -> None:
        """End those that have not ended."""
        for watch in list(self._watches):
            watch.close()
