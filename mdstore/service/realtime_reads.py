"""Realtime rows by request: from the store's rings, else from the router."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
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
from mdstore.service.meters import Meters

if TYPE_CHECKING:
    from mdstore.service.router import SmartRouter
    from mdstore.store.store import MarketDataStore

__all__ = ["RealtimeReads"]

Part = tuple[pa.Table, str]
"""The rows of one symbol without its name, and the tier that had them; empty is none."""
NOWHERE = ""


class RealtimeReads:
    """Tickers, order books and trades of one store and one router; nothing here waits for a network."""

    def __init__(self, store: MarketDataStore, router: SmartRouter | None, meters: Meters) -> None:
        self._store, self._router, self._meters = store, router, meters
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
        most = None if count is None else bar_limit(count)
        span = None if seconds is None else positive_seconds(seconds, "seconds")
        table = self._store.trades

        def one(symbol: str) -> Part:
            rows = table.arrow(symbol, seconds=span, rows=most)
            if rows.num_rows or self._router is None:
                return rows, "memory"
            return self._routed(lambda: _checked_trades(self._router, symbol, span, most), TRADES)

        return self._answer(TRADES, table, symbols, one, span)

    def _newest(
        self, kind: Kind[Any], table: RealtimeTable[Any], symbols: str | Sequence[str], max_age: float | None,
        ask: Callable[[str], Any] | None,
    ) -> MarketAnswer:  # fmt: skip
        age = None if max_age is None else positive_seconds(max_age, "max_age")

        def one(symbol: str) -> Part:
            row = table.latest(symbol, max_age=age)
            if row is not None:
                return _table(kind, [row]), "memory"
            if ask is None:
                return _table(kind, []), NOWHERE
            oldest = table.clock() // MS_NS - round(1000 * min(age or table.ttl, table.ttl))
            return self._routed(lambda: _fresh(kind, ask(symbol), table.clock(), oldest), kind)

        return self._answer(kind, table, symbols, one, age)

    def _routed(self, call: Callable[[], pa.Table], kind: Kind[Any]) -> Part:
        """Ask the router, which is somebody else's code: what it fails at, it does not have."""
        clock = time.perf_counter()
        try:
            rows = call()
        except Exception as error:
            self._meters.failed("router", error)
            rows = _table(kind, [])
        taken = (time.perf_counter() - clock) * 1e6
        self._meters.add("router", taken, hit=rows.num_rows > 0, rows=rows.num_rows)
        return rows, "router" if rows.num_rows else NOWHERE

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
        self._meters.add(
            kind.name, (time.perf_counter() - clock) * 1e6, hit=any(p[1] for p in parts.values())
        )
        now = table.clock() // MS_NS
        within = table.ttl if seconds is None else seconds
        why = {
            symbol: self._why_nothing(kind, table, symbol, within)
            for symbol, part in parts.items()
            if not part[0].num_rows
        }
        tiers = tuple(dict.fromkeys(tier for rows, tier in parts.values() if rows.num_rows))
        whole = _stacked(parts, is_long=not isinstance(symbols, str))
        facts = Facts(tiers, {}, lambda: _ranges(parts), now, why, newest=lambda: _latest(parts))
        frame = (lambda: as_frame(whole.values)) if isinstance(symbols, str) else (lambda: whole.frame)
        return MarketAnswer(lambda: whole.values if isinstance(symbols, str) else whole.table, frame, facts)

    def _why_nothing(self, kind: Kind[Any], table: RealtimeTable[Any], symbol: str, seconds: float) -> str:
        """Say since when there is nothing."""
        newest = table.newest_time(symbol)
        if newest is None:
            began = time.monotonic() - self._began
            return f"nothing of {symbol} in {kind.name} since this service began, {began:,.0f} s ago"
        age = (table.clock() // MS_NS - newest) / 1000
        return f"the latest of {symbol} in {kind.name} is {age:,.1f} s old, and {seconds:g} s were asked for"


def _fresh(kind: Kind[Any], row: Any, now: int, oldest: int) -> pa.Table:
    """Return a router's row as a table, if it is one and is not too old."""
    if row is None:
        return _table(kind, [])
    checked = check_row(kind.row, row, now)
    return _table(kind, [checked] if checked.timestamp > oldest else [])


def _checked_trades(router: Any, symbol: str, seconds: float | None, most: int | None) -> pa.Table:
    rows = router.trades(symbol, seconds)
    schema = TRADES.packing.schema
    if not isinstance(rows, pa.Table) or rows.schema.names != schema.names:
        raise InvalidInputError(
            f"{router.name} gave no table of trades: the columns are {', '.join(schema.names)}"
        )
    rows = rows.cast(schema)
    return rows if most is None else rows.slice(max(0, rows.num_rows - most))


def _table(kind: Kind[Any], rows: Sequence[Any]) -> pa.Table:
    return pa.Table.from_batches(
        [batch_of(kind.packing, [kind.packing.pack(row) for row in rows], nulls=True)]
    )


def _stacked(parts: dict[str, Part], *, is_long: bool) -> Long:
    tables = [rows for rows, _ in parts.values()]
    ends, at = [], 0
    for rows in tables:
        at += rows.num_rows
        ends.append(at)
    values = tables[0] if len(tables) == 1 else pa.concat_tables(tables).combine_chunks()
    return Long(values, list(parts) if is_long else [], ends if is_long else [])


def _ranges(parts: dict[str, Part]) -> pl.DataFrame:
    rows = []
    for symbol, (table, tier) in parts.items():
        times = table["timestamp"].cast(pa.int64()).to_pylist()
        if times:
            rows.append((symbol, min(times), max(times) + 1, tier, len(times)))
    return ranges_frame(rows)


def _latest(parts: dict[str, Part]) -> int | None:
    import pyarrow.compute as pc  # noqa: PLC0415 - 20 ms that most answers are spared

    times = [
        pc.max(rows["timestamp"].cast(pa.int64())).as_py() for rows, _ in parts.values() if rows.num_rows
    ]
    return max(times, default=None)
