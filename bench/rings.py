"""Other ways to keep the latest trades in memory, each the least code that does it: the peers of `realtime`.

A row is (symbol, timestamp in ms, price, size, side, id). Each keeps what is younger than `TTL_MS`, as far as
it can, and answers `push`, `latest(symbol)` and `window(symbol, rows)`, a Polars frame. None checks a value.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Protocol

import apsw
import polars as pl
from cachetools import TTLCache

from mdstore import Trade
from mdstore.realtime.limits import TRADES
from mdstore.realtime.table import RealtimeTable

__all__ = ["NAMES", "PEERS", "Ring", "Row"]

Row = tuple[str, int, float, float, str, int]
NAMES = ("symbol", "timestamp", "price", "size", "side", "id")
TTL_MS = 600_000
SIDES = {"buy": 0, "sell": 1}
KEPT = 20_000  # of a symbol, where room is made beforehand
SCHEMA = {
    "timestamp": pl.Int64, "price": pl.Float64, "size": pl.Float64, "side": pl.String, "id": pl.Int64,
}  # fmt: skip


class Ring(Protocol):
    """What a peer answers."""

    def push(self, row: Row) -> object: ...
    def latest(self, symbol: str) -> Any: ...
    def window(self, symbol: str, rows: int) -> pl.DataFrame: ...


class Deques:
    """A deque of tuples for each symbol, and a dict of the latest: nothing columnar."""

    def __init__(self) -> None:
        self._rows: dict[str, deque[Row]] = {}
        self._latest: dict[str, Row] = {}

    def push(self, row: Row) -> None:
        symbol = row[0]
        rows = self._rows.get(symbol)
        if rows is None:
            rows = self._rows[symbol] = deque()
        rows.append(row)
        self._latest[symbol] = row
        old = row[1] - TTL_MS
        while rows[0][1] <= old:
            rows.popleft()

    def latest(self, symbol: str) -> Row:
        return self._latest[symbol]

    def window(self, symbol: str, rows: int) -> pl.DataFrame:
        kept = list(self._rows[symbol])[-rows:]
        return pl.DataFrame([row[1:] for row in kept], schema=SCHEMA, orient="row")


class Columns:
    """NumPy arrays for each symbol, made beforehand and written to in a circle."""

    class _Arrays:
        def __init__(self) -> None:
            import numpy as np  # noqa: PLC0415 - a peer that may be absent

            self.at = 0
            self.timestamp, self.id = np.empty(KEPT, np.int64), np.empty(KEPT, np.int64)
            self.price, self.size = np.empty(KEPT), np.empty(KEPT)
            self.side = np.empty(KEPT, np.int8)

    def __init__(self) -> None:
        self._arrays: dict[str, Columns._Arrays] = {}

    def push(self, row: Row) -> None:
        symbol, timestamp, price, size, side, key = row
        ring = self._arrays.get(symbol)
        if ring is None:
            ring = self._arrays[symbol] = Columns._Arrays()
        at = ring.at % KEPT
        ring.timestamp[at] = timestamp
        ring.price[at] = price
        ring.size[at] = size
        ring.side[at] = SIDES[side]
        ring.id[at] = key
        ring.at += 1

    def latest(self, symbol: str) -> tuple[Any, ...]:
        ring = self._arrays[symbol]
        at = (ring.at - 1) % KEPT
        return ring.timestamp[at], ring.price[at], ring.size[at], ring.side[at], ring.id[at]

    def window(self, symbol: str, rows: int) -> pl.DataFrame:
        import numpy as np  # noqa: PLC0415 - as above

        ring = self._arrays[symbol]
        places = np.arange(max(0, ring.at - rows), ring.at) % KEPT
        names = ("timestamp", "price", "size", "side", "id")
        return pl.DataFrame({name: getattr(ring, name)[places] for name in names})


class Lists:
    """A list of tuples that becomes a part of a Polars frame every 1,000 rows."""

    EVERY = 1_000

    def __init__(self) -> None:
        self._rows: dict[str, list[Row]] = {}
        self._frames: dict[str, pl.DataFrame] = {}

    def push(self, row: Row) -> None:
        rows = self._rows.setdefault(row[0], [])
        rows.append(row)
        if len(rows) >= self.EVERY:
            self._extend(row[0], rows)

    def _extend(self, symbol: str, rows: list[Row]) -> None:
        made = pl.DataFrame([row[1:] for row in rows], schema=SCHEMA, orient="row")
        kept = self._frames.get(symbol)
        self._frames[symbol] = made if kept is None else kept.extend(made)
        rows.clear()

    def latest(self, symbol: str) -> Any:
        rows = self._rows[symbol]
        return rows[-1] if rows else self._frames[symbol].row(-1)

    def window(self, symbol: str, rows: int) -> pl.DataFrame:
        if self._rows[symbol]:
            self._extend(symbol, self._rows[symbol])
        return self._frames[symbol].tail(rows)


class Cached:
    """cachetools.TTLCache of all rows by symbol and id; it cannot tell which are of a symbol."""

    def __init__(self) -> None:
        self._rows: TTLCache[tuple[str, int], Row] = TTLCache(10_000_000, TTL_MS / 1000)
        self._latest: dict[str, Row] = {}

    def push(self, row: Row) -> None:
        self._rows[row[0], row[5]] = row
        self._latest[row[0]] = row

    def latest(self, symbol: str) -> Row:
        return self._latest[symbol]

    def window(self, symbol: str, rows: int) -> pl.DataFrame:
        kept = [row[1:] for (name, _), row in self._rows.items() if name == symbol][-rows:]
        return pl.DataFrame(kept, schema=SCHEMA, orient="row")


class Sqlite:
    """A table in memory by APSW."""

    PUT = "INSERT OR REPLACE INTO trades VALUES (?, ?, ?, ?, ?, ?)"
    LATEST = "SELECT * FROM trades WHERE symbol = ? ORDER BY timestamp DESC, id DESC LIMIT ?"

    def __init__(self) -> None:
        self._con = apsw.Connection(":memory:")
        self._con.execute(
            "CREATE TABLE trades (symbol, timestamp, price, size, side, id, "
            "PRIMARY KEY (symbol, timestamp, id)) WITHOUT ROWID"
        )
        self._con.execute("BEGIN")

    def push(self, row: Row) -> None:
        self._con.execute(self.PUT, row)

    def latest(self, symbol: str) -> Any:
        return self._con.execute(self.LATEST, (symbol, 1)).fetchone()

    def window(self, symbol: str, rows: int) -> pl.DataFrame:
        found = self._con.execute(self.LATEST, (symbol, rows)).fetchall()[::-1]
        return pl.DataFrame([row[1:] for row in found], schema=SCHEMA, orient="row")


class Ours:
    """mdstore's trades, with its default bounds."""

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        self.table = RealtimeTable(TRADES, clock=clock)
        self.push = self.table.push

    def latest(self, symbol: str) -> Trade | None:
        found: Trade | None = self.table.latest(symbol)
        return found

    def window(self, symbol: str, rows: int) -> pl.DataFrame:
        return self.table.window(symbol, rows=rows)


PEERS: dict[str, Callable[[], Ring]] = {
    "mdstore": Ours,
    "deque + dict": Deques,
    **({"NumPy ring": Columns} if find_spec("numpy") else {}),
    "lists + Polars": Lists,
    "TTLCache": Cached,
    "SQLite in memory": Sqlite,
}
