"""Every exchange whose messages are read, in one table.

To add one: write a module beside this one that has its markets in `VENUES`, and name them in `VenueName` and
`EXCHANGES`. Recordings, the command line and errors take their lists from here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Final, Literal, NamedTuple, Protocol, cast
from urllib.parse import urlsplit

from mdstore.errors import InvalidInputError
from mdstore.sources.exchanges.messages import Event

__all__ = ["EXCHANGES", "VOLUME_DIGITS", "Reader", "Venue", "VenueName", "of_message", "of_url", "venue"]

VOLUME_DIGITS: Final = 8
"""The decimals that sizes have at all of them: volumes that are summed up are rounded to these."""

VenueName = Literal["upbit", "binance", "binance-futures"]
"""A market of an exchange."""

# By the module that knows it, imported when it is asked for.
EXCHANGES: dict[str, str] = {
    "upbit": "mdstore.sources.exchanges.upbit",
    "binance": "mdstore.sources.exchanges.binance",
    "binance-futures": "mdstore.sources.exchanges.binance",
}


class Reader(NamedTuple):
    """Reads the messages of one connection.

    `rows(text, received, url)` returns what a message holds; `url` is whom was asked, of an answer. `waiting`
    returns the symbols whose order books still wait for a snapshot.
    """

    rows: Callable[[str, int, str | None], list[Event]]
    waiting: Callable[[], Sequence[str]]


class Venue(Protocol):
    """One market of an exchange, as its module has it in `VENUES`."""

    name: str

    def reader(self) -> Reader:
        """Return a reader of its messages."""

    def is_host(self, host: Sequence[str]) -> bool:
        """Tell whether a host (its name, split at the dots) is one of its own."""

    def is_likely(self, message: Mapping[str, Any]) -> float:
        """Return how sure it is that a parsed message is of this venue: 1 surely, 0 not at all."""


def venue(name: str) -> Venue:
    """Return a venue. Raises `InvalidInputError` for one that is not known."""
    if name not in EXCHANGES:
        raise InvalidInputError(f"venue: {name!r} is none of {', '.join(map(repr, EXCHANGES))}")
    module = import_module(EXCHANGES[name])
    return cast("dict[str, Venue]", module.VENUES)[name]


def of_url(url: str) -> str | None:
    """Tell which venue has an address; None for none of them."""
    host = (urlsplit(url).hostname or "").split(".")
    return next((name for name in EXCHANGES if venue(name).is_host(host)), None)


def of_message(message: Mapping[str, Any]) -> tuple[str | None, bool]:
    """Tell of which venue a parsed message most likely is, and whether it surely is."""
    likely = {name: venue(name).is_likely(message) for name in EXCHANGES}
    best = max(likely, key=lambda name: likely[name])
    return (best, likely[best] == 1) if likely[best] > 0 else (None, False)
