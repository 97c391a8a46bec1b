"""Which markets of an exchange are meant: names, and patterns of names."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from mdstore.core.did_you_mean import did_you_mean
from mdstore.errors import Hint, NoSuchMarketError

__all__ = ["matching"]

WILD = "*?["


def matching(wanted: Sequence[str], listed: Sequence[str], exchange: str) -> tuple[str, ...]:
    """Return the markets that are meant, each once, in the order of the exchange for those of a pattern.

    Raises `NoSuchMarketError` for a name that is not listed, and a pattern that none of them fits.

    >>> matching(["KRW-B*", "KRW-ETH"], ["KRW-BTC", "KRW-ETH", "KRW-BCH"], "upbit")
    ('KRW-BTC', 'KRW-BCH', 'KRW-ETH')
    """
    known = set(listed)
    found: dict[str, None] = {}
    for one in wanted:
        fits = [one] if one in known else [name for name in listed if fnmatchcase(name, one)]
        if not fits:
            is_pattern = any(letter in one for letter in WILD)
            near = None if is_pattern else did_you_mean(one, list(listed))
            what = (
                f"no market of {exchange} fits {one!r}" if is_pattern else f"{exchange} has no market {one!r}"
            )
            raise NoSuchMarketError(what, hint=near and Hint(near, near))
        found |= dict.fromkeys(fits)
    return tuple(found)
