"""A store whose clock is turned by hand."""

import pytest

import mdstore

NOON = 1_772_539_200.0  # 2026-03-03T12:00Z


class Clock:
    """Tells the time it was set to."""

    def __init__(self, now=NOON):
        self.now = now

    def __call__(self):
        return self.now

    def pass_by(self, *, days=0.0, hours=0.0):
        self.now += days * 86_400 + hours * 3_600


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(tmp_path, clock):
    with mdstore.MarketDataStore(tmp_path / "market_data.sqlite3", clock=clock) as store:
        yield store
