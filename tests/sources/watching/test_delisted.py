"""A market that is delisted while it is watched: it is said once, left alone, and the others go on."""

import time
from collections import Counter

import pytest

from mdstore import LocalExchange, LocalMarket, NoSuchMarketError
from mdstore.sources.watching import listing
from tests.support.waiting import until

pytestmark = pytest.mark.slow  # bars of a second end three seconds after they began

GONE = "upbit trades KRW-ETH no more: nothing is asked for until it trades again; the others go on"


@pytest.fixture
def exchange():
    markets = [
        LocalMarket(symbol=symbol, trades_per_minute=240, silent=0) for symbol in ("KRW-BTC", "KRW-ETH")
    ]
    with LocalExchange(markets, limits=None) as exchange:
        yield exchange


def delist(exchange, symbol="KRW-ETH"):
    exchange.truth.markets[symbol].delisted = exchange.now()
    exchange._server.changed()
    exchange._hub.tape.forget()


def list_again(exchange, symbol="KRW-ETH"):
    exchange.truth.markets[symbol].delisted = None
    exchange._server.changed()
    exchange._hub.tape.forget()


def landed(store, symbol):
    there = store.series()
    there = there.filter(there["symbol"].cast(str) == symbol)
    return there["rows"].sum()


def told(watch):
    return [str(one.error) for one in watch.errors if isinstance(one.error, NoSuchMarketError)]


def test_where_a_connection_was_lost_it_is_asked_for_once(store, exchange, monkeypatch):
    monkeypatch.setattr(listing, "FRESH_SECONDS", 0.0)
    with store.watch("upbit", ["KRW-BTC", "KRW-ETH"], "1s", base_url=exchange.url) as watch:
        until(lambda: landed(store, "KRW-ETH") >= 2)
        delist(exchange)
        sent = len(exchange.requests)
        exchange.fail_sockets()
        until(lambda: watch.gone)
        exchange.fail_sockets()
        more = landed(store, "KRW-BTC")
        until(lambda: landed(store, "KRW-BTC") >= more + 5)
        assert (watch.gone, told(watch)) == (("KRW-ETH",), [GONE])
        until(lambda: watch.stats()["holes"] == 0)
        assert watch.stats()["gone"] == 1
        asked = Counter(one.query.get("market") for one in exchange.requests[sent:])
        assert asked["KRW-ETH"] == 1
    last = store.candles("KRW-ETH", "1s")["timestamp"][-1]
    said = store.gaps("KRW-ETH", "1s", start=last, end=exchange.now())["reason"]
    assert "no_trade" not in said.to_list(), "nothing says that it was not traded"
    result = store.sync("upbit", ["KRW-BTC", "KRW-ETH"], "1s", base_url=exchange.url)
    assert "after_delisting" in result.holes


def test_one_of_which_nothing_is_asked_is_noticed_too_and_seen_when_it_is_back(store, exchange, monkeypatch):
    monkeypatch.setattr(listing, "LOOK_SECONDS", 0.5)
    with store.watch("upbit", ["KRW-BTC", "KRW-ETH"], "1s", base_url=exchange.url) as watch:
        until(lambda: landed(store, "KRW-ETH") >= 2)
        delist(exchange)
        until(lambda: watch.gone)
        time.sleep(1.5)
        before = landed(store, "KRW-ETH")
        list_again(exchange)
        until(lambda: not watch.gone)
        until(lambda: landed(store, "KRW-ETH") >= before + 5)
        assert told(watch).count(GONE) == 1
        assert watch.stats()["reconnects"] == 1
