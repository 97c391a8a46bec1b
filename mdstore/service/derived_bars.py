"""Bars made of shorter ones, as a service gives them: those that are over, and the forming one when asked.

A store says that a made bar is `closed` when the last shorter bar in it is there, or a later one. A service
asks the clock and the ledger as well. A bar is not over while the last bar in it forms; and it is over when
its time is, and nothing more of it can come: else an hour of a quiet market would wait for the next trade.
"""

# What loads SQLite, which nobody waits for who only imports a service.
# ruff: noqa: PLC0415

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import polars as pl

from mdstore.analysis.resample import reach, symbol_ends
from mdstore.core.calendars import Grid, calendar_of
from mdstore.core.long_table import latest_of_each
from mdstore.core.time_bounds import EARLIEST
from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import ms_to_datetime
from mdstore.service.meters import Meters
from mdstore.service.requests import CandleRequest, opened
from mdstore.service.routed_bars import with_routed

if TYPE_CHECKING:
    from mdstore.candles.ledger.coverage import Interval
    from mdstore.service.router import SmartRouter
    from mdstore.store.store import MarketDataStore

__all__ = ["DerivedBars"]


@dataclass(frozen=True, slots=True)
class _Latest:
    """The latest made bar of a symbol, in `[start, end)` (ms).

    `last` is the last stored bar that it can be made of (ms); `early` whether that was stored before it had
    ended, and not again since; `may_come` whether there may be one behind it that is not stored.
    """

    start: int
    end: int
    closed: bool
    last: int
    early: bool = False
    may_come: bool = True


class DerivedBars:
    """Bars of one store that are made of shorter ones; `read` reads what a request asks of it."""

    def __init__(
        self, store: MarketDataStore, router: SmartRouter | None, meters: Meters, read: Callable[..., Any]
    ) -> None:
        self._store, self._router, self._meters, self._read = store, router, meters, read

    def bars(self, request: CandleRequest, source: Timeframe) -> Any:
        """Return the bars of a request: without `include_forming` those that are over.

        At a time in the past (`as_of`) the forming one is made of what was stored then.
        """
        from mdstore.store.reading import Made

        with_live = request.include_forming and request.as_of is None
        if with_live and self._router is not None:
            found = self._with_routed(request, source, self._router)
        else:
            # One more than are asked for: the latest bar of a symbol may not be over.
            count = request.count and request.count + (not request.include_forming)
            found = self._read(request, source, limit=count, include_forming=with_live)
        made = self._marked(found.frame(), request, source)
        if not request.include_forming:
            made = latest_of_each(made.filter("closed"), request.count)
        elif not with_live:
            made = made.with_columns(partial=pl.lit(value=False))
        return Made(made, found.how)

    def _with_routed(self, request: CandleRequest, source: Timeframe, router: SmartRouter) -> Any:
        """Return bars made of stored ones, those in the store's rings, and those that a router sees form."""
        from mdstore.store.derived_forming_read import made_of_live
        from mdstore.store.derived_read import of_source
        from mdstore.store.reading import Made
        from mdstore.store.requests import request_of

        store, names = self._store, request.symbols
        wanted = request_of(
            list(names) if names is not None and request.is_long else names and names[0],
            request.timeframe, start=opened(request.start), end=opened(request.end), limit=request.count,
        )  # fmt: skip
        parts = of_source(wanted, source, request.tz)
        asked = replace(
            request, timeframe=source, start=parts.start, end=parts.end, count=parts.limit, tz=None
        )
        found = self._read(asked, None, limit=parts.limit, include_forming=True)
        found = with_routed(found, router, asked, self._meters, store._now())
        lasts = store._listing.lasts(str(source))
        made = made_of_live(store._candles, found.frame(), lasts, wanted, source, request.tz)
        return Made(made, f"{request.timeframe} derived from {source}, with what a router sees form")

    # ---- what is over

    def _marked(self, made: pl.DataFrame, request: CandleRequest, source: Timeframe) -> pl.DataFrame:
        """Say in `closed` of the latest bar of each symbol whether it is over; the others are."""
        if made.is_empty():
            return made
        rows = [end - 1 for end in symbol_ends(made)]
        latest = self._latest(made[rows], request, source)
        now = self._store._now() if request.as_of is None else request.as_of
        return made.with_columns(made["closed"].scatter(rows, [_is_over(one, source, now) for one in latest]))

    def _latest(self, tails: pl.DataFrame, request: CandleRequest, source: Timeframe) -> list[_Latest]:
        """Return what is known of the latest bar of each symbol."""
        symbols = (
            tails["symbol"].cast(pl.String).to_list() if request.is_long else list(request.symbols or ())
        )
        starts = tails["timestamp"].to_physical().to_list()
        ends = {start: reach(request.timeframe, start, start + 1, request.tz)[1] for start in set(starts)}
        each = [(start, ends[start], closed) for start, closed in zip(starts, tails["closed"], strict=True)]
        if request.as_of is None:
            return self._as_told(symbols, each, source)
        # Nobody has kept what was said then of bars that are not there.
        found = self._store.candles(symbols, source, limit=1, as_of=ms_to_datetime(request.as_of))
        times = dict(zip(found["symbol"].cast(pl.String), found["timestamp"].to_physical(), strict=True))
        return [_Latest(*bar, times[symbol]) for symbol, bar in zip(symbols, each, strict=True)]

    def _as_told(
        self, symbols: Sequence[str], each: Sequence[tuple[int, int, bool]], source: Timeframe
    ) -> list[_Latest]:
        """Return what the ledger tells of bars: where each starts, ends, and whether it is closed."""
        known = self._store._candles.ledger.known(symbols, str(source))
        rows = zip(symbols, each, known.series, known.unfinished, known.intervals, strict=True)
        latest = []
        for symbol, (start, end, closed), series, early, said in rows:
            last = EARLIEST if series is None else series.last
            tail = max(start, source.next(last)), end
            may_come = not closed and _may_come(
                Grid(source, calendar_of(symbol, known.calendars)), tail, said
            )
            latest.append(_Latest(start, end, closed, last, start <= last < end and last in early, may_come))
        return latest


def _is_over(bar: _Latest, source: Timeframe, now: int) -> bool:
    if bar.early:
        return False
    if bar.closed:
        return bar.end <= now or source.next(bar.last) <= now
    return bar.end <= now and not bar.may_come


def _may_come(grid: Grid, tail: tuple[int, int], said: Sequence[Interval]) -> bool:
    """Tell whether there may be bars in a range that is not stored."""
    from mdstore.candles.ledger.coverage import without

    answered = [(one.start, one.end) for one in said if one.is_answered]
    return any(grid.expected(*part) for part in without(*tail, answered))
