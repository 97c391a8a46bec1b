"""Data in: whatever a user has, as Polars frames with canonical column names, a bounded piece at a time.

Values are not looked at here; `candle_rules` does that.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import polars as pl
import pyarrow as pa

from mdstore.core.canonical import Canonical
from mdstore.core.column_names import TIME_OF_DAY, Choice, by_ticker, clean, recognise, unused
from mdstore.core.column_orders import ordered
from mdstore.core.columns_found import Found, find, missing
from mdstore.core.excerpts import excerpt
from mdstore.core.extra_columns import Extra, extras_among
from mdstore.core.statements import Statements, marks_in, refuse_made
from mdstore.core.time_style import TimeStyle
from mdstore.errors import Hint, InvalidInputError

__all__ = ["CHUNK", "Incoming", "Piece"]

CHUNK = 50_000
"""Rows taken at a time: big enough to be quick, small enough that a billion rows fit in little memory."""

SAMPLE = 200
"""Rows that are looked at to tell columns without names."""

MOST_ALONE = 4
"""Columns that are too few for a candle."""

_END = object()
ACCEPTED = (
    "a Polars, pandas or Arrow table, a dict of columns, a row or rows as dicts or as tuples "
    "(timestamp, open, high, low, close, volume), or an iterable of these"
)
READ_IT = Hint(
    "of a file give what is in it, as pl.read_csv(path) reads that; `mdstore import` stores whole files",
    "`mdstore import FILES` stores what is in files",
)
Row = Callable[[int], Mapping[str, object]]
"""Gives a row of a table as it came, by its number; only messages want it."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows under canonical names, and what gives each of them as it came."""

    frame: pl.DataFrame
    row: Row


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under their own names: what was found in them, the names of all columns, each row as it came."""

    frame: pl.DataFrame
    found: Found
    names: Sequence[str]
    row: Row


@dataclass(frozen=True, slots=True)
class Wanted:
    """The canonical columns that data must have, and what the call says of its own."""

    columns: tuple[str, ...]
    choice: Choice
    declared: Callable[[], Sequence[Extra]]

    def found(self, names: Sequence[str], own: Sequence[str] | None = None) -> Found:
        """Tell which columns are which; refuse data that lacks one, in words of its `own` names."""
        found = find(names, self.choice)
        if not found.there >= set(self.columns):
            raise missing(found, names if own is None else own, self.columns)
        return found

    def more(self, names: Sequence[str], found: Found) -> Mapping[str, str]:
        """Map declared columns to the names that they have among those of a table which mean nothing else."""
        return self.among(unused(names, (*found.names, *marks_in(names))), found)

    def among(self, others: Sequence[str], found: Found) -> Mapping[str, str]:
        """Return the same of the names that are left over."""
        return extras_among(others, self.declared()) if others and not found.tickers else {}


class Incoming:
    """The pieces of some data, each of at most `CHUNK` rows that hold exactly `columns`.

    `symbol` and `timeframe` are what the call names where the columns do not, `choice` what it says of them,
    `style` what it says of times. `extras` gives the columns that are declared, asked if any is left over:
    those that the data has come after `columns`, under their names. `ignored` are the columns that were not
    kept, `notes` what was understood; both grow with the pieces.
    """

    def __init__(
        self,
        data: object,
        columns: Sequence[str],
        *,
        symbol: str | None = None,
        timeframe: str | None = None,
        rename: bool = False,
        choice: Choice | None = None,
        style: TimeStyle | None = None,
        extras: Callable[[], Sequence[Extra]] = tuple,
    ) -> None:
        self._data = data
        self._style = style
        self._wanted = Wanted(tuple(columns), choice or Choice({}), cache(extras))
        self._statements = Statements(symbol, timeframe, rename=rename)
        self._canonical: dict[tuple[str, ...], Canonical] = {}  # by the names of the tables
        self._ignored: dict[str, None] = {}

    @property
    def ignored(self) -> tuple[str, ...]:
        """The columns that were not kept, so far."""
        return tuple(self._ignored)

    @property
    def at_hand(self) -> bool:
        """Whether the data is there as a whole, so that no code of the user's gives more of it."""
        return isinstance(self._data, pl.DataFrame | pa.Table | pa.RecordBatch)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was understood, so far."""
        return tuple(sorted(set().union(*(canonical.notes for canonical in self._canonical.values()))))

    def __iter__(self) -> Iterator[Piece]:
        """Yield the pieces.

        Raises `InvalidInputError` for data that is no table, lacks a column, or says of itself that it is of
        another symbol or timeframe than the call.
        """
        for table in _tables(self._data, self._wanted):
            refuse_made(table.frame)
            named = self._named(table)
            # Where columns are of several instruments, the rows are made here, each of one.
            given = (lambda at, frame=named: frame.row(at, named=True)) if table.found.tickers else table.row
            for offset in range(0, max(len(named), 1), CHUNK):
                row = given if not offset else (lambda at, base=offset, given=given: given(base + at))
                yield Piece(named.slice(offset, CHUNK), row)

    def _named(self, table: Table) -> pl.DataFrame:
        found, columns = table.found, self._wanted.columns
        canonical = self._canonical.setdefault(tuple(table.names), Canonical(table.names, self._style))
        there = dict(zip(table.frame.columns, table.frame.iter_columns(), strict=True))
        frame = found.frame(there, canonical)
        self._statements.hold(frame, found.own)
        if "symbol" in columns and "symbol" not in frame.columns:
            raise missing(found, table.names, columns)  # a currency, which is that of prices
        others = unused(table.names, (*found.names, *marks_in(table.names)))
        more = self._wanted.among(others, found)
        self._ignored |= dict.fromkeys(name for name in others if name not in more.values())
        extras = [there[own].alias(name) for name, own in more.items()]
        return pl.DataFrame([*(frame[name] for name in columns), *extras])


def _tables(data: object, wanted: Wanted) -> Iterator[Table]:
    """Yield `data` as tables."""
    if isinstance(data, pl.DataFrame):
        rows = data.rows() if _is_numbered(data.columns, "column_") else None
        yield from [_of_frame(data, wanted)] if rows is None else _from_items(rows, wanted)
    elif isinstance(data, pl.LazyFrame):
        yield from (_of_frame(frame, wanted) for frame in data.collect_batches(chunk_size=CHUNK))
    elif any(kind.__module__.partition(".")[0] == "pandas" for kind in type(data).__mro__):
        yield from _tables_of_pandas(data, wanted)
    elif isinstance(data, pa.RecordBatch) or hasattr(data, "__arrow_c_stream__"):
        yield from _from_arrow(data, wanted)
    elif _is_row(data):
        yield from _from_items([data], wanted)
    elif isinstance(data, Mapping):
        yield _of_frame(_from_columns(data), wanted)
    elif type(data).__module__ == "numpy" and hasattr(data, "dtype"):
        names = data.dtype.names
        yield from _tables({name: data[name] for name in names} if names else data.tolist(), wanted)  # type: ignore[index,attr-defined]
    elif isinstance(data, Iterable) and not isinstance(data, str | bytes):
        yield from _from_items(data, wanted)
    else:
        hint = READ_IT if isinstance(data, str | os.PathLike) else None
        raise InvalidInputError(f"cannot take {type(data).__name__} as candles: give {ACCEPTED}", hint=hint)


def _is_numbered(names: Iterable[object], before: str = "") -> bool:
    """Tell names that a table gives columns for want of others: pd.DataFrame(client.fetch_ohlcv(...))."""
    given = list(names)
    numbered = [f"{before}{place}" if before else place for place in range(len(given))]
    return len(given) > MOST_ALONE and given == numbered


def _of_frame(frame: pl.DataFrame, wanted: Wanted) -> Table:
    return Table(frame, wanted.found(frame.columns), frame.columns, lambda at: frame.row(at, named=True))


def _is_row(data: object) -> bool:
    """Tell a single candle, as a bot has it, from a table or a sequence of rows."""
    if isinstance(data, Mapping):
        return bool(data) and all(_is_scalar(value) for value in data.values())
    return isinstance(data, list | tuple) and len(data) > 1 and all(map(_is_scalar, data))


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | bytes) or not isinstance(value, Iterable)


def _tables_of_pandas(data: Any, wanted: Wanted) -> Iterator[Table]:
    counted = str(getattr(getattr(data, "index", None), "dtype", "")).startswith("int")
    if counted and _is_numbered(getattr(data, "columns", ())):
        yield from _from_items(data.itertuples(index=False, name=None), wanted)
    else:
        yield _from_pandas(data, wanted)


def _from_pandas(data: Any, wanted: Wanted) -> Table:
    """Take a pandas frame; an index that holds the time becomes a column, any other is dropped."""
    if not hasattr(data, "columns"):
        raise InvalidInputError(f"a pandas {type(data).__name__} is no table of candles: give {ACCEPTED}")
    names = [str(name) for name in data.columns]
    if getattr(data.columns, "nlevels", 1) > 1 and not by_ticker(names):
        raise InvalidInputError(
            "the pandas frame has several levels of column names",
            hint=Hint(
                "select one symbol first, e.g. frame.xs('AAPL', axis=1, level='Ticker')",
                "write a file of each symbol",
            ),
        )
    _refuse_twice(names)
    columns = {name: data.iloc[:, place] for place, name in enumerate(names)}
    index = _index_columns(data, names, wanted.choice)
    columns |= {name: data.index.get_level_values(level) for name, level in index.items()}
    found = wanted.found([*index, *names], names)
    extras = wanted.more(names, found).values()
    used = (*found.names, *marks_in(columns), *extras)
    frame = pl.DataFrame([_column(name, columns[name]) for name in used])
    # NaN is pandas' word for none, of which a candle has no use; a declared column has.
    floats = [name for name in extras if frame.schema[name].is_float()]
    frame = frame.with_columns(frame[name].fill_nan(None) for name in floats) if floats else frame
    return Table(frame, found, names, lambda at: dict(zip(names, data.iloc[at], strict=True)))


def _index_columns(data: Any, names: Sequence[str], choice: Choice) -> dict[str, int]:
    """Return the levels of a pandas index that are needed, by the name they get as columns."""
    time = recognise(names).get("timestamp")
    chosen = choice.named.get("timestamp")
    if time is None or (chosen is not None and chosen in data.index.names):
        unnamed = "timestamp"
    elif clean(time) in TIME_OF_DAY and str(data.index.dtype).startswith("datetime"):
        return {"date": 0}  # which the column completes
    else:
        return {}
    return {unnamed if name is None else str(name): level for level, name in enumerate(data.index.names)}


def _from_arrow(data: Any, wanted: Wanted) -> Iterator[Table]:
    """Read an Arrow stream; small batches are put together, since every piece has a fixed cost."""
    batch = isinstance(data, pa.RecordBatch)
    reader = pa.RecordBatchReader.from_batches(data.schema, [data]) if batch else _stream(data)
    held: list[pa.RecordBatch] = []
    rows = 0
    for part in reader:
        held.append(part)
        rows += part.num_rows
        if rows >= CHUNK:
            yield _frame(pa.Table.from_batches(held), wanted)
            held, rows = [], 0
    if held:
        yield _frame(pa.Table.from_batches(held), wanted)


def _stream(data: Any) -> pa.RecordBatchReader:
    try:
        return pa.RecordBatchReader.from_stream(data)
    except (TypeError, pa.ArrowInvalid) as error:
        raise InvalidInputError(
            f"cannot take {type(data).__name__} as candles: {excerpt(error, 300)}"
        ) from error


def _frame(table: pa.Table, wanted: Wanted) -> Table:
    _refuse_twice(table.column_names)
    names = table.column_names
    found = wanted.found(names)
    used = table.select([*found.names, *marks_in(names), *wanted.more(names, found).values()])
    try:
        frame = pl.from_arrow(used)
    except (pl.exceptions.PolarsError, pa.ArrowException, pl.exceptions.PanicException) as error:
        raise InvalidInputError(
            f"an Arrow column of a type that holds no candles: {excerpt(error, 300)}"
        ) from error
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table never becomes a series; for mypy
    return Table(frame, found, names, lambda at: table.slice(at, 1).to_pylist()[0])


def _refuse_twice(names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidInputError(
            f"several columns are named {excerpt(', '.join(twice))}; give each a name of its own"
        )


def _from_columns(data: Mapping[Any, Any]) -> pl.DataFrame:
    columns = {str(name): _column(str(name), values) for name, values in data.items()}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise InvalidInputError(f"the columns differ in length: {excerpt(lengths, 300)}")
    return pl.DataFrame(columns)


def _from_items(data: Iterable[Any], wanted: Wanted) -> Iterator[Table]:
    """Take rows (dicts or tuples) or whole tables, told apart by the first item."""
    items = iter(data)
    first = next(items, _END)
    if first is _END:
        return
    items = itertools.chain([first], items)
    if not _is_row(first):
        for item in items:
            yield from _tables(item, wanted)
        return
    named = isinstance(first, Mapping) or hasattr(first, "_fields")
    offset = 0
    names: Sequence[str] | None = None
    while rows := list(itertools.islice(items, CHUNK)):
        if named:
            yield _from_dicts(rows, offset, wanted)
        else:
            names = names or _names_of(rows, wanted)
            yield _from_tuples(rows, names, offset, wanted)
        offset += len(rows)


def _from_dicts(rows: list[Any], offset: int, wanted: Wanted) -> Table:
    rows = [row._asdict() if hasattr(row, "_fields") else row for row in rows]  # named tuples by their names
    for number, row in enumerate(rows, offset):
        if not isinstance(row, Mapping):
            raise InvalidInputError(f"row {number} is a {type(row).__name__}, the rows before it are dicts")
    there = [str(name) for name in rows[0]]
    found = wanted.found(there)
    names = (*found.names, *marks_in(there), *wanted.more(there, found).values())
    frame = pl.DataFrame([_column(name, [row.get(name) for row in rows]) for name in names])
    return Table(frame, found, there, rows.__getitem__)


def _names_of(rows: list[Any], wanted: Wanted) -> Sequence[str]:
    """Return what the places of tuples are: as documented, or told by their number as in a file."""
    choice, width = wanted.choice, len(rows[0])
    if not choice.placed and width in (
        len(wanted.columns),
        len(wanted.columns) - (choice.volume is not None),
    ):
        return wanted.columns[:width]
    if "symbol" in wanted.columns and not choice.placed:
        return wanted.columns
    sample = [[str(value) for value in row] for row in rows[:SAMPLE] if isinstance(row, list | tuple)]
    return ordered(sample, choice) or wanted.columns


def _from_tuples(rows: list[Any], names: Sequence[str], offset: int, wanted: Wanted) -> Table:
    for number, row in enumerate(rows, offset):
        if not isinstance(row, list | tuple) or len(row) != len(names):
            size = f" of {len(row)}" if isinstance(row, list | tuple) else ""
            raise InvalidInputError(
                f"row {number} is a {type(row).__name__}{size}: rows are tuples of {len(names)} "
                f"({', '.join(names)}), or dicts"
            )
    found = wanted.found(names)
    by_name = dict(zip(names, zip(*rows, strict=True), strict=True))
    used = (*found.names, *wanted.more(names, found).values())
    frame = pl.DataFrame([_column(name, list(by_name[name])) for name in used])
    return Table(frame, found, names, lambda at: dict(zip(names, rows[at], strict=True)))


def _has_zone(values: Any) -> bool:
    """Tell whether values are datetimes of a zone that is not UTC: a day's midnight there is its date."""
    first = next(iter(values), None) if isinstance(values, list | tuple) else None
    return isinstance(first, datetime) and bool(first.utcoffset())


def _column(name: str, values: Any) -> pl.Series:
    """Make a column of Python values; one of mixed types keeps them as they are, to be judged row by row."""
    if isinstance(values, pl.Series):
        return values.alias(name)
    if str(getattr(values, "dtype", "")).startswith("period["):
        values = getattr(values, "dt", values).to_timestamp()  # pandas' periods, each by its start
    if _is_scalar(values):
        raise InvalidInputError(f"column {name} is a single {type(values).__name__}, the others are not")
    if _has_zone(values):
        return pl.Series(name, list(values), dtype=pl.Object)  # Polars would make UTC of it
    try:
        return pl.Series(name, values, strict=True)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError, pa.ArrowException):
        return pl.Series(name, list(values), dtype=pl.Object)
