"""A series that holds bars of another exchange is not watched: its bars would be made of both."""

import time

import pytest

import mdstore
from mdstore import LocalExchange, LocalMarket
from mdstore.errors import InvalidInputError
from tests.support.command_line import mdstore_process

SPAN = {"since": "2025-09-01T00:00", "until": "2025-09-01T03:00"}
REFUSED = (
    "BTCUSDT 1m is stored already, from binance: its bars would be made of both. Hint: watch in another store"
)


@pytest.fixture
def exchange():
    with LocalExchange([LocalMarket(symbol="BTCUSDT"), LocalMarket(symbol="ETHUSDT")]) as exchange:
        yield exchange


@pytest.fixture
def synced(store, exchange):
    assert store.sync("binance", "BTCUSDT", "1m", base_url=exchange.url, **SPAN).inserted
    return store


@pytest.mark.parametrize("symbols", ["BTCUSDT", ["ETHUSDT", "BTCUSDT"], "BTC*"])
def test_futures_are_not_put_behind_the_spot_market_and_the_hint_helps(synced, exchange, tmp_path, symbols):
    asked = len(exchange.requests)
    with pytest.raises(InvalidInputError) as refused:
        synced.watch("binance-futures", symbols, "1m", base_url=exchange.url).start()
    assert str(refused.value) == REFUSED
    assert synced.live.stats()["series"] == 0
    if symbols != "BTC*":
        assert len(exchange.requests) == asked, "nobody was asked"
    with mdstore.open(tmp_path / "other.sqlite3") as other:
        other.watch("binance-futures", symbols, "1m", base_url=exchange.url).start().close()


def test_an_exchange_goes_on_with_its_own_and_others_in_other_series(synced, exchange):
    with synced.watch("binance", "BTCUSDT", "1m", base_url=exchange.url):
        pass
    with synced.watch("binance-futures", "ETHUSDT", "1m", base_url=exchange.url):
        pass
    with synced.watch("binance-futures", "BTCUSDT", "5m", base_url=exchange.url):
        pass


@pytest.mark.slow
def test_what_a_watch_has_fetched_is_of_its_exchange(store, exchange):
    a_minute_ago = exchange.now() // 1000 * 1000 - 60_000
    store.write("BTCUSDT", "1s", [(a_minute_ago, 1, 2, 1, 2, 5)])
    with store.watch("binance", "BTCUSDT", "1s", base_url=exchange.url) as watch:
        end = time.monotonic() + 60
        while not watch.fetched:
            assert time.monotonic() < end, "nothing was fetched"
            time.sleep(0.05)
    assert "binance" in set(store.provenance()["source"])
    failed = store.sync("upbit", "BTCUSDT", "1s", base_url=exchange.url).failed
    assert "from binance: its bars would be made of both" in str(failed["BTCUSDT", "1s"])


def test_the_command_says_so(tmp_path, exchange):
    with mdstore.open(tmp_path / "market_data.sqlite3") as store:
        store.sync("binance", "BTCUSDT", "1m", base_url=exchange.url, **SPAN)
    process = mdstore_process(tmp_path, "watch", "binance-futures", "BTCUSDT", "--base-url", exchange.url)
    _, err = process.communicate(timeout=60)
    assert REFUSED.partition(".")[0] in " ".join(err.split())
    assert process.returncode == 1
