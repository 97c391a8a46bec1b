"""A clock that stands, and rings that go by it."""

import pytest

from mdstore import (
    RealtimeDataCache,
)
from tests.support.realtime import Clock


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def cache(clock):
    with_clock = RealtimeDataCache(clock=clock)
    yield with_clock
    with_clock.close()
