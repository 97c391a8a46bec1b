"""The rows of one symbol: sealed Arrow batches behind each other, and a tail that grows.

One thread at a time changes a ring, any number read it without a lock: `state` is replaced whole, a batch
never changes, and of the tail a reader takes a copy.
"""

from __future__ import annotations

import struct
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from mdstore.realtime.packing import Packing, batch_of

__all__ = ["NEVER", "NO_ROW", "TIME", "TIME_AND_ID", "Batch", "Counts", "Head", "Limits", "Ring", "last_rows"]

NEVER = -(2**63)
TIME = struct.Struct("<q")
TIME_AND_ID = struct.Struct("<q24xq")  # where they stand in a packed trade
Head = tuple[int, int, bytes]
"""The latest timestamp, the highest id among the trades of that time, and the last row of it, packed."""
NO_ROW: tuple[bytes, Any] = (b"", None)
RING_BYTES = 1_000
"""Bytes that a ring takes besides its rows; rather too many than too few."""
BATCH_BYTES = 3_500
"""Bytes of the objects around a batch's buffers, by tracemalloc and Arrow's own count; rather too many."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of one symbol is kept, and how many rows go into a batch."""

    rows: int
    bytes: int
    batch_rows: int


@dataclass(frozen=True, slots=True, eq=False)
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

    def top(self) -> int | None:
        """Return the highest id among the rows, None where they have no ids."""
        place = self.rows.schema.get_field_index("id")
        return None if place < 0 else max(memoryview(self.rows.column(place).buffers()[1]).cast("q"))

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

    __slots__ = ("late", "nulls", "seen", "seen_rows")

    def __init__(self, rows: Iterable[bytes] = (), *, late: bool = False, nulls: bool = False) -> None:
        super().__init__(rows)
        self.late = late
        """Whether they may be out of order; said before the row is appended, for readers without a lock."""
        self.nulls = nulls
        """Whether something may be missing in them, as above."""
        self.seen: set[tuple[int, int]] = set()
        """Timestamps and ids of the first `seen_rows` of them."""
        self.seen_rows = 0

    def holds(self, timestamp: int, key: int) -> bool:
        """Tell whether the trade of that time and id is among the rows."""
        self.seen.update(TIME_AND_ID.unpack_from(row) for row in self[self.seen_rows :])
        self.seen_rows = len(self)
        return (timestamp, key) in self.seen


class State(NamedTuple):
    """All rows of a ring at one moment, and the rows and bytes of the sealed ones."""

    sealed: tuple[Batch, ...]
    tail: Tail
    rows: int
    size: int

    def sealing(self, batch: Batch) -> State:
        """Return it with a batch in place of the tail, or behind an empty one."""
        return State((*self.sealed, batch), Tail(), self.rows + len(batch.times), self.size + batch.size)

    def without(self, gone: Sequence[Batch]) -> State:
        """Return it without some batches."""
        kept = tuple(batch for batch in self.sealed if batch not in gone)
        rows, size = sum(len(b.times) for b in gone), sum(b.size for b in gone)
        return State(kept, self.tail, self.rows - rows, self.size - size)

    def within(self, limits: Limits) -> State:
        """Return it without the oldest batches that are too much; one is always kept."""
        at, rows, size = 0, self.rows, self.size
        while at < len(self.sealed) - 1 and (
            size > limits.bytes or rows - len(self.sealed[at].times) >= limits.rows
        ):
            rows, size, at = rows - len(self.sealed[at].times), size - self.sealed[at].size, at + 1
        return State(self.sealed[at:], self.tail, rows, size) if at else self


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
    """One symbol's rows, in the order in which they came.

    Whoever changes it holds the lock of the `Rings`. Ctrl-C may come at any call: what belongs together is
    assigned without one in between.
    """

    __slots__ = (
        "counts", "gone", "latest", "limit", "newest", "row", "stale_at", "state", "symbol", "tail", "top",
    )  # fmt: skip

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.tail = Tail()
        self.state = State((), self.tail, 0, 0)
        self.newest = NEVER
        """The latest timestamp."""
        self.top = NEVER
        """The highest id among the trades of that timestamp."""
        self.limit = NEVER
        """From this timestamp on a row is looked at more closely, see `Rings`."""
        self.stale_at = NEVER
        """Until this time (ns) no row that is newer than those held is past its TTL."""
        self.latest = b""
        """The row of the latest timestamp, packed."""
        self.row: tuple[bytes, Any] = NO_ROW
        """That row, if it was at hand, behind the bytes it is of."""
        self.counts = Counts()
        self.gone = (NEVER, NEVER)
        """The latest timestamp and the highest id among trades that were let go to keep within a bound."""

    def seal(self, packing: Packing, limits: Limits) -> int:
        """Make the tail a batch; return by how many bytes the sealed ones grew, or shrank."""
        state = self.state
        if not state.tail:
            return 0
        made = Batch.of(packing, state.tail, nulls=state.tail.nulls, ordered=not state.tail.late)
        return self._become(state.sealing(made), limits)

    def extend(self, batches: Sequence[pa.RecordBatch], head: Head, packing: Packing, limits: Limits) -> int:
        """Add rows that are columns already, newer than all; return the growth, as `seal` does."""
        grown = self.seal(packing, limits)
        state = self.state
        for made in batches:
            state = state.sealing(Batch.sealed(made, ordered=True))
        return grown + self._become(state, limits, head)

    def trim(self, cut: int) -> None:
        """Let go of rows of the tail that are not later than `cut`, where it is too short to be sealed."""
        state, tail = self.state, self.tail
        kept = Tail((row for row in tail if TIME.unpack_from(row)[0] > cut), late=tail.late, nulls=tail.nulls)
        if len(kept) < len(tail):
            self.counts.expired += len(tail) - len(kept)
            self._set(state._replace(tail=kept))

    def expire(self, cut: int) -> int:
        """Let go of what is not later than `cut`, whole batches at a time; return the bytes of them."""
        state = self.state
        gone = len(state.tail) if self.newest <= cut else 0
        after = state._replace(tail=Tail()) if gone else state
        # A late row may have left an older batch behind a newer one; it goes with that.
        if state.sealed and state.sealed[0].last <= cut:
            after = after.without([batch for batch in state.sealed if batch.last <= cut])
        if after is not state:
            self.counts.expired += gone + state.rows - after.rows
            self._set(after)
        return state.size - after.size

    def drop_oldest(self) -> int:
        """Let go of the oldest batch; return its bytes."""
        state = self.state
        after = state.without(state.sealed[:1])
        self._remember(state.sealed[:1])
        self.counts.evicted += state.rows - after.rows
        self._set(after)
        return state.size - after.size

    def holds(self, timestamp: int, key: int) -> bool:
        """Tell whether the trade of that time and id is there."""
        return self.tail.holds(timestamp, key) or any(b.holds(timestamp, key) for b in self.state.sealed)

    def has_let_go(self, timestamp: int, key: int) -> bool:
        """Tell whether a trade is as old as those that are not held any more: it came before, by its id."""
        return timestamp <= self.gone[0] and key <= self.gone[1]

    def _become(self, state: State, limits: Limits, head: Head | None = None) -> int:
        before, after = self.state.size, state.within(limits)
        self._remember(state.sealed[: len(state.sealed) - len(after.sealed)])
        self.counts.evicted += state.rows - after.rows
        self._set(after, head)
        return after.size - before

    def _remember(self, batches: Sequence[Batch]) -> None:
        """Note which trades are let go: they would be taken for new ones if they came again."""
        for batch in batches:
            top = batch.top()
            if top is not None:
                self.gone = max(self.gone[0], batch.last), max(self.gone[1], top)

    def _set(self, state: State, head: Head | None = None) -> None:
        newest, top, latest = head or (self.newest, self.top, self.latest)
        tail = state.tail
        self.state = state
        self.tail = tail
        self.newest = newest
        self.top = top
        self.latest = latest

    # ---- by anybody, without a lock

    @property
    def rows(self) -> int:
        """The number of rows held, live or not."""
        state = self.state
        return state.rows + len(state.tail)

    @property
    def bytes(self) -> int:
        """The bytes held."""
        state = self.state
        return state.size + sum(map(sys.getsizeof, state.tail[:])) + sys.getsizeof(state.tail) + RING_BYTES

    def read(self, packing: Packing, cut: int, most: int) -> tuple[list[pa.RecordBatch], bool]:
        """Return the last `most` of the rows later than `cut`, as they came, and whether that is in order."""
        state = self.state
        copied = state.tail[:]
        parts = list(state.sealed)
        if copied:
            parts.append(Batch.of(packing, copied, nulls=state.tail.nulls, ordered=not state.tail.late))
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
