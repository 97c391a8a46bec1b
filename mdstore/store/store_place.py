"""A store as a sync sees it: what is missing there, and where pages land."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from mdstore.candles.file.leases import Leases
from mdstore.candles.file.table_reads import Request
from mdstore.candles.ledger.claims import Claim
from mdstore.candles.repository import CandleRepository
from mdstore.candles.writes.results import Part, WriteResult
from mdstore.core.extra_columns import Extra
from mdstore.core.hole_reasons import Stated
from mdstore.core.schema import CANDLE_COLUMNS
from mdstore.core.time_bounds import FOREVER
from mdstore.core.timeframe import Timeframe
from mdstore.errors import NoSuchSeriesError
from mdstore.sources.sync.sync_place import Key, Landing, Range, Row
from mdstore.store.declared import Declared
from mdstore.store.gaps_and_missing import begins, gaps, to_ask

__all__ = ["StorePlace"]


class StorePlace:
    """The candles and the ledger of one store; `now` gives the time in ms."""

    def __init__(self, candles: CandleRepository, declared: Declared, now: Callable[[], int]) -> None:
        self._candles, self._declared, self.now = candles, declared, now

    @property
    def leases(self) -> Leases:
        """Names that one process has at a time."""
        return self._candles.leases

    def to_ask(
        self, symbols: Sequence[str], timeframe: Timeframe, start: int | None, end: int, page: int | None
    ) -> dict[str, list[Range]]:
        """Return what is worth asking for in `[start, end)`, by symbol; no start is the first stored bar."""
        low = -FOREVER if start is None else start
        request = Request(tuple(symbols), timeframe, ("timestamp",), low, end)
        return to_ask(self._candles, request, page, self.now())

    def first_bars(self, timeframe: Timeframe) -> Mapping[str, int]:
        """Return the first stored bar of each series of a timeframe (ms)."""
        return self._candles.first_bars(str(timeframe))

    def failed(self, symbols: Sequence[str], timeframe: Timeframe) -> set[str]:
        """Return those symbols of which a fetch failed, and was not made up for: it is known from when on."""
        known = self._candles.ledger.known(symbols, str(timeframe)).intervals
        return {symbol for symbol, one in zip(symbols, known, strict=True) if begins(None, one) is not None}

    def sources(self, symbols: Sequence[str], timeframe: Timeframe) -> Mapping[str, Sequence[str]]:
        """Return from which sources the stored bars of series are, by symbol."""
        ledger, found = self._candles.ledger, {}
        for symbol, named in ledger.sources(symbols, str(timeframe)).items():
            # Of bars that were replaced since, they are named, too: nearly always there is one alone.
            left = (
                {one.source for one in ledger.provenance(symbol, str(timeframe))} if len(named) > 1 else named
            )
            found[symbol] = sorted(left)
        return found

    def given_until(self, key: Key, source: str) -> int | None:
        """Return where the last stored bar of a series ends, if `source` gave any of its bars."""
        last = self._candles.last_bar(*key)
        if last is None or all(one.source != source for one in self._candles.ledger.provenance(*key)):
            return None
        return Timeframe.parse(key[1]).next(last)

    def stored(self, key: Key, start: int, end: int) -> list[Row]:
        """Return the bars of a series that are stored in a range."""
        request = Request((key[0],), Timeframe.parse(key[1]), CANDLE_COLUMNS, start, end)
        try:
            rows = self._candles.read(request).frame()
        except NoSuchSeriesError:
            return []
        return rows.with_columns(rows["timestamp"].dt.epoch("ms")).rows()

    def extras(self, key: Key) -> Callable[[], list[Extra]]:
        """Return what gives the declared columns that are kept of a series."""
        return self._declared.of(*key)

    def land(self, landings: Sequence[Landing]) -> list[WriteResult]:
        """Store rows of several series, each once, and what is said of them, in one transaction."""
        return self._candles.write_each(
            [Part(one.rows, _claims(one), {one.key: one.keep} if one.keep else {}) for one in landings]
        )

    def state(
        self, key: Key, start: int | None, end: int | None, reason: Stated | Literal["unknown"], source: str
    ) -> None:
        """State why there are no bars in a range, "unknown" of one that was answered; no end is open."""
        low, high = -FOREVER if start is None else start, FOREVER if end is None else end
        self._candles.ledger.cover([key], Claim(source, (low, high), reason))

    def state_failed(self, key: Key, start: int, end: int, source: str) -> None:
        """State that a fetch failed of what is worth asking for in a range."""
        for low, high in self.to_ask([key[0]], Timeframe.parse(key[1]), start, end, None).get(key[0], []):
            self.state(key, low, high, "fetch_failed", source)

    def holes(self, key: Key, start: int, end: int) -> dict[str, int]:
        """Return how many bars are not there in a range, by reason."""
        request = Request((key[0],), Timeframe.parse(key[1]), ("timestamp",), start, end)
        try:
            found = gaps(self._candles, request, self.now())
        except NoSuchSeriesError:  # nothing came of it
            return {}
        counts: dict[str, int] = {}
        for reason, bars in found.select("reason", "bars").iter_rows():
            counts[reason] = counts.get(reason, 0) + bars
        return counts


def _claims(one: Landing) -> list[Claim]:
    return [
        Claim(one.source, (said.start, said.end), said.absent or "unknown", one.key, said.settled)
        for said in one.said
    ]
