"""Reading the table: what is asked, how many rows that can be, and the two roads to them.

`read_range` is where candles come out, those of `candles` and frozen ones alike.
What is read along with packs walks the key with APSW, straight into Arrow columns. Large stretches that are
to be sealed go to the scanner process as the SQL of a view, because `sqlite_scan` of a view runs the view's
own WHERE and joins inside SQLite, on the index, while a filter outside of it would scan the whole table.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, islice
from math import nan
from typing import Any

import apsw
import pyarrow as pa

from mdstore.candles.file import frozen
from mdstore.candles.file.bar_places import segments
from mdstore.candles.file.catalogue import Series
from mdstore.candles.file.digests import damaged
from mdstore.candles.file.wide_rows import between
from mdstore.core.long_table import Long
from mdstore.core.schema import CANDLE, CANDLE_COLUMNS, TIMESTAMP, wide_candle, wide_names
from mdstore.core.time_bounds import FOREVER
from mdstore.core.timeframe import Timeframe

__all__ = [
    "Request", "read_of_each", "read_range", "read_rows", "read_table", "row_bound", "rows_sql",
    "stretches_view",
]  # fmt: skip

# Rows fetched at a time: fewer than 700 new tuples never wake the garbage collector, which otherwise walks
# all that are alive again and again (50,000 rows at once: 1.7 us a row; 500 at a time: 0.6).
PIECE = 500
LONG = ("symbol", *CANDLE_COLUMNS)
KEY = "symbol = {symbol} AND timeframe = {timeframe} AND timestamp >= {start} AND timestamp < {end}"
IN_ORDER = f"""
SELECT {{columns}} FROM candles WHERE {KEY.format(symbol="?", timeframe="?", start="?", end="?")}
"""  # noqa: S608 - of constants alone
WITH_EXTRAS = f"""
SELECT {", ".join(f"candles.{name}" for name in CANDLE_COLUMNS)}, {{columns}}
FROM candles LEFT JOIN extras ON extras.symbol = ?1 AND extras.timeframe = ?2
  AND extras.timestamp = candles.timestamp
WHERE candles.symbol = ?1 AND candles.timeframe = ?2 AND candles.timestamp >= ?3 AND candles.timestamp < ?4
"""  # noqa: S608
LATEST = f"{IN_ORDER} ORDER BY timestamp DESC LIMIT ?"
OF_EACH = f"""
SELECT ?4, {", ".join(CANDLE_COLUMNS)} FROM candles WHERE symbol = ?1 AND timeframe = ?2 AND timestamp >= ?3
"""  # noqa: S608
# The empty arm gives `number` a declared type: without one the scanner sends texts in BLOBs. It stands apart
# from the VALUES, which beside it would be a compound of at most 500 terms.
VIEW = """
WITH given (number, symbol, timeframe, start, stop) AS (VALUES {wanted}),
wanted AS (SELECT * FROM given UNION ALL SELECT id, '', '', 0, 0 FROM revision WHERE FALSE)
SELECT wanted.number AS number, {columns}
FROM wanted CROSS JOIN candles{join}
WHERE candles.symbol = wanted.symbol AND candles.timeframe = wanted.timeframe
  AND candles.timestamp >= wanted.start AND candles.timestamp < wanted.stop
"""


JOIN = """
LEFT JOIN extras ON extras.symbol = candles.symbol AND extras.timeframe = candles.timeframe
  AND extras.timestamp = candles.timestamp
"""


@dataclass(frozen=True, slots=True)
class Request:
    """A read of candles, resolved: symbols sorted and each once, times in ms, `[start, end)`.

    `symbols` is None for every symbol of the timeframe. `columns` are in the order of the answer; `symbol` is
    among them unless the answer is of one series. `limit` is the latest so many bars of each symbol. With
    `as_of` they are as they were known at that time (ms).
    """

    symbols: tuple[str, ...] | None
    timeframe: Timeframe
    columns: tuple[str, ...]
    start: int = -FOREVER
    end: int = FOREVER
    limit: int | None = None
    as_of: int | None = None

    @property
    def stored(self) -> tuple[str, ...]:
        """The columns that come out of the table; the symbol is known beforehand."""
        return tuple(name for name in self.columns if name != "symbol")

    @property
    def extras(self) -> tuple[str, ...]:
        """The columns that are no candle's but declared."""
        if self.columns is CANDLE_COLUMNS:  # most reads; the look takes a microsecond
            return ()
        return tuple(name for name in self.columns if name not in LONG)

    @property
    def is_long(self) -> bool:
        """Whether the answer names the symbol of each row."""
        return "symbol" in self.columns


def row_bound(request: Request, series: Sequence[Series]) -> int:
    """Return the most rows the answer can have, from the catalogue and the calendar alone."""
    return sum(_bound_of(request, one) for one in series)


def read_rows(con: apsw.Connection, request: Request, symbols: Sequence[str]) -> Long:
    """Read `symbols` with APSW, inside the caller's transaction; one pass over the key for each."""
    names, sql, timeframe = request.stored or ("timestamp",), rows_sql(request), str(request.timeframe)
    columns = _new_columns(names)
    rest: tuple[int, ...] = (request.start, request.end)
    rest = rest if request.limit is None else (*rest, request.limit)
    ends = []
    for symbol in symbols:
        before = len(columns[0])
        ends.append(_read_into(columns, con, sql, (symbol, timeframe, *rest)))
        if request.limit is not None:  # the latest come first
            for column in columns:
                column[before:] = column[before:][::-1]
    arrays = [_array(name, column) for name, column in zip(names, columns, strict=True)]
    return Long(pa.Table.from_arrays(arrays, schema=_schema(names)), symbols, ends)


def rows_sql(request: Request) -> str:
    """Return the SQL that is run once for each symbol."""
    if request.extras:
        return _wide_sql(request.extras)
    form = IN_ORDER if request.limit is None else LATEST
    return form.format(columns=", ".join(request.stored or ("timestamp",)))


def read_range(  # noqa: PLR0917 - a range of a series, and what of it
    con: apsw.Connection, symbol: str, timeframe: str, start: int, end: int, extras: tuple[str, ...] = ()
) -> pa.RecordBatch:
    """Return the candles of one series in `[start, end)`, inside the caller's transaction.

    `extras` are the declared columns that the series has values of, in their order: the columns of the answer
    are those of `wide_candle`.
    """
    key, parts = (symbol, timeframe), []
    for low, high, piece in segments(con, key, start, end):
        if piece is None:
            parts.append(read_table(con, symbol, timeframe, low, high, extras))
        else:
            parts.append(between(frozen.rows_of(con, key, piece, extras), low, high))
    if not parts:  # of an empty range
        return read_table(con, symbol, timeframe, start, end, extras)
    return parts[0] if len(parts) == 1 else pa.concat_batches(parts)


def read_table(  # noqa: PLR0917 - see above
    con: apsw.Connection, symbol: str, timeframe: str, start: int, end: int, extras: tuple[str, ...] = ()
) -> pa.RecordBatch:
    """Return the same without what is frozen."""
    if extras:
        return _read_wide(con, (symbol, timeframe, start, end), extras)
    columns = _new_columns(CANDLE_COLUMNS)
    sql = IN_ORDER.format(columns=", ".join(CANDLE_COLUMNS))
    _read_into(columns, con, sql, (symbol, timeframe, start, end))
    return pa.RecordBatch.from_arrays(list(map(_array, CANDLE_COLUMNS, columns)), schema=CANDLE)


def read_of_each(
    con: apsw.Connection, wanted: Sequence[tuple[str, str, int]]
) -> tuple[pa.RecordBatch, list[int]] | None:
    """Return the candles of many series (symbol, timeframe) from a time of each on, and where each ends.

    What is frozen is not among them. In one call: 10,000 series of a bar take 50 ms, one by one 500. None
    where a value is no number; to read one by one says of which series.
    """
    columns, numbers = _new_columns(CANDLE_COLUMNS), array("q")
    rows = con.executemany(OF_EACH, ((*one, number) for number, one in enumerate(wanted)))
    try:
        while piece := list(islice(rows, PIECE)):
            for column, values in zip((numbers, *columns), zip(*piece, strict=True), strict=True):
                column.extend(values)
    except (TypeError, OverflowError, UnicodeDecodeError):
        return None
    counts = Counter(numbers)
    ends = list(accumulate(counts[number] for number in range(len(wanted))))
    return pa.RecordBatch.from_arrays(list(map(_array, CANDLE_COLUMNS, columns)), schema=CANDLE), ends


def _read_wide(
    con: apsw.Connection, bounds: tuple[str, str, int, int], extras: tuple[str, ...]
) -> pa.RecordBatch:
    schema = wide_candle(len(extras))
    columns = _new_columns(schema.names)
    _read_into(columns, con, _wide_sql(extras), bounds, gaps=len(extras))
    return pa.RecordBatch.from_arrays(list(map(_array, schema.names, columns)), schema=schema)


@lru_cache
def _wide_sql(extras: tuple[str, ...]) -> str:
    return WITH_EXTRAS.format(columns=", ".join(f'extras."{name}"' for name in extras))


def stretches_view(wanted: Sequence[tuple[str, str, int, int]], extras: tuple[str, ...] = ()) -> str:
    """Return the SQL of a view of stretches (symbol, timeframe, start, end): `number`, then the columns.

    `extras` are the declared columns that all of the series have values of, in their order.
    """
    given = ", ".join(
        f"({number}, {_text(symbol)}, {_text(timeframe)}, {start}, {end})"
        for number, (symbol, timeframe, start, end) in enumerate(wanted)
    )
    more = [f'extras."{own}" AS "{name}"' for own, name in zip(extras, wide_names(len(extras)), strict=True)]
    columns = ", ".join((*(f"candles.{name}" for name in CANDLE_COLUMNS), *more))
    return VIEW.format(wanted=given, columns=columns, join=JOIN if extras else "")


def _bound_of(request: Request, series: Series) -> int:
    start, end = max(request.start, series.first), min(request.end, series.last + 1)
    bars = min(series.rows, request.timeframe.span(start, end))
    return bars if request.limit is None else min(bars, request.limit)


def _schema(names: Sequence[str]) -> pa.Schema:
    return pa.schema([CANDLE.field(name) for name in names])


def _new_columns(names: Sequence[str]) -> list[array[Any]]:
    return [array("q" if name == "timestamp" else "d") for name in names]


def _read_into(
    columns: list[array[Any]],
    con: apsw.Connection,
    sql: str,
    bindings: tuple[str | int, ...],
    *,
    gaps: int = 0,
) -> int:
    """Add rows to the columns, and return how long they are then; the last `gaps` columns may lack values."""
    rows = con.execute(sql, bindings)
    always = len(columns) - gaps
    try:
        while piece := list(islice(rows, PIECE)):
            for place, (column, values) in enumerate(zip(columns, zip(*piece, strict=True), strict=True)):
                column.extend(values if place < always else [nan if one is None else one for one in values])
    except (TypeError, OverflowError, UnicodeDecodeError) as error:
        # A price that is a text, a null or a blob: SQLite reads what a damaged page says.
        symbol, timeframe = str(bindings[0]), str(bindings[1])
        raise damaged(con, "candles", (symbol, timeframe)) from error
    return len(columns[0])


def _array(name: str, values: array[Any]) -> pa.Array:
    # Buffers, here and below: pa.array imports pandas, where there is one, to ask about them (0.2 s).
    return pa.Array.from_buffers(
        _type(name), len(values), [None, pa.py_buffer(memoryview(values).toreadonly())]
    )


def _type(name: str) -> pa.DataType:
    return TIMESTAMP if name == "timestamp" else pa.float64()


def _text(value: str) -> str:
    """Quote a text for SQLite; no NUL can end it early: symbols are printable, and DuckDB's SQL has none."""
    return "'" + value.replace("'", "''") + "'"
