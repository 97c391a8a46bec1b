"""What the store has now, as an answer: stored bars, or bars made of shorter ones."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from mdstore.analysis.resample import reach
from mdstore.core.time_bounds import FOREVER
from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import ms_to_datetime
from mdstore.errors import Hint, InvalidInputError, NoSuchSeriesError
from mdstore.service.answer import Facts, MarketAnswer, Step, ranges_frame
from mdstore.service.meters import Meters
from mdstore.service.policies import ServicePolicies
from mdstore.service.requests import CandleRequest
from mdstore.service.routed_bars import with_routed
from mdstore.service.usage import Usage
from mdstore.service.wanted import Outcome

if TYPE_CHECKING:
    from mdstore.service.router import SmartRouter
    from mdstore.store.store import MarketDataStore

__all__ = ["OFFLINE", "LocalReads", "opened"]

OFFLINE = "offline: nothing was asked of an upstream"
ONLY_READ = "the store is only read: what is missing cannot be stored, and was not asked for"
BY_NOW = "the store has other bars by now than this answer: ask again"
NOTHING = Outcome()


class LocalReads:
    """Reads of one store; `usage` counts them by series."""

    def __init__(
        self,
        store: MarketDataStore,
        policies: ServicePolicies,
        meters: Meters,
        *,
        router: SmartRouter | None,
        has_upstream: bool,
    ) -> None:
        self._router = router
        self._store, self._policies, self._meters = store, policies, meters
        self._has_upstream = has_upstream
        self.why_alone: Mapping[str, str] = {}
        """Why no upstream is asked though there is one; what is only read takes in nothing."""
        if has_upstream and (policies.offline or store.read_only):
            self.why_alone = {"": OFFLINE if policies.offline else ONLY_READ}
        self.usage = Usage(store)

    def read(
        self, request: CandleRequest, source: Timeframe | None, outcome: Outcome = NOTHING, *, explain: bool
    ) -> MarketAnswer:
        """Read bars, made of `source` if it is not None; `outcome` is what an upstream gave before.

        Raises `NoSuchSeriesError`, which says why an upstream gave nothing.
        """
        clock = time.perf_counter()
        try:
            found = self._read(request, source)
        except NoSuchSeriesError as error:
            raise self._no_series(error, request, outcome) from error
        if request.include_forming and source is None and self._router is not None and not self.why_alone:
            found = with_routed(found, self._router, request, self._meters, self._store._now())
        taken = (time.perf_counter() - clock) * 1e6
        tiers = getattr(found, "tiers", None) or ("made",)
        self._meters.add(tiers[0], taken, rows=found.rows)
        self.usage.note(request.symbols or (), str(request.timeframe))
        steps = (Step(" + ".join(tiers), f"{found.rows:,} rows", taken),) if explain else ()
        return MarketAnswer(
            found.table, found.frame, self._facts(request, source, found, tiers, outcome, steps)
        )

    def source(self, request: CandleRequest) -> Timeframe | None:
        """Return what bars are to be made of; None for stored ones, and where nothing fits."""
        if isinstance(request.derive, Timeframe):
            return request.derive
        if request.derive is True or (request.tz is not None and request.derive is None):
            return self._longest_part(request)
        if (
            request.derive is None
            and self._policies.derive
            and not self._is_stored(request, request.timeframe)
        ):
            return self._longest_part(request)
        return None

    def is_plain(self, request: CandleRequest) -> bool:
        """Tell whether stored bars are meant, if there are any."""
        return request.tz is None and (request.derive is None or request.derive is False)

    def _read(self, request: CandleRequest, source: Timeframe | None) -> Any:
        if request.tz is not None and source is None:
            raise InvalidInputError(
                f"tz={request.tz!r} is for bars that are made of shorter ones, and none are stored that make "
                f"{request.timeframe}",
                hint=Hint("name those to fetch and to make them of, as derive='1m'", "import shorter ones"),
            )
        return self._store._read(
            self._symbols(request, source),
            request.timeframe,
            start=opened(request.start),
            end=opened(request.end),
            limit=request.count,
            columns=None,
            derive_from=source,
            tz=request.tz,
            fill=None,
            as_of=None if request.as_of is None else ms_to_datetime(request.as_of),
            include_forming=request.include_forming and source is None,
        )

    def _symbols(self, request: CandleRequest, source: Timeframe | None) -> Any:
        """Return the symbols to read: of several, those of which nobody has a bar are left out."""
        if request.symbols is None:
            return None
        if not request.is_long:
            return request.symbols[0]
        if not self._has_upstream:
            return list(request.symbols)
        stored = self._store._candles.stored(str(source or request.timeframe))
        return [symbol for symbol in request.symbols if symbol in stored] or list(request.symbols)

    def _no_series(
        self, error: NoSuchSeriesError, request: CandleRequest, outcome: Outcome
    ) -> NoSuchSeriesError:
        """Return the error with what an upstream said, and a hint in the words of a service."""
        hint, part = error.hint, error.made_of
        if part is not None:
            made = f"{request.timeframe} can be made of {part}"
            hint = Hint(f"{made}, with derive='{part}'", f"{made}, with --from {part}")
            if not request.timeframe.holds(Timeframe.parse(part)):
                hint = None
            elif not self._store._candles.stored(part) >= set(request.symbols or ()):
                hint = Hint(f"{made} in a call for this symbol alone", f"{made}, for this symbol alone")
        message = "; ".join((error.message, *outcome.troubles.values()))
        return NoSuchSeriesError(message, hint=hint, made_of=part)

    def _is_stored(self, request: CandleRequest, timeframe: Timeframe) -> bool:
        stored = self._store._candles.stored(str(timeframe))
        return bool(stored) if request.symbols is None else any(one in stored for one in request.symbols)

    def _longest_part(self, request: CandleRequest) -> Timeframe | None:
        """Return the longest stored timeframe of which the bars that are asked for can be made."""
        listed = self._store.series()
        if request.symbols is not None:
            listed = listed.filter(pl.col("symbol").cast(pl.String).is_in(list(request.symbols)))
        names = [Timeframe.parse(name) for name in listed["timeframe"].unique() if Timeframe.is_name(name)]
        parts = [name for name in names if name != request.timeframe and request.timeframe.holds(name)]
        return max(parts, key=lambda name: name.longest_ms, default=None)

    def _other_by_now(self, request: CandleRequest, source: Timeframe | None, found: Any) -> dict[str, str]:
        """Say so where the store has other bars by now than an answer has."""
        if request.include_forming:
            return {}
        try:
            is_same = self._read(request, source).frame().equals(found.frame())
        except NoSuchSeriesError:
            is_same = found.frame().is_empty()
        return {} if is_same else {"": BY_NOW}

    def _lacks(
        self, request: CandleRequest, stored: Timeframe, frame: pl.DataFrame, settled: int
    ) -> dict[str, str]:
        """Return by symbol how many bars of an answer are missing without a reason."""
        # What an upstream was asked for just now may come yet.
        late = round(self._policies.late_seconds * 1000) if self._has_upstream else 0
        first, last = request.range_stored(None if stored == request.timeframe else stored)
        end = min(last, stored.floor(settled - late))
        start = first if first > -FOREVER else _first(frame, end)
        nobody = self._nobody_has(request, stored)
        if request.as_of is not None or start >= end or not self._is_stored(request, stored):
            return nobody
        symbols = frame["symbol"].unique().cast(pl.String).to_list() if "symbol" in frame.columns else None
        missing = self._store.missing(
            symbols or list(request.symbols or ()), stored, start=opened(start), end=opened(end)
        )
        counts = missing.group_by(pl.col("symbol").cast(pl.String), maintain_order=True).agg(
            pl.col("bars").sum(), pl.col("end").max()
        )
        return nobody | {
            symbol: f"{bars:,} bars up to {last:%Y-%m-%d %H:%M:%S} are missing, and no source has said why"
            for symbol, bars, last in counts.iter_rows()
        }

    def _nobody_has(self, request: CandleRequest, stored: Timeframe) -> dict[str, str]:
        """Name those of several symbols that an answer has left out."""
        known = self._store._candles.stored(str(stored))
        text = f"no {stored} bar is stored, and no source gave one"
        return {symbol: text for symbol in request.symbols or () if request.is_long and symbol not in known}

    def _facts(  # noqa: PLR0917 - what an answer came of
        self,
        request: CandleRequest,
        source: Timeframe | None,
        found: Any,
        tiers: tuple[str, ...],
        outcome: Outcome,
        steps: tuple[Step, ...],
    ) -> Facts:
        store, stored, now = self._store, source or request.timeframe, self._store._now()
        settled = now - round(self._policies.settle_seconds * 1000)
        symbols: Any = request.symbols if request.is_long or request.symbols is None else request.symbols[0]
        return Facts(
            (*tiers, *outcome.rows),
            outcome.rows,
            lambda: _ranges(request, found.frame(), "+".join(tiers), outcome),
            now,
            self.why_alone or (outcome.troubles and self._nobody_has(request, stored) | outcome.troubles),
            steps,
            holes=lambda: _holes(store, _known(symbols, found.frame()), stored, request.range_stored(source)),
            provenance=lambda: _within(store.provenance(None, stored), request, found.frame()),
            newest=lambda: _end_of_last(found.frame(), request),
            lacks=lambda: (
                self._other_by_now(request, source, found)
                or self._lacks(request, stored, found.frame(), settled)
            ),
        )


def opened(moment: int) -> datetime | None:
    """Return a moment (ms) as the store takes it for sure, None for one that is not bounded.

    Not as a number: one of the years about 1970 would be taken for seconds.
    """
    return None if abs(moment) >= FOREVER else ms_to_datetime(moment)


def _holes(store: MarketDataStore, symbols: Any, stored: Timeframe, within: tuple[int, int]) -> pl.DataFrame:
    """Return the holes of the stored bars that an answer is, or is made of."""
    start, end = map(opened, within)
    return store.gaps(symbols, stored, start=start, end=end)


def _known(symbols: Any, frame: pl.DataFrame) -> Any:
    """Return the symbols of which there is something, of several."""
    if isinstance(symbols, tuple) and "symbol" in frame.columns and not frame.is_empty():
        return frame["symbol"].unique().cast(pl.String).to_list()
    return symbols


def _end_of_last(frame: pl.DataFrame, request: CandleRequest) -> int | None:
    """Return where the last bar ends that has ended; one that is forming has not."""
    ended = frame.filter("closed") if "closed" in frame.columns else frame
    last = ended["timestamp"].to_physical().max()
    return None if last is None else _end(request, last)  # type: ignore[arg-type]  # of whole numbers


def _end(request: CandleRequest, start: int) -> int:
    """Return where a bar ends (ms), by the clocks of a zone if it is cut by them."""
    return reach(request.timeframe, start, start + 1, request.tz)[1]


def _ranges(request: CandleRequest, frame: pl.DataFrame, here: str, outcome: Outcome) -> pl.DataFrame:
    """Return which tier gave which range; what no upstream gave was here."""
    came = [got for got in outcome.parts if got.rows]
    rows = [(got.symbol, got.start, got.end, got.tier, got.rows) for got in came]
    one = pl.lit(request.symbols[0] if request.symbols else "")
    named = frame if "symbol" in frame.columns else frame.with_columns(symbol=one)
    for (symbol,), bars in named.group_by(pl.col("symbol").cast(pl.String), maintain_order=True):
        times = bars["timestamp"].to_physical()
        left = times
        for got in came:
            if got.symbol == symbol:
                left = left.filter((left < got.start) | (left >= got.end) | left.is_in(got.kept.implode()))
        if len(left):
            rows.append((str(symbol), left[0], _end(request, left[-1]), here, len(left)))
    return ranges_frame(rows)


def _first(frame: pl.DataFrame, otherwise: int) -> int:
    return otherwise if frame.is_empty() else int(frame["timestamp"].to_physical().min())  # type: ignore[arg-type]


def _within(origins: pl.DataFrame, request: CandleRequest, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the provenance of the symbols and the range of an answer."""
    if frame.is_empty():
        return origins.clear()
    named = "symbol" in frame.columns
    symbols = frame["symbol"].unique().cast(pl.String) if named else pl.Series(list(request.symbols or ()))
    mine = pl.col("symbol").cast(pl.String).is_in(symbols.implode())
    times = frame["timestamp"].to_physical()
    low, high = times.min(), _end(request, int(times.max()))  # type: ignore[arg-type]
    start, end = pl.col("start").dt.epoch("ms"), pl.col("end").dt.epoch("ms")
    return origins.filter(mine & (end > low) & (start < high))
