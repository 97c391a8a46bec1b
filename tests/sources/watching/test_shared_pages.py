"""What a watch missed, where others sync the same series: asked for once, and again until it is final."""

import asyncio

import pytest

import mdstore
from mdstore.sources.sync.leasing import lease_name
from mdstore.sources.watching.pages import lacking
from mdstore.store.live_place import LivePlace
from tests.support.candles import MINUTE, START
from tests.support.fake_exchange import FakeExchange, bars
from tests.support.upstream import Clock


@pytest.fixture
def clock():
    made = Clock()
    made.at(1_000)
    return made


@pytest.fixture
def store(tmp_path, clock):
    with mdstore.MarketDataStore(tmp_path / "market_data.sqlite3", clock=clock) as store:
        yield store


def at(minutes):
    return START + minutes * MINUTE


def parts_of(store, source, low, high):
    async def all_of():
        place = store._syncing.place()
        return [part async for part in lacking(source, place, "A", "1m", at(low), at(high), lambda _: None)]

    return asyncio.run(all_of())


def fill(store, source, low, high):
    """Do what a watch does with a hole."""
    place = LivePlace(store, store._candles)
    for part in parts_of(store, source, low, high):
        if not part.stored:
            place.fill("A", "1m", part.rows, part.start, part.end, absent=part.absent, settled=part.settled)


def test_while_another_asks_for_the_series_nothing_is_asked(store, clock):
    source = FakeExchange({("A", "1m"): bars(2_000)}, clock)
    lease = store._candles.leases.take(lease_name(("A", "1m")))
    assert parts_of(store, source, 0, 900) == []
    assert source.requests == 0
    lease.give_back()
    assert sum(len(part.rows) for part in parts_of(store, source, 0, 900)) == 900
    assert store._candles.leases.take(lease_name(("A", "1m"))) is not None, "it is given back"


def test_what_others_have_brought_is_told_and_not_asked_for(store, clock):
    truth = bars(2_000, without=(450,))
    source = FakeExchange({("A", "1m"): truth}, clock)
    store.sync(source, "A", "1m", since=at(400), until=at(700))
    source.log.clear()
    parts = parts_of(store, source, 300, 900)
    assert [(low, high) for _, _, low, high in source.log] == [(at(300), at(400)), (at(700), at(900))]
    (stored,) = [part for part in parts if part.stored]
    assert (stored.start, stored.end) == (at(400), at(700))
    assert stored.rows == [row for row in truth if at(400) <= row[0] < at(700)]


def test_the_latest_bars_are_asked_for_whatever_this_machine_s_clock_says(store, clock):
    source = FakeExchange({("A", "1m"): bars(2_000)}, clock)
    store.sync(source, "A", "1m", since=at(0), until=at(990))
    clock.at(995)  # five minutes behind that of the exchange, which has proven that these bars have ended
    source.clock = Clock()
    source.clock.at(1_000)
    parts = [part for part in parts_of(store, source, 980, 1_000) if not part.stored]
    assert sum(len(part.rows) for part in parts) >= 10
    assert max(part.end for part in parts) == at(1_000)


def test_what_an_exchange_may_yet_amend_is_asked_for_again(store, clock):
    truth = bars(2_000, without=(999,))
    source = FakeExchange(
        {("A", "1m"): truth}, clock, amend=lambda row, ago: row if ago >= 2 else (*row[:5], 9.0)
    )
    fill(store, source, 0, 1_000)
    stored = store.candles("A", "1m")
    assert stored["volume"][-1] == 9.0
    assert store.gaps("A", "1m", start=at(990), end=at(1_000))["reason"].to_list() == ["unsettled"]
    assert set(store.provenance()["source"]) == {"backfill"}
    clock.at(1_010)
    source.log.clear()
    store.sync(source, "A", "1m", until=at(1_000))
    assert store.candles("A", "1m")["volume"].to_list() == [row[5] for row in truth[:999]]
    assert source.log == [("A", "1m", at(998), at(1_000))]
