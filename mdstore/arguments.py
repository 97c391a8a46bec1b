"""Arguments in: what users give to reads and writes, checked, and as the parts below take them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from operator import index
from pathlib import Path
from typing import Literal

from mdstore.candles.claims import Claim
from mdstore.candles.coverage import STATED, Stated
from mdstore.candles.reader import Request
from mdstore.errors import InvalidInputError
from mdstore.schema import CANDLE_COLUMNS
from mdstore.timeframe import FOREVER, Timeframe
from mdstore.timestamps import Moment, to_ms
from mdstore.validation import OnInvalid, check_symbol

__all__ = [
    "DEFAULT_FILE", "Covers", "byte_count", "claim_of", "file_path", "invalid_rule", "request_of",
    "symbol_list", "time_range",
]  # fmt: skip

DEFAULT_FILE = "market_data.sqlite3"
LONGEST_SOURCE = 500
ON_INVALID = ("raise", "quarantine", "drop")
LONG = ("symbol", *CANDLE_COLUMNS)
Covers = tuple[Moment | None, Moment | None] | Literal["data"]
"""A range `(start, end)`, or that of the data."""


def request_of(
    symbols: str | Sequence[str] | None,
    timeframe: str | Timeframe,
    *,
    start: Moment | None = None,
    end: Moment | None = None,
    limit: int | None = None,
    columns: Sequence[str] | None = None,
    as_of: Moment | None = None,
) -> Request:
    """Return what the arguments of `MarketDataStore.candles` ask for.

    Raises `InvalidInputError` and its kinds.
    """
    single = isinstance(symbols, str)
    wanted = symbol_list(symbols)
    first, last = time_range(start, end)
    known = CANDLE_COLUMNS if single else LONG
    return Request(
        wanted,
        Timeframe.parse(timeframe),
        known if columns is None else column_list(columns, known),
        first,
        last,
        None if limit is None else bar_limit(limit),
        None if as_of is None else to_ms(as_of, "as_of"),
    )


def file_path(path: str | os.PathLike[str]) -> Path:
    """Return the path of a file."""
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(text, str) or not text or text.startswith(":memory:") or "\0" in text:
        raise InvalidInputError(
            f"{path!r} is no path of a file; a store lives in a file, such as {DEFAULT_FILE!r}"
        )
    try:
        text.encode()
        return Path(text).expanduser()
    except (RuntimeError, UnicodeError) as error:
        raise InvalidInputError(f"{path!r} is no path that can be used: {error}") from error


def time_range(start: Moment | None, end: Moment | None) -> tuple[int, int]:
    """Return a range `[start, end)` in milliseconds; an end that is None is open."""
    first = -FOREVER if start is None else to_ms(start, "start")
    last = FOREVER if end is None else to_ms(end, "end")
    return first, last


def claim_of(
    source: str | None,
    covers: Covers | None,
    absent: Stated | None,
    series: tuple[str, str] | None = None,
) -> Claim:
    """Return what is said of the data of a write; an end of a range that is None is open."""
    where = _source_name(source)
    if covers is None:
        if absent is not None:
            raise InvalidInputError(
                f"absent={absent!r} is why bars are absent in a range: name it, covers=(start, end) or 'data'"
            )
        return Claim(where)
    if absent is not None and not (isinstance(absent, str) and absent in STATED):
        raise InvalidInputError(
            f"{absent!r} is no reason why bars are absent: give {', '.join(map(repr, STATED))} or None"
        )
    if isinstance(covers, str) and covers == "data":
        return Claim(where, "data", absent or "unknown")
    if not isinstance(covers, tuple | list) or len(covers) != 2:  # noqa: PLR2004 - a start and an end
        raise InvalidInputError(
            f"covers={covers!r}: give the range that was asked for, (start, end), or 'data' for its own"
        )
    start, end = time_range(*covers)
    if start >= end:
        raise InvalidInputError(f"the range {covers!r} is empty: its end is not after its start")
    return Claim(where, (start, end), absent or "unknown", series)


def _source_name(source: str | None) -> str:
    """Return where data is from; the empty text for None."""
    if source is None:
        return ""
    if not isinstance(source, str) or not source.isprintable() or not 0 < len(source) <= LONGEST_SOURCE:
        raise InvalidInputError(
            f"source={source!r}: say where the data is from in 1 to {LONGEST_SOURCE} printable characters"
        )
    return source


def symbol_list(symbols: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """Return symbols, each once and sorted; None is all."""
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


def bar_limit(limit: int) -> int:
    """Return a number of bars, at least one."""
    try:
        number = index(limit)
    except TypeError:
        number = 0
    if isinstance(limit, bool) or not 0 < number <= FOREVER:
        raise InvalidInputError(f"limit={limit!r} is no number of bars: give a whole number from 1, or None")
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


def invalid_rule(on_invalid: OnInvalid) -> OnInvalid:
    """Return what to do with rows that break a rule."""
    if on_invalid not in ON_INVALID:
        raise InvalidInputError(f"on_invalid={on_invalid!r} is none of {', '.join(map(repr, ON_INVALID))}")
    return on_invalid


def byte_count(number: int | None, what: str) -> int:
    """Return a number of bytes, zero or more; None is no bound."""
    if number is None:
        return FOREVER
    try:
        size = index(number)
    except TypeError:
        size = -1
    if isinstance(number, bool) or not 0 <= size <= FOREVER:
        raise InvalidInputError(
            f"{what}={number!r} is no number of bytes: give a whole number from 0, or None"
        )
    return size
