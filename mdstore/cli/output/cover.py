"""What `mdstore cover` says of a range: why there are no bars in it; or that this is taken back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl
from rich.console import Console

from mdstore.cli.shared.json_text import json_text
from mdstore.cli.shared.texts import is_intraday, moment
from mdstore.cli.shared.which_series import refuse_unknown, timeframe_of
from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import to_ms
from mdstore.errors import InvalidInputError, NoSuchSeriesError

if TYPE_CHECKING:
    from mdstore.core.hole_reasons import Stated
    from mdstore.store.store import MarketDataStore

__all__ = ["Span", "say", "take_back"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NEW = "--new says it of what is not stored yet"


@dataclass(frozen=True, slots=True)
class Span:
    """A range of one series, as it was typed; None is an open end. `words` names it in messages."""

    symbol: str
    timeframe: str
    start: str | None
    end: str | None
    words: str

    @classmethod
    def of(
        cls,
        store: MarketDataStore,
        symbol: str,
        timeframe: str | None,
        start: str | None,
        end: str | None,
        *,
        new: bool,
    ) -> Span:
        """Return the range that is meant. Raise if it is empty, or if its series is not stored."""
        bar = _bar(store, symbol, timeframe, new=new)
        return cls(symbol, bar, start, end, f"{symbol} {bar} {_range(bar, start, end)}")

    def facts(self) -> dict[str, str | None]:
        """Return the range as values for JSON."""
        bounds = {
            name: None if text is None else (EPOCH + timedelta(milliseconds=to_ms(text, name))).isoformat()
            for name, text in (("start", self.start), ("end", self.end))
        }
        return {"symbol": self.symbol, "timeframe": self.timeframe, **bounds}


def say(
    store: MarketDataStore,
    out: Console,
    span: Span,
    reason: Stated | None,
    source: str | None,
    *,
    json: bool,
) -> None:
    """State why there are no bars in a range, and print what was said."""
    store.cover(span.symbol, span.timeframe, start=span.start, end=span.end, reason=reason, source=source)
    if json:
        print(json_text({**span.facts(), "reason": reason, "source": source}))
        return
    why = reason or "asked for, and there is no more; why is unknown"
    by = f" (said by {source})" if source else ""
    out.print(f"{span.words}: {why}{by}", highlight=False, markup=False, soft_wrap=True)


def take_back(store: MarketDataStore, out: Console, span: Span, *, json: bool) -> None:
    """Take back what was said of a range, and say that it is taken back."""
    store.uncover(span.symbol, span.timeframe, start=span.start, end=span.end)
    if json:
        print(json_text({**span.facts(), "taken_back": True}))
        return
    out.print(f"{span.words}: taken back", highlight=False, markup=False, soft_wrap=True)


def _bar(store: MarketDataStore, symbol: str, timeframe: str | None, *, new: bool) -> str:
    """Return the timeframe that is meant. Raise if the series is not stored, for it may be mistyped."""
    if new:
        return timeframe_of(store, [symbol], timeframe)
    try:
        stored = refuse_unknown(store, symbol, None)
    except NoSuchSeriesError as error:
        raise NoSuchSeriesError(error.message, hint=NEW) from None
    bar = timeframe_of(store, [symbol], timeframe)
    if stored.filter(pl.col("timeframe") == bar).is_empty():
        there = ", ".join(stored["timeframe"])
        raise NoSuchSeriesError(
            f"no candles of {symbol} {bar} in {store.path.name}; stored are {there}", hint=NEW
        )
    return bar


def _range(bar: str, start: str | None, end: str | None) -> str:
    """Write a range in words; raise where it is empty."""
    low = None if start is None else to_ms(start, "start")
    high = None if end is None else to_ms(end, "end")
    if low is not None and high is not None and low >= high:
        raise InvalidInputError(f"the range from {start} to {end} is empty: its end is not after its start")
    intraday = is_intraday(str(Timeframe.parse(bar)))
    words = [
        f"{word} {moment(EPOCH + timedelta(milliseconds=at), intraday=intraday)}"
        for word, at in (("from", low), ("up to", high))
        if at is not None
    ]
    return " ".join(words)
