"""What each tier has given is counted in bytes, too: those of the frames that came of it."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from mdstore import Kline, MarketDataService, RealtimeDataCache, Ticker
from mdstore.service.memory_coordinator import MemoryCoordinator
from mdstore.service.meters import Meter, Meters
from mdstore.service.router import RingRouter
from tests.support.candles import MINUTE, START, walk
from tests.support.upstream import Clock

TRUTH = walk(1_000)
ROW = 48


def bytes_of(service):
    return {name: tier["bytes"] for name, tier in service.stats()["tiers"].items()}


def test_bars_that_are_stored_and_read_are_counted_by_their_tier(store):
    store.write("A", "1m", TRUTH)
    store.write("B", "1m", TRUTH)
    with MarketDataService(store) as service:
        assert bytes_of(service) == {}
        one = service.get_candle_data("A", "1m", count=100)
        assert one.frame.estimated_size() == 100 * ROW
        first = bytes_of(service)
        assert first.pop("calls") == 100 * ROW
        assert sum(first.values()) == 100 * ROW
        again = service.get_candle_data("A", "1m", count=100)
        both = service.get_candle_data(["A", "B"], "1m", count=10)
        frames = [answer.frame.estimated_size() for answer in (one, again, both)]
        found = bytes_of(service)
        assert found.pop("calls") == sum(frames) == 200 * ROW + 20 * (ROW + 4)
        assert sum(found.values()) == sum(frames)
        made = service.get_candle_data("A", "1h")
        assert bytes_of(service)["made"] == made.frame.estimated_size() > 0
        assert service.stats()["tiers"]["made"]["rows"] == len(made)


def test_what_an_upstream_brings_is_counted(store):
    source = MemoryCoordinator({("A", "1m"): TRUTH})
    with MarketDataService(store, coordinator=source) as service:
        for _ in range(2):
            service.get_candle_data("A", "1m", START, START + 300 * MINUTE)
            assert bytes_of(service)["coordinator"] == 300 * ROW


def test_what_a_router_and_the_rings_give_is_counted(tmp_path):
    import mdstore

    clock = Clock.behind(1_000)
    rings = RealtimeDataCache(clock=lambda: int(clock.now * 1e9))
    rings.live.update(Kline("A", "1m", START + 1_000 * MINUTE, 5.0, 6.0, 4.0, 5.5, 1.0, closed=False))
    with (
        mdstore.MarketDataStore(tmp_path / "s.sqlite3", clock=clock) as store,
        MarketDataService(store, RingRouter(rings)) as service,
    ):
        store.write("A", "1m", TRUTH)
        service.get_candle_data("A", "1m", START, include_forming=True)
        assert bytes_of(service)["router"] >= ROW
        store.tickers.push(Ticker("A", int(clock.now * 1000), 1.0))
        before = bytes_of(service)["calls"]
        size = service.get_ticker_data("A").table.nbytes
        assert bytes_of(service)["tickers"] == size > 0
        assert bytes_of(service)["calls"] == before + size


def test_stored_bars_beside_a_forming_one_are_of_the_tiers_that_had_them(store):
    """They were all said to be made, and no hit of memory was counted."""
    store.write("A", "1m", TRUTH)
    store.write("B", "1m", TRUTH)
    forming = START + 1_000 * MINUTE
    with MarketDataService(store) as service:
        service.get_candle_data("A", "1m", count=100)
        none = service.get_candle_data("A", "1m", count=100, include_forming=True)
        assert none.about.tiers == ("memory",)
        for symbol in ("A", "C"):
            store.live.update(Kline(symbol, "1m", forming, 5.0, 6.0, 4.0, 5.5, 1.0, closed=False))
        before = service.stats()["tiers"]["memory"]["hits"]
        one = service.get_candle_data("A", "1m", count=100, include_forming=True)
        assert one.about.tiers == ("memory", "live")
        assert one.about.ranges.drop("start", "end").rows() == [("A", "memory+live", 100)]
        assert service.stats()["tiers"]["memory"]["hits"] == before + 1
        assert service.get_candle_data("C", "1m", include_forming=True).about.tiers == ("live",)
        both = service.get_candle_data(["A", "B", "C"], "1m", count=5, include_forming=True)
        assert both.about.tiers[-1] == "live"
        assert "made" not in service.stats()["tiers"]


def test_results_are_counted_whether_they_were_kept_or_not(store):
    store.write("A", "1m", TRUTH)
    with MarketDataService(store) as service:
        sizes = [service.sql("SELECT * FROM candles").estimated_size() for _ in range(2)]
        assert bytes_of(service)["sql"] == sum(sizes) > 0
        rows = service.screen("1m", pl.col("close") > 0).rows
        assert bytes_of(service)["screen"] == rows.estimated_size() > 0
        assert service.stats()["results"]["bytes"] > 0


@given(st.lists(st.floats(1, 1e6), min_size=1))
def test_percentiles_are_those_of_the_times(times):
    meters = Meters()
    for time in times:
        meters.add("calls", time, rows=2, size=3)
    stats = meters.stats()["calls"]
    assert (stats["calls"], stats["rows"], stats["bytes"]) == (len(times), 2 * len(times), 3 * len(times))
    middle = sorted(times)[(len(times) - 1) // 2]
    assert abs(stats["p50_ms"] * 1000 - middle) <= max(0.5, middle / 3)
    assert stats["p50_ms"] <= stats["p95_ms"] <= stats["p99_ms"]


def test_nothing_counted_is_nothing():
    assert Meter().stats()["p99_ms"] == 0.0
