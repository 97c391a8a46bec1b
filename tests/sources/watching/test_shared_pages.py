"""What a watch missed, where others sync the same series: asked for once, and again until it is final."""

import pytest

from mdstore.realtime.backfill import Backfill
from mdstore.realtime.rows import Hole
from mdstore.sources.sync.leasing import lease_name
from mdstore.sources.watching.pages import fetched
from tests.support.fake_exchange import FakeExchange, at, bars
from tests.support.upstream import Clock


@pytest.fixture
def clock():
    return Clock.behind(1_000)


@pytest.fixture
def live(store):
    """Give live candles that are stored, with holes of the test's own."""
    holes, live = [], store.live
    live.build("1m", symbols="A", persist=True)

    class Holes:
        ledger, told, flush = live.ledger, [], live.flush

        def hole(self, low, high):
            holes.append(Hole("A", "1m", at(low), at(high)))

        def ended_holes(self, symbols):
            return list(holes)

        def filled(self, symbol, timeframe, start, end, rows):
            self.told += rows
            for one in list(holes):
                left = [(one.start, min(end, start, one.end)), (max(one.start, end), one.end)]
                if one.start < end and start < one.end:
                    holes.remove(one)
                    holes.extend(one._replace(start=low, end=high) for low, high in left if low < high)

    return Holes()


def fill(live, source, low, high):
    """Do what a watch does with a hole."""

    def pages(symbol, timeframe, start, end):
        return fetched(source, symbol, timeframe, start, end, lambda _: None)

    live.hole(low, high)
    troubles = []
    Backfill(live, None, 0, pages, troubles.append)._round()
    assert troubles == []


def test_while_another_asks_for_the_series_nothing_is_asked(store, clock, live):
    source = FakeExchange({("A", "1m"): bars(2_000)}, clock)
    lease = store._candles.leases.take(lease_name(("A", "1m")))
    fill(live, source, 0, 900)
    assert source.requests == 0
    lease.give_back()
    fill(live, source, 0, 900)
    assert len(store.candles("A", "1m")) == 900
    assert store._candles.leases.take(lease_name(("A", "1m"))) is not None, "it is given back"


def test_what_others_have_brought_is_told_and_not_asked_for(store, clock, live):
    truth = bars(2_000, without=(450,))
    source = FakeExchange({("A", "1m"): truth}, clock)
    store.sync(source, "A", "1m", since=at(400), until=at(700))
    source.log.clear()
    fill(live, source, 300, 900)
    assert [(low, high) for _, _, low, high in source.log] == [(at(300), at(400)), (at(700), at(900))]
    assert live.told == [row for row in truth if at(300) <= row[0] < at(900)]


def test_the_latest_bars_are_asked_for_whatever_this_machine_s_clock_says(store, clock, live):
    source = FakeExchange({("A", "1m"): bars(2_000)}, clock)
    store.sync(source, "A", "1m", since=at(0), until=at(990))
    clock.at(995)  # five minutes behind that of the exchange, which has proven that these bars have ended
    source.clock = Clock()
    source.clock.at(1_000)
    source.log.clear()
    fill(live, source, 980, 1_000)
    assert (min(one[2] for one in source.log), max(one[3] for one in source.log)) == (at(990), at(1_000))
    assert len(store.candles("A", "1m")) == 1_000


def test_what_an_exchange_may_yet_amend_is_asked_for_again(store, clock, live):
    truth = bars(2_000, without=(999,))
    source = FakeExchange(
        {("A", "1m"): truth}, clock, amend=lambda row, ago: row if ago >= 2 else (*row[:5], 9.0)
    )
    fill(live, source, 0, 1_000)
    stored = store.candles("A", "1m")
    assert stored["volume"][-1] == 9.0
    assert store.gaps("A", "1m", start=at(990), end=at(1_000))["reason"].to_list() == ["unsettled"]
    assert set(store.provenance()["source"]) == {"fake"}
    clock.at(1_010)
    source.log.clear()
    store.sync(source, "A", "1m", until=at(1_000))
    assert store.candles("A", "1m")["volume"].to_list() == [row[5] for row in truth[:999]]
    assert source.log == [("A", "1m", at(998), at(1_000))]
