"""Tickers of several sources: each part is as old as it is, and late by its own clock only."""

import json

from mdstore import BinanceFeed, RealtimeDataCache
from tests.support.live import T0, Clock

DAY = {"e": "24hrTicker", "s": "BTCUSDT", "c": "100", "o": "90", "h": "110", "l": "80", "v": "5", "q": "500",
       "p": "10", "P": "11", "b": "99", "B": "1", "a": "101", "A": "1"}  # fmt: skip


def day(at, **values):
    return json.dumps(DAY | {"E": at} | values)


def best(bid, ask="101"):
    return json.dumps({"u": 1, "s": "BTCUSDT", "b": bid, "B": "1", "a": ask, "A": "1"})


def test_a_clock_that_is_behind_the_exchanges_drops_no_best_price():
    """The exchange's clock is 1.25 s ahead; spot's bookTicker has this machine's."""
    clock = Clock(T0)
    cache, feed = RealtimeDataCache(clock=clock), BinanceFeed("spot")
    cache.push(feed.rows(day(T0 + 1250), clock()))
    for at in range(1, 8):
        clock.at(T0 + 100 * at)
        cache.push(feed.rows(best(str(90 - at)), clock()))
        assert cache.tickers.latest("BTCUSDT").bid == 90 - at
    assert cache.tickers.stats()["late"] == 0


def test_what_is_late_of_its_own_kind_is_dropped():
    feed = BinanceFeed("futures")
    assert feed.rows(day(T0))
    assert feed.rows(day(T0 - 1, c="1")) == []
    assert feed.rows(day(T0, c="102"))[0].price == 102.0


def test_the_latest_gives_nothing_that_is_older_than_was_asked_for():
    clock = Clock(T0)
    cache, feed = RealtimeDataCache(tickers={"ttl": 3600}, clock=clock), BinanceFeed("spot")
    cache.push(feed.rows(day(T0), clock()))
    clock.at(T0 + 1_200_000)
    cache.push(feed.rows(best("95"), clock()))
    row = cache.tickers.latest("BTCUSDT")
    assert (row.price, row.bid, row.price_age, row.day_age, row.best_age) == (
        100.0,
        95.0,
        1200.0,
        1200.0,
        None,
    )
    assert cache.tickers.latest("BTCUSDT", max_age=1) is None
    trade = {
        "e": "trade",
        "E": T0,
        "s": "BTCUSDT",
        "t": 1,
        "p": "97",
        "q": "1",
        "T": T0 + 1_200_000,
        "m": False,
    }
    cache.push(feed.rows(json.dumps(trade), clock()))
    cache.push(feed.rows(best("96"), clock()))
    row = cache.tickers.latest("BTCUSDT", max_age=1)
    assert (row.price, row.bid, row.open, row.volume_24h) == (97.0, 96.0, None, None)
    assert cache.tickers.latest("BTCUSDT", max_age=1300).open == 90.0
    assert cache.tickers.window("BTCUSDT")["price_age"].to_list() == [None, 1200.0, None]


def test_a_reset_forgets_what_a_connection_has_left():
    feed = BinanceFeed("spot")
    feed.rows(day(T0))
    feed.reset()
    assert feed.rows(best("95"), T0 * 1_000_000) == []
