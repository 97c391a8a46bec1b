"""What the digests are sums of: a hash of each row, and how many rows are hashed at once.

A digest is the sum of the hashes of some rows, modulo 2^62 (two of them add up within SQLite's integers).
A sum knows no order and can be carried on: a row that comes is added, one that goes is subtracted, one that
changes is both, and no other row is looked at. So a table is kept under digests in the transactions that
change it, for microseconds, and what was damaged stays noticed: whoever changes a damaged row subtracts the
hash of what is there, not of what was added, and what is between the two stays in the sum.

A candle is hashed in whole columns, as no library does it in a way that is written down: each value is
multiplied into the row, as in Murmur and its kin, and the upper half folded down: without that two changed
signs, each in a top bit, are none. A row takes 6 ns in a column of 100,000, XXH3 by the row 70, and 1,200 in
plain Python, which is quicker for a few rows.

A value of a declared column is hashed with its time and the number of the column, and added: what a bar lacks
adds nothing, so a column that is declared, or written, later changes no digest of other values.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import islice
from math import isnan
from typing import Final

import polars as pl
import pyarrow as pa
import xxhash

__all__ = [
    "MASK", "Row", "hash_of_bar", "hash_of_extra", "hash_of_row", "hash_of_wide_bar", "hashes_of_bars",
    "sum_of_rows", "sums_between",
]  # fmt: skip

Row = Sequence[int | float | str | bytes | None]

MASK: Final = 2**62 - 1
"""What a digest is taken modulo, less one."""
WORD: Final = 2**64 - 1
HALF: Final = 32
# Large odd numbers without a pattern: the fractional digits of the golden ratio and the primes of XXH64.
FACTORS: Final = (
    0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9,
    0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5, 0x9E3779B185EBCA87,
)  # fmt: skip
AS_WORDS: Final = pa.uint64()
FACTOR_SERIES: Final = tuple(pl.Series([factor], dtype=pl.UInt64) for factor in FACTORS)
HALF_SERIES: Final = pl.Series([1 << HALF], dtype=pl.UInt64)

F1, F2, F3, F4, F5, F6 = FACTORS

_pack = struct.Struct("<q5d").pack
_words = struct.Struct("<6Q").unpack
_pack_extra = struct.Struct("<qd").pack
_words_extra = struct.Struct("<2Q").unpack
WIDTH: Final = 6  # columns of a candle; behind them are those that are declared


def hash_of_row(row: Row) -> int:
    """Return the hash of a row of one of the small tables: of its values, and of their types."""
    return xxhash.xxh3_64_intdigest(ascii(tuple(row)).encode()) & MASK


def sum_of_rows(rows: Iterable[Row]) -> int:
    """Return the sum of the hashes of rows of a small table."""
    return sum(map(hash_of_row, rows)) & MASK


def hash_of_bar(bar: Sequence[float], seed: int = 0) -> int:
    """Return the hash of one candle, and of a number: timestamp, open, high, low, close, volume."""
    # Plus zero: SQLite keeps no negative zero, and says 1 where it was given 1.0. In one piece: 0.8 us.
    time, *values = bar
    first, second, third, fourth, fifth, sixth = _words(_pack(time, *[value + 0.0 for value in values]))
    value: int = (first ^ seed) * F1 & WORD
    value = (value ^ value >> HALF ^ second) * F2 & WORD
    value = (value ^ value >> HALF ^ third) * F3 & WORD
    value = (value ^ value >> HALF ^ fourth) * F4 & WORD
    value = (value ^ value >> HALF ^ fifth) * F5 & WORD
    value = (value ^ value >> HALF ^ sixth) * F6 & WORD
    return (value ^ value >> HALF) & MASK


def hash_of_wide_bar(bar: Sequence[float], seed: int = 0) -> int:
    """Return the same where values of declared columns follow, NaN or None where there is none."""
    more = (hash_of_extra(bar[0], one, place) for place, one in enumerate(bar[WIDTH:]))
    return hash_of_bar(bar[:WIDTH], seed) + sum(more) & MASK


def hash_of_extra(time: float, value: float | None, place: int, seed: int = 0) -> int:
    """Return the hash of a value of the declared column `place` of a series, and of a number; 0 for none."""
    if value is None or isnan(value):
        return 0
    first, second = _words_extra(_pack_extra(int(time), value + 0.0))
    made: int = (first ^ seed ^ _seed_of_place(place)) * F1 & WORD
    made = (made ^ made >> HALF ^ second) * F2 & WORD
    # Once more: a changed sign, which is a top bit, would change the hash by 2^31 up or down, and two of them
    # in a bucket not at all.
    made = (made ^ made >> HALF) * F3 & WORD
    return (made ^ made >> HALF) & MASK


@lru_cache
def _seed_of_place(place: int) -> int:
    return xxhash.xxh3_64_intdigest(f"extra {place}".encode())


def hashes_of_bars(columns: Sequence[pa.Array], seed: int = 0) -> pl.Series:
    """Return the hashes of candles, of 64 bits, before they are cut down to those of a digest.

    `columns` are timestamp, open, high, low, close, volume, each of 64 bits a value; declared columns may
    follow, NaN where a bar has no value.
    """
    value = _hashes_along(islice(columns, WIDTH), seed)
    for place, column in enumerate(columns[WIDTH:]):
        value += _hashes_of_extras(columns[0], column, place)
    return value


def _hashes_of_extras(times: pa.Array, values: pa.Array, place: int) -> pl.Series:
    import pyarrow.compute as pc  # noqa: PLC0415 - 20 ms that a process which only reads candles need not wait for

    made = _hashes_along((times, values), _seed_of_place(place)) * FACTOR_SERIES[2]
    made = made ^ _upper_half(made)
    there = pc.invert(pc.is_nan(values))
    return made if pc.all(there).as_py() else made * pl.Series(there.cast(AS_WORDS))


def _hashes_along(columns: Iterable[pa.Array], seed: int) -> pl.Series:
    value: pl.Series | None = None
    for place, column in enumerate(columns):
        words = pl.Series(column.view(AS_WORDS))
        if seed and value is None:
            words = words ^ pl.Series([seed], dtype=pl.UInt64)
        value = (words if value is None else value ^ words) * FACTOR_SERIES[place]
        value = value ^ _upper_half(value)
    assert value is not None  # noqa: S101 - there are columns; for mypy
    return value


def sums_between(hashes: pl.Series, *, many: bool) -> Callable[[int, int], int]:
    """Return what gives the digest of the rows `[low, high)`; asked `many` times, it adds all up before."""
    if not many:
        return lambda low, high: int(hashes.slice(low, high - low).sum()) & MASK
    sums = hashes.cum_sum().to_arrow()
    running = memoryview(sums.buffers()[1]).cast("Q")[sums.offset : sums.offset + len(sums)]
    return lambda low, high: running[high - 1] - (running[low - 1] if low else 0) & MASK if high > low else 0


def _divided(values: pl.Series) -> pl.Series:
    return values._arithmetic(HALF_SERIES, "div", "div_<>")


def _is_quick() -> bool:
    """Tell whether Polars has what `//` is made of; it is not for everybody, and may change."""
    try:
        found = _divided(pl.Series([2**63 + 1, 2**32 - 1], dtype=pl.UInt64))
    except (AttributeError, TypeError, ValueError):
        return False
    return found.dtype == pl.UInt64 and found.to_list() == [2**31, 0]


def _upper_half(values: pl.Series) -> pl.Series:
    # A query is planned for `//`, which waits for Polars' threads: 15 us and more, where to divide takes 1.
    return _divided(values) if QUICK else values // HALF_SERIES


QUICK: Final = _is_quick()
