"""Arguments in: single values that users give, checked. Nothing here knows where candles are stored."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING

from mdstore.core.excerpts import excerpt
from mdstore.core.symbols import check_symbol
from mdstore.core.time_bounds import FOREVER
from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import Moment, to_ms
from mdstore.errors import Hint, InvalidInputError

if TYPE_CHECKING:
    from mdstore.core.checked_rows import OnInvalid
    from mdstore.core.duplicates import OnConflict

__all__ = [
    "DEFAULT_FILE", "FILE_VARIABLE", "Kept", "bar_limit", "byte_count", "column_list", "conflict_rule",
    "default_file", "file_path",
    "invalid_rule", "kept_ranges", "positive_seconds",
    "source_name", "symbol_list", "time_range",
]  # fmt: skip

DEFAULT_FILE = "market_data.sqlite3"
FILE_VARIABLE = "MDSTORE_FILE"
LONGEST_SOURCE = 500
YEAR = 366 * 86_400
PAIR = 2
ON_INVALID = ("raise", "quarantine", "drop")
ON_CONFLICT = ("raise", "last")


def default_file() -> str:
    """Return the file of the store where none is named: that of $MDSTORE_FILE, or the usual one."""
    return os.environ.get(FILE_VARIABLE) or DEFAULT_FILE


def file_path(path: str | os.PathLike[str]) -> Path:
    """Return the path of a file."""
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(text, str) or not text or text.startswith(":memory:") or "\0" in text:
        shown = text if isinstance(text, str) else path
        raise InvalidInputError(
            f"{shown!r} is no path of a file; a store lives in a file, such as {DEFAULT_FILE!r}"
        )
    try:
        text.encode()
        return Path(text).expanduser()
    except (RuntimeError, UnicodeError) as error:
        raise InvalidInputError(f"{text!r} is no path that can be used: {error}") from error


def time_range(start: Moment | None, end: Moment | None) -> tuple[int, int]:
    """Return a range `[start, end)` in milliseconds; an end that is None is open."""
    first = -FOREVER if start is None else to_ms(start, "start")
    last = FOREVER if end is None else to_ms(end, "end")
    return first, last


class Kept(dict[tuple[str, str], list[tuple[int, int]]]):
    """Ranges (ms, half-open) of series that a write does not change, as `kept_ranges` returns them.

    An import adds to its own with every file: thousands of series are not to be parsed again for each.
    """


def kept_ranges(keep: object) -> Kept:
    """Return ranges by series; None stands for none."""
    if keep is None or isinstance(keep, Kept):
        return keep or Kept()
    if not isinstance(keep, Mapping):
        raise _no_ranges(keep)
    found = Kept()
    for key, ranges in keep.items():
        if not (isinstance(key, tuple) and len(key) == PAIR and isinstance(ranges, list | tuple)):
            raise _no_ranges({key: ranges})
        if not all(isinstance(pair, list | tuple) and len(pair) == PAIR for pair in ranges):
            raise _no_ranges({key: ranges})
        series = (check_symbol(key[0]), str(Timeframe.parse(key[1])))
        found.setdefault(series, []).extend(time_range(*pair) for pair in ranges)
    return found


def _no_ranges(keep: object) -> InvalidInputError:
    return InvalidInputError(
        f"keep={excerpt(repr(keep))} holds no ranges of series",
        hint=Hint(
            "keep is a dict such as {('KRW-BTC', '1h'): [(start, end)]}, an end that is None is open",
            "give ranges of series",
        ),
    )


def symbol_list(symbols: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """Return symbols, each once and sorted; None stands for all."""
    if symbols is None:
        return None
    if isinstance(symbols, str):
        return (check_symbol(symbols),)
    if not isinstance(symbols, Iterable):
        raise InvalidInputError(f"symbols={symbols!r}: give a symbol, a list of symbols, or None for all")
    wanted = [check_symbol(symbol) for symbol in symbols]
    if not wanted:
        raise InvalidInputError("the list of symbols is empty; None means every symbol of the timeframe")
    return tuple(sorted(set(wanted)))


def bar_limit(limit: int, what: str = "limit", *, of: str = "bars", or_none: bool = True) -> int:
    """Return a number of bars or of something else, at least one; `or_none`: whether None may be given."""
    try:
        number = index(limit)
    except TypeError:
        number = 0
    if isinstance(limit, bool) or not 0 < number <= FOREVER:
        other = ", or None" if or_none else ""
        raise InvalidInputError(f"{what}={limit!r} is no number of {of}: give a whole number from 1{other}")
    return number


def column_list(columns: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Return columns among those that are known; a long frame keeps its symbol."""
    if not isinstance(columns, Iterable):
        raise InvalidInputError(f"columns={columns!r}: give a list of names")
    wanted = (columns,) if isinstance(columns, str) else tuple(columns)
    if "symbol" in known and "symbol" not in wanted:
        wanted = ("symbol", *wanted)
    wrong = [name for name in wanted if name not in known]
    if wrong or not wanted or len(set(wanted)) != len(wanted):
        raise InvalidInputError(
            f"columns={list(wanted)!r}: give each of {', '.join(known)} at most once, and at least one"
        )
    return wanted


def source_name(source: str | None) -> str:
    """Return where data is from; the empty text for None."""
    if source is None:
        return ""
    if not isinstance(source, str) or not source.isprintable() or not 0 < len(source) <= LONGEST_SOURCE:
        raise InvalidInputError(
            f"source {source!r}: say where the data is from in 1 to {LONGEST_SOURCE} printable characters"
        )
    return source


def invalid_rule(on_invalid: OnInvalid) -> OnInvalid:
    """Return what to do with rows that break a rule."""
    if on_invalid not in ON_INVALID:
        raise InvalidInputError(f"on_invalid={on_invalid!r} is none of {', '.join(map(repr, ON_INVALID))}")
    return on_invalid


def conflict_rule(on_conflict: OnConflict) -> OnConflict:
    """Return what to do with a bar that comes twice with different values."""
    if on_conflict not in ON_CONFLICT:
        raise InvalidInputError(f"on_conflict={on_conflict!r} is none of {', '.join(map(repr, ON_CONFLICT))}")
    return on_conflict


def byte_count(number: int | None, what: str, *, least: int = 0) -> int:
    """Return a number of bytes, so many at least; None is no bound."""
    if number is None:
        return FOREVER
    try:
        size = index(number)
    except TypeError:
        size = -1
    if isinstance(number, bool) or not least <= size <= FOREVER:
        raise InvalidInputError(
            f"{what}={number!r} is no number of bytes: give a whole number from {least}, or None"
        )
    return size


def positive_seconds(number: float, what: str, *, or_none: bool = True) -> float:
    """Return a time to wait, more than none; `or_none`: whether None may be given."""
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 < number < YEAR:
        other = ", or None" if or_none else ""
        raise InvalidInputError(f"{what}={number!r} is no time to wait: give seconds, more than 0{other}")
    return float(number)
