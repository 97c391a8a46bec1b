"""Data in: whatever a user has, as Polars frames with canonical column names, a bounded piece at a time.

Values are not looked at here; `validation` does that.
"""

from __future__ import annotations

import itertools
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any

import polars as pl
import pyarrow as pa

from mdstore.core.column_names import recognise
from mdstore.core.timeframe import Timeframe
from mdstore.errors import Hint, InvalidInputError, TimeframeError

__all__ = ["CHUNK", "frames"]

CHUNK = 50_000
"""Rows taken at a time: big enough to be quick, small enough that a billion rows fit in little memory."""

CLOSED, FILLED = "closed", "filled"
_END = object()
ACCEPTED = (
    "a Polars, pandas or Arrow table, a dict of columns, a row or rows as dicts or as tuples "
    "(timestamp, open, high, low, close, volume), or an iterable of these"
)


def frames(data: object, columns: Sequence[str], timeframe: str | None = None) -> Iterator[pl.DataFrame]:
    """Yield `data` as frames that hold exactly `columns`, of at most `CHUNK` rows each.

    Raises `InvalidInputError` for data that is no table, lacks a column, has candles of several symbols where
    `symbol` is not among the columns, or says that it is of another timeframe than `timeframe`.
    """
    symbols: set[object] = set()
    for frame in _tables(data, columns):
        _refuse_made(frame)
        named = _named(frame, columns)
        if timeframe is not None:
            _refuse_other(frame, timeframe)
        if "symbol" not in columns:
            symbols.update(_symbols(frame))
            _refuse_several(symbols)
        for offset in range(0, max(len(named), 1), CHUNK):
            yield named.slice(offset, CHUNK)


def _refuse_made(frame: pl.DataFrame) -> None:
    """Refuse bars that say of themselves that they have not ended, or that they fill a hole."""
    for name, made, which in ((CLOSED, False, "have not ended"), (FILLED, True, "fill holes")):
        if name in frame.columns and frame[name].dtype == pl.Boolean and (frame[name] == made).any():
            raise InvalidInputError(
                f"{(frame[name] == made).sum()} of the rows are bars that {which} ({name} is {made})",
                hint=Hint(
                    f"write frame.filter({'~' if made else ''}pl.col('{name}'))", "leave these rows out"
                ),
            )


def _marks(names: Container[str]) -> list[str]:
    """Return which columns say of bars that they are none to be stored."""
    return [name for name in (CLOSED, FILLED) if name in names]


def _refuse_other(frame: pl.DataFrame, timeframe: str) -> None:
    name = recognise(frame.columns).get("timeframe")
    others = [] if name is None else [text for text in frame[name].unique() if not _same(text, timeframe)]
    if others:
        raise InvalidInputError(
            f"the data says {others[0]} in its column {name}, and the timeframe given is {timeframe}"
        )


def _same(text: object, timeframe: str) -> bool:
    try:
        return str(Timeframe.parse(text)) == timeframe  # type: ignore[arg-type]  # parse refuses others
    except TimeframeError:
        return False


def _symbols(frame: pl.DataFrame) -> Iterator[object]:
    """Yield the symbols a frame of one series says it is of; a column of anything but texts says nothing."""
    name = recognise(frame.columns).get("symbol")
    if name is not None and frame[name].dtype in (pl.String, pl.Categorical, pl.Enum):
        yield from frame[name].drop_nulls().unique()


def _refuse_several(symbols: set[object]) -> None:
    if len(symbols) > 1:
        some = ", ".join(sorted(map(str, symbols))[:3])
        raise InvalidInputError(
            f"the data is of {len(symbols)} symbols ({some}, ...) and would land in one series",
            hint=Hint("write_many(data) keeps them apart", "leave --symbol out"),
        )


def _named(frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    found = _recognised(frame.columns, columns)
    return pl.DataFrame([frame[found[name]].alias(name) for name in columns])


def _recognised(names: Sequence[str], columns: Sequence[str]) -> dict[str, str]:
    """Map the canonical names to those of the data; refuse data that lacks one of `columns`."""
    found = recognise(names)
    missing = [name for name in columns if name not in found]
    if missing:
        raise InvalidInputError(
            f"no column for {', '.join(missing)}: the data has {list(names)}",
            hint=f"name the columns {', '.join(columns)}",
        )
    return found


def _tables(data: object, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    """Yield `data` as frames under their own column names."""
    if isinstance(data, pl.DataFrame):
        yield data
    elif isinstance(data, pl.LazyFrame):
        yield from data.collect_batches(chunk_size=CHUNK)
    elif any(kind.__module__.partition(".")[0] == "pandas" for kind in type(data).__mro__):
        yield _from_pandas(data, columns)
    elif isinstance(data, pa.RecordBatch) or hasattr(data, "__arrow_c_stream__"):
        yield from _from_arrow(data, columns)
    elif _is_row(data):
        yield from _from_items([data], columns)
    elif isinstance(data, Mapping):
        yield _from_columns(data)
    elif type(data).__module__ == "numpy" and hasattr(data, "dtype"):
        names = data.dtype.names
        yield from _tables({name: data[name] for name in names} if names else data.tolist(), columns)  # type: ignore[index,attr-defined]
    elif isinstance(data, Iterable) and not isinstance(data, str | bytes):
        yield from _from_items(data, columns)
    else:
        raise InvalidInputError(f"cannot take {type(data).__name__} as candles: give {ACCEPTED}")


def _is_row(data: object) -> bool:
    """Tell a single candle, as a bot has it, from a table or a sequence of rows."""
    if isinstance(data, Mapping):
        return bool(data) and all(_is_scalar(value) for value in data.values())
    return isinstance(data, list | tuple) and len(data) > 1 and all(map(_is_scalar, data))


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | bytes) or not isinstance(value, Iterable)


def _from_pandas(data: Any, wanted: Sequence[str]) -> pl.DataFrame:
    """Take a pandas frame; an index that holds the time becomes a column, any other is dropped."""
    if not hasattr(data, "columns"):
        raise InvalidInputError(f"a pandas {type(data).__name__} is no table of candles: give {ACCEPTED}")
    if getattr(data.columns, "nlevels", 1) > 1:
        raise InvalidInputError(
            "the pandas frame has several levels of column names",
            hint=Hint(
                "select one symbol first, e.g. frame.xs('AAPL', axis=1, level='Ticker')",
                "write a file of each symbol",
            ),
        )
    names = [str(name) for name in data.columns]
    _refuse_twice(names)
    columns = {name: data.iloc[:, place] for place, name in enumerate(names)}
    if "timestamp" not in recognise(names):
        levels = [str(name) if name is not None else "timestamp" for name in data.index.names]
        columns |= {level: data.index.get_level_values(i) for i, level in enumerate(levels)}
    used = {name: columns[name] for name in (*_recognised(list(columns), wanted).values(), *_marks(columns))}
    return pl.DataFrame([_column(name, values) for name, values in used.items()])


def _from_arrow(data: Any, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    """Read an Arrow stream; small batches are put together, since every piece has a fixed cost."""
    batch = isinstance(data, pa.RecordBatch)
    reader = pa.RecordBatchReader.from_batches(data.schema, [data]) if batch else _stream(data)
    held: list[pa.RecordBatch] = []
    rows = 0
    for part in reader:
        held.append(part)
        rows += part.num_rows
        if rows >= CHUNK:
            yield _frame(pa.Table.from_batches(held), columns)
            held, rows = [], 0
    if held:
        yield _frame(pa.Table.from_batches(held), columns)


def _stream(data: Any) -> pa.RecordBatchReader:
    try:
        return pa.RecordBatchReader.from_stream(data)
    except (TypeError, pa.ArrowInvalid) as error:
        raise InvalidInputError(f"cannot take {type(data).__name__} as candles: {error}") from error


def _frame(table: pa.Table, columns: Sequence[str]) -> pl.DataFrame:
    _refuse_twice(table.column_names)
    names = table.column_names
    used = table.select([*_recognised(names, columns).values(), *_marks(names)])
    try:
        frame = pl.from_arrow(used)
    except (pl.exceptions.PolarsError, pa.ArrowException, pl.exceptions.PanicException) as error:
        raise InvalidInputError(f"an Arrow column of a type that holds no candles: {error}") from error
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table never becomes a series; for mypy
    return frame


def _refuse_twice(names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidInputError(f"several columns are named {', '.join(twice)}; give each a name of its own")


def _from_columns(data: Mapping[Any, Any]) -> pl.DataFrame:
    columns = {str(name): _column(str(name), values) for name, values in data.items()}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise InvalidInputError(f"the columns differ in length: {lengths}")
    return pl.DataFrame(columns)


def _from_items(data: Iterable[Any], columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    """Take rows (dicts or tuples) or whole tables, told apart by the first item."""
    items = iter(data)
    first = next(items, _END)
    if first is _END:
        return
    items = itertools.chain([first], items)
    if not _is_row(first):
        for item in items:
            yield from _tables(item, columns)
        return
    named = isinstance(first, Mapping) or hasattr(first, "_fields")
    offset = 0
    while rows := list(itertools.islice(items, CHUNK)):
        yield _from_dicts(rows, offset) if named else _from_tuples(rows, columns, offset)
        offset += len(rows)


def _from_dicts(rows: list[Any], offset: int) -> pl.DataFrame:
    rows = [row._asdict() if hasattr(row, "_fields") else row for row in rows]  # named tuples by their names
    for number, row in enumerate(rows, offset):
        if not isinstance(row, Mapping):
            raise InvalidInputError(f"row {number} is a {type(row).__name__}, the rows before it are dicts")
    found = recognise([str(name) for name in rows[0]])
    names = (*found.values(), *_marks(rows[0]))
    return pl.DataFrame([_column(name, [row.get(name) for row in rows]) for name in names])


def _from_tuples(rows: list[Any], columns: Sequence[str], offset: int) -> pl.DataFrame:
    for number, row in enumerate(rows, offset):
        if not isinstance(row, list | tuple) or len(row) != len(columns):
            size = f" of {len(row)}" if isinstance(row, list | tuple) else ""
            raise InvalidInputError(
                f"row {number} is a {type(row).__name__}{size}: rows are tuples of {len(columns)} "
                f"({', '.join(columns)}), or dicts"
            )
    by_column = zip(columns, zip(*rows, strict=True), strict=True)
    return pl.DataFrame([_column(name, list(values)) for name, values in by_column])


def _column(name: str, values: Any) -> pl.Series:
    """Make a column of Python values; one of mixed types keeps them as they are, to be judged row by row."""
    if isinstance(values, pl.Series):
        return values.alias(name)
    if _is_scalar(values):
        raise InvalidInputError(f"column {name} is a single {type(values).__name__}, the others are not")
    try:
        return pl.Series(name, values, strict=True)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError, pa.ArrowException):
        return pl.Series(name, list(values), dtype=pl.Object)
