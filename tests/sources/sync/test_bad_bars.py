"""Bars whose row breaks a rule: a sync that goes on asks for them later each time, and tells of them."""

import asyncio

import pytest

from mdstore.core.timeframe import Timeframe
from mdstore.sources.sync.bad_bars import BadBars
from mdstore.sources.sync.sync_run import SyncRun
from mdstore.sources.sync.worth_asking import Wanted
from tests.support.fake_exchange import FakeExchange, at, bars
from tests.support.upstream import Clock

BAD = 7


@pytest.fixture
def clock():
    return Clock.behind(1_000)


@pytest.fixture
def source(clock):
    """Give an exchange of which the high of one bar is below its low."""
    wrong = bars(2_000)
    wrong[BAD] = (*wrong[BAD][:2], 1.0, *wrong[BAD][3:])
    return FakeExchange({("A", "1m"): wrong, ("B", "1m"): bars(2_000)}, clock)


@pytest.fixture
def sync(store, source):
    """Do a round of a sync that goes on; return how many requests it made, and how many bars are bad."""
    bad = BadBars(store._now)

    def round_of(until=300, symbols="A"):
        wanted = Wanted(list(symbols), [Timeframe.parse("1m")], at(0), at(until))
        before = source.requests
        result = asyncio.run(SyncRun(store._syncing.place(), source, wanted, bad=bad).run())
        return source.requests - before, result.bad

    round_of.bad = bad
    return round_of


def test_it_is_left_alone_for_a_while_that_grows_and_told_meanwhile(sync, clock):
    assert sync() == (2, 1)
    begun, asked = clock.now, []
    for minute in range(1, 400):
        clock.now = begun + minute * 60
        requests, bad = sync()
        assert bad == 1
        if requests:
            asked.append(minute)
    assert asked == [1, 3, 7, 15, 31, 63, 127, 191, 255, 319, 383]


def test_whoever_calls_it_anew_asks_at_once(store, source):
    for requests in (2, 1, 1):
        result = store.sync(source, "A", "1m", since=at(0), until=at(300))
        assert (result.requests, result.bad) == (requests, 1)


def test_once_it_is_right_nothing_is_remembered(sync, store, clock, source):
    sync(symbols="AB")
    clock.now += 61
    sync()
    source.truth["A", "1m"] = bars(2_000)
    clock.now += 121
    assert sync(symbols="AB") == (1, 0)
    assert sync() == (0, 0)
    assert len(store.candles("A", "1m")) == 300
    assert sync.bad.left_alone("fake", ("A", "1m")) == []


def test_bars_beside_it_are_asked_for_meanwhile(sync, store, source):
    sync()
    source.log.clear()
    assert sync(until=600) == (2, 1)
    assert {low for _, _, low, _ in source.log} == {at(300), at(400)}, "pages of what is missing, not of it"
    source.log.clear()
    store.delete("A", "1m", start=at(20), end=at(30))
    assert sync(until=600) == (1, 1)
    assert source.log == [("A", "1m", at(BAD), at(30))], "of a page that lacks others, too, it comes along"


def test_what_came_by_another_way_is_not_told(sync, store):
    assert sync() == (2, 1)
    store.write("A", "1m", [bars(BAD + 1)[BAD]])
    assert sync() == (0, 0)
