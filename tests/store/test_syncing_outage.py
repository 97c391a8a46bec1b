"""A host that fails again and again is waited for where it has answered before, by all of a sync."""

import time

import pytest

import mdstore
from mdstore.errors import SourceError
from mdstore.sources.local_exchange.local_exchange import LocalExchange
from mdstore.sources.sync import patience
from mdstore.sources.web.breaker import Breaker
from mdstore.sources.web.host import Manners
from tests.support.fake_exchange import FakeExchange, asked_twice, at, bars
from tests.support.interrupts import interrupted
from tests.support.upstream import Clock

QUICK = Manners(attempts=3, first_wait=0.001, longest_wait=0.01, connect=2.0, answer=2.0)
SPAN = {"since": at(0), "until": at(2_000)}


@pytest.fixture
def clock():
    return Clock.behind(3_000)


class CutOff(FakeExchange):
    """Answers `works` requests, is left alone for so many `seconds` then, and answers again."""

    works, seconds, until = 5, 0.4, None

    @property
    def rests(self):
        return max(0.0, self.until - time.monotonic()) if self.until is not None else 0.0

    @rests.setter
    def rests(self, value):
        pass

    def fail(self):
        if self.requests > self.works and self.until is None:
            self.until = time.monotonic() + self.seconds
        if self.rests:
            raise SourceError("fake has failed 12 times in a row, and is left alone")

    async def candles(self, *asked):
        async for page in super().candles(*asked):
            try:
                self.fail()
            except SourceError:
                self.log.pop()
                raise
            yield page

    async def first(self, *asked):
        self.fail()
        return await super().first(*asked)

    async def markets(self):
        self.fail()
        return await super().markets()


def cut_off(clock, symbols="ABCD", **changed):
    source = CutOff({(one, "1m"): bars(2_000) for one in symbols}, clock, settles=0, delay=0.01)
    vars(source).update(changed)
    return source


def test_what_was_under_way_is_asked_for_again_and_nothing_twice(store, clock):
    source, seen = cut_off(clock), []
    result = store.sync(source, list("ABCD"), "1m", **SPAN, progress=lambda now: seen.append(now.waiting))
    assert (result.failed, result.inserted) == ({}, 8_000)
    assert asked_twice(source.log) == {}
    assert "fake has failed again and again, " in "".join(seen)
    assert result.waiting == ""


def test_one_that_failed_a_while_ago_is_waited_for_from_the_start_on(store, clock):
    source, seen = cut_off(clock, "A", until=time.monotonic() + 0.4), []
    result = store.sync(
        source, "A*", "1m", since="listing", until=at(2_000), progress=lambda now: seen.append(now.waiting)
    )
    assert (result.failed, result.inserted) == ({}, 2_000)
    assert any(seen)


def test_a_rest_that_is_too_long_is_not_waited_for(store, clock):
    source, seen = cut_off(clock, works=0, seconds=patience.PATIENCE_SECONDS + 60), []
    result = store.sync(source, list("ABCD"), "1m", **SPAN, progress=lambda now: seen.append(now.waiting))
    assert len(result.failed) == 4
    assert set(seen) == {""}


def test_hosts_that_come_to_nothing_again_and_again_are_given_up(store, clock, monkeypatch):
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.5)

    class Failing(CutOff):
        def fail(self):
            self.until = time.monotonic() + 0.1
            super().fail()

    source = cut_off(clock, "A")
    source.__class__ = Failing
    assert store.sync(source, "A", "1m", **SPAN).failed.keys() == {("A", "1m")}


def test_ctrl_c_ends_the_wait(store, clock):
    source = cut_off(clock, works=3, seconds=600.0)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupted(1.0, lambda: store.sync(source, list("ABCD"), "1m", **SPAN))
    assert time.monotonic() - began < 300, "rather than the ten minutes"
    assert len(store.series()) > 0


@pytest.fixture
def quick():
    def opened(url):
        source = mdstore.open_source("upbit", base_url=url)
        client = source._clients[0]
        client.manners, client.breaker = QUICK, Breaker(most=2, seconds=0.3)
        return source

    return opened


def test_an_exchange_that_was_away_is_waited_for(store, quick):
    with LocalExchange(["KRW-BTC", "KRW-ETH"], now="2025-09-02") as local:
        source, seen = quick(local.url), []
        span = {"since": "2025-09-01", "until": "2025-09-01T12:00"}
        assert store.sync(source, "KRW-BTC", "1m", **span).failed == {}
        local.faults.left += ["503"] * 3
        result = store.sync(
            source, ["KRW-BTC", "KRW-ETH"], "1m", **{**span, "until": "2025-09-01T20:00"},
            progress=lambda now: seen.append(now.waiting),
        )  # fmt: skip
    assert result.failed == {}
    assert "upbit has failed again and again, " in "".join(seen)


def test_a_host_that_never_answered_fails_at_once(store, quick):
    source, seen = quick("http://127.0.0.1:1"), []
    source._clients[0].breaker.seconds = 600.0
    result = store.sync(
        source, ["KRW-BTC", "KRW-ETH", "KRW-XRP"], "1m", since="2025-09-01", until="2025-09-02",
        progress=lambda now: seen.append(now.waiting),
    )  # fmt: skip
    assert len(result.failed) == 3
    assert set(seen) == {""}


def test_a_host_that_refuses_this_address_is_not_waited_for():
    breaker = Breaker(most=2)
    breaker.worked()
    breaker.shut("refuses this address (451)")
    assert (breaker.left > 0, breaker.rests) == (True, 0.0)
    never, once = Breaker(most=1), Breaker(most=1)
    once.worked()
    for one in (never, once):
        one.failed("500")
    assert (never.rests, once.rests > 0) == (0.0, True)
