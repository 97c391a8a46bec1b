"""Which series are meant: the timeframe that was left out, the name that was mistyped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from mdstore.core.did_you_mean import did_you_mean, names_that_fit
from mdstore.core.symbols import symbol_parts
from mdstore.core.timeframe import Timeframe, meant
from mdstore.errors import InvalidInputError, NoSuchSeriesError, TimeframeError

if TYPE_CHECKING:
    from mdstore.store.store import MarketDataStore

__all__ = [
    "names_and_timeframes",
    "refuse_nothing",
    "refuse_unknown",
    "target_of",
    "timeframe_of",
    "with_timeframe",
]


def timeframe_of(store: MarketDataStore, symbols: Sequence[str], timeframe: str | None) -> str:
    """Return the timeframe that is meant: the given one, or else the only one that the symbols have.

    No symbols are all symbols. Raise if there are several timeframes, or none.
    """
    if timeframe is not None:
        return str(Timeframe.parse(timeframe))
    series = store.series()
    there = series.filter(pl.col("symbol").is_in(list(symbols))) if symbols else series
    stored = there["timeframe"].unique(maintain_order=True).to_list()
    if not stored:
        raise _nothing(store, symbols, series["symbol"].unique().to_list())
    if len(stored) > 1:
        of = f" of {', '.join(symbols)}" if symbols else ""
        raise InvalidInputError(f"several timeframes{of} are stored: {', '.join(stored)}", hint="say which")
    return str(stored[0])


def refuse_nothing(store: MarketDataStore, symbols: Sequence[str]) -> None:
    """Raise where nothing is stored of one of some symbols; none are all."""
    known = store.series()["symbol"].cast(pl.String).unique().to_list()
    missing = [symbol for symbol in symbols if symbol not in known]
    if missing or not known:
        raise _nothing(store, missing, known)


def target_of(
    store: MarketDataStore, symbols: Sequence[str], timeframe: str | None, source: str | None
) -> str:
    """Return the timeframe that is meant. Bars that are put together from `source` have one that is given."""
    if not source:
        return timeframe_of(store, symbols, timeframe)
    if timeframe is None:
        raise InvalidInputError(
            f"--from {source} makes bars of another timeframe", hint="say which, such as 1h"
        )
    return timeframe


def with_timeframe(
    store: MarketDataStore, symbols: Sequence[str] | None, timeframe: str | None
) -> tuple[list[str], str | None]:
    """Return symbols and timeframe. The timeframe may be the last of the symbols, if none has its name."""
    given = list(symbols or ())
    if not given or timeframe is not None or not _is_timeframe(given[-1]):
        return given, timeframe
    if given[-1] in store.series()["symbol"].cast(pl.String):
        return given, None
    return given[:-1], given[-1]


def _is_timeframe(text: str) -> bool:
    try:
        Timeframe.parse(text)
    except TimeframeError:
        return False
    return True


def refuse_unknown(store: MarketDataStore, symbol: str | None, timeframe: str | None) -> pl.DataFrame:
    """Return the stored series of a symbol and a timeframe; None is any. Raise if there is none."""
    listed = store.series()
    series = listed if symbol is None else listed.filter(pl.col("symbol") == symbol)
    if timeframe is not None:
        series = series.filter(pl.col("timeframe") == str(Timeframe.parse(timeframe)))
    if series.is_empty():
        named = " ".join(word or "''" for word in (symbol, timeframe) if word is not None)
        raise _nothing(store, [named], listed["symbol"].unique().to_list())
    return series


def _nothing(store: MarketDataStore, symbols: Sequence[str], known: list[str]) -> NoSuchSeriesError:
    """Return the error for symbols of which nothing is stored; its message has the nearest name."""
    if not known:
        return NoSuchSeriesError(f"{store.path.name} holds no candles", hint="mdstore import FILES")
    hints = (names_that_fit(one, known) or did_you_mean(one, known, alike=symbol_parts) for one in symbols)
    near = next(filter(None, hints), "")
    more = f". {near[0].upper()}{near[1:]}" if near else "; `mdstore series` lists what is stored"
    named = ", ".join(one or "''" for one in symbols)
    return NoSuchSeriesError(f"no candles of {named} in {store.path.name}{more}")


def names_and_timeframes(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the symbols and the timeframes among what was typed; these come last.

    >>> names_and_timeframes(["KRW-BTC", "KRW-ETH", "1m", "60min"])
    (['KRW-BTC', 'KRW-ETH'], ['1m', '1h'])
    """
    at = len(words)
    while at and meant(words[at - 1]) is not None:
        at -= 1
    return list(words[:at]), [meant(word) or word for word in words[at:]]
