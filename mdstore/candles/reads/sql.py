"""SQL over the columns: DuckDB in this process sees Arrow only, mapped packs and what is loose beside them.

It opens no file: reading the store's own by DuckDB would drop SQLite's locks on it, see `guard`. The bounds
that a query's WHERE puts on symbol, timeframe and time say which cells it is given.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import apsw
import polars as pl
import pyarrow as pa

from mdstore.candles.file import catalogue
from mdstore.candles.file.catalogue import Series
from mdstore.candles.file.database import Database
from mdstore.candles.packs.cells import FOREVER
from mdstore.candles.packs.pack_files import PackLostError
from mdstore.candles.packs.seal_policy import Loose, Upkeep
from mdstore.candles.reads import sql_bounds as pushdown
from mdstore.candles.reads.reads import Columnar
from mdstore.core.schema import LONG_CANDLE
from mdstore.errors import QueryError

if TYPE_CHECKING:
    import duckdb

__all__ = ["Queries"]

TABLES_HINT = (
    "Hint: the tables are candles, series and quarantine; tickers, orderbooks and trades of what is live"
)
SETTINGS = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    # Not even the store's own file, that of all.
    "enable_external_access": "false",
    "python_enable_replacements": "false",
}
SMALL = {
    "series": {
        "symbol": pl.String, "timeframe": pl.String, "first": pl.Int64, "last": pl.Int64,
        "rows": pl.Int64, "revision": pl.Int64,
    },
    "quarantine": {
        "id": pl.Int64, "quarantined_at": pl.Int64, "symbol": pl.String, "timeframe": pl.String,
        "row": pl.Int64, "column": pl.String, "rule": pl.String, "value": pl.String, "record": pl.String,
    },
}  # fmt: skip
SMALL_ROWS: dict[str, Callable[[apsw.Connection], list[tuple[Any, ...]]]] = {
    "series": catalogue.all_rows,
    "quarantine": catalogue.quarantine,
}
TIMES = ("first", "last", "quarantined_at")
TIME = "epoch_ms({0})::TIMESTAMPTZ AS {0}"
PART = "SELECT symbol, {timeframe} AS timeframe, * EXCLUDE (symbol) FROM {name}"
TABLES = ("candles", "series", "quarantine")
INDIRECT = "query"  # query('...') and query_table('...')
ATTEMPTS = 4
HIDDEN_ERRORS = 8
WAKE_SECONDS = 0.05
# DuckDB of a parent process, in its forked child: neither used nor closed there.
_left: list[object] = []


class Queries:
    """DuckDB SQL over one file."""

    def __init__(self, database: Database, columnar: Columnar, upkeep: Upkeep) -> None:
        self._database = database
        self._columnar = columnar
        self._upkeep = upkeep
        self._lock = threading.Lock()
        self._root: _Root | None = None

    def run(self, query: str, others: Mapping[str, Callable[[], pa.Table]]) -> tuple[pa.Table, str]:
        """Return what a read-only query gives, and the bounds it was given in words.

        Of the file it sees one snapshot. `others` are tables that are not in it, made when the query may name
        them. Raises `QueryError`.
        """
        import duckdb  # noqa: PLC0415 - 0.1 s that a process without SQL need not wait for

        connection = self._connected()
        try:
            _refuse_writing(connection, query)
            given = self._register(connection, query)
            for name, made in others.items():
                if name in query.lower() or INDIRECT in query.lower():
                    connection.register(name, made())
            table = _answered(connection, query)
        except (duckdb.Error, RecursionError, UnicodeError) as error:
            raise QueryError(f"{error}\n{TABLES_HINT}") from error
        finally:
            connection.close()
        return table, f"given {given} candles" if given else "given no candles"

    def close(self) -> None:
        """Let go of DuckDB."""
        with self._lock:
            root, self._root = self._root, None
            if root is not None and root.process == os.getpid():
                root.connection.close()
                root.spill.cleanup()

    def after_fork(self) -> None:
        """Go on in a forked child: the parent's threads are not there, and its DuckDB must not be touched."""
        self._lock = threading.Lock()
        if self._root is not None:
            _left.append(self._root)
            self._root = None

    def _connected(self) -> duckdb.DuckDBPyConnection:
        with self._lock:
            if self._root is None or self._root.process != os.getpid():
                self._root = _Root.made()
            return self._root.connection.cursor()

    def _register(self, connection: duckdb.DuckDBPyConnection, query: str) -> str:
        """Give DuckDB the tables that the query may name; return the bounds in words."""
        lower = query.lower()
        if INDIRECT in lower:
            # A table that is named by a text, which may be put together: everything is given.
            lower = " ".join(TABLES)
        bounds: _Bounds | None = None
        if "candles" in lower:
            bounds = _Bounds.of(None if INDIRECT in query.lower() else _wanted(connection, query))
        for _ in range(ATTEMPTS):
            with self._database.reading() as con:
                try:
                    tables, loose = self._gathered(con, bounds)
                except PackLostError as lost:
                    self._columnar.lose(lost)
                    continue
                if not loose:
                    return _register(connection, con, lower, tables)
            if not self._upkeep.seal(loose):
                break
        with self._database.reading() as con:
            tables, _ = self._gathered(con, bounds, straight=True)
            return _register(connection, con, lower, tables)

    def _gathered(
        self, con: apsw.Connection, bounds: _Bounds | None, *, straight: bool = False
    ) -> tuple[dict[str, pa.Table], list[Loose]]:
        """Return the candles within the bounds by timeframe; or what of them must be sealed first."""
        tables: dict[str, pa.Table] = {}
        loose: list[Loose] = []
        chosen: dict[str, list[Series]] = {}
        for series in catalogue.all_series(con) if bounds else ():
            if bounds is not None and bounds.admits(series):
                chosen.setdefault(series.timeframe, []).append(series)
        for name, listed in chosen.items():
            assert bounds is not None  # noqa: S101 - for mypy
            found = self._columnar.gather(con, listed, name, bounds.start, bounds.end, straight=straight)
            if isinstance(found, pa.Table):
                tables[name] = found
            else:
                loose += found
        return tables, loose


@dataclass(frozen=True, slots=True)
class _Bounds:
    """What a query wants of the candles; None is any."""

    symbols: frozenset[str] | None
    timeframes: frozenset[str] | None
    start: int
    end: int

    @classmethod
    def of(cls, wanted: dict[str, Any] | None) -> _Bounds:
        """Read what `pushdown.wanted` says."""
        if wanted is None:
            return cls(None, None, -FOREVER, FOREVER)
        symbols, timeframes = (
            None if wanted[name] is None else frozenset(wanted[name]) for name in ("symbol", "timeframe")
        )
        start = -FOREVER if wanted["start"] is None else wanted["start"]
        return cls(symbols, timeframes, start, FOREVER if wanted["end"] is None else wanted["end"])

    def admits(self, series: Series) -> bool:
        """Tell whether any candle of a series lies within."""
        return (
            (self.symbols is None or series.symbol in self.symbols)
            and (self.timeframes is None or series.timeframe in self.timeframes)
            and series.last >= self.start
            and series.first < self.end
        )


@dataclass(frozen=True, slots=True)
class _Root:
    """DuckDB in this process, and the folder that its large queries spill to.

    The folder is of this one alone: DuckDB's spill files have fixed names, and two that shared one read each
    other's, which gave a wrong sum.
    """

    process: int
    connection: duckdb.DuckDBPyConnection
    spill: tempfile.TemporaryDirectory[str]

    @classmethod
    def made(cls) -> _Root:
        """Start DuckDB."""
        import duckdb  # noqa: PLC0415 - see `Queries.run`

        spill = tempfile.TemporaryDirectory(prefix="mdstore-duckdb-", ignore_cleanup_errors=True)
        connection = duckdb.connect(config={**SETTINGS, "temp_directory": spill.name})
        connection.execute("SET TimeZone = 'UTC'")
        # DuckDB does not know how many rows an Arrow table has, takes them for few, and joins as-of by a
        # nested loop: 2,300 ms in place of 6 for 10,000 trades and 20,000 tickers.
        connection.execute("SET asof_loop_join_threshold = 0")
        return cls(os.getpid(), connection, spill)


def _answered(connection: duckdb.DuckDBPyConnection, query: str) -> pa.Table:
    """Run a query, again where DuckDB says that it was interrupted, as nobody does who comes to see it.

    Where one of its threads fails, another may stop as if it was interrupted, and that hides the error: up
    to a tenth of the time with DuckDB 1.5 (https://github.com/duckdb/duckdb/pull/25902).
    """
    import duckdb  # noqa: PLC0415 - see `Queries.run`

    for _ in range(HIDDEN_ERRORS):
        with suppress(duckdb.InterruptException):
            return _waited_for(connection, lambda: connection.execute(query).to_arrow_table())
    return _waited_for(connection, lambda: connection.execute(query).to_arrow_table())


def _waited_for(connection: duckdb.DuckDBPyConnection, work: Callable[[], pa.Table]) -> pa.Table:
    """Return what `work` gives, from another thread; Ctrl-C ends it.

    In the main thread DuckDB looks for signals by itself, and loses one now and then.
    """
    done: Future[pa.Table] = Future()
    thread = threading.Thread(target=_into, args=(done, work), name="mdstore-sql", daemon=True)
    thread.start()
    try:
        while True:
            with suppress(TimeoutError):
                return done.result(WAKE_SECONDS)
    finally:
        while thread.is_alive():
            connection.interrupt()
            thread.join(WAKE_SECONDS)


def _into(done: Future[pa.Table], work: Callable[[], pa.Table]) -> None:
    try:
        done.set_result(work())
    except BaseException as error:
        done.set_exception(error)


def _register(
    connection: duckdb.DuckDBPyConnection, con: apsw.Connection, query: str, tables: dict[str, pa.Table]
) -> str:
    _register_candles(connection, tables)
    for name, schema in SMALL.items():
        if name in query:
            rows = SMALL_ROWS[name](con)
            connection.register(f"stored_{name}", pl.DataFrame(rows, schema, orient="row").to_arrow())
            columns = ", ".join(TIME.format(name) if name in TIMES else _quoted(name) for name in schema)
            connection.execute(f"CREATE TEMP VIEW {name} AS SELECT {columns} FROM stored_{name}")  # noqa: S608
    return ", ".join(f"{table.num_rows:,} {name}" for name, table in tables.items())


def _register_candles(connection: duckdb.DuckDBPyConnection, tables: dict[str, pa.Table]) -> None:
    parts = []
    for number, (timeframe, table) in enumerate((tables or {"": LONG_CANDLE.empty_table()}).items()):
        connection.register(f"candles_{number}", table)
        parts.append(PART.format(timeframe=f"'{timeframe}'", name=f"candles_{number}"))
    connection.execute(f"CREATE TEMP VIEW candles AS {' UNION ALL '.join(parts)}")


def _quoted(name: str) -> str:
    return f'"{name}"'


def _refuse_writing(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    import duckdb  # noqa: PLC0415 - see `Queries.run`

    statements = connection.extract_statements(query)
    if len(statements) != 1:
        raise QueryError(f"one statement at a time, this has {len(statements)}")
    # DuckDB's own parser tells what would write, attach or set. EXPLAIN is out, too: it can run a COPY.
    if statements[0].type != duckdb.StatementType.SELECT:
        raise QueryError(
            f"store.sql only reads, and this is {statements[0].type.name}. "
            "Hint: store.write and store.delete change candles"
        )


def _wanted(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, Any] | None:
    """Return the bounds a query puts on the candles; none where it is too deep to be looked through."""
    import duckdb  # noqa: PLC0415 - see `Queries.run`

    try:
        row = connection.execute("SELECT json_serialize_sql(?)", [query]).fetchone()
        return pushdown.wanted(json.loads(row[0])) if row else None
    except (duckdb.Error, RecursionError, UnicodeError):
        return None
