"""A series that holds bars of another exchange is refused: a price of the one and the next of the other."""

import pytest

import mdstore
from mdstore.errors import InvalidInputError
from mdstore.sources.local_exchange.local_exchange import LocalExchange
from tests.support.fake_exchange import FakeExchange, at, bars
from tests.support.upstream import Clock


@pytest.fixture
def clock():
    return Clock.behind(1_000)


def exchange(clock, name, symbols=("A",)):
    return FakeExchange({(one, "1m"): bars(900) for one in symbols}, clock, name=name)


def test_futures_are_not_put_behind_the_spot_market_and_the_hint_helps(tmp_path, store, clock):
    spot, futures = exchange(clock, "binance", "AB"), exchange(clock, "binance-futures", "ABC")
    store.sync(spot, ["A", "B"], "1m", since=at(0), until=at(300))
    result = store.sync(futures, ["A", "C"], "1m", since=at(0), until=at(600))
    error = result.failed["A", "1m"]
    assert isinstance(error, InvalidInputError)
    assert str(error) == (
        "A 1m is stored already, from binance: its bars would be made of both. Hint: sync in another store"
    )
    assert {symbol for symbol, *_ in futures.log} == {"C"}
    assert store.provenance("A", "1m")["source"].to_list() == ["binance"]
    assert len(store.candles("C", "1m")) == 600
    with mdstore.MarketDataStore(tmp_path / "other.sqlite3", clock=clock) as other:
        assert other.sync(futures, "A", "1m", since=at(0), until=at(600)).inserted == 600


def test_an_exchange_goes_on_with_its_own_and_with_what_came_from_a_file(store, clock):
    store.write("A", "1m", bars(100), source="A-1m-2025.csv")
    spot = exchange(clock, "binance")
    assert store.sync(spot, "A", "1m", since=at(0), until=at(300)).inserted == 200
    assert store.sync(spot, "A", "1m", until=at(400)).inserted == 100


def test_bars_that_were_all_replaced_are_of_nobody_else(store, clock):
    store.write("A", "1m", [(time, 1, 2, 1, 2, 5) for time, *_ in bars(100)], source="binance")
    store.write("A", "1m", bars(100), source="binance-futures")
    result = store.sync(exchange(clock, "binance-futures"), "A", "1m", since=at(0), until=at(300))
    assert (result.inserted, result.failed) == (200, {})


def test_a_source_of_ones_own_may_add_to_any_series(store, clock):
    store.sync(exchange(clock, "binance"), "A", "1m", since=at(0), until=at(300))
    source = mdstore.FunctionCoordinator(
        lambda symbol, timeframe, start, end: [row for row in bars(600) if start <= row[0] < end],
        name="binance-futures",
    )
    assert store.sync(source, "A", "1m", since=at(0), until=at(600)).inserted == 300


def test_it_is_so_by_the_names_of_exchanges(store):
    with LocalExchange(["BTCUSDT"], now="2025-09-02") as local:
        span = {"since": "2025-09-01T00:00", "base_url": local.url}
        store.sync("binance", "BTCUSDT", "1m", until="2025-09-01T03:00", **span)
        result = store.sync("binance-futures", "BTCUSDT", "1m", until="2025-09-01T05:00", **span)
    assert "from binance: its bars would be made of both" in str(result.failed["BTCUSDT", "1m"])
