"""What those who subscribed are told of a bar: which one is new, and which one amends what they were told."""

import time

import pytest

from mdstore import MarketDataStore, RealtimeDataCache
from tests.support.live import MINUTE, SYMBOL, T0, trade


@pytest.fixture
def store(tmp_path, clock):
    cache = RealtimeDataCache(clock=clock)
    with MarketDataStore(tmp_path / "a.sqlite3", realtime=cache, clock=lambda: clock() / 1e9) as store:
        store.live.build("1m", persist=True)
        yield store


def truth(_symbol, _timeframe, start, end):
    return [(at, 1.0, 2.0, 1.0, 2.0, 5.0) for at in range(start, end, MINUTE)]


def told(subscription):
    return [((one.timestamp - T0) // MINUTE, one.partial, one.amended) for one in subscription.drain()]


def play(session, clock, *seconds):
    for one in seconds:
        clock.at(T0 + one * 1000)
        session.push([trade(one)])


def filled(session):
    end = time.monotonic() + 60
    while session.hole:
        assert time.monotonic() < end, "it has not been fetched"
        time.sleep(0.01)


def test_a_bar_that_was_missed_and_fetched_is_no_amendment(store, clock):
    subscription = store.live.subscribe("1m", SYMBOL)
    with store.live.session("made up", SYMBOL, backfill=truth) as session:
        session.subscribed()
        play(session, clock, -50, 10, 70, 130)
        filled(session)
        assert sorted(told(subscription)) == [
            (-1, False, False), (-1, True, False), (0, False, False), (1, False, False),
        ]  # fmt: skip


def test_a_bar_that_was_told_and_is_fetched_for_a_late_trade_is_amended(store, clock):
    subscription = store.live.subscribe("1m", SYMBOL)
    with store.live.session("made up", SYMBOL, backfill=truth) as session:
        session.subscribed()
        play(session, clock, *range(-50, 400, 60))
        filled(session)
        assert (1, False, False) in told(subscription)
        session.push([trade(75, 99.0)])  # of a bar that is no more among those that a trade amends
        assert session.hole
        filled(session)
        assert told(subscription) == [(1, False, True)]
