"""Bars that a service makes of shorter ones: those that are over, and the forming one when it is wanted."""

import asyncio
import datetime as dt

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from mdstore import AsyncMarketDataService, Kline, MarketDataService, RealtimeDataCache
from mdstore.service.memory_coordinator import MemoryCoordinator
from mdstore.service.router import RingRouter
from tests.support.candles import MINUTE, START, walk
from tests.support.upstream import Clock

TRUTH = walk(1_000)
HOUR = 60 * MINUTE
NEW_YORK = "America/New_York"


@pytest.fixture
def clock():
    clock = Clock()
    clock.at(200)  # three hours and twenty minutes, and ten seconds
    return clock


def bars(low, high, step=MINUTE):
    return [(at, 1.0, 3.0, 0.5, 2.0, 10.0) for at in range(low, high, step)]


def marks(answer):
    return answer.frame.select("closed", "bars").rows()


WHOLE = (True, 60)


# ---- with it and without it


def test_without_asking_for_it_the_forming_bar_is_not_there(store):
    store.write("A", "1m", TRUTH.head(200))
    every = store.resample("A", "1h", source="1m")
    with MarketDataService(store) as service:
        answer = service.get_candle_data("A", "1h")
        assert_frame_equal(answer.frame, every.filter("closed"))
        assert marks(answer) == [WHOLE] * 3
        assert not answer.about.is_stale
        forming = service.get_candle_data("A", "1h", include_forming=True)
        assert_frame_equal(forming.frame.drop("partial"), every)
        assert marks(forming) == [WHOLE] * 3 + [(False, 20)]
        assert {*forming.frame["partial"]} == {False}


@pytest.mark.parametrize("symbols", ["A", ["A"], ["A", "B"], None])
def test_a_count_is_of_the_latest_that_are_given(store, symbols):
    for symbol, minutes in (("A", 200), ("B", 180)):
        store.write(symbol, "1m", TRUTH.head(minutes))
    with MarketDataService(store) as service:
        for count in (1, 2, 3, 1_000):
            over = service.get_candle_data(symbols, "1h", count=count).frame
            formed = service.get_candle_data(symbols, "1h", count=count, include_forming=True).frame
            for name, least in (("A", 4), ("B", 3)):
                if symbols is not None and name not in symbols:
                    continue
                mine = (pl.col("symbol").cast(pl.String) == name) if symbols != "A" else pl.lit(value=True)
                assert over.filter(mine)["closed"].to_list() == [True] * min(count, 3)
                assert formed.filter(mine)["closed"].all() == (name == "B")
                assert len(formed.filter(mine)) == min(count, least)


def test_the_live_minute_is_in_the_forming_bar(store):
    store.write("A", "1m", TRUTH.head(200))
    store.live.update(Kline("A", "1m", START + 200 * MINUTE, 5.0, 1e6, 4.0, 5.5, 1.0, closed=False))
    with MarketDataService(store) as service:
        answer = service.get_candle_data("A", "1h", count=1, include_forming=True)
        assert answer.frame.select("high", "close", "closed", "bars").rows() == [(1e6, 5.5, False, 21)]
        assert marks(service.get_candle_data("A", "1h", count=1)) == [WHOLE]


@pytest.mark.parametrize("symbols", ["A", ["A", "B"]])
def test_the_minute_that_a_router_sees_form_is_in_the_forming_bar(store, clock, symbols):
    store.write("A", "1m", TRUTH.head(200))
    store.write("B", "1m", TRUTH.head(180))
    rings = RealtimeDataCache(clock=lambda: int(clock.now * 1e9))
    for name in "AB":
        rings.live.update(Kline(name, "1m", START + 200 * MINUTE, 5.0, 1e6, 4.0, 5.5, 1.0, closed=False))
    with MarketDataService(store, RingRouter(rings)) as service:
        found = service.get_candle_data(symbols, "1h", count=2, include_forming=True)
        assert found.frame["close"].to_list()[1::2] == [5.5, 5.5][: len(symbols)]
        assert marks(found) == [WHOLE, (False, 21), WHOLE, (False, 1)][: 2 * len(symbols)]
        assert {*found.frame["partial"]} == {False}
        assert marks(service.get_candle_data(symbols, "1h", count=2)) == [WHOLE, WHOLE] * len(symbols)


def test_both_faces_give_the_same(store):
    store.write("A", "1m", TRUTH.head(200))

    async def ask(**asked):
        async with AsyncMarketDataService(store) as service:
            return (await service.get_candle_data("A", "1h", **asked)).frame

    with MarketDataService(store) as service:
        for asked in ({}, {"include_forming": True}, {"count": 2}, {"count": 2, "include_forming": True}):
            assert_frame_equal(asyncio.run(ask(**asked)), service.get_candle_data("A", "1h", **asked).frame)


def test_where_there_is_nothing_but_a_forming_bar_the_answer_is_empty_and_lacks_nothing(store):
    store.write("A", "1m", bars(START + 180 * MINUTE, START + 200 * MINUTE))
    with MarketDataService(store) as service:
        answer = service.get_candle_data("A", "1h")
        assert answer.frame.is_empty()
        assert answer.table.num_rows == 0
        assert not answer.about.is_stale
        assert answer.about.newest is None
        assert marks(service.get_candle_data("A", "1h", include_forming=True)) == [(False, 20)]


# ---- at the change of a bar


def test_a_bar_comes_as_soon_as_it_is_over_and_not_before(store, clock):
    seen = []
    with MarketDataService(store) as service:
        for minute in range(175, 185):
            for second in (0.0, 30.0, 59.999):
                clock.now = START / 1000 + minute * 60 + second
                store.write("A", "1m", TRUTH.head(minute))
                seen.append((minute, len(service.get_candle_data("A", "1h"))))
    assert {minute for minute, count in seen if count == 3} == {180, 181, 182, 183, 184}
    assert {minute for minute, count in seen if count == 2} == {175, 176, 177, 178, 179}


def test_a_bar_is_not_over_while_its_last_minute_forms(store, clock):
    """A minute that is written as it forms made the hour closed, and with the values of that moment."""
    clock.now = START / 1000 + 179 * 60 + 30
    store.write("A", "1m", TRUTH.head(179))
    half = TRUTH.slice(179, 1).with_columns(volume=pl.lit(0.5))
    store.write("A", "1m", half)
    with MarketDataService(store) as service:
        assert marks(service.get_candle_data("A", "1h")) == [WHOLE, WHOLE]
        assert marks(service.get_candle_data("A", "1h", include_forming=True))[-1] == (False, 60)
        clock.now += 60  # it has ended, and nobody has said what it came to be
        assert marks(service.get_candle_data("A", "1h")) == [WHOLE, WHOLE]
        then = START + 179 * MINUTE + 45_000
        assert marks(service.get_candle_data("A", "1h", as_of=then)) == [WHOLE, WHOLE]
        store.write("A", "1m", TRUTH.slice(179, 1))
        assert marks(service.get_candle_data("A", "1h")) == [WHOLE] * 3
        assert marks(service.get_candle_data("A", "1h", as_of=then)) == [WHOLE, WHOLE]


def test_an_hour_whose_last_minutes_had_no_trade_is_over_once_that_is_known(store, clock):
    traded = TRUTH.head(200).filter(~pl.int_range(pl.len()).is_between(170, 185))
    source = MemoryCoordinator({("A", "1m"): traded}, absent="no_trade")
    store.write("A", "1m", TRUTH.head(100))
    clock.now = START / 1000 + 180 * 60 + 5
    with MarketDataService(store, coordinator=source) as service:
        assert marks(service.get_candle_data("A", "1h", START)) == [WHOLE] * 2  # some come late
        clock.now += 90
        service._tiers._whole.clear()
        for asked in ({}, {"include_forming": True}):
            answer = service.get_candle_data("A", "1h", START, **asked)
            assert marks(answer) == [WHOLE, WHOLE, (True, 50)]
            assert not answer.about.is_stale


def test_an_hour_of_which_the_end_is_missing_is_not_over_and_the_answer_says_so(store):
    store.write("A", "1m", TRUTH.head(170))
    with MarketDataService(store) as service:
        answer = service.get_candle_data("A", "1h")
        assert marks(answer) == [WHOLE] * 2
        assert "10 bars up to 2025-09-01 03:00:00 are missing" in answer.about.why_stale["A"]
        store.cover("A", "1m", start=START + 170 * MINUTE, end=START + 180 * MINUTE, reason="no_trade")
        assert answer.own().about.is_stale  # there is one more by now
        assert marks(service.get_candle_data("A", "1h")) == [WHOLE, WHOLE, (True, 50)]


@pytest.mark.parametrize("first", [[], [30]], ids=["late", "early"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_minute_that_lands_while_an_hour_is_read_makes_no_hour_of_what_was_before(
    store, clock, first, when
):
    clock.now = START / 1000 + 179 * 60 + 30
    store.write("A", "1m", TRUTH.head(179))
    for volume in first:
        store.write("A", "1m", TRUTH.slice(179, 1).with_columns(volume=pl.lit(float(volume))))
    clock.now = START / 1000 + 180 * 60 + 5
    with MarketDataService(store) as service:
        derived = service._tiers.local._derived
        read = derived._read

        def meanwhile(*args, **asked):
            found = read(*args, **asked) if when == "after" else None
            store.write("A", "1m", TRUTH.slice(179, 1), source="exchange", covers="data")
            derived._read = read
            return found if when == "after" else read(*args, **asked)

        derived._read = meanwhile
        found = service.get_candle_data("A", "1h").frame
        truth = store.resample("A", "1h", source="1m")
        assert_frame_equal(found, truth.head(len(found)))
        assert_frame_equal(service.get_candle_data("A", "1h").frame, truth)


# ---- zones, sessions, the past


@pytest.mark.parametrize(("day", "hours"), [("2025-11-02", 25), ("2025-03-09", 23), ("2025-07-01", 24)])
def test_a_day_is_over_by_the_clocks_of_its_zone(store, clock, day, hours):
    zone = pl.Series([dt.datetime.fromisoformat(day)]).dt.replace_time_zone(NEW_YORK)
    start = int(zone.dt.epoch("ms")[0])
    end = start + hours * HOUR
    with MarketDataService(store) as service:
        for now, days in ((end - HOUR, 1), (end - 1_000, 1), (end, 2), (end + HOUR, 2)):
            clock.now = now / 1000
            store.write("A", "1h", bars(start - 24 * HOUR, now - HOUR + 1_000, HOUR))
            found = service.get_candle_data("A", "1d", tz=NEW_YORK).frame
            assert found["closed"].all()
            assert len(found) == days
        assert found["of"].to_list()[-1] == hours


def test_a_week_of_sessions_is_over_on_friday(store, clock):
    store.set_calendar("A", "XNYS")
    opening = dt.datetime(2025, 9, 8, 13, 30, tzinfo=dt.UTC)
    days = [int((opening + dt.timedelta(days=at)).timestamp() * 1000) for at in range(5)]
    rows = [row for day in days for row in bars(day, day + 390 * MINUTE)]
    clock.now = rows[-1][0] / 1000 + 30  # in the last minute of Friday
    store.write("A", "1m", rows[:-1])
    with MarketDataService(store) as service:
        assert service.get_candle_data("A", "1w").frame.is_empty()
        store.write("A", "1m", rows[-1:])
        assert service.get_candle_data("A", "1w").frame.is_empty()
        clock.now += 40
        store.write("A", "1m", [(*rows[-1][:5], 11.0)])
        assert marks(service.get_candle_data("A", "1w")) == [(True, 1_950)]
        clock.now += 86_400  # on Saturday, before the week of the calendar has ended
        answer = service.get_candle_data("A", "1w")
        assert marks(answer) == [(True, 1_950)]
        assert not answer.about.is_stale


def test_the_past_has_the_bars_that_were_over_then(store, clock):
    times = {}
    for minute in (170, 180, 190):
        clock.now = START / 1000 + minute * 60
        store.write("A", "1m", TRUTH.head(minute))
        times[minute] = int(clock.now * 1000)
    clock.now += 3_600
    with MarketDataService(store) as service:
        counts = {at: len(service.get_candle_data("A", "1h", as_of=then)) for at, then in times.items()}
        assert counts == {170: 2, 180: 3, 190: 3}
        then = service.get_candle_data("A", "1h", as_of=times[170], include_forming=True)
        assert marks(then) == [WHOLE, WHOLE, (False, 50)]
        assert then.frame["partial"].to_list() == [False] * 3
        assert marks(service.get_candle_data("A", "1h", as_of=times[170], count=1)) == [WHOLE]


# ---- what is asked of an upstream


@pytest.mark.parametrize("tz", [None, "Asia/Seoul", NEW_YORK])
def test_so_many_bars_that_are_over_are_fetched(store, clock, tz):
    long = walk(20_000)
    clock.at(20_000)
    source = MemoryCoordinator({("A", "1m"): long}, page_bars=2_000)
    with MarketDataService(store, coordinator=source) as service:
        for asked in ({}, {"include_forming": True}):
            answer = service.get_candle_data("A", "1d", count=3, derive="1m", tz=tz, **asked)
            assert answer.frame["bars"].to_list()[:2] == [1_440, 1_440]
            assert answer.frame["closed"].to_list() == [True, True, not asked]
            assert not answer.about.is_stale
