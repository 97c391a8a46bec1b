"""What an attack on the service has found: wrong answers, hangs and raw errors, each as it was."""

import asyncio
import datetime as dt
import threading

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import mdstore
from mdstore import (
    AsyncMarketDataService,
    FunctionCoordinator,
    InvalidInputError,
    MarketDataService,
    ServicePolicies,
)
from mdstore.service.router import RoutedBar
from tests.support.candles import MINUTE, START, walk
from tests.support.upstream import Clock

HOUR, DAY = 60 * MINUTE, 1_440 * MINUTE


def bars(low, high, step=MINUTE):
    return [(at, 1.0, 3.0, 0.5, 2.0, 10.0) for at in range(-(-low // step) * step, high, step)]


@pytest.fixture
def clock():
    clock = Clock()
    clock.at(10 * 1_440)
    return clock


class Source(FunctionCoordinator):
    """A function of a test, with what was asked for in minutes from the start."""

    def __init__(self, function=None, **options):
        self.asked = []
        steps = {"1m": MINUTE, "1h": HOUR, "1d": DAY}

        def give(symbol, timeframe, low, high):
            self.asked.append((symbol, timeframe, (low - START) // MINUTE, (high - START) // MINUTE))
            return (
                bars(low, high, steps[timeframe])
                if function is None
                else function(symbol, timeframe, low, high)
            )

        super().__init__(give, **options)


def answered(store, source, *asked, **more):
    with MarketDataService(store, coordinator=source) as service:
        return service.get_candle_data(*asked, **more)


@pytest.mark.parametrize(
    "range_", [("1970-01-05", "1970-06-01"), ("1971-02-05", None), ("1969-03-01", "1969-05-01")]
)
def test_the_years_about_1970_are_not_taken_for_seconds(store, range_):
    store.write("A", "1d", bars(-400 * DAY, 900 * DAY, DAY), unit="ms")
    with MarketDataService(store) as service:
        assert_frame_equal(
            service.get_candle_data("A", "1d", *range_).frame,
            store.candles("A", "1d", start=range_[0], end=range_[1]),
        )
    source = Source(lambda *_: [])
    with pytest.raises(mdstore.NoSuchSeriesError):
        answered(store, source, "B", "1d", "1970-01-05", "1970-06-01")
    assert source.asked == [("B", "1d", (4 * DAY - START) // MINUTE, (151 * DAY - START) // MINUTE)]


def test_a_zone_is_part_of_the_question_and_is_never_ignored(store):
    store.write("A", "1h", bars(START, START + 10 * DAY, HOUR))
    store.write("A", "1d", bars(START, START + 10 * DAY, DAY))
    store.write("B", "1d", bars(START, START + 10 * DAY, DAY))
    bounds = {"start": START, "end": START + 5 * DAY}
    seoul = store.resample("A", "1d", source="1h", tz="Asia/Seoul", **bounds)
    with MarketDataService(store, coordinator=Source()) as service:
        for _ in range(2):
            plain = service.get_candle_data("A", "1d", START, START + 5 * DAY).frame
            assert_frame_equal(plain, store.candles("A", "1d", end=START + 5 * DAY))
            zoned = service.get_candle_data("A", "1d", START, START + 5 * DAY, tz="Asia/Seoul").frame
            assert_frame_equal(zoned, seoul)
        for wrong in ({"tz": "Mars/X"}, {"tz": 5}, {"tz": "Asia/Seoul", "derive": False}):
            with pytest.raises(InvalidInputError):
                service.get_candle_data("A", "1d", START, **wrong)
    with MarketDataService(store) as service, pytest.raises(InvalidInputError):
        service.get_candle_data("B", "1d", START, tz="Asia/Seoul")


def test_the_last_derived_bar_is_fetched_whole(store):
    store.write("A", "1h", bars(START, START + 2 * HOUR, HOUR))
    frame = answered(store, Source(), "A", "1d", START, START + DAY + 12 * HOUR).frame
    assert frame.select("bars", "of", "closed").rows() == [(24, 24, True), (24, 24, True)]


def test_a_source_whose_start_is_not_included_proves_no_absence(store):
    source = Source(lambda symbol, timeframe, low, high: bars(low + 1, high + 1), page_bars=50)
    answer = answered(store, source, "A", "1m", START, START + 100 * MINUTE)
    assert answer.about.is_stale
    assert "did not keep to the range" in answer.about.why_stale["A"]
    assert store.missing("A", "1m", start=START, end=START + 100 * MINUTE)["bars"].sum() == 2


def test_a_page_that_is_full_by_a_repeated_row_proves_its_rows_only(store):
    def repeating(symbol, timeframe, low, high):
        rows = bars(low, high)
        return [rows[0], *rows][:50]

    answer = answered(store, Source(repeating, page_bars=50), "A", "1m", START, START + 100 * MINUTE)
    assert len(answer) == 100


def test_a_bar_that_ends_during_a_fetch_is_asked_for_next(store, clock):
    clock.now = START / 1000 + 10 * 3_600 + 1

    def slow(symbol, timeframe, low, high):
        clock.now += 5
        return bars(low, high, HOUR)

    seconds = [0.0]
    with MarketDataService(store, coordinator=Source(slow), timer=lambda: seconds[0]) as service:
        assert len(service.get_candle_data("A", "1h", START, START + 20 * HOUR)) == 9
        clock.now, seconds[0] = clock.now + 300, seconds[0] + 300
        assert len(service.get_candle_data("A", "1h", START, START + 20 * HOUR)) == 10


def test_a_list_does_not_answer_for_one_symbol(store):
    sparse = Source(
        lambda symbol, timeframe, low, high: [row for row in bars(low, high) if row[0] // MINUTE % 10 == 0]
    )
    with MarketDataService(store, coordinator=sparse) as service:
        service.get_candle_data(["A"], "1m", count=50)
        assert len(service.get_candle_data("A", "1m", count=50)) == 50


def test_a_timeframe_that_comes_to_be_stored_is_read_and_what_is_deleted_is_asked_for(store):
    with MarketDataService(store, coordinator=Source()) as service:
        store.write("A", "1m", bars(START, START + 120 * MINUTE))
        asked = ("A", "1h", START, START + 2 * HOUR)
        assert service.get_candle_data(*asked).frame["volume"].to_list() == [600.0, 600.0]
        store.write("A", "1h", [(START + at * HOUR, 1, 9, 0.5, 2, 777.0) for at in range(2)])
        assert service.get_candle_data(*asked).frame["volume"].to_list() == [777.0, 777.0]
        store.delete("A", "1h")
        store.delete("A", "1m")
        assert len(service.get_candle_data("A", "1m", START, START + 9 * MINUTE)) == 9


@pytest.mark.parametrize("error", [asyncio.CancelledError, SystemExit, KeyboardInterrupt])
def test_whatever_a_source_raises_is_a_failure_and_the_service_lives(store, error):
    calls = []

    def once(symbol, timeframe, low, high):
        calls.append(symbol)
        if symbol == "X":
            raise error
        return bars(low, high)

    store.write("X", "1m", bars(START, START + 5 * MINUTE))
    with MarketDataService(
        store, coordinator=Source(once), policies=ServicePolicies(wait_seconds=5)
    ) as service:
        answer = service.get_candle_data("X", "1m", START, START + 10 * MINUTE)
        assert error.__name__ in answer.about.why_stale["X"]
        assert service.stats()["upstream"]["failing"] == 1
        assert len(service.get_candle_data("Y", "1m", START, START + 10 * MINUTE)) == 10


def test_a_bar_that_is_published_late_is_not_proven_absent(store, clock):
    clock.now = START / 1000 + 600 + 3

    def late(symbol, timeframe, low, high):
        return [row for row in bars(low, high) if row[0] + MINUTE + 5_000 <= clock.now * 1000]

    answered(store, Source(late), "A", "1m", START, START + 20 * MINUTE)
    clock.now += 3_600
    assert len(answered(store, Source(late), "A", "1m", START, START + 20 * MINUTE)) == 20


def test_a_lease_that_comes_too_late_is_given_back(store):
    import apsw

    store.write("A", "1m", bars(START, START + 5 * MINUTE))
    other = apsw.Connection(str(store.path))
    other.execute("BEGIN IMMEDIATE")
    source, policies = Source(), ServicePolicies(wait_seconds=0.5)
    with MarketDataService(store, coordinator=source, policies=policies) as service:
        service.get_candle_data("A", "1m", START, START + 10 * MINUTE)
        other.execute("ROLLBACK")
        other.close()
        for _ in range(1_000):
            if store._candles._database.peek("SELECT count(*) FROM leases") == (0,):
                break
            threading.Event().wait(0.01)
        assert len(service.get_candle_data("A", "1m", START, START + 10 * MINUTE)) == 10


def test_a_store_that_is_only_read_answers_at_once(tmp_path):
    with mdstore.open(tmp_path / "s.sqlite3") as store:
        store.write("A", "1m", walk(10))
    source = Source()
    with mdstore.open(tmp_path / "s.sqlite3", read_only=True) as store:
        with MarketDataService(store, coordinator=source) as service:
            answer = service.get_candle_data("A", "1m", START, START + 20 * MINUTE)
            assert service._tiers.background._thread is None  # nobody waits for what cannot come
        assert len(answer) == 10
        assert "only read" in answer.about.why_stale[""]
    assert source.asked == []


@pytest.mark.parametrize(
    "parts", [{"coordinator": len}, {"coordinator": "x"}, {"router": "x"}, {"store": "x"}, {"store": None}]
)
def test_parts_that_are_none_are_refused(store, parts):
    with pytest.raises(InvalidInputError, match=next(iter(parts))):
        MarketDataService(**{"store": store, **parts})


def test_a_store_that_is_closed_first_says_so(store):
    service = MarketDataService(store, coordinator=Source())
    service.get_candle_data("A", "1m", START, START + 9 * MINUTE)
    store.close()
    with pytest.raises(mdstore.StoreClosedError):
        service.get_candle_data("A", "1m", START, START + 99 * MINUTE)
    service.close()


def test_two_event_loops_may_share_a_service(store):
    service = AsyncMarketDataService(store, coordinator=Source())

    async def ask():
        calls = [service.get_candle_data("A", "1m", START, START + 9 * MINUTE) for _ in range(40)]
        return [len(answer) for answer in await asyncio.gather(*calls)]

    found = []
    threads = [threading.Thread(target=lambda: found.append(asyncio.run(ask()))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[9] * 40] * 3
    asyncio.run(service.close())


def test_a_screen_with_a_function_in_its_expression_is_asked_each_time(store):
    store.write("A", "1m", walk(9))
    question = pl.col("close").map_batches(lambda values: values.max(), returns_scalar=True)
    with MarketDataService(store) as service:
        assert service.screen("1m", question).rows.rows() == store.screen("1m", question).rows.rows()
        for wrong in (None, 5):
            with pytest.raises(InvalidInputError):
                service.screen("1m", wrong)


def test_a_date_is_no_text(store):
    with MarketDataService(store) as service:
        for value in (dt.date(2025, 1, 1), "date 2025-01-01", "2025-01-01", dt.datetime(2025, 1, 1)):
            assert (
                service.sql("SELECT ? AS x", params=[value]).dtypes
                == store.sql("SELECT ? AS x", params=[value]).dtypes
            )


def test_holes_are_of_the_symbols_that_there_are(store):
    source = Source(lambda symbol, timeframe, low, high: [] if symbol == "ZZ" else bars(low, high))
    answer = answered(store, source, ["A", "ZZ"], "1m", START, START + 9 * MINUTE)
    assert answer.about.holes.is_empty()


def test_bars_of_a_router_that_are_none_are_not_shown(store, clock):
    store.write("A", "1m", bars(START, START + 9 * MINUTE))
    good = RoutedBar(START + 9 * MINUTE, 1.0, 2.0, 1.0, 2.0, 5.0, closed=False)

    class Router:
        name = "router"

        def candles(self, symbol, timeframe, start, end):
            return self.held

    router = Router()
    with MarketDataService(store, router) as service:
        for wrong in (
            {"high": 0.0},
            {"close": float("nan")},
            {"open": None},
            {"open": "x"},
            {"timestamp": START + 9 * MINUTE + 1},
        ):
            router.held = [good._replace(**wrong)]
            assert len(service.get_candle_data("A", "1m", count=99, include_forming=True)) == 9
        router.held = [good]
        assert len(service.get_candle_data("A", "1m", count=99, include_forming=True)) == 10


def test_a_range_that_nobody_can_want_is_refused(store):
    with pytest.raises(InvalidInputError, match="more than the 50,000,000"):
        answered(store, Source(), "A", "1s", "2010-01-01")
