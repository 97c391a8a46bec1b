"""A store whose candles lie in disorder."""

import pytest

from tests.support.fragmented import feed


@pytest.fixture
def fed(store):
    feed(store)
    return store


@pytest.fixture
def upkeep(fed):
    return fed.repository.upkeep
