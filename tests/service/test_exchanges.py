"""A service over a source that proves its own pages, as exchanges do."""

import polars as pl

import mdstore
from mdstore.sources.sync.coordinator import Page
from mdstore.store.store_place import StorePlace
from tests.support.candles import MINUTE, START
from tests.support.fake_exchange import FakeExchange, bars
from tests.support.upstream import Clock

NAMES = ["timestamp", "open", "high", "low", "close", "volume"]


def opened(tmp_path, clock):
    return mdstore.MarketDataStore(tmp_path / "market_data.sqlite3", clock=clock)


def test_bars_that_may_yet_be_amended_are_asked_for_again(tmp_path):
    clock = Clock.behind(1_000)
    truth = bars(2_000)
    source = FakeExchange(
        {("A", "1m"): truth}, clock, amend=lambda row, ago: row if ago >= 2 else (*row[:5], 9.0)
    )
    with (
        opened(tmp_path, clock) as store,
        mdstore.MarketDataService(store, coordinator=source) as service,
    ):
        ask = {"start": START + 900 * MINUTE}
        assert len(service.get_candle_data("A", "1m", **ask).frame) == 100
        assert store.candles("A", "1m")["volume"][-1] == 9.0
        clock.at(1_010)
    with (
        opened(tmp_path, clock) as store,
        mdstore.MarketDataService(store, coordinator=source) as service,
    ):
        service.get_candle_data("A", "1m", **ask)
        assert store.candles("A", "1m")["volume"][:108].to_list() == [row[5] for row in truth[900:1_008]]


def test_declared_columns_are_kept(tmp_path):
    clock = Clock.behind(1_000)
    with opened(tmp_path, clock) as store:
        store.declare("value", resample="sum")
        truth = bars(10)
        rows = pl.DataFrame([(*row, 7.0) for row in truth], [*NAMES, "candle_acc_trade_price"], orient="row")
        page = Page(START, START + 10 * MINUTE, rows, "no_trade")
        source = FakeExchange({("A", "1m"): truth}, clock, plan=[page])

        def fetch(symbol, timeframe, start, end):
            return rows.filter(pl.col("timestamp").is_between(start, end - 1))

        for symbol, one in (("A", source), ("B", mdstore.FunctionCoordinator(fetch, name="mine"))):
            with mdstore.MarketDataService(store, coordinator=one) as service:
                service.get_candle_data(symbol, "1m", start=START, end=START + 10 * MINUTE)
            assert store.candles(symbol, "1m", columns=["value"])["value"].to_list() == [7.0] * 10


def test_a_live_bar_that_lands_while_a_page_is_looked_at_stays(tmp_path, monkeypatch):
    clock = Clock.behind(1_000)
    live = (START + 950 * MINUTE, 5.0, 6.0, 4.0, 5.5, 1.0)
    source, land = FakeExchange({("A", "1m"): bars(2_000)}, clock), StorePlace.land

    with (
        opened(tmp_path, clock) as store,
        mdstore.MarketDataService(store, coordinator=source) as service,
    ):

        def late(place, landings):
            if ("A", "1m") not in store:
                store.write("A", "1m", [live], source="live")
            return land(place, landings)

        monkeypatch.setattr(StorePlace, "land", late)
        service.get_candle_data("A", "1m", start=START + 900 * MINUTE)
        frame = store.candles("A", "1m")
        assert (len(frame), frame["close"][50]) == (100, 5.5)
        assert store.revisions("A", "1m").is_empty()
