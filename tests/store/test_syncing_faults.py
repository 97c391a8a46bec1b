"""Syncs into a file that is full, and from sources that are not what a source is to be."""

import pytest

import mdstore
from mdstore.errors import StoreFileError
from tests.support.candles import MINUTE, START
from tests.support.fake_exchange import FakeExchange, bars
from tests.support.faults import failing_disk
from tests.support.upstream import Clock

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def clock():
    made = Clock()
    made.at(1_000)
    return made


def at(minutes):
    return START + minutes * MINUTE


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
