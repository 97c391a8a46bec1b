"""Each symbol of a list comes its own way in one call: as it is stored, or made of what is stored of it."""

import asyncio

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import mdstore
from mdstore import AsyncMarketDataService, Kline, MarketDataService, NoSuchSeriesError, ServicePolicies
from mdstore.service.facts import BY_NOW
from mdstore.service.memory_coordinator import MemoryCoordinator
from tests.support.candles import MINUTE, START, walk
from tests.support.upstream import Clock, Faulty

HOUR = 60 * MINUTE
HOURS, MINUTES = walk(10, step=HOUR), walk(600, seed=1)
FIVES = walk(120, step=5 * MINUTE, seed=2)
NAME = pl.col("symbol").cast(pl.String)
MADE = ["closed", "bars", "of"]


@pytest.fixture
def clock():
    return Clock.behind(600)


@pytest.fixture
def mixed(store):
    """A in hours, B in minutes, C in both minutes and fives."""
    store.write("A", "1h", HOURS, source="file")
    store.write("B", "1m", MINUTES, source="exchange")
    store.write("C", "1m", MINUTES)
    store.write("C", "5m", FIVES)
    return store


def of(answer, symbol):
    return answer.frame.filter(NAME.eq(symbol)).drop("symbol")


def holds_all_ways(answer, store):
    assert_frame_equal(of(answer, "A").drop(MADE), HOURS)
    assert of(answer, "A").select(MADE).unique().rows() == [(True, 1, 1)]
    assert_frame_equal(of(answer, "B"), store.resample("B", "1h", source="1m"))
    assert_frame_equal(of(answer, "C"), store.resample("C", "1h", source="5m"))
    assert answer.about.made_of == {"B": "1m", "C": "5m"}


@pytest.mark.parametrize("symbols", [["C", "A", "B"], None])
def test_each_symbol_takes_its_own_way_in_one_call(mixed, symbols):
    with MarketDataService(mixed) as service:
        answer = service.get_candle_data(symbols, "1h")
        holds_all_ways(answer, mixed)
        assert answer.frame["symbol"].cast(pl.String).to_list() == [name for name in "ABC" for _ in range(10)]
        assert answer.table.column_names == answer.frame.columns
        assert answer.about.tiers[-1] == "made"
        ranges = answer.about.ranges
        assert ranges.select("symbol", "rows").sort("symbol").rows() == [("A", 10), ("B", 10), ("C", 10)]
        assert dict(ranges.select("symbol", "tier").rows())["B"] == "made"
        assert dict(ranges.select("symbol", "tier").rows())["A"] != "made"
        assert answer.about.sources == ("exchange", "file")
        assert answer.about.newest.timestamp() * 1000 == START + 10 * HOUR
        assert answer.about.holes.is_empty()
        assert not answer.about.is_stale
        steps = service.get_candle_data(symbols, "1h", explain=True).about.steps
        assert [step.had for step in steps if step.had != "0 rows"] == ["10 rows"] * 3


def test_what_comes_one_way_has_the_columns_of_that_way(mixed):
    with MarketDataService(mixed) as service:
        stored = service.get_candle_data(["A"], "1h")
        assert stored.frame.columns == ["symbol", *HOURS.columns]
        assert stored.about.made_of == {}
        made = service.get_candle_data(["B"], "1h")
        assert made.frame.columns == ["symbol", *HOURS.columns, *MADE]
        assert made.about.made_of == {"B": "1m"}
        assert service.get_candle_data("B", "1h").about.made_of == {"B": "1m"}


def test_a_count_is_of_each_symbol(mixed, clock):
    clock.at(630)
    mixed.write("B", "1m", walk(630, seed=1))
    with MarketDataService(mixed) as service:
        for count in (1, 3, 10, 11, 1_000):
            answer = service.get_candle_data(["A", "B", "C"], "1h", count=count)
            assert answer.frame.group_by(NAME).len()["len"].to_list() == [min(count, 10)] * 3
            formed = service.get_candle_data(["A", "B", "C"], "1h", count=count, include_forming=True)
            assert formed.frame.columns == ["symbol", *HOURS.columns, *MADE, "partial"]
            assert of(formed, "B")["bars"].to_list()[-1] == 30
            assert [len(of(formed, name)) for name in "ABC"] == [
                min(count, 10),
                min(count, 11),
                min(count, 10),
            ]


def test_a_live_hour_stands_beside_one_that_is_made(mixed, clock):
    clock.at(610)
    mixed.live.update(Kline("A", "1h", START + 10 * HOUR, 5.0, 6.0, 4.0, 5.5, 1.0, closed=False))
    mixed.live.update(Kline("B", "1m", START + 10 * HOUR, 5.0, 6.0, 4.0, 5.5, 1.0, closed=False))
    with MarketDataService(mixed) as service:
        answer = service.get_candle_data(["A", "B"], "1h", count=1, include_forming=True)
        assert answer.frame.select("close", *MADE, "partial").rows() == [
            (5.5, False, 1, 1, False),
            (5.5, False, 1, 60, False),
        ]


def test_an_hour_that_was_stored_as_it_formed_is_not_said_to_be_over(mixed, clock):
    clock.at(610)
    mixed.write("A", "1h", walk(11, step=HOUR))
    with MarketDataService(mixed) as service:
        answer = service.get_candle_data(["A", "B"], "1h", count=2)
        assert of(answer, "A")["closed"].to_list() == [True, False]  # as the store gives it
        clock.at(660)
        answer = service.get_candle_data(["A", "B"], "1h", count=2)
        assert of(answer, "A")["closed"].to_list() == [True, True]


def test_both_faces_give_the_same(mixed):
    async def ask():
        async with AsyncMarketDataService(mixed) as service:
            return await service.get_candle_data(["A", "B", "C"], "1h")

    holds_all_ways(asyncio.run(ask()), mixed)


def test_the_past_is_of_each_way(mixed, clock):
    then = int(clock.now * 1000)
    clock.at(700)
    mixed.write("A", "1h", walk(11, step=HOUR))
    mixed.write("B", "1m", walk(700, seed=1))
    with MarketDataService(mixed) as service:
        holds_all_ways(service.get_candle_data(["A", "B", "C"], "1h", as_of=then), mixed_of(mixed, then))
        assert len(service.get_candle_data(["A", "B", "C"], "1h")) == 11 + 11 + 10


class mixed_of:  # noqa: N801 - a store as it was
    def __init__(self, store, then):
        self.store, self.then = store, then

    def resample(self, symbol, timeframe, source):
        found = self.store.candles(symbol, timeframe, derive_from=source, as_of=self.then)
        return found.filter("closed")


@pytest.mark.parametrize("kind", ["offline", "only read", "past"])
def test_nobody_is_left_out_where_an_upstream_is_not_asked(mixed, clock, kind):
    source, policies = MemoryCoordinator({}), ServicePolicies(offline=kind == "offline")
    then = int(clock.now * 1000) + 1_000 if kind == "past" else None
    with (
        mdstore.MarketDataStore(mixed.path, clock=clock, read_only=kind == "only read") as store,
        MarketDataService(store, coordinator=source, policies=policies) as service,
    ):
        holds_all_ways(service.get_candle_data(["A", "B", "C"], "1h", as_of=then), mixed)
    assert source.requests == []


def test_what_is_deleted_as_its_way_is_looked_up_is_made(mixed):
    mixed.write("B", "1h", HOURS)
    with MarketDataService(mixed) as service:
        local = service._tiers.local
        roads = local.roads

        def meanwhile(request):
            found = roads(request)
            mixed.delete("B", "1h")
            local.roads = roads
            return found

        local.roads = meanwhile
        holds_all_ways(service.get_candle_data(["A", "B", "C"], "1h"), mixed)


def test_each_series_is_asked_for_of_an_upstream_by_its_own_way(store, clock):
    held = {("A", "1h"): HOURS, ("B", "1m"): MINUTES, ("D", "1h"): walk(10, step=HOUR, seed=3)}
    source = MemoryCoordinator(held, page_bars=1_000)
    store.write("A", "1h", HOURS.head(2))
    store.write("B", "1m", MINUTES.head(100))
    with MarketDataService(store, coordinator=source) as service:
        for _ in range(2):
            answer = service.get_candle_data(["A", "B", "D", "E"], "1h", START, START + 10 * HOUR)
            assert_frame_equal(of(answer, "A").drop(MADE), HOURS)
            assert_frame_equal(of(answer, "B"), store.resample("B", "1h", source="1m"))
            assert_frame_equal(of(answer, "D").drop(MADE), held["D", "1h"])
            assert list(answer.about.why_stale) == ["E"]
            assert answer.about.made_of == {"B": "1m"}
        assert {(symbol, bar) for symbol, bar, *_ in source.requests} == {
            ("A", "1h"),
            ("B", "1m"),
            ("D", "1h"),
        }
        assert sum((end - start) // MINUTE for name, _, start, end in source.requests if name == "B") == 500
        asked = len(source.requests)
        for _ in range(2):
            service.get_candle_data(["A", "B", "D"], "1h", START, START + 10 * HOUR)
        assert len(source.requests) == asked


def test_a_symbol_of_which_nobody_has_a_bar_is_named_beside_those_that_are_made(store):
    store.write("B", "1m", MINUTES)
    source = MemoryCoordinator({("B", "1m"): MINUTES})
    with MarketDataService(store, coordinator=source) as service:
        answer = service.get_candle_data(["B", "X"], "1h", START, START + 10 * HOUR)
        assert answer.frame["symbol"].cast(pl.String).unique().to_list() == ["B"]
        assert list(answer.about.why_stale) == ["X"]
    with MarketDataService(store) as service, pytest.raises(NoSuchSeriesError, match="X 1h"):
        service.get_candle_data(["B", "X"], "1h")


def test_a_source_that_fails_of_one_way_keeps_nobody_from_the_other(store):
    source = Faulty({("A", "1h"): HOURS, ("B", "1m"): MINUTES}, page_bars=1_000, plan=["fail"])
    store.write("A", "1h", HOURS.head(2))
    store.write("B", "1m", MINUTES.head(120))
    with MarketDataService(store, coordinator=source) as service:
        answer = service.get_candle_data(["A", "B"], "1h", START, START + 10 * HOUR)
        (late,) = answer.about.why_stale
        counts = {"A": len(of(answer, "A")), "B": len(of(answer, "B"))}
        assert counts.pop(late) == 2
        assert list(counts.values()) == [10]


def test_an_answer_is_stale_once_a_bar_of_either_way_is_another(mixed):
    with MarketDataService(mixed) as service:
        for symbol, bar, rows in (("A", "1h", HOURS), ("B", "1m", MINUTES)):
            answer = service.get_candle_data(["A", "B"], "1h")
            same = answer.own()
            assert not same.about.is_stale
            mixed.write(symbol, bar, rows.tail(1).with_columns(volume=rows["volume"][-1] + 1.0))
            assert answer.own().about.why_stale == {"": BY_NOW}


def test_what_is_stored_since_is_not_made_any_more(mixed):
    source = MemoryCoordinator({("A", "1h"): HOURS, ("B", "1m"): MINUTES})
    for asked in ({}, {"coordinator": source}):
        with MarketDataService(mixed, **asked) as service:
            for _ in range(2):
                answer = service.get_candle_data(["A", "B"], "1h", START, START + 10 * HOUR)
                assert answer.about.made_of == {"B": "1m"}
            mixed.write("B", "1h", HOURS)
            for _ in range(2):
                answer = service.get_candle_data(["A", "B"], "1h", START, START + 10 * HOUR)
                assert answer.about.made_of == {}
                assert_frame_equal(of(answer, "B"), HOURS)
            mixed.delete("B", "1h")


def test_what_is_said_of_deriving_holds_for_each_symbol(mixed):
    with MarketDataService(mixed) as service:
        answer = service.get_candle_data(["A", "B", "C"], "1h", derive=True)
        assert answer.about.made_of == {"B": "1m", "C": "5m"}
        assert service.get_candle_data(["B", "C"], "1h", derive="1m").about.made_of == {"B": "1m", "C": "1m"}
        zoned = service.get_candle_data(["B", "C"], "1h", tz="Asia/Seoul")
        assert zoned.about.made_of == {"B": "1m", "C": "5m"}
        with pytest.raises(NoSuchSeriesError, match="B 1h"):
            service.get_candle_data(["A", "B"], "1h", derive=False)
        with pytest.raises(NoSuchSeriesError, match="A 1m"):
            service.get_candle_data(["A", "B"], "1h", derive="1m")
    with MarketDataService(mixed, policies=ServicePolicies(derive=False)) as service:
        with pytest.raises(NoSuchSeriesError, match="B 1h"):
            service.get_candle_data(["A", "B"], "1h")
        assert_frame_equal(of(service.get_candle_data(None, "1h"), "A"), HOURS)


@pytest.mark.parametrize("symbols", [["A", "X"], ["B", "X"], ["A", "B", "X"]])
def test_a_symbol_that_is_not_stored_fails_no_others_where_nobody_said_since_when(mixed, symbols):
    source = MemoryCoordinator({("A", "1h"): HOURS, ("B", "1m"): MINUTES, ("X", "1h"): HOURS})
    with MarketDataService(mixed, coordinator=source) as service:
        answer = service.get_candle_data(symbols, "1h")
        assert answer.frame["symbol"].cast(pl.String).unique(maintain_order=True).to_list() == symbols[:-1]
        assert answer.about.why_stale == {"X": "no 1h bar is stored: to fetch it, give start= or count="}
        for asked in ({"count": 10}, {"start": START}):  # as it says
            found = service.get_candle_data(symbols, "1h", **asked)
            assert len(of(found, "X")) == 10
            assert not found.about.is_stale
            mixed.delete("X", "1h")
        with pytest.raises(NoSuchSeriesError, match=r"X 1h.*give start="):
            service.get_candle_data(["X"], "1h")


@pytest.mark.parametrize("has_upstream", [False, True])
def test_what_is_live_and_not_stored_is_given_with_an_upstream_as_without(store, clock, has_upstream):
    """A symbol that was listed just now has nothing else."""
    clock.at(600)
    store.write("A", "1m", MINUTES)
    store.live.update(Kline("B", "1m", START + 600 * MINUTE, 5.0, 6.0, 4.0, 5.5, 1.0, closed=False))
    source = MemoryCoordinator({("A", "1m"): MINUTES}) if has_upstream else None
    with MarketDataService(store, coordinator=source) as service:
        for symbols, bars in (("B", 1), (["B"], 1), (["A", "B"], 601)):
            answer = service.get_candle_data(symbols, "1m", include_forming=True)
            assert len(answer) == bars
            assert answer.frame["close"].to_list()[-1] == 5.5
            if has_upstream:
                assert "give start= or count=" in answer.about.why_stale["B"]
        for bar in ("1m", "1h"):
            answer = service.get_candle_data(["A", "B"], bar, count=5, include_forming=True, derive="1m")
            assert of(answer, "B")["closed"].to_list() == [False]
        with pytest.raises(NoSuchSeriesError, match="B 1m"):
            service.get_candle_data("B", "1m")
