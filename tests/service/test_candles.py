"""Candles by a service: what is here is read, what is missing is asked for once, and the answer says so."""

import re

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import mdstore
from mdstore import InvalidInputError, MarketDataService, NoSuchSeriesError, ServicePolicies
from mdstore.service.memory_coordinator import MemoryCoordinator
from mdstore.sources.sync.coordinator import FunctionCoordinator
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


@pytest.fixture
def timer():
    return Timer()


@pytest.fixture
def source():
    return MemoryCoordinator({("A", "1m"): TRUTH, ("B", "1m"): walk(1_000, seed=1)}, name="exchange")


@pytest.fixture
def service(store, source, timer):
    with MarketDataService(store, coordinator=source, timer=timer) as service:
        yield service


def test_what_is_stored_needs_no_upstream(store):
    store.write("A", "1m", TRUTH)
    with MarketDataService(store) as service:
        answer = service.get_candle_data("A", "1m", count=5)
    assert_frame_equal(answer.frame, TRUTH.tail(5))
    assert answer.table.equals(store.arrow("A", "1m", limit=5))
    assert len(answer) == 5
    assert not answer.about.rows_by_tier


def test_what_is_missing_is_asked_for_once_and_stored(service, store, source):
    answer = service.get_candle_data("A", "1m", START, START + 450 * MINUTE)
    assert_frame_equal(answer.frame, TRUTH.head(450))
    assert bars_asked(source) == 450
    assert answer.about.tiers[-1] == "coordinator"
    assert answer.about.rows_by_tier == {"coordinator": 450}
    again = service.get_candle_data("A", "1m", START, START + 450 * MINUTE)
    assert_frame_equal(again.frame, TRUTH.head(450))
    wider = service.get_candle_data("A", "1m", START, START + 500 * MINUTE)
    assert_frame_equal(wider.frame, TRUTH.head(500))
    assert bars_asked(source) == 500
    assert_frame_equal(store.candles("A", "1m"), TRUTH.head(500))
    assert store.provenance("A", "1m")["source"].to_list() == ["exchange"]


def test_another_service_on_the_same_file_asks_for_nothing_that_is_known(service, store, source, tmp_path):
    service.get_candle_data("A", "1m", START, START + 100 * MINUTE)
    with MarketDataService(store, coordinator=source) as other:
        assert len(other.get_candle_data("A", "1m", START, START + 100 * MINUTE)) == 100
    assert bars_asked(source) == 100


def test_the_latest_bars_are_kept_current_as_time_goes_on(service, source, clock, timer):
    assert_frame_equal(service.get_candle_data("A", "1m", count=50).frame, TRUTH.tail(50))
    for _ in range(3):
        service.get_candle_data("A", "1m", count=50)
    assert bars_asked(source) == 50
    source.held["A", "1m"] = walk(1_002)
    clock.at(1_002)
    timer.now = 1e9
    assert_frame_equal(service.get_candle_data("A", "1m", count=50).frame, walk(1_002).tail(50))
    assert bars_asked(source) == 52


def test_a_bar_is_not_asked_for_before_it_has_settled(service, source, clock):
    clock.now = (START + 1_000 * MINUTE) / 1000 + 1.0  # a second after the end of the last
    frame = service.get_candle_data("A", "1m", START + 990 * MINUTE).frame
    assert frame["timestamp"].to_physical().to_list()[-1] == START + 998 * MINUTE
    assert source.requests == [("A", "1m", START + 990 * MINUTE, START + 999 * MINUTE)]


def test_several_symbols_are_one_long_frame_and_those_that_nobody_has_are_named(service, store):
    answer = service.get_candle_data(["A", "B", "C"], "1m", START + 900 * MINUTE)
    assert answer.frame.group_by("symbol").len().sort("symbol").rows() == [("A", 100), ("B", 100)]
    assert list(answer.about.why_stale) == ["C"]
    assert "exchange failed: KeyError" in answer.about.why_stale["C"]
    assert "tried again in 1 s" in answer.about.why_stale["C"]
    assert service.get_candle_data(None, "1m", START + 900 * MINUTE).frame.height == 200


def test_a_series_that_nobody_has_says_what_the_upstream_said(service):
    with pytest.raises(NoSuchSeriesError, match=r"C 1m.*exchange failed: KeyError"):
        service.get_candle_data("C", "1m", START)
    with pytest.raises(NoSuchSeriesError, match="no candles"):
        service.get_candle_data("C", "1m")


def test_sparse_bars_are_looked_for_further_back(store, clock):
    sparse = TRUTH[::10]
    source = MemoryCoordinator({("A", "1m"): sparse}, absent="no_trade")
    with MarketDataService(store, coordinator=source) as service:
        answer = service.get_candle_data("A", "1m", count=20)
    assert_frame_equal(answer.frame, sparse.tail(20))
    assert bars_asked(source) == 321  # doubled until there were twenty; the last may come late: twice
    assert store.gaps("A", "1m")["reason"].unique().to_list() == ["no_trade"]
    assert not answer.about.is_stale


def test_sparse_bars_of_several_symbols_are_looked_for_as_those_of_one(store, clock):
    sparse, whole = TRUTH[::10], walk(1_000, seed=1)
    held = {("A", "1m"): sparse, ("B", "1m"): whole, ("C", "1m"): TRUTH[::20]}
    source = MemoryCoordinator(held, absent="no_trade")
    with MarketDataService(store, coordinator=source) as service:
        answer = service.get_candle_data(["A", "B", "C", "D"], "1m", count=20)
        parts = {str(name): rows.drop("symbol") for (name,), rows in answer.frame.group_by("symbol")}
        assert_frame_equal(parts["A"], sparse.tail(20))
        assert_frame_equal(parts["B"], whole.tail(20))
        assert_frame_equal(parts["C"], TRUTH[::20].tail(20))
        assert list(answer.about.why_stale) == ["D"]  # what one lacks keeps nobody from the others
        asked = {
            name: sum((end - start) // MINUTE for one, _, start, end in source.requests if one == name)
            for name in "ABC"
        }
        assert asked == {"A": 321, "B": 20, "C": 641}  # and no more is asked of those that have enough
        both = service.get_candle_data(None, "1m", count=25).frame
        assert both.group_by("symbol").len()["len"].to_list() == [25, 25, 25]


@pytest.mark.parametrize("symbols", ["A", ["A"]])
def test_old_bars_do_not_stand_for_those_that_are_missing_before_the_latest(store, clock, symbols):
    """Of twenty bars the one that had no trade was made up for by a stored one of sixteen hours before."""
    store.write("A", "1m", TRUTH.head(10))
    traded = TRUTH.filter(pl.int_range(pl.len()) != 995)
    source = MemoryCoordinator({("A", "1m"): traded}, absent="no_trade")
    with MarketDataService(store, coordinator=source) as service:
        answer = service.get_candle_data(symbols, "1m", count=20)
    assert_frame_equal(answer.frame.select(TRUTH.columns), traded.tail(20))
    assert not answer.about.is_stale
    assert bars_asked(source) == 40


def test_the_end_of_history_is_not_asked_for_again_and_again(store, clock):
    source = MemoryCoordinator({("A", "1m"): TRUTH.tail(30)})
    with MarketDataService(store, coordinator=source) as service:
        assert len(service.get_candle_data("A", "1m", count=200).frame) == 30
        asked = bars_asked(source)
        assert asked <= 200 * 32 + 170  # what a page lacked before its first bar, once more by itself
        service._tiers._whole.clear()
        assert len(service.get_candle_data("A", "1m", count=200).frame) == 30
    assert bars_asked(source) == asked


def test_as_of_shows_what_was_known_and_asks_nobody(service, store, source, clock):
    store.write("A", "1m", TRUTH.head(10))
    now = int(clock.now * 1000)
    clock.now += 100
    store.write("A", "1m", TRUTH.head(12))
    answer = service.get_candle_data("A", "1m", START, as_of=now)
    assert len(answer) == 10
    assert not answer.about.is_stale
    assert source.requests == []


def test_offline_answers_from_what_is_here_and_says_so(store, source):
    store.write("A", "1m", TRUTH.head(10))
    with MarketDataService(store, coordinator=source, policies=ServicePolicies(offline=True)) as service:
        answer = service.get_candle_data("A", "1m", START)
    assert len(answer) == 10
    assert source.requests == []
    assert answer.about.why_stale == {"": "offline: nothing was asked of an upstream"}


def test_a_timeframe_that_is_not_stored_is_derived_and_its_source_fetched(service, store, source):
    store.write("A", "1m", TRUTH.head(300))
    answer = service.get_candle_data("A", "1h", START, START + 600 * MINUTE)
    hours = store.resample("A", "1h", source="1m", end=START + 600 * MINUTE)
    assert_frame_equal(answer.frame, hours)
    assert answer.frame["of"].to_list() == [60] * 10
    assert bars_asked(source) == 300  # of the minutes, those that were missing
    assert answer.about.sources == ("exchange",)
    assert answer.about.newest.timestamp() * 1000 == START + 600 * MINUTE
    assert not answer.about.is_stale
    assert answer.about.holes.is_empty()
    with (
        MarketDataService(store, policies=ServicePolicies(derive=False)) as plain,
        pytest.raises(NoSuchSeriesError),
    ):
        plain.get_candle_data("A", "1h", START)


def test_a_zone_and_a_source_may_be_named(store):
    store.write("A", "1m", TRUTH)
    store.write("A", "5m", store.resample("A", "5m", source="1m").select(TRUTH.columns))
    with MarketDataService(store) as service:
        for asked, made in (
            ({"timeframe": "1d", "tz": "Asia/Seoul"}, {"source": "5m", "tz": "Asia/Seoul"}),
            ({"timeframe": "1d", "derive": "1m"}, {"source": "1m"}),
            ({"timeframe": "1h", "derive": True}, {"source": "5m"}),
        ):
            every = store.resample("A", asked["timeframe"], **made)
            over = service.get_candle_data("A", **asked).frame
            assert_frame_equal(over, every.filter("closed"))
            found = service.get_candle_data("A", **asked, include_forming=True).frame
            assert_frame_equal(found.drop("partial"), every)
            assert len(over) + 1 == len(every)


def test_the_forming_bar_is_joined_when_it_is_asked_for(store, clock):
    store.write("A", "1m", TRUTH)
    store.live.update(mdstore.Kline("A", "1m", START + 1_000 * MINUTE, 5.0, 6.0, 4.0, 5.5, 1.0, False))
    with MarketDataService(store) as service:
        plain = service.get_candle_data("A", "1m", count=3).frame
        forming = service.get_candle_data("A", "1m", count=3, include_forming=True).frame
    assert plain["close"][-1] == TRUTH["close"][-1]
    assert forming.select("close", "closed").rows()[-1] == (5.5, False)


def test_what_is_known_of_an_answer(service, store, clock):
    store.write("A", "1m", TRUTH.head(100), source="file")
    about = service.get_candle_data("A", "1m", START, START + 200 * MINUTE).about
    assert about.sources == ("exchange", "file")
    assert about.fingerprint == store.fingerprint("A", "1m", end=START + 200 * MINUTE)
    assert about.holes.is_empty()
    assert about.newest.timestamp() * 1000 == START + 200 * MINUTE
    assert about.age == pytest.approx(clock.now - START / 1000 - 200 * 60)
    assert about.collected is not None
    assert about.collected.timestamp() == pytest.approx(clock.now, abs=1)
    assert not about.is_stale
    assert "coordinator" in repr(about)


def test_an_answer_without_the_bars_that_should_be_there_is_stale(store, clock):
    store.write("A", "1m", TRUTH.head(900))
    with MarketDataService(store) as service:
        about = service.get_candle_data("A", "1m", count=10).about
    assert about.is_stale
    assert about.why_stale == {
        "A": "100 bars up to 2025-09-01 16:40:00 are missing, and no source has said why"
    }


def test_a_request_explains_itself(service):
    steps = service.get_candle_data("A", "1m", START, START + 60 * MINUTE, explain=True).about.steps
    assert (steps[0].tier, steps[0].had) == ("coordinator", "60 rows in 1 ranges")
    assert steps[-1].had == "60 rows"
    assert all(step.microseconds > 0 for step in steps)
    again = service.get_candle_data("A", "1m", START, START + 60 * MINUTE, explain=True).about.steps
    assert [step.tier for step in again] == ["memory"]


def test_which_tier_gave_which_range(service, store, source):
    source.limits = type(source.limits)(page_bars=100)
    store.write("A", "1m", TRUTH.slice(100, 350), covers="data")
    about = service.get_candle_data("A", "1m", START, START + 500 * MINUTE).about
    assert about.ranges.drop("symbol").with_columns(pl.col("start", "end").dt.epoch("ms")).rows() == [
        (START + 450 * MINUTE, START + 500 * MINUTE, "coordinator", 50),  # the latest first
        (START, START + 100 * MINUTE, "coordinator", 100),
        (START + 100 * MINUTE, START + 450 * MINUTE, "packs+sqlite", 350),
    ]
    both = service.get_candle_data(["A", "B"], "1m", START, START + 200 * MINUTE).about.ranges
    assert both.select("symbol", "rows").rows() == [("B", 100), ("B", 100), ("A", 200)]


def test_stats_balance(service, source):
    for _ in range(5):
        service.get_candle_data("A", "1m", START, START + 60 * MINUTE)
    stats = service.stats()
    assert stats["tiers"]["calls"]["calls"] == 5
    reads = {name: tier for name, tier in stats["tiers"].items() if name in ("memory", "packs", "sqlite")}
    assert sum(tier["hits"] for tier in reads.values()) == 5
    assert reads["memory"]["calls"] == 5  # which is asked first
    assert reads["memory"]["misses"] == sum(tier["calls"] for tier in reads.values()) - 5 == 1
    assert stats["tiers"]["coordinator"]["calls"] == len(source.requests) == 1
    assert stats["tiers"]["coordinator"]["rows"] == 60
    assert [one.rows for one in source.metrics] == [60]
    assert stats["upstream"] == {"failing": 0, "breaker": ""}


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"start": START + 5, "end": START}, "is empty"),
        ({"count": 0}, "number of bars"),
        ({"count": 10**9}, "from 1 to 50,000,000"),
        ({"derive": 3}, "derive=3"),
        ({"timeframe": "7x"}, "no timeframe"),
        ({"symbols": 5}, "symbols=5"),
        ({"symbols": []}, "empty"),
    ],
)
def test_bad_arguments_are_refused_before_anybody_is_asked(service, source, asked, match):
    asked = {"symbols": "A", "timeframe": "1m", **asked}
    with pytest.raises(InvalidInputError, match=match):
        service.get_candle_data(**asked)
    assert source.requests == []


@pytest.mark.parametrize("fault", ["fail", "html", "none", "symbol", "grid", "range"])
def test_what_is_no_page_covers_nothing_and_is_asked_for_again_after_a_while(store, timer, fault):
    source = Faulty({("A", "1m"): TRUTH}, name="exchange", plan=[fault])
    store.write("A", "1m", TRUTH.head(10))
    with MarketDataService(store, coordinator=source, timer=timer) as service:
        answer = service.get_candle_data("A", "1m", START, START + 60 * MINUTE)
        assert_frame_equal(answer.frame, TRUTH.head(10))
        assert "exchange failed" in answer.about.why_stale["A"]
        assert store.gaps("A", "1m", end=START + 60 * MINUTE)["reason"].to_list() == ["fetch_failed"]
        service.get_candle_data("A", "1m", START, START + 60 * MINUTE)
        assert len(source.requests) == 1  # it is left alone
        timer.now = 1e12
        answer = service.get_candle_data("A", "1m", START, START + 60 * MINUTE)
    assert_frame_equal(answer.frame, TRUTH.head(60))
    assert not answer.about.is_stale
    assert store.gaps("A", "1m", end=START + 60 * MINUTE).is_empty()


def test_what_came_before_a_failure_stays(store, clock):
    source = Faulty({("A", "1m"): TRUTH}, plan=[None, "fail"], page_bars=50)
    with MarketDataService(store, coordinator=source) as service:
        answer = service.get_candle_data("A", "1m", START, START + 150 * MINUTE)
    assert_frame_equal(answer.frame, TRUTH.slice(100, 50))
    assert answer.about.is_stale


def test_a_page_that_is_full_proves_its_rows_only(store, clock):
    """A server whose cap is lower than it says gives the latest of a range; the rest is asked for again."""
    asked = []

    def capped(symbol, timeframe, start, end):
        asked.append((start, end))
        rows = TRUTH.filter((start <= AT) & (end > AT))
        return rows.tail(100)

    source = FunctionCoordinator(capped, name="capped", page_bars=100)
    source.limits = type(source.limits)(page_bars=100)
    with MarketDataService(store, coordinator=source) as service:
        answer = service.get_candle_data("A", "1m", START, START + 250 * MINUTE)
    assert_frame_equal(answer.frame, TRUTH.head(250))
    assert store.gaps("A", "1m").is_empty()


def test_a_source_that_never_gives_what_it_says_is_given_up(store, clock):
    rows = TRUTH.slice(100, 100)
    source = FunctionCoordinator(lambda *asked: rows, name="stuck", page_bars=100)
    with MarketDataService(store, coordinator=source) as service:
        answer = service.get_candle_data("A", "1m", START + 150 * MINUTE, START + 250 * MINUTE)
    assert_frame_equal(answer.frame, TRUTH.slice(150, 50))  # what it gave of the range, it gave
    assert "did not keep to the range" in answer.about.why_stale["A"]


def test_a_call_waits_no_longer_than_it_may_and_what_had_come_stays(store, timer):
    source = Faulty({("A", "1m"): TRUTH}, plan=[None, "slow"], page_bars=50)
    policies = ServicePolicies(wait_seconds=3)
    with MarketDataService(store, coordinator=source, policies=policies, timer=timer) as service:
        answer = service.get_candle_data("A", "1m", START, START + 150 * MINUTE)
        assert_frame_equal(answer.frame, TRUTH.slice(100, 50))
        assert "no answer within 2.4 s" in answer.about.why_stale["A"]
        assert service.stats()["upstream"]["failing"] == 1  # so it is left alone for a while
        timer.now += 10
        answer = service.get_candle_data("A", "1m", START, START + 150 * MINUTE)
    assert_frame_equal(answer.frame, TRUTH.head(150))


def test_a_request_that_is_not_answered_in_time_has_failed(store, clock):
    source = Faulty({("A", "1m"): TRUTH}, plan=["slow"], timeout=0.2)
    store.write("A", "1m", TRUTH.head(1))
    with MarketDataService(store, coordinator=source) as service:
        answer = service.get_candle_data("A", "1m", START, START + 150 * MINUTE)
    assert "no answer within 0.2 s" in answer.about.why_stale["A"]


def hinted(error):
    """Return the argument that a hint names, as it stands there."""
    name, value = re.search(r"(\w+)='(\w+)'", error.value.hint.python).groups()
    return {name: value}


@pytest.mark.parametrize("symbols", ["A", ["A"], None])
def test_a_hint_of_the_service_works_when_it_is_followed(store, symbols):
    store.write("A", "1m", TRUTH)
    with MarketDataService(store, policies=ServicePolicies(derive=False)) as service:
        with pytest.raises(NoSuchSeriesError, match="1h can be made of 1m") as error:
            service.get_candle_data(symbols, "1h")
        assert len(service.get_candle_data(symbols, "1h", **hinted(error))) == 16
        with pytest.raises(NoSuchSeriesError) as error:
            service.get_candle_data(symbols, "1s", derive=False)
        assert error.value.hint is None
        with pytest.raises(NoSuchSeriesError) as error:
            service.get_candle_data(symbols, "1h", derive="7m")
        assert hinted(error) == {"derive": "1m"}  # 7m could be made of them, too, but no hour of 7m


def test_a_zone_without_bars_to_cut_says_which_to_fetch(store, clock):
    clock.at(3 * 1_440)
    source = FunctionCoordinator(
        lambda symbol, timeframe, low, high: [(at, 1, 2, 1, 2, 5) for at in range(low, high, MINUTE)],
        page_bars=10_000,
    )
    with MarketDataService(store, coordinator=source) as service:
        asked = {"symbols": "B", "timeframe": "1d", "start": START, "tz": "Asia/Seoul"}
        with pytest.raises(InvalidInputError, match="are made of shorter ones") as error:
            service.get_candle_data(**asked)
        days = service.get_candle_data(**asked, **hinted(error)).frame
    assert days["bars"].to_list()[1] == 1_440
