"""A watch of an exchange whose clock is far from this machine's: it is said, and nothing is stored."""

import time

import polars as pl
import pytest

from mdstore import ClockError, LocalExchange, LocalMarket
from mdstore.sources.exchanges import rest_source
from tests.sources.watching.test_watch import OHLCV, assert_is_truth, stored
from tests.support.waiting import until

YEAR = 365 * 86_400.0


def exchange(skew):
    return LocalExchange(
        [LocalMarket(symbol=symbol, trades_per_minute=240, silent=0) for symbol in ("KRW-BTC", "BTCUSDT")],
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


@pytest.mark.parametrize(("skew", "said"), [(-600.0, "10 min ahead of that of"), (600.0, "behind that of")])
def test_a_clock_that_is_some_minutes_off_is_said_once(store, skew, said):
    with exchange(skew) as one, store.watch("upbit", "KRW-BTC", "1m", base_url=one.url) as watch:
        told = [failure.error for failure in watch.errors]
        assert [type(error) for error in told] == [ClockError]
        assert said in told[0].message
        assert told[0].hint.python == "set this machine's clock, if that is the one that is wrong"
        assert abs(store.realtime.clock() // 10**6 - one.now()) < 5_000
    assert store.realtime.clock is time.time_ns


@pytest.mark.slow
@pytest.mark.variants(3)
@pytest.mark.parametrize("skew", [-3000, -90, 90, 3000])
@pytest.mark.parametrize(("name", "symbol"), [("upbit", "KRW-BTC"), ("binance", "BTCUSDT")])
def test_what_comes_is_taken_by_the_clock_of_the_exchange(store, name, symbol, skew):
    """Each row was an error by a slow clock, and by a fast one no bar was whole for as long as it is fast."""
    with exchange(skew) as one, store.watch(name, symbol, "1s", base_url=one.url) as watch:
        until(lambda: store.live.stats()["landed"] >= 2)
        assert store.trades.latest(symbol) is not None
        assert one.fail_sockets() == 1
        more = store.live.stats()["landed"]
        until(lambda: store.live.stats()["landed"] >= more + 3)
        told = [type(failure.error) for failure in watch.errors]
        assert (watch.stats()["refused"], told.count(ClockError), len(told)) == (0, 1, 2)
    got = stored(store, symbol=symbol).with_columns(pl.col("timestamp").dt.timestamp("ms"))
    truth = one.truth.bars(symbol, "1s", got["timestamp"][0], got["timestamp"][-1] + 1)
    assert got.select("timestamp", *OHLCV).rows() == truth.select("timestamp", *OHLCV).rows()


@pytest.mark.slow
@pytest.mark.variants(1)
@pytest.mark.parametrize("minutes", [-20, 20])
def test_a_clock_that_is_set_while_it_is_watched_changes_nothing(store, minutes):
    ahead = [0]
    store.realtime.clock = lambda: time.time_ns() + ahead[0]
    with exchange(0.0) as one, store.watch("upbit", "KRW-BTC", "1s", base_url=one.url) as watch:
        until(lambda: store.live.stats()["landed"] >= 1)
        ahead[0] = minutes * 60 * 10**9
        until(lambda: abs(store.realtime.clock() // 10**6 - one.now()) < 30_000)
        one.fail_sockets()
        more = store.live.stats()["landed"]
        until(lambda: store.live.stats()["landed"] >= more + 3)
        assert [type(failure.error) for failure in watch.errors].count(ClockError) == 1
    assert_is_truth(store, one, "KRW-BTC")


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
