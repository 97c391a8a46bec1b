"""A market that the exchange knows no more: what is stored of it stays, and what is not has its reason."""

import pytest

import mdstore
from mdstore import LocalExchange, LocalMarket
from tests.support.candles import MINUTE, START
from tests.support.fake_exchange import FakeExchange, at, bars
from tests.support.synced import source_of
from tests.support.upstream import Clock


@pytest.fixture
def clock():
    return Clock.behind(1_000)


def reasons(store, low, high, symbol="A"):
    gaps = store.gaps(symbol, "1m", start=at(low), end=at(high))
    return gaps.select("bars", "reason").rows()


@pytest.fixture
def source(store, clock):
    """Give an exchange that had A until just now."""
    source = FakeExchange({("A", "1m"): bars(1_000), ("B", "1m"): bars(20_000)}, clock)
    store.sync(source, "A", "1m", since=at(0))
    del source.truth["A", "1m"]
    clock.at(10_000)
    return source


def test_it_was_delisted_from_its_last_bar_on(store, clock, source):
    sent = source.requests
    result = store.sync(source, "A", "1m")
    assert result.failed == {}
    assert [one.state for one in result.series] == ["delisted"]
    assert result.holes == {"after_delisting": 9_000}
    assert source.requests - sent <= 2 + source.limits.concurrency, "not once for each page"
    assert store.sync(source, "A", "1m").requests == 0
    assert len(store.candles("A", "1m")) == 1_000
    clock.at(10_100)  # what has passed since is asked for, as it may be traded again
    source.truth["A", "1m"] = bars(50, start=at(10_050))
    assert store.sync(source, "A", "1m").inserted == 50
    assert reasons(store, 990, 10_060) == [(9_000, "after_delisting"), (50, "before_listing")]


def test_holes_of_before_cannot_be_filled_any_more_and_fail(store, source):
    result = store.sync(source, "A", "1m", since=at(-50))
    assert "has no market A" in str(result.failed["A", "1m"])
    assert reasons(store, 0, 10_000) == [(9_000, "after_delisting")]


def test_bars_that_are_there_and_could_have_been_amended_yet_are_final(store, clock):
    """As those are that a watch has fetched when it began: each sync failed by them, for ever."""
    clock.at(500)
    source = FakeExchange({("A", "1m"): bars(500), ("B", "1m"): bars(20_000)}, clock, settles=5)
    store.sync(source, "A", "1m", since=at(0))
    clock.at(1_000)
    store.write("A", "1m", bars(500, start=at(500)), source="live")
    del source.truth["A", "1m"]
    clock.at(10_000)
    result = store.sync(source, "A", "1m")
    assert (result.failed, result.holes) == ({}, {"after_delisting": 9_000})
    assert store.sync(source, "A", "1m").requests == 0


@pytest.mark.slow
def test_a_sync_that_goes_on_names_it_and_leaves_it_alone_for_a_while(tmp_path):
    """It was asked for in each round."""
    states, sent = [], []
    markets = [LocalMarket(symbol=one, trades_per_minute=240, silent=0) for one in ("KRW-BTC", "KRW-ETH")]
    with LocalExchange(markets, limits=None) as exchange, mdstore.open(tmp_path / "a.sqlite3") as store:

        def told(result):
            if not result.is_over:
                return
            states.append([one.state for one in result.series])
            sent.append(len(exchange.requests))
            if len(states) == 3:
                exchange.truth.markets["KRW-ETH"].delisted = exchange.now()
                exchange._server.changed()

        store.sync(
            "upbit", ["KRW-BTC", "KRW-ETH"], "1s", since=exchange.now() - MINUTE, every="1s",
            until=exchange.now() + 10_000, base_url=exchange.url, progress=told,
        )  # fmt: skip
        asked = [one.query.get("market") for one in exchange.requests[sent[2] :]]
    gone = states.index(["done", "delisted"])
    assert gone in (3, 4)
    assert {tuple(one) for one in states[gone:]} == {("done", "delisted")}
    assert asked.count("KRW-ETH") <= 2
    assert asked.count("KRW-BTC") >= len(states) - 4


@pytest.mark.parametrize("known", [True, False])
def test_a_name_that_the_exchange_never_had_is_a_mistake(store, clock, known):
    if known:  # by another exchange
        store.write("C", "1m", bars(100), source="other")
    result = store.sync(FakeExchange({("A", "1m"): bars(10)}, clock), "C", "1m", since=at(0))
    assert "has no market C" in str(result.failed["C", "1m"])
    if known:
        assert "after_delisting" not in dict(map(reversed, reasons(store, 0, 900, "C")))


def test_where_the_exchange_lists_it_yet_nothing_is_said(store, clock, source):
    async def markets():
        return [mdstore.sources.sync.candle_source.Market("A")]

    source.markets = markets
    result = store.sync(source, "A", "1m")
    assert result.failed
    assert reasons(store, 1_000, 10_000) == [(9_000, "unknown")]


def test_upbit_answers_404_for_one(tmp_path):
    hour = 60 * MINUTE
    market = LocalMarket(symbol="KRW-BTC", listed=START, delisted=START + 5 * hour)
    path = tmp_path / "market_data.sqlite3"
    now = START + 4 * hour
    with (
        LocalExchange([market, "KRW-ETH"], now=now, limits=None) as exchange,
        mdstore.MarketDataStore(path, clock=lambda: now / 1000) as store,
    ):
        store.sync(source_of(exchange), "KRW-BTC", "1m", since=START)
    later = START + 8 * hour
    with (
        LocalExchange([market, "KRW-ETH"], now=later, limits=None) as exchange,
        mdstore.MarketDataStore(path, clock=lambda: later / 1000) as store,
    ):
        source = source_of(exchange)
        result = store.sync(source, "KRW-BTC", "1m")
        assert result.failed == {}
        assert result.holes["after_delisting"] >= 4 * 60
        assert [one.status for one in exchange.requests if "candles" in one.path] == [404]
        assert store.sync(source, "KRW-BTC", "1m").requests == 0
