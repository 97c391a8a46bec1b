"""Every exchange from which candles are fetched, by name: ours, those of ccxt, and those of others.

A package adds its own by an entry point of the group `mdstore.sources`, which names what `OpensSource` is.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, cast

from mdstore.core.did_you_mean import did_you_mean
from mdstore.errors import Hint, InvalidInputError
from mdstore.sources.exchanges.candle_source import CandleSource, OpensSource, Wait

__all__ = ["GROUP", "OURS", "open_source", "source_names"]

GROUP: Final = "mdstore.sources"
OURS: Final = {
    "upbit": "mdstore.sources.exchanges.upbit_candles:open_upbit",
    "binance": "mdstore.sources.exchanges.binance_candles:open_spot",
    "binance-futures": "mdstore.sources.exchanges.binance_candles:open_usdm",
}


def open_source(
    name: str,
    *,
    base_url: str | None = None,
    offline: bool = False,
    on_wait: Callable[[Wait], None] | None = None,
) -> CandleSource:
    """Return an exchange by name, to be closed with `aclose`.

    `base_url` is asked in the exchange's place; if `offline`, nobody is asked, and what would be raises.
    `on_wait` is told when a request waits longer than the exchange's pace asks for. Raises
    `InvalidInputError` for a name that is not known.
    """
    return _opener(name)(base_url=base_url, offline=offline, on_wait=on_wait)


def source_names() -> list[str]:
    """Return the names that `open_source` takes."""
    return sorted({*OURS, *(point.name for point in _others())})


def _opener(name: str) -> OpensSource:
    if name in OURS:
        module, _, function = OURS[name].partition(":")
        return cast("OpensSource", getattr(import_module(module), function))
    for point in _others():
        if point.name == name:
            return cast("OpensSource", point.load())
    known = source_names()
    near = did_you_mean(name, known, shown=repr)
    raise InvalidInputError(
        f"no exchange is called {name!r}: there are {', '.join(known)}", hint=near and Hint(near, near)
    )


def _others() -> tuple[EntryPoint, ...]:
    found: Any = entry_points(group=GROUP)
    return tuple(found)
