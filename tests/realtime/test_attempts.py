"""How long is waited before the next connection: longer each time, until one has lived for a while."""

import pytest

from mdstore.realtime import attempts as module
from mdstore.realtime.live import LiveCandles
from tests.support.live import SYMBOL, trade


@pytest.fixture
def clock(monkeypatch):
    class Monotonic:
        now = 1000.0

        def monotonic(self):
            return self.now

    clock = Monotonic()
    monkeypatch.setattr("mdstore.realtime.session.time", clock)
    monkeypatch.setattr(module, "time", clock)
    return clock


def pauses(clock, lives):
    """The pauses behind connections that bring one trade and live for so many seconds."""
    session = LiveCandles().session("made up", SYMBOL, silence=None)
    attempts, found = session.attempts(), []
    attempts.seconds_ahead()
    for seconds in lives:
        attempts._drawn = None
        session.connecting()
        session.push([trade(0)])
        clock.now += seconds
        session.disconnected()
        found.append(attempts.seconds_ahead())
    return found


def test_one_that_brings_something_and_ends_at_once_is_in_vain(clock):
    found = pauses(clock, [0.1] * 9)
    wanted = [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    assert all(0.75 * most <= pause <= most for most, pause in zip(wanted, found, strict=True))


def test_one_that_has_lived_longer_than_was_waited_for_it_is_not(clock):
    assert max(pauses(clock, [1.0] * 9)) <= 0.5
    assert pauses(clock, [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 11.0])[-1] <= 0.5
