"""Answers that take long are kept: by what was asked, and the state of all that they are made of."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import polars as pl

from mdstore.analysis.screen import Question, Screen
from mdstore.cache.data_cache import DataCache, Key
from mdstore.core.arguments import symbol_list
from mdstore.core.timeframe import Timeframe

if TYPE_CHECKING:
    from mdstore.store.store import MarketDataStore

__all__ = ["Results", "is_lasting"]

# What a query must not say for its answer to last: the time, chance, and what is live. Too much is named
# rather than too little: an answer that is not kept is only slower.
FLEETING = re.compile(
    r"\b(\w*(current|now|local|random|uuid|sample)\w*|today|transaction_timestamp|age|ago|error|"
    r"tickers|orderbooks|trades|explain|show)\b",
    re.IGNORECASE,
)


class Results:
    """Answers of one store in a cache; each comes with whether it was kept from before."""

    def __init__(self, store: MarketDataStore, cache: DataCache) -> None:
        self._store, self._cache = store, cache

    def sql(self, query: str, params: Any, timeout: float | None) -> tuple[pl.DataFrame, bool]:
        """Return what `store.sql` gives."""

        def ask() -> pl.DataFrame:
            return self._store.sql(query, params=params, timeout=timeout)

        if not isinstance(query, str) or not is_lasting(query):
            return ask(), False
        return self._kept("sql", None, None, (query, _plain(params)), ask)

    def resample(
        self,
        symbols: str | Sequence[str] | None,
        timeframe: str | Timeframe,
        *,
        source: str | Timeframe,
        **asked: Any,
    ) -> tuple[pl.DataFrame, bool]:
        """Return what `store.resample` gives."""

        def ask() -> pl.DataFrame:
            return self._store.resample(symbols, timeframe, source=source, **asked)

        detail = (isinstance(symbols, str), str(Timeframe.parse(timeframe)), _plain(asked))
        return self._kept("resample", symbols, source, detail, ask)

    def screen(self, timeframe: str | Timeframe, what: Question, **asked: Any) -> tuple[Screen, bool]:
        """Return what `store.screen` gives; a screen by a function is not kept, nobody knows what it does."""
        answers: list[Screen] = []

        def ask(part: str) -> Callable[[], pl.DataFrame]:
            def one() -> pl.DataFrame:
                if not answers:
                    answers.append(self._store.screen(timeframe, what, **asked))
                return getattr(answers[0], part)  # type: ignore[no-any-return]

            return one

        question = _question(what)
        if question is None:
            return self._store.screen(timeframe, what, **asked), False
        source = asked.get("derive_from") or timeframe
        detail = (str(Timeframe.parse(timeframe)), question, _plain(asked))
        (rows, was_kept), (failed, _) = (
            self._kept("screen", asked.get("symbols"), source, (part, *detail), ask(part))
            for part in ("rows", "failed")
        )
        return Screen(rows, failed), was_kept

    def _kept(
        self,
        kind: str,
        symbols: str | Sequence[str] | None,
        timeframe: str | Timeframe | None,
        detail: tuple[object, ...],
        ask: Callable[[], pl.DataFrame],
    ) -> tuple[pl.DataFrame, bool]:
        """Return an answer of the state that the store is in: read before, so that it is never too new."""
        bar = None if timeframe is None else str(Timeframe.parse(timeframe))
        wanted = symbol_list(symbols)
        if None in detail:
            return ask(), False
        state = self._store._candles.state(wanted, bar)
        key = Key(kind, wanted, bar, detail=(str(self._store.path), *detail), revision=state)
        found = self._cache.get(key)
        if found is not None:
            assert isinstance(found, pl.DataFrame)  # noqa: S101 - as it was put; for mypy
            return found, True
        answer = ask()
        self._cache.put(key, answer)
        return answer, False


def is_lasting(query: str) -> bool:
    """Tell whether a query gives the same for as long as the file is the same.

    >>> is_lasting("SELECT max(high) FROM candles"), is_lasting("SELECT now()")
    (True, False)
    """
    return FLEETING.search(query) is None


def _question(what: Question) -> str | None:
    """Return a text that only this question has; None for a function."""
    if isinstance(what, pl.Expr):
        try:
            return what.meta.serialize(format="json")
        except pl.exceptions.PolarsError:  # a Python function in it
            return None
    if isinstance(what, str):
        return json.dumps(what)
    if isinstance(what, Mapping):
        parts = [(str(name), _question(one)) for name, one in what.items()]
        return None if any(text is None for _, text in parts) else json.dumps(["dict", parts])
    if callable(what) or not isinstance(what, Sequence):
        return None
    texts = [_question(one) for one in what]
    return None if None in texts else json.dumps(["list", texts])


def _plain(values: Any) -> str | None:
    """Return a text of plain arguments; None where there is one of which no text tells all."""
    try:
        return json.dumps(values, default=_text_of, sort_keys=True)
    except (TypeError, ValueError):
        return None


def _text_of(value: object) -> dict[str, str]:
    """Return what JSON has not as what no text of a user's is."""
    if isinstance(value, date):
        return {type(value).__name__: value.isoformat()}
    if isinstance(value, Timeframe):
        return {"timeframe": str(value)}
    raise TypeError
