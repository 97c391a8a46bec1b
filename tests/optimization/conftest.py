"""A store whose clock is turned by hand."""

import pytest

import mdstore
from tests.support.clock import Clock


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(tmp_path, clock):
    with mdstore.MarketDataStore(tmp_path / "market_data.sqlite3", clock=clock) as store:
        yield store
