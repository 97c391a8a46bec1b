"""Batches of tickers and trades that come as columns: checked and packed without a loop over rows."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite, nan
from typing import Any, Literal

import polars as pl
import pyarrow as pa

from mdstore.core.polars_forks import refuse_broken_polars
from mdstore.core.schema import SIDES
from mdstore.core.symbols import check_symbol
from mdstore.core.time_bounds import FIRST_LIVE
from mdstore.core.timestamps import column_to_ms
from mdstore.errors import InvalidInputError
from mdstore.realtime.limits import Kind
from mdstore.realtime.packing import NO_ID, SIDE_CODES, SNAPSHOT, WORD, TickerPacking, TradePacking, Words
from mdstore.realtime.row_rules import FUTURE_MS, MS_NS, broken, check_row, unknown_field

__all__ = ["Group", "frame_of", "groups_of"]

WORDS = {
    "tickers": (
        "timestamp", "received", "price", "open", "high", "low", "change", "change_rate", "volume_24h",
        "value_24h", "bid", "bid_size", "ask", "ask_size", "price_age", "day_age", "best_age", "flags",
    ),
    "trades": ("timestamp", "received", "price", "size", "id", "flags"),
}  # fmt: skip
"""The words of a packed row."""


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of one symbol by their words, in the order in which they came.

    `ordered` means that timestamps ascend, and ids among equal timestamps; so no row repeats another.
    """

    symbol: str
    words: list[memoryview[Any]]
    ordered: bool
    nulls: bool

    def __len__(self) -> int:
        return len(self.words[0])

    def packed(self, packing: TickerPacking | TradePacking) -> list[bytes]:
        """Return the rows, packed."""
        return [packing.struct.pack(*row) for row in zip(*(w.tolist() for w in self.words), strict=True)]

    def last(self, packing: TickerPacking | TradePacking) -> bytes:
        """Return the last row, packed."""
        return packing.struct.pack(*(words[-1] for words in self.words))

    def batch(self, packing: TickerPacking | TradePacking, start: int, end: int) -> pa.RecordBatch:
        """Return rows as columns, copied."""
        words = Words([column[start:end] for column in self.words])
        return pa.RecordBatch.from_arrays(packing.arrays(words, self.nulls), schema=packing.schema)


def frame_of(kind: Kind[Any], data: object) -> pl.DataFrame | None:
    """Return data as a frame; None where it is no table.

    Raises `ValidationError` for columns that are unknown or missing.
    """
    frame = _table(data)
    if frame is None:
        return None
    known = kind.row._fields
    for name in frame.columns:
        if name not in known:
            raise broken(kind.row, 0, name, frame[name].dtype, unknown_field(kind.row, name))
    for name in known:
        if name not in kind.row._field_defaults and name not in frame.columns:
            raise broken(kind.row, 0, name, None, f"{name} is given")
    return frame


def groups_of(kind: Kind[Any], frame: pl.DataFrame, now: int) -> Iterator[Group]:
    """Check and pack the rows of a frame, and yield them by symbol.

    Raises `ValidationError` before anything is yielded.
    """
    typed, nulls = _typed(kind, frame, now)
    if typed.is_empty():
        return
    rows = pl.DataFrame({"code": typed["symbol"].to_physical()}).with_row_index("row")
    places = rows.group_by("code", maintain_order=True).agg("row")["row"]
    names = typed["symbol"].gather(places.list.first()).to_list()
    wrong = [name for name in names if not _can_be_symbol(name)]
    if wrong:
        _refuse(kind, frame, frame["symbol"].cast(pl.String).is_in(wrong), now)
    if len(places) > 1:
        typed = typed[places.explode(empty_as_null=False)]
    ends = [0, *places.list.len().cum_sum()]
    unordered = _unordered(typed, ends)
    words = _words(kind, typed)
    for at, (symbol, (start, end)) in enumerate(zip(names, pairwise(ends), strict=True)):
        yield Group(symbol, [column[start:end] for column in words], at not in unordered, nulls)


def _table(data: object) -> pl.DataFrame | None:
    if isinstance(data, list | tuple | str | bytes):
        return None
    refuse_broken_polars()
    is_pandas = type(data).__module__.partition(".")[0] == "pandas"
    try:
        if isinstance(data, pl.LazyFrame):
            return data.collect()
        if isinstance(data, pl.DataFrame | Mapping | pa.Table | pa.RecordBatch) or is_pandas:
            return pl.DataFrame(data)  # type: ignore[arg-type]  # pandas has no types here
        if hasattr(data, "__arrow_c_stream__"):
            return pl.DataFrame(pa.table(data))
    except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError, pa.ArrowException) as error:
        raise InvalidInputError(f"the data is no table: {error}") from error
    return None


def _typed(kind: Kind[Any], frame: pl.DataFrame, now: int) -> tuple[pl.DataFrame, bool]:
    """Return the columns as they are packed, and whether any holds a null; every value was checked."""
    wrong: pl.Series | None = None
    columns: dict[str, pl.Series] = {}
    nulls = False
    for name in kind.row._fields:
        if name not in frame.columns:
            value, dtype = _absent(name, now)
            columns[name] = pl.repeat(value, len(frame), dtype=dtype, eager=True)
            nulls = nulls or name not in ("snapshot", "received")
            continue
        given = frame[name]
        try:
            columns[name], bad = READ.get(name, _optional)(given, now)
        except InvalidInputError as error:
            raise broken(kind.row, 0, name, given.dtype, error.message) from error
        except pl.exceptions.PolarsError as error:
            raise broken(kind.row, 0, name, given.dtype, str(error)) from error
        nulls = nulls or bool(given.null_count()) or (given.dtype.is_float() and bool(given.is_nan().any()))
        if bad is not None:
            wrong = bad if wrong is None else wrong | bad
    if wrong is not None and wrong.any():
        _refuse(kind, frame, wrong, now)
    snapshot = columns.pop("snapshot")
    flags = columns.pop("side", pl.Series([0], dtype=pl.Int64))
    if "snapshot" in frame.columns:
        flags = snapshot.cast(pl.Int64) * SNAPSHOT + flags
    columns["flags"] = flags if len(flags) == len(frame) else flags.new_from_index(0, len(frame))
    return pl.DataFrame(columns), nulls


def _absent(name: str, now: int) -> tuple[float, type[pl.DataType]]:
    """Return what stands in a packed row for a field that was not given."""
    known = {"side": SIDE_CODES[None], "id": NO_ID, "snapshot": 0, "received": now}
    return (known[name], pl.Int64) if name in known else (nan, pl.Float64)


def _refuse(kind: Kind[Any], frame: pl.DataFrame, wrong: pl.Series, now: int) -> None:
    """Raise what a row by itself would raise."""
    at = wrong.arg_max()
    assert at is not None  # noqa: S101 - for mypy
    check_row(kind.row, frame.row(at, named=True), now, at)
    raise InvalidInputError(f"row {at} of the {kind.name} breaks a rule: {frame.row(at, named=True)}")


# ---- a column each: its values as they are packed, and where they are wrong


def _symbol(column: pl.Series, _now: int) -> tuple[pl.Series, pl.Series | None]:
    """Read names; `groups_of` checks once for each name whether it can be a symbol."""
    names = column.cast(pl.Categorical)
    return names.alias("symbol"), names.is_null() if names.null_count() else None


def _can_be_symbol(name: object) -> bool:
    with suppress(InvalidInputError):
        return bool(check_symbol(name))
    return False


def _timestamp(column: pl.Series, now: int) -> tuple[pl.Series, pl.Series | None]:
    floored, whole = column_to_ms(column)
    times = floored + (~whole).cast(pl.Int64)  # rounded up, as `to_ms` does
    bad = ~times.is_between(FIRST_LIVE, now // MS_NS + FUTURE_MS).fill_null(value=False)
    return times.alias("timestamp"), bad


def _price(column: pl.Series, _now: int) -> tuple[pl.Series, pl.Series | None]:
    numbers = _floats(column)
    # A sum is finite only where every value is; a sum that is too large is looked at value by value.
    if not numbers.null_count() and isfinite(numbers.sum()):
        return numbers, None
    return numbers, ~numbers.is_finite().fill_null(value=False)


def _size(column: pl.Series, _now: int) -> tuple[pl.Series, pl.Series | None]:
    numbers, bad = _price(column, _now)
    return numbers, (numbers < 0) if bad is None else bad | (numbers < 0).fill_null(value=True)


def _optional(column: pl.Series, _now: int) -> tuple[pl.Series, pl.Series | None]:
    if not len(column) or column.null_count() == len(column):
        return pl.repeat(nan, len(column), eager=True), None
    numbers = _floats(column)
    return numbers.fill_null(nan), numbers.is_infinite().fill_null(value=False)


def _optional_size(column: pl.Series, _now: int) -> tuple[pl.Series, pl.Series | None]:
    numbers, bad = _optional(column, _now)
    negative = numbers < 0
    return numbers, negative if bad is None else bad | negative


def _side(column: pl.Series, _now: int) -> tuple[pl.Series, pl.Series | None]:
    if column.dtype == pl.Null:
        return pl.repeat(SIDE_CODES[None], len(column), dtype=pl.Int64, eager=True), None
    if column.dtype not in (pl.String, pl.Categorical, pl.Enum):
        raise InvalidInputError("side is 'buy', 'sell' or null")
    buys, sells = column == SIDES[0], column == SIDES[1]
    if not (buys | sells).all():
        names = column.cast(pl.String).str.to_lowercase()
        buys, sells = names == SIDES[0], names == SIDES[1]
    codes = sells.cast(pl.Int64).fill_null(SIDE_CODES[None])
    return codes, None if (buys | sells).all() else ~(buys | sells).fill_null(value=True)


def _id(column: pl.Series, _now: int) -> tuple[pl.Series, pl.Series | None]:
    if column.dtype not in (pl.Null, pl.String) and not column.dtype.is_integer():
        raise InvalidInputError("id is a whole number of 64 bits, or null")
    numbers = column.cast(pl.Int64, strict=False)
    bad = numbers.is_null() & column.is_not_null() | (numbers == NO_ID).fill_null(value=False)
    return numbers.fill_null(NO_ID).alias("id"), bad


def _snapshot(column: pl.Series, _now: int) -> tuple[pl.Series, pl.Series | None]:
    if column.dtype not in (pl.Null, pl.Boolean):
        raise InvalidInputError("snapshot is True or False")
    return column.cast(pl.Boolean).fill_null(value=False), None


def _received(column: pl.Series, now: int) -> tuple[pl.Series, pl.Series | None]:
    if isinstance(column.dtype, pl.Datetime):
        column = column.dt.cast_time_unit("ns").to_physical()
    elif column.dtype != pl.Null and not column.dtype.is_integer():
        raise InvalidInputError("received is a time, or nanoseconds since 1970")
    numbers = column.cast(pl.Int64).fill_null(now)
    return numbers, (numbers < FIRST_LIVE * MS_NS) if column.dtype != pl.Null else None


def _floats(column: pl.Series) -> pl.Series:
    if not column.dtype.is_numeric():
        raise InvalidInputError(f"{column.name} is a number")
    return column.cast(pl.Float64)


READ: dict[str, Callable[[pl.Series, int], tuple[pl.Series, pl.Series | None]]] = {
    "symbol": _symbol,
    "timestamp": _timestamp,
    "price": _price,
    "size": _size,
    "side": _side,
    "id": _id,
    "snapshot": _snapshot,
    "received": _received,
    **dict.fromkeys(("bid_size", "ask_size", "volume_24h", "value_24h"), _optional_size),
}


# ---- packing


def _unordered(typed: pl.DataFrame, ends: Sequence[int]) -> set[int]:
    """Return the groups, by number, that are not in order, or may repeat a row."""
    times = typed["timestamp"]
    bad = times <= times.shift(1)
    if "id" in typed.columns:
        ids = typed["id"]
        bad &= (times < times.shift(1)) | (ids <= ids.shift(1))
    firsts = set(ends)
    return {bisect_right(ends, at) - 1 for at in bad.fill_null(value=False).arg_true() if at not in firsts}


def _words(kind: Kind[Any], typed: pl.DataFrame) -> list[memoryview[Any]]:
    """Return the columns in the order of the words of a packed row."""
    columns = []
    for name in WORDS[kind.name]:
        column = typed[name].rechunk().to_arrow()
        code: Literal["d", "q"] = "d" if typed[name].dtype == pl.Float64 else "q"
        values = memoryview(column.buffers()[1])[WORD * column.offset : WORD * (column.offset + len(column))]
        columns.append(values.cast(code))
    return columns
