"""Realtime rows by request: from the store's rings, and from the router what these lack."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa

from mdstore.core.arguments import bar_limit, positive_seconds, symbol_list
from mdstore.core.long_table import Long, as_frame
from mdstore.errors import InvalidInputError
from mdstore.realtime.limits import ORDERBOOKS, TICKERS, TRADES, Kind
from mdstore.realtime.packing import batch_of
from mdstore.realtime.row_rules import MS_NS, check_row
from mdstore.realtime.table import RealtimeTable
from mdstore.service.answer import Facts, MarketAnswer, ranges_frame
from mdstore.service.joined_trades import good_trades, joined_trades
from mdstore.service.meters import Meters

if TYPE_CHECKING:
    from mdstore.service.router import SmartRouter
    from mdstore.store.store import MarketDataStore

__all__ = ["RealtimeReads"]


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of one symbol without its name, and those of them that each tier had, if it had any."""

    rows: pa.Table
    by_tier: dict[str, pa.Table]

    @classmethod
    def of(cls, rows: pa.Table, tier: str) -> Part:
        """Return the rows of one tier."""
        return cls(rows, {tier: rows} if rows.num_rows else {})


class RealtimeReads:
    """Tickers, order books and trades of one store and one router; nothing here waits for a network.

    `why_alone` is why no router is asked though there is one.
    """

    def __init__(
        self, store: MarketDataStore, router: SmartRouter | None, meters: Meters, why_alone: str = ""
    ) -> None:
        self._store, self._router, self._meters, self._why_alone = store, router, meters, why_alone
        self._began = time.monotonic()

    def tickers(self, symbols: str | Sequence[str], max_age: float | None) -> MarketAnswer:
        """Return the newest ticker of each symbol."""
        ask = None if self._router is None else self._router.latest_ticker
        return self._newest(TICKERS, self._store.tickers, symbols, max_age, ask)

    def orderbooks(self, symbols: str | Sequence[str], max_age: float | None) -> MarketAnswer:
        """Return the newest order book of each symbol."""
        ask = None if self._router is None else self._router.orderbook
        return self._newest(ORDERBOOKS, self._store.orderbooks, symbols, max_age, ask)

    def trades(self, symbols: str | Sequence[str], seconds: float | None, count: int | None) -> MarketAnswer:
        """Return the trades of the last `seconds`, the latest `count` of each symbol."""
        most = None if count is None else bar_limit(count, "count", of="rows")
        span = None if seconds is None else positive_seconds(seconds, "seconds")
        table = self._store.trades

        def one(symbol: str) -> Part:
            rows = table.arrow(symbol, seconds=span, rows=most)
            if self._router is None:
                return Part.of(rows, "memory")
            now = table.clock() // MS_NS
            routed = self._routed(lambda: self._trades_of(self._router, symbol, span, now), TRADES)
            return _joined(rows, routed, most)

        return self._answer(TRADES, table, symbols, one, span)

    def _trades_of(self, router: Any, symbol: str, seconds: float | None, now: int) -> pa.Table:
        """Return the trades that a router has, without rows that are none."""
        rows = router.trades(symbol, seconds)
        schema = TRADES.packing.schema
        if not isinstance(rows, pa.Table) or rows.schema.names != schema.names:
            raise InvalidInputError(
                f"{router.name} gave no table of trades: the columns are {', '.join(schema.names)}"
            )
        oldest = None if seconds is None else now - round(1000 * seconds)
        good, bad = good_trades(rows.cast(schema), now, oldest)
        if bad:
            text = f"{bad:,} of {rows.num_rows:,} trades of {symbol} break a rule, and are left out"
            self._meters.failed(router.name, InvalidInputError(text))
        return good

    def _newest(
        self, kind: Kind[Any], table: RealtimeTable[Any], symbols: str | Sequence[str], max_age: float | None,
        ask: Callable[[str], Any] | None,
    ) -> MarketAnswer:  # fmt: skip
        age = None if max_age is None else positive_seconds(max_age, "max_age")

        def one(symbol: str) -> Part:
            row = table.latest(symbol, max_age=age)
            if row is not None:
                return Part.of(_table(kind, [row]), "memory")
            if ask is None:
                return Part(_table(kind, []), {})
            oldest = table.clock() // MS_NS - round(1000 * min(age or table.ttl, table.ttl))
            return Part.of(
                self._routed(lambda: _fresh(kind, symbol, ask(symbol), table.clock(), oldest), kind), "router"
            )

        return self._answer(kind, table, symbols, one, age)

    def _routed(self, call: Callable[[], pa.Table], kind: Kind[Any]) -> pa.Table:
        """Ask the router, which is somebody else's code: what it fails at, it does not have."""
        clock = time.perf_counter()
        try:
            rows = call()
        except Exception as error:
            self._meters.failed("router", error)
            rows = _table(kind, [])
        taken = (time.perf_counter() - clock) * 1e6
        self._meters.add("router", taken, hit=rows.num_rows > 0, rows=rows.num_rows, size=_size(rows))
        return rows

    def _answer(
        self, kind: Kind[Any], table: RealtimeTable[Any], symbols: str | Sequence[str],
        one: Callable[[str], Part], seconds: float | None,
    ) -> MarketAnswer:  # fmt: skip
        names = symbol_list(symbols)
        if names is None:
            raise InvalidInputError(
                "symbols=None: name those that are wanted", hint="give a symbol, or a list"
            )
        clock = time.perf_counter()
        parts = {symbol: one(symbol) for symbol in names}
        taken, is_hit = (time.perf_counter() - clock) * 1e6, any(part.by_tier for part in parts.values())
        rows, size = (sum(of(part.rows) for part in parts.values()) for of in (len, _size))
        self._meters.add(kind.name, taken, hit=is_hit, rows=rows, size=size)
        now = table.clock() // MS_NS
        within = table.ttl if seconds is None else seconds
        why = {
            symbol: self._why_nothing(kind, table, symbol, within)
            for symbol, part in parts.items()
            if not part.rows.num_rows
        }
        tiers = tuple(dict.fromkeys(tier for part in parts.values() for tier in part.by_tier))
        whole = _stacked(parts, is_long=not isinstance(symbols, str))
        facts = Facts(tiers, {}, lambda: _ranges(parts), now, why, newest=lambda: _latest(parts))
        is_one = isinstance(symbols, str)
        return MarketAnswer(
            lambda: whole.values if is_one else whole.table,
            lambda: as_frame(whole.values) if is_one else whole.frame.clone(),
            lambda: facts,
            (rows, size),
        )

    def _why_nothing(self, kind: Kind[Any], table: RealtimeTable[Any], symbol: str, seconds: float) -> str:
        """Say since when there is nothing."""
        newest, alone = table.newest_time(symbol), self._why_alone and f"; {self._why_alone}"
        if newest is None:
            began = time.monotonic() - self._began
            return f"nothing of {symbol} in {kind.name} since this service began, {began:,.0f} s ago{alone}"
        age = (table.clock() // MS_NS - newest) / 1000
        asked = f"{age:,.1f} s old, and {seconds:g} s were asked for"
        return f"the latest of {symbol} in {kind.name} is {asked}{alone}"


def _size(rows: pa.Table) -> int:
    """Return the bytes of rows: of values and of the bits that say which are null.

    Of texts and lists those that they share with rows beside them are counted, too.

    Not Arrow's `nbytes`: it goes on without the interpreter, and takes locks for whose release a child that
    is forked meanwhile waits for ever.
    """
    return sum(
        _packed(chunk, chunk.type.bit_width) + _packed(chunk, chunk.buffers()[0] is not None)
        if pa.types.is_primitive(chunk.type)
        else chunk.get_total_buffer_size()
        for column in rows.columns
        for chunk in column.chunks
    )


def _packed(values: pa.Array, bits: int) -> int:
    return (len(values) * bits + 7) // 8


def _fresh(kind: Kind[Any], symbol: str, row: Any, now: int, oldest: int) -> pa.Table:
    """Return a router's row as a table, if it is one of the symbol and is not too old."""
    if row is None:
        return _table(kind, [])
    checked = check_row(kind.row, row, now)
    if checked.symbol != symbol:
        raise InvalidInputError(f"asked for {symbol}, the router gave a row of {checked.symbol}")
    return _table(kind, [checked] if checked.timestamp > oldest else [])


def _joined(ring: pa.Table, routed: pa.Table, most: int | None) -> Part:
    """Join what both tiers have: the rings may have begun late, or have stopped."""
    if not routed.num_rows:
        return Part.of(ring, "memory")
    whole, *each = joined_trades(ring, routed, most)
    tiers = zip(("memory", "router"), each, strict=True)
    return Part(whole, {tier: rows for tier, rows in tiers if rows.num_rows})


def _table(kind: Kind[Any], rows: Sequence[Any]) -> pa.Table:
    return pa.Table.from_batches(
        [batch_of(kind.packing, [kind.packing.pack(row) for row in rows], nulls=True)]
    )


def _stacked(parts: dict[str, Part], *, is_long: bool) -> Long:
    tables = [part.rows for part in parts.values()]
    ends, at = [], 0
    for rows in tables:
        at += rows.num_rows
        ends.append(at)
    values = tables[0] if len(tables) == 1 else pa.concat_tables(tables).combine_chunks()
    return Long(values, list(parts) if is_long else [], ends if is_long else [])


def _ranges(parts: dict[str, Part]) -> pl.DataFrame:
    rows = []
    for symbol, part in parts.items():
        for tier, table in part.by_tier.items():
            times = table["timestamp"].cast(pa.int64()).to_pylist()
            rows.append((symbol, min(times), max(times) + 1, tier, len(times)))
    return ranges_frame(rows)


def _latest(parts: dict[str, Part]) -> int | None:
    import pyarrow.compute as pc  # noqa: PLC0415 - 20 ms that most answers are spared

    tables = [part.rows for part in parts.values() if part.rows.num_rows]
    times = [pc.max(rows["timestamp"].cast(pa.int64())).as_py() for rows in tables]
    return max(times, default=None)
