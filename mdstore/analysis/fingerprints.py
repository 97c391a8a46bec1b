r"""A content hash of a frame, so that a backtest can state its data and prove it later.

`fingerprint` is "mdstore-1:" and the SHA-256, as 64 lower-case hex digits, of these bytes in this order.
Integers are two's complement; everything of more than a byte is little-endian; a text is its length in bytes
as int64 and then its UTF-8.

1. The number of columns and the number of rows, each an int64.
2. For each column, in order: its name, then the name of its type, both texts.
3. For each column, in order: a byte 01 if it has a null, else 00; if it has, a byte for each row, 01 where
   there is a value and 00 where there is none; then the values of the rows that have one, top to bottom.

=================================================  =====================================================
type                                               values
=================================================  =====================================================
`int8` to `int64`, `uint8` to `uint64`             integers of so many bits
`float32`, `float64`                               IEEE 754; a NaN is 7fc00000 or 7ff8000000000000, and -0.0
                                                   stays apart from 0.0
`bool`                                             a byte, 00 or 01
`date`                                             int32: days since 1970-01-01
`timestamp[U]`, without a zone                     int64: Us since 1970-01-01T00:00; U is s, ms, us or ns
`timestamp[U, Z]`, in the zone named Z             int64: Us since 1970-01-01T00:00 UTC
`duration[U]`                                      int64: Us
`text`                                             first the length in bytes of each as int64, then the UTF-8
                                                   of all, without anything between
=================================================  =====================================================

A column that refers to a list of values (categoricals, enums, dictionaries) is hashed as the values. So
chunks, slices, codes and the library that holds the data make no difference; the order of rows and columns
does.
"""

from __future__ import annotations

import hashlib
import struct
import sys
from array import array
from collections.abc import Iterator

import polars as pl
import pyarrow as pa

from mdstore.errors import InvalidInputError

__all__ = ["fingerprint"]

VERSION = "mdstore-1"
# Rows to a step, so few that what a step makes (lengths, texts, bytes of Booleans) stays in the cache.
BLOCK = 1 << 17
NUMBERS = {
    pa.int8(): "int8",
    pa.int16(): "int16",
    pa.int32(): "int32",
    pa.int64(): "int64",
    pa.uint8(): "uint8",
    pa.uint16(): "uint16",
    pa.uint32(): "uint32",
    pa.uint64(): "uint64",
    pa.float32(): "float32",
    pa.float64(): "float64",
    pa.bool_(): "bool",
    pa.date32(): "date",
}
TEXTS = (pa.string(), pa.large_string(), pa.string_view())
TEXT = "text"
# The one NaN of each type, as the integer of its bits.
NANS = {pa.float32(): 0x7FC00000, pa.float64(): 0x7FF8000000000000}
# The codes of `array` for integers of some bytes.
WORDS = {array(code).itemsize: code for code in "BHIQ"}


def fingerprint(frame: pl.DataFrame | pa.Table) -> str:
    """Return a text that names the content of a frame: "mdstore-1:" and a SHA-256 in hex.

    Column names, types, the order of columns and rows, and every value to the bit count, except that all NaN
    are one; how the data lies in memory does not. The module says which bytes are hashed.

    Raises `InvalidInputError` for a column of lists, structs or another type that the module does not name,
    and for anything else than a Polars frame or an Arrow table.

    >>> fingerprint(pl.DataFrame({"close": [1.5, 2.5]}))
    'mdstore-1:d921445d5760b1ff4ff7a2d2a2512c783f97bd20139a696436dfa8ea9e03ceec'
    """
    columns = _columns(frame)
    digest = hashlib.sha256()
    digest.update(_int64(len(columns), len(frame)))
    for name, column in columns:
        digest.update(_text(name) + _text(_type_name(name, _plain(column.type))))
    for _, column in columns:
        for part in _parts(column):
            digest.update(part)
    return f"{VERSION}:{digest.hexdigest()}"


# ---- what the columns are


def _columns(frame: pl.DataFrame | pa.Table) -> list[tuple[str, pa.ChunkedArray]]:
    """Return the names and the Arrow columns of a frame, sharing the memory of numbers."""
    if isinstance(frame, pa.Table):  # without Polars, which would hang in a forked process
        return list(zip(frame.column_names, frame.columns, strict=True))
    if isinstance(frame, pl.DataFrame):
        return [(column.name, _arrow(column)) for column in frame]
    kind = type(frame).__name__
    raise InvalidInputError(f"only a Polars DataFrame or an Arrow table has a fingerprint, not a {kind}")


def _arrow(column: pl.Series) -> pa.ChunkedArray:
    """Return one column, taken as a frame: taking a series would copy its chunks into one."""
    try:
        return column.to_frame().to_arrow().column(0)
    except pa.ArrowInvalid:  # Arrow has no Int128, for one
        raise _unsupported(column.name, column.dtype) from None


def _plain(kind: pa.DataType) -> pa.DataType:
    """Return the type of the values, where they are in a dictionary."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _type_name(name: str, kind: pa.DataType) -> str:
    """Return the name of a column's type."""
    if kind in TEXTS:
        return TEXT
    if pa.types.is_timestamp(kind):
        return f"timestamp[{kind.unit}]" if kind.tz is None else f"timestamp[{kind.unit}, {kind.tz}]"
    if pa.types.is_duration(kind):
        return f"duration[{kind.unit}]"
    if kind not in NUMBERS:
        raise _unsupported(name, kind)
    return NUMBERS[kind]


def _unsupported(name: str, kind: object) -> InvalidInputError:
    return InvalidInputError(
        f"column {name!r} is of type {kind}, which has no fingerprint: numbers, Booleans, times and text do"
    )


# ---- their bytes


def _parts(column: pa.ChunkedArray) -> Iterator[bytes | memoryview]:
    """Yield the bytes of a column: whether it has nulls, where they are, and the values."""
    nulls = any(block.null_count for block in _blocks(column))
    yield bytes([nulls])
    if nulls:
        yield from (_numbers(block.is_valid()) for block in _blocks(column))
    # Each goes over the whole column.
    for encode in (_lengths, _texts) if _plain(column.type) in TEXTS else (_numbers,):
        yield from (encode(block.drop_null()) for block in _blocks(column))


def _blocks(column: pa.ChunkedArray) -> Iterator[pa.Array]:
    """Yield a column in parts: of values themselves, and of texts in one layout."""
    for chunk in column.chunks:
        values = _one_layout(chunk.dictionary) if pa.types.is_dictionary(chunk.type) else None
        for start in range(0, len(chunk), BLOCK):
            block = chunk.slice(start, BLOCK)
            yield _one_layout(block) if values is None else values.take(block.indices)


def _one_layout(block: pa.Array) -> pa.Array:
    return block.cast(pa.large_string()) if block.type in TEXTS else block


def _numbers(block: pa.Array) -> bytes | memoryview:
    """Return the bytes of numbers, Booleans or times without nulls."""
    if block.type in NANS:
        block = _one_nan(block)
    elif pa.types.is_boolean(block.type):
        block = block.cast(pa.uint8())
    width = block.type.bit_width // 8
    return _little(_part(block, 1, block.offset * width, len(block) * width), width)


def _lengths(block: pa.Array) -> bytes | memoryview:
    """Return how many bytes each text has."""
    import pyarrow.compute as pc  # noqa: PLC0415 - 200 ms that only who wants a fingerprint waits for

    return _numbers(pc.binary_length(block))


def _texts(block: pa.Array) -> bytes | memoryview:
    """Return all texts in one."""
    if not len(block):
        return b""
    offsets = memoryview(_part(block, 1, block.offset * 8, len(block) * 8 + 8)).cast("q")
    return _part(block, 2, offsets[0], offsets[-1] - offsets[0])


def _one_nan(block: pa.Array) -> pa.Array:
    """Replace every NaN by the one whose bits are known."""
    import pyarrow.compute as pc  # noqa: PLC0415 - see `_lengths`

    lacking = pc.is_nan(block)
    if not pc.any(lacking).as_py():
        return block
    # Made of a buffer: a Python float need not keep the bits of a NaN.
    bits = NANS[block.type].to_bytes(block.type.bit_width // 8, sys.byteorder)
    nan = pa.Array.from_buffers(block.type, 1, [None, pa.py_buffer(bits)])[0]
    return pc.if_else(lacking, nan, block)


def _part(block: pa.Array, number: int, start: int, length: int) -> bytes | memoryview:
    """Return some bytes of a block's buffer, which may be absent where nothing is in it."""
    buffer = block.buffers()[number]
    return memoryview(buffer)[start : start + length] if length else b""


def _little(data: bytes | memoryview, width: int, order: str = sys.byteorder) -> bytes | memoryview:
    """Return integers or floats of `width` bytes in little-endian order."""
    if order == "little":
        return data
    words = array(WORDS[width], bytes(data))
    words.byteswap()
    return words.tobytes()


def _int64(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}q", *numbers)


def _text(text: str) -> bytes:
    data = text.encode()
    return _int64(len(data)) + data
