"""The names that are nearest to one that is not known, for the hints of errors."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Final

__all__ = ["did_you_mean", "names_that_fit"]

FEW: Final = 5
"""So many names that fit a pattern are given."""


def did_you_mean(
    name: object,
    known: Iterable[str],
    *,
    most: int = 1,
    cutoff: float = 0.6,
    alike: Callable[[str], str] = str.lower,
    shown: Callable[[str], str] = str,
) -> str | None:
    """Return a hint that offers the nearest of the names that are known; None where none is near.

    Names are compared as `alike` makes them, and need to be alike by `cutoff` (0 to 1); `shown` writes them.

    >>> did_you_mean("Clsoe", ["open", "close"])
    'did you mean close?'
    >>> did_you_mean("krw-btc", ["KRW-BTC", "KRW-ETH"], shown=repr)
    "did you mean 'KRW-BTC'?"
    """
    made = {alike(one): one for one in reversed(list(known))}
    near = difflib.get_close_matches(alike(str(name)), made, most, cutoff)
    return f"did you mean {' or '.join(shown(made[one]) for one in near)}?" if near else None


def names_that_fit(pattern: str, known: Iterable[str]) -> str | None:
    """Return a hint for a pattern that was given as a name: names that fit it; None where none does.

    >>> names_that_fit("KRW-*", ["KRW-BTC", "KRW-ETH", "BTC-ETH"])
    'no pattern is taken here: give the 2 names that fit, KRW-BTC, KRW-ETH'
    """
    if not any(letter in pattern for letter in "*?["):
        return None
    fitting = sorted(one for one in known if fnmatchcase(one, pattern))
    listed = ", ".join(fitting[:FEW]) + (", ..." if len(fitting) > FEW else "")
    which = "name that fits" if len(fitting) == 1 else f"{len(fitting):,} names that fit"
    return f"no pattern is taken here: give the {which}, {listed}" if fitting else None
