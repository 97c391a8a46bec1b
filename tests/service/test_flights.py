"""Who asks for the same at once shares one request: threads, tasks, processes; and cancels none of others."""

import asyncio
import inspect
import os
import threading
import time

import pytest
from polars.testing import assert_frame_equal

import mdstore
from mdstore import AsyncMarketDataService, MarketDataService, ServicePolicies
from mdstore.service.memory_coordinator import MemoryCoordinator
from mdstore.sources.sync.coordinator import FunctionCoordinator
from tests.support.candles import MINUTE, START, walk
from tests.support.processes import start
from tests.support.upstream import Clock, Faulty, bars_asked
from tests.support.waiting import until

TRUTH = walk(1_000)


@pytest.fixture
def clock():
    return Clock.behind(1_000)


class Gate(MemoryCoordinator):
    """Answers when it is opened."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.opened = threading.Event()
        self.under_way = 0

    async def candles(self, symbol, timeframe, start, end):
        self.under_way += 1
        try:
            while not self.opened.is_set():
                await asyncio.sleep(0.005)
            async for page in super().candles(symbol, timeframe, start, end):
                yield page
        finally:
            self.under_way -= 1


def test_a_thousand_tasks_that_miss_the_same_make_one_request(store):
    source = MemoryCoordinator({("A", "1m"): TRUTH}, page_bars=1_000)

    async def ask():
        async with AsyncMarketDataService(store, coordinator=source) as service:
            asked = [service.get_candle_data("A", "1m", START, START + 500 * MINUTE) for _ in range(1_000)]
            return await asyncio.gather(*asked)

    answers = asyncio.run(ask())
    assert len(source.requests) == 1
    assert {len(answer) for answer in answers} == {500}
    answers[0].frame.drop_in_place("close")  # it is the caller's own
    assert_frame_equal(answers[-1].frame, TRUTH.head(500))


def test_threads_and_overlapping_ranges_ask_for_no_bar_twice(store, monkeypatch):
    source = MemoryCoordinator({("A", "1m"): TRUTH}, page_bars=50)
    taken, take = [], store._candles.leases.take
    monkeypatch.setattr(store._candles.leases, "take", lambda name: taken.append(name) or take(name))
    with MarketDataService(store, coordinator=source) as service:
        ranges = [(low, low + 300) for low in range(0, 700, 50)] * 3
        frames = {}

        def ask(number, low, high):
            answer = service.get_candle_data("A", "1m", START + low * MINUTE, START + high * MINUTE)
            frames[number] = (low, answer.frame)

        threads = [threading.Thread(target=ask, args=(number, *one)) for number, one in enumerate(ranges)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(frames) == len(ranges)
    for low, frame in frames.values():
        assert_frame_equal(frame, TRUTH.slice(low, 300))
    assert bars_asked(source) == 950  # each once
    assert len(taken) <= len(ranges)  # nobody of this process looked again and again whether it is his turn


def test_one_who_gives_up_does_not_end_the_flight_of_others_and_the_last_one_does(store):
    source = Gate({("A", "1m"): TRUTH})

    async def ask():
        async with AsyncMarketDataService(store, coordinator=source) as service:
            first, second = (
                asyncio.create_task(service.get_candle_data("A", "1m", START, START + 9 * MINUTE))
                for _ in range(2)
            )
            await asyncio.to_thread(until, lambda: source.under_way == 1)
            first.cancel()
            await asyncio.sleep(0.05)
            assert source.under_way == 1
            source.opened.set()
            assert len(await second) == 9
            source.opened.clear()
            third = asyncio.create_task(service.get_candle_data("A", "1m", START, START + 20 * MINUTE))
            await asyncio.to_thread(until, lambda: source.under_way == 1)
            third.cancel()
            await asyncio.to_thread(until, lambda: source.under_way == 0)
            source.opened.set()
            assert len(await service.get_candle_data("A", "1m", START, START + 20 * MINUTE)) == 20

    asyncio.run(ask())
    assert store._candles._database.peek("SELECT count(*) FROM leases") == (0,)


def test_closing_ends_what_is_under_way(store):
    source = Gate({("A", "1m"): TRUTH})
    service = MarketDataService(store, coordinator=source)
    failed = []

    def ask():
        try:
            service.get_candle_data("A", "1m", START, START + 9 * MINUTE)
        except BaseException as error:
            failed.append(type(error).__name__)

    thread = threading.Thread(target=ask)
    thread.start()
    until(lambda: source.under_way == 1)
    service.close()
    thread.join(10)
    assert not thread.is_alive()
    assert failed == ["StoreClosedError"]
    with pytest.raises(mdstore.StoreClosedError, match="the service is closed"):
        service.get_candle_data("A", "1m")
    service.close()
    assert source.under_way == 0
    assert not [one for one in threading.enumerate() if one.name == "mdstore-service"]


def test_the_loop_of_the_caller_is_free_while_an_upstream_sleeps_and_a_disk_is_slow(store):
    def slow(symbol, timeframe, low, high):
        time.sleep(0.3)
        return TRUTH.filter(
            (low <= TRUTH["timestamp"].to_physical()) & (TRUTH["timestamp"].to_physical() < high)
        )

    longest = 0.0

    async def ask():
        nonlocal longest
        async with AsyncMarketDataService(store, coordinator=FunctionCoordinator(slow)) as service:
            asked = asyncio.create_task(service.get_candle_data("A", "1m", START, START + 400 * MINUTE))
            while not asked.done():
                clock = time.perf_counter()
                await asyncio.sleep(0)
                longest = max(longest, time.perf_counter() - clock)
            return await asked

    assert len(asyncio.run(ask())) == 400
    assert longest < 0.25  # a call of 0.3 s was never waited for in the loop


def calls_of(face):
    return {name for name in vars(face) if not name.startswith("_")}


def test_the_two_faces_have_the_same_calls():
    names = calls_of(MarketDataService)
    assert names == calls_of(AsyncMarketDataService)
    assert {"get_candle_data", "get_ticker_data", "get_orderbook_data", "get_trade_data", "sql"} <= names
    for name in names:
        one, other = getattr(MarketDataService, name), getattr(AsyncMarketDataService, name)
        assert inspect.signature(one).parameters.keys() == inspect.signature(other).parameters.keys()
        for mine, theirs in zip(
            inspect.signature(one).parameters.values(),
            inspect.signature(other).parameters.values(),
            strict=True,
        ):
            assert (mine.kind, mine.default, mine.annotation) == (
                theirs.kind,
                theirs.default,
                theirs.annotation,
            )


def test_both_faces_answer_the_same(store):
    source = Faulty({("A", "1m"): TRUTH})

    async def ask(**asked):
        async with AsyncMarketDataService(store, coordinator=source) as service:
            return await service.get_candle_data("A", "1m", **asked)

    with MarketDataService(store, coordinator=source) as service:
        for asked in (
            {"start": START, "end": START + 90 * MINUTE},
            {"count": 7},
            {"derive": "1m", "start": START},
        ):
            one, other = service.get_candle_data("A", "1m", **asked), asyncio.run(ask(**asked))
            assert_frame_equal(one.frame, other.frame)
            assert one.about.why_stale == other.about.why_stale


SHARER = """
    import sys, mdstore
    from mdstore.sources.sync.coordinator import FunctionCoordinator
    from tests.support.candles import MINUTE, START, walk
    from tests.support.upstream import Clock

    clock, truth = Clock(), walk(1_000)
    clock.at(1_000)
    times = truth["timestamp"].to_physical()

    def give(symbol, timeframe, low, high):
        print(f"asked {low} {high}", flush=True)
        sys.argv[1] == "hang" and __import__("time").sleep(1_000)
        return truth.filter((times >= low) & (times < high))

    source = FunctionCoordinator(give, page_bars=50)
    with mdstore.MarketDataStore("market_data.sqlite3", clock=clock) as store:
        with mdstore.MarketDataService(store, coordinator=source) as service:
            frame = service.get_candle_data("A", "1m", START, START + 500 * MINUTE).frame
    print(f"read {frame.equals(truth.head(500))}", flush=True)
"""


def test_two_processes_share_the_work(tmp_path):
    mdstore.open(tmp_path / "market_data.sqlite3").close()
    children = [start(SHARER, "quick", cwd=tmp_path) for _ in range(2)]
    lines = [line for child in children for line in child.communicate(timeout=100)[0].splitlines()]
    assert lines.count("read True") == 2
    asked = [tuple(map(int, line.split()[1:])) for line in lines if line.startswith("asked")]
    assert sorted(asked) == [(START + at * MINUTE, START + (at + 50) * MINUTE) for at in range(0, 500, 50)]


@pytest.mark.long
def test_a_process_that_is_killed_while_it_asks_keeps_nobody_waiting(tmp_path):
    mdstore.open(tmp_path / "market_data.sqlite3").close()
    child = start(SHARER, "hang", cwd=tmp_path)
    assert child.stdout.readline().startswith("asked")
    child.kill()
    child.wait()
    child.stdout.close()
    other = start(SHARER, "quick", cwd=tmp_path)
    assert "read True" in other.communicate(timeout=100)[0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_has_flights_of_its_own(python):
    script = """
        import os, mdstore
        from mdstore.service.memory_coordinator import MemoryCoordinator
        from tests.support.candles import MINUTE, START, walk
        source = MemoryCoordinator({("A", "1m"): walk(100)})
        with mdstore.open("s.sqlite3") as store:
            service = mdstore.MarketDataService(store, coordinator=source)
            service._tiers.background.loop  # the parent's is running
            pid = os.fork()
            table = service.get_candle_data("A", "1m", START, START + (50 if pid else 60) * MINUTE).table
            assert table.num_rows == (50 if pid else 60), table.num_rows
            if not pid:
                os._exit(0)
            print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            service.close()
    """
    assert python(script) == "0"


def test_ctrl_c_ends_the_wait_and_leaves_a_service_that_works(store):
    from tests.support.interrupts import interrupted

    source = Gate({("A", "1m"): TRUTH})
    with MarketDataService(store, coordinator=source, policies=ServicePolicies(wait_seconds=60)) as service:
        with pytest.raises(KeyboardInterrupt):
            interrupted(0.3, lambda: service.get_candle_data("A", "1m", START, START + 9 * MINUTE))
        until(lambda: source.under_way == 0)
        source.opened.set()
        assert len(service.get_candle_data("A", "1m", START, START + 9 * MINUTE)) == 9
