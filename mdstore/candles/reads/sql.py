"""SQL over the columns: DuckDB in this process sees Arrow only, mapped packs and what is loose beside them.

It opens no file: reading the store's own by DuckDB would drop SQLite's locks on it, see `guard`. The bounds
that a query's WHERE puts on symbol, timeframe and time say which cells it is given.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

import apsw
import polars as pl
import pyarrow as pa
from cachetools import LRUCache

from mdstore.candles.file import catalogue, declared_columns
from mdstore.candles.file.catalogue import Series
from mdstore.candles.file.database import Database
from mdstore.candles.packs.columns import Panel
from mdstore.candles.packs.pack_files import PackLostError
from mdstore.candles.packs.seal_policy import Loose, Upkeep
from mdstore.candles.reads import sql_parse
from mdstore.candles.reads.grown import Grown
from mdstore.candles.reads.reads import Columnar
from mdstore.candles.reads.sql_answer import as_frame
from mdstore.candles.reads.sql_candles import Candles, quoted
from mdstore.candles.reads.sql_engine import Engine
from mdstore.candles.reads.sql_given import INTERNAL, Params, own_tables, parameters
from mdstore.candles.reads.sql_running import Deadline, answered, apart, imported, let_go
from mdstore.core.long_table import Long
from mdstore.core.schema import QUARANTINE
from mdstore.core.time_bounds import FOREVER
from mdstore.errors import Hint, MarketDataError, QueryError

if TYPE_CHECKING:
    import duckdb

__all__ = ["Queries"]

T = TypeVar("T")

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
STORED = f"{INTERNAL}stored_"
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
REMEMBERED, REMEMBERED_LENGTH = 256, 10_000
"""So many queries, of so many letters at most, are known when they come again."""
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
        self._remembered: LRUCache[object, sql_parse.Asked] = LRUCache(REMEMBERED)
        self._none = Candles({})
        self._kept: WeakSet[Candles] = WeakSet()
        self._closed = False

    def run(
        self,
        query: str,
        others: Mapping[str, Callable[[], pa.Table]],
        timeout: float | None = None,
        params: Params | None = None,
        own: Mapping[str, object] | None = None,
    ) -> tuple[pa.Table, dict[str, int], tuple[str, ...]]:
        """Return what a read-only query gives, the candles it was given, by timeframe, and its tiers.

        Of the file it sees one snapshot. `others` are tables that are not in it, made when the query names
        them, `own` those of the caller, `params` the values for its parameters. Raises `QueryError`, after
        `timeout` seconds `QueryTimeoutError`.
        """
        deadline, params = Deadline.of(timeout), parameters(params)
        others = {**others, **own_tables(own, (*sql_parse.STORED, *others))}
        known = (*sql_parse.STORED, *others)
        with self._errors(known):
            engine = self._started()
            asked = self._asked(query, known, params)
            candles, small = self._found(asked, deadline)
            series = _as_stored(asked, candles)
            if series is not None:
                self._keep(candles)
                return series, candles.rows, _lying_in(candles)
            given, connection = candles.connection(engine, asked.named)
            is_as_before = False
            try:
                self._keep(candles)
                named = {name: make() for name, make in others.items() if name in asked.tables}
                if small or named:
                    apart(lambda: _register(connection, small, named))
                table = answered(connection, asked.query, params, deadline)
                is_as_before = not (small or named or asked.makes_types)
            finally:
                if not (is_as_before and candles.give_back(engine, given, connection)):
                    let_go(connection)
        return as_frame(table), candles.rows, ("duckdb",)

    def parsed(self, query: str) -> tuple[Any, dict[str, Any] | None]:
        """Return DuckDB's own parse of a query that reads, and what it wants of the candles (None is all).

        Raises `QueryError`.
        """
        with self._errors(sql_parse.STORED):
            return self._apart(lambda connection: sql_parse.parsed(connection, query))

    def text_of(self, parsed: Any) -> str:
        """Return the text of a parse. Raises `QueryError`."""
        with self._errors(sql_parse.STORED):
            return self._apart(lambda connection: sql_parse.text_of(connection, parsed))

    def close(self) -> None:
        """Let go of DuckDB; who is in the middle of a query is told that the store is closed."""
        with self._lock:
            self._closed = True
            engine, self._engine = self._engine, None
            for candles in (self._none, *self._kept):
                for *_, connection in candles.let_go():
                    connection.close()
            if engine is not None and engine.process == os.getpid():
                engine.close()

    def memory(self) -> int:
        """Return the bytes of memory that DuckDB holds; 0 before the first query."""
        with self._lock:
            engine = self._own_engine()
            if engine is None:
                return 0
            cursor = engine.query()
        with suppress(imported().Error):  # of a store that is closed meanwhile
            (found,) = apart(lambda: cursor.execute(MEMORY).fetchone()) or (0,)
            return int(found)
        return 0

    def after_fork(self) -> None:
        """Go on in a forked child: the parent's threads are not there, and its DuckDB must not be touched."""
        self._lock = threading.Lock()
        for candles in (self._none, *self._kept):
            _left.extend(candles.after_fork())
        if self._engine is not None:
            _left.append(self._engine)
            self._engine = None

    def _apart(self, work: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """Do short work on a connection of its own."""
        engine = self._started()

        def done() -> T:
            connection = engine.query()
            try:
                return work(connection)
            finally:
                connection.close()

        return apart(done)

    def _started(self) -> Engine:
        with self._lock:
            if self._closed or self._database.closed:
                self._database.refuse_closed()
            engine = self._own_engine()
        if engine is not None:
            return engine
        # Not with the lock held: a signal handler that closes the store meanwhile would wait for it for ever.
        engine = apart(lambda: Engine.started(self._memory_bytes))
        with self._lock:
            if not self._closed and self._own_engine() is None:
                self._engine = engine
                return engine
        engine.close()
        return self._started()  # that of another thread, or refused

    def _own_engine(self) -> Engine | None:
        """Return the engine that runs, if one does; a forked child must not touch its parent's."""
        return None if self._engine is None or self._engine.process != os.getpid() else self._engine

    @contextmanager
    def _errors(self, known: Sequence[str]) -> Iterator[None]:
        """Say as our own errors what goes wrong with a query; `known` are the tables that there are.

        With its connection closed meanwhile DuckDB may raise anything, as where it then has no columns.
        """
        duckdb = imported()
        try:
            yield
        except MarketDataError:
            raise
        except Exception as error:
            if self._closed:
                self._database.refuse_closed(error)
            if isinstance(error, duckdb.OutOfMemoryException):
                raise _no_memory() from error
            if isinstance(error, (duckdb.Error, RecursionError, UnicodeError)):
                raise _query_error(str(error), known) from error
            raise

    def _asked(self, query: str, known: tuple[str, ...], params: Params | None) -> sql_parse.Asked:
        """Look through a query, unless it was looked through before: that takes a millisecond."""
        key = (query, known)
        is_short = not params and len(query) <= REMEMBERED_LENGTH
        with self._lock:
            asked = self._remembered.get(key) if is_short else None
        if asked is not None:
            return asked
        given = _by_name(params)
        asked = self._apart(lambda connection: sql_parse.looked_at(connection, query, known, given))
        if is_short:
            with self._lock:
                self._remembered[key] = asked
        return asked

    def _found(self, asked: sql_parse.Asked, deadline: Deadline) -> tuple[Candles, dict[str, pa.Table]]:
        """Return the candles that a query is given, and the small tables of the file, of one snapshot."""
        bounds = _Bounds.of(asked.wanted) if "candles" in asked.tables else None
        for _ in range(ATTEMPTS):
            with self._database.reading() as con:
                try:
                    found = self._gathered(con, bounds, deadline)
                except PackLostError as lost:
                    self._columnar.lose(lost)
                    continue
                if isinstance(found, Candles):
                    return found, _small(con, asked.tables)
            if not self._upkeep.seal(found, lambda *_: deadline.check()):
                break
        with self._database.reading() as con:
            found = self._gathered(con, bounds, deadline, straight=True)
            assert isinstance(found, Candles)  # noqa: S101 - nothing must be sealed for the table; for mypy
            return found, _small(con, asked.tables)

    def _gathered(
        self, con: apsw.Connection, bounds: _Bounds | None, deadline: Deadline, *, straight: bool = False
    ) -> Candles | list[Loose]:
        """Return the candles within the bounds; or what of them must be sealed first."""
        if bounds is None:
            return self._none
        revision = catalogue.revision(con)
        declared = tuple(one.name for one in declared_columns.all_declared(con))
        kept: Candles | None = self._columnar.kept(("sql", bounds), revision)
        if kept is not None and kept.declared == declared:
            return kept.answering()
        grown = self._grown(bounds, declared, revision)
        if grown is not None:
            return grown
        panels: dict[str, Panel | Long] = {}
        loose: list[Loose] = []
        chosen: dict[str, list[Series]] = {}
        for series in catalogue.all_series(con):
            if bounds.admits(series):
                chosen.setdefault(series.timeframe, []).append(series)
        limit = bounds.newest if sum(map(len, chosen.values())) == 1 else None
        for name, listed in chosen.items():
            deadline.check()
            window = (bounds.start, bounds.end, limit)
            found = self._columnar.gather(con, listed, name, window, straight=straight)
            if isinstance(found, list):
                loose += found
            else:
                panels[name] = found
        return loose or self._candles(panels, declared, bounds, revision)

    def _grown(self, bounds: _Bounds, declared: tuple[str, ...], revision: int) -> Candles | None:
        """Return what is kept with what was written since, where that is all that a query wants."""
        kept: Candles | None = self._columnar.stale(("sql", bounds))
        if (
            kept is None
            or kept.declared != declared
            or bounds.symbols is not None
            or bounds.newest is not None
        ):
            return None
        panels = dict(zip(kept.longs, kept.panels or (), strict=True))
        found = self._columnar.grow(panels, (bounds.start, bounds.end, None), kept.revision, revision)
        if found is None or any(bounds.takes(name) and name not in panels for name in found.timeframes):
            return None
        return self._candles(found.panels, declared, bounds, revision)

    def _candles(
        self,
        found: Mapping[str, Panel | Grown | Long],
        declared: tuple[str, ...],
        bounds: _Bounds,
        revision: int,
    ) -> Candles:
        """Return candles as a query is given them; to be kept, unless they come straight from the table."""
        panels = [one for one in found.values() if not isinstance(one, Long)]
        longs = {name: one if isinstance(one, Long) else one.long for name, one in found.items()}
        key = ("sql", bounds) if len(panels) == len(longs) else None
        return Candles(longs, declared, panels, revision, key)

    def _keep(self, candles: Candles) -> None:
        """Keep candles as they are now; without their rows where they take more than may be kept."""
        if candles.key is None or candles.bytes == candles.counted:
            return
        candles.counted = candles.bytes
        kept = candles if candles.bytes <= self._columnar.limit else self._light(candles)
        if kept is not None:
            self._columnar.keep(kept.key, kept)
            self._kept.add(kept)

    def _light(self, candles: Candles) -> Candles | None:
        """Return candles as they are kept without their rows. None where that is not worth it.

        A pack of theirs that is lost meanwhile is noticed by who asks for them next.
        """
        with suppress(PackLostError):
            panels = [self._columnar.lightly(panel) for panel in candles.panels or ()]
            some = [panel for panel in panels if panel is not None]
            return candles.light(some) if len(some) == len(panels) else None
        return None


def _as_stored(asked: sql_parse.Asked, candles: Candles) -> pa.Table | None:
    """Return the answer to a query that wants one series as it is; None where DuckDB must make it."""
    if asked.whole is None or asked.wanted is None:
        return None
    (symbol,) = asked.wanted["symbol"]
    return candles.whole(symbol, asked.whole)


def _lying_in(candles: Candles) -> tuple[str, ...]:
    """Return the tier of the rows of one series that are the answer as they are."""
    panels = [one for one in candles.panels or () if isinstance(one, Panel)]
    return ("packs",) if any(part.view.packs for one in panels for part in one.stretches) else ("sqlite",)


def _by_name(params: Params | None) -> dict[str, object]:
    """Return the values of parameters by the names that DuckDB's parse gives them."""
    if isinstance(params, Mapping):
        return dict(params)
    return {str(place): value for place, value in enumerate(params or (), 1)}


def _query_error(said: str, known: Sequence[str]) -> QueryError:
    """Return the error of what DuckDB says, without names that are nobody's but its own and ours."""
    unknown = NO_TABLE.search(said)
    if unknown is not None and unknown[1] in known:  # as with memory.candles, for DuckDB's own database
        alone = f"write {unknown[1]} alone, without the name of a database before it"
        return QueryError(f"there is no table {unknown[1]} in that database", hint=alone)
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
    newest: int | None = None
    """How many of the last bars are enough, where it is one series."""

    @classmethod
    def of(cls, wanted: dict[str, Any] | None) -> _Bounds:
        """Read what `sql_bounds.wanted` says."""
        if wanted is None:
            return cls(None, None, -FOREVER, FOREVER)
        symbols, timeframes = (
            None if wanted[name] is None else frozenset(wanted[name]) for name in ("symbol", "timeframe")
        )
        start = -FOREVER if wanted["start"] is None else wanted["start"]
        end = FOREVER if wanted["end"] is None else wanted["end"]
        return cls(symbols, timeframes, start, end, wanted.get("newest"))

    def takes(self, timeframe: str) -> bool:
        """Tell whether any candle of a timeframe can lie within."""
        return self.timeframes is None or timeframe in self.timeframes

    def admits(self, series: Series) -> bool:
        """Tell whether any candle of a series lies within."""
        return (
            (self.symbols is None or series.symbol in self.symbols)
            and (self.timeframes is None or series.timeframe in self.timeframes)
            and series.last >= self.start
            and series.first < self.end
        )


def _small(con: apsw.Connection, names: AbstractSet[str]) -> dict[str, pa.Table]:
    """Return those of the small tables that a query names."""
    return {
        name: pl.DataFrame(SMALL_ROWS[name](con), schema, orient="row").to_arrow()
        for name, schema in SMALL.items()
        if name in names
    }


def _register(
    connection: duckdb.DuckDBPyConnection, small: Mapping[str, pa.Table], named: Mapping[str, pa.Table]
) -> None:
    for name, table in small.items():
        connection.register(f"{STORED}{name}", table)
        columns = ", ".join(TIME.format(one) if one in TIMES else quoted(one) for one in SMALL[name])
        connection.execute(f"CREATE TEMP VIEW {name} AS SELECT {columns} FROM {STORED}{name}")  # noqa: S608
    for name, table in named.items():
        connection.register(name, table)


def _no_memory() -> QueryError:
    return QueryError("the query needs more memory than SQL may take", hint=MEMORY_HINT)
