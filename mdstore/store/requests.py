"""Requests: what users ask of reads and say of writes, as the parts below take it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from mdstore.candles.file.table_reads import Request
from mdstore.candles.ledger.claims import Claim
from mdstore.core.arguments import bar_limit, column_list, source_name, symbol_list, time_range
from mdstore.core.extra_columns import Extra
from mdstore.core.hole_reasons import STATED, Stated
from mdstore.core.schema import CANDLE_COLUMNS
from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import Moment, to_ms
from mdstore.errors import InvalidInputError, NoSuchSeriesError

if TYPE_CHECKING:
    from mdstore.candles.writes.results import WriteResult

__all__ = ["LONG", "Covers", "claim_of", "of_stored_bars", "request_of", "told", "with_extras"]

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
    extras: Callable[[], Iterable[Extra]] = tuple,
) -> Request:
    """Return what the arguments of `MarketDataStore.candles` ask for.

    `extras` gives the columns that are declared. Raises `InvalidInputError` and its kinds.
    """
    single = isinstance(symbols, str)
    wanted = symbol_list(symbols)
    first, last = time_range(start, end)
    known = CANDLE_COLUMNS if single else LONG
    return Request(
        wanted,
        Timeframe.parse(timeframe),
        known if columns is None else column_list(columns, with_extras(columns, known, extras)),
        first,
        last,
        None if limit is None else bar_limit(limit),
        None if as_of is None else to_ms(as_of, "as of"),
    )


def with_extras(
    columns: Sequence[str] | None, known: tuple[str, ...], extras: Callable[[], Iterable[Extra]]
) -> tuple[str, ...]:
    """Return the columns that are known, the declared ones where others than a candle's are named."""
    wanted = columns if isinstance(columns, list | tuple) else (columns,)
    if columns is None or all(name in known for name in wanted):
        return known
    return (*known, *(one.name for one in extras()))


def claim_of(
    source: str | None,
    covers: Covers | None,
    absent: Stated | None,
    series: tuple[str, str] | None = None,
) -> Claim:
    """Return what is said of the data of a write; an end of a range that is None is open."""
    where = source_name(source)
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


@contextmanager
def of_stored_bars() -> Iterator[None]:
    """Leave out of an error how bars could be put together, for calls that cannot do that."""
    try:
        yield
    except NoSuchSeriesError as error:
        error.of_stored()
        raise


def told(result: WriteResult) -> WriteResult:
    """Return what became of a write, and warn whoever called the store of what is doubtful in it."""
    for text in result.warnings:
        warnings.warn(text, stacklevel=4)  # past `held`, to the user's line
    return result
