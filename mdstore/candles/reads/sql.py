"""SQL over the columns: DuckDB in this process sees Arrow only, mapped packs and what is loose beside them.

It opens no file: reading the store's own by DuckDB would drop SQLite's locks on it, see `guard`. The bounds
that a query's WHERE puts on symbol, timeframe and time say which cells it is given.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import apsw
import polars as pl
import pyarrow as pa

from mdstore.candles.file import catalogue, declared_columns
from mdstore.candles.file.catalogue import Series
from mdstore.candles.file.database import Database
from mdstore.candles.packs.pack_files import PackLostError
from mdstore.candles.packs.seal_policy import Loose, Upkeep
from mdstore.candles.reads import sql_parse
from mdstore.candles.reads.reads import Columnar
from mdstore.candles.reads.sql_answer import as_frame
from mdstore.candles.reads.sql_engine import Engine
from mdstore.candles.reads.sql_given import INTERNAL, Params, own_tables, parameters
from mdstore.candles.reads.sql_running import Deadline, answered, let_go
from mdstore.core.schema import CANDLE_COLUMNS, LONG_CANDLE, QUARANTINE
from mdstore.core.time_bounds import FOREVER
from mdstore.errors import Hint, QueryError

if TYPE_CHECKING:
    import duckdb

__all__ = ["Queries"]

SMALL = {
    "series": pl.Schema({
        "symbol": pl.String, "timeframe": pl.String, "first": pl.Int64, "last": pl.Int64,
        "rows": pl.Int64, "revision": pl.Int64,
    }),
    "quarantine": pl.Schema(QUARANTINE),
}  # fmt: skip
SMALL_ROWS: dict[str, Callable[[apsw.Connection], list[tuple[Any, ...]]]] = {
    "series": catalogue.all_rows,
    "quarantine": catalogue.quarantine,
}
TIMES = ("first", "last", "quarantined_at")
TIME = "epoch_ms({0})::TIMESTAMPTZ AS {0}"
PARTS, STORED = f"{INTERNAL}candles_", f"{INTERNAL}stored_"
PART = "SELECT symbol, {timeframe} AS timeframe, {columns} FROM {name}"
NONE = "NULL::DOUBLE AS {}"
MEMORY_HINT = Hint(
    python="bound symbol, timeframe and timestamp in its WHERE, or open with more sql_memory_bytes",
    cli="bound symbol, timeframe and timestamp in its WHERE",
)
NO_TABLE = re.compile(r"Table with name (.+?) does not exist")
# DuckDB shows the line that went wrong; of a PIVOT that is one that it has written itself.
OWN_LINE = re.compile(r"\n\nLINE \d+: CREATE OR REPLACE TEMP TYPE.*", re.DOTALL)
MEMORY = "SELECT coalesce(sum(memory_usage_bytes), 0)::BIGINT FROM duckdb_memory()"
MISSING = re.compile("does not exist|not found|Referenced column")
ATTEMPTS = 4
# DuckDB of a parent process, in its forked child: neither used nor closed there.
_left: list[object] = []


class Queries:
    """DuckDB SQL over one file."""

    def __init__(
        self, database: Database, columnar: Columnar, upkeep: Upkeep, memory_bytes: int | None = None
    ) -> None:
        """Take what a query is answered from; None for `memory_bytes` is half of the machine's memory."""
        self._memory_bytes = memory_bytes
        self._database = database
        self._columnar = columnar
        self._upkeep = upkeep
        self._lock = threading.Lock()
        self._engine: Engine | None = None

    def run(
        self,
        query: str,
        others: Mapping[str, Callable[[], pa.Table]],
        timeout: float | None = None,
        params: Params | None = None,
        own: Mapping[str, object] | None = None,
    ) -> tuple[pa.Table, dict[str, int]]:
        """Return what a read-only query gives, and how many candles it was given, by timeframe.

        Of the file it sees one snapshot. `others` are tables that are not in it, made when the query names
        them, `own` those of the caller, `params` the values for its parameters. Raises `QueryError`, after
        `timeout` seconds `QueryTimeoutError`.
        """
        import duckdb  # noqa: PLC0415 - 0.1 s that a process without SQL need not wait for

        deadline, params = Deadline.of(timeout), parameters(params)
        others = {**others, **own_tables(own, (*sql_parse.STORED, *others))}
        known = (*sql_parse.STORED, *others)
        connection = self._connected()
        try:
            asked = sql_parse.looked_at(connection, query, known, _by_name(params))
            given = self._register(connection, asked, deadline)
            for name in asked.tables.intersection(others):
                connection.register(name, others[name]())
            table = answered(connection, asked.query, params, deadline)
        except duckdb.OutOfMemoryException as error:
            raise QueryError("the query needs more memory than SQL may take", hint=MEMORY_HINT) from error
        except (duckdb.Error, RecursionError, UnicodeError) as error:
            raise _query_error(str(error), known) from error
        finally:
            let_go(connection)
        return as_frame(table), given

    def parsed(self, query: str) -> tuple[Any, dict[str, Any] | None]:
        """Return DuckDB's own parse of a query that reads, and what it wants of the candles (None is all).

        Raises `QueryError`.
        """
        import duckdb  # noqa: PLC0415 - 0.1 s that a process without SQL need not wait for

        connection = self._connected()
        try:
            return sql_parse.parsed(connection, query)
        except (duckdb.Error, RecursionError, UnicodeError) as error:
            raise _query_error(str(error), sql_parse.STORED) from error
        finally:
            let_go(connection)

    def text_of(self, parsed: Any) -> str:
        """Return the text of a parse. Raises `QueryError`."""
        import duckdb  # noqa: PLC0415 - 0.1 s that a process without SQL need not wait for

        connection = self._connected()
        try:
            return sql_parse.text_of(connection, parsed)
        except duckdb.Error as error:
            raise _query_error(str(error), sql_parse.STORED) from error
        finally:
            let_go(connection)

    def close(self) -> None:
        """Let go of DuckDB."""
        with self._lock:
            engine, self._engine = self._engine, None
            if engine is not None and engine.process == os.getpid():
                engine.connection.close()
                engine.spill.cleanup()

    def memory(self) -> int:
        """Return the bytes of memory that DuckDB holds; 0 before the first query."""
        with self._lock:
            if self._engine is None or self._engine.process != os.getpid():
                return 0
            (found,) = self._engine.connection.cursor().execute(MEMORY).fetchone() or (0,)
            return int(found)

    def after_fork(self) -> None:
        """Go on in a forked child: the parent's threads are not there, and its DuckDB must not be touched."""
        self._lock = threading.Lock()
        if self._engine is not None:
            _left.append(self._engine)
            self._engine = None

    def _connected(self) -> duckdb.DuckDBPyConnection:
        with self._lock:
            if self._engine is None or self._engine.process != os.getpid():
                self._engine = Engine.started(self._memory_bytes)
            return self._engine.query()

    def _register(
        self, connection: duckdb.DuckDBPyConnection, asked: sql_parse.Asked, deadline: Deadline
    ) -> dict[str, int]:
        """Give DuckDB the tables that the query names; return how many candles, by timeframe."""
        bounds = _Bounds.of(asked.wanted) if "candles" in asked.tables else None
        for _ in range(ATTEMPTS):
            with self._database.reading() as con:
                try:
                    tables, loose = self._gathered(con, bounds, deadline)
                except PackLostError as lost:
                    self._columnar.lose(lost)
                    continue
                if not loose:
                    return _register(connection, con, asked.tables, tables)
            if not self._upkeep.seal(loose, lambda *_: deadline.check()):
                break
        with self._database.reading() as con:
            tables, _ = self._gathered(con, bounds, deadline, straight=True)
            return _register(connection, con, asked.tables, tables)

    def _gathered(
        self, con: apsw.Connection, bounds: _Bounds | None, deadline: Deadline, *, straight: bool = False
    ) -> tuple[dict[str, pa.Table], list[Loose]]:
        """Return the candles within the bounds by timeframe; or what of them must be sealed first."""
        tables: dict[str, pa.Table] = {}
        loose: list[Loose] = []
        chosen: dict[str, list[Series]] = {}
        for series in catalogue.all_series(con) if bounds else ():
            if bounds is not None and bounds.admits(series):
                chosen.setdefault(series.timeframe, []).append(series)
        for name, listed in chosen.items():
            deadline.check()
            assert bounds is not None  # noqa: S101 - for mypy
            found = self._columnar.gather(con, listed, name, bounds.start, bounds.end, straight=straight)
            if isinstance(found, pa.Table):
                tables[name] = found
            else:
                loose += found
        return tables, loose


def _by_name(params: Params | None) -> dict[str, object]:
    """Return the values of parameters by the names that DuckDB's parse gives them."""
    if isinstance(params, Mapping):
        return dict(params)
    return {str(place): value for place, value in enumerate(params or (), 1)}


def _query_error(said: str, known: Sequence[str]) -> QueryError:
    """Return the error of what DuckDB says, without names that are nobody's but its own and ours."""
    unknown = NO_TABLE.search(said)
    if unknown is not None:
        return QueryError(f"there is no table {unknown[1]}", hint=sql_parse.tables_hint(known))
    hint = sql_parse.tables_hint(known) if MISSING.search(said) else None
    return QueryError(OWN_LINE.sub("", said), hint=hint)


@dataclass(frozen=True, slots=True)
class _Bounds:
    """What a query wants of the candles; None is any."""

    symbols: frozenset[str] | None
    timeframes: frozenset[str] | None
    start: int
    end: int

    @classmethod
    def of(cls, wanted: dict[str, Any] | None) -> _Bounds:
        """Read what `sql_bounds.wanted` says."""
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


def _register(
    connection: duckdb.DuckDBPyConnection,
    con: apsw.Connection,
    names: AbstractSet[str],
    tables: dict[str, pa.Table],
) -> dict[str, int]:
    declared = [one.name for one in declared_columns.all_declared(con)] if "candles" in names else []
    _register_candles(connection, tables, declared)
    for name, schema in SMALL.items():
        if name in names:
            rows = SMALL_ROWS[name](con)
            connection.register(f"{STORED}{name}", pl.DataFrame(rows, schema, orient="row").to_arrow())
            columns = ", ".join(TIME.format(name) if name in TIMES else _quoted(name) for name in schema)
            connection.execute(f"CREATE TEMP VIEW {name} AS SELECT {columns} FROM {STORED}{name}")  # noqa: S608
    return {name: table.num_rows for name, table in tables.items()}


def _register_candles(
    connection: duckdb.DuckDBPyConnection, tables: dict[str, pa.Table], declared: Sequence[str]
) -> None:
    parts = []
    for number, (timeframe, table) in enumerate((tables or {"": LONG_CANDLE.empty_table()}).items()):
        connection.register(f"{PARTS}{number}", table)
        there = table.column_names
        more = [_quoted(one) if one in there else NONE.format(_quoted(one)) for one in declared]
        columns = ", ".join((*CANDLE_COLUMNS, *more))
        parts.append(PART.format(timeframe=f"'{timeframe}'", columns=columns, name=f"{PARTS}{number}"))
    connection.execute(f"CREATE TEMP VIEW candles AS {' UNION ALL '.join(parts)}")


def _quoted(name: str) -> str:
    return f'"{name}"'
