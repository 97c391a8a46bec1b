"""Candles by symbol, timeframe and time: what the store can do with them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Literal

import apsw
import pyarrow as pa

from mdstore.candles import backup, catalogue, integrity, reader, writer
from mdstore.candles.catalogue import Series
from mdstore.candles.database import Database
from mdstore.candles.reader import Request
from mdstore.candles.scanner import Scanner
from mdstore.candles.views import Views
from mdstore.candles.writer import Progress, WriteResult
from mdstore.errors import NoSuchSeriesError, QueryError
from mdstore.schema import TIMESTAMP
from mdstore.timeframe import Timeframe
from mdstore.validation import Checked, OnInvalid

__all__ = ["CandleRepository", "Explanation"]

Road = Literal["apsw", "scanner"]
INTERVAL = pa.month_day_nano_interval()
DURATION = pa.duration("us")

# Where the scanner overtakes APSW (bench/roads.py): it costs a few ms to ask and 0.3 us a row where APSW
# takes 0.5; starting its process takes about half a second first.
SCAN_ROWS = 20_000
SCAN_ROWS_COLD = 2_000_000


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a read was answered: its road, the rows it gave, the time it took and the SQL it ran.

    `road` is "apsw" (by index, in this process) or "scanner" (DuckDB's sqlite scanner, in its own).
    """

    road: Road
    rows: int
    milliseconds: float
    reason: str
    sql: str

    def __str__(self) -> str:
        head = f"{self.rows:,} rows in {self.milliseconds:.2f} ms by {self.road}: {self.reason}"
        return f"{head}\n{self.sql.strip()}"


class CandleRepository:
    """The candles of one file."""

    def __init__(self, path: Path, *, create: bool, busy_timeout: float) -> None:
        self._database = Database(path, create=create, busy_timeout=busy_timeout)
        self._views = Views(self._database)
        self._scanner = Scanner(self._database.path)

    @property
    def path(self) -> Path:
        """The store's file."""
        return self._database.path

    def close(self) -> None:
        """End the scanner process and close the file."""
        self._scanner.close()
        self._database.close()

    def write(
        self, chunks: Iterator[Checked], on_invalid: OnInvalid, progress: Progress | None
    ) -> WriteResult:
        """Land checked chunks in one transaction."""
        return writer.write(self._database, chunks, on_invalid, progress)

    def read(
        self,
        symbols: Sequence[str] | None,
        timeframe: Timeframe,
        *,
        start: int,
        end: int,
        limit: int | None,
        columns: Sequence[str],
    ) -> tuple[pa.Table, Explanation]:
        """Return candles sorted by symbol and time, all of one snapshot; None is every symbol.

        Raises `NoSuchSeriesError`.
        """
        clock = time.perf_counter()
        busy = None
        while True:
            with self._database.reading() as con:
                listed = self._listed(con, symbols, timeframe)
                names = tuple(one.symbol for one in listed)
                request = Request(names, timeframe, tuple(columns), start, end, limit)
                bound = reader.row_bound(request, listed)
                reason = busy or self._why_not_scan(bound)
                if reason is not None:
                    table, sql = reader.read_rows(con, request), reader.rows_sql(request)
                    return _explained(table, "apsw", reason, sql, clock)
            sql = reader.candles_view(request)
            table = self._scanned(request, sql)
            if table is None:
                busy = "no view could be made just now: somebody writes"
            elif symbols is not None or self._same_symbols(request):
                return _explained(table, "scanner", f"up to {bound:,} rows", sql, clock)

    def sql(self, query: str) -> tuple[pa.Table, Explanation]:
        """Return what a read-only DuckDB query gives over candles, series and quarantine."""
        clock = time.perf_counter()
        bounds = self._scanner.wanted(query)
        if bounds is not None:
            bounded = reader.bounded_view(bounds)
            with self._views.holding(bounded) as view:
                if view is not None:
                    table = self._scanner.sql(query, view, once=bounds["references"] > 1)
                    reason = "the query's WHERE bounds the candles"
                    return _explained(_as_frame(table), "scanner", reason, bounded, clock)
        unbounded = "no bound on symbol, timeframe or timestamp: scanned whole"
        reason = unbounded if bounds is None else "no view could be made just now: scanned whole"
        return _explained(_as_frame(self._scanner.sql(query)), "scanner", reason, query, clock)

    def series(self, known: int = -1) -> tuple[int, list[tuple[object, ...]] | None, int]:
        """Return the revision, every series (None where the revision is `known`) and the bytes in use."""
        with self._database.reading() as con:
            revision = catalogue.revision(con)
            rows = None if revision == known else con.execute("SELECT * FROM series").fetchall()
            pages = con.pragma("page_count") - con.pragma("freelist_count")
            return revision, rows, pages * con.pragma("page_size")

    def delete(self, symbol: str, timeframe: Timeframe | None, start: int, end: int) -> int:
        """Delete candles of a symbol, in one timeframe or all; return how many."""
        with self._database.reading() as con:
            keys = [
                (s.symbol, s.timeframe)
                for s in catalogue.all_series(con)
                if s.symbol == symbol and (timeframe is None or s.timeframe == str(timeframe))
            ]
            if not keys:
                raise self._no_series(con, symbol, timeframe)
        return writer.delete(self._database, keys, start, end)

    def quarantine(self) -> list[tuple[object, ...]]:
        """Return the rows set aside, oldest first."""
        with self._database.reading() as con:
            return con.execute("SELECT * FROM quarantine ORDER BY id").fetchall()

    def backup(self, target: Path, *, overwrite: bool, progress: Callable[[int, int], None] | None) -> None:
        """Copy the file to `target` while it is in use."""
        backup.backup(self._database, target, overwrite=overwrite, progress=progress)

    def check(self) -> list[str]:
        """Return what is wrong with the file, in words."""
        return integrity.check(self._database)

    def _listed(
        self, con: apsw.Connection, symbols: Sequence[str] | None, timeframe: Timeframe
    ) -> list[Series]:
        name = str(timeframe)
        wanted = catalogue.symbols_of(con, name) if symbols is None else sorted(set(symbols))
        listed = [catalogue.find(con, symbol, name) for symbol in wanted]
        for symbol, one in zip(wanted, listed, strict=True):
            if one is None:
                raise self._no_series(con, symbol, timeframe)
        if not listed:
            raise self._no_series(con, None, timeframe)
        return [one for one in listed if one is not None]

    def _no_series(
        self, con: apsw.Connection, symbol: str | None, timeframe: Timeframe | None
    ) -> NoSuchSeriesError:
        return catalogue.no_such_series(
            con, symbol, None if timeframe is None else str(timeframe), self.path.name
        )

    def _why_not_scan(self, bound: int) -> str | None:
        if bound <= SCAN_ROWS:
            return f"up to {bound:,} rows"
        if bound <= SCAN_ROWS_COLD and not self._scanner.running:
            return f"up to {bound:,} rows, and the scanner is not running yet"
        return None

    def _scanned(self, request: Request, sql: str) -> pa.Table | None:
        with self._views.holding(sql) as view:
            return None if view is None else reader.from_scan(self._scanner.scan(view), request)

    def _same_symbols(self, request: Request) -> bool:
        with self._database.reading() as con:
            return tuple(catalogue.symbols_of(con, str(request.timeframe))) == request.symbols


def _explained(
    table: pa.Table, road: Road, reason: str, sql: str, clock: float
) -> tuple[pa.Table, Explanation]:
    return table, Explanation(road, table.num_rows, (time.perf_counter() - clock) * 1000, reason, sql)


def _as_frame(table: pa.Table) -> pa.Table:
    """Give times the store's own unit (DuckDB's is the microsecond) and columns names of their own."""
    taken: set[str] = set()
    fields = []
    for field in table.schema:
        named = field
        for number in count(1):
            if named.name not in taken:
                break
            named = field.with_name(f"{field.name}_{number}")
        taken.add(named.name)
        zoned = pa.types.is_timestamp(field.type) and field.type.tz is not None
        fields.append(named.with_type(TIMESTAMP) if zoned else named)
    schema = pa.schema(fields)
    named = table.rename_columns(schema.names)
    for place, field in enumerate(schema):
        if field.type == INTERVAL:
            named = named.set_column(place, field.name, _durations(named.column(place), field.name))
    return named.cast(
        pa.schema([f.with_type(DURATION) if f.type == INTERVAL else f for f in schema]), safe=False
    )


def _durations(intervals: pa.ChunkedArray, name: str) -> pa.Array:
    """Turn DuckDB's intervals into durations, which Polars has; a month is no fixed time."""
    values = intervals.to_pylist()
    if any(value is not None and value.months for value in values):
        raise QueryError(f"column {name} holds intervals of months, of no fixed length; cast it to VARCHAR")
    day = 86_400_000_000
    micros = [None if v is None else v.days * day + v.nanoseconds // 1000 for v in values]
    return pa.array(micros, pa.int64()).cast(DURATION)
