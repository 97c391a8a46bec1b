"""Tickers, books and trades: rings have the latest, a router what came before, and each row comes once."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mdstore
from mdstore import MarketDataService, RealtimeDataCache, ServicePolicies
from mdstore.service.router import RingRouter
from tests.support.upstream import Clock


@pytest.fixture
def clock():
    return Clock.behind(100)


@pytest.fixture
def other(clock):
    other = RealtimeDataCache(clock=lambda: int(clock.now * 1e9))
    yield other
    other.close()


def deal(clock, back, price=10.0, number=None, size=1.0):
    return ("A", int(clock.now * 1000) - back, price, size, "buy", number)


def prices(answer):
    return answer.frame["price"].to_list()


def test_the_trades_of_ring_and_router_are_one_answer(store, clock, other):
    for number in range(8):
        other.trades.push(deal(clock, 10_000 - number * 1_000, float(number + 1), number))
    for number in range(5, 10):
        store.trades.push(deal(clock, 10_000 - number * 1_000, float(number + 1), number))
    with MarketDataService(store, RingRouter(other, name="bot")) as service:
        answer = service.get_trade_data("A")
        assert prices(answer) == [float(number) for number in range(1, 11)]
        assert answer.about.tiers == ("memory", "router")
        ranges = answer.about.ranges.select("tier", "rows")
        assert ranges.rows() == [("memory", 5), ("router", 5)]
        assert answer.about.age == pytest.approx(1.0)
        assert prices(service.get_trade_data("A", count=7)) == [4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]
        assert prices(service.get_trade_data("A", seconds=7)) == [5.0, 6.0, 7.0, 8.0, 9.0, 10.0]
        few = service.get_trade_data("A", count=3)
        assert few.about.tiers == ("memory",)
        assert prices(few) == [8.0, 9.0, 10.0]
        both = service.get_trade_data(["A", "B"]).frame
        assert both.group_by("symbol").len().rows() == [("A", 10)]


def test_a_ring_that_has_stopped_hides_nothing_newer(store, clock, other):
    store.trades.push(deal(clock, 50_000, 1.0, 1))
    other.trades.push(deal(clock, 1_000, 2.0, 2))
    with MarketDataService(store, RingRouter(other)) as service:
        assert prices(service.get_trade_data("A", count=1)) == [2.0]
        assert prices(service.get_trade_data("A", count=5)) == [1.0, 2.0]


def test_a_router_that_does_not_keep_to_the_seconds_is_cut(store, clock, other):
    for back in (9_000, 1_000):
        other.trades.push(deal(clock, back, float(back)))

    class Router(RingRouter):
        def trades(self, symbol, seconds=None):
            return super().trades(symbol)

    with MarketDataService(store, Router(other)) as service:
        assert prices(service.get_trade_data("A", seconds=5)) == [1_000.0]


few = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([1.0, 2.0]), st.integers(0, 5)),
    max_size=8,
    unique_by=lambda t: t[2],
)


@given(few, few, st.booleans(), st.none() | st.integers(1, 9))
def test_a_trade_comes_once_and_in_its_place(ring, routed, with_ids, count):
    """Each trade is (time, price, id); what has one id is one trade, whoever holds it."""
    known = {number: (at, price) for at, price, number in ring}
    routed = [(*known.get(number, (at, price)), number) for at, price, number in routed]
    tables = []
    for trades in (ring, routed):
        cache = RealtimeDataCache(clock=lambda: 1_756_689_005 * 10**9)
        for at, price, number in sorted(trades):
            cache.trades.push(("A", 1_756_689_000_000 + at, price, 1.0, "buy", number if with_ids else None))
        tables.append(cache.trades.arrow("A"))
        cache.close()
    from mdstore.service.joined_trades import joined_trades

    whole, of_ring, of_router = joined_trades(*tables, count)
    if with_ids:
        both = {number: (at, price) for at, price, number in (*ring, *routed)}
        truth = sorted((*values, number) for number, values in both.items())
        truth = sorted((at, number, price) for at, price, number in truth)
        rows = zip(
            whole["timestamp"].cast("int64").to_pylist(),
            whole["id"].to_pylist(),
            whole["price"].to_pylist(),
            strict=True,
        )
        found = [(at - 1_756_689_000_000, number, price) for at, number, price in rows]
        assert found == (truth if count is None else truth[-count:])
    else:
        one, two = (Counter((at, price) for at, price, _ in trades) for trades in (ring, routed))
        union = sorted((one | two).elements())
        times = [at for at, _ in union]
        found = [at - 1_756_689_000_000 for at in whole["timestamp"].cast("int64").to_pylist()]
        assert found == (times if count is None else times[-count:])
    assert of_ring.num_rows + of_router.num_rows == whole.num_rows


def test_offline_asks_no_upstream_for_anything(store, clock, other):
    other.tickers.push(("A", int(clock.now * 1000), 12.0))
    other.trades.push(deal(clock, 1_000))
    store.trades.push(deal(clock, 500, 3.0))

    class Router(RingRouter):
        def __getattribute__(self, name):
            assert name in ("name", "candles", "__class__"), f"{name} was asked"
            return super().__getattribute__(name)

    router = Router(other)
    with MarketDataService(store, router, policies=ServicePolicies(offline=True)) as service:
        answer = service.get_ticker_data("A")
        assert answer.frame.is_empty()
        assert answer.about.why_stale["A"].endswith("; offline: nothing was asked of an upstream")
        assert service.get_orderbook_data("A").frame.is_empty()
        assert prices(service.get_trade_data("A")) == [3.0]
        with pytest.raises(mdstore.NoSuchSeriesError):
            service.get_candle_data("A", "1m", include_forming=True)
