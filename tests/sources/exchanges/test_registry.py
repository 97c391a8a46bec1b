"""The registry of exchanges: each is complete, and whose a message is does not hang on the order of rows."""

import json
from typing import get_args

import pytest

from mdstore import InvalidInputError
from mdstore.sources.exchanges import registry

SURE = {
    "upbit": ({"ty": "trade", "cd": "KRW-BTC"}, {"type": "ticker", "code": "KRW-BTC"}, {"market": "KRW-BTC"}),
    "binance": ({"lastUpdateId": 1, "bids": [], "asks": []}, {"u": 1, "s": "BTCUSDT", "b": "1", "a": "2"}),
    "binance-futures": (
        {"e": "bookTicker", "E": 1, "u": 1, "s": "BTCUSDT", "b": "1", "a": "2"},
        {"data": {"e": "depthUpdate", "E": 1, "u": 1, "pu": 0, "s": "BTCUSDT", "b": [], "a": []}},
    ),
}
URLS = {
    "wss://api.upbit.com/websocket/v1": "upbit",
    "https://api.binance.com/api/v3/depth?symbol=BTCUSDT": "binance",
    "wss://fstream.binance.com/stream": "binance-futures",
    "https://dapi.binance.com/x": "binance-futures",
    "https://example.com/upbit": None,
}


def test_each_name_has_a_venue_that_reads():
    assert set(get_args(registry.VenueName)) == set(registry.EXCHANGES) == set(SURE)
    for name in registry.EXCHANGES:
        venue = registry.venue(name)
        assert venue.name == name
        reader = venue.reader()
        assert list(reader.rows(json.dumps({"nothing": 1}), 1_700_000_000_000_000_000, None)) == []
        assert list(reader.waiting()) == []


@pytest.mark.parametrize(("name", "message"), [(name, one) for name, all_ in SURE.items() for one in all_])
def test_a_message_that_only_one_sends_is_surely_its(name, message):
    assert registry.of_message(message) == (name, True)
    others = [other for other in registry.EXCHANGES if other != name]
    assert all(registry.venue(other).is_likely(message) < 1 for other in others)


def test_what_spot_and_futures_both_send_is_likely_spot():
    assert registry.of_message({"e": "trade", "E": 1, "s": "BTCUSDT"}) == ("binance", False)
    assert registry.of_message({"hello": 1}) == (None, False)


@pytest.mark.parametrize(("url", "name"), URLS.items())
def test_hosts(url, name):
    assert registry.of_url(url) == name


def test_an_unknown_name_is_refused_with_those_that_are_known():
    with pytest.raises(InvalidInputError, match="'upbit', 'binance', 'binance-futures'"):
        registry.venue("kraken")
