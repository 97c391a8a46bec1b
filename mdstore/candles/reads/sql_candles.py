"""The candles that a query is given, kept for the next that wants the same of an unchanged store."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from mdstore.candles.packs.columns import Panel
from mdstore.candles.reads.grown import Grown
from mdstore.candles.reads.sql_engine import Engine
from mdstore.candles.reads.sql_given import INTERNAL
from mdstore.core.schema import CANDLE_COLUMNS, LONG_CANDLE

if TYPE_CHECKING:
    import duckdb

__all__ = ["Candles", "quoted"]

PARTS: Final = f"{INTERNAL}candles_"
PART: Final = "SELECT symbol, {timeframe} AS timeframe, {columns} FROM {name}"
NONE: Final = "NULL::DOUBLE AS {}"
CONNECTION_BYTES: Final = 40_000
"""What a connection of DuckDB takes: 8,000 of them took 316 MB."""


@dataclass(eq=False)
class Candles:
    """Candles by timeframe, of one revision of the store, and a connection that has them registered already.

    To register them and make the view takes 1 ms. `panels` are where the tables come from; None is nothing
    that can be kept.
    """

    tables: Mapping[str, pa.Table]
    declared: Sequence[str] = ()
    panels: Sequence[Panel | Grown] | None = None
    revision: int = -1
    _idle: list[tuple[Engine, duckdb.DuckDBPyConnection]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def bytes(self) -> int:
        """The bytes of memory they can come to hold, those of the connection among them."""
        return CONNECTION_BYTES + sum(panel.bytes for panel in self.panels or ())

    @property
    def rows(self) -> dict[str, int]:
        """The number of candles by timeframe."""
        return {name: table.num_rows for name, table in self.tables.items()}

    def whole(self, symbol: str, columns: Sequence[str]) -> pa.Table | None:
        """Return the columns of the one series that they are, as a query gives them; None where DuckDB must.

        It must where columns are declared, which `*` has besides, and where there is nothing.
        """
        if self.declared or len(self.tables) != 1:
            return None
        ((timeframe, table),) = self.tables.items()
        names = {"symbol": symbol, "timeframe": timeframe}
        taken = {
            name: pa.repeat(names[name], table.num_rows) if name in names else table.column(name)
            for name in columns
        }
        return pa.table(taken)

    def intact(self) -> bool:
        """Tell whether every pack that they lie in is still the file that was mapped."""
        return all(panel.intact() for panel in self.panels or ())

    def connection(self, engine: Engine) -> duckdb.DuckDBPyConnection:
        """Return a connection that sees them as `candles`; nobody else has it."""
        with self._lock:
            while self._idle:
                made_by, connection = self._idle.pop()
                if made_by is engine:
                    return connection
        connection = engine.query()
        if self.tables or self.panels is not None:
            self._register(connection)
        return connection

    def give_back(self, engine: Engine, connection: duckdb.DuckDBPyConnection) -> bool:
        """Keep a connection for the next query; tell whether it is kept: one is enough."""
        with self._lock:
            if not self._idle:
                self._idle.append((engine, connection))
                return True
        return False

    def let_go(self) -> list[tuple[Engine, duckdb.DuckDBPyConnection]]:
        """Return the connection that is kept, and keep none."""
        idle, self._idle = self._idle, []
        return idle

    def after_fork(self) -> list[tuple[Engine, duckdb.DuckDBPyConnection]]:
        """Go on in a forked child, where threads may have held the lock; return what is the parent's."""
        self._lock = threading.Lock()
        return self.let_go()

    def _register(self, connection: duckdb.DuckDBPyConnection) -> None:
        parts = []
        for number, (timeframe, table) in enumerate((self.tables or {"": LONG_CANDLE.empty_table()}).items()):
            connection.register(f"{PARTS}{number}", table)
            there = table.column_names
            more = [quoted(one) if one in there else NONE.format(quoted(one)) for one in self.declared]
            columns = ", ".join((*CANDLE_COLUMNS, *more))
            parts.append(PART.format(timeframe=f"'{timeframe}'", columns=columns, name=f"{PARTS}{number}"))
        connection.execute(f"CREATE TEMP VIEW candles AS {' UNION ALL '.join(parts)}")


def quoted(name: str) -> str:
    """Return a name as SQL has it."""
    return f'"{name}"'
