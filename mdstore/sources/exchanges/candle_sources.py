"""Every exchange from which candles are fetched, by name: ours, those of ccxt, and those of others.

A package adds its own by an entry point of the group `mdstore.sources`, which names what `OpensSource` is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, cast

from mdstore.core.did_you_mean import did_you_mean
from mdstore.errors import Hint, InvalidInputError, MarketDataError, SourceError
from mdstore.sources.extra import INSTALL
from mdstore.sources.sync.candle_source import CandleSource, OpensSource, Wait
from mdstore.sources.sync.coordinator import Coordinator

__all__ = ["GROUP", "OURS", "closed", "is_exchange", "open_source", "source_names"]

GROUP: Final = "mdstore.sources"
OURS: Final = {
    "upbit": "mdstore.sources.exchanges.upbit_candles:open_upbit",
    "binance": "mdstore.sources.exchanges.binance_candles:open_spot",
    "binance-futures": "mdstore.sources.exchanges.binance_candles:open_usdm",
}
COORDINATOR: Final = ("name", "limits", "candles", "report")
"""What an entry point's source has at least: a `Coordinator` without the rest of a `CandleSource` will do."""
NAMES: Final = Hint(
    f"an entry point of {GROUP} names a function that takes base_url=, offline= and on_wait=, and returns a "
    "mdstore.Coordinator",
    "whoever wrote that package is to be told: its entry point names a function that gives a source",
)
CCXT: Final = "mdstore.sources.exchanges.ccxt_candles"
OF_CCXT: Final = "those of ccxt are there, too: kraken, say, or ccxt:upbit where one of ours has the name"
PREFIX: Final = "ccxt:"


def open_source(
    name: str,
    *,
    base_url: str | None = None,
    offline: bool = False,
    on_wait: Callable[[Wait], None] | None = None,
) -> CandleSource:
    """Return an exchange by name. `aclose` closes the connections of an event loop, as does the loop's end.

    `base_url` is asked in the exchange's place; if `offline`, nobody is asked, and what would be raises.
    `on_wait` is told when a request waits longer than the exchange's pace asks for. All that ccxt has are
    there by their names, or as `ccxt:upbit` where one of ours has the name. Raises `InvalidInputError` for a
    name that is not known, `SourceError` where what is needed is not installed, or a package's entry point
    gives no source.
    """
    return _opener(name)(base_url=base_url, offline=offline, on_wait=on_wait)


async def closed(source: Coordinator) -> None:
    """Close the connections of a source, if it has such."""
    if (close := getattr(source, "aclose", None)) is not None:
        await close()


def source_names() -> list[str]:
    """Return the names that `open_source` takes, but for those of ccxt."""
    return sorted({*OURS, *(point.name for point in _others())})


def is_exchange(source: str) -> bool:
    """Tell whether a source of bars is an exchange that `open_source` opens, by the name it gives them.

    >>> is_exchange("binance-futures"), is_exchange("ccxt:kraken"), is_exchange("mine.csv")
    (True, True, False)
    """
    return source.startswith(PREFIX) or source in source_names()


def _opener(name: str) -> OpensSource:
    if name in OURS:
        module, _, function = OURS[name].partition(":")
        return cast("OpensSource", getattr(_loaded(module), function))
    for point in _others():
        if point.name == name:
            return partial(_theirs, point)
    if name.startswith(PREFIX) or name in _of_ccxt():
        return partial(_loaded(CCXT).open_ccxt, name.removeprefix(PREFIX))
    known = source_names()
    of_ccxt = _of_ccxt()
    hint = did_you_mean(name, [*known, *of_ccxt], shown=repr)
    raise InvalidInputError(
        f"no exchange is called {name!r}: there are {', '.join(known)}",
        hint=hint or (OF_CCXT if of_ccxt else "those of ccxt are there, too: pip install 'mdstore[ccxt]'"),
    )


def _theirs(point: EntryPoint, **options: Any) -> CandleSource:
    """Return the source of a package's entry point. Raises `SourceError` where it gives none."""
    try:
        source = point.load()(**options)
    except MarketDataError:
        raise
    except Exception as error:
        raise _broken(point, f"{type(error).__name__}: {error}") from error
    lacks = [part for part in COORDINATOR if not hasattr(source, part)]
    if lacks:
        raise _broken(point, f"what it gives is no source: {type(source).__name__} has no {lacks[0]}")
    return cast("CandleSource", source)


def _broken(point: EntryPoint, reason: str) -> SourceError:
    of = "" if point.dist is None else f" of the package {point.dist.name}"
    return SourceError(f"the entry point {point.name!r}{of} ({point.value}) is broken: {reason}", hint=NAMES)


def _loaded(module: str) -> Any:
    """Import a module of ours. Raises `SourceError` where what it needs is not installed."""
    try:
        return import_module(module)
    except ImportError as error:
        raise SourceError("asking exchanges for candles is an extra", hint=INSTALL) from error


def _of_ccxt() -> list[str]:
    """Return the names that ccxt has; none where it is not installed."""
    try:
        return list(import_module("ccxt").exchanges)
    except ImportError:
        return []


def _others() -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=GROUP))
