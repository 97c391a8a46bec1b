"""One kind of realtime rows of all symbols: a ring for each, and the face that feeds and readers use."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import wraps
from numbers import Real
from operator import index
from typing import Any, Generic, Literal, TypeVar, overload

import polars as pl
import pyarrow as pa

from mdstore.core.did_you_mean import did_you_mean
from mdstore.core.long_table import Long, as_frame
from mdstore.core.polars_forks import refuse_broken_polars
from mdstore.core.symbols import check_symbol, symbol_parts
from mdstore.errors import InvalidInputError, StaleDataError, StoreClosedError
from mdstore.realtime.batches import frame_of, groups_of
from mdstore.realtime.fast_push import trade_lane
from mdstore.realtime.limits import Kind
from mdstore.realtime.packing import batch_of
from mdstore.realtime.ring import TIME, Ring, last_rows
from mdstore.realtime.rings import Clock, Listener, Rings
from mdstore.realtime.row_rules import MS_NS, check_row
from mdstore.realtime.rows import Depth, Ticker, Trade
from mdstore.realtime.subscription import OVERFLOWS, Overflow, Queue, Subscription
from mdstore.realtime.ticker_parts import fresh_part

__all__ = ["Clock", "Listener", "RealtimeTable"]

OnStale = Literal["none", "raise"]
R = TypeVar("R", Ticker, Depth, Trade)

SYMBOLS = 20_000
TOTAL_BYTES = 1024**3
BUFFER = 10_000
CLOSE_SECONDS = 5.0
GATHER_ROWS = 1_000_000
MOST_ROWS = 2**62
LONGEST_SECONDS = 1e10
NS = 1_000_000_000
SENT_AND_RECEIVED = struct.Struct("<qq")


class RealtimeTable(Generic[R]):
    """Tickers, order books or trades of all symbols: `store.tickers`, `store.orderbooks`, `store.trades`.

    A row lives for `ttl` seconds from the exchange's timestamp on; an older one is never given out. Of each
    symbol the last `rows` that came are given, and at most `bytes` of sealed ones kept: a symbol that is
    flooded loses its own oldest rows, and other symbols lose none. Beyond `total_bytes`, the largest symbol
    loses some. The tails, up to some hundred rows a symbol that are not sealed yet, come on top of these
    bounds.

    States (tickers, order books): a row older than the symbol's newest is late and dropped; one that repeats
    the newest is a duplicate and dropped. Events (trades): one with the id and timestamp of a trade that is
    held is a duplicate and dropped; one older than the newest is late and placed where it belongs. All are
    counted, see `stats`.

    Threads and tasks may push and read at once. Reading takes no lock, and what it gives never changes.
    """

    def __init__(
        self,
        kind: Kind[R],
        *,
        ttl: float | None = None,
        rows: int | None = None,
        bytes: int | None = None,  # noqa: A002 - as the store's `memory_bytes`
        total_bytes: int = TOTAL_BYTES,
        symbols: int = SYMBOLS,
        clock: Clock = time.time_ns,
    ) -> None:
        self.kind: Kind[R] = kind
        self.ttl = _seconds(kind.ttl if ttl is None else ttl, "ttl")
        self._rings = Rings(
            kind,
            ttl=self.ttl,
            rows=_count(kind.rows if rows is None else rows, "rows"),
            size=_count(kind.bytes if bytes is None else bytes, "bytes"),
            total=_count(total_bytes, "total_bytes"),
            symbols=_count(symbols, "symbols"),
            clock=clock,
        )
        self.total_bytes = total_bytes
        self._clock = self._rings.clock
        self._is_closed = False
        self._ttl_ms = self._rings.ttl_ms
        if kind.events:
            self.push = wraps(self.push)(trade_lane(self.push, self._rings))  # type: ignore[method-assign, assignment]

    @property
    def clock(self) -> Clock:
        """What tells the time, in nanoseconds; a replay sets its own."""
        return self._clock[0]

    @clock.setter
    def clock(self, clock: Clock) -> None:
        self._rings.set_clock(clock)

    @property
    def symbols(self) -> list[str]:
        """The symbols of which rows are held, sorted."""
        return sorted(self._rings.by_symbol)

    def __len__(self) -> int:
        return sum(ring.rows for ring in list(self._rings.by_symbol.values()))

    def __bool__(self) -> bool:
        return True  # an empty table is a table

    def __repr__(self) -> str:
        return f"<{self.kind.name}: {len(self):,} rows of {len(self._rings.by_symbol):,} symbols>"

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
            return self._rings.push_groups(groups_of(self.kind, frame, now), now)
        else:
            named = frame.iter_rows(named=True)
            rows = [check_row(self.kind.row, row, now, at) for at, row in enumerate(named)]
        return self._rings.push_rows(rows, now)

    def clear(self) -> None:
        """Forget all rows and counts; subscriptions stay."""
        self._rings.clear()

    def forget(self, symbols: Iterable[str] | None) -> None:
        """Forget the rows of symbols (None: of all); subscriptions stay."""
        self._rings.forget(self.symbols if symbols is None else symbols)

    # ---- out

    @overload
    def latest(
        self, symbol: str, *, max_age: float | None = None, on_stale: Literal["none"] = "none"
    ) -> R | None: ...

    @overload
    def latest(self, symbol: str, *, max_age: float | None = None, on_stale: Literal["raise"]) -> R: ...

    def latest(self, symbol: str, *, max_age: float | None = None, on_stale: OnStale = "none") -> R | None:
        """Return the newest row of a symbol; None where it is past its TTL, or older than `max_age` seconds.

        Of a ticker it is the price that must not be older; what else is, is None.

        `on_stale="raise"` raises `StaleDataError` in place of None. The newest is the row with the latest
        timestamp, of equal ones the last that came.
        """
        ring = self._rings.by_symbol.get(symbol) if symbol.__class__ is str else self._ring_of(symbol)
        if ring is not None:
            packed = ring.latest
            age = self._ttl_ms if max_age is None else self._age(max_age)
            if TIME.unpack_from(packed)[0] > self._clock[0]() // MS_NS - age:
                known = ring.row
                row: R = known[1] if known[0] is packed else self.kind.packing.unpack(symbol, packed)
                if max_age is None or not isinstance(row, Ticker):
                    return row
                fresh = fresh_part(row, self._clock[0]() // MS_NS - age)
                if fresh is not None:
                    return fresh
        if on_stale == "none":
            return None
        raise self._stale(symbol, max_age, on_stale)

    def newest_time(self, symbol: str) -> int | None:
        """Return the time (ms) of the newest row of a symbol, however old; None where none is held."""
        ring = self._ring_of(symbol)
        return None if ring is None else int(TIME.unpack_from(ring.latest)[0])

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
        refuse_broken_polars()
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
        refuse_broken_polars()
        cut = self._rings.cut(self.clock())
        found = [(ring.symbol, ring.latest) for ring in self._chosen(symbols)]
        live = [(symbol, packed) for symbol, packed in found if TIME.unpack_from(packed)[0] > cut]
        rows = batch_of(self.kind.packing, [packed for _, packed in live], nulls=True)
        names = [symbol for symbol, _ in live]
        return Long(pa.Table.from_batches([rows]), names, range(1, len(names) + 1)).frame

    def subscribe(
        self,
        callback: Callable[[R], object] | None = None,
        *,
        symbols: str | Sequence[str] | None = None,
        overflow: Overflow = "drop",
        buffer: int = BUFFER,
        patience: float = 1.0,
    ) -> Subscription[R]:
        """Be given every row that is kept from now on: see `Subscription`.

        With a `callback`, it is called with one row after the other in a thread of its own; without, the
        subscription is iterated over, by `for` or `async for`.
        """
        if overflow not in OVERFLOWS:
            raise InvalidInputError(f"overflow={overflow!r} is none of {', '.join(map(repr, OVERFLOWS))}")
        if callback is not None and not callable(callback):
            raise InvalidInputError(f"callback={callback!r} cannot be called")
        names = None if symbols is None else self._names(symbols)
        queue = Queue(names, overflow, _count(buffer, "buffer"), _seconds(patience, "patience"))
        self.add_listener(queue)
        return Subscription(queue, callback, self.remove_listener)

    def stats(self) -> dict[str, int | float | None]:
        """Return rows, symbols and bytes held, their bounds, and what became of the rows that came.

        `pushed` = `rows` held + `expired` (past the TTL, then or later) + `evicted` (beyond a bound) +
        `duplicates` + the `late` ones where these are dropped. `lag` is how long the newest row was on its
        way, in seconds; where nothing is held, the last one that came past its TTL.
        """
        with self._rings.lock:
            rings, counts = self._rings.counted()
            rows = sum(ring.rows for ring in rings)
            size = sum(ring.bytes for ring in rings)
            listeners = tuple(self._rings.listeners)
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
            "lag": _lag(max(rings, key=lambda ring: ring.newest).latest if rings else self._rings.refused),
            "subscriptions": len(listeners),
            "dropped": sum(getattr(listener, "dropped", 0) for listener in listeners),
            "ttl": self.ttl,
            "rows_bound": self._rings.limits.rows,
            "bytes_bound": self._rings.limits.bytes,
            "total_bytes_bound": self.total_bytes,
        }

    # ---- for the parts around it

    @property
    def is_empty(self) -> bool:
        """Whether no rows are held."""
        return not self._rings.by_symbol

    def add_listener(self, listener: Listener) -> None:
        """Tell a listener of every row that is kept from now on."""
        with self._rings.lock:
            if self._is_closed:
                raise StoreClosedError(f"{self.kind.name} are closed: nothing more will come")
            self._rings.listen(listener)

    def remove_listener(self, listener: Listener) -> None:
        """Tell it no more."""
        self._rings.leave(listener)

    def close(self) -> None:
        """End the subscriptions; callbacks have a few seconds for what waits."""
        with self._rings.lock:
            self._is_closed = True
            listeners = tuple(self._rings.listeners)
        queues = [listener for listener in listeners if isinstance(listener, Queue)]
        for queue in queues:
            queue.end()
        for queue in queues:
            queue.join(CLOSE_SECONDS)

    # ---- reading

    def _gathered(
        self, symbols: str | Sequence[str] | None, seconds: float | None, rows: int | None
    ) -> tuple[pa.Table, list[str], list[int]]:
        """Return the values of live rows, the symbols that have some, and at which row each ends."""
        now = self.clock()
        cut = self._rings.cut(now)
        if seconds is not None:
            cut = max(cut, now // MS_NS - round(_seconds(seconds, "seconds") * 1000))
        most = MOST_ROWS if rows is None else _count(rows, "rows")
        batches: list[pa.RecordBatch] = []
        names: list[str] = []
        ends: list[int] = []
        for ring in self._chosen(symbols):
            found, ordered = ring.read(self.kind.packing, cut, self._rings.limits.rows)
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
            return [ring for _, ring in sorted(self._rings.by_symbol.items())]
        known = (self._rings.by_symbol.get(symbol) for symbol in self._names(symbols))
        return [ring for ring in known if ring is not None]

    def _names(self, symbols: str | Sequence[str]) -> list[str]:
        if not isinstance(symbols, str) and not isinstance(symbols, Iterable):
            raise InvalidInputError(f"symbols={symbols!r}: give a symbol, a list of symbols, or None for all")
        return sorted(
            {check_symbol(symbol) for symbol in ([symbols] if isinstance(symbols, str) else symbols)}
        )

    def _ring_of(self, symbol: object) -> Ring | None:
        return self._rings.by_symbol.get(check_symbol(symbol))

    def _age(self, seconds: float) -> int:
        return min(self._ttl_ms, round(_seconds(seconds, "max_age") * 1000))

    def _stale(self, symbol: str, max_age: float | None, on_stale: object) -> Exception:
        if on_stale != "raise":
            return InvalidInputError(f"on_stale={on_stale!r} is neither 'none' nor 'raise'")
        ring, age = self._ring_of(symbol), self.ttl if max_age is None else max_age
        if ring is not None:
            old = (self.clock() // MS_NS - ring.newest) / 1000
            limit = "the TTL is" if max_age is None else "max_age is"
            return StaleDataError(f"the latest {self._what(symbol)} is {old:,.1f} s old; {limit} {age:g} s")
        hint = did_you_mean(symbol, self.symbols, alike=symbol_parts)
        return StaleDataError(f"no {self._what(symbol)} within {age:g} s", hint=hint)

    def _what(self, symbol: str) -> str:
        return f"{self.kind.row.__name__.lower()} of {symbol}"


def _sorted(batches: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """Return rows by timestamp, those of one in the order in which they came: Arrow's sort is stable."""
    import pyarrow.compute as pc  # noqa: PLC0415 - 20 ms that only late rows cost

    whole = pa.concat_batches(batches)
    return [whole.take(pc.sort_indices(whole.column(0)))]


def _lag(packed: bytes) -> float | None:
    """Return how long a row was on its way, in seconds."""
    if not packed:
        return None
    timestamp, received = SENT_AND_RECEIVED.unpack_from(packed)
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


def _seconds(value: Any, what: str) -> float:
    if not isinstance(value, Real) or value is True or not 0 < float(value) <= LONGEST_SECONDS:
        raise InvalidInputError(f"{what}={value!r} is no number of seconds above 0")
    return float(value)


def _count(value: int, what: str) -> int:
    try:
        number = index(value)
    except TypeError:
        number = 0
    if isinstance(value, bool) or not 0 < number <= MOST_ROWS:
        raise InvalidInputError(f"{what}={value!r} is no whole number from 1 on")
    return number
