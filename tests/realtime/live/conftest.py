"""Live candles that go by a clock that stands."""

import pytest

from mdstore.realtime.live import LiveCandles
from tests.support.live import Clock


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def live(clock):
    live = LiveCandles(clock=clock)
    live.build("1m", from_start=True)
    return live


@pytest.fixture
def landing(clock):
    """Make live candles that land in a sink; their thread is stopped after the test."""
    made = []

    def make(sink, **options):
        made.append(LiveCandles(clock=clock, land=sink))
        made[-1].build(**{"timeframes": "1m", "persist": True, "from_start": True, **options})
        return made[-1]

    yield make
    for live in made:
        live._lander.stop()
