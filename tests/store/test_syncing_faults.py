"""Syncs into a file that is full, and from sources that are not what a source is to be."""

import math

import pytest

import mdstore
from mdstore import MarketDataService
from mdstore.errors import StoreFileError
from mdstore.sources.sync.coordinator import Limits, Page
from tests.support.candles import MINUTE
from tests.support.fake_exchange import FakeExchange, at, bars
from tests.support.faults import failing_disk
from tests.support.upstream import Clock

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def clock():
    return Clock.behind(1_000)


def test_a_disk_that_is_full_ends_a_sync_before_anybody_is_asked(tmp_path, clock):
    with failing_disk() as disk:
        store = mdstore.MarketDataStore(tmp_path / "market_data.sqlite3", clock=clock)
        source = FakeExchange({("A", "1m"): bars(500)}, clock)
        disk.fail(0, "full", dead=True)
        with pytest.raises(StoreFileError, match="disk is full"):
            store.sync(source, "A", "1m", since=at(0), until=at(500))
        assert source.log == []
        disk.rest()
        assert store.sync(source, "A", "1m", since=at(0), until=at(500)).inserted == 500
        store.close()


class Odd:
    """A source of one's own: of GOOD it gives what there is, of any other symbol what `pages` make."""

    name, limits = "odd", Limits(page_bars=200, concurrency=2, timeout=5.0)

    def __init__(self, pages):
        self.pages = pages

    async def candles(self, symbol, timeframe, start, end):
        rows = [(time, 1, 2, 1, 2, 5) for time in range(start, end, MINUTE)]
        for page in [Page(start, end, rows)] if symbol == "GOOD" else self.pages(start, end, rows):
            yield page

    def report(self, metrics):
        pass


def without_end(page):
    while True:
        yield page


ODD = {
    "no page": (lambda low, high, rows: [rows], "odd gave list for a page of BAD 1m"),
    "texts": (lambda low, high, rows: [Page(str(low), str(high), rows)], "no whole ms"),
    "nothing": (lambda low, high, rows: [Page(None, None, rows)], "from None to None"),
    "no number": (lambda low, high, rows: [Page(low, math.inf, rows)], "to inf: no whole ms"),
    "reason": (lambda low, high, rows: [Page(low, high, rows[5:], "holiday")], "says 'holiday' of bars"),
    "clock": (lambda low, high, rows: [Page(low, high, rows, clock="noon")], "with a clock of 'noon'"),
    "the same": (lambda low, high, rows: without_end(Page(low, high, rows)), "it does not end"),
    "outside": (lambda low, high, rows: without_end(Page(high, 2 * high - low, rows)), "it does not end"),
}


@pytest.mark.parametrize("name", ODD)
def test_a_page_that_is_none_is_the_trouble_of_its_own_series(tmp_path, clock, name):
    pages, says = ODD[name]
    with mdstore.MarketDataStore(tmp_path / "market_data.sqlite3", clock=clock) as store:
        result = store.sync(Odd(pages), ["BAD", "GOOD"], "1m", since=at(0), until=at(200))
        assert result.failed.keys() == {("BAD", "1m")}
        assert says in str(result.failed["BAD", "1m"])
        assert len(store.candles("GOOD", "1m")) == 200
        assert "holiday" not in result.holes


def test_a_service_ends_a_source_that_does_not_end(tmp_path, clock):
    odd = Odd(lambda low, high, rows: without_end(Page(low, high, rows)))
    store = mdstore.MarketDataStore(tmp_path / "market_data.sqlite3", clock=clock)
    with store, MarketDataService(store, coordinator=odd) as service:
        answer = service.get_candle_data("BAD", "1m", at(0), at(100))
        assert "it does not end" in answer.about.why_stale["BAD"]
