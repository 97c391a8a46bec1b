"""One kind of realtime rows of all symbols: a ring for each, and the face that feeds and readers use."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import wraps
from math import isfinite
from operator import index
from typing import Any, Literal, Protocol

import polars as pl
import pyarrow as pa

from mdstore.errors import InvalidInputError, StaleDataError
from mdstore.long import Long, as_frame
from mdstore.realtime.batches import Group, frame_of, groups_of
from mdstore.realtime.checks import FUTURE_MS, MS_NS, check_row
from mdstore.realtime.kinds import Kind
from mdstore.realtime.lane import trade_lane
from mdstore.realtime.packing import NO_ID, WORD, TickerPacking, TradePacking, batch_of
from mdstore.realtime.ring import NEVER, NO_ROW, TIME, TIME_AND_ID, Counts, Limits, Ring, last_rows
from mdstore.realtime.subscription import OVERFLOWS, Overflow, Subscription
from mdstore.validation import check_symbol

__all__ = ["Clock", "Listener", "RealtimeTable"]

Clock = Callable[[], int]
"""Nanoseconds since 1970, UTC, as `time.time_ns`."""
OnStale = Literal["none", "raise"]

SYMBOLS = 20_000
TOTAL_BYTES = 1024**3
BUFFER = 10_000
FEW_ROWS = 64
"""Below so many, rows wait in the tail: a batch of fewer costs more than what it holds."""
MANY_ROWS = 4_096
"""No batch is longer: batches go as a whole."""
SPANS = 8
"""A tail that spans this part of the TTL is sealed, so that what goes with it went late by no more."""
GATHER_ROWS = 1_000_000
FOREVER = 2**62
NS = 1_000_000_000
SENT_AND_RECEIVED = struct.Struct("<qq")


class Listener(Protocol):
    """What is told of every row that is kept, in the thread of the feed."""

    def offer(self, row: Any, /) -> object:
        """Take a row; must not wait."""


class RealtimeTable:
    """Tickers, order books or trades of all symbols: `store.tickers`, `store.orderbooks`, `store.trades`.

    A row lives for `ttl` seconds from the exchange's timestamp on; an older one is never given out. Of each
    symbol the latest `rows` are given, and no more than `bytes` of sealed ones kept: a symbol that is flooded
    loses its own oldest rows and nobody else's. Beyond `total_bytes`, the largest symbol loses some.

    States (tickers, order books): a row older than the symbol's newest is late and dropped; one that repeats
    the newest is a duplicate and dropped. Events (trades): one with the id and timestamp of a trade that is
    held is a duplicate and dropped; one older than the newest is late and placed where it belongs. All are
    counted, see `stats`.

    Threads and tasks may push and read at once. Reading takes no lock, and what it gives never changes.
    """

    def __init__(
        self,
        kind: Kind,
        *,
        ttl: float | None = None,
        rows: int | None = None,
        bytes: int | None = None,  # noqa: A002 - as the store's `memory_bytes`
        total_bytes: int = TOTAL_BYTES,
        symbols: int = SYMBOLS,
        clock: Clock = time.time_ns,
    ) -> None:
        self.kind = kind
        self.ttl = _seconds(kind.ttl if ttl is None else ttl, "ttl")
        self._clock = [clock]  # in a list, so that the lane sees it replaced
        most = _count(kind.rows if rows is None else rows, "rows")
        size = _count(kind.bytes if bytes is None else bytes, "bytes")
        self.limits = Limits(most, size, min(kind.batch_rows, most))
        self.total_bytes = _count(total_bytes, "total_bytes")
        self.symbols = _count(symbols, "symbols")
        self._ttl_ms = max(1, round(self.ttl * 1000))
        self._rings: dict[str, Ring] = {}
        self._lock = threading.Lock()
        self._listeners: list[Listener] = []
        self._sealed_bytes = 0
        self._next_sweep = NEVER
        self._gone = Counts()
        if kind.events:
            self.push = wraps(self.push)(self._lane())  # type: ignore[method-assign, assignment]

    @property
    def clock(self) -> Clock:
        """What tells the time, in nanoseconds; a replay sets its own."""
        return self._clock[0]

    @clock.setter
    def clock(self, clock: Clock) -> None:
        self._clock[0] = clock

    # ---- in

    def push(self, data: object) -> int:
        """Take a row or a batch of rows; return how many were kept, without duplicates and late states.

        A row is a tuple in the order of `Ticker`, `Depth` or `Trade` (in `realtime.rows`), a dict of its
        fields, or one of these; a batch is a list of rows, a dict of columns, or a Polars, pandas or Arrow
        table. What is left out is None, and `received` the time now. A batch with a row that breaks a rule
        is refused whole.

        Raises `ValidationError`, which names row and field, and `InvalidInputError`.
        """
        now = self.clock()
        if _is_row(data):
            rows = [check_row(self.kind.row, data, now)]
        elif (frame := frame_of(self.kind, data)) is None:
            rows = [check_row(self.kind.row, row, now, at) for at, row in enumerate(_items(data))]
        elif self.kind.columnar:
            return self._push_groups(groups_of(self.kind, frame, now), now)
        else:
            named = frame.iter_rows(named=True)
            rows = [check_row(self.kind.row, row, now, at) for at, row in enumerate(named)]
        pack = self.kind.packing.pack
        packed = [pack(row) for row in rows]
        with self._lock:
            self._admit({row.symbol for row in rows}, now)
            kept = sum(
                self._place(row.symbol, data, row, now) for row, data in zip(rows, packed, strict=True)
            )
        self._wait_for_listeners()
        return kept

    def clear(self) -> None:
        """Forget all rows and counts; subscriptions stay."""
        with self._lock:
            self._rings.clear()
            self._sealed_bytes = 0
            self._gone = Counts()

    # ---- out

    def latest(self, symbol: str, *, on_stale: OnStale = "none") -> Any:
        """Return the newest row of a symbol; None where it is past its TTL, or `StaleDataError` by choice.

        The newest is the one with the latest timestamp, of equal ones the last that came.
        """
        ring = self._rings.get(symbol)
        if ring is not None:
            packed = ring.latest
            if TIME.unpack_from(packed)[0] > self._clock[0]() // MS_NS - self._ttl_ms:
                known = ring.row
                return known[1] if known[0] is packed else self.kind.packing.unpack(symbol, packed)
        if on_stale == "none":
            return None
        raise self._stale(symbol, on_stale)

    def window(
        self,
        symbols: str | Sequence[str] | None = None,
        *,
        seconds: float | None = None,
        rows: int | None = None,
    ) -> pl.DataFrame:
        """Return the live rows, by timestamp: of the last `seconds`, and the latest `rows` of each symbol.

        One symbol gives a frame without a symbol column, empty where there are no rows; a list, or None for
        all, gives a long frame with `symbol` first, sorted by symbol.
        """
        values, names, ends = self._gathered(symbols, seconds, rows)
        return as_frame(values) if isinstance(symbols, str) else Long(values, names, ends).frame

    def arrow(
        self,
        symbols: str | Sequence[str] | None = None,
        *,
        seconds: float | None = None,
        rows: int | None = None,
    ) -> pa.Table:
        """Return the live rows as an Arrow table; arguments and order as in `window`."""
        values, names, ends = self._gathered(symbols, seconds, rows)
        return values if isinstance(symbols, str) else Long(values, names, ends).table

    def snapshot(self, symbols: Sequence[str] | None = None) -> pl.DataFrame:
        """Return the newest live row of every symbol, or of those given, as one frame sorted by symbol."""
        cut = self.clock() // MS_NS - self._ttl_ms
        found = [(ring.symbol, ring.latest) for ring in self._chosen(symbols)]
        live = [(symbol, packed) for symbol, packed in found if TIME.unpack_from(packed)[0] > cut]
        rows = batch_of(self.kind.packing, [packed for _, packed in live], nulls=True)
        names = [symbol for symbol, _ in live]
        return Long(pa.Table.from_batches([rows]), names, range(1, len(names) + 1)).frame

    def subscribe(
        self,
        callback: Callable[[Any], object] | None = None,
        *,
        symbols: str | Sequence[str] | None = None,
        overflow: Overflow = "drop",
        buffer: int = BUFFER,
        patience: float = 1.0,
    ) -> Subscription:
        """Be given every row that is kept from now on: see `Subscription`.

        With a `callback`, it is called with one row after the other in a thread of its own; without, the
        subscription is iterated over, by `for` or `async for`.
        """
        if overflow not in OVERFLOWS:
            raise InvalidInputError(f"overflow={overflow!r} is none of {', '.join(map(repr, OVERFLOWS))}")
        if callback is not None and not callable(callback):
            raise InvalidInputError(f"callback={callback!r} cannot be called")
        made = Subscription(
            symbols=None if symbols is None else self._names(symbols),
            overflow=overflow,
            buffer=_count(buffer, "buffer"),
            patience=_seconds(patience, "patience"),
            callback=callback,
            leave=self.remove_listener,
        )
        self.add_listener(made)
        return made

    def stats(self) -> dict[str, int | float | None]:
        """Return rows, symbols and bytes held, their bounds, and what became of the rows that came.

        `pushed` = `rows` held + `expired` (past the TTL, then or later) + `evicted` (beyond a bound) +
        `duplicates` + the `late` ones where these are dropped. `lag` is how long the newest row was on its
        way, in seconds.
        """
        with self._lock:
            self._sweep(self.clock())
            rings = list(self._rings.values())
            counts = sum((ring.counts for ring in rings), self._gone)
            rows = sum(ring.rows for ring in rings)
            size = sum(ring.bytes for ring in rings)
            listeners = tuple(self._listeners)
        lost = counts.expired + counts.evicted + counts.duplicates + (0 if self.kind.events else counts.late)
        return {
            "rows": rows,
            "symbols": len(rings),
            "bytes": size,
            "pushed": rows + lost,
            "late": counts.late,
            "duplicates": counts.duplicates,
            "expired": counts.expired,
            "evicted": counts.evicted,
            "lag": _lag(rings),
            "subscriptions": len(listeners),
            "dropped": sum(getattr(listener, "dropped", 0) for listener in listeners),
            "ttl": self.ttl,
            "rows_bound": self.limits.rows,
            "bytes_bound": self.limits.bytes,
            "total_bytes_bound": self.total_bytes,
        }

    # ---- for the parts around it

    def add_listener(self, listener: Listener) -> None:
        """Tell a listener of every row that is kept from now on."""
        with self._lock:
            self._listeners.append(listener)

    def remove_listener(self, listener: Listener) -> None:
        """Tell it no more."""
        with self._lock:
            if listener in self._listeners:
                self._listeners.remove(listener)

    def close(self) -> None:
        """End the subscriptions, once what waits has been consumed."""
        with self._lock:
            listeners = tuple(self._listeners)
        for listener in listeners:
            if isinstance(listener, Subscription):
                listener.close()

    # ---- a row's way in

    def _lane(self) -> Callable[[object], int]:
        return trade_lane(
            self.push,
            rings=self._rings,
            lock=self._lock,
            clock=self._clock,
            batch_rows=self.limits.batch_rows,
            seal=self._seal,
            listeners=self._listeners,
            tell=self._tell,
            wait=self._wait_for_listeners,
        )

    def _push_groups(self, groups: Iterator[Group], now: int) -> int:
        checked = list(groups)
        with self._lock:
            self._admit({group.symbol for group in checked}, now)
            kept = sum(self._place_group(group, now) for group in checked)
            if now >= self._next_sweep:
                self._sweep(now)
        self._wait_for_listeners()
        return kept

    def _place_group(self, group: Group, now: int) -> int:
        """Place rows of one symbol: together, where they are many, in order and newer than all before."""
        packing, ring = self.kind.packing, self._rings.get(group.symbol)
        assert isinstance(packing, TickerPacking | TradePacking)  # noqa: S101 - order books come as rows
        times, ids = group.words[0], group.words[4] if self.kind.events else None
        newer = ring is None or _is_newer(ring, times[0], None if ids is None else ids[0])
        live = times[0] > now // MS_NS - self._ttl_ms
        if not (group.ordered and newer and live and not self._listeners):
            rows = group.packed(packing)
            return sum(self._place(group.symbol, row, None, now, nulls=group.nulls) for row in rows)
        ring = ring or Ring(group.symbol)
        ring.newest, ring.latest = times[-1], group.last(packing)
        if ids is not None:
            ring.top = ids[-1]
        if len(group) < FEW_ROWS:
            for row in group.packed(packing):
                ring.append(row, nulls=group.nulls)
            self._rings[group.symbol] = ring
            if len(ring.tail) >= self.limits.batch_rows:
                self._seal(ring)
            return len(group)
        for at in range(0, len(group), MANY_ROWS):
            self._sealed_bytes += ring.append_batch(
                group.batch(packing, at, at + MANY_ROWS), packing, self.limits
            )
        self._rings[group.symbol] = ring
        self._keep_within()
        return len(group)

    def _place(self, symbol: str, packed: bytes, row: Any, now: int, *, nulls: bool = True) -> int:
        """Place a row by the rules; return 1 if it was kept. The lock is held."""
        ring = self._rings.get(symbol) or Ring(symbol)
        timestamp = TIME.unpack_from(packed)[0]
        counts = ring.counts if symbol in self._rings else self._gone
        if timestamp <= now // MS_NS - self._ttl_ms:
            counts.expired += 1
            return 0
        late = timestamp < ring.newest
        counts.late += late
        if late and not self.kind.events:
            return 0
        if self._repeats(ring, packed, timestamp):
            counts.late -= late
            counts.duplicates += 1
            return 0
        if self.kind.events and not late:
            ring.top = _key(packed) if timestamp > ring.newest else max(ring.top, _key(packed))
        if not late:
            ring.newest, ring.latest, ring.row = (
                timestamp,
                packed,
                (packed, row) if row is not None else NO_ROW,
            )
        ring.append(packed, nulls=nulls and (row is None or None in row), late=late)
        self._rings[symbol] = ring
        if len(ring.tail) >= self.limits.batch_rows:
            self._seal(ring)
        if ring.newest >= ring.limit:
            self._look(ring, now)
        if self._listeners:
            self._tell(ring, row if row is not None else self.kind.packing.unpack(symbol, packed))
        return 1

    def _repeats(self, ring: Ring, packed: bytes, timestamp: int) -> bool:
        """Tell whether a row is held already."""
        if self.kind.events:
            key = _key(packed)
            return key != NO_ID and not _is_newer(ring, timestamp, key) and ring.holds(timestamp, key)
        # All but when it was received.
        return timestamp == ring.newest and packed[2 * WORD :] == ring.latest[2 * WORD :]

    def _tell(self, ring: Ring, row: Any = None) -> None:
        told = self.kind.packing.unpack(ring.symbol, ring.latest) if row is None else row
        for listener in self._listeners:
            listener.offer(told)

    def _wait_for_listeners(self) -> None:
        for listener in tuple(self._listeners):
            if isinstance(listener, Subscription):
                listener.wait_for_room()

    # ---- housekeeping, in passing: there is no thread for it

    def _admit(self, symbols: set[str], now: int) -> None:
        """Refuse rows of more symbols than there may be."""
        new = symbols - self._rings.keys()
        if new and len(self._rings) + len(new) > self.symbols:
            self._sweep(now)
            if len(self._rings) + len(new) > self.symbols:
                raise InvalidInputError(
                    f"{min(new)}: rows of {len(self._rings):,} symbols are held, and no more may be "
                    f"(symbols={self.symbols:,}). Nothing was taken"
                )

    def _look(self, ring: Ring, now: int) -> None:
        """Look after a ring, whenever its time has gone on by an eighth of the TTL, or a minute."""
        cut = now // MS_NS - self._ttl_ms
        if len(ring.tail) >= FEW_ROWS:
            self._seal(ring)
        else:
            ring.trim(cut)
        ring.limit = min(now // MS_NS + FUTURE_MS, ring.newest + max(1, self._ttl_ms // SPANS))
        if now >= self._next_sweep:
            self._sweep(now)

    def _seal(self, ring: Ring) -> None:
        self._sealed_bytes += ring.seal(self.kind.packing, self.limits)
        if self._sealed_bytes > self.total_bytes:
            self._keep_within()

    def _keep_within(self) -> None:
        while self._sealed_bytes > self.total_bytes:
            largest = max(self._rings.values(), key=lambda ring: ring.sealed_bytes)
            self._sealed_bytes -= largest.drop_oldest()

    def _sweep(self, now: int) -> None:
        """Let go of all that is past the TTL, and of symbols that have nothing left."""
        cut = now // MS_NS - self._ttl_ms
        for symbol, ring in list(self._rings.items()):
            self._sealed_bytes -= ring.expire(cut)
            if not ring.rows:
                self._gone += self._rings.pop(symbol).counts
        self._next_sweep = now + self._ttl_ms * MS_NS // SPANS

    # ---- reading

    def _gathered(
        self, symbols: str | Sequence[str] | None, seconds: float | None, rows: int | None
    ) -> tuple[pa.Table, list[str], list[int]]:
        """Return the values of live rows, the symbols that have some, and at which row each ends."""
        now = self.clock() // MS_NS
        age = (
            self._ttl_ms if seconds is None else min(self._ttl_ms, round(_seconds(seconds, "seconds") * 1000))
        )
        most = FOREVER if rows is None else _count(rows, "rows")
        batches: list[pa.RecordBatch] = []
        names: list[str] = []
        ends: list[int] = []
        for ring in self._chosen(symbols):
            found, ordered = ring.read(self.kind.packing, now - age, self.limits.rows)
            found = last_rows(found if ordered else _sorted(found), most)
            if found:
                batches += found
                names.append(ring.symbol)
                ends.append((ends[-1] if ends else 0) + sum(batch.num_rows for batch in found))
        if len(batches) > 1 and ends[-1] <= GATHER_ROWS:
            batches = [pa.concat_batches(batches)]
        return pa.Table.from_batches(batches, schema=self.kind.packing.schema), names, ends

    def _chosen(self, symbols: str | Sequence[str] | None) -> list[Ring]:
        if symbols is None:
            return [ring for _, ring in sorted(self._rings.items())]
        known = (self._rings.get(symbol) for symbol in self._names(symbols))
        return [ring for ring in known if ring is not None]

    def _names(self, symbols: str | Sequence[str]) -> list[str]:
        if not isinstance(symbols, str) and not isinstance(symbols, Iterable):
            raise InvalidInputError(f"symbols={symbols!r}: give a symbol, a list of symbols, or None for all")
        return sorted(
            {check_symbol(symbol) for symbol in ([symbols] if isinstance(symbols, str) else symbols)}
        )

    def _stale(self, symbol: object, on_stale: object) -> Exception:
        if on_stale != "raise":
            return InvalidInputError(f"on_stale={on_stale!r} is neither 'none' nor 'raise'")
        ring = self._rings.get(check_symbol(symbol))
        if ring is None:
            return StaleDataError(f"no {self.kind.name} of {symbol} within {self.ttl:g} s")
        age = self.clock() // MS_NS - ring.newest
        return StaleDataError(
            f"the latest of {symbol} in {self.kind.name} is {age / 1000:,.1f} s old, the TTL {self.ttl:g} s"
        )


def _is_newer(ring: Ring, timestamp: int, key: int | None) -> bool:
    """Tell whether a row cannot be one that is held: by its time, or its id among those of the newest."""
    return timestamp > ring.newest or (key is not None and timestamp == ring.newest and key > ring.top)


def _key(packed: Any) -> int:
    """Return the id of a packed trade."""
    return int(TIME_AND_ID.unpack_from(packed)[1])


def _sorted(batches: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """Return rows by timestamp, those of one in the order in which they came: Arrow's sort is stable."""
    import pyarrow.compute as pc  # noqa: PLC0415 - 20 ms that only late rows cost

    whole = pa.concat_batches(batches)
    return [whole.take(pc.sort_indices(whole.column(0)))]


def _lag(rings: Sequence[Ring]) -> float | None:
    """Return how long the newest row was on its way, in seconds."""
    newest = max(rings, key=lambda ring: ring.newest, default=None)
    if newest is None:
        return None
    timestamp, received = SENT_AND_RECEIVED.unpack_from(newest.latest)
    return float(received - timestamp * MS_NS) / NS


def _is_row(data: object) -> bool:
    if isinstance(data, Mapping):
        some = (data.get("symbol"), data.get("timestamp"))
        return not any(hasattr(value, "__len__") and not isinstance(value, str) for value in some)
    return isinstance(data, tuple) and not (data and isinstance(data[0], tuple | dict))


def _items(data: object) -> Iterator[object]:
    if isinstance(data, str | bytes) or not isinstance(data, Iterable):
        raise InvalidInputError(f"{data!r} is neither a row nor a batch of rows")
    return iter(data)


def _seconds(value: float, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or value <= 0:
        raise InvalidInputError(f"{what}={value!r} is no number of seconds above 0")
    return float(value)


def _count(value: int, what: str) -> int:
    try:
        number = index(value)
    except TypeError:
        number = 0
    if isinstance(value, bool) or not 0 < number <= FOREVER:
        raise InvalidInputError(f"{what}={value!r} is no whole number from 1 on")
    return number
