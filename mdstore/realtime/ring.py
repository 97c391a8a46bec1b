"""The rows of one symbol: sealed Arrow batches behind each other, and a tail that grows.

One thread at a time changes a ring, any number read it without a lock: `state` is replaced whole, a batch
never changes, and of the tail a reader takes a copy.
"""

from __future__ import annotations

import struct
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from mdstore.realtime.packing import Packing, batch_of

__all__ = ["NEVER", "NO_ROW", "TIME", "TIME_AND_ID", "Batch", "Counts", "Limits", "Ring", "last_rows"]

NEVER = -(2**63)
TIME = struct.Struct("<q")
TIME_AND_ID = struct.Struct("<q24xq")  # of a packed trade
NO_ROW: tuple[bytes, Any] = (b"", None)
RING_BYTES = 1_000
"""What a ring takes besides its rows, rather too much."""
BATCH_BYTES = 3_500
"""What the objects around a batch's buffers take, rather too much, by tracemalloc and Arrow's own count."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of one symbol is kept, and how many rows go into a batch."""

    rows: int
    bytes: int
    batch_rows: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Sealed rows; `times` are their timestamps, in order unless some came late; `size` is bytes."""

    rows: pa.RecordBatch
    times: memoryview
    first: int
    last: int
    ordered: bool
    size: int

    @classmethod
    def of(cls, packing: Packing, rows: Sequence[bytes], *, nulls: bool, ordered: bool) -> Batch:
        """Seal packed rows, at least one."""
        return cls.sealed(batch_of(packing, rows, nulls), ordered=ordered)

    @classmethod
    def sealed(cls, made: pa.RecordBatch, *, ordered: bool) -> Batch:
        """Take rows that are columns already."""
        times = memoryview(made.column(0).buffers()[1]).cast("q")
        first, last = (times[0], times[-1]) if ordered else (min(times), max(times))
        return cls(made, times, first, last, ordered, made.get_total_buffer_size() + BATCH_BYTES)

    def live(self, cut: int) -> pa.RecordBatch:
        """Return the rows later than `cut`."""
        if self.first > cut:
            return self.rows
        if self.ordered:
            return self.rows.slice(bisect_right(self.times, cut))
        import pyarrow.compute as pc  # noqa: PLC0415 - 20 ms that only late rows cost

        times = self.rows.column(0)
        return self.rows.filter(pc.greater(times.cast(pa.int64()), pa.scalar(cut, pa.int64())))

    def holds(self, timestamp: int, key: int) -> bool:
        """Tell whether the trade of that time and id is among the rows."""
        if not self.first <= timestamp <= self.last:
            return False
        ids = memoryview(self.rows.column("id").buffers()[1]).cast("q")
        low = bisect_left(self.times, timestamp) if self.ordered else 0
        high = bisect_right(self.times, timestamp) if self.ordered else len(self.times)
        return any(ids[at] == key and self.times[at] == timestamp for at in range(low, high))


class Tail(list[bytes]):
    """Rows that are not sealed yet, packed."""

    __slots__ = ("late", "nulls")

    def __init__(self) -> None:
        super().__init__()
        self.late = False
        """Whether they may be out of order; said before the row is appended, for readers without a lock."""
        self.nulls = False
        """Whether something may be missing in them, as above."""


@dataclass(slots=True)
class Counts:
    """What became of the rows that came."""

    late: int = 0
    duplicates: int = 0
    expired: int = 0
    evicted: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.late + other.late,
            self.duplicates + other.duplicates,
            self.expired + other.expired,
            self.evicted + other.evicted,
        )


class Ring:
    """One symbol's rows, in the order in which they came."""

    __slots__ = (
        "counts", "latest", "limit", "newest", "row", "sealed_bytes", "sealed_rows", "seen", "seen_rows",
        "state", "symbol", "tail", "top",
    )  # fmt: skip

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.tail = Tail()
        self.state: tuple[tuple[Batch, ...], Tail] = ((), self.tail)
        self.sealed_rows = 0
        self.sealed_bytes = 0
        self.newest = NEVER
        """The latest timestamp."""
        self.top = NEVER
        """The highest id among the trades of that timestamp."""
        self.limit = NEVER
        """From this timestamp on a row is looked at more closely, see `RealtimeTable`."""
        self.latest = b""
        """The row of the latest timestamp, packed."""
        self.row: tuple[bytes, Any] = NO_ROW
        """That row, if it was at hand, behind the bytes it is of."""
        self.seen: set[tuple[int, int]] = set()
        """Timestamps and ids of the first `seen_rows` of the tail."""
        self.seen_rows = 0
        self.counts = Counts()

    # ---- by whoever holds the lock

    def append(self, packed: bytes, *, nulls: bool = False, late: bool = False) -> None:
        """Add a row to the tail."""
        tail = self.tail
        tail.nulls = tail.nulls or nulls
        tail.late = tail.late or late
        tail.append(packed)

    def seal(self, packing: Packing, limits: Limits) -> int:
        """Make the tail a batch; return by how many bytes the sealed ones grew, or shrank."""
        sealed, tail = self.state
        if not tail:
            return 0
        before = self.sealed_bytes
        self._add(sealed, Batch.of(packing, tail, nulls=tail.nulls, ordered=not tail.late), limits)
        return self.sealed_bytes - before

    def append_batch(self, made: pa.RecordBatch, packing: Packing, limits: Limits) -> int:
        """Add rows that are columns already, in order; return by how many bytes the sealed ones grew."""
        before = self.sealed_bytes
        self.seal(packing, limits)
        self._add(self.state[0], Batch.sealed(made, ordered=True), limits)
        return self.sealed_bytes - before

    def _add(self, sealed: tuple[Batch, ...], batch: Batch, limits: Limits) -> None:
        self.sealed_rows += len(batch.times)
        self.sealed_bytes += batch.size
        self._replace((*sealed, batch), Tail())
        self._evict(limits)

    def trim(self, cut: int) -> None:
        """Let go of rows of the tail that are not later than `cut`, where it is too short to be sealed."""
        sealed, tail = self.state
        kept = [row for row in tail if TIME.unpack_from(row)[0] > cut]
        if len(kept) < len(tail):
            self.counts.expired += len(tail) - len(kept)
            fresh = Tail()
            fresh.late, fresh.nulls = tail.late, tail.nulls
            fresh.extend(kept)
            self._replace(sealed, fresh)

    def expire(self, cut: int) -> int:
        """Let go of what is not later than `cut`, whole batches at a time; return the bytes of them."""
        sealed, tail = self.state
        if tail and self.newest <= cut:
            self.counts.expired += len(tail)
            tail = Tail()
        if sealed and sealed[0].last > cut:
            return 0  # late rows may have left an older batch behind a newer; it goes with it
        kept = tuple(batch for batch in sealed if batch.last > cut)
        gone = self._forget(sealed, kept)
        self.counts.expired += gone[0]
        if len(kept) < len(sealed) or tail is not self.tail:
            self._replace(kept, tail)
        return gone[1]

    def drop_oldest(self) -> int:
        """Let go of the oldest batch; return its bytes."""
        sealed, tail = self.state
        rows, size = self._forget(sealed[:1], ())
        self.counts.evicted += rows
        self._replace(sealed[1:], tail)
        return size

    def holds(self, timestamp: int, key: int) -> bool:
        """Tell whether the trade of that time and id is there."""
        sealed, tail = self.state
        self.seen.update(TIME_AND_ID.unpack_from(row) for row in tail[self.seen_rows :])
        self.seen_rows = len(tail)
        return (timestamp, key) in self.seen or any(batch.holds(timestamp, key) for batch in sealed)

    def _evict(self, limits: Limits) -> None:
        sealed, tail = self.state
        at = 0
        while at < len(sealed) and (
            self.sealed_bytes > limits.bytes or self.sealed_rows - len(sealed[at].times) >= limits.rows
        ):
            self.counts.evicted += self._forget(sealed[at : at + 1], ())[0]
            at += 1
        if at:
            self._replace(sealed[at:], tail)

    def _forget(self, before: Sequence[Batch], after: Sequence[Batch]) -> tuple[int, int]:
        """Take batches out of the sums; return their rows and bytes."""
        if len(before) == len(after):
            return 0, 0
        rows = sum(len(b.times) for b in before) - sum(len(b.times) for b in after)
        size = sum(b.size for b in before) - sum(b.size for b in after)
        self.sealed_rows -= rows
        self.sealed_bytes -= size
        return rows, size

    def _replace(self, sealed: tuple[Batch, ...], tail: Tail) -> None:
        if tail is not self.tail:
            self.seen, self.seen_rows = set(), 0
        state = (sealed, tail)
        # Nothing is called between the two, so that Ctrl-C cannot come between them.
        self.state = state
        self.tail = tail

    # ---- by anybody

    @property
    def rows(self) -> int:
        """The number of rows held, live or not."""
        sealed, tail = self.state
        return sum(len(batch.times) for batch in sealed) + len(tail)

    @property
    def bytes(self) -> int:
        """The bytes held."""
        sealed, tail = self.state
        loose = sum(map(sys.getsizeof, tail[:]))
        return sum(batch.size for batch in sealed) + loose + sys.getsizeof(tail) + RING_BYTES

    def read(self, packing: Packing, cut: int, most: int) -> tuple[list[pa.RecordBatch], bool]:
        """Return the last `most` of the rows later than `cut`, as they came, and whether that is in order."""
        sealed, tail = self.state
        copied = tail[:]
        parts = list(sealed)
        if copied:
            parts.append(Batch.of(packing, copied, nulls=tail.nulls, ordered=not tail.late))
        live: list[pa.RecordBatch] = []
        ordered, last = True, NEVER
        for batch in parts:
            if batch.last > cut:
                ordered = ordered and batch.ordered and batch.first >= last
                last = batch.last
                live.append(batch.live(cut))
        return last_rows(live, most), ordered


def last_rows(batches: list[pa.RecordBatch], most: int) -> list[pa.RecordBatch]:
    """Return the last rows of batches behind each other."""
    kept: list[pa.RecordBatch] = []
    for batch in reversed(batches):
        if most <= 0:
            break
        if batch.num_rows:
            kept.append(batch if batch.num_rows <= most else batch.slice(batch.num_rows - most))
        most -= batch.num_rows
    return kept[::-1]
