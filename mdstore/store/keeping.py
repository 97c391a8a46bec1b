"""Longer bars that are kept stored, made of shorter ones: made anew as these come, close or change.

They are written just behind the transaction that brought the shorter ones, with the source "derived". A bar
that somebody else gave stays: what an exchange says of its hour counts more than what its minutes make.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import polars as pl

from mdstore.candles.repository import CandleRepository
from mdstore.core.arguments import symbol_list
from mdstore.core.logs import logger
from mdstore.core.schema import CANDLE_COLUMNS
from mdstore.core.time_bounds import FOREVER
from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import ms_to_datetime
from mdstore.errors import InvalidInputError, MarketDataError, TimeframeError
from mdstore.store.reading import Made, Reading
from mdstore.store.writing import Writing

if TYPE_CHECKING:
    from mdstore.store.declared import Declared

__all__ = ["DERIVED", "Keeping"]

DERIVED: Final = "derived"
LOOK_BACK: Final = 24
"""So many longer bars that were not whole yet are looked at again with each write."""
TIME_OF_CHANGE, SOURCE_OF_CHANGE = 2, 14
"""Their places in a row of `Ledger.revisions`: behind the key, and behind what was and what came to be."""
Reach = Mapping[tuple[str, str], tuple[int, int]]
log = logger("keep")


@dataclass(slots=True)
class _Kept:
    """Bars of `timeframe`, made of those of `of`, of symbols that a pattern fits (none is all).

    `until` is where the bars of a symbol are made up to: behind it none was whole when it was looked.
    """

    timeframe: Timeframe
    of: Timeframe
    symbols: tuple[str, ...] | None
    until: dict[str, int] = field(default_factory=dict)

    def is_of(self, symbol: str, timeframe: str) -> bool:
        """Tell whether bars of a series are made into longer ones."""
        from mdstore.core.calendars import globs  # noqa: PLC0415 - a plain read needs no calendars

        fits = self.symbols is None or any(globs(symbol, one) for one in self.symbols)
        return fits and timeframe == str(self.of)


class Keeping:
    """What is kept by one store, as long as it is open."""

    def __init__(
        self, candles: CandleRepository, reading: Reading, writing: Writing, declared: Declared
    ) -> None:
        self._candles, self._reading, self._writing, self._declared = candles, reading, writing, declared
        self._kept: list[_Kept] = []
        self._lock = threading.RLock()

    def keep(
        self,
        timeframe: str | Timeframe,
        *,
        of: str | Timeframe,
        symbols: str | Sequence[str] | None = None,
    ) -> int:
        """Store longer bars, made of shorter ones, now and as these come; return how many came or changed.

        From now on, as long as the store is open, whatever is written by it makes them anew: in the same
        call, in a transaction just behind its own. They have the source "derived", as `provenance` shows. A
        bar is stored once it is whole: its time is over, and of all its shorter bars is known that they are
        there, or never were (see `resample`). Where another source has given a bar, that one stays; and one
        that it gives later takes the place of a derived one. `verify` compares both with the shorter bars.

        `symbols` are names or patterns, None for every symbol. What other processes write is taken in by the
        next `keep`, here or there. Raises `TimeframeError` for bars that cannot be made so.

        >>> with mdstore.open(folder / "market_data.sqlite3") as store:
        ...     minutes = [(f"2025-09-01T00:0{minute}", 1, 2, 1, 2, 5) for minute in range(7)]
        ...     _ = store.write("KRW-BTC", "1m", minutes)
        ...     made = store.keep("3m", of="1m")
        ...     later = [("2025-09-01T00:07", 1, 3, 1, 2, 5), ("2025-09-01T00:08", 2, 2, 2, 2, 1)]
        ...     _ = store.write("KRW-BTC", "1m", later)
        ...     made, store.candles("KRW-BTC", "3m")["high"].to_list()
        (2, [2.0, 2.0, 3.0])
        """
        longer, shorter = Timeframe.parse(timeframe), Timeframe.parse(of)
        if longer == shorter or not longer.holds(shorter):
            raise TimeframeError(f"{longer} bars cannot be made of {shorter} bars: they are no multiple")
        if symbols is not None and not symbols:
            raise InvalidInputError("no symbols: name those that are wanted, or None for all")
        self._candles.refuse_to_write()
        kept = _Kept(longer, shorter, symbol_list(symbols))
        with self._lock:
            known = [one for one in self._kept if (one.timeframe, one.of) != (longer, shorter)]
            self._kept = [*known, kept]
            self._candles.on_written = self.written
            there = sorted(self._candles.stored(str(shorter)))
            wanted = [symbol for symbol in there if kept.is_of(symbol, str(shorter))]
            return sum(self._make(kept, symbol, -FOREVER, None) for symbol in wanted)

    def written(self, reach: Reach) -> None:
        """Make bars anew of which shorter ones were written; `reach` is the first and last of each series."""
        with self._lock:
            for (symbol, timeframe), (first, last) in reach.items():
                for kept in self._kept:
                    if kept.is_of(symbol, timeframe):
                        self._follow(kept, symbol, first, last)

    def _follow(self, kept: _Kept, symbol: str, first: int, last: int) -> None:
        bar = kept.timeframe
        low = min(bar.floor(first), kept.until.get(symbol, FOREVER))
        stored = self._candles.last_bar(symbol, str(kept.of))
        high = min(bar.next(last), bar.floor(kept.of.next(last if stored is None else stored)))
        if low >= high:  # only of the bar that is not over yet, as most live bars are
            return
        try:
            self._make(kept, symbol, low, high)
        except MarketDataError as error:
            # The shorter bars are stored, and whoever wrote them is told so; the next write makes up for it.
            kept.until[symbol] = low
            log.warning("%s %s were not kept current: %s", symbol, bar, error)

    def _make(self, kept: _Kept, symbol: str, low: int, high: int | None) -> int:
        """Store the whole bars of a range (ms), but for those that another source has given."""
        made = self._derived(kept, symbol, low, high)
        if not len(made):
            return 0
        whole = pl.col("closed") & (pl.col("bars") >= pl.col("of"))
        part = made.tail(LOOK_BACK).filter(~whole)["timestamp"].dt.epoch("ms")
        last = int(made["timestamp"].dt.epoch("ms")[-1])
        kept.until[symbol] = int(part[0]) if len(part) else kept.timeframe.next(last)
        rows = made.filter(whole).drop("closed", "bars", "of")
        rows = self._without_others(kept.timeframe, symbol, rows)
        if not len(rows):
            return 0
        result = self._writing.write(symbol, kept.timeframe, rows, source=DERIVED)
        return result.inserted + result.updated

    def _derived(self, kept: _Kept, symbol: str, low: int, high: int | None) -> pl.DataFrame:
        answer = self._reading.read(
            self._candles, symbol, kept.timeframe,
            start=None if low <= -FOREVER else ms_to_datetime(low),
            end=None if high is None else ms_to_datetime(high),
            limit=None, columns=self._columns(symbol, str(kept.timeframe)), derive_from=kept.of, tz=None,
            fill=None, as_of=None, include_forming=False,
        )  # fmt: skip
        assert isinstance(answer, Made)  # noqa: S101 - of shorter bars; for mypy
        return answer.frame()

    def _columns(self, symbol: str, timeframe: str) -> tuple[str, ...] | None:
        more = tuple(one.name for one in self._declared.of(symbol, timeframe)())
        return None if not more else (*CANDLE_COLUMNS, *more, "closed", "bars", "of")

    def _without_others(self, timeframe: Timeframe, symbol: str, rows: pl.DataFrame) -> pl.DataFrame:
        """Leave out the bars that another source has given, or has changed since."""
        if not len(rows) or symbol not in self._candles.stored(str(timeframe)):
            return rows
        ledger, times = self._candles.ledger, rows["timestamp"].dt.epoch("ms")
        theirs = pl.Series([False]).new_from_index(0, len(rows))
        for one in ledger.provenance(symbol, str(timeframe)):
            if one.source != DERIVED:
                theirs |= (times >= one.start) & (times < one.end)
        if self._columns(symbol, str(timeframe)) is None:  # then all changes are among those
            return rows.filter(~theirs)
        latest = {}
        for row in ledger.revisions(symbol, str(timeframe), times[0], times[-1] + 1):
            latest[row[TIME_OF_CHANGE]] = row[SOURCE_OF_CHANGE]
        changed = [time for time, source in latest.items() if source != DERIVED]
        theirs |= times.is_in(pl.Series(changed, dtype=pl.Int64).implode())
        return rows.filter(~theirs)
