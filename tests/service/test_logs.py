"""What an operator reads in the log: one line for what was fetched, what failed, and what has come again."""

import logging

import pytest

import mdstore
from mdstore import MarketDataService, NoSuchSeriesError, ServicePolicies
from mdstore.service.memory_coordinator import MemoryCoordinator
from mdstore.service.router import RoutedBar
from tests.support.candles import MINUTE, START, walk
from tests.support.upstream import Clock, Faulty

TRUTH = walk(100)


@pytest.fixture
def clock():
    return Clock.behind(100)


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, "mdstore")
    return lambda: [(record.name, record.levelname, record.getMessage()) for record in caplog.records]


def test_failures_retries_a_source_left_alone_and_its_coming_again_are_told_once(store, lines):
    seconds = [0.0]
    truth = {(symbol, "1m"): TRUTH for symbol in "ABC"}
    source = Faulty(truth, name="exchange", plan=["fail", "fail"])
    policies = ServicePolicies(breaker=2, retry_seconds=8)
    with MarketDataService(store, None, source, policies, timer=lambda: seconds[0]) as service:
        for symbol in "ABC":  # of C nothing is asked
            with pytest.raises(NoSuchSeriesError):
                service.get_candle_data(symbol, "1m", START)
        seconds[0] = 10.0
        service.get_candle_data("A", "1m", START)
        service.get_candle_data("A", "1m", START)
    told = [(level, text) for name, level, text in lines() if name == "mdstore.service"]
    down = "ConnectionError: the exchange is down"
    both = f"2 requests in a row have failed, the last with: exchange failed: {down}"
    assert [one for one in told if "100 bars" not in one[1]] == [
        ("WARNING", f"exchange: A 1m failed, 1 in a row: {down}; tried again in 8 s"),
        ("WARNING", f"exchange: B 1m failed, 1 in a row: {down}; tried again in 8 s"),
        ("WARNING", f"exchange: nothing is asked of it for 8 s: {both}"),
        ("INFO", "exchange: A 1m has come again, after 2 failures"),
    ]
    assert sum("exchange: A 1m: 100 bars" in text for _, text in told) == 1


def test_a_series_that_never_failed_does_not_come_again(store, lines):
    """What had failed of another was told of it, as its own failures."""
    seconds = [0.0]
    source = Faulty({(symbol, "1m"): TRUTH for symbol in "AB"}, name="exchange", plan=["fail"])
    policies = ServicePolicies(breaker=2, retry_seconds=8)
    with MarketDataService(store, None, source, policies, timer=lambda: seconds[0]) as service:
        with pytest.raises(NoSuchSeriesError):
            service.get_candle_data("A", "1m", START)
        service.get_candle_data("B", "1m", START)
        assert not any("again, after" in text for *_, text in lines())
        seconds[0] = 10.0
        service.get_candle_data("A", "1m", START)
    assert [text for *_, text in lines() if "again, after" in text] == [
        "exchange: A 1m has come again, after a failure"
    ]


def test_what_a_router_has_recovered_is_told(store, lines):
    class Router:
        name = "router"

        def candles(self, symbol, timeframe, start, end):
            rows = [(START + at * MINUTE, 1.0, 2.0, 0.5, 1.5, 1.0) for at in range(100)]
            return [
                RoutedBar(*row, kind="recovered" if row[0] < START + 9 * MINUTE else "realtime")
                for row in rows
            ]

        latest_ticker = orderbook = trades = subscribe = None

    with MarketDataService(store, Router()) as service:
        service.get_candle_data("A", "1m", START)
    assert lines() == [("mdstore.service", "INFO", "router: A 1m: 9 bars (recovered)")]


def test_nothing_is_printed_where_a_program_sets_up_no_log():
    handlers = logging.getLogger("mdstore").handlers
    assert any(isinstance(one, logging.NullHandler) for one in handlers)


def test_offline_says_so_also_where_nobody_has_a_series(store):
    source = MemoryCoordinator({("A", "1m"): TRUTH})
    policies = ServicePolicies(offline=True)
    with (
        MarketDataService(store, coordinator=source, policies=policies) as service,
        pytest.raises(mdstore.NoSuchSeriesError, match="offline: nothing was asked of an upstream"),
    ):
        service.get_candle_data("A", "1m", START)
