"""One bar, twice: with equal values a duplicate; with different ones a conflict, and nobody's guess.

Several instruments under one name, a time of day that was lost, two exchanges in one file: all of these look
like bars that come again, and the last of each day would bury the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import lt
from typing import Any, Literal

import polars as pl

from mdstore.core.column_names import clean, recognise
from mdstore.core.excerpts import excerpt
from mdstore.core.extra_columns import Extra, extras_among
from mdstore.core.schema import CANDLE_COLUMNS, VALUES
from mdstore.core.timeframe import DAY, Timeframe
from mdstore.core.timestamps import ms_to_datetime
from mdstore.errors import ConflictError, Hint

__all__ = [
    "Conflict", "OnConflict", "Sole", "conflict_error", "each_once", "names_of_runs", "starts_of_runs",
    "values_in",
]  # fmt: skip

OnConflict = Literal["raise", "last"]
Given = Callable[[int], Mapping[str, object]]
MOST_COLUMNS = 5
LAST = Hint(
    "on_conflict='last' takes the last row of each bar", "--on-conflict last takes the last row of each bar"
)
KEPT = Hint(
    "leave this range out of keep= where the stored bar may change",
    "--on-conflict last takes the later bar",
)
AT_MIDNIGHT = "both are at midnight: name a column of times of day time, beside a date"
BESIDE = ("symbol", "moved", *CANDLE_COLUMNS)
"""The columns of checked rows that are no values of declared columns."""
# Columns that differ from row to row in any table, and so tell nothing apart.
TELLS_NOTHING = ("", "unnamed: 0", "index", "id", "row", "num")


@dataclass(frozen=True, slots=True)
class Conflict:
    """A bar that comes twice with different values.

    `timestamp` is in ms, `earlier` and `later` are the values of the columns `names`. `differ` are the other
    columns in which the rows differ, None where the earlier row is no longer at hand. `stored` is whether the
    earlier values were stored before the call.
    """

    symbol: str
    timeframe: str
    timestamp: int
    earlier: tuple[float | None, ...]
    later: tuple[float | None, ...]
    rows: tuple[int, int] | None = None
    differ: tuple[str, ...] | None = None
    stored: bool = False
    names: tuple[str, ...] = VALUES


@dataclass(frozen=True, slots=True)
class Sole:
    """Rows ascending by key, the last of each, and how many others there were.

    `duplicates` were equal to the last of their key, `conflicts` were not; `example` are the places of two
    rows of one key with different values.
    """

    rows: pl.DataFrame
    duplicates: int = 0
    conflicts: int = 0
    example: tuple[int, int] | None = None


def each_once(good: pl.DataFrame, keys: list[str]) -> Sole:
    """Sort rows by key and keep the last of each."""
    if _ascends(good, keys):
        return Sole(good)
    ordered = good.sort(keys, maintain_order=True)
    if _ascends(ordered, keys):  # to find the last of each by hashes takes six times as long
        return Sole(ordered)
    sole = good.unique(keys, keep="last", maintain_order=True).sort(keys)
    again = len(good) - len(sole)
    values = values_in(good)
    if not again or good.unique([*keys, *values]).height == len(sole):
        return Sole(sole, again)
    last = sole.select(*keys, *(pl.col(name).alias(f"last {name}") for name in values))
    placed = good.with_row_index("place").join(last, on=keys, how="left", maintain_order="left")
    differs = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"last {name}")) for name in values)
    wrong = placed.filter(differs)
    first = wrong.row(0, named=True)
    same = placed.filter(pl.all_horizontal(pl.col(name) == first[name] for name in keys))
    return Sole(sole, again - len(wrong), len(wrong), (first["place"], same["place"][-1]))


def _ascends(rows: pl.DataFrame, keys: list[str]) -> bool:
    """Tell whether rows ascend by their keys, each once."""
    times = rows["timestamp"]
    later = times.slice(1) > times.slice(0, max(len(times) - 1, 0))
    if len(keys) == 1:
        return later.all()
    symbols = rows["symbol"]
    starts = starts_of_runs(symbols)
    names = names_of_runs(symbols, starts)
    if not all(map(lt, names, names[1:])):
        return False
    if len(starts) > 1:
        later = later.scatter([start - 1 for start in starts[1:]], values=True)
    return later.all()


def starts_of_runs(values: pl.Series) -> list[int]:
    """Return where another value begins than the one before.

    >>> starts_of_runs(pl.Series(["A", "A", "B", "A"])), starts_of_runs(pl.Series([], dtype=pl.String))
    ([0, 2, 3], [])
    """
    if not len(values):
        return []
    next_ones, ones = values.slice(1), values.slice(0, len(values) - 1)
    # The other way waits for a query, which is not needed where each has a value.
    other = next_ones.ne_missing(ones) if values.null_count() else next_ones != ones
    if other.all():  # a bar of each: 30 us less
        return list(range(len(values)))
    return [0, *(other.arg_true() + 1).to_list()] if other.any() else [0]


def names_of_runs(values: pl.Series, starts: list[int]) -> list[Any]:
    """Return the values that begin at some rows; where these are all, without the query that picks them."""
    return (values if len(starts) == len(values) else values.gather(starts)).to_list()


def values_in(rows: pl.DataFrame) -> tuple[str, ...]:
    """Return the columns of checked rows that are values: a candle's, then declared ones."""
    return (*VALUES, *(name for name in rows.columns if name not in BESIDE))


def differing(given: Given, rows: tuple[int, int], extras: Sequence[str]) -> tuple[str, ...]:
    """Return the columns, other than values, in which two rows differ as they were given.

    `extras` are the declared columns that they have.
    """
    one, other = map(given, rows)
    found = recognise(map(str, one))
    known = {found.get(name) for name in (*CANDLE_COLUMNS, "time of day")}
    known.update(extras_among(list(map(str, one)), [Extra(name, "sum") for name in extras]).values())
    return tuple(
        str(name)
        for name in one
        if name not in known
        and clean(str(name)) not in TELLS_NOTHING
        and str(one[name]) != str(other.get(name))
    )


def conflict_error(conflict: Conflict, number: int, ignored: tuple[str, ...] = ()) -> ConflictError:
    """Return the error of bars that come twice with different values, `number` of them at least.

    `ignored` are the columns of the data that are not kept: one of them may tell the rows apart.
    """
    name, before, after = _first_difference(conflict)
    how = "is stored with other values" if conflict.stored else "comes twice with different values"
    numbers = f" (rows {conflict.rows[0]:,} and {conflict.rows[1]:,})" if conflict.rows else ""
    more = f"; so do {number - 1:,} more rows" if number > 1 else ""
    when = ms_to_datetime(conflict.timestamp).isoformat().replace("+00:00", "Z")
    apart = _apart(conflict, ignored)
    return ConflictError(
        f"{conflict.symbol} {conflict.timeframe} at {when} {how}{numbers}: "
        f"{name} = {before!r} and {after!r}{more}{apart}. Nothing was written",
        hint=_hint(conflict),
        symbol=conflict.symbol,
        timeframe=conflict.timeframe,
        timestamp=conflict.timestamp,
        earlier=conflict.earlier,
        later=conflict.later,
        names=conflict.names,
        columns=conflict.differ or (),
        stored=conflict.stored,
    )


def _first_difference(conflict: Conflict) -> tuple[str, float | None, float | None]:
    pairs = zip(conflict.names, conflict.earlier, conflict.later, strict=True)
    return next(pair for pair in pairs if pair[1] != pair[2])


def _apart(conflict: Conflict, ignored: tuple[str, ...]) -> str:
    names = conflict.differ if conflict.differ is not None else ignored
    if not names:
        return ""
    shown = ", ".join(excerpt(name, 40) for name in names[:MOST_COLUMNS])
    told = "the rows differ in" if conflict.differ is not None else "columns that are not kept are"
    return f"; {told} {shown}"


def _hint(conflict: Conflict) -> Hint:
    if conflict.stored:
        return KEPT
    if conflict.timestamp % DAY == 0 and Timeframe.parse(conflict.timeframe).shortest_ms < DAY:
        return Hint(f"{AT_MIDNIGHT}; {LAST.python}", f"{AT_MIDNIGHT}; {LAST.cli}")
    if not conflict.differ:
        return LAST
    named = f"if {excerpt(conflict.differ[0], 40)} says which instrument a row is of, name it symbol and "
    return Hint(f"{named}call write_many(data); {LAST.python}", f"{named}leave --symbol out; {LAST.cli}")
