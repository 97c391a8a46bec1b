"""What the store has now, as an answer: stored bars, and bars made of shorter ones."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import polars as pl

from mdstore.core.long_table import latest_of_each
from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import ms_to_datetime
from mdstore.errors import Hint, InvalidInputError, NoSuchSeriesError
from mdstore.service.answer import MarketAnswer, Step
from mdstore.service.derived_bars import DerivedBars
from mdstore.service.facts import CandleFacts, Part
from mdstore.service.meters import Meters
from mdstore.service.policies import ServicePolicies
from mdstore.service.requests import CandleRequest, opened
from mdstore.service.roads import Road, roads_of
from mdstore.service.routed_bars import with_routed
from mdstore.service.usage import Usage
from mdstore.service.wanted import Outcome

if TYPE_CHECKING:
    from mdstore.candles.reads.explanation import Reader
    from mdstore.service.router import SmartRouter
    from mdstore.store.store import MarketDataStore

__all__ = ["OFFLINE", "LocalReads"]

OFFLINE = "offline: nothing was asked of an upstream"
ONLY_READ = "the store is only read: what is missing cannot be stored, and was not asked for"
DISK = ("packs", "sqlite", "scanner")
"""The tiers that are read where memory has not what is asked for."""
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
        self._store, self._policies, self._meters = store, policies, meters
        self._has_upstream = has_upstream
        self.why_alone: Mapping[str, str] = {}
        """Why no upstream is asked though there is one; what is only read takes in nothing."""
        if has_upstream and (policies.offline or store.read_only):
            self.why_alone = {"": OFFLINE if policies.offline else ONLY_READ}
        self._router = None if self.why_alone else router
        self._derived = DerivedBars(store, self._router, meters, self._of_store)
        self._facts = CandleFacts(store, policies, self.why_alone, self.bars, has_upstream=has_upstream)
        self.usage = Usage(store)

    def read(
        self, request: CandleRequest, roads: Sequence[Road], outcome: Outcome = NOTHING, *, explain: bool
    ) -> MarketAnswer:
        """Read the bars of each symbol by its road; `outcome` is what an upstream gave before.

        Raises `NoSuchSeriesError`, which says why an upstream gave nothing.
        """
        parts: list[Part] = []
        steps: list[Step] = []
        for road in roads:
            clock = time.perf_counter()
            try:
                part = self._part(road.of(request), road.source)
            except NoSuchSeriesError as error:
                # With an upstream, those of which nobody has a bar are left out, but not all.
                if self._has_upstream and (parts or road is not roads[-1]):
                    continue
                raise self._no_series(error, request, outcome) from error
            taken, size = (time.perf_counter() - clock) * 1e6, (part.found.rows, part.found.nbytes)
            if part.tiers[0] in DISK:
                self._meters.missed("memory")
            self._meters.add(part.tiers[0], taken, rows=size[0], size=size[1])
            parts.append(part)
            if explain:
                steps += _steps(part, taken)
        self.usage.note(request.symbols or (), str(request.timeframe))
        whole, now = parts[0].found, self._store._now()
        if len(parts) > 1:
            whole = _joined(parts, request, now if request.as_of is None else request.as_of)
            size = whole.rows, whole.nbytes
        facts = parts, outcome, now, self._facts.why_stale(parts, outcome), tuple(steps)
        return MarketAnswer(whole.table, whole.frame, partial(self._facts.of, *facts), size)

    def roads(self, request: CandleRequest) -> tuple[Road, ...]:
        """Return which way the bars of each symbol come just now."""
        return roads_of(self._store, request, derives=self._policies.derive)

    def bars(self, request: CandleRequest, source: Timeframe | None) -> Any:
        """Return the bars of a request that the store has, made of those of `source` if it is not None."""
        if source is not None:
            return self._derived.bars(request, source)
        if request.tz is not None:
            raise InvalidInputError(
                f"tz={request.tz!r} is for bars that are made of shorter ones, and none are stored that make "
                f"{request.timeframe}",
                hint=Hint("name those to fetch and to make them of, as derive='1m'", "import shorter ones"),
            )
        return self._of_store(request, None, limit=request.count, include_forming=request.include_forming)

    def _part(self, request: CandleRequest, source: Timeframe | None) -> Part:
        if request.include_forming and source is None and request.tz is None:
            return self._with_forming(request)
        found = self.bars(request, source)
        return Part(request, source, found, getattr(found, "tiers", None) or ("made",))

    def _with_forming(self, request: CandleRequest) -> Part:
        """Return stored bars with those that form, by the tiers that gave them."""
        from mdstore.candles.reads.explanation import Traced  # noqa: PLC0415 - as in `_joined`

        read = Traced(self._store._candles)
        found = self._of_store(request, None, limit=request.count, include_forming=True, reader=read)
        tiers = (*(read.tiers if found.rows > found.live else ()), *(("live",) if found.live else ()))
        tiers = tiers or read.tiers or ("live",)  # of no bars
        if self._router is not None:
            routed = with_routed(found, self._router, request, self._meters, self._store._now())
            found, tiers = routed, tiers if routed is found else (*tiers, "router")
        return Part(request, None, found, tiers)

    def _of_store(self, request: CandleRequest, source: Timeframe | None, **asked: Any) -> Any:
        """Read the store: of several symbols, those of which nobody has a bar are left out."""
        try:
            return self._of_symbols(request.symbols, request, source, **asked)
        except NoSuchSeriesError:
            there = self._there(request, source) if self._has_upstream and request.is_long else []
            if not there:
                raise
        return self._of_symbols(tuple(there), request, source, **asked)

    def _of_symbols(
        self,
        symbols: tuple[str, ...] | None,
        request: CandleRequest,
        source: Timeframe | None,
        *,
        limit: int | None,
        include_forming: bool,
        reader: Reader | None = None,
    ) -> Any:
        if source is None and request.tz is None and not include_forming:
            window = request.start, request.end, limit, request.as_of
            return self._store._reading.stored(symbols, request.timeframe, *window, is_long=request.is_long)
        return self._store._reading.read(
            reader or self._store._candles,
            symbols if symbols is None or request.is_long else symbols[0],
            request.timeframe,
            start=opened(request.start),
            end=opened(request.end),
            limit=limit,
            columns=None,
            derive_from=source,
            tz=request.tz,
            fill=None,
            as_of=None if request.as_of is None else ms_to_datetime(request.as_of),
            include_forming=include_forming,
        )

    def _there(self, request: CandleRequest, source: Timeframe | None) -> list[str]:
        """Return the symbols of which bars are stored, or live where these are asked for."""
        bar = str(source or request.timeframe)
        stored, live = self._store._candles.stored(bar), self._store.live
        return [
            symbol
            for symbol in request.symbols or ()
            if symbol in stored or (request.include_forming and live.known(symbol, bar))
        ]

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
                hint = Hint(f"{made}, with derive=True", f"{made}, for this symbol alone")
        message = "; ".join((error.message, *outcome.troubles.values(), *self.why_alone.values()))
        return NoSuchSeriesError(message, hint=hint, made_of=part)


def _steps(part: Part, taken: float) -> Iterator[Step]:
    """Yield which tiers were asked for a part, and what they had."""
    if part.tiers[0] in DISK:
        yield Step("memory", "0 rows", 0.0)
    yield Step(" + ".join(part.tiers), f"{part.found.rows:,} rows", taken)


def _joined(parts: Sequence[Part], request: CandleRequest, now: int) -> Any:
    """Return the bars of all parts, by symbol."""
    from mdstore.store.reading import Made  # noqa: PLC0415 - with all of candles, which nobody waits for else

    frames = [part.frame for part in parts]
    made = next((frame.columns for frame in frames if "bars" in frame.columns), None)
    if made is not None:
        over = pl.col("timestamp").dt.epoch("ms") < request.forming(now)
        frames = [_as_made(frame, over).select(made) for frame in frames]
    both = pl.concat(frames).sort(pl.col("symbol").cast(pl.String), "timestamp")
    return Made(latest_of_each(both, request.count), "each symbol by itself")


def _as_made(frame: pl.DataFrame, over: pl.Expr) -> pl.DataFrame:
    """Return stored bars as made ones, each of itself; of live ones it is said which are over."""
    if "bars" in frame.columns:
        return frame
    one = pl.lit(1, pl.Int64)
    marked = frame if "closed" in frame.columns else frame.with_columns(closed=over)
    return marked.with_columns(bars=one, of=one)
