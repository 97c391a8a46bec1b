"""What is known of an answer of candles, worked out of the store when it is looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from mdstore.analysis.resample import reach
from mdstore.core.time_bounds import FOREVER
from mdstore.core.timeframe import Timeframe
from mdstore.errors import NoSuchSeriesError
from mdstore.service.answer import Facts, Step, ranges_frame
from mdstore.service.policies import ServicePolicies
from mdstore.service.requests import CandleRequest, opened
from mdstore.service.wanted import Outcome

if TYPE_CHECKING:
    from mdstore.store.store import MarketDataStore

__all__ = ["BY_NOW", "CandleFacts", "Part"]

BY_NOW = "the store has other bars by now than this answer: ask again"


@dataclass(frozen=True, slots=True)
class Part:
    """The bars of those symbols of a request that come one way, and the tiers that gave them.

    `source` is what they are made of, None for stored ones.
    """

    request: CandleRequest
    source: Timeframe | None
    found: Any
    tiers: tuple[str, ...]

    @property
    def stored(self) -> Timeframe:
        """The timeframe of the stored bars that these are, or are made of."""
        return self.source or self.request.timeframe

    @property
    def frame(self) -> pl.DataFrame:
        """The bars."""
        frame: pl.DataFrame = self.found.frame()
        return frame


class CandleFacts:
    """What one store knows of answers; `read` reads bars once more."""

    def __init__(
        self,
        store: MarketDataStore,
        policies: ServicePolicies,
        why_alone: Mapping[str, str],
        read: Callable[[CandleRequest, Timeframe | None], Any],
        *,
        has_upstream: bool,
    ) -> None:
        self._store, self._policies, self._why_alone, self._read = store, policies, why_alone, read
        self._has_upstream = has_upstream

    def why_stale(self, parts: Sequence[Part], outcome: Outcome) -> Mapping[str, str]:
        """Return by symbol why something may be missing, as it is just now."""
        return self._why_alone or (outcome.troubles and self._nobody_has(parts) | outcome.troubles)

    def of(
        self,
        parts: Sequence[Part],
        outcome: Outcome,
        now: int,
        why_stale: Mapping[str, str],
        steps: tuple[Step, ...],
    ) -> Facts:
        """Return the facts of an answer that was given at `now` (ms)."""
        settled = now - round(self._policies.settle_seconds * 1000)
        tiers = dict.fromkeys(tier for part in parts for tier in part.tiers)
        return Facts(
            (*tiers, *outcome.rows),
            outcome.rows,
            lambda: ranges_frame([*_came(outcome), *(row for part in parts for row in _here(part, outcome))]),
            now,
            why_stale,
            steps,
            made_of=lambda: dict(_made_of(parts)),
            holes=lambda: _under_each_other([self._holes(part) for part in parts]),
            provenance=lambda: _under_each_other([self._origins(part) for part in parts]),
            newest=lambda: max(filter(None, map(_end_of_last, parts)), default=None),
            lacks=lambda: self._other_by_now(parts) or self._lacks(parts, settled),
        )

    def _holes(self, part: Part) -> pl.DataFrame:
        """Return the holes of the stored bars that a part is, or is made of."""
        symbols: Any = part.request.symbols
        if symbols is not None and not part.request.is_long:
            symbols = symbols[0]
        elif symbols is not None and not part.frame.is_empty():
            symbols = _symbols(part)
        start, end = map(opened, part.request.range_stored(part.source))
        return self._store.gaps(symbols, part.stored, start=start, end=end)

    def _origins(self, part: Part) -> pl.DataFrame:
        """Return the provenance of the symbols and the range of a part."""
        origins, frame = self._store.provenance(None, part.stored), part.frame
        if frame.is_empty():
            return origins.clear()
        mine = pl.col("symbol").cast(pl.String).is_in(_symbols(part))
        times = frame["timestamp"].to_physical()
        low, high = times.min(), _end(part.request, int(times.max()))  # type: ignore[arg-type]
        start, end = pl.col("start").dt.epoch("ms"), pl.col("end").dt.epoch("ms")
        return origins.filter(mine & (end > low) & (start < high))

    def _other_by_now(self, parts: Sequence[Part]) -> dict[str, str]:
        """Say so where the store has other bars by now than an answer has."""
        return {"": BY_NOW} if any(map(self._is_other, parts)) else {}

    def _is_other(self, part: Part) -> bool:
        if part.request.include_forming:
            return False
        try:
            return not self._read(part.request, part.source).frame().equals(part.frame)
        except NoSuchSeriesError:
            return not part.frame.is_empty()

    # ---- what is missing

    def _lacks(self, parts: Sequence[Part], settled: int) -> dict[str, str]:
        """Return by symbol how many bars of an answer are missing without a reason."""
        found = self._nobody_has(parts)
        for part in parts:
            found |= self._missing_of(part, settled)
        return found

    def _missing_of(self, part: Part, settled: int) -> dict[str, str]:
        request, stored = part.request, part.stored
        # What an upstream was asked for just now may come yet.
        late = round(self._policies.late_seconds * 1000) if self._has_upstream else 0
        source = None if stored == request.timeframe else stored
        first, last = request.range_stored(source)
        end = min(last, stored.floor(settled - late))
        if source is not None and not request.include_forming:
            # Of the bar that forms nothing is in the answer, so nothing of it is missing.
            end = min(end, max(request.forming(settled), _end_of_last(part) or 0))
        start = first if first > -FOREVER else _first(part.frame, end)
        if request.as_of is not None or start >= end:
            return {}
        known = self._store._candles.stored(str(stored))
        symbols = [symbol for symbol in _symbols(part) or request.symbols or () if symbol in known]
        if not symbols:
            return {}
        missing = self._store.missing(symbols, stored, start=opened(start), end=opened(end))
        counts = (
            _wanted(missing, part)
            .group_by("symbol", maintain_order=True)
            .agg(pl.col("bars").sum(), pl.col("end").max())
        )
        return {
            symbol: f"{bars:,} bars up to {last:%Y-%m-%d %H:%M:%S} are missing, and no source has said why"
            for symbol, bars, last in counts.iter_rows()
        }

    def _nobody_has(self, parts: Sequence[Part]) -> dict[str, str]:
        """Name those of several symbols that an answer has left out."""
        found: dict[str, str] = {}
        for part in parts:
            known = self._store._candles.stored(str(part.stored)) if part.request.is_long else set()
            text = f"no {part.stored} bar is stored, and no source gave one"
            names = part.request.symbols or () if part.request.is_long else ()
            found |= {symbol: text for symbol in names if symbol not in known}
        return found


def _wanted(missing: pl.DataFrame, part: Part) -> pl.DataFrame:
    """Leave out what is missing before the first of so many bars of a symbol as were asked for."""
    missing, count = missing.with_columns(pl.col("symbol").cast(pl.String)), part.request.count
    if count is None:
        return missing
    given = (
        _named(part)
        .group_by(pl.col("symbol").cast(pl.String))
        .agg(first=pl.col("timestamp").min(), given=pl.len())
    )
    is_behind = pl.col("first").is_null() | (pl.col("end") > pl.col("first"))
    is_short = pl.lit(part.request.start > -FOREVER) & (pl.col("given") < count)
    return missing.join(given, on="symbol", how="left", maintain_order="left").filter(is_behind | is_short)


def _named(part: Part) -> pl.DataFrame:
    """Return the bars with their symbol."""
    frame, symbols = part.frame, part.request.symbols
    one = pl.lit(symbols[0] if symbols else "")
    return frame if "symbol" in frame.columns else frame.with_columns(symbol=one)


def _symbols(part: Part) -> list[str]:
    """Return the symbols of which there are bars."""
    frame = part.frame
    if "symbol" in frame.columns:
        return frame["symbol"].unique().cast(pl.String).to_list()
    return list(part.request.symbols or ())


def _made_of(parts: Sequence[Part]) -> Iterator[tuple[str, str]]:
    for part in parts:
        if part.source is not None:
            yield from ((symbol, str(part.source)) for symbol in part.request.symbols or _symbols(part))


def _under_each_other(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    return frames[0] if len(frames) == 1 else pl.concat(frames)


def _end_of_last(part: Part) -> int | None:
    """Return where the last bar ends that has ended; one that is forming has not."""
    frame = part.frame
    ended = frame.filter("closed") if "closed" in frame.columns else frame
    last = ended["timestamp"].to_physical().max()
    return None if last is None else _end(part.request, last)  # type: ignore[arg-type]  # of whole numbers


def _end(request: CandleRequest, start: int) -> int:
    """Return where a bar ends (ms), by the clocks of a zone if it is cut by them."""
    return reach(request.timeframe, start, start + 1, request.tz)[1]


def _came(outcome: Outcome) -> Iterator[tuple[str, int, int, str, int]]:
    """Yield which tier of an upstream gave which range."""
    return ((got.symbol, got.start, got.end, got.tier, got.rows) for got in outcome.parts if got.rows)


def _here(part: Part, outcome: Outcome) -> Iterator[tuple[str, int, int, str, int]]:
    """Yield the ranges of a part that no upstream gave."""
    request = part.request
    for (symbol,), bars in _named(part).group_by(pl.col("symbol").cast(pl.String), maintain_order=True):
        left = bars["timestamp"].to_physical()
        for got in outcome.parts:
            if got.rows and got.symbol == symbol:
                left = left.filter((left < got.start) | (left >= got.end) | left.is_in(got.kept.implode()))
        if len(left):
            yield str(symbol), left[0], _end(request, left[-1]), "+".join(part.tiers), len(left)


def _first(frame: pl.DataFrame, otherwise: int) -> int:
    return otherwise if frame.is_empty() else int(frame["timestamp"].to_physical().min())  # type: ignore[arg-type]
