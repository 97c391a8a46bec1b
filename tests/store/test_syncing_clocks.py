"""A sync from an exchange whose clock is far from this machine's: it is said, and nothing wrong is stored."""

import time

import pytest

import mdstore
from mdstore import ClockError, LocalExchange, LocalMarket
from mdstore.core.timestamps import ms_to_datetime
from tests.support.candles import MINUTE

YEAR = 365 * 86_400
HOUR = 3_600_000
MARKETS = [("upbit", "KRW-BTC"), ("binance", "BTCUSDT"), ("binance-futures", "BTCUSDT")]


def exchange(skew):
    return LocalExchange([LocalMarket(symbol=one) for one in ("KRW-BTC", "BTCUSDT")], skew=skew, limits=None)


@pytest.mark.parametrize(("name", "symbol"), MARKETS)
@pytest.mark.parametrize("skew", [-YEAR, YEAR], ids=["a year behind", "a year ahead"])
def test_it_is_said_and_the_hint_helps(store, name, symbol, skew):
    now = int(time.time() * 1000)
    both = now + min(skew, 0) * 1000
    with exchange(skew) as one:
        since = ms_to_datetime(both - 3 * HOUR)
        result = store.sync(name, symbol, "1m", since=since, base_url=one.url)
        error = result.failed[symbol, "1m"]
        assert isinstance(error, ClockError)
        assert f"the clock of {name} shows " in str(error)
        until = error.hint.python.partition("until='")[2].partition("'")[0]
        with mdstore.open(store.path.with_name("other.sqlite3")) as other:
            again = other.sync(name, symbol, "1m", since=since, until=until, base_url=one.url)
            assert (again.failed, other.candles(symbol, "1m").is_empty()) == ({}, False)
    last = store.candles(symbol, "1m")["timestamp"].dt.epoch("ms")[-1]
    assert last + MINUTE <= both + 120_000, "no bar that has not ended by both clocks"
    holes = store.gaps(symbol, "1m", start=since, end=ms_to_datetime(now))
    stated = holes.filter(holes["reason"].is_in(["unknown", "unsettled", "forming"]).not_())
    assert set(stated["reason"]) <= {"no_trade"}, "nothing is said of what may lie in the future"
    assert (stated["end"].dt.epoch("ms") <= both).all()


@pytest.mark.parametrize("timeframe", ["1s", "1m"])
@pytest.mark.parametrize(
    ("skew", "said"), [(-3000, "50 min ahead of that of"), (3000, "50 min behind that of")]
)
def test_a_clock_that_is_some_minutes_off_is_said_and_all_that_there_is_comes(store, skew, said, timeframe):
    """By a clock that is fast, what no answer could prove, as it had not come yet, failed."""
    now = int(time.time() * 1000)
    since = ms_to_datetime(now - 2 * HOUR)
    with exchange(skew) as one:
        result = store.sync("upbit", "KRW-BTC", timeframe, since=since, base_url=one.url)
        assert result.failed == {}
        assert said in str(result.clock)
        last = store.candles("KRW-BTC", timeframe)["timestamp"].dt.epoch("ms")[-1]
        assert min(now, one.now()) - last < 3 * MINUTE
        again = store.sync("upbit", "KRW-BTC", timeframe, base_url=one.url)
    assert again.failed == {}
    with exchange(0) as one:
        assert store.sync("upbit", "KRW-BTC", timeframe, base_url=one.url).clock is None


def test_a_range_that_is_over_by_both_clocks_is_fetched(store):
    with LocalExchange(["KRW-BTC"], now="2025-09-02", limits=None) as one:
        span = {"since": "2025-09-01", "until": "2025-09-01T12:00", "base_url": one.url}
        assert store.sync("upbit", "KRW-BTC", "1m", **span).failed == {}
