"""How long and how much is held: TTLs, clocks, rows, bytes, symbols."""

import gc

import polars as pl
import pytest

from mdstore import (
    InvalidInputError,
    RealtimeDataCache,
    StaleDataError,
    ValidationError,
)
from mdstore.realtime.limits import ORDERBOOKS, TICKERS, TRADES
from mdstore.realtime.table import RealtimeTable
from tests.support.realtime import MS, NAMES, NOW, Clock, ids, trade

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


def test_a_clock_may_be_set_for_all(cache):
    cache.clock = Clock(NOW + 10**9)
    cache.trades.push(trade(10**9))
    assert cache.trades.latest("KRW-BTC").received == (NOW + 10**9) * MS


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
    cache.live.heartbeat(clock.ms + 60_000)
    assert cache.live.frame("A", "1m").is_empty()
    assert cache.live.stats()["partial"] == 1


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


@pytest.mark.slow
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


@pytest.mark.long
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


@pytest.mark.slow
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


def test_a_frame_larger_than_the_bounds_leaves_its_end(clock):
    table = RealtimeTable(TRADES, bytes=100_000, clock=clock)
    rows = [trade(at // 10, key=at) for at in range(8192)]
    assert table.push(pl.DataFrame(rows, schema=NAMES, orient="row")) == 8192
    held = ids(table.window("KRW-BTC"))
    assert held == list(range(8192 - len(held), 8192))
    assert 500 < len(held) < 2100


def test_stats_of_all_parts(cache):
    cache.trades.push(trade())
    stats = cache.stats()
    assert set(stats) == {"tickers", "orderbooks", "trades", "live"}
    assert stats["trades"]["lag"] == 0.0
    cache.clear()
    assert cache.stats()["trades"]["pushed"] == 0
    assert cache.trades.latest("KRW-BTC") is None
