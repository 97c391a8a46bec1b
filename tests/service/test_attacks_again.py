"""What a second attack on the service has found: partial bars, bars from before a write, faults of others."""

import asyncio
import datetime as dt
import threading

import apsw
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

import mdstore
from mdstore import AsyncMarketDataService, InvalidInputError, MarketDataService, ServicePolicies
from mdstore.core.timeframe import Timeframe
from mdstore.service.requests import before
from mdstore.service.router import RingRouter, RoutedBar
from tests.service.test_attacks import DAY, HOUR, Source, answered, bars
from tests.support.candles import MINUTE, START
from tests.support.upstream import Clock

MINUTES = Timeframe.parse("1m")


@pytest.fixture
def clock():
    clock = Clock()
    clock.at(10 * 1_440)
    return clock


class Timer:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


# ---- bars that are made of shorter ones are whole

ZONES = ("Asia/Seoul", "America/New_York", "Pacific/Auckland", "Asia/Kolkata")
NOVEMBER = 1_762_041_600_000  # 2025-11-02T00:00Z: the clocks of New York go back at 06:00


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    "asked",
    [
        {"start": START, "end": START + 2 * DAY},
        {"start": START + 7 * HOUR, "end": START + 3 * DAY + 5 * HOUR},
        {"end": START + 5 * DAY + 4 * HOUR, "count": 3},
        {"end": START + 5 * DAY, "count": 1},
    ],
)
def test_days_of_a_zone_are_fetched_whole(store, zone, asked):
    source = Source(lambda symbol, timeframe, low, high: bars(low, high, 30 * MINUTE))
    answer = answered(store, source, "A", "1d", tz=zone, derive="30m", **asked)
    assert answer.frame["bars"].to_list() == [48] * len(answer)
    assert answer.frame["closed"].all()
    assert len(answer) >= asked.get("count", 2)


def test_a_day_of_25_hours_is_fetched_whole(store, clock):
    clock.now = NOVEMBER / 1000 + 20 * 86_400
    end = NOVEMBER + 3 * DAY + 5 * HOUR - MINUTE  # a minute before the day of the 5th begins
    answer = answered(store, Source(), "A", "1d", end=end, count=3, tz="America/New_York", derive="1h")
    assert answer.frame["bars"].to_list() == [25, 24, 24]


@pytest.mark.parametrize(("timeframe", "zone"), [("1d", "America/New_York"), ("1M", "Asia/Seoul")])
def test_little_more_of_a_zone_is_fetched_than_its_bars_are_made_of(store, clock, timeframe, zone):
    clock.now, source = NOVEMBER / 1000 + 20 * 86_400, Source(page_bars=5_000)
    end = NOVEMBER + 3 * DAY + 5 * HOUR
    answer = answered(store, source, "A", timeframe, end=end, count=2, tz=zone, derive="1h")
    ((_, _, low, _),) = source.asked
    first = int(answer.frame["timestamp"].to_physical()[0])
    assert first - DAY <= START + low * MINUTE <= first


def test_what_a_bar_of_a_zone_is_made_of_behind_the_end_is_known_to_be_missing(store):
    store.write("A", "1h", bars(START, START + 2 * DAY, HOUR))
    store.write("A", "1h", bars(START + 6 * DAY, START + 7 * DAY, HOUR))
    with MarketDataService(store) as service:
        answer = service.get_candle_data("A", "1d", START, START + 2 * DAY, tz="Asia/Seoul")
    assert answer.frame["bars"].to_list() == [24, 9]
    assert "15 bars up to" in answer.about.why_stale["A"]
    assert answer.about.holes["bars"].to_list() == [15]


# ---- what has been written before a question is in its answer


@pytest.mark.parametrize("face", ["async", "threads"])
def test_who_asks_after_a_write_is_not_given_what_was_read_before_it(store, clock, monkeypatch, face):
    store.write("A", "1m", bars(START, START + 10 * MINUTE))
    clock.at(20)
    read, has_read, goes_on = store._reading.stored, threading.Event(), threading.Event()

    def slow(*asked, **more):
        found = read(*asked, **more)
        *_, limit, _ = asked
        if limit == 1:  # what is asked for, and not what a page lands upon
            found.frame()
            has_read.set()
            goes_on.wait(30)
        return found

    def fails(*_):
        raise KeyError("A")  # else it is known that nothing is missing, and nobody flies

    async def ask():
        services = {
            "async": lambda: AsyncMarketDataService(store),
            "threads": lambda: MarketDataService(store, coordinator=Source(fails)),
        }
        service = services[face]()

        def latest():
            if face == "async":
                return asyncio.ensure_future(service.get_candle_data("A", "1m", START, count=1))
            return asyncio.ensure_future(
                asyncio.to_thread(service.get_candle_data, "A", "1m", START, count=1)
            )

        monkeypatch.setattr(store._reading, "stored", slow)
        first = latest()
        assert await asyncio.to_thread(has_read.wait, 30)
        monkeypatch.setattr(store._reading, "stored", read)
        store.write("A", "1m", bars(START + 10 * MINUTE, START + 11 * MINUTE))
        second = latest()
        await asyncio.sleep(0.1)  # it has joined by now, if it may
        goes_on.set()
        found = [(await one).frame["timestamp"].to_physical().item() for one in (first, second)]
        closed = service.close()
        if closed is not None:
            await closed
        return found

    assert asyncio.run(ask()) == [START + 9 * MINUTE, START + 10 * MINUTE]


# ---- bars that come late


@pytest.mark.parametrize("upstream", ["coordinator", "router"])
def test_a_bar_that_comes_late_is_seen_long_before_the_next_one(store, clock, upstream):
    clock.now, timer, asked = START / 1000 + 600 * 60 + 3, Timer(), []

    def there(low, high):
        return [row for row in bars(low, high) if row[0] + MINUTE + 5_000 <= clock.now * 1000]

    class Router:
        name = "router"

        def candles(self, symbol, timeframe, low, high):
            asked.append(clock.now)
            return [RoutedBar(*row) for row in there(max(low, START), high)]

    def give(symbol, timeframe, low, high):
        asked.append(clock.now)
        return there(low, high)

    parts = {"router": Router()} if upstream == "router" else {"coordinator": Source(give)}
    seen = {}
    with MarketDataService(store, **parts, timer=timer) as service:
        for _ in range(60):
            last = service.get_candle_data("A", "1m", START + 590 * MINUTE).frame["timestamp"][-1]
            seen.setdefault((last.timestamp() * 1000 - START) // MINUTE, clock.now - START / 1000 - 36_000)
            clock.now, timer.now = clock.now + 1, timer.now + 1
    assert seen[598] == 3
    assert 5 <= seen[599] <= 8
    assert len(asked) <= 8  # and not 60


def test_a_bar_that_never_comes_costs_a_few_requests(store, clock):
    store.write("A", "1m", bars(START, START + 599 * MINUTE))
    clock.now, timer = START / 1000 + 600 * 60 + 2, Timer()
    source = Source(lambda *_: [])
    with MarketDataService(store, coordinator=source, timer=timer) as service:
        for _ in range(58):
            service.get_candle_data("A", "1m", START)
            clock.now, timer.now = clock.now + 1, timer.now + 1
    assert 4 <= len(source.asked) <= 6  # after 2, 4, 8, 16 and 32 s


def test_a_machine_that_slept_asks_for_what_came_meanwhile(store, clock):
    """Its timer stands still while it sleeps, and the time of day does not."""
    source, timer = Source(), Timer()
    with MarketDataService(store, coordinator=source, timer=timer) as service:
        service.get_candle_data("A", "1h", START)
        clock.now += 3_600
        assert service.get_candle_data("A", "1h", START).about.age < 3_600


# ---- several symbols


def test_a_symbol_of_which_there_is_nothing_is_named(store):
    store.write("A", "1h", bars(START, START + 10 * HOUR, HOUR))
    source = Source(lambda symbol, timeframe, low, high: bars(low, high, HOUR) if symbol == "A" else [])
    with MarketDataService(store, coordinator=source) as service:
        for _ in range(2):
            about = service.get_candle_data(["A", "B"], "1h", START, START + 20 * HOUR).about
            assert about.why_stale == {"B": "no 1h bar is stored, and no source gave one"}
            assert about.is_stale


def test_a_symbol_without_bars_is_named_beside_one_that_failed(store):
    def give(symbol, timeframe, low, high):
        if symbol == "C":
            raise KeyError(symbol)
        return bars(low, high, HOUR) if symbol == "A" else []

    why = answered(store, Source(give), ["A", "B", "C"], "1h", START, START + 20 * HOUR).about.why_stale
    assert sorted(why) == ["B", "C"]
    assert "KeyError" in why["C"]


def test_the_hint_works_where_one_of_several_is_stored_otherwise(store):
    store.write("A", "1h", bars(START, START + 10 * HOUR, HOUR))
    store.write("B", "1m", bars(START, START + 10 * HOUR))
    with MarketDataService(store, policies=ServicePolicies(derive=False)) as service:
        with pytest.raises(mdstore.NoSuchSeriesError, match=r"for B 1h.*with derive=True"):
            service.get_candle_data(["A", "B"], "1h")
        assert len(service.get_candle_data(["A", "B"], "1h", derive=True)) == 20
        store.write("A", "1m", bars(START, START + 10 * HOUR))
        with pytest.raises(mdstore.NoSuchSeriesError, match="with derive='1m'"):
            service.get_candle_data(["A", "B"], "1h")
        assert len(service.get_candle_data(["A", "B"], "1h", derive="1m")) == 20


# ---- routers


def test_a_bar_has_not_ended_before_its_time_whatever_a_router_says(store, clock):
    store.write("A", "1m", bars(START, START + 599 * MINUTE))
    clock.now = START / 1000 + 600 * 60 + 10
    asked = []

    class Router:
        name = "router"

        def candles(self, symbol, timeframe, low, high):
            asked.append((low, timeframe))
            first = max(low, START + 599 * MINUTE)
            return [RoutedBar(at, 1, 3, 1, 2, 9) for at in range(first, START + 601 * MINUTE, MINUTE)]

    with MarketDataService(store, Router()) as service:
        for start in (None, START + 30_000):
            found = service.get_candle_data("A", "1m", start, include_forming=True)
            assert found.frame["closed"].to_list()[-2:] == [True, False]
            assert found.about.newest == dt.datetime.fromtimestamp(START / 1000 + 36_000, dt.UTC)
    assert [low for low, _ in asked if low != MINUTES.floor(low)] == []  # it may count on from there


def routed_trades(clock, change=lambda rows: rows):
    rings = mdstore.RealtimeDataCache(clock=lambda: int(clock.now * 1e9))
    for number in range(4):
        rings.trades.push(("A", int(clock.now * 1000) - 10 + number, 100.0 + number, 1.0, "buy", number))

    class Router(RingRouter):
        def trades(self, symbol, seconds=None):
            return change(super().trades(symbol, seconds))

    return Router(rings)


def test_a_trade_that_a_router_gives_twice_is_given_once(store, clock):
    store.trades.push(("A", int(clock.now * 1000) - 9, 101.0, 1.0, "buy", 1))
    router = routed_trades(clock, lambda rows: pa.concat_tables([rows, rows]))
    with MarketDataService(store, router) as service:
        answer = service.get_trade_data("A")
    assert answer.frame["id"].to_list() == [0, 1, 2, 3]
    assert answer.about.ranges.select("tier", "rows").rows() == [("memory", 1), ("router", 3)]


@pytest.mark.parametrize(
    ("column", "value"), [("price", float("nan")), ("price", None), ("size", -1.0), ("timestamp", 10**9)]
)
def test_a_trade_of_a_router_that_is_none_is_left_out_and_the_others_are_not(
    store, clock, caplog, column, value
):
    def change(rows):
        values = (
            rows[column].cast(pa.int64()).to_pylist() if column == "timestamp" else rows[column].to_pylist()
        )
        values[2] = values[2] + value if column == "timestamp" else value
        kind = rows.schema.field(column).type
        return rows.set_column(
            rows.schema.names.index(column), pa.field(column, kind), [pa.array(values, kind)]
        )

    with MarketDataService(store, routed_trades(clock, change)) as service:
        assert service.get_trade_data("A").frame["id"].to_list() == [0, 1, 3]
    assert "1 of 4 trades of A break a rule" in caplog.text


def test_a_row_of_another_symbol_is_not_given(store, clock, caplog):
    class Router(RingRouter):
        def latest_ticker(self, symbol):
            return mdstore.Ticker("B", int(clock.now * 1000), 1.0)

    with MarketDataService(store, Router(mdstore.RealtimeDataCache())) as service:
        assert service.get_ticker_data("A").frame.is_empty()
    assert "asked for A, the router gave a row of B" in caplog.text


def test_a_coordinator_is_no_router_and_the_hint_works(store):
    source = Source()
    with pytest.raises(InvalidInputError, match="as a coordinator does") as error:
        MarketDataService(store, source)
    assert "coordinator=" in str(error.value)
    assert len(answered(store, source, "A", "1m", START, START + 5 * MINUTE)) == 5


# ---- sources


@pytest.mark.variants(3)
@pytest.mark.parametrize("cap", [7, 30, 99])
@pytest.mark.parametrize("end", ["latest", "earliest"])
def test_a_server_that_gives_fewer_rows_than_is_said_of_it_hides_none(store, cap, end):
    def capped(symbol, timeframe, low, high):
        rows = bars(low, high)
        return rows[-cap:] if end == "latest" else rows[:cap]

    source = Source(capped, page_bars=200)
    answer = answered(store, source, "A", "1m", START, START + 500 * MINUTE)
    assert len(answer) == 500
    assert not answer.about.is_stale


def test_a_server_that_gives_fewer_rows_of_a_sparse_market_hides_none(store):
    def capped(symbol, timeframe, low, high):
        return [row for row in bars(low, high) if (row[0] - START) // MINUTE % 3 == 0][-50:]

    source = Source(capped, page_bars=200)
    assert len(answered(store, source, "A", "1m", START, START + 600 * MINUTE)) == 200
    asked = len(source.asked)
    assert len(answered(store, source, "A", "1m", START, START + 600 * MINUTE)) == 200
    assert len(source.asked) == asked  # the others never were, and that is known


def test_bars_from_before_a_listing_cost_one_request_more(store):
    listed = START + 150 * MINUTE
    source = Source(lambda symbol, timeframe, low, high: bars(max(low, listed), high), page_bars=200)
    assert len(answered(store, source, "A", "1m", START, START + 200 * MINUTE)) == 50
    assert [asked[2:] for asked in source.asked] == [(0, 200), (0, 150)]


class Pages(Source):
    """Gives one page, made of what was asked for."""

    def __init__(self, make):
        super().__init__()
        self.make = make

    async def candles(self, symbol, timeframe, start, end):
        yield self.make(start, end)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda low, high: mdstore.Page(low, high, [], "because"), "'because' of bars of A 1m"),
        (
            lambda low, high: mdstore.Page(low, high, bars(low, high)[:5], "unknown"),
            "a reason is one of no_trade",
        ),
        (lambda low, high: mdstore.Page(float(low), high, bars(low, high)), "no whole ms"),
        (lambda low, high: mdstore.Page(low, None, bars(low, high)), "no whole ms"),
    ],
)
def test_a_page_that_says_what_nobody_can_say_is_none(store, make, says):
    store.write("A", "1m", bars(START, START + 5 * MINUTE))
    answer = answered(store, Pages(make), "A", "1m", START, START + 20 * MINUTE)
    assert says in answer.about.why_stale["A"]
    assert len(answer) == 5
    assert store.gaps("A", "1m", end=START + 20 * MINUTE)["reason"].to_list() == ["fetch_failed"]


# ---- faults that are not of the source


def test_a_file_that_is_busy_shuts_no_source_off(tmp_path, clock):
    with mdstore.MarketDataStore(tmp_path / "s.sqlite3", clock=clock, busy_timeout=0.2) as store:
        store.write("A", "1m", bars(START, START + 5 * MINUTE))
        other = apsw.Connection(str(store.path))

        def give(symbol, timeframe, low, high):
            if symbol == "A":
                other.execute("BEGIN IMMEDIATE")
            return bars(low, high)

        policies = ServicePolicies(breaker=1)
        with MarketDataService(store, coordinator=Source(give), policies=policies) as service:
            why = service.get_candle_data("A", "1m", START, START + 10 * MINUTE).about.why_stale["A"]
            other.execute("ROLLBACK")
            other.close()
            assert "function failed" not in why
            assert "busy" in why or "lock" in why
            assert service.stats()["upstream"]["breaker"] == ""
            assert len(service.get_candle_data("B", "1m", START, START + 10 * MINUTE)) == 10


# ---- arguments


@pytest.mark.parametrize("timeframe", ["1M", "3M", "1m"])
def test_more_bars_than_there_ever_were_are_counted_at_once(timeframe):
    parsed = Timeframe.parse(timeframe)
    assert before(parsed, START, 10**15) == before(parsed, START, 10**16)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda service: service.get_trade_data("A", count=0), "count=0 is no number of rows"),
        (lambda _: mdstore.FunctionCoordinator(len, concurrency=0), "concurrency=0 is no number of requests"),
        (lambda _: mdstore.FunctionCoordinator(len, page_bars=None), "page_bars=None is no number of bars"),
        (lambda _: ServicePolicies(wait_seconds=None), "wait_seconds=None is no time to wait"),
    ],
)
def test_the_argument_that_is_wrong_is_named_and_what_may_be_given(store, call, says):
    with MarketDataService(store) as service, pytest.raises(InvalidInputError) as error:
        call(service)
    assert says in str(error.value)
    assert str(error.value).endswith("or None") == ("count" in says)


def test_a_list_of_one_symbol_twice_is_of_it_once(store):
    store.write("A", "1m", bars(START, START + 5 * MINUTE))
    with MarketDataService(store, coordinator=Source()) as service:
        once, twice = (service.get_candle_data(names, "1m", count=3).frame for names in (["A"], ["A", "A"]))
    assert_frame_equal(once, twice)
