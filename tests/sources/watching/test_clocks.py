"""A watch of an exchange whose clock is far from this machine's: it is said, and nothing is stored."""

import time

import pytest

from mdstore import ClockError, LocalExchange, LocalMarket
from mdstore.sources.exchanges import rest_source

YEAR = 365 * 86_400.0


def exchange(skew):
    return LocalExchange(
        [LocalMarket(symbol="KRW-BTC", trades_per_minute=240, silent=0), LocalMarket(symbol="BTCUSDT")],
        skew=skew,
    )


@pytest.mark.parametrize("skew", [-YEAR, YEAR, -2 * 3600, 2 * 3600])
@pytest.mark.parametrize(("name", "symbol"), [("upbit", "KRW-BTC"), ("binance", "BTCUSDT")])
def test_it_is_refused_before_a_connection_is_made(store, name, symbol, skew):
    with exchange(skew) as one, pytest.raises(ClockError) as refused:
        store.watch(name, symbol, "1m", base_url=one.url).start()
    assert str(refused.value).startswith(f"the clock of {name} shows 20")
    assert refused.value.hint.python == "set this machine's clock, if that is the one that is wrong"
    assert store.series().is_empty()


def test_a_clock_that_is_some_minutes_off_is_none_to_speak_of(store):
    with exchange(600.0) as one, store.watch("upbit", "KRW-BTC", "1m", base_url=one.url) as watch:
        assert list(watch.errors) == []


@pytest.mark.slow
def test_it_is_told_once_by_what_comes_where_answers_bear_no_date(store, monkeypatch):
    monkeypatch.setattr(rest_source.RestSource, "clock", None)
    with exchange(-YEAR) as one, store.watch("upbit", "KRW-BTC", "1s", base_url=one.url) as watch:
        end = time.monotonic() + 60
        while not watch.errors:
            assert time.monotonic() < end, "nobody said it"
            time.sleep(0.05)
        time.sleep(3)
        assert [type(one.error) for one in watch.errors] == [ClockError]
    assert store.series().is_empty()
