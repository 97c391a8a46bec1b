"""Pages that come: in which order they are asked for, what they may change, and what a bad row costs."""

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import mdstore
from mdstore import FunctionCoordinator, MarketDataService, ServicePolicies
from mdstore.service.memory_coordinator import MemoryCoordinator
from tests.support.candles import MINUTE, START, walk
from tests.support.upstream import Clock, Faulty, bars_asked

TRUTH = walk(1_000)
AT = pl.col("timestamp").dt.epoch("ms")


@pytest.fixture
def clock():
    return Clock.behind(1_000)


class Timer:
    now = 0.0

    def __call__(self):
        return self.now


def between(low, high):
    return START + low * MINUTE, START + high * MINUTE


# ---- in which order


def test_the_latest_pages_come_first_and_an_end_in_between_leaves_the_rest_missing(store):
    timer = Timer()
    source = Faulty({("A", "1m"): TRUTH}, plan=[None, None, "fail"], page_bars=50)
    with MarketDataService(store, coordinator=source, timer=timer) as service:
        answer = service.get_candle_data("A", "1m", *between(0, 250))
        assert_frame_equal(answer.frame, TRUTH.slice(150, 100))
        assert [start for _, _, start, _ in source.requests] == [between(at, 0)[0] for at in (200, 150, 100)]
        assert store.missing("A", "1m", start=START, end=between(0, 250)[1])["bars"].to_list() == [150]
        timer.now = 1e6
        assert_frame_equal(service.get_candle_data("A", "1m", *between(0, 250)).frame, TRUTH.head(250))
    assert bars_asked(source) == 150 + 150  # what had come is not asked for again


# ---- what is stored stays


def other(frame):
    return frame.with_columns(pl.col("volume") + 1)


def test_bars_between_two_holes_of_one_request_stay_as_they_are(store):
    store.write("A", "1m", other(TRUTH.slice(40, 20)), source="mine")
    source = MemoryCoordinator({("A", "1m"): TRUTH}, name="exchange")
    with MarketDataService(store, coordinator=source) as service:
        answer = service.get_candle_data("A", "1m", *between(0, 100))
    assert len(source.requests) == 1  # one page holds both holes, and what lies between
    whole = pl.concat([TRUTH.head(40), other(TRUTH.slice(40, 20)), TRUTH.slice(60, 40)])
    assert_frame_equal(answer.frame, whole)
    assert store.revisions("A", "1m").is_empty()
    assert answer.about.rows_by_tier == {"coordinator": 80}
    assert answer.about.ranges.select("tier", "rows").rows() == [("coordinator", 80), ("sqlite", 20)]
    origins = store.provenance("A", "1m").select("source", "start")
    assert origins["source"].to_list() == ["exchange", "mine", "exchange"]
    assert store.gaps("A", "1m", start=START, end=between(0, 100)[1]).is_empty()


def test_a_bar_that_was_stored_while_it_formed_is_not_kept(store, clock):
    clock.now = (START + 39.5 * MINUTE) / 1000
    store.write("A", "1m", other(TRUTH.head(40)))
    clock.at(1_000)
    source = MemoryCoordinator({("A", "1m"): TRUTH})
    with MarketDataService(store, coordinator=source) as service:
        frame = service.get_candle_data("A", "1m", *between(0, 100)).frame
    assert_frame_equal(frame, pl.concat([other(TRUTH.head(39)), TRUTH.slice(39, 61)]))


def test_a_bar_of_which_it_was_said_that_there_is_none_is_taken_when_it_comes(store):
    store.write("A", "1m", TRUTH.head(40), covers=between(0, 60), absent="no_trade")
    source = MemoryCoordinator({("A", "1m"): TRUTH})
    store.write("A", "1m", TRUTH.slice(70, 5))
    with MarketDataService(store, coordinator=source) as service:
        service.get_candle_data("A", "1m", *between(0, 100))
    assert len(store.candles("A", "1m", start=between(60, 0)[0])) == 40


# ---- a bad row


class Sometimes:
    """A source of which some bars break a rule, as long as they are in `wrong`."""

    def __init__(self, *wrong):
        self.wrong, self.asked = set(wrong), []

    def __call__(self, symbol, timeframe, start, end):
        self.asked.append(((start - START) // MINUTE, (end - START) // MINUTE))
        rows = TRUTH.filter((start <= AT) & (end > AT)).with_columns(AT)
        return [
            (at, o, low - 1.0, low, c, v) if (at - START) // MINUTE in self.wrong else (at, o, h, low, c, v)
            for at, o, h, low, c, v in rows.iter_rows()
        ]


def test_a_row_with_a_wrong_value_costs_its_own_bar_only(store):
    timer, gives = Timer(), Sometimes(17)
    source = FunctionCoordinator(gives, name="exchange", page_bars=50)
    with MarketDataService(store, coordinator=source, timer=timer) as service:
        answer = service.get_candle_data("A", "1m", *between(0, 150))
        assert_frame_equal(answer.frame, pl.concat([TRUTH.head(17), TRUTH.slice(18, 132)]))
        why = answer.about.why_stale["A"]
        assert "2025-09-01 00:17:00+00:00 breaks the rule" in why
        assert "its row is in quarantine; tried again in 1 s" in why
        holes = store.gaps("A", "1m", end=between(0, 150)[1])
        assert holes.select("bars", "reason").rows() == [(1, "fetch_failed")]
        aside = store.quarantine()
        assert aside.select("symbol", "timeframe", "rule").rows() == [("A", "1m", aside["rule"][0])]
        assert str(between(17, 0)[0]) in aside["record"][0]
        asked = len(gives.asked)
        later = service.get_candle_data("A", "1m", *between(0, 150))
        assert len(gives.asked) == asked  # that one bar alone is left alone for a while
        assert "breaks the rule" in later.about.why_stale["A"]
        newer = service.get_candle_data("A", "1m", *between(0, 160))
        assert len(newer) == 159  # the series goes on
        assert service.stats()["upstream"] == {"failing": 0, "breaker": ""}
        gives.wrong.clear()
        timer.now = 10.0
        answer = service.get_candle_data("A", "1m", *between(0, 160))
    assert_frame_equal(answer.frame, TRUTH.head(160))
    assert not answer.about.is_stale
    assert gives.asked[-1] == (17, 18)


def test_two_bad_bars_of_one_page_are_left_alone_as_one_is(store):
    timer, gives = Timer(), Sometimes(17, 27)
    source = FunctionCoordinator(gives, name="exchange", page_bars=50)
    with MarketDataService(store, coordinator=source, timer=timer) as service:
        for _ in range(3):
            answer = service.get_candle_data("A", "1m", *between(0, 50))
            assert "breaks the rule" in answer.about.why_stale["A"]
        assert gives.asked == [(0, 50)]
        timer.now = 1.5
        service.get_candle_data("A", "1m", *between(0, 50))
        assert gives.asked == [(0, 50), (17, 28)]  # a second try of both, and then again a while of nothing
        assert service.stats()["upstream"]["failing"] == 0


def test_a_bad_row_of_a_bar_that_is_stored_is_nothing(store):
    store.write("A", "1m", TRUTH.slice(17, 1))
    gives = Sometimes(17)
    with MarketDataService(store, coordinator=FunctionCoordinator(gives)) as service:
        answer = service.get_candle_data("A", "1m", *between(0, 50))
    assert_frame_equal(answer.frame, TRUTH.head(50))
    assert store.quarantine().is_empty()
    assert not answer.about.is_stale


def test_texts_and_nulls_are_set_aside_as_they_came(store):
    def gives(symbol, timeframe, start, end):
        rows = TRUTH.filter((start <= AT) & (end > AT)).with_columns(AT).rows()
        rows[3] = (rows[3][0], "x", *rows[3][2:])
        rows[5] = (*rows[5][:5], None)
        return rows

    with MarketDataService(store, coordinator=FunctionCoordinator(gives)) as service:
        answer = service.get_candle_data("A", "1m", *between(0, 50))
    assert len(answer) == 48
    assert store.quarantine()["column"].to_list() == ["open", "volume"]


def test_where_most_rows_are_bad_it_is_no_page(store):
    gives = Sometimes(*range(40))
    with (
        MarketDataService(store, coordinator=FunctionCoordinator(gives)) as service,
        pytest.raises(mdstore.NoSuchSeriesError, match="breaks the rule"),
    ):
        service.get_candle_data("A", "1m", *between(0, 50))
    assert store.quarantine().is_empty()
    assert store.missing("A", "1m", start=START, end=between(0, 50)[1])["bars"].to_list() == [50]


@pytest.mark.parametrize("wrong", [range(3), range(2)])
def test_a_full_page_of_bad_rows_covers_no_more_than_these(store, wrong):
    """A server whose cap is lower than the range gives the first bars of it, and all are bad."""
    gives = Sometimes(*wrong)

    def capped(*asked):
        return gives(*asked)[:3]

    source = FunctionCoordinator(capped, page_bars=3)
    with MarketDataService(store, coordinator=source, policies=ServicePolicies(breaker=0)) as service:
        answer = service.get_candle_data("A", "1m", *between(0, 30))
    assert_frame_equal(answer.frame, TRUTH.slice(len(wrong), 30 - len(wrong)))
