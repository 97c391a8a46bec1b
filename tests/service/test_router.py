"""The router's memory is asked before an upstream is; what it gives is stored once, and says how it came."""

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import mdstore
from mdstore import Kline, MarketDataService, RealtimeDataCache
from mdstore.service.memory_coordinator import MemoryCoordinator
from mdstore.service.router import RingRouter, RoutedBar
from tests.support.candles import MINUTE, START, walk
from tests.support.upstream import Clock, bars_asked

TRUTH = walk(100)


@pytest.fixture
def clock():
    return Clock.behind(100)


def bars(low, high, kind="realtime", closed=True):
    rows = TRUTH.slice(low, high - low)
    times = rows["timestamp"].to_physical().to_list()
    values = rows.select(pl.exclude("timestamp")).rows()
    return [RoutedBar(time, *row, closed=closed, kind=kind) for time, row in zip(times, values, strict=True)]


class Router:
    name = "router"

    def __init__(self, held=(), ticker=None, book=None, trades=None):
        self.held, self.ticker, self.book, self.deals = list(held), ticker, book, trades
        self.asked = []

    def latest_ticker(self, symbol):
        return self.ticker

    def orderbook(self, symbol):
        return self.book

    def trades(self, symbol, seconds=None):
        return self.deals

    def candles(self, symbol, timeframe, start, end):
        self.asked.append((start, end))
        return [bar for bar in self.held if start <= bar.timestamp < end]

    def subscribe(self, callback, symbols=None):
        raise NotImplementedError


def test_the_router_is_asked_first_and_the_coordinator_for_the_rest(store):
    router = Router(bars(80, 100))
    source = MemoryCoordinator({("A", "1m"): TRUTH}, name="exchange")
    with MarketDataService(store, router, source) as service:
        answer = service.get_candle_data("A", "1m", START)
    assert_frame_equal(answer.frame, TRUTH)
    assert bars_asked(source) == 80
    assert answer.about.rows_by_tier == {"router": 20, "coordinator": 80}
    origins = store.provenance("A", "1m").select("source", "start").rows()
    assert [source for source, _ in origins] == ["exchange", "router"]


def test_recovered_bars_and_snapshots_are_told_apart_and_stored_once(store):
    router = Router([*bars(0, 40), *bars(40, 50, "recovered"), *bars(50, 100, "snapshot")])
    with MarketDataService(store, router) as service:
        service.get_candle_data("A", "1m", START)
        revision = store.series()["revision"].to_list()
        service._tiers._whole.clear()
        service.get_candle_data("A", "1m", START)
    assert store.series()["revision"].to_list() == revision
    assert store.provenance("A", "1m")["source"].to_list() == [
        "router",
        "router (recovered)",
        "router (snapshot)",
    ]


def test_what_is_forming_is_not_stored_and_what_the_router_lacks_is_not_covered(store):
    router = Router([*bars(0, 10), *bars(50, 99), *bars(99, 100, closed=False)])
    with MarketDataService(store, router) as service:
        answer = service.get_candle_data("A", "1m", START)
    assert len(answer) == 59
    assert store.missing("A", "1m", start=START)["bars"].to_list() == [40, 1]
    assert answer.about.is_stale


def test_what_a_router_sees_form_comes_behind_what_is_stored(store, clock):
    router = Router([*bars(90, 99), *bars(99, 100, closed=False)])
    store.write("A", "1m", TRUTH.head(90))
    with MarketDataService(store, router) as service:
        frame = service.get_candle_data("A", "1m", START, include_forming=True).frame
        assert frame["closed"].to_list() == [True] * 99 + [False]
        assert_frame_equal(frame.select(TRUTH.columns), TRUTH)
        three = service.get_candle_data("A", "1m", count=3, include_forming=True).frame
        assert_frame_equal(three.select(TRUTH.columns), TRUTH.tail(3))
        both = service.get_candle_data(["A", "B"], "1m", START, include_forming=True).frame
    assert both.group_by("symbol", maintain_order=True).len().rows() == [("A", 100), ("B", 10)]
    assert both["partial"].to_list() == [False] * 110


def test_a_router_that_fails_or_lies_is_the_lesser_trouble(store, caplog):
    class Broken(Router):
        def candles(self, symbol, timeframe, start, end):
            raise RuntimeError("no luck")

    class Liar(Router):
        def candles(self, symbol, timeframe, start, end):
            return [bar._replace(high=0.0) for bar in bars(0, 100)]

    for number, router in enumerate((Broken(), Liar())):
        source = MemoryCoordinator({(f"S{number}", "1m"): TRUTH}, name="exchange")
        with MarketDataService(store, router, source) as service:
            assert_frame_equal(service.get_candle_data(f"S{number}", "1m", START).frame, TRUTH)
    assert "no luck" in caplog.text
    assert "breaks the rule" in caplog.text


def feed(realtime, clock):
    at = int(clock.now * 1000)
    realtime.tickers.push(("A", at - 1_000, 10.0))
    realtime.orderbooks.push(("A", at - 1_000, [9.0], [1.0], [11.0], [2.0]))
    for number in range(5):
        realtime.trades.push(("A", at - 5_000 + number * 1_000, 10.0 + number, 1.0, "buy", number))
    realtime.live.update(Kline("A", "1m", START + 99 * MINUTE, 1.0, 3.0, 0.5, 2.0, 7.0, closed=True))
    realtime.live.update(Kline("A", "1m", START + 100 * MINUTE, 1.0, 3.0, 0.5, 2.0, 7.0, closed=False))


def test_rings_of_another_part_of_the_program_are_a_router(store, clock):
    other = RealtimeDataCache(clock=lambda: int(clock.now * 1e9))
    feed(other, clock)
    router = RingRouter(other, name="bot")
    with MarketDataService(store, router) as service:
        ticker = service.get_ticker_data("A")
        assert ticker.frame["price"].to_list() == [10.0]
        assert ticker.about.tiers == ("router",)
        assert ticker.about.age == pytest.approx(1.0)
        assert service.get_orderbook_data(["A"]).frame["bid_prices"].to_list() == [[9.0]]
        assert service.get_trade_data("A", seconds=3).frame["price"].to_list() == [13.0, 14.0]
        assert service.get_trade_data("A", count=2).frame["price"].to_list() == [13.0, 14.0]
        candles = service.get_candle_data("A", "1m", START + 99 * MINUTE).frame
        assert candles["close"].to_list() == [2.0]
    assert [bar.closed for bar in router.candles("A", "1m", START, START + 200 * MINUTE)] == [True, False]
    told = []
    subscription = router.subscribe(told.append, ["A"])
    other.tickers.push(("A", int(clock.now * 1000), 12.0))
    other.trades.push(("A", int(clock.now * 1000), 12.0, 1.0, "sell", 99))
    subscription.close()
    assert sorted(type(row).__name__ for row in told) == ["Ticker", "Trade"]
    other.close()


def test_a_bar_whose_last_klines_were_lost_is_none_of_a_router(store, clock):
    other = RealtimeDataCache(clock=lambda: int(clock.now * 1e9))
    for at in (95, 99, 100):
        other.live.update(Kline("A", "1m", START + at * MINUTE, 1.0, 3.0, 0.5, 2.0, 7.0, closed=False))
    source = MemoryCoordinator({("A", "1m"): TRUTH}, name="exchange")
    with MarketDataService(store, RingRouter(other), source) as service:
        answer = service.get_candle_data("A", "1m", START + 90 * MINUTE)
    assert_frame_equal(answer.frame.head(9), TRUTH.slice(90, 9))
    assert answer.frame["volume"][-1] == 7.0  # this one was followed by the next
    other.close()


def test_the_rings_of_the_store_are_asked_first(store, clock):
    feed(store.realtime, clock)
    router = Router(ticker=mdstore.Ticker("B", int(clock.now * 1000), 99.0))
    with MarketDataService(store, router) as service:
        answer = service.get_ticker_data(["A", "B"])
    assert answer.frame.select("symbol", "price").rows() == [("A", 10.0), ("B", 99.0)]
    assert answer.about.tiers == ("memory", "router")
    assert answer.table.num_rows == len(answer) == 2


def test_what_is_too_old_is_not_given_and_it_is_said_since_when(store, clock):
    feed(store.realtime, clock)
    with MarketDataService(store) as service:
        clock.now += 100
        answer = service.get_ticker_data(["A", "B"], max_age=50)
        assert answer.frame.is_empty()
        assert (
            "the latest of A in tickers is 101.0 s old, and 50 s were asked for"
            in answer.about.why_stale["A"]
        )
        assert "nothing of B in tickers since this service began" in answer.about.why_stale["B"]
        assert answer.about.newest is None
        assert answer.about.age is None
        assert service.get_orderbook_data("A").frame.is_empty()  # past its TTL
        assert len(service.get_trade_data("A")) == 5
        assert service.get_trade_data("B").frame.columns == service.get_trade_data("A").frame.columns


@pytest.mark.parametrize(
    "row", [mdstore.Ticker("A", START - 10**9, 1.0), mdstore.Ticker("A", START, float("nan")), "A", 5]
)
def test_a_router_row_that_is_old_or_none_is_not_given(store, row, caplog):
    with MarketDataService(store, Router(ticker=row, trades=row)) as service:
        assert service.get_ticker_data("A").frame.is_empty()
        assert service.get_trade_data("A").frame.is_empty()


def test_arguments_of_realtime_requests_are_looked_at(store):
    with MarketDataService(store) as service:
        for call in (
            lambda: service.get_ticker_data(None),
            lambda: service.get_ticker_data("A", max_age=0),
            lambda: service.get_trade_data("A", seconds=-1),
            lambda: service.get_trade_data("A", count=0),
            lambda: service.get_orderbook_data([]),
        ):
            with pytest.raises(mdstore.InvalidInputError):
                call()
