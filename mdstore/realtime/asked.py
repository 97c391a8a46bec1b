"""What live candles are asked to build."""

from __future__ import annotations

from collections.abc import Sequence

from mdstore.core.timeframe import Timeframe
from mdstore.errors import InvalidInputError

__all__ = ["Asked", "timeframe_list"]

Terms = tuple[bool, bool]
"""Whether to store bars, and whether to believe that the first is whole."""


class Asked:
    """What `build` was asked for, by timeframe and symbol (None: all)."""

    def __init__(self) -> None:
        self._terms: dict[Timeframe, dict[str | None, Terms]] = {}

    def add(self, timeframes: list[Timeframe], symbols: tuple[str, ...] | None, asked: Terms) -> None:
        """Ask for timeframes of symbols (None: of all)."""
        persist, from_start = asked
        for timeframe in timeframes:
            terms = self._terms.setdefault(timeframe, {})
            for symbol in symbols or (None,):
                terms[symbol] = (persist or terms.get(symbol, (False, False))[0], from_start)

    def timeframes(self, symbol: str) -> list[Timeframe]:
        """Return what is built of a symbol."""
        return [timeframe for timeframe, terms in self._terms.items() if symbol in terms or None in terms]

    def terms(self, symbol: str, timeframe: str) -> Terms:
        """Return whether bars of a series are stored, and whether its first one is whole."""
        terms = self._terms.get(Timeframe.parse(timeframe), {})
        own = [terms[key] for key in (symbol, None) if key in terms]
        return any(persist for persist, _ in own), any(from_start for _, from_start in own)

    def forget_starts(self) -> None:
        """Believe no more that a first bar is whole."""
        for terms in self._terms.values():
            terms.update({symbol: (persist, False) for symbol, (persist, _) in terms.items()})


def timeframe_list(timeframes: str | Timeframe | Sequence[str]) -> list[Timeframe]:
    """Return timeframes, at least one. Raises `InvalidInputError` and its kinds."""
    names = (timeframes,) if isinstance(timeframes, str | Timeframe) else tuple(timeframes)
    if not names:
        raise InvalidInputError("the list of timeframes is empty: give one such as '1m', or several")
    return [Timeframe.parse(name) for name in names]
