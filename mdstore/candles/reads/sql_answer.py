"""What a query gave, as a frame can have it: names that differ, times in milliseconds, every value itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import count
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mdstore.core.schema import TIMESTAMP
from mdstore.errors import QueryError

__all__ = ["as_frame", "refuse_types"]

INTERVAL = pa.month_day_nano_interval()
DURATION = pa.duration("us")
# What Arrow has no type for comes as something else: 2**128 - 1 as -1, a BIT as DuckDB's own bytes of it.
WITHOUT_ARROW = {
    "uhugeint": "DECIMAL(38, 0) or VARCHAR",
    "bignum": "VARCHAR",
    "bit": "VARCHAR",
    "time with time zone": "TIME or VARCHAR",
}
HUGE = pa.decimal128(38, 0)  # which HUGEINT comes as
TOO_LARGE = Decimal(10**38)


def refuse_types(columns: Sequence[tuple[Any, ...]]) -> None:
    """Refuse an answer of types that Arrow has not; `columns` is the `description` of DuckDB's connection."""
    for name, kind, *_ in columns:
        for inner in _kinds(kind):
            if inner.id in WITHOUT_ARROW:
                raise QueryError(
                    f"column {name} is of the type {inner}, which no frame has",
                    hint=f"cast it to {WITHOUT_ARROW[inner.id]} in the query",
                )


def _kinds(kind: Any) -> Iterator[Any]:
    yield kind
    if kind.id in ("list", "array", "struct", "map", "union"):
        for _, child in kind.children:
            if not isinstance(child, int):  # the length of an array
                yield from _kinds(child)


def as_frame(table: pa.Table) -> pa.Table:
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
    for place, field in enumerate(schema):
        _refuse_huge(table.column(place), field.name)
    if schema == table.schema and INTERVAL not in schema.types:
        return table
    return _cast(table.rename_columns(schema.names), schema)


def _cast(table: pa.Table, schema: pa.Schema) -> pa.Table:
    for place, field in enumerate(schema):
        if field.type == INTERVAL:
            table = table.set_column(place, field.name, _durations(table.column(place), field.name))
            schema = schema.set(place, field.with_type(DURATION))
    return table.cast(schema, safe=False)


def _refuse_huge(column: pa.ChunkedArray, name: str) -> None:
    """Refuse whole numbers that a decimal of 38 digits cannot hold: Polars shows 2**127 - 1 as 1.70E+38."""
    for chunk in column.chunks:
        for leaf in _leaves(chunk):
            ends = pc.min_max(leaf).as_py().values() if leaf.type == HUGE else ()
            if any(end is not None and not -TOO_LARGE < end < TOO_LARGE for end in ends):
                raise QueryError(
                    f"column {name} holds a whole number of more than 38 digits",
                    hint="cast it to VARCHAR or DOUBLE in the query",
                )


def _leaves(array: pa.Array) -> Iterator[pa.Array]:
    if pa.types.is_struct(array.type):
        for child in array.flatten():
            yield from _leaves(child)
    elif pa.types.is_map(array.type):
        yield from _leaves(array.keys)
        yield from _leaves(array.items)
    elif pa.types.is_nested(array.type) and not pa.types.is_union(array.type):
        yield from _leaves(array.flatten())
    else:
        yield array


def _durations(intervals: pa.ChunkedArray, name: str) -> pa.Array:
    """Turn DuckDB's intervals into durations, which Polars has; a month is no fixed time."""
    values = intervals.to_pylist()
    if any(value is not None and value.months for value in values):
        raise QueryError(f"column {name} holds intervals of months, of no fixed length; cast it to VARCHAR")
    day = 86_400_000_000
    micros = [None if v is None else v.days * day + v.nanoseconds // 1000 for v in values]
    return pa.array(micros, pa.int64()).cast(DURATION)
