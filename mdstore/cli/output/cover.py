"""What `mdstore cover` says of a range: why there are no bars in it; or that this is taken back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from rich.console import Console

from mdstore.cli.shared.json_text import json_text
from mdstore.cli.shared.texts import count, is_intraday, moment
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
    """A range of some series, as it was typed; None is an open end. `words` names it in messages."""

    symbols: Sequence[str]
    timeframe: str
    start: str | None
    end: str | None
    words: str

    @classmethod
    def of(
        cls,
        store: MarketDataStore,
        symbols: Sequence[str],
        timeframe: str | None,
        start: str | None,
        end: str | None,
        *,
        new: bool,
    ) -> Span:
        """Return the range that is meant, of all symbols if none is named.

        Raise if it is empty, or if one of its series is not stored.
        """
        bar = (
            timeframe_of(store, symbols, timeframe) if new or not symbols else _bar(store, symbols, timeframe)
        )
        symbols = symbols or refuse_unknown(store, None, bar)["symbol"].to_list()
        named = symbols[0] if len(symbols) == 1 else f"{count(len(symbols), 'symbol')}"
        return cls(symbols, bar, start, end, f"{named} {bar} {_range(bar, start, end)}")

    def facts(self, **said: object) -> object:
        """Return the range, and what was said of it, as values for JSON: of one symbol, or a list of them."""
        bounds = {
            name: None if text is None else (EPOCH + timedelta(milliseconds=to_ms(text, name))).isoformat()
            for name, text in (("start", self.start), ("end", self.end))
        }
        each = [{"symbol": one, "timeframe": self.timeframe, **bounds, **said} for one in self.symbols]
        return each[0] if len(each) == 1 else each


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
    store.cover(span.symbols, span.timeframe, start=span.start, end=span.end, reason=reason, source=source)
    if json:
        print(json_text(span.facts(reason=reason, source=source)))
        return
    why = reason or "asked for, and there is no more; why is unknown"
    by = f" (said by {source})" if source else ""
    out.print(f"{span.words}: {why}{by}", highlight=False, markup=False, soft_wrap=True)


def take_back(store: MarketDataStore, out: Console, span: Span, *, json: bool) -> None:
    """Take back what was said of a range, and say that it is taken back."""
    store.uncover(span.symbols, span.timeframe, start=span.start, end=span.end)
    if json:
        print(json_text(span.facts(taken_back=True)))
        return
    out.print(f"{span.words}: taken back", highlight=False, markup=False, soft_wrap=True)


def _bar(store: MarketDataStore, symbols: Sequence[str], timeframe: str | None) -> str:
    """Return the timeframe that is meant. Raise if one of the series is not stored: it may be mistyped."""
    try:
        stored = {symbol: refuse_unknown(store, symbol, None)["timeframe"].to_list() for symbol in symbols}
    except NoSuchSeriesError as error:
        raise NoSuchSeriesError(error.message, hint=NEW) from None
    bar = timeframe_of(store, symbols, timeframe)
    for symbol, there in stored.items():
        if bar not in there:
            raise NoSuchSeriesError(
                f"no candles of {symbol} {bar} in {store.path.name}; stored are {', '.join(there)}", hint=NEW
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
