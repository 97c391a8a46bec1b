"""What is said of an answer is of that answer, or says that the store has gone on since."""

import polars as pl
import pytest

import mdstore
from mdstore import MarketDataService, ServicePolicies
from mdstore.service.facts import BY_NOW
from mdstore.service.memory_coordinator import MemoryCoordinator
from tests.support.candles import MINUTE, START, walk
from tests.support.upstream import Clock

TRUTH = walk(1_000)
HOUR = 60 * MINUTE
HUNDRED = (START, START + 100 * MINUTE)


@pytest.fixture
def clock():
    return Clock.behind(1_000)


def test_an_answer_that_the_store_has_gone_on_from_is_stale(store, clock):
    store.write("A", "1m", TRUTH.head(50), source="first")
    with MarketDataService(store) as service:
        early, late = (service.get_candle_data("A", "1m", *HUNDRED) for _ in range(2))
        assert "50 bars up to" in early.about.why_stale["A"]
        fingerprint = late.about.fingerprint
        store.write("A", "1m", TRUTH.slice(50, 50), source="second")
        assert late.about.why_stale == {"": BY_NOW}
        assert (len(late), late.about.fingerprint) == (50, fingerprint)
        assert late.about.newest.timestamp() * 1000 == START + 50 * MINUTE
        assert late.about.sources == ("first",)
        again = service.get_candle_data("A", "1m", *HUNDRED)  # as it says
        assert not again.about.is_stale


def test_what_changes_elsewhere_makes_no_answer_stale(store):
    store.write("A", "1m", TRUTH.head(100))
    with MarketDataService(store) as service:
        one = service.get_candle_data("A", "1m", *HUNDRED)
        latest = service.get_candle_data("A", "1m", count=5, end=HUNDRED[1])
        both = service.get_candle_data(["A"], "1m", *HUNDRED)
        made = service.get_candle_data("A", "1h", START, START + HOUR)
        store.write("A", "1m", TRUTH.slice(100, 50))
        store.write("B", "1m", TRUTH)
        assert not any(answer.about.is_stale for answer in (one, latest, both, made))
        store.write("A", "1m", TRUTH.slice(50, 1).with_columns(volume=TRUTH["volume"][0] + 1.0))
        for answer in (one, both, made):
            assert answer.own().about.why_stale == {"": BY_NOW}
        store.delete("A", "1m")
        assert latest.own().about.why_stale == {"": BY_NOW}


def test_an_answer_of_the_past_stays_what_it_was(store, clock):
    store.write("A", "1m", TRUTH.head(10))
    then = int(clock.now * 1000)
    clock.now += 60
    with MarketDataService(store) as service:
        past = service.get_candle_data("A", "1m", START, as_of=then)
        store.write("A", "1m", TRUTH.head(20))
        assert not past.about.is_stale


def test_a_day_of_a_zone_ends_by_its_clocks(store, clock):
    clock.at(10 * 1_440)
    hours = [(START + at * HOUR, 1, 2, 1, 2, 5) for at in range(9 * 24)]
    store.write("A", "1h", hours)
    with MarketDataService(store) as service:
        answer = service.get_candle_data("A", "1d", tz="Asia/Seoul", include_forming=True)
        assert answer.frame["closed"].to_list() == [True] * 9 + [False]
        assert answer.about.newest.isoformat() == "2025-09-09T15:00:00+00:00"
        ends = answer.about.ranges["end"].to_list()
        assert ends[-1].isoformat() == "2025-09-10T15:00:00+00:00"
    clock.now = 1_762_400_000.0  # the clocks of New York went back on November 2, a day of 25 hours
    store.write("B", "1h", [(1_761_969_600_000 + at * HOUR, 1, 2, 1, 2, 5) for at in range(72)])
    with MarketDataService(store) as service:
        answer = service.get_candle_data("B", "1d", end="2025-11-03T05:00", tz="America/New_York")
        assert answer.frame["of"].to_list()[-1] == 25
        assert answer.about.newest.isoformat() == "2025-11-03T05:00:00+00:00"


def test_a_bar_that_forms_is_not_the_newest_that_has_ended(store, clock):
    store.write("A", "1m", TRUTH)
    store.live.update(mdstore.Kline("A", "1m", START + 1_000 * MINUTE, 5.0, 6.0, 4.0, 5.5, 1.0, False))
    with MarketDataService(store) as service:
        about = service.get_candle_data("A", "1m", count=3, include_forming=True).about
        assert about.newest.timestamp() * 1000 == START + 1_000 * MINUTE
        assert about.age == pytest.approx(10.0)
        assert not about.is_stale


def test_what_an_upstream_brings_does_not_make_its_own_answer_stale(store):
    source = MemoryCoordinator({("A", "1m"): TRUTH, ("B", "1m"): TRUTH})
    with MarketDataService(store, coordinator=source) as service:
        for symbols in ("A", ["A", "B"]):
            assert not service.get_candle_data(symbols, "1m", *HUNDRED).about.is_stale


def test_what_fails_of_one_symbol_hides_nothing_of_the_others(store):
    traded = TRUTH.filter(pl.int_range(pl.len()) != 995)
    for symbol in ("A", "B"):
        store.write(symbol, "1m", TRUTH.head(10))
    source = MemoryCoordinator({("B", "1m"): traded}, absent="no_trade")
    with MarketDataService(store, None, source, ServicePolicies(reach=1)) as service:
        why = service.get_candle_data(["A", "B"], "1m", count=20).about.why_stale
    assert "failed: KeyError" in why["A"]
    assert why["B"].startswith("970 bars up to")


def test_what_is_before_the_bars_that_were_asked_for_is_not_lacking(store):
    """The bars of a symbol of few reach back further than those of one of many, which lacks none."""
    source = MemoryCoordinator({("A", "1m"): TRUTH, ("B", "1m"): TRUTH[::10]}, absent="no_trade")
    with MarketDataService(store, coordinator=source) as service:
        answer = service.get_candle_data(["A", "B"], "1m", count=20)
    assert answer.frame.group_by("symbol").len()["len"].to_list() == [20, 20]
    assert answer.about.why_stale == {}
