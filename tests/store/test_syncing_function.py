"""A source by a function that gives fewer bars than it was said to: the others are asked for."""

import pytest

import mdstore
from mdstore import MarketDataService
from tests.support.candles import MINUTE, START
from tests.support.upstream import Clock

DAY = 1440
END = START + DAY * MINUTE
CAPS = {
    "the first 100": slice(None, 100),
    "the last 100": slice(-100, None),
    "the first 50": slice(None, 50),
    "the last 150": slice(-150, None),
    "the first 199": slice(None, 199),
}


@pytest.fixture
def clock():
    return Clock.behind(10_000)


def capped(part, without=(), asked=None):
    """Return a source that gives a part of what it is asked for, and has no bars of some minutes."""

    def fetch(symbol, timeframe, start, end):
        if asked is not None:
            asked.append((start, end))
        absent = {START + at * MINUTE for at in without}
        rows = [(time, 1, 2, 1, 2, 5) for time in range(start, end, MINUTE) if time not in absent]
        return rows[part]

    return mdstore.FunctionCoordinator(fetch, name="mine")


@pytest.mark.parametrize("name", CAPS)
def test_what_a_function_left_out_is_asked_for(store, clock, name):
    result = store.sync(capped(CAPS[name]), "A", "1m", since=START, until=END)
    assert (result.inserted, result.failed, result.holes) == (DAY, {}, {})
    assert store.sync(capped(CAPS[name]), "A", "1m", since=START, until=END).requests == 0


def test_it_takes_as_many_requests_as_a_service(tmp_path, clock):
    by_sync, by_service = [], []
    with mdstore.MarketDataStore(tmp_path / "sync.sqlite3", clock=clock) as store:
        store.sync(capped(slice(100), asked=by_sync), "A", "1m", since=START, until=END)
    store = mdstore.MarketDataStore(tmp_path / "service.sqlite3", clock=clock)
    source = capped(slice(100), asked=by_service)
    with store, MarketDataService(store, coordinator=source) as service:
        assert len(service.get_candle_data("A", "1m", START, END).frame) == DAY
    assert len(by_sync) == len(by_service) == 15


def test_bars_that_never_were_are_known_after_one_more_request(store, clock):
    absent = [0, 1, *range(300, 320), 799, 800, *range(1_000, 1_400)]
    result = store.sync(capped(slice(None), absent), "A", "1m", since=START, until=END)
    assert (result.inserted, result.failed) == (DAY - len(absent), {})
    assert result.holes == {"unknown": len(absent)}
    assert store.sync(capped(slice(None), absent), "A", "1m", since=START, until=END).requests == 0


def test_a_plain_hole_within_a_page_costs_nothing_more(store, clock):
    asked = []
    result = store.sync(capped(slice(None), range(300, 320), asked), "A", "1m", since=START, until=END)
    assert result.inserted == DAY - 20
    assert len(asked) == 8
