"""Reading candles: what is asked, how many rows that can be, and the two roads to them.

Small reads walk the key with APSW, straight into Arrow columns. Large ones go to the scanner process as the
SQL of a view, because `sqlite_scan` of a view runs the view's own WHERE and joins inside SQLite, on the
index, while a filter outside of it would scan the whole table.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import Any

import apsw
import pyarrow as pa

from mdstore.candles.catalogue import Series
from mdstore.schema import CANDLE, LONG_CANDLE, SYMBOL, TIMESTAMP
from mdstore.timeframe import Timeframe

__all__ = ["Request", "bounded_view", "candles_view", "from_scan", "read_rows", "row_bound", "rows_sql"]

FOREVER = 2**63 - 1
# Rows fetched at a time: fewer than 700 new tuples never wake the garbage collector, which otherwise walks
# all that are alive again and again (50,000 rows at once: 1.7 us a row; 500 at a time: 0.6).
PIECE = 500
KEY = "symbol = {symbol} AND timeframe = {timeframe} AND timestamp >= {start} AND timestamp < {end}"
IN_ORDER = f"""
SELECT {{columns}} FROM candles WHERE {KEY.format(symbol="?", timeframe="?", start="?", end="?")}
"""  # noqa: S608 - of constants alone
LATEST = f"{IN_ORDER} ORDER BY timestamp DESC LIMIT ?"
# The start of the latest n bars of a series, in the same statement and so of the same snapshot.
NTH_LATEST = """
coalesce((SELECT timestamp FROM candles WHERE {key} ORDER BY timestamp DESC LIMIT 1 OFFSET {skip}), {start})
"""
NUMBER = "wanted.number AS number"
# The empty arm gives `number` a declared type: without one the scanner sends texts in BLOBs. It stands apart
# from the VALUES, which beside it would be a compound of at most 500 terms.
VIEW = """
WITH given (number, symbol, start) AS (VALUES {wanted}),
wanted (number, symbol, start) AS (SELECT * FROM given UNION ALL SELECT id, '', 0 FROM revision WHERE FALSE)
SELECT {columns}
FROM wanted CROSS JOIN candles
WHERE candles.symbol = wanted.symbol AND candles.timeframe = {timeframe}
  AND candles.timestamp >= wanted.start AND candles.timestamp < {end}
"""
# Through the catalogue, since the key begins with the symbol: a bound on the timeframe or the time alone
# would scan everything. One statement, so a series that appears meanwhile is in whole or not at all.
BOUNDED_VIEW = """
SELECT candles.* FROM series CROSS JOIN candles
WHERE {series}
  AND candles.symbol = series.symbol AND candles.timeframe = series.timeframe
  AND candles.timestamp >= {start} AND candles.timestamp < {end}
"""


@dataclass(frozen=True, slots=True)
class Request:
    """A read of candles, resolved: symbols sorted and each once, times in ms, `[start, end)`.

    `columns` are in the order of the answer; `symbol` may be among them. `limit` is the latest so many bars
    of each symbol.
    """

    symbols: tuple[str, ...]
    timeframe: Timeframe
    columns: tuple[str, ...]
    start: int = -FOREVER
    end: int = FOREVER
    limit: int | None = None

    @property
    def stored(self) -> tuple[str, ...]:
        """The columns that come out of the table; the symbol is known beforehand."""
        return tuple(name for name in self.columns if name != "symbol")

    @property
    def schema(self) -> pa.Schema:
        """The schema of the answer."""
        full = LONG_CANDLE if "symbol" in self.columns else CANDLE
        return pa.schema([full.field(name) for name in self.columns])


def row_bound(request: Request, series: Sequence[Series]) -> int:
    """Return the most rows the answer can have, from the catalogue and the calendar alone."""
    return sum(_bound_of(request, one) for one in series)


def read_rows(con: apsw.Connection, request: Request) -> pa.Table:
    """Read with APSW, inside the caller's transaction; one pass over the key for each symbol."""
    parts = [_read_one(con, request, symbol) for symbol in request.symbols]
    stored = {name: [part[i] for part in parts] for i, name in enumerate(request.stored)}
    arrays = [
        _symbols([_numbers(i, len(part[0])) for i, part in enumerate(parts)], request)
        if name == "symbol"
        else pa.chunked_array(stored[name])
        for name in request.columns
    ]
    return pa.Table.from_arrays(arrays, schema=request.schema)


def rows_sql(request: Request) -> str:
    """Return the SQL that `read_rows` runs once for each symbol."""
    form = IN_ORDER if request.limit is None else LATEST
    return form.format(columns=", ".join(request.stored or ("timestamp",)))


def candles_view(request: Request) -> str:
    """Return the SQL of the view that answers `request`.

    Its columns are `number` (place in symbols), if the symbol is asked for, then the stored ones.
    """
    number = [] if "symbol" not in request.columns and request.stored else [NUMBER]
    wanted = ", ".join(f"({i}, {_text(s)}, {_start(request, s)})" for i, s in enumerate(request.symbols))
    return VIEW.format(
        wanted=wanted,
        columns=", ".join((*number, *(f"candles.{name}" for name in request.stored))),
        timeframe=_text(str(request.timeframe)),
        end=request.end,
    )


def bounded_view(bounds: dict[str, Any]) -> str:
    """Return the SQL of a view of all columns of the candles within `bounds`, as `pushdown` gives them."""
    names = [
        f"series.{name} IN ({', '.join(map(_text, bounds[name]))})"
        for name in ("symbol", "timeframe")
        if bounds[name] is not None
    ]
    return BOUNDED_VIEW.format(
        series=" AND ".join(names) or "TRUE",
        start=-FOREVER if bounds["start"] is None else bounds["start"],
        end=FOREVER if bounds["end"] is None else bounds["end"],
    )


def from_scan(table: pa.Table, request: Request) -> pa.Table:
    """Give the scanned columns of `candles_view` the types of the answer, without copying values."""
    arrays = [
        _symbols(table["number"].cast(pa.int32()).chunks, request)
        if name == "symbol"
        else table[name].cast(_type(name))
        for name in request.columns
    ]
    return pa.Table.from_arrays(arrays, schema=request.schema)


def _bound_of(request: Request, series: Series) -> int:
    start, end = max(request.start, series.first), min(request.end, series.last + 1)
    bars = min(series.rows, request.timeframe.span(start, end))
    return bars if request.limit is None else min(bars, request.limit)


def _read_one(con: apsw.Connection, request: Request, symbol: str) -> list[pa.Array]:
    names = request.stored or ("timestamp",)
    bindings: tuple[str | int, ...] = (symbol, str(request.timeframe), request.start, request.end)
    if request.limit is not None:
        bindings = (*bindings, request.limit)
    columns = [array("q" if name == "timestamp" else "d") for name in names]
    rows = con.execute(rows_sql(request), bindings)
    while piece := list(islice(rows, PIECE)):
        for column, values in zip(columns, zip(*piece, strict=True), strict=True):
            column.extend(values)
    if request.limit is not None:
        for column in columns:
            column.reverse()
    return [_array(name, column) for name, column in zip(names, columns, strict=True)]


def _array(name: str, values: array[Any]) -> pa.Array:
    # Buffers, here and below: pa.array imports pandas, where there is one, to ask about them (0.2 s).
    return pa.Array.from_buffers(_type(name), len(values), [None, pa.py_buffer(values)])


def _type(name: str) -> pa.DataType:
    return TIMESTAMP if name == "timestamp" else pa.float64()


def _symbols(numbers: Sequence[pa.Array], request: Request) -> pa.ChunkedArray:
    """Turn places in `request.symbols` into the symbols, dictionary-encoded."""
    ends = list(accumulate(len(symbol.encode()) for symbol in request.symbols))
    texts = [None, pa.py_buffer(array("i", (0, *ends))), pa.py_buffer("".join(request.symbols).encode())]
    names = pa.Array.from_buffers(pa.string(), len(ends), texts)
    return pa.chunked_array([pa.DictionaryArray.from_arrays(part, names) for part in numbers], SYMBOL)


def _numbers(number: int, rows: int) -> pa.Array:
    return pa.Array.from_buffers(pa.int32(), rows, [None, pa.py_buffer(array("i", (number,)) * rows)])


def _start(request: Request, symbol: str) -> str:
    if request.limit is None:
        return str(request.start)
    key = KEY.format(
        symbol=_text(symbol), timeframe=_text(str(request.timeframe)), start=request.start, end=request.end
    )
    return NTH_LATEST.format(start=request.start, key=key, skip=request.limit - 1)


def _text(value: str) -> str:
    """Quote a text for SQLite; no NUL can end it early: symbols are printable, and DuckDB's SQL has none."""
    return "'" + value.replace("'", "''") + "'"
