"""What `mdstore calendar` prints: the calendars that were set, and which stored symbols have which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl
from rich.console import Console

from mdstore.cli.shared.json_text import json_text, records
from mdstore.cli.shared.table import print_frame
from mdstore.cli.shared.texts import count
from mdstore.core.calendars import ALWAYS, calendar_of
from mdstore.errors import InvalidInputError

if TYPE_CHECKING:
    from mdstore.store.store import MarketDataStore

__all__ = ["print_calendar_of", "print_calendars", "remove_calendar", "set_calendar"]

MOST_NAMES = 5
WILD = "*?["
NO_PATTERN = "pattern '': give a symbol, or a pattern such as 'KRX:*'"


def print_calendars(store: MarketDataStore, out: Console, *, json: bool) -> None:
    """Print the patterns, their calendars, and how many stored symbols have them."""
    patterns = _patterns(store)
    by = {symbol: _counts(symbol, patterns) for symbol in _symbols(store)}
    having = {pattern: [symbol for symbol in by if by[symbol] == pattern] for pattern in patterns}
    if json:
        lines = [{"pattern": one, "calendar": patterns[one], "symbols": having[one]} for one in patterns]
        print(json_text(lines))
    elif patterns:
        columns = {
            "pattern": list(patterns),
            "calendar": list(patterns.values()),
            "symbols": [_some(having[pattern]) for pattern in patterns],
        }
        print_frame(out, pl.DataFrame(columns))
    else:
        out.print(f"no calendar is set: every symbol trades always ({ALWAYS})", highlight=False)


def set_calendar(store: MarketDataStore, out: Console, pattern: str, name: str, *, json: bool) -> None:
    """Set a calendar, and say which stored symbols it applies to."""
    store.set_calendar(pattern, name)
    patterns = _patterns(store)
    matching = [symbol for symbol in _symbols(store) if _counts(symbol, {pattern: name}) == pattern]
    having = [symbol for symbol in matching if _counts(symbol, patterns) == pattern]
    if json:
        print(json_text({"pattern": pattern, "calendar": patterns[pattern], "symbols": having}))
        return
    out.print(f"{pattern} trades by {patterns[pattern]}: {_some(having)}", highlight=False, markup=False)
    if len(matching) > len(having):
        others = count(len(matching) - len(having), "symbol")
        out.print(f"{others} more fit the pattern, but also a longer one, which counts", highlight=False)


def remove_calendar(store: MarketDataStore, out: Console, pattern: str, *, json: bool) -> None:
    """Take a pattern away; raise where it was not set."""
    patterns = _patterns(store)
    if pattern not in patterns:
        raise InvalidInputError(
            f"no calendar is set for {pattern!r}", hint="`mdstore calendar` lists the patterns"
        )
    store.set_calendar(pattern, None)
    if json:
        print(json_text({"removed": pattern, "calendar": patterns[pattern]}))
    else:
        out.print(f"{pattern} no longer trades by {patterns[pattern]}", highlight=False, markup=False)


def print_calendar_of(
    store: MarketDataStore, out: Console, remarks: Console, pattern: str, *, json: bool
) -> None:
    """Print the stored symbols that fit a pattern, each with its calendar and the pattern that gave it."""
    if not pattern:
        raise InvalidInputError(NO_PATTERN)
    fitting = [symbol for symbol in _symbols(store) if _counts(symbol, {pattern: ""}) == pattern]
    if not fitting and not any(letter in pattern for letter in WILD):
        remarks.print(f"{pattern} is not stored", highlight=False, markup=False)
        fitting = [pattern]
    patterns = _patterns(store)
    by = [_counts(symbol, patterns) for symbol in fitting]
    columns = {
        "symbol": fitting,
        "calendar": [ALWAYS if one is None else patterns[one] for one in by],
        "pattern": by,
    }
    frame = pl.DataFrame(columns, dict.fromkeys(columns, pl.String))
    if json:
        print(json_text(records(frame)))
    elif fitting:
        print_frame(out, frame.with_columns(pl.col("pattern").fill_null("none fits")))
    else:
        out.print(f"no stored symbol fits {pattern}", highlight=False, markup=False)


def _patterns(store: MarketDataStore) -> dict[str, str]:
    return dict(store.calendars().iter_rows())


def _symbols(store: MarketDataStore) -> list[str]:
    symbols: list[str] = store.series()["symbol"].cast(pl.String).unique().sort().to_list()
    return symbols


def _counts(symbol: str, patterns: Sequence[str] | dict[str, str]) -> str | None:
    """Return the pattern that decides on a symbol's calendar; None if no pattern fits the symbol."""
    # Asked for the calendar, `calendar_of` answers with the pattern: each stands in place of its calendar,
    # with a mark before it, since an answer without the mark is the calendar of symbols that no pattern fits.
    found = calendar_of(symbol, {pattern: f"={pattern}" for pattern in patterns})
    return found.removeprefix("=") if found.startswith("=") else None


def _some(symbols: Sequence[str]) -> str:
    """Name a few symbols, and say how many there are.

    >>> _some(["A", "B"]), _some([])
    ('2 stored symbols (A, B)', 'no stored symbol')
    """
    if not symbols:
        return "no stored symbol"
    names = ", ".join(symbols[:MOST_NAMES]) + (", ..." if len(symbols) > MOST_NAMES else "")
    return f"{count(len(symbols), 'stored symbol')} ({names})"
