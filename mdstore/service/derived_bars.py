"""Bars made of shorter ones, as a service gives them: those that are over, and the forming one when asked.

A store says that a made bar is `closed` when the last shorter bar in it is there, or a later one. A service
asks the clock and the ledger as well. A bar is not over while the last bar in it forms; and it is over when
its time is, and nothing more of it can come: else an hour of a quiet market would wait for the next trade.
"""

# What loads SQLite, which nobody waits for who only imports a service.
# ruff: noqa: PLC0415

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    from mdstore.service.router import SmartRouter
    from mdstore.store.store import MarketDataStore

__all__ = ["DerivedBars"]


@dataclass(frozen=True, slots=True)
class _Told:
    """What the ledger tells of the shorter bars of a symbol: `last` is the last that is stored (ms).

    `early` are those that were stored before they had ended, and not again since. Of `answered` ranges it is
    known what there is; in the others there may be bars that the `grid` of its market has.
    """

    last: int
    early: Sequence[int]
    answered: Sequence[tuple[int, int]]
    grid: Grid


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

        # Before the bars: what is stored meanwhile makes a bar more whole than it is said to be, never less.
        now = self._store._now() if request.as_of is None else request.as_of
        told = self._told(request, source)
        with_live = request.include_forming and request.as_of is None
        if with_live and self._router is not None:
            found = self._with_routed(request, source, self._router)
        else:
            # One more than are given: the latest bar of a symbol may not be over.
            more = 0 if request.include_forming else 1
            count = None if request.count is None else request.count + more
            found = self._read(request, source, limit=count, include_forming=with_live)
        made, forming = self._marked(found.frame(), request, source, told, now)
        if not request.include_forming:
            over = ~pl.int_range(len(made), eager=True).is_in(forming.implode())
            made = latest_of_each(made.filter(over), request.count)
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

    def _told(self, request: CandleRequest, source: Timeframe) -> dict[str, _Told]:
        """Return what is told of each symbol; of the past nobody has kept it."""
        if request.as_of is not None:
            return {}
        candles = self._store._candles
        symbols = request.symbols or sorted(candles.stored(str(source)))
        known = candles.ledger.known(symbols, str(source))
        told, grids = {}, dict[str, Grid]()
        for symbol, series, early, said in zip(
            symbols, known.series, known.unfinished, known.intervals, strict=True
        ):
            name = calendar_of(symbol, known.calendars)
            grid = grids.get(name) or grids.setdefault(name, Grid(source, name))
            answered = [(one.start, one.end) for one in said if one.is_answered]
            told[symbol] = _Told(EARLIEST if series is None else series.last, early, answered, grid)
        return told

    def _marked(
        self,
        made: pl.DataFrame,
        request: CandleRequest,
        source: Timeframe,
        told: Mapping[str, _Told],
        now: int,
    ) -> tuple[pl.DataFrame, pl.Series]:
        """Say in `closed` of the latest bar of each symbol whether it is over; return the rows that are not.

        Of the others, which are, it says whether each shorter bar in them had ended when it was stored.
        """
        if made.is_empty():
            return made, pl.Series([], dtype=pl.Int64)
        rows = [end - 1 for end in symbol_ends(made)]
        tails = made[rows]
        names = tails["symbol"].cast(pl.String) if request.is_long else pl.Series(request.symbols)
        starts = tails["timestamp"].to_physical().to_list()
        ends = {start: reach(request.timeframe, start, start + 1, request.tz)[1] for start in set(starts)}
        over, whole = list[bool](), list[bool]()
        for symbol, start, closed in zip(names, starts, tails["closed"], strict=True):
            is_over = _is_over(start, ends[start], told.get(symbol), now, closed=closed)
            if is_over and ends[start] > now:  # after the last session of its market
                is_over = source.next(self._last(symbol, source, request.as_of)) <= now
            over.append(is_over)
            whole.append(is_over and (closed or not _has_early(told.get(symbol), start, ends[start])))
        forming = [row for row, is_over in zip(rows, over, strict=True) if not is_over]
        marked = made.with_columns(made["closed"].scatter(rows, whole))
        return marked, pl.Series(forming, dtype=pl.Int64)

    def _last(self, symbol: str, source: Timeframe, as_of: int | None) -> int:
        """Return the last stored bar of a series (ms); what is live and not stored yet is before that."""
        if as_of is None:
            return self._store._candles.last_bar(symbol, str(source)) or EARLIEST
        times = self._store.candles(symbol, source, limit=1, as_of=ms_to_datetime(as_of))["timestamp"]
        return int(times.to_physical().max() or EARLIEST)  # type: ignore[arg-type]  # of whole numbers


def _is_over(start: int, end: int, told: _Told | None, now: int, *, closed: bool) -> bool:
    """Tell whether a made bar is over by all but the clock, where that has not come to its end."""
    if told is None:
        return closed
    if start <= told.last < end and told.last in told.early:
        return False
    return closed or (end <= now and not _may_come(told, start, end))


def _has_early(told: _Told | None, start: int, end: int) -> bool:
    """Tell whether a shorter bar in `[start, end)` (ms) is stored as it was before it had ended."""
    return told is not None and any(start <= time < end for time in told.early)


def _may_come(told: _Told, start: int, end: int) -> bool:
    """Tell whether there may be more behind the last bar that is stored of `[start, end)` (ms)."""
    from mdstore.candles.ledger.coverage import without

    first = max(start, told.grid.timeframe.next(told.last))
    return any(told.grid.expected(*part) for part in without(first, end, told.answered))
