"""Rings of realtime rows: what goes in comes out, until its time is over, and nothing else does."""

import asyncio
import gc
import math
import threading
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mdstore
from mdstore import (
    Depth,
    InvalidInputError,
    RealtimeDataCache,
    StaleDataError,
    Ticker,
    Trade,
    ValidationError,
)
from mdstore.realtime import rings as rings_module
from mdstore.realtime.limits import ORDERBOOKS, TICKERS, TRADES
from mdstore.realtime.table import RealtimeTable

NOW = 1_700_000_000_000  # ms
MS = 1_000_000


class Clock:
    """Nanoseconds, as told."""

    def __init__(self, ms=NOW):
        self.ms = ms

    def __call__(self):
        return self.ms * MS


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def cache(clock):
    with_clock = RealtimeDataCache(clock=clock)
    yield with_clock
    with_clock.close()


def trade(at=0, key=1, symbol="KRW-BTC"):
    return (symbol, NOW + at, 100.0, 1.0, "buy", key)


def ids(frame):
    return frame["id"].to_list()


# ---- the law: a ring is a deque with timestamps


class Model:
    """Trades of one symbol in the order in which they were kept."""

    def __init__(self, clock, ttl_ms, rows):
        self.clock, self.ttl, self.most = clock, ttl_ms, rows
        self.kept = []

    def push(self, row):
        _, timestamp, *_, key = row
        if timestamp <= self.clock.ms - self.ttl:
            return 0
        if key is not None and any((t[1], t[5]) == (timestamp, key) for t in self.live()):
            return 0
        self.kept.append(row)
        return 1

    def live(self):
        return [row for row in self.kept if row[1] > self.clock.ms - self.ttl][-self.most :]

    def window(self, seconds=None, rows=None):
        found = sorted(self.live(), key=lambda row: row[1])
        if seconds is not None:
            found = [row for row in found if row[1] > self.clock.ms - round(seconds * 1000)]
        return found if rows is None else found[-rows:]

    def latest(self):
        newest = max((row[1] for row in self.live()), default=None)
        return next((row for row in reversed(self.live()) if row[1] == newest), None)


def as_rows(frame):
    names = ("price", "size", "side", "id")
    times = frame["timestamp"].dt.epoch("ms")
    return [("X", t, *values) for t, values in zip(times, frame.select(names).rows(), strict=True)]


def short(monkeypatch):
    """Seal after a few rows, so that a few rows go through everything."""
    monkeypatch.setattr(rings_module, "FEW_ROWS", 2)
    monkeypatch.setattr(rings_module, "MANY_ROWS", 5)
    return replace(TRADES, batch_rows=4)


ROW = st.tuples(
    st.just("X"),
    st.integers(-1200, 50),  # beside the clock
    st.floats(-1e9, 1e9).map(lambda x: x or 0.0),
    st.floats(0, 1e9),
    st.sampled_from(["buy", "sell", None]),
    st.one_of(st.integers(1, 8), st.integers(-(2**63) + 1, 2**63 - 1), st.none()),
)
FORM = st.sampled_from(["tuple", "dict", "row", "list", "frame", "arrow"])
STEP = st.one_of(
    st.tuples(st.just("push"), FORM, st.lists(ROW, min_size=1, max_size=9)),
    st.tuples(st.just("tick"), st.integers(0, 700)),
    st.tuples(st.just("read"), st.none() | st.integers(1, 12), st.none() | st.floats(0.001, 2)),
    st.tuples(st.just("stats")),
)
NAMES = ("symbol", "timestamp", "price", "size", "side", "id")
TYPES = {"side": pl.String, "id": pl.Int64, "price": pl.Float64, "size": pl.Float64}


def push_as(table, form, rows):
    if form == "tuple":
        return [table.push(row) for row in rows]
    if form == "dict":
        return [table.push(dict(zip(NAMES, row, strict=True))) for row in rows]
    if form == "row":
        return [table.push(Trade(*row)) for row in rows]
    if form == "list":
        return table.push(rows)
    frame = pl.DataFrame(rows, schema=NAMES, schema_overrides=TYPES, orient="row")
    return table.push(frame if form == "frame" else frame.to_arrow())


DOSES = pytest.mark.parametrize("examples", [150, pytest.param(2000, marks=pytest.mark.long)])


@DOSES
@pytest.mark.parametrize("rows", [1000, 5, 1])
def test_a_ring_is_a_deque_with_timestamps(monkeypatch, rows, examples):
    small = short(monkeypatch)

    @settings(max_examples=examples)
    @given(st.lists(STEP, max_size=25))
    def law(steps):
        clock = Clock()
        table = RealtimeTable(small, ttl=1.0, rows=rows, clock=clock)
        model = Model(clock, 1000, rows)
        pushed = key = 0
        newest = NOW - 10**6
        for what, *given_ in steps:
            if what == "push":
                form, batch = given_
                batch = [(s, clock.ms + t, *rest) for s, t, *rest in batch]
                if rows < 1000:
                    # Where capacity counts, rows come in order: which of those that are out of it are still
                    # known as duplicates is nobody's business.
                    batch = sorted(batch, key=lambda row: row[1])
                    batch = [(s, max(newest, t), p, z, d, key := key + 1) for s, t, p, z, d, _ in batch]
                    newest = batch[-1][1]
                kept = push_as(table, form, batch)
                expected = [model.push(row) for row in batch]
                assert kept == (expected if isinstance(kept, list) else sum(expected))
                pushed += len(batch)
            elif what == "tick":
                clock.ms += given_[0]
            elif what == "read":
                most, seconds = given_
                assert as_rows(table.window("X", rows=most, seconds=seconds)) == model.window(seconds, most)
                latest, expected = table.latest("X"), model.latest()
                assert (None if latest is None else latest[:6]) == expected
                assert as_rows(table.snapshot()) == ([] if expected is None else [expected])
                long = table.window(None, rows=most, seconds=seconds)
                assert as_rows(long) == model.window(seconds, most)
            else:
                stats = table.stats()
                assert stats["pushed"] == pushed
                assert stats["rows"] <= pushed

    law()


@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(-1200, 50), st.integers(0, 3), st.integers(0, 300)), max_size=40))
def test_states_are_never_older_than_the_newest(steps):
    """Tickers: late ones are dropped, repeated ones, too; what is left is a deque in order."""
    clock = Clock()
    table = RealtimeTable(replace(TICKERS, batch_rows=3), ttl=1.0, clock=clock)
    kept = []
    for at, price, tick in steps:
        timestamp = clock.ms + at
        late = kept and timestamp < kept[-1][0] and kept[-1][0] > clock.ms - 1000
        expired = timestamp <= clock.ms - 1000
        was = table.push(("X", timestamp, float(price)))
        if not late and not expired and (timestamp, price) != (kept[-1] if kept else None):
            kept.append((timestamp, float(price)))
        clock.ms += tick
        live = [row for row in kept if row[0] > clock.ms - 1000]
        window = table.window("X")
        assert list(zip(window["timestamp"].dt.epoch("ms"), window["price"], strict=True)) == live
        assert was in (0, 1)
    stats = table.stats()
    assert stats["pushed"] == len(steps)


# ---- rows in, rows out


def test_a_trade_comes_back_as_it_went_in_whatever_form_it_had(cache, clock):
    forms = [
        trade(key=1),
        dict(zip(NAMES, trade(key=2), strict=True)),
        Trade(*trade(key=3)),
        [trade(key=4)],
        pl.DataFrame([trade(key=5)], schema=NAMES, orient="row"),
        pa.table(pl.DataFrame([trade(key=6)], schema=NAMES, orient="row").to_arrow()),
        pd.DataFrame([trade(key=7)], columns=list(NAMES)),
        {name: [value] for name, value in zip(NAMES, trade(key=8), strict=True)},
        (*trade(key="9"), True, NOW * MS),  # a text of digits, a snapshot, a time of receipt
        ("KRW-BTC", datetime.fromtimestamp(NOW / 1000, UTC), Decimal(100), 1, "buy", np.int64(10)),
    ]
    for form in forms:
        assert cache.trades.push(form) == 1
    frame = cache.trades.window("KRW-BTC")
    assert ids(frame) == list(range(1, 11))
    assert frame["price"].to_list() == [100.0] * 10
    assert frame["snapshot"].to_list() == [False] * 8 + [True, False]
    assert frame["received"].dt.epoch("ns").to_list() == [NOW * MS] * 10
    assert cache.trades.latest("KRW-BTC") == Trade(
        "KRW-BTC", NOW, 100.0, 1.0, "buy", 10, snapshot=False, received=NOW * MS
    )


def test_the_schemas_are_those_of_the_contract(cache):
    cache.tickers.push(Ticker("KRW-BTC", NOW, 1.0, bid=0.5))
    cache.orderbooks.push(Depth("KRW-BTC", NOW, [2.0, 1.0], [1, 1], [3.0], [1]))
    cache.trades.push(trade())
    for kind in (TICKERS, ORDERBOOKS, TRADES):
        table = cache.tables[kind.name]
        assert table.arrow("KRW-BTC").schema == kind.packing.schema
        assert table.arrow().schema.names == ["symbol", *kind.packing.schema.names]
        assert table.window(None).columns == table.snapshot().columns == table.arrow().schema.names
        assert table.window("nobody").schema == table.window("KRW-BTC").schema
        assert len(table.window("nobody")) == len(table.window(["nobody"])) == 0
        assert table.arrow("KRW-BTC").validate(full=True) is None


def test_what_is_missing_is_null(cache):
    cache.tickers.push({"symbol": "A", "timestamp": NOW, "price": 1.0, "bid": math.nan, "high": 2.0})
    row = cache.tickers.window("A").row(0, named=True)
    assert [name for name, value in row.items() if value is not None] == [
        "timestamp", "price", "high", "snapshot", "received",
    ]  # fmt: skip
    assert cache.tickers.latest("A").bid is None
    cache.trades.push(("A", NOW, 1.0, 1.0))
    assert cache.trades.window("A").row(0)[3:5] == (None, None)
    assert cache.trades.latest("A")[4:6] == (None, None)
    frame = pl.DataFrame({"symbol": ["F"] * 70, "timestamp": range(NOW - 70, NOW), "price": 1.0, "size": 2.0})
    assert cache.trades.push(frame) == 70
    assert cache.trades.window("F").row(-1)[1:6] == (1.0, 2.0, None, None, False)
    assert cache.trades.latest("F") == Trade("F", NOW - 1, 1.0, 2.0, received=NOW * MS)
    assert cache.tickers.push(frame.select("symbol", "timestamp", "price", high=pl.lit(3))) == 70
    assert cache.tickers.latest("F") == Ticker("F", NOW - 1, 1.0, high=3.0, received=NOW * MS)
    assert cache.tickers.window("F")["open"].null_count() == 70
    cache.orderbooks.push(("A", NOW, [], [], [1.5], [2.0]))
    assert cache.orderbooks.latest("A")[2:8] == ((), (), (1.5,), (2.0,), None, None)
    assert cache.orderbooks.window("A")["bid_prices"].to_list() == [[]]


def test_order_books_of_any_depth_keep_their_levels(cache, clock):
    books = []
    for depth in (0, 1, 30, 7, 15, 30):
        clock.ms += 1
        bids = [100.0 - level for level in range(depth)]
        asks = [101.0 + level for level in range(30 - depth)]
        sizes = [0.5 + level for level in range(30)]
        books.append(Depth("A", clock.ms, bids, sizes[:depth], asks, sizes[: len(asks)], 5.0, None))
        cache.orderbooks.push(books[-1])
    frame = cache.orderbooks.window("A")
    for name in ("bid_prices", "bid_sizes", "ask_prices", "ask_sizes"):
        assert frame[name].to_list() == [list(getattr(book, name)) for book in books]
    assert frame["total_bid_size"].to_list() == [5.0] * 6
    assert frame["total_ask_size"].null_count() == 6


def test_a_frame_of_order_books_can_be_pushed(cache):
    frame = pl.DataFrame({
        "symbol": ["A", "B"], "timestamp": [NOW, NOW],
        "bid_prices": [[1.0], [2.0, 1.0]], "bid_sizes": [[1.0], [1.0, 1.0]],
        "ask_prices": [[3.0], []], "ask_sizes": [[1.0], []],
    })  # fmt: skip
    assert cache.orderbooks.push(frame) == 2
    assert cache.orderbooks.snapshot()["bid_prices"].to_list() == [[1.0], [2.0, 1.0]]


def test_a_window_is_the_last_seconds_and_the_last_rows(cache, clock):
    for second in range(20):
        cache.trades.push(trade(second * 1000 - 19_000, key=second))
    assert ids(cache.trades.window("KRW-BTC", seconds=5)) == [15, 16, 17, 18, 19]
    assert ids(cache.trades.window("KRW-BTC", rows=3)) == [17, 18, 19]
    assert ids(cache.trades.window("KRW-BTC", seconds=2, rows=3)) == [18, 19]
    cache.trades.push(trade(symbol="A"))
    long = cache.trades.window(rows=2)
    assert long["symbol"].to_list() == ["A", "KRW-BTC", "KRW-BTC"]
    assert cache.trades.snapshot()["id"].to_list() == [1, 19]
    assert cache.trades.snapshot(["KRW-BTC"])["id"].to_list() == [19]


# ---- time


@pytest.mark.parametrize(("kind", "ttl"), [(TICKERS, 300), (ORDERBOOKS, 30), (TRADES, 600)])
def test_a_row_is_given_until_its_ttl_and_not_a_millisecond_longer(kind, ttl, clock):
    table = RealtimeTable(kind, clock=clock)
    rows = {
        "tickers": ("A", NOW, 1.0),
        "orderbooks": ("A", NOW, [1.0], [1.0], [2.0], [1.0]),
        "trades": ("A", NOW, 1.0, 1.0),
    }
    table.push(rows[kind.name])
    clock.ms += ttl * 1000 - 1
    assert table.latest("A") is not None
    assert len(table.window("A")) == len(table.window()) == len(table.snapshot()) == 1
    clock.ms += 1
    assert table.latest("A") is None
    assert len(table.window("A")) == len(table.window()) == len(table.snapshot()) == 0
    with pytest.raises(StaleDataError, match=rf"of A is {ttl}\.0 s old; the TTL is {ttl} s"):
        table.latest("A", on_stale="raise")
    assert table.stats()["rows"] == 0
    with pytest.raises(StaleDataError, match=r"no .* of A within"):
        table.latest("A", on_stale="raise")
    with pytest.raises(InvalidInputError, match="on_stale='perhaps'"):
        table.latest("A", on_stale="perhaps")


def test_late_and_repeated_rows_are_counted(cache, clock):
    push, latest = cache.trades.push, cache.trades.latest
    assert [push(trade(at, key=key)) for at, key in ((0, 5), (-10, 3), (0, 5), (-10, 3), (-10, 4))] == [
        1, 1, 0, 0, 1,
    ]  # fmt: skip
    assert ids(cache.trades.window("KRW-BTC")) == [3, 4, 5]
    assert latest("KRW-BTC").id == 5
    stats = cache.trades.stats()
    assert (stats["late"], stats["duplicates"], stats["rows"], stats["pushed"]) == (2, 2, 3, 5)

    push = cache.tickers.push
    assert [push(("A", NOW + at, price)) for at, price in ((0, 1.0), (-1, 2.0), (0, 1.0), (0, 3.0))] == [
        1, 0, 0, 1,
    ]  # fmt: skip
    stats = cache.tickers.stats()
    assert (stats["late"], stats["duplicates"], stats["rows"], stats["pushed"]) == (1, 1, 2, 4)
    assert cache.tickers.latest("A").price == 3.0


def test_a_reconnect_repeats_trades_that_are_sealed_and_they_are_known(cache, clock):
    rows = [trade(at // 4 - 1000, key=at) for at in range(3000)]
    cache.trades.push(rows)
    assert cache.trades.push(rows[::-1]) == 0
    assert cache.trades.push(pl.DataFrame(rows, schema=NAMES, orient="row")) == 0
    assert cache.trades.stats()["duplicates"] == 6000
    # The same id at another time is another trade, of an exchange that counts anew.
    assert cache.trades.push(trade(-999, key=0)) == 1


def test_a_clock_may_be_set_for_all(cache):
    cache.clock = Clock(NOW + 10**9)
    cache.trades.push(trade(10**9))
    assert cache.trades.latest("KRW-BTC").received == (NOW + 10**9) * MS


# ---- bounds


def test_a_flood_on_one_symbol_leaves_the_others_alone(clock):
    table = RealtimeTable(TRADES, rows=5000, clock=clock)
    quiet = [trade(at, key=at, symbol=f"Q{at % 10}") for at in range(-100, 0)]
    table.push(quiet)
    before = table.window([f"Q{n}" for n in range(10)])
    for at in range(20_000):
        table.push(trade(at // 1000, key=at, symbol="FLOOD"))
    assert table.window([f"Q{n}" for n in range(10)]).equals(before)
    assert ids(table.window("FLOOD")) == list(range(15_000, 20_000))
    stats = table.stats()
    assert stats["evicted"] + stats["rows"] == stats["pushed"] == 20_100


def test_bytes_are_bounded_and_reported(clock):
    table = RealtimeTable(TRADES, bytes=200_000, total_bytes=500_000, clock=clock)
    for batch in range(200):
        rows = [trade(batch, key=batch * 1000 + n, symbol=f"S{batch % 7}") for n in range(600)]
        table.push(pl.DataFrame(rows, schema=NAMES, orient="row"))
        stats = table.stats()
        tails = 7 * 512 * 100
        assert stats["bytes"] <= 500_000 + tails
        held = sum(len(table.window(f"S{n}")) for n in range(7))
        assert stats["rows"] == held
        # The bytes of the columns are among those reported, to the byte; the rest is what is around them.
        columns = sum(
            batch.rows.nbytes for ring in table._rings.by_symbol.values() for batch in ring.state.sealed
        )
        assert (
            columns
            <= stats["bytes"]
            <= columns
            + tails
            + 3600 * sum(len(ring.state.sealed) for ring in table._rings.by_symbol.values())
        )
    assert stats["evicted"] > 0


def test_what_is_reported_is_what_is_taken(clock):
    """Measured from outside: Arrow's own count, and the process's allocations."""
    import tracemalloc

    table = RealtimeTable(TRADES, clock=clock)
    for at in range(2000):
        table.push(trade(key=at, symbol="warm"))
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        reported = table.stats()["bytes"]
        for at in range(100_000):
            table.push(trade(at // 100, key=at, symbol=f"S{at % 20}"))
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0] - before
        reported = table.stats()["bytes"] - reported
    finally:
        tracemalloc.stop()
    assert 0.8 < taken / reported < 1.05


def test_only_so_many_symbols_are_held(clock):
    table = RealtimeTable(TRADES, symbols=3, clock=clock)
    table.push([trade(symbol=name) for name in "ABC"])
    with pytest.raises(InvalidInputError, match="rows of 3 symbols are held"):
        table.push(trade(symbol="D"))
    with pytest.raises(InvalidInputError, match="Nothing was taken"):
        table.push([trade(1, 2, symbol="A"), trade(symbol="D")])
    assert len(table.window("A")) == 1
    clock.ms += 600_000
    table.push(trade(600_000, symbol="D"))  # those that are past their time make room
    assert table.stats()["symbols"] == 1


@pytest.mark.parametrize("hours", [0.05, pytest.param(1, marks=pytest.mark.long)])
def test_memory_is_flat_once_the_ttl_has_passed(hours):
    clock = Clock()
    table = RealtimeTable(TRADES, ttl=30.0, clock=clock)
    sizes = []
    key = 0
    for second in range(int(hours * 3600)):
        base = clock.ms
        rows = 20_000 if hours >= 1 else 2_000
        for at in range(rows):
            clock.ms = base + at * 1000 // rows
            key += 1
            table.push((f"S{key % 200}", clock.ms, 100.0, 1.0, "buy", key))
        if second % 10 == 9:
            sizes.append(table.stats()["bytes"])
    later = sizes[len(sizes) // 3 :]
    assert max(later) < 1.25 * min(later)
    assert table.stats()["expired"] + table.stats()["rows"] == key


# ---- bad input


class Weird:
    """Nothing that a row could hold."""


FLOAT_TIME = {
    "timestamp": float(NOW)
}  # a column of floats holds times: pandas makes them of integers with gaps
BAD = [
    ("trades", {"price": math.nan}, "price", "finite"),
    ("trades", {"price": math.inf}, "price", "finite"),
    ("trades", {"price": None}, "price", "number"),
    ("trades", {"price": "100"}, "price", "number"),
    ("trades", {"price": Weird()}, "price", "number"),
    ("trades", {"price": 10**400}, "price", "."),
    ("trades", {"size": -1.0}, "size", "size >= 0"),
    ("trades", {"size": math.nan}, "size", "finite"),
    ("trades", {"side": "BID"}, "side", "'buy', the taker's side"),
    ("trades", {"side": 1}, "side", "'buy', 'sell'"),
    ("trades", {"id": 1.5}, "id", "whole number"),
    ("trades", {"id": 2**63}, "id", "64 bits"),
    ("trades", {"id": "abc"}, "id", "whole number"),
    ("trades", {"symbol": ""}, "symbol", "symbol"),
    ("trades", {"symbol": None}, "symbol", "symbol"),
    ("trades", {"symbol": 5}, "symbol", "."),
    ("trades", {"timestamp": NOW + 61_000}, "timestamp", "61 s ahead"),
    ("trades", {"timestamp": 20250101}, "timestamp", "unit"),
    ("trades", FLOAT_TIME, "timestamp", "."),
    ("trades", {"timestamp": "yesterday"}, "timestamp", "ISO"),
    ("trades", {"timestamp": "1999-01-01"}, "timestamp", "2000 or later"),
    ("trades", {"snapshot": 1}, "snapshot", "True or False"),
    ("trades", {"received": 5}, "received", "nanoseconds"),
    ("trades", {"amount": 5}, "amount", "fields are"),
    ("tickers", {"price": math.nan}, "price", "finite"),
    ("tickers", {"bid": math.inf}, "bid", "finite"),
    ("tickers", {"bid_size": -1.0}, "bid_size", ">= 0"),
    ("tickers", {"volume_24h": "5"}, "volume_24h", "number"),
    ("tickers", {"size": 1.0}, "size", "fields are"),
    ("orderbooks", {"bid_prices": [1.0] * 10_000}, "bid_prices", "30 levels, not 10,000"),
    ("orderbooks", {"bid_prices": [1.0, 2.0], "bid_sizes": [1.0, 1.0]}, "bid_prices", "best first"),
    ("orderbooks", {"ask_prices": [3.0, 2.0], "ask_sizes": [1.0, 1.0]}, "ask_prices", "best first"),
    ("orderbooks", {"ask_sizes": [1.0, 1.0]}, "ask_sizes", "as long as ask_prices"),
    ("orderbooks", {"ask_sizes": [-1.0]}, "ask_sizes", ">= 0"),
    ("orderbooks", {"ask_sizes": 5}, "ask_sizes", "list"),
    ("orderbooks", {"ask_prices": [math.nan]}, "ask_prices", "finite"),
]
GOOD = {
    "trades": {"symbol": "A", "timestamp": NOW, "price": 1.0, "size": 1.0, "side": "buy", "id": 1},
    "tickers": {"symbol": "A", "timestamp": NOW, "price": 1.0},
    "orderbooks": {
        "symbol": "A", "timestamp": NOW, "bid_prices": [1.0], "bid_sizes": [1.0],
        "ask_prices": [2.0], "ask_sizes": [1.0],
    },
}  # fmt: skip


@pytest.mark.parametrize(("name", "change", "field", "rule"), BAD)
def test_bad_rows_are_refused_by_name_and_the_ring_is_unharmed(cache, name, change, field, rule):
    table, good = cache.tables[name], GOOD[name]
    table.push(good)
    before, stats = table.window("A"), table.stats()
    for data, row in (
        (good | change, 0),
        ([good, good | change], 1),
        ([good | {"symbol": "B"}, good | change], 1),
    ):
        with pytest.raises(ValidationError, match=rule) as caught:
            table.push(data)
        assert caught.value.column == field
        assert caught.value.row == row
        assert "Nothing was taken" in str(caught.value)
    assert table.window("A").equals(before)
    assert table.stats() == stats


@pytest.mark.parametrize(
    ("name", "change", "field", "rule"),
    [bad for bad in BAD if bad[0] != "orderbooks" and bad[1] != FLOAT_TIME],
)
def test_bad_columns_are_refused_by_name_and_the_ring_is_unharmed(cache, name, change, field, rule):
    table, good = cache.tables[name], GOOD[name]
    table.push(good)
    before, stats = table.window("A"), table.stats()
    bad = good | change
    columns = {key: [value] for key, value in bad.items()}
    with pytest.raises(InvalidInputError) as caught:
        table.push(columns)
    if isinstance(caught.value, ValidationError):
        assert caught.value.column == field
    assert table.window("A").equals(before)
    assert table.stats() == stats


@pytest.mark.parametrize("data", [5, "KRW-BTC", b"x", None, [5], ["KRW-BTC"], (), {}, [[]], Weird(), [None]])
def test_what_is_no_row_is_refused(cache, data):
    with pytest.raises(InvalidInputError):
        cache.trades.push(data)
    assert cache.trades.stats()["pushed"] == 0


def test_an_empty_batch_is_nothing(cache):
    assert cache.trades.push([]) == 0
    assert (
        cache.trades.push(
            pl.DataFrame(schema=dict.fromkeys(NAMES, pl.Int64) | dict.fromkeys(("symbol", "side"), pl.String))
        )
        == 0
    )
    assert cache.trades.window().is_empty()
    assert cache.trades.snapshot().is_empty()


@pytest.mark.parametrize(
    "options",
    [{"ttl": 0}, {"ttl": math.nan}, {"ttl": "5"}, {"rows": 0}, {"rows": 1.5}, {"bytes": -1}, {"colour": 1}],
)
def test_bad_options_are_refused(options):
    with pytest.raises(InvalidInputError, match=next(iter(options))):
        RealtimeDataCache(trades=options)


@pytest.mark.parametrize("arguments", [{"seconds": 0}, {"seconds": math.nan}, {"rows": 0}, {"rows": True}])
def test_bad_windows_are_refused(cache, arguments):
    with pytest.raises(InvalidInputError, match=next(iter(arguments))):
        cache.trades.window("A", **arguments)


# ---- many threads


@pytest.mark.parametrize("form", ["row", "batch"])
def test_one_writer_and_eight_readers_see_whole_rows_in_order(clock, form):
    table = RealtimeTable(TRADES, rows=3000, clock=time.time_ns)
    stop, failed = threading.Event(), []
    reads = [0] * 8

    def read(number):
        kept = None
        last = -1
        try:
            while not stop.is_set():
                frame = (
                    table.window("A", rows=2000)
                    if number % 2
                    else table.window(["A", "B"]).filter(pl.col("symbol") == "A")
                )
                if len(frame):
                    key = frame["id"]
                    assert (key.diff().drop_nulls() == 1).all(), "a hole or a repeated row"
                    assert (frame["price"] == key.cast(pl.Float64)).all(), "a torn row"
                    assert (frame["size"] == 2 * frame["price"]).all(), "a torn row"
                    assert key[-1] >= last, "back in time"
                    last = key[-1]
                row = table.latest("A")
                assert row is None or (row.price == row.id and row.size == 2 * row.price and row.id >= last)
                table.snapshot()
                table.stats()
                if kept is None and len(frame) > 100:
                    kept, copy = frame, frame.to_dict(as_series=False)
                reads[number] += 1
            assert kept is None or kept.to_dict(as_series=False) == copy, "a frame has changed"
        except BaseException as error:
            failed.append(error)
            stop.set()

    readers = [threading.Thread(target=read, args=(number,)) for number in range(8)]
    for reader in readers:
        reader.start()
    key = 0
    end = time.monotonic() + 2
    while (time.monotonic() < end or min(reads) < 5) and not stop.is_set():
        now = time.time_ns() // MS
        rows = [("A", now, float(key + n), 2.0 * (key + n), "buy", key + n) for n in range(100)]
        key += 100
        if form == "row":
            for row in rows:
                table.push(row)
                table.push(("B", *row[1:]))
        else:
            table.push(pl.DataFrame(rows, schema=NAMES, orient="row"))
        time.sleep(0)
    stop.set()
    for reader in readers:
        reader.join()
    assert not failed, failed[0]
    assert min(reads) >= 5
    assert table.latest("A").id == key - 1


def test_several_feeds_push_the_same_trades_and_each_is_kept_once(clock):
    table = RealtimeTable(TRADES, clock=clock)
    rows = [trade(at // 10 - 2000, key=at) for at in range(10_000)]
    threads = [threading.Thread(target=lambda: [table.push(row) for row in rows]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ids(table.window("KRW-BTC")) == list(range(10_000))
    assert table.stats()["duplicates"] == 30_000


# ---- subscriptions


def test_a_callback_is_given_each_kept_row_once_and_in_order(cache):
    seen = []
    subscription = cache.trades.subscribe(seen.append, symbols="KRW-BTC")
    for key in range(1, 500):
        cache.trades.push(trade(key=key))
        cache.trades.push(trade(key=key))
        cache.trades.push(trade(key=key, symbol="OTHER"))
    cache.trades.push([trade(1, key=key) for key in range(500, 600)])
    subscription.close()
    assert [row.id for row in seen] == list(range(1, 600))
    assert isinstance(seen[0], Trade)
    cache.trades.push(trade(5, key=700))
    assert len(seen) == 599


def test_a_slow_subscriber_drops_and_the_feed_goes_on(cache):
    gate = threading.Event()
    seen = []
    subscription = cache.trades.subscribe(lambda row: (gate.wait(), seen.append(row.id)), buffer=10)
    for key in range(1000):
        cache.trades.push(trade(key=key))
    gate.set()
    subscription.close()
    assert seen[-10:] == list(range(990, 1000))
    assert subscription.dropped + len(seen) == subscription.received == 1000


def test_one_that_blocks_loses_nothing(cache):
    seen = []
    with cache.trades.subscribe(
        lambda row: (time.sleep(0.0002), seen.append(row.id)), overflow="block", buffer=5, patience=60
    ) as subscription:
        for key in range(500):
            cache.trades.push(trade(key=key))
            assert subscription.waiting <= 6
    assert seen == list(range(500))


def test_one_that_blocks_for_ever_costs_its_patience_once_a_push(cache):
    subscription = cache.trades.subscribe(overflow="block", buffer=2, patience=0.05)
    for key in range(5):
        cache.trades.push(trade(key=key))
    assert [row.id for row in subscription.drain()] == [3, 4]
    assert subscription.dropped == 3


def test_the_latest_of_each_symbol_is_all_that_some_want(cache):
    subscription = cache.tickers.subscribe(overflow="latest")
    for at in range(100):
        cache.tickers.push([("A", NOW + at, 1.0 + at), ("B", NOW + at, 2.0 + at)])
    assert [(row.symbol, row.price) for row in subscription.drain()] == [("A", 100.0), ("B", 101.0)]
    assert subscription.get(timeout=0.01) is None


def test_a_callback_that_fails_ends_its_subscription_and_says_so(cache, monkeypatch):
    shown = []
    monkeypatch.setattr(threading, "excepthook", shown.append)

    def fail(row):
        raise ZeroDivisionError(row.id)

    subscription = cache.trades.subscribe(fail)
    cache.trades.push(trade(key=1))
    while cache.trades.stats()["subscriptions"]:
        time.sleep(0.001)
    cache.trades.push(trade(key=2))
    with pytest.raises(ZeroDivisionError):
        subscription.close()
    assert len(shown) == 1


def test_rows_can_be_iterated_over_until_the_store_closes(cache):
    subscription = cache.trades.subscribe()
    seen = []
    thread = threading.Thread(target=lambda: seen.extend(row.id for row in subscription))
    thread.start()
    for key in range(100):
        cache.trades.push(trade(key=key))
    cache.close()
    thread.join()
    assert seen == list(range(100))


def test_tasks_are_given_rows_that_threads_push(cache):
    async def consume(count):
        seen = []
        async for row in cache.trades.subscribe():
            seen.append(row.id)
            if len(seen) == count:
                break
        return seen

    async def main():
        tasks = [asyncio.create_task(consume(1000)) for _ in range(3)]
        await asyncio.sleep(0)

        def push():
            for key in range(1000):
                cache.trades.push(trade(key=key))

        await asyncio.gather(asyncio.to_thread(push), *tasks)
        return [task.result() for task in tasks]

    assert asyncio.run(main()) == [list(range(1000))] * 3
    # Its event loop is gone, and the feed is none the worse.
    assert cache.trades.push(trade(key=5000)) == 1


def test_a_task_may_push_and_others_get_a_turn(cache):
    async def main():
        subscription = cache.trades.subscribe()
        turns = 0

        async def tick():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        ticking = asyncio.create_task(tick())
        for key in range(2000):
            cache.trades.push(trade(key=key))
        seen = 0
        async for _ in subscription:
            seen += 1
            if seen == 2000:
                break
        ticking.cancel()
        return turns

    assert asyncio.run(main()) > 5


@pytest.mark.parametrize(
    ("arguments", "word"),
    [({"overflow": "explode"}, "overflow"), ({"buffer": 0}, "buffer"), ({"callback": 5}, "callback"),
     ({"symbols": 5}, "symbols"), ({"patience": -1}, "patience")],
)  # fmt: skip
def test_bad_subscriptions_are_refused(cache, arguments, word):
    with pytest.raises(InvalidInputError, match=word):
        cache.trades.subscribe(**arguments)
    assert cache.trades.stats()["subscriptions"] == 0


# ---- in a store


@pytest.fixture
def store(tmp_path):
    with mdstore.open(tmp_path / "market_data.sqlite3") as opened:
        yield opened


def now_ms():
    return time.time_ns() // MS


def test_nothing_of_it_is_ever_on_a_disk(store, tmp_path):
    for key in range(5000):
        store.trades.push(("SECRET-SYMBOL", now_ms(), 123456.789, 1.0, "buy", key))
    store.tickers.push(("SECRET-SYMBOL", now_ms(), 123456.789))
    store.orderbooks.push(("SECRET-SYMBOL", now_ms(), [1.0], [1.0], [2.0], [1.0]))
    store.sql("SELECT * FROM trades")
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix not in (".sqlite3-shm",)]
    for path in files:
        if path != store.path and not path.name.startswith(store.path.name):
            assert b"SECRET" not in path.read_bytes()
    store.close()
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"SECRET" not in path.read_bytes()


def test_sql_joins_what_is_live_with_what_is_stored(store):
    minute = now_ms() // 60_000 * 60_000
    store.write("A", "1m", [(minute - 60_000 * n, 1, 9, 1, 5 + n, 1) for n in range(5)])
    store.trades.push([("A", minute - 30_000, 7.0, 1.0, "buy", 1), ("A", minute + 1, 8.0, 2.0, "sell", 2)])
    store.tickers.push({"symbol": "A", "timestamp": minute, "price": 7.5, "bid": 7.0})
    store.orderbooks.push(("A", now_ms(), [7.0, 6.0], [1.0, 2.0], [8.0], [3.0]))
    joined = store.sql("""
        SELECT t.id, t.side, t.price, c.close
        FROM trades t ASOF JOIN candles c ON t.symbol = c.symbol AND c.timestamp <= t.timestamp
        WHERE c.timeframe = '1m' ORDER BY t.id
    """)
    assert joined.rows() == [(1, "buy", 7.0, 6.0), (2, "sell", 8.0, 5.0)]
    assert store.sql("SELECT symbol, bid_prices[1], ask_sizes[1] FROM orderbooks").rows() == [("A", 7.0, 3.0)]
    assert store.sql("SELECT symbol, price, bid, ask FROM tickers").rows() == [("A", 7.5, 7.0, None)]
    assert store.sql("SELECT count(*) FROM trades JOIN candles USING (symbol)").item() == 10
    assert store.sql("SELECT max(timestamp) FROM trades").item() == datetime.fromtimestamp(
        (minute + 1) / 1000, UTC
    )


def test_a_screen_joins_frames_of_both(store):
    minute = now_ms() // 60_000 * 60_000
    store.write("A", "1m", [(minute - 60_000, 1, 9, 1, 5, 1)])
    store.tickers.push(("A", minute, 7.5))
    joined = store.candles(None, "1m", limit=1).join(store.tickers.snapshot(), on="symbol")
    assert joined["price"].to_list() == [7.5]


def test_forming_bars_are_read_and_never_stored(store):
    minute = now_ms() // 60_000 * 60_000
    store.write("A", "1m", [(minute - 180_000, 1, 1, 1, 1, 1)])
    store.live.build("1m", from_start=True, persist=True)
    for at, price in ((-120_000, 5.0), (-119_000, 7.0), (-60_000, 6.0), (0, 8.0)):
        store.trades.push(("A", minute + at, price, 1.0))
    store.trades.push(("B", minute, 1.0, 1.0))
    store.live.flush()
    frame = store.candles("A", "1m", include_forming=True)
    assert frame["close"].to_list()[:2] == [1.0, 7.0]
    assert frame["closed"].to_list()[:2] == [True, True]
    assert frame.columns[-1] == "closed"
    assert not frame["closed"][-1]
    assert frame["timestamp"].is_sorted()
    assert frame["timestamp"].is_unique().all()
    assert len(store.candles("A", "1m", include_forming=True, limit=1)) == 1
    long = store.candles(["A", "B"], "1m", include_forming=True, columns=["close", "closed"])
    assert long.columns == ["symbol", "close", "closed"]
    assert long["symbol"].to_list() == ["A"] * (len(long) - 1) + ["B"]
    assert len(store.candles(None, "1m", include_forming=True, limit=1)) == 2
    assert store.candles("B", "1m", include_forming=True)["closed"].to_list() == [False]
    with pytest.raises(mdstore.NoSuchSeriesError, match="C"):
        store.candles(["A", "C"], "1m", include_forming=True)
    with pytest.raises(mdstore.NoSuchSeriesError):
        store.candles("C", "1m", include_forming=True)
    with pytest.raises(InvalidInputError, match="include_forming"):
        store.candles("A", "1h", derive_from="1m", include_forming=True)
    with pytest.raises(InvalidInputError, match="have not ended"):
        store.write("A", "1m", frame)
    path = store.path
    store.close()
    with mdstore.open(path) as again:
        stored = again.candles("A", "1m")
        assert stored["timestamp"][-1] < datetime.fromtimestamp(minute / 1000, UTC)
        with pytest.raises(mdstore.NoSuchSeriesError):
            again.candles("B", "1m")


def test_a_store_may_have_another_cache(tmp_path):
    cache = RealtimeDataCache(trades={"ttl": 5})
    with mdstore.open(tmp_path / "a.sqlite3", realtime=cache) as store:
        assert store.trades is cache.trades
        assert store.trades.ttl == 5
        with pytest.raises(InvalidInputError, match="stored elsewhere"):
            mdstore.open(tmp_path / "b.sqlite3", realtime=cache)


def test_stats_of_all_parts(cache):
    cache.trades.push(trade())
    stats = cache.stats()
    assert set(stats) == {"tickers", "orderbooks", "trades", "live"}
    assert stats["trades"]["lag"] == 0.0
    cache.clear()
    assert cache.stats()["trades"]["pushed"] == 0
    assert cache.trades.latest("KRW-BTC") is None


def _counted(table):
    """Rows past their TTL are let go sooner or later."""
    stats = table.stats()
    return stats["pushed"], stats["rows"] + stats["expired"], stats["late"], stats["duplicates"]


@DOSES
@pytest.mark.parametrize("kind", [TICKERS, TRADES])
def test_a_frame_is_the_same_as_its_rows_one_by_one(monkeypatch, kind, examples):
    monkeypatch.setattr(rings_module, "FEW_ROWS", 3)
    monkeypatch.setattr(rings_module, "MANY_ROWS", 4)
    names = NAMES[:3] if kind is TICKERS else NAMES
    value = st.integers(0, 3).map(float)
    fields = [st.sampled_from("AB"), st.integers(-1100, -900) | st.integers(0, 3), value]
    if kind is TRADES:
        fields += [value, st.sampled_from(["buy", "sell", None]), st.none() | st.integers(1, 4)]
    batches = st.lists(st.lists(st.tuples(*fields), min_size=1, max_size=12), max_size=5)

    @settings(max_examples=examples)
    @given(batches)
    def law(given_):
        clock = Clock()
        one, other = (RealtimeTable(replace(kind, batch_rows=4), ttl=1.0, clock=clock) for _ in range(2))
        for batch in given_:
            rows = [(symbol, clock.ms + at, *rest) for symbol, at, *rest in batch]
            frame = pl.DataFrame(rows, schema=names, schema_overrides=TYPES, orient="row")
            assert sum(one.push(row) for row in rows) == other.push(frame)
            clock.ms += 2
        assert one.window().equals(other.window())
        assert one.snapshot().equals(other.snapshot())
        assert [one.latest(name) for name in "AB"] == [other.latest(name) for name in "AB"]
        assert _counted(one) == _counted(other)

    law()


def test_a_forked_child_has_rings_of_its_own(python):
    """The parent's feed may hold the lock at the fork, and its bars are the parent's to store."""
    assert (
        python("""
        import os, tempfile, threading, time, mdstore
        folder = tempfile.mkdtemp()
        cache = mdstore.RealtimeDataCache(trades={"ttl": 5})
        store = mdstore.open(folder + "/market_data.sqlite3", realtime=cache)
        store.live.build("1m", persist=True)
        stop = threading.Event()
        def feed():
            key = 0
            while not stop.is_set():
                key += 1
                store.trades.push(("A", time.time_ns() // 10**6, 1.0, 1.0, "buy", key))
        thread = threading.Thread(target=feed)
        thread.start()
        codes = []
        for _ in range(10):
            child = os.fork()
            if child == 0:
                assert store.trades.latest("A") is None and store.trades.ttl == 5
                store.trades.push(("B", time.time_ns() // 10**6, 1.0, 1.0, "buy", 1))
                assert store.trades.latest("B").id == 1
                store.close()
                os._exit(7)
            codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        stop.set()
        thread.join()
        print(codes == [7] * 10, store.trades.latest("A") is not None, store.trades.latest("B"))
        store.close()
    """)
        == "True True None"
    )


# ---- mended


def test_a_callback_that_fails_at_close_keeps_no_bar_from_being_stored(tmp_path, monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    clock = Clock()
    path = tmp_path / "a.sqlite3"
    store = mdstore.open(path, realtime=RealtimeDataCache(clock=clock))
    store.live.build("1m", persist=True, from_start=True)
    gate = threading.Event()

    def fail(row):
        gate.wait()
        raise ZeroDivisionError

    store.trades.subscribe(fail)
    store.trades.push(trade())
    clock.ms += 70_000
    threading.Timer(0.05, gate.set).start()
    store.close()
    with mdstore.open(path) as again:
        assert len(again.candles("KRW-BTC", "1m")) == 1


def test_a_closed_store_says_so(tmp_path):
    store = mdstore.open(tmp_path / "a.sqlite3")
    trades = store.trades
    store.close()
    for use in (lambda: store.trades, lambda: store.live, lambda: store.realtime, trades.subscribe):
        with pytest.raises(mdstore.StoreClosedError, match="closed"):
            use()


async def cancelled(subscription):
    """Wait for rows that do not come, until somebody loses patience."""
    with suppress(TimeoutError):
        async with asyncio.timeout(0.02):
            async for row in subscription:
                raise AssertionError(row)


def test_subscriptions_that_nobody_holds_are_let_go(cache):
    def leave():
        subscription = cache.trades.subscribe()
        cache.trades.push(trade(key=2))
        for _ in subscription:
            break

    leave()
    asyncio.run(cancelled(cache.trades.subscribe()))
    gc.collect()
    cache.trades.push(trade(key=3))
    assert cache.trades.stats()["subscriptions"] == 0


def test_a_subscription_goes_on_after_its_task_was_cancelled(cache):
    subscription = cache.trades.subscribe()
    asyncio.run(cancelled(subscription))
    for key in range(3):
        cache.trades.push(trade(key=key))
    assert [row.id for row in subscription.drain()] == [0, 1, 2]


def test_in_an_event_loop_nothing_blocks(cache):
    async def main():
        async with cache.trades.subscribe(overflow="block", buffer=2, patience=1_000) as subscription:
            for key in range(5):
                cache.trades.push(trade(key=key))
            return [row.id for row in subscription.drain()], subscription.dropped

    assert asyncio.run(main()) == ([3, 4], 3)


def test_what_comes_past_its_ttl_is_not_told_and_the_bar_that_misses_it_is_partial(clock):
    cache = RealtimeDataCache(trades={"ttl": 5}, clock=clock)
    cache.live.build("1m", from_start=True)
    subscription = cache.trades.subscribe()
    clock.ms = NOW // 60_000 * 60_000 + 30_000
    cache.trades.push(("A", clock.ms, 1.0, 1.0, "buy", 1))
    clock.ms += 20_000
    cache.trades.push(("A", clock.ms - 10_000, 1.0, 1.0, "buy", 2))
    cache.trades.push(("A", clock.ms, 1.0, 1.0, "buy", 3))
    assert [row.id for row in subscription.drain()] == [1, 3]
    assert cache.trades.stats()["expired"] == 1 + 1
    clock.ms += 60_000
    assert cache.live.frame("A", "1m").is_empty()
    assert cache.live.stats()["partial"] == 1


def test_a_partial_live_bar_does_not_hide_a_stored_one(store):
    minute = now_ms() // 60_000 * 60_000
    store.realtime.clock = Clock(minute + 20_000)
    store.write("A", "1m", [(minute, 10, 20, 5, 12, 100)])
    store.live.build("1m")
    store.trades.push(("A", minute + 15_000, 13.0, 0.1, "buy", 1))
    row = store.candles("A", "1m", include_forming=True).row(-1, named=True)
    assert (row["high"], row["volume"], row["closed"]) == (20.0, 100.0, True)
    assert store.live.frame("A", "1m")["partial"].to_list() == [True]


def test_a_stored_correction_is_not_hidden_by_the_bar_that_was_live(store):
    minute = now_ms() // 60_000 * 60_000 - 120_000
    clock = Clock(minute)
    store.realtime.clock = clock
    store.live.build("1m", persist=True, from_start=True)
    store.trades.push(("A", minute, 1.0, 1.0, "buy", 1))
    clock.ms += 63_000
    store.live.flush()
    store.write("A", "1m", [(minute, 1, 9, 1, 2, 77)])
    assert store.candles("A", "1m", include_forming=True)["high"].to_list() == [9.0]


def test_live_symbols_outside_of_the_range_give_an_empty_frame(store):
    store.live.build("1m")
    store.trades.push(("A", now_ms(), 1.0, 1.0, "buy", 1))
    assert store.candles("A", "1m", end="2020-01-01", include_forming=True).is_empty()
    assert store.candles(["A"], "1m", end="2020-01-01", include_forming=True).is_empty()


def test_a_replay_lets_go_by_the_time_on_the_recording(store, tmp_path):
    start = NOW // 1000 * 1000
    lines = [
        f'{(start + at * 1000) * MS} {{"ty":"trade","cd":"A","ttms":{start + at * 1000},"tp":1,"tv":1,"ab":"BID","sid":{at},"st":"REALTIME"}}\n'  # noqa: E501
        for at in range(5000)
    ]
    path = tmp_path / "long.ws"
    path.write_text("".join(lines))
    store.replay(path)
    assert len(store.trades.window("A")) == 600
    assert len(store.trades) < 1000
    with pytest.raises(InvalidInputError, match="clear"):
        store.replay(path)
    store.realtime.clear()
    assert store.trades.push(("A", now_ms(), 1.0, 1.0, "buy", 1)) == 1
    store.realtime.clear()
    (tmp_path / "broken.ws").write_text(f'{start * MS} {{"ty":"trade"}}\n')
    with pytest.raises(mdstore.FileFormatError):
        store.replay(tmp_path / "broken.ws")
    assert store.trades.push(("A", now_ms(), 1.0, 1.0, "buy", 1)) == 1


def test_clear_closes_no_bar_by_the_clock_it_goes_back_to(store):
    store.realtime.clock = Clock(NOW)
    store.live.build("1m", persist=True, from_start=True)
    store.trades.push(("A", NOW, 1.0, 1.0, "buy", 1))
    store.realtime.clear()
    store.live.flush()
    assert store.series().is_empty()


@pytest.mark.parametrize("form", ["row", "list", "batch"])
def test_an_interrupt_leaves_no_sum_wrong(python, form):
    assert (
        python(f"""
        import signal, threading, time, polars as pl
        from mdstore.realtime.limits import TRADES
        from mdstore.realtime.table import RealtimeTable

        now = 1_700_000_000_000
        bounds = dict(rows=3000, bytes=150_000, total_bytes=400_000)
        table = RealtimeTable(TRADES, clock=lambda: now * 10**6, **bounds)
        names = ("symbol", "timestamp", "price", "size", "side", "id")

        def interrupt(*_):
            raise KeyboardInterrupt

        signal.signal(signal.SIGALRM, interrupt)
        key = hits = 0
        end = time.monotonic() + 2
        while time.monotonic() < end:
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0007)
                while True:
                    rows = [("S%d" % (n % 5), now, 1.0, 1.0, "buy", key + n) for n in range(200)]
                    key += 200
                    if {form!r} == "row":
                        for row in rows: table.push(row)
                    elif {form!r} == "list":
                        table.push(rows)
                    else:
                        table.push(pl.DataFrame(rows, schema=names, orient="row"))
            except BaseException:  # Polars makes other errors of an interrupt
                hits += 1
            for symbol in table.symbols:
                ring = table._rings.by_symbol[symbol]
                assert ring.state.rows == sum(len(b.times) for b in ring.state.sealed)
                assert ring.state.size == sum(b.size for b in ring.state.sealed)
                assert ring.tail is ring.state.tail
                window = table.window(symbol)
                assert window["id"].is_unique().all()
                assert table.latest(symbol).id == window["id"][-1]
        signal.setitimer(signal.ITIMER_REAL, 0)
        other = threading.Thread(target=table.stats, daemon=True)
        other.start()
        other.join(5)
        assert not other.is_alive(), "the lock was left held"
        table.stats()
        held = sum(ring.state.size for ring in table._rings.by_symbol.values())
        assert table._rings._sealed_bytes == held <= 400_000
        print(hits > 20)
    """)
        == "True"
    )


def test_a_frame_larger_than_the_bounds_leaves_its_end(clock):
    table = RealtimeTable(TRADES, bytes=100_000, clock=clock)
    rows = [trade(at // 10, key=at) for at in range(8192)]
    assert table.push(pl.DataFrame(rows, schema=NAMES, orient="row")) == 8192
    held = ids(table.window("KRW-BTC"))
    assert held == list(range(8192 - len(held), 8192))
    assert 500 < len(held) < 2100


def test_the_latest_may_be_asked_not_to_be_old(cache, clock):
    cache.trades.push(trade())
    clock.ms += 2000
    assert cache.trades.latest("KRW-BTC", max_age=2.5).id == 1
    assert cache.trades.latest("KRW-BTC", max_age=2) is None
    with pytest.raises(StaleDataError, match=r"2\.0 s old; max_age is 1 s"):
        cache.trades.latest("KRW-BTC", max_age=1, on_stale="raise")
    with pytest.raises(StaleDataError, match="did you mean KRW-BTC"):
        cache.trades.latest("KRW-BTK", on_stale="raise")
    with pytest.raises(InvalidInputError, match="symbol"):
        cache.trades.latest(["KRW-BTC"])
    assert repr(cache.trades) == "<trades: 1 rows of 1 symbols>"
    assert (len(cache.trades), cache.trades.symbols) == (1, ["KRW-BTC"])


@pytest.mark.parametrize(
    ("data", "word"),
    [
        ({"symbol": "A", "timestamp": NOW, "amount": 1.0}, "is it size"),
        ({"symbol": "A", "datetime": NOW}, "is it timestamp"),
        (["KRW-BTC", NOW, 1.0, 1.0], "a list is a batch"),
    ],
)
def test_names_of_other_tools_are_answered_with_ours(cache, data, word):
    with pytest.raises(InvalidInputError, match=word):
        cache.trades.push(data)


def test_sides_may_be_shouted(cache):
    rows = [("A", NOW, 1.0, 1.0, "BUY", 1), ("A", NOW, 1.0, 1.0, "Sell", 2)]
    cache.trades.push(rows[:1])
    cache.trades.push(pl.DataFrame(rows, schema=NAMES, orient="row"))
    assert cache.trades.window("A")["side"].to_list() == ["buy", "sell"]


@pytest.mark.parametrize("rows", ['{"type":"trade"}', {"type": "trade"}, None, [5], [("A", NOW)]])
def test_what_is_no_row_of_a_feed_is_refused(cache, rows):
    with pytest.raises(InvalidInputError):
        cache.push(rows)


def test_rows_of_a_feed_go_where_they_belong(cache, clock):
    cache.live.build("1m", from_start=True)
    cache.push(Trade("A", NOW, 1.0, 1.0))
    cache.push([
        Ticker("A", NOW, 1.0),
        Depth("A", NOW, [1.0], [1.0], [2.0], [1.0]),
        mdstore.Kline("B", "1m", NOW // 60_000 * 60_000, 1.0, 1.0, 1.0, 1.0, 1.0, closed=False),
    ])  # fmt: skip
    assert [len(table) for table in cache.tables.values()] == [1, 1, 1]
    assert cache.live.frame(None, "1m")["symbol"].to_list() == ["A", "B"]


def test_a_closed_bar_that_is_not_whole_is_not_shown_as_closed(store):
    minute = now_ms() // 60_000 * 60_000 - 600_000
    clock = Clock(minute)
    store.realtime.clock = clock
    store.live.build("1m", from_start=True)
    for at in (10, 70, 130):
        clock.ms = minute + at * 1000
        store.trades.push(("A", clock.ms, 1.0, 1.0, "buy", at))
    store.live.gap("A", since=minute + 75_000)
    frame = store.candles("A", "1m", include_forming=True)
    assert frame["closed"].to_list() == [True, False]


def test_two_callbacks_may_close_each_other(cache):
    ready, made = threading.Event(), []

    def close_other(which):
        ready.wait()
        made[which].close()

    made.append(cache.trades.subscribe(lambda _: close_other(1)))
    made.append(cache.trades.subscribe(lambda _: close_other(0)))
    cache.trades.push(trade())
    ready.set()
    end = time.monotonic() + 20
    while any(one._queue.worker.is_alive() for one in made) and time.monotonic() < end:
        time.sleep(0.01)
    assert not any(one._queue.worker.is_alive() for one in made)


def test_a_clock_that_is_set_back_is_gone_by(cache, clock):
    cache.trades.push(trade())
    cache.clock = Clock(NOW - 3_000_000)
    with pytest.raises(ValidationError, match="future"):
        cache.trades.push(trade(50, key=2))


def test_a_trade_that_was_an_hour_on_its_way_is_not_taken_either_way(cache, clock):
    subscription = cache.trades.subscribe()
    cache.trades.push(trade())
    clock.ms += 3_600_000
    late = trade(30_000, key=2)
    assert [cache.trades.push(late), cache.trades.push([late])] == [0, 0]
    assert [row.id for row in subscription.drain()] == [1]
    assert cache.trades.stats()["expired"] == 3


def test_a_row_that_comes_between_a_look_and_the_wait_wakes_the_task(cache):
    subscription = cache.trades.subscribe()

    async def main():
        assert subscription._queue.take() is None
        cache.trades.push(trade())
        await asyncio.wait_for(subscription._queue.arrival(), 10)

    asyncio.run(main())
    assert [row.id for row in subscription.drain()] == [1]
