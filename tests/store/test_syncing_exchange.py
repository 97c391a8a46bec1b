"""Syncs from an exchange that speaks Upbit's and Binance's APIs, with its limits and with all its faults."""

import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mdstore
from mdstore import LocalExchange, LocalMarket
from mdstore.sources.local_exchange.faults import FAULTS, Faults
from mdstore.sources.local_exchange.request_log import most_in_a_second
from tests.support.candles import MINUTE, START, bits
from tests.support.real import real
from tests.support.synced import QUICK, asked_in_vain, is_true, source_of

HOUR = 60 * MINUTE
NOW = START + 30 * HOUR
RULES = {"ban": 0.05, "slow": 0.05, "maintenance": 0.05, "upbit_per_second": None, "spot_weight": None}


def clock():
    return NOW / 1000 + 30


@pytest.fixture
def store(tmp_path):
    with mdstore.MarketDataStore(tmp_path / "market_data.sqlite3", clock=clock) as store:
        yield store


def an_exchange(**options):
    markets = [
        LocalMarket(symbol="KRW-BTC", listed=START + 3 * HOUR),
        LocalMarket(symbol="KRW-ETH", listed=START - HOUR, silent=0.4),
        LocalMarket(symbol="BTCUSDT", listed=START + 5 * HOUR),
    ]
    return LocalExchange(markets, now=NOW + 30_000, limits=RULES, **options)


def test_all_of_an_exchange_is_there_with_the_reason_of_each_hole(store):
    with an_exchange() as exchange:
        source = source_of(exchange)
        result = store.sync(source, "KRW-*", ["1m", "1h"], since=START, until=START + 28 * HOUR)
        assert result.failed == {}
        for symbol in ("KRW-BTC", "KRW-ETH"):
            assert is_true(store, exchange, symbol, START, START + 28 * HOUR)
            assert is_true(store, exchange, symbol, START, START + 28 * HOUR, timeframe="1h", step=HOUR)
        assert result.requests == len(exchange.requests), "the list of markets is one"
        assert asked_in_vain(exchange, "/v1/candles/minutes/1") == []
        again = store.sync(source, ["KRW-BTC", "KRW-ETH"], ["1m", "1h"], since=START, until=START + 28 * HOUR)
        assert again.requests == 0
        assert len(exchange.requests) == result.requests


def test_binance_likewise(store):
    with an_exchange() as exchange:
        source = source_of(exchange, "binance")
        result = store.sync(source, "BTCUSDT", "1m", since=START, until=START + 28 * HOUR)
        assert result.failed == {}
        assert is_true(store, exchange, "BTCUSDT", START, START + 28 * HOUR)
        assert asked_in_vain(exchange, "/api/v3/klines") == []


def test_what_an_exchange_corrects_is_a_revision(store):
    with an_exchange() as exchange:
        source = source_of(exchange)
        store.sync(source, "KRW-ETH", "1m", since=NOW - 60 * MINUTE)
        last = int(store.candles("KRW-ETH", "1m", limit=1)["timestamp"][0].timestamp() * 1000)
        before = store.candles("KRW-ETH", "1m", limit=1).row(0)
        exchange.amend("KRW-ETH", last, volume=before[5] + 1)
        store.sync(source, "KRW-ETH", "1m")
        after = store.candles("KRW-ETH", "1m", limit=1).row(0)
    if last >= NOW - 3 * MINUTE:  # it is one of the latest bars, which are asked for again
        assert after[5] == before[5] + 1
        assert store.revisions("KRW-ETH", "1m")["new_volume"].to_list() == [after[5]]
    else:
        assert after == before


def test_ten_requests_in_a_second_and_no_more_however_many_series(store):
    markets = [f"KRW-T{number}" for number in range(12)]
    rules = {**RULES, "upbit_per_second": 10}
    with LocalExchange(markets, now=NOW + 30_000, limits=rules) as exchange:
        source = source_of(exchange)
        result = store.sync(source, markets, "1m", since=NOW - 5 * HOUR, until=NOW - HOUR)
        assert result.failed == {}
        assert most_in_a_second(exchange.requests, "candles") <= 10
        assert {one.status for one in exchange.requests} == {200}, "no limit was met"
        for market in markets:
            assert is_true(store, exchange, market, NOW - 5 * HOUR, NOW - HOUR)


def fails_by_a_plan_and_is_true_in_the_end(seed, kinds, name, symbol):
    faults = Faults(kinds, seed=seed, times=2, every=2.0)
    span = {"since": START, "until": START + 28 * HOUR}
    with (
        tempfile.TemporaryDirectory() as folder,
        an_exchange(seed=seed, faults=faults) as exchange,
        mdstore.MarketDataStore(Path(folder) / "market_data.sqlite3", clock=clock) as store,
    ):
        for _ in range(30):  # the program is started anew: what a breaker has opened is closed then
            source = source_of(exchange, name, QUICK)
            result = store.sync(source, symbol, "1m", **span)
            if not result.failed:
                break
        assert result.failed == {}
        assert is_true(store, exchange, symbol, *span.values())
        assert store.sync(source_of(exchange, name), symbol, "1m", **span).requests == 0
        assert store.quarantine().is_empty()


@settings(max_examples=6)
@given(st.integers(0, 2**31), st.sampled_from(["upbit", "binance"]))
def test_whatever_goes_wrong_in_the_end_the_store_is_the_truth_of_the_exchange(seed, name):
    symbol = "KRW-BTC" if name == "upbit" else "BTCUSDT"
    fails_by_a_plan_and_is_true_in_the_end(seed, FAULTS, name, symbol)


@pytest.mark.long
@settings(max_examples=80)
@given(st.integers(0, 2**31), st.lists(st.sampled_from(FAULTS), min_size=1, unique=True))
def test_by_many_plans(seed, kinds):
    fails_by_a_plan_and_is_true_in_the_end(seed, kinds, "upbit", "KRW-ETH")
    fails_by_a_plan_and_is_true_in_the_end(seed, kinds, "binance", "BTCUSDT")


def test_a_recorded_month_is_equal_to_the_last_bit_and_its_two_holes_are_known(tmp_path):
    recorded = pl.read_csv(real("upbit", "BTC_KRW_1m.csv"))
    with mdstore.open(tmp_path / "imported.sqlite3") as imported:
        imported.write("KRW-BTC", "1m", recorded)
        rows = imported.candles("KRW-BTC", "1m")
    first, last = rows["timestamp"][0], rows["timestamp"][-1]
    with (
        LocalExchange(
            [LocalMarket(symbol="KRW-BTC", candles=rows)], now="2025-10-05", limits=None
        ) as exchange,
        mdstore.open(tmp_path / "market_data.sqlite3") as store,
    ):
        result = store.sync(source_of(exchange), "KRW-BTC", "1m", since=first, until="2025-10-04T01:20")
        assert result.failed == {}
        assert result.inserted == len(rows) == 47_598
        assert bits(store.candles("KRW-BTC", "1m")) == bits(rows)
        gaps = store.gaps("KRW-BTC", "1m", start=first, end=last)
        assert gaps.select("bars", "reason", "source").rows() == [(1, "no_trade", "upbit")] * 2
        assert result.holes == {"no_trade": 2}


@pytest.mark.variants(5)
@pytest.mark.parametrize(("name", "symbol"), [("upbit", "KRW-BTC"), ("binance", "BTCUSDT")])
@pytest.mark.parametrize("timeframe", ["1m", "1d", "1w", "1M"])
@pytest.mark.parametrize("since", ["listing", "1960-01-06", "1969-12-31"])
def test_no_exchange_is_asked_for_times_before_1970(store, name, symbol, timeframe, since):
    markets = [LocalMarket(symbol=symbol, listed="2025-08-20")]
    with LocalExchange(markets, now=NOW + 30_000, limits=RULES) as exchange:
        source = source_of(exchange, name)
        [one] = store.sync(source, symbol, timeframe, since=since, until="2025-09-01").series
        assert (one.state, str(one.error)) == ("done", "None")
        assert len(store.candles(symbol, timeframe)) > 0
        before = 0 if since == "listing" else 600
        assert before <= one.holes.get("before_listing", 0) <= (before and 40_000_000)
        asked = [int(asked.query.get("startTime", 0)) for asked in exchange.requests]
        assert min(asked) >= 0
        assert all(asked.query.get("to", "2") >= "1970" for asked in exchange.requests)
        assert len(asked) < 100
        again = store.sync(source, symbol, timeframe, since=since, until="2025-09-01")
        assert again.requests <= 1, "the latest bars may yet be amended, and nothing else is asked for"


def test_of_a_market_that_is_not_there_nothing_is_said_not_even_of_times_before_1970(store):
    with an_exchange() as exchange:
        result = store.sync(source_of(exchange, "binance"), "NOSUCH", "1d", since="1960-01-01")
        [error] = result.failed.values()
        assert error.message.startswith("binance has no market 'NOSUCH'")
        with pytest.raises(mdstore.NoSuchSeriesError):
            store.gaps("NOSUCH", "1d", start="1960-01-01")
