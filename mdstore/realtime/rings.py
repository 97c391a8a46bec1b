"""The rings of all symbols of a table: where a row goes, what is dropped, and what is let go.

There is no thread for any of this: the threads that push or ask for `stats` do it in passing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from mdstore.errors import InvalidInputError
from mdstore.realtime.batches import Group
from mdstore.realtime.limits import Kind
from mdstore.realtime.packing import NO_ID, SNAPSHOT_BYTE, WORD, TickerPacking, TradePacking
from mdstore.realtime.ring import NEVER, NO_ROW, TIME, TIME_AND_ID, Counts, Limits, Ring
from mdstore.realtime.row_rules import FUTURE_MS, MS_NS
from mdstore.realtime.subscription import Queue

__all__ = ["Clock", "Listener", "Rings"]

Clock = Callable[[], int]
"""Nanoseconds since 1970, UTC, as `time.time_ns`."""

FEW_ROWS = 64
"""Fewer rows than this wait in the tail: a batch of them would take more memory than they do."""
MANY_ROWS = 4_096
"""The most rows of a batch: it is let go as a whole, so a long one would keep its first rows too long."""
SPANS = 8
"""A tail that spans an eighth of the TTL is sealed: its first rows are kept too long by no more than that."""
RECKONING = 64
"""After this many changes the bytes are added up anew, see `_reckon`."""


class Listener(Protocol):
    """What is told of every row that is kept, in the thread of the feed, with the lock held."""

    def offer(self, row: Any, /) -> object:
        """Take a row, and do not wait; False says that nobody is there any more."""


Take = Callable[[str, int, float, float, int], object]
"""Takes the symbol, timestamp, price, size and id of a trade."""


class Rings:
    """The rings by symbol, the lock for changing them, and the listeners that are told of new rows."""

    def __init__(
        self, kind: Kind[Any], *, ttl: float, rows: int, size: int, total: int, symbols: int, clock: Clock
    ) -> None:
        self.kind = kind
        self.clock = [clock]  # in a list, so that `fast_push`, which holds the list, sees a new clock
        self.ttl_ms = max(1, round(ttl * 1000))
        fitting = max(1, size // (SPANS * kind.packing.size))
        self.limits = Limits(rows, size, min(kind.batch_rows, rows, fitting))
        self.by_symbol: dict[str, Ring] = {}
        # An RLock refuses to be released by a thread that does not hold it; `fast_push` relies on that.
        self.lock = threading.RLock()
        self.listeners: list[Listener] = []
        self.alone: list[Take | None] = [None]
        """Where there is but one listener, how it takes the fields of a trade; in a list, as the clock."""
        self._total = total
        self._symbols = symbols
        self._longest = max(1, min(MANY_ROWS, rows, fitting))
        self._sealed_bytes = self._changes = 0
        self._next_sweep = NEVER
        self._gone = Counts()
        self.refused = b""
        """The last row that came past its TTL, packed."""

    def cut(self, now: int) -> int:
        """Return the timestamp (ms) up to which rows are past their TTL at a time (ns)."""
        return now // MS_NS - self.ttl_ms

    def set_clock(self, clock: Clock) -> None:
        """Go by another clock."""
        with self.lock:
            self.clock[0] = clock
            self._next_sweep = NEVER
            for ring in self.by_symbol.values():
                ring.limit = ring.stale_at = NEVER

    def clear(self) -> None:
        """Forget all rows and counts."""
        with self.lock:
            self.by_symbol.clear()
            self._sealed_bytes, self._next_sweep, self._gone = 0, NEVER, Counts()

    def forget(self, symbols: Iterable[str]) -> None:
        """Forget the rows of some symbols; they count as past their TTL."""
        with self.lock:
            for symbol in symbols:
                ring = self.by_symbol.pop(symbol, None)
                if ring is not None:
                    self._gone += ring.counts + Counts(expired=ring.rows)
            self._reckon()

    def counted(self) -> tuple[list[Ring], Counts]:
        """Return the rings that have rows, and what became of all rows that came. The lock is held."""
        self.sweep(self.clock[0]())
        rings = list(self.by_symbol.values())
        return rings, sum((ring.counts for ring in rings), self._gone)

    # ---- in, with the lock held

    def push_rows(self, rows: Sequence[Any], now: int) -> int:
        """Take rows that were checked; return how many were kept."""
        packed = [self.kind.packing.pack(row) for row in rows]
        with self.lock:
            self._admit({row.symbol for row in rows}, now)
            kept = sum(
                self._place(row.symbol, data, row, now) for row, data in zip(rows, packed, strict=True)
            )
        self.wait()
        return kept

    def push_groups(self, groups: Iterable[Group], now: int) -> int:
        """Take rows that came as columns; return how many were kept."""
        checked = list(groups)
        with self.lock:
            self._admit({group.symbol for group in checked}, now)
            kept = sum(self._place_group(group, now) for group in checked)
            if now >= self._next_sweep:
                self.sweep(now)
        self.wait()
        return kept

    def _place(self, symbol: str, packed: bytes, row: Any, now: int, *, nulls: bool = True) -> int:
        """Place a row by the rules; return 1 if it was kept."""
        ring = self.by_symbol.get(symbol) or Ring(symbol)
        timestamp = TIME.unpack_from(packed)[0]
        late = timestamp < ring.newest
        if self._is_refused(ring, packed, timestamp, late, now):
            return 0
        nulls = nulls and (row is None or None in row)
        top = _top(ring, packed, timestamp) if self.kind.events else NEVER
        known = NO_ROW if row is None else (packed, row)
        tail = ring.tail
        tail.nulls = tail.nulls or nulls
        tail.late = tail.late or late
        if not late:
            # Nothing is called until the row is appended, so that Ctrl-C cannot come between.
            ring.newest = timestamp
            ring.top = top
            ring.latest = packed
            ring.row = known
        tail.append(packed)
        self.by_symbol[symbol] = ring
        if len(tail) >= self.limits.batch_rows:
            self.seal(ring)
        if ring.newest >= ring.limit:
            self._look(ring, now)
        if self.listeners:
            self._tell(row if row is not None else self.kind.packing.unpack(symbol, packed))
        return 1

    def _is_refused(self, ring: Ring, packed: bytes, timestamp: int, late: bool, now: int) -> bool:
        """Tell whether a row is dropped, and count why."""
        counts = ring.counts if ring.symbol in self.by_symbol else self._gone
        if timestamp <= self.cut(now):
            counts.expired += 1
            self.refused = packed
            self._missed(ring.symbol, packed)
            return True
        if late and not self.kind.events:
            counts.late += 1
            return True
        if self._repeats(ring, packed, timestamp):
            counts.duplicates += 1
            return True
        counts.late += late
        return False

    def _repeats(self, ring: Ring, packed: bytes, timestamp: int) -> bool:
        """Tell whether a row is held already."""
        if self.kind.events:
            key = _key(packed)
            if key == NO_ID or _is_newer(ring, timestamp, key):
                return False
            return ring.holds(timestamp, key) or ring.has_let_go(timestamp, key)
        # All but when it was received.
        return timestamp == ring.newest and packed[2 * WORD :] == ring.latest[2 * WORD :]

    def _place_group(self, group: Group, now: int) -> int:
        """Place rows of one symbol: together, where they are in order and newer than all before."""
        packing, ring = self.kind.packing, self.by_symbol.get(group.symbol)
        assert isinstance(packing, TickerPacking | TradePacking)  # noqa: S101 - order books come as rows
        times, ids = group.words[0], group.words[4] if self.kind.events else None
        newer = ring is None or _is_newer(ring, times[0], None if ids is None else ids[0])
        if not (group.ordered and newer and times[0] > self.cut(now)) or self.listeners:
            rows = group.packed(packing)
            return sum(self._place(group.symbol, row, None, now, nulls=group.nulls) for row in rows)
        ring = ring or Ring(group.symbol)
        head = times[-1], NEVER if ids is None else ids[-1], group.last(packing)
        if len(group) < FEW_ROWS:
            self._append(ring, group.packed(packing), head, group.nulls)
        else:
            starts = range(0, len(group), self._longest)
            batches = [group.batch(packing, at, at + self._longest) for at in starts]
            self._sealed_bytes += ring.extend(batches, head, packing, self.limits)
        self.by_symbol[group.symbol] = ring
        self._keep_within()
        return len(group)

    def _append(self, ring: Ring, rows: Sequence[bytes], head: tuple[int, int, bytes], nulls: bool) -> None:
        tail = ring.tail
        tail.nulls = tail.nulls or nulls
        # Nothing is called in between, as above.
        ring.newest, ring.top, ring.latest = head
        tail += rows
        if len(tail) >= self.limits.batch_rows:
            self.seal(ring)

    # ---- those who are told

    def listen(self, listener: Listener) -> None:
        """Tell a listener of every row from now on."""
        with self.lock:
            self.listeners.append(listener)
            self._look_for_one()

    def leave(self, listener: Listener) -> None:
        """Tell it no more."""
        with self.lock:
            if listener in self.listeners:
                self.listeners.remove(listener)
            self._look_for_one()

    def _look_for_one(self) -> None:
        only = self.listeners[0] if len(self.listeners) == 1 else None
        self.alone[0] = getattr(only, "take", None) if not isinstance(only, Queue) else None

    def tell(self, ring: Ring) -> None:
        """Tell the listeners of the latest row, which `fast_push` has taken."""
        self._tell(self.kind.packing.unpack(ring.symbol, ring.latest))

    def _tell(self, row: Any) -> None:
        ended = [listener for listener in self.listeners if listener.offer(row) is False]
        for listener in ended:
            self.leave(listener)

    def _missed(self, symbol: str, packed: bytes) -> None:
        """Say that a trade came too late to be told; those of a snapshot were told before."""
        if self.kind.events and not packed[SNAPSHOT_BYTE]:
            for listener in self.listeners:
                missed = getattr(listener, "missed", None)
                if missed is not None:
                    missed(symbol, TIME.unpack_from(packed)[0])

    def wait(self) -> None:
        """Wait for those who asked for it, after a push; without the lock."""
        for listener in tuple(self.listeners) if self.listeners else ():
            if isinstance(listener, Queue):
                listener.wait_for_room()

    # ---- housekeeping, with the lock held

    def _admit(self, symbols: set[str], now: int) -> None:
        """Refuse rows of more symbols than there may be."""
        new = symbols.difference(self.by_symbol)  # less the keys, it goes through all: 6 us of 200 symbols
        if new and len(self.by_symbol) + len(new) > self._symbols:
            self.sweep(now)
            if len(self.by_symbol) + len(new) > self._symbols:
                raise InvalidInputError(
                    f"{min(new)}: rows of {len(self.by_symbol):,} symbols are held, and no more may be "
                    f"(symbols={self._symbols:,}). Nothing was taken"
                )

    def _look(self, ring: Ring, now: int) -> None:
        """Look after a ring, whenever its time has gone on by an eighth of the TTL, or a minute."""
        if len(ring.tail) >= FEW_ROWS:
            self.seal(ring)
        else:
            ring.trim(self.cut(now))
        ring.limit = min(now // MS_NS + FUTURE_MS, ring.newest + max(1, self.ttl_ms // SPANS))
        ring.stale_at = (ring.newest + self.ttl_ms) * MS_NS
        if now >= self._next_sweep:
            self.sweep(now)

    def seal(self, ring: Ring) -> None:
        """Make a ring's tail a batch."""
        self._sealed_bytes += ring.seal(self.kind.packing, self.limits)
        self._keep_within()

    def _keep_within(self) -> None:
        """Let the largest symbol lose its oldest rows while all together are too much."""
        self._changes += 1
        if self._sealed_bytes <= self._total and self._changes % RECKONING:
            return
        self._reckon()

    def _reckon(self) -> None:
        """Add the sum up anew, which an interrupted push may have left off, and keep to the bound."""
        self._sealed_bytes = sum(ring.state.size for ring in self.by_symbol.values())
        while self._sealed_bytes > self._total:
            largest = max(self.by_symbol.values(), key=lambda ring: ring.state.size)
            if not largest.state.sealed:
                return
            self._sealed_bytes -= largest.drop_oldest()

    def sweep(self, now: int) -> None:
        """Let go of all that is past the TTL, and of symbols that have nothing left."""
        cut = self.cut(now)
        for symbol, ring in list(self.by_symbol.items()):
            ring.expire(cut)
            if not ring.rows:
                self._gone += self.by_symbol.pop(symbol).counts
        self._reckon()
        self._next_sweep = now + self.ttl_ms * MS_NS // SPANS


def _top(ring: Ring, packed: bytes, timestamp: int) -> int:
    key = _key(packed)
    return key if timestamp > ring.newest else max(ring.top, key)


def _is_newer(ring: Ring, timestamp: int, key: int | None) -> bool:
    """Tell whether a row cannot be one that is held: by its time, or its id among those of the newest."""
    return timestamp > ring.newest or (key is not None and timestamp == ring.newest and key > ring.top)


def _key(packed: bytes) -> int:
    """Return the id of a packed trade."""
    return int(TIME_AND_ID.unpack_from(packed)[1])
