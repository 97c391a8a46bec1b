"""Which markets of an exchange are meant: names, and patterns of names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mdstore.core.calendars import globs
from mdstore.core.did_you_mean import did_you_mean
from mdstore.errors import Hint, NoSuchMarketError

__all__ = ["fitting", "is_pattern", "matching"]

WILD = "*?["


def is_pattern(symbol: str) -> bool:
    """Tell whether a symbol stands for all markets that fit it."""
    return any(letter in symbol for letter in WILD)


def fitting(pattern: str, listed: Iterable[str]) -> list[str]:
    """Return the markets that fit a pattern, in their order."""
    return [name for name in listed if globs(name, pattern)]


def matching(wanted: Sequence[str], listed: Sequence[str], exchange: str) -> tuple[str, ...]:
    """Return the markets that are meant, each once, in the order of the exchange for those of a pattern.

    Raises `NoSuchMarketError` for a name that is not listed, and a pattern that none of them fits.

    >>> matching(["KRW-B*", "KRW-ETH"], ["KRW-BTC", "KRW-ETH", "KRW-BCH"], "upbit")
    ('KRW-BTC', 'KRW-BCH', 'KRW-ETH')
    """
    known = set(listed)
    found: dict[str, None] = {}
    for one in wanted:
        fits = [one] if one in known else fitting(one, listed)
        if not fits:
            near = None if is_pattern(one) else did_you_mean(one, list(listed))
            what = (
                f"no market of {exchange} fits {one!r}"
                if is_pattern(one)
                else f"{exchange} has no market {one!r}"
            )
            raise NoSuchMarketError(what, hint=near and Hint(near, near))
        found |= dict.fromkeys(fits)
    return tuple(found)
