"""Rows as bytes, and bytes as Arrow columns.

A row that comes in is packed at once, in 0.1 us, into one struct of 8-byte words, which refuses what is no
number. Many packed rows become columns by copying every n-th word: 0.05 us a row, without a Python loop.
What is missing is NaN, `NO_ID` or `NO_SIDE` in the bytes, and null in the columns.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import nan
from typing import Any, Protocol

import pyarrow as pa

from mdstore.core.schema import ORDERBOOK, SIDES, TICKER, TRADE
from mdstore.realtime.rows import Depth, Ticker, Trade

__all__ = [
    "NO_ID",
    "SIDE_CODES",
    "SNAPSHOT",
    "SNAPSHOT_BYTE",
    "WORD",
    "DepthPacking",
    "Packing",
    "TickerPacking",
    "TradePacking",
    "Words",
    "batch_of",
]

WORD = 8
NO_ID = -(2**63)
NO_SIDE = len(SIDES)
SNAPSHOT = 256  # in the word of flags; its low byte is the side
SNAPSHOT_BYTE = 5 * WORD + 1  # of a packed trade, where that is
SIDE_CODES: dict[str | None, int] = {**{side: code for code, side in enumerate(SIDES)}, None: NO_SIDE}
SIDE_NAMES = (*SIDES, None)
_SIDE_ENDS = array("i", accumulate((len(side) for side in SIDES), initial=0))
SIDE_TEXTS = pa.Array.from_buffers(
    pa.string(), len(SIDES), [None, pa.py_buffer(_SIDE_ENDS), pa.py_buffer("".join(SIDES).encode())]
)


class Packing(Protocol):
    """How rows of one kind are packed. The first two words are the timestamp and the time of receipt."""

    schema: pa.Schema
    size: int
    """The bytes of a row; of one with lists, of what comes before them."""

    def pack(self, row: Any) -> bytes:
        """Pack a row that was checked."""

    def unpack(self, symbol: str, packed: bytes) -> Any:
        """Return the row again."""

    def columns(self, rows: Sequence[bytes], nulls: bool) -> list[pa.Array]:
        """Return rows as the columns of the schema; `nulls` is False where nothing is missing for sure."""


class TickerPacking:
    """Tickers: the numbers in the order of the schema, then flags."""

    schema = TICKER
    struct = struct.Struct("<qq15dq")
    size = struct.size

    def pack(self, row: Ticker) -> bytes:
        """Pack a row that was checked."""
        numbers = [nan if number is None else number for number in row[2:17]]
        return self.struct.pack(row.timestamp, row.received, *numbers, SNAPSHOT * row.snapshot)

    def unpack(self, symbol: str, packed: bytes) -> Ticker:
        """Return the row again."""
        timestamp, received, *numbers, flags = self.struct.unpack(packed)
        known = [None if number != number else number for number in numbers]  # noqa: PLR0124 - NaN
        return Ticker._make((symbol, timestamp, *known, flags >= SNAPSHOT, received))

    def columns(self, rows: Sequence[bytes], nulls: bool) -> list[pa.Array]:
        """Return rows as the columns of the schema."""
        return self.arrays(Words.of(rows, self.size), nulls)

    def arrays(self, words: Words, nulls: bool) -> list[pa.Array]:
        """Return words as the columns of the schema."""
        floats = [words.floats(place, nulls and place > 2) for place in range(2, 17)]  # noqa: PLR2004 - price
        return [words.times(0, self.schema), *floats, words.snapshots(17), words.times(1, self.schema)]


class TradePacking:
    """Trades: timestamp, received, price, size, id, flags."""

    schema = TRADE
    struct = struct.Struct("<qqddqq")
    size = struct.size

    def pack(self, row: Trade) -> bytes:
        """Pack a row that was checked."""
        key = NO_ID if row.id is None else row.id
        flags = SIDE_CODES[row.side] + SNAPSHOT * row.snapshot
        return self.struct.pack(row.timestamp, row.received, row.price, row.size, key, flags)

    def unpack(self, symbol: str, packed: bytes) -> Trade:
        """Return the row again."""
        timestamp, received, price, size, key, flags = self.struct.unpack(packed)
        known = None if key == NO_ID else key
        side = SIDE_NAMES[flags & 3]
        return tuple.__new__(Trade, (symbol, timestamp, price, size, side, known, flags > 3, received))  # noqa: PLR2004

    def columns(self, rows: Sequence[bytes], nulls: bool) -> list[pa.Array]:
        """Return rows as the columns of the schema."""
        return self.arrays(Words.of(rows, self.size), nulls)

    def arrays(self, words: Words, nulls: bool) -> list[pa.Array]:
        """Return words as the columns of the schema."""
        return [
            words.times(0, self.schema),
            words.floats(2, False),
            words.floats(3, False),
            words.sides(5, nulls),
            words.ids(4, nulls),
            words.snapshots(5),
            words.times(1, self.schema),
        ]


class DepthPacking:
    """Order books: timestamp, received, totals, flags, numbers of bids and asks; then the levels."""

    schema = ORDERBOOK
    _head = struct.Struct("<qqddqqq")
    size = _head.size

    def pack(self, row: Depth) -> bytes:
        """Pack a row that was checked."""
        totals = [nan if total is None else total for total in row[6:8]]
        bids, asks = len(row.bid_prices), len(row.ask_prices)
        head = self._head.pack(row.timestamp, row.received, *totals, SNAPSHOT * row.snapshot, bids, asks)
        levels = (*row.bid_prices, *row.bid_sizes, *row.ask_prices, *row.ask_sizes)
        return head + struct.pack(f"<{len(levels)}d", *levels)

    def unpack(self, symbol: str, packed: bytes) -> Depth:
        """Return the row again."""
        timestamp, received, *totals, flags, bids, asks = self._head.unpack_from(packed)
        known = [None if total != total else total for total in totals]  # noqa: PLR0124 - NaN
        numbers = memoryview(packed)[self.size :].cast("d").tolist()
        ends = (0, *accumulate((bids, bids, asks, asks)))
        levels = [numbers[low:high] for low, high in pairwise(ends)]
        return Depth._make((symbol, timestamp, *levels, *known, flags >= SNAPSHOT, received))

    def columns(self, rows: Sequence[bytes], nulls: bool) -> list[pa.Array]:
        """Return rows as the columns of the schema."""
        size = self.size
        words = Words.of([row[:size] for row in rows], size)
        bids, asks = words.columns[5].tolist(), words.columns[6].tolist()
        lists, starts = [], [size] * len(rows)
        for counts in (bids, bids, asks, asks):
            ends = [start + WORD * count for start, count in zip(starts, counts, strict=True)]
            values = b"".join([r[low:high] for r, low, high in zip(rows, starts, ends, strict=True)])
            lists.append(_lists(counts, values))
            starts = ends
        totals = [words.floats(place, nulls) for place in (2, 3)]
        return [
            words.times(0, self.schema), *lists, *totals, words.snapshots(4), words.times(1, self.schema)
        ]  # fmt: skip


def batch_of(packing: Packing, rows: Sequence[bytes], nulls: bool) -> pa.RecordBatch:
    """Return packed rows as an Arrow record batch."""
    return pa.RecordBatch.from_arrays(packing.columns(rows, nulls), schema=packing.schema)


class Words:
    """Rows by their 8-byte words: a view of each word over all rows, wherever the words lie."""

    def __init__(self, columns: Sequence[memoryview[Any]]) -> None:
        self.columns = columns
        self.rows = len(columns[0])

    @classmethod
    def of(cls, rows: Sequence[bytes], size: int) -> Words:
        """Return the words of packed rows."""
        data = memoryview(b"".join(rows)).cast("q")
        return cls([data[place :: size // WORD] for place in range(size // WORD)])

    def times(self, place: int, schema: pa.Schema) -> pa.Array:
        """Return words as times: the first are timestamps, the second when the row was received."""
        return self._array(schema.field("received" if place else "timestamp").type, place)

    def floats(self, place: int, nulls: bool) -> pa.Array:
        """Return words as floats, NaN as null."""
        values = self._array(pa.float64(), place)
        if not nulls:
            return values
        import pyarrow.compute as pc  # noqa: PLC0415 - 20 ms that only missing values cost

        return _masked(values, pc.invert(pc.is_nan(values)))

    def ids(self, place: int, nulls: bool) -> pa.Array:
        """Return words as ids, `NO_ID` as null."""
        values = self._array(pa.int64(), place)
        if not nulls:
            return values
        import pyarrow.compute as pc  # noqa: PLC0415 - see `floats`

        return _masked(values, pc.not_equal(values, pa.scalar(NO_ID, pa.int64())))

    def sides(self, place: int, nulls: bool) -> pa.Array:
        """Return the low bytes of words as the side of the taker, `NO_SIDE` as null."""
        values = pa.py_buffer(self.columns[place].tobytes()[::WORD])
        codes = pa.Array.from_buffers(pa.int8(), self.rows, [None, values])
        if nulls:
            import pyarrow.compute as pc  # noqa: PLC0415 - see `floats`

            codes = _masked(codes, pc.less(codes, pa.scalar(NO_SIDE, pa.int8())))
        return pa.DictionaryArray.from_arrays(codes, SIDE_TEXTS, safe=False)

    def snapshots(self, place: int) -> pa.Array:
        """Return the second bytes of words as truths."""
        flags = self.columns[place].tobytes()[1::WORD]
        if 1 not in flags:
            none = pa.py_buffer(bytes(self.rows // 8 + 1))
            return pa.Array.from_buffers(pa.bool_(), self.rows, [None, none])
        return pa.Array.from_buffers(pa.uint8(), self.rows, [None, pa.py_buffer(flags)]).cast(pa.bool_())

    def _array(self, kind: pa.DataType, place: int) -> pa.Array:
        values = pa.py_buffer(self.columns[place].tobytes())
        return pa.Array.from_buffers(kind, self.rows, [None, values])


def _masked(values: pa.Array, known: pa.Array) -> pa.Array:
    """Make null what is not known."""
    _, data = values.buffers()
    return pa.Array.from_buffers(values.type, len(values), [known.buffers()[1], data])


def _lists(counts: Sequence[int], values: bytes) -> pa.Array:
    numbers = pa.Array.from_buffers(pa.float64(), len(values) // WORD, [None, pa.py_buffer(values)])
    offsets = pa.py_buffer(array("i", accumulate(counts, initial=0)))
    return pa.Array.from_buffers(pa.list_(pa.float64()), len(counts), [None, offsets], children=[numbers])
