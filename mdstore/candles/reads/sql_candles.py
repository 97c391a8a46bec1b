"""The candles that a query is given, kept for the next that wants the same of an unchanged store."""

from __future__ import annotations

import threading
from collections.abc import Collection, Hashable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from mdstore.candles.packs.columns import Panel
from mdstore.candles.packs.gathered import Gathered
from mdstore.candles.reads.grown import Grown
from mdstore.candles.reads.sql_engine import Engine
from mdstore.candles.reads.sql_given import INTERNAL
from mdstore.candles.reads.sql_running import apart
from mdstore.core.long_table import Long
from mdstore.core.schema import CANDLE, CANDLE_COLUMNS

if TYPE_CHECKING:
    import duckdb

__all__ = ["Candles", "quoted"]

PARTS: Final = f"{INTERNAL}candles_"
PART: Final = "SELECT symbol, {timeframe} AS timeframe, {columns} FROM {name}"
NONE: Final = "NULL::DOUBLE AS {}"
# Of no row is it asked for: were it, the query would fail, and not be answered by what is not so.
UNGIVEN: Final = "error('{name} is not given to a query that does not name it')::{kind} AS {name}"
CHUNK: Final = 250_000
"""Rows that a thread of DuckDB takes at once: of one piece of 2.5M rows one takes all, 39 ms for 22."""
NOTHING: Final = Long(pa.Table.from_batches([], CANDLE), (), ())
CONNECTION_BYTES: Final = 40_000
"""What a connection of DuckDB takes: 8,000 of them took 316 MB."""


@dataclass(eq=False)
class Candles:
    """Candles by timeframe, of one revision of the store, and a connection that has them registered already.

    To register them and make the view takes 1 ms. `panels` are where they come from; None is nothing that can
    be kept.
    """

    longs: Mapping[str, Long]
    declared: Sequence[str] = ()
    panels: Sequence[Panel | Grown] | None = None
    revision: int = -1
    key: Hashable = None
    """What they are kept by; None where they are not."""
    counted: int = -1
    """The bytes that they were kept as: they become more by each column that a query is the first to name."""
    is_light: bool = False
    """Whether they are kept without their rows, which are put together for each query."""
    _idle: list[tuple[Engine, AbstractSet[str], duckdb.DuckDBPyConnection]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def bytes(self) -> int:
        """The bytes of memory they hold, those of the connection among them."""
        panels = zip(self.panels or (), self.longs.values(), strict=False)
        return CONNECTION_BYTES + sum(_held(panel, long) for panel, long in panels)

    @property
    def rows(self) -> dict[str, int]:
        """The number of candles by timeframe."""
        return {name: long.ends[-1] if long.ends else 0 for name, long in self.longs.items()}

    def answering(self) -> Candles:
        """Return them for a query: where they are kept without their rows, others that will have them."""
        if not self.is_light:
            return self
        return Candles(self._bare(), self.declared, self.panels, self.revision, self.key)

    def light(self, panels: Sequence[Grown]) -> Candles:
        """Return the same without their rows; `panels` are such."""
        return Candles(self._bare(), self.declared, panels, self.revision, self.key, is_light=True)

    def _bare(self) -> dict[str, Long]:
        return {name: long.bare() for name, long in self.longs.items()}

    def whole(self, symbol: str, columns: Sequence[str]) -> pa.Table | None:
        """Return the columns of the one series that they are, as a query gives them; None where DuckDB must.

        It must where columns are declared, which `*` has besides, and where there is nothing.
        """
        if self.declared or len(self.longs) != 1:
            return None
        ((timeframe, long),) = self.longs.items()
        names, table = {"symbol": symbol, "timeframe": timeframe}, long.values
        taken = {
            name: pa.repeat(names[name], table.num_rows) if name in names else table.column(name)
            for name in columns
        }
        return pa.table(taken)

    def intact(self) -> bool:
        """Tell whether every pack that they lie in is still the file that was mapped."""
        return all(panel.intact() for panel in self.panels or ())

    def connection(
        self, engine: Engine, named: AbstractSet[str] | None
    ) -> tuple[AbstractSet[str], duckdb.DuckDBPyConnection]:
        """Return a connection that sees them as `candles`, and the columns it gives; nobody else has it.

        `named` are the words of a query, among them the names of all columns that it can want; None is all.
        """
        wanted = self._wanted(named)
        with self._lock:
            idle, self._idle = self._idle, []
        for made_by, given, connection in idle:
            if made_by is engine and wanted <= given:
                return given, connection
            if made_by is engine:
                wanted |= given
                connection.close()
        connection = engine.query()
        if self.longs or self.panels is not None:
            self._register(connection, wanted)
        return wanted, connection

    def give_back(
        self, engine: Engine, known: AbstractSet[str], connection: duckdb.DuckDBPyConnection
    ) -> bool:
        """Keep a connection for the next query; tell whether it is kept: one is enough."""
        with self._lock:
            if not self._idle:
                self._idle.append((engine, known, connection))
                return True
        return False

    def let_go(self) -> list[tuple[Engine, AbstractSet[str], duckdb.DuckDBPyConnection]]:
        """Return the connection that is kept, and keep none."""
        idle, self._idle = self._idle, []
        return idle

    def after_fork(self) -> list[tuple[Engine, AbstractSet[str], duckdb.DuckDBPyConnection]]:
        """Go on in a forked child, where threads may have held the lock; return what is the parent's."""
        self._lock = threading.Lock()
        return self.let_go()

    def _wanted(self, named: AbstractSet[str] | None) -> set[str]:
        """Return the columns that a query is given: those it can want, and what costs nothing."""
        if named is None:
            return {*CANDLE_COLUMNS, *self.declared}
        free = set(CANDLE_COLUMNS).intersection(*(long.at_hand for long in self.longs.values()))
        return {name for name in CANDLE_COLUMNS if name in named}.union(free, self.declared)

    def _register(self, connection: duckdb.DuckDBPyConnection, wanted: AbstractSet[str]) -> None:
        parts, tables = [], {}
        for number, (timeframe, long) in enumerate((self.longs or {"": NOTHING}).items()):
            table = tables[f"{PARTS}{number}"] = _in_chunks(long.table_of(("symbol", *wanted)))
            names = (*CANDLE_COLUMNS, *self.declared)
            columns = ", ".join(_given(name, wanted, table.column_names) for name in names)
            parts.append(PART.format(timeframe=f"'{timeframe}'", columns=columns, name=f"{PARTS}{number}"))
        apart(lambda: _made_view(connection, tables, " UNION ALL ".join(parts)))


def _made_view(connection: duckdb.DuckDBPyConnection, tables: Mapping[str, pa.Table], of: str) -> None:
    for name, table in tables.items():
        connection.register(name, table)
    connection.execute(f"CREATE TEMP VIEW candles AS {of}")


def _held(panel: Panel | Grown, long: Long) -> int:
    """Return the bytes of what is put together so far, and of what says where it lies."""
    return panel.light_bytes + long.held if isinstance(long, Gathered) else panel.bytes


def _given(name: str, wanted: AbstractSet[str], there: Collection[str]) -> str:
    """Return what a view has for a column: itself, what a query must not ask for, or what no candle has."""
    if name not in wanted:
        return UNGIVEN.format(kind="TIMESTAMPTZ" if name == "timestamp" else "DOUBLE", name=name)
    return quoted(name) if name in there else NONE.format(quoted(name))


def _in_chunks(table: pa.Table) -> pa.Table:
    """Return a table in chunks that DuckDB's threads can share among them; their symbols are of one list."""
    if any(column.num_chunks != 1 for column in table.columns):
        return table
    return pa.Table.from_batches(table.to_batches(max_chunksize=CHUNK), table.schema)


def quoted(name: str) -> str:
    """Return a name as SQL has it."""
    return f'"{name}"'
