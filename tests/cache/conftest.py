"""A cache of each kind, under a clock that stands still."""

import pytest

from tests.cache.caches import CACHES, MILLION, Clock


@pytest.fixture
def time_of_day():
    return Clock()


@pytest.fixture(params=CACHES)
def kind(request):
    return request.param


@pytest.fixture
def made(kind, tmp_path, time_of_day):
    """Make a cache of the kind, of so many bytes."""
    return lambda limit=4 * MILLION, **options: CACHES[kind](
        tmp_path / "cache", limit, **{**time_of_day.options, **options}
    )


@pytest.fixture
def cache(made):
    return made()
