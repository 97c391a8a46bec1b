"""A frozen piece as bytes: a Parquet file, from which each value comes out as it was, to the bit.

Prices are decimals, though they are kept as binary fractions: where each value of a column is the one nearest
to a decimal of some places, the column holds decimals, as whole numbers in deltas. That takes 5 bytes a row
of a random walk in cents and 12 of real markets, where the binary fractions take 17 to 32. Some programs hand
out values that are off by a unit in the last place or two (0.07400000000000001): then a column beside it,
named `close ulps`, says by how many.

What fits no decimals is kept as its bits, whole numbers in deltas as well, in a column named `close bits`.
Values that were decimals once lie on a grid, and so do their bits while the exponent stays: prices times a
factor of adjustment take 11 bytes a row, 16 where the factor changes each thousand bars; as binary fractions
with their bytes split into streams, as pieces of before have them, 29 and 31. Of noise nothing is to be had:
a factor of its own for each bar leaves 33 bytes, and random numbers leave 35.

What comes out is the same to the bit: to divide a whole number below 2^53 by a power of ten is exact to the
last place (IEEE 754), where a multiplication by 0.01, as in Arrow's cast of decimals, is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import Any, Final

import pyarrow as pa

from mdstore.candles.file.wide_rows import without_values
from mdstore.core.schema import TIMESTAMP, VALUES, wide_candle

__all__ = ["decoded", "encoded", "same_bits"]

NUMBER: Final = pa.float64()
BITS: Final = pa.int64()
PLACES: Final = range(11)
"""Decimal places that are tried, the fewest first."""
DIGITS: Final = 18
"""Of a decimal in 64 bits."""
EXACT: Final = 2**53
"""Whole numbers below are exact as binary fractions."""
MOST_ULPS: Final = 8
ULPS, AS_BITS = "{} ulps", "{} bits"  # a space is in no name of a declared column
DELTAS: Final = "DELTA_BINARY_PACKED"
LEVEL: Final = 9  # of zstd: 3 % smaller than 3, and 2 ms for 16,384 rows; 19 takes 20 ms for 5 % more
DECIMALS: Final = {8: pa.decimal64, 16: pa.decimal128}


def encoded(rows: pa.RecordBatch, names: Sequence[str]) -> bytes:
    """Return rows as a Parquet file; `names` are those of their declared columns."""
    import pyarrow.parquet as pq  # noqa: PLC0415 - 10 ms that a process which freezes nothing need not wait for

    columns: dict[str, pa.Array] = {"timestamp": rows.column(0)}
    for name, values in zip((*VALUES, *names), rows.columns[1:], strict=True):
        found = _decimals(values)
        if found is None:
            columns[AS_BITS.format(name)] = values.view(BITS)
            continue
        columns[name], ulps = found
        if ulps is not None:
            columns[ULPS.format(name)] = ulps
    out = pa.BufferOutputStream()
    pq.write_table(
        pa.table(columns),
        out,
        row_group_size=max(1, rows.num_rows),
        compression="zstd",
        compression_level=LEVEL,
        use_dictionary=False,
        column_encoding=dict.fromkeys(columns, DELTAS),
        write_statistics=False,
        store_schema=False,
        store_decimal_as_integer=True,
    )
    made: bytes = out.getvalue().to_pybytes()
    return made


def decoded(piece: bytes, names: Sequence[str]) -> pa.RecordBatch:
    """Return the rows of a Parquet file of `encoded`, with those declared columns, NaN where one is lacking.

    Raises what pyarrow raises for bytes that are no such file (`pa.ArrowException`, `OSError`, `KeyError`).
    """
    import pyarrow.parquet as pq  # noqa: PLC0415 - see above

    table = pq.ParquetFile(pa.BufferReader(piece)).read(use_threads=False)
    there = {name: _whole_column(table, name) for name in table.column_names}
    values = [_numbers(there, name) for name in VALUES]
    held = {name for name in names if name in there or AS_BITS.format(name) in there}
    more = [_numbers(there, name) if name in held else without_values(table.num_rows) for name in names]
    times = there["timestamp"].cast(TIMESTAMP)
    return pa.RecordBatch.from_arrays([times, *values, *more], schema=wide_candle(len(names)))


def same_bits(some: pa.RecordBatch, others: pa.RecordBatch) -> bool:
    """Tell whether rows are the same to the bit: NaN is NaN, and a negative zero no zero."""
    if some.num_columns != others.num_columns or some.num_rows != others.num_rows:
        return False
    pairs = zip(some.columns, others.columns, strict=True)
    return all(one.view(BITS).equals(other.view(BITS)) for one, other in pairs)


def _decimals(values: pa.Array) -> tuple[pa.Array, pa.Array | None] | None:
    """Return a column as decimals and what they miss it by; None where no such decimals are near."""
    import pyarrow.compute as pc  # noqa: PLC0415 - see above

    lacking = pc.is_nan(values)
    there = pc.if_else(lacking, pa.scalar(None, NUMBER), values)
    for places in PLACES:
        near = pc.round(pc.multiply(there, 10.0**places))
        most = pc.max(pc.abs(near)).as_py() or 0.0
        if not most < EXACT:
            return None
        whole = near.cast(BITS)
        ulps = pc.subtract(there.view(BITS), _divided(whole, places).view(BITS))
        # (Not the most of `abs`: -0.0 misses 0.0 by -2^63, whose `abs` in 64 bits is below zero.)
        least, most = (pick(ulps).as_py() or 0 for pick in (pc.min, pc.max))
        if -MOST_ULPS <= least <= most <= MOST_ULPS:
            decimals = _reinterpreted(whole, pa.decimal64(DIGITS, places))
            found = decimals, ulps.cast(pa.int32()) if least or most else None
            return found if _restored(*found).view(BITS).equals(values.view(BITS)) else None
    return None


def _numbers(columns: dict[str, pa.Array], name: str) -> pa.Array:
    bits = columns.get(AS_BITS.format(name))
    if bits is not None:
        return bits.view(NUMBER)
    values = columns[name]
    return values if values.type == NUMBER else _restored(values, columns.get(ULPS.format(name)))


def _restored(decimals: pa.Array, ulps: pa.Array | None) -> pa.Array:
    """Return decimals as the binary fractions that they were, NaN where there is none."""
    import pyarrow.compute as pc  # noqa: PLC0415 - see above

    kind = decimals.type
    # Not safe, here and below: they are whole numbers below 2^53, and to ask takes as long as all the rest.
    whole = _reinterpreted(decimals, DECIMALS[kind.byte_width](DIGITS, 0)).cast(BITS, safe=False)
    values = _divided(whole, kind.scale)
    if ulps is not None:
        values = pc.add(values.view(BITS), ulps.cast(BITS)).view(NUMBER)
    return pc.fill_null(values, nan) if values.null_count else values


def _divided(whole: pa.Array, places: int) -> pa.Array:
    import pyarrow.compute as pc  # noqa: PLC0415 - see above

    return pc.divide(whole.cast(NUMBER, safe=False), 10.0**places)


def _reinterpreted(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return the same bytes as values of another type of that width."""
    return pa.Array.from_buffers(kind, len(values), values.buffers(), offset=values.offset)


def _whole_column(table: pa.Table, name: str) -> Any:
    column = table.column(name)
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
