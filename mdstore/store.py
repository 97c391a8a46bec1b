"""The store: the one object users hold, composed of the parts below it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import index
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import polars as pl
import pyarrow as pa

from mdstore.candles.repository import CandleRepository, Explanation
from mdstore.candles.writer import Progress, WriteResult
from mdstore.errors import InvalidInputError, QueryError
from mdstore.forks import refuse_broken_polars, watch_forks
from mdstore.frames import frames
from mdstore.schema import CANDLE_COLUMNS
from mdstore.timeframe import Timeframe
from mdstore.timestamps import Moment, Unit, to_ms
from mdstore.validation import Align, Checked, OnInvalid, Terms, check, check_symbol

__all__ = ["DEFAULT_FILE", "MarketDataStore", "open"]

DEFAULT_FILE = "market_data.sqlite3"
FOREVER = 2**63 - 1
ON_INVALID = ("raise", "quarantine", "drop")
TIME = pl.Datetime("ms", "UTC")
SERIES = {
    "symbol": pl.Categorical, "timeframe": pl.String, "first": pl.Int64, "last": pl.Int64,
    "rows": pl.Int64, "bytes": pl.Int64, "revision": pl.Int64,
}  # fmt: skip
STORED = tuple(name for name in SERIES if name != "bytes")
QUARANTINE = {
    "id": pl.Int64, "quarantined_at": pl.Int64, "symbol": pl.String, "timeframe": pl.String, "row": pl.Int64,
    "column": pl.String, "rule": pl.String, "value": pl.String, "record": pl.String,
}  # fmt: skip


def open(  # noqa: A001 - `mdstore.open`, as `gzip.open`
    path: str | os.PathLike[str] = DEFAULT_FILE, *, create: bool = True, busy_timeout: float = 10.0
) -> MarketDataStore:
    """Open a store's file; create, migrate or recover it as needed.

    `create=False` refuses a path where there is no file yet. A write waits up to `busy_timeout` seconds for
    that of another thread or process. Threads may share the store; so may processes, each with its own `open`
    (a store that is pickled opens its file again).

    Raises `StoreFileError`, `NewerSchemaError`, `StoreBusyError` or `LiveFileError`.

    >>> with mdstore.open(folder / "market_data.sqlite3") as store:
    ...     store.write("KRW-BTC", "1m", [("2025-09-01T00:00", 1, 2, 1, 2, 0.5)]).inserted
    1
    """
    return MarketDataStore(path, create=create, busy_timeout=busy_timeout)


class MarketDataStore:
    """Candles in one SQLite file, in and out as Polars frames; made by `mdstore.open`.

    Times in are datetimes (aware, or naive = UTC), dates, ISO 8601 texts or numbers (see `timestamps`); times
    out are `Datetime("ms", "UTC")`, the start of the bar. Ranges are half-open, `[start, end)`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        create: bool = True,
        busy_timeout: float = 10.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._options = {"create": create, "busy_timeout": busy_timeout}
        self._clock = clock
        watch_forks()
        # The series as they were at a revision of the file: 10,000 of them take 6 ms to read.
        self._catalogue: tuple[int, pl.DataFrame] = (-1, pl.DataFrame())
        self._candles = CandleRepository(_path(path), create=create, busy_timeout=busy_timeout)

    @property
    def path(self) -> Path:
        """The store's file, as an absolute path."""
        return self._candles.path

    def write(
        self,
        symbol: str,
        timeframe: str | Timeframe,
        data: object,
        *,
        unit: Unit | None = None,
        align: Align | None = None,
        on_invalid: OnInvalid = "raise",
        progress: Progress | None = None,
    ) -> WriteResult:
        """Store candles of one series, in one transaction: all of them or, on any error, none.

        `data` is a Polars, pandas or Arrow table (or anything with `__arrow_c_stream__`), a dict of columns,
        rows as dicts or as tuples `(timestamp, open, high, low, close, volume)`, or an iterable of tables
        or rows, which is streamed and may be larger than memory. Columns are found by their names in common
        use (`schema.COLUMN_ALIASES`), others are ignored. Candles already there are updated where they
        differ; within `data` the last row of a time wins.

        `unit` ("s", "ms", "us", "ns") is for numeric times, inferred when absent (see `timestamps`).
        `align="floor"` moves times to the start of their bar, which otherwise must be exact. A row that
        breaks a rule raises `ValidationError`; with `on_invalid="quarantine"` it is set aside with the reason
        and the others are stored, with `"drop"` it is only counted. `progress` is called with the number of
        rows taken so far.

        Raises `InvalidInputError` (and its kinds), `StoreBusyError` or `StoreFileError`.
        """
        key = (check_symbol(symbol), Timeframe.parse(timeframe))
        chunks = self._checked(frames(data, CANDLE_COLUMNS), key, unit, align)
        return self._candles.write(chunks, _on_invalid(on_invalid), progress)

    def write_many(
        self,
        data: object,
        *,
        timeframe: str | Timeframe | None = None,
        unit: Unit | None = None,
        align: Align | None = None,
        on_invalid: OnInvalid = "raise",
        progress: Progress | None = None,
    ) -> WriteResult:
        """Store candles of several series, in one transaction.

        As `write`, with a `symbol` and a `timeframe` column in `data`, in whatever order of rows; with
        `timeframe=` all rows are of that one. Tuples are `(symbol, timeframe, timestamp, open, ...)`, or
        `(symbol, timestamp, open, ...)` with `timeframe=`.
        """
        if timeframe is None:
            long = frames(data, ("symbol", "timeframe", *CANDLE_COLUMNS))
        else:
            bar = str(Timeframe.parse(timeframe))
            name = pl.lit(bar).alias("timeframe")
            long = (frame.with_columns(name) for frame in frames(data, ("symbol", *CANDLE_COLUMNS), bar))
        return self._candles.write(self._checked(long, None, unit, align), _on_invalid(on_invalid), progress)

    def candles(
        self,
        symbols: str | Sequence[str] | None,
        timeframe: str | Timeframe,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        limit: int | None = None,
        columns: Sequence[str] | None = None,
    ) -> pl.DataFrame:
        """Return candles as a Polars frame, ascending and all of one snapshot.

        One symbol gives timestamp, open, high, low, close, volume. A list of symbols, or None for every
        symbol of the timeframe, gives a long frame with `symbol` (categorical) first, sorted by symbol and
        time. `limit` is the latest so many bars in the range, of each symbol. `columns` picks and orders
        columns; a long frame keeps its symbol. A range without candles gives an empty frame of the same
        schema.

        Raises `NoSuchSeriesError` for a series that is not stored, `InvalidInputError` and its kinds.
        """
        refuse_broken_polars()
        return _frame(self._read(symbols, timeframe, start, end, limit, columns)[0])

    def arrow(
        self,
        symbols: str | Sequence[str] | None,
        timeframe: str | Timeframe,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        limit: int | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Return candles as an Arrow table; arguments and order as in `candles`.

        The schema is `schema.CANDLE`, or `schema.LONG_CANDLE` for several symbols.
        """
        return self._read(symbols, timeframe, start, end, limit, columns)[0]

    def sql(self, query: str) -> pl.DataFrame:
        """Return the result of a DuckDB query that reads `candles`, `series` and `quarantine`.

        Times in the tables and in the result are UTC. All the tables are of one snapshot. Conditions on
        symbol, timeframe and timestamp in the query's WHERE bound what is read of a large file.

        Raises `QueryError` for SQL that is wrong or would change something, `ScannerError`.
        """
        refuse_broken_polars()
        return _frame(self._sql(query)[0])

    def explain(
        self,
        symbols: str | Sequence[str] | None = None,
        timeframe: str | Timeframe | None = None,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        limit: int | None = None,
        columns: Sequence[str] | None = None,
        sql: str | None = None,
    ) -> Explanation:
        """Run a read, and say which road it took, why, how many rows it gave and how long it took.

        Takes the arguments of `candles`, or `sql=` and a query.
        """
        if sql is not None:
            return self._sql(sql)[1]
        if timeframe is None:
            raise InvalidInputError("explain needs a timeframe (and symbols), or sql=")
        return self._read(symbols, timeframe, start, end, limit, columns)[1]

    def series(self) -> pl.DataFrame:
        """Return what is stored: symbol, timeframe, first and last bar, rows, bytes and revision.

        `bytes` is each series' share of the file by rows. `revision` grows whenever a series changes.
        """
        refuse_broken_polars()
        known, stored = self._catalogue
        revision, rows, size = self._candles.series(known)
        if rows is not None:
            values = zip(*rows, strict=True) if rows else ((),) * len(STORED)
            stored = pl.DataFrame(
                [pl.Series(name, column, SERIES[name]) for name, column in zip(STORED, values, strict=True)]
            ).with_columns(pl.col("first", "last").cast(TIME))
            self._catalogue = revision, stored
        share = (pl.col("rows") * (size / max(stored["rows"].sum(), 1))).cast(pl.Int64).alias("bytes")
        return stored.with_columns(share).select(tuple(SERIES))

    def quarantine(self) -> pl.DataFrame:
        """Return the rows that were set aside: when, the rule each breaks, and the row as JSON."""
        refuse_broken_polars()
        frame = pl.DataFrame(self._candles.quarantine(), schema=QUARANTINE, orient="row")
        return frame.with_columns(pl.col("quarantined_at").cast(TIME))

    def delete(
        self,
        symbol: str,
        timeframe: str | Timeframe | None = None,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
    ) -> int:
        """Delete candles of a symbol, in one timeframe or all, and return how many rows went.

        Raises `NoSuchSeriesError`.
        """
        bar = None if timeframe is None else Timeframe.parse(timeframe)
        return self._candles.delete(check_symbol(symbol), bar, *_range(start, end))

    def backup(
        self,
        path: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Path:
        """Copy the store to `path` while it is in use, whole or not at all; return the path.

        `progress` is called with pages done and pages in all. Raises `StoreFileError` where there is a file
        already, unless `overwrite`, or where none can be written.
        """
        target = _path(path)
        self._candles.backup(target, overwrite=overwrite, progress=progress)
        return target

    def check(self) -> list[str]:
        """Return what is wrong with the file, in words; an empty list when it is sound.

        Reads the whole file: SQLite's integrity check, then the catalogue against the candles.
        """
        return self._candles.check()

    def close(self) -> None:
        """Close the file and end the scanner process; what was written is safe already."""
        self._candles.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self.path, self._options)

    def __repr__(self) -> str:
        return f"MarketDataStore({str(self.path)!r})"

    def _checked(
        self,
        long: Iterator[pl.DataFrame],
        key: tuple[str, Timeframe] | None,
        unit: Unit | None,
        align: Align | None,
    ) -> Iterator[Checked]:
        if align not in (None, "floor"):
            raise InvalidInputError(f"align={align!r} is neither None nor 'floor'")
        refuse_broken_polars()
        terms, offset = Terms(unit, align, int(self._clock() * 1000)), 0
        for frame in long:
            yield check(frame, key, terms, offset)
            offset += len(frame)

    def _sql(self, query: str) -> tuple[pa.Table, Explanation]:
        if not isinstance(query, str):
            raise QueryError(f"a query is a text, not {query!r}")
        try:
            query.encode()
        except UnicodeError as error:
            raise QueryError(f"the query holds what is no character: {error}") from error
        return self._candles.sql(query)

    def _read(  # noqa: PLR0917 - the arguments of `candles`, passed on
        self,
        symbols: str | Sequence[str] | None,
        timeframe: str | Timeframe,
        start: Moment | None,
        end: Moment | None,
        limit: int | None,
        columns: Sequence[str] | None,
    ) -> tuple[pa.Table, Explanation]:
        first, last = _range(start, end)
        known = CANDLE_COLUMNS if isinstance(symbols, str) else ("symbol", *CANDLE_COLUMNS)
        return self._candles.read(
            _symbols(symbols),
            Timeframe.parse(timeframe),
            start=first,
            end=last,
            limit=_limit(limit),
            columns=_columns(columns, known),
        )


def _frame(table: pa.Table) -> pl.DataFrame:
    try:
        frame = pl.from_arrow(table)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise QueryError(
            f"a column of a type that Polars has not: {error}. Hint: cast it in the query"
        ) from error
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table never becomes a series; for mypy
    return frame


def _reopen(path: Path, options: dict[str, Any]) -> MarketDataStore:
    return MarketDataStore(path, **options)


def _path(path: str | os.PathLike[str]) -> Path:
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


def _range(start: Moment | None, end: Moment | None) -> tuple[int, int]:
    first = -FOREVER if start is None else to_ms(start, "start")
    last = FOREVER if end is None else to_ms(end, "end")
    return first, last


def _symbols(symbols: str | Sequence[str] | None) -> list[str] | None:
    if symbols is None:
        return None
    if isinstance(symbols, str):
        return [check_symbol(symbols)]
    if not isinstance(symbols, Iterable):
        raise InvalidInputError(f"symbols={symbols!r}: give a symbol, a list of symbols, or None for all")
    wanted = [check_symbol(symbol) for symbol in symbols]
    if not wanted:
        raise InvalidInputError("the list of symbols is empty; None means every symbol of the timeframe")
    return wanted


def _limit(limit: int | None) -> int | None:
    if limit is None:
        return None
    try:
        number = index(limit)
    except TypeError:
        number = 0
    if isinstance(limit, bool) or not 0 < number <= FOREVER:
        raise InvalidInputError(f"limit={limit!r} is no number of bars: give a whole number from 1, or None")
    return number


def _columns(columns: Sequence[str] | None, known: Sequence[str]) -> tuple[str, ...]:
    if columns is None:
        return tuple(known)
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


def _on_invalid(on_invalid: OnInvalid) -> OnInvalid:
    if on_invalid not in ON_INVALID:
        raise InvalidInputError(f"on_invalid={on_invalid!r} is none of {', '.join(map(repr, ON_INVALID))}")
    return on_invalid
