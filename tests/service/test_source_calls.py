"""A source is somebody's code: that it blocks, hangs, fails or asks back is its own trouble, and told."""

import asyncio
import gc
import os
import threading
import weakref

import pytest

import mdstore
from mdstore import AsyncMarketDataService, FunctionCoordinator, MarketDataService, ServicePolicies
from mdstore.service.router import RoutedBar
from mdstore.sources.sync.call_threads import CallThreads
from tests.support.candles import MINUTE, START
from tests.support.upstream import Clock


@pytest.fixture
def clock():
    return Clock.behind(1_000)


def bars(low, high):
    return [(at, 1.0, 3.0, 0.5, 2.0, 10.0) for at in range(-(-low // MINUTE) * MINUTE, high, MINUTE)]


TEN = (START, START + 10 * MINUTE)


# ---- what blocks


def test_a_coroutine_that_blocks_holds_nobody_but_its_source(store):
    store.write("A", "1m", bars(*TEN))
    gate, began = threading.Event(), threading.Event()

    async def blocks(symbol, timeframe, low, high):
        if symbol == "B":
            began.set()
            gate.wait(60)  # as requests.get would
        return bars(low, high)

    policies = ServicePolicies(wait_seconds=4)
    source = FunctionCoordinator(blocks, name="exchange")
    with MarketDataService(store, coordinator=source, policies=policies) as service:
        answers = []

        def ask(symbol):
            try:
                answers.append(service.get_candle_data(symbol, "1m", *TEN))
            except mdstore.NoSuchSeriesError as error:
                answers.append(error)

        thread = threading.Thread(target=ask, args=("B",))
        thread.start()
        assert began.wait(20)
        assert len(service.get_candle_data("A", "1m", *TEN)) == 10  # in a flight, as it is the first
        assert thread.is_alive()
        thread.join()
        assert "no answer within 3.2 s: it holds its event loop" in str(answers[0])
        assert "A plain function runs in a thread" in str(answers[0])
        gate.set()


def test_a_report_that_blocks_holds_the_answer_but_a_moment(store):
    gate = threading.Event()

    class Slow(FunctionCoordinator):
        def report(self, metrics):
            gate.wait(60)

    source = Slow(lambda *asked: bars(*asked[2:]))
    with MarketDataService(store, coordinator=source) as service:
        assert len(service.get_candle_data("A", "1m", *TEN)) == 10
        gate.set()


def test_a_router_that_blocks_holds_no_loop(store):
    store.write("A", "1m", bars(*TEN))
    gate, began = threading.Event(), threading.Event()

    class Router:
        name = "router"

        def candles(self, symbol, timeframe, start, end):
            if symbol == "B":
                began.set()
                gate.wait(60)
            return [RoutedBar(*row) for row in bars(start, end)]

    with MarketDataService(store, Router()) as service:
        thread = threading.Thread(target=service.get_candle_data, args=("B", "1m", *TEN))
        thread.start()
        assert began.wait(20)
        assert len(service.get_candle_data("A", "1m", START, START + 20 * MINUTE)) == 20
        assert thread.is_alive()
        gate.set()
        thread.join()


# ---- what asks back


def test_a_source_that_asks_its_own_service_is_told_what_to_do(store):
    services = {}

    def plain(symbol, timeframe, low, high):
        return services["sync"].get_candle_data("OTHER", timeframe, low, high).frame

    async def blocking(symbol, timeframe, low, high):
        return services["sync"].get_candle_data("OTHER", timeframe, low, high).frame

    async def awaiting(symbol, timeframe, low, high):
        return (await services["async"].get_candle_data("OTHER", timeframe, low, high)).frame

    for function in (plain, blocking):
        with (
            MarketDataService(store, coordinator=FunctionCoordinator(function)) as services["sync"],
            pytest.raises(mdstore.NoSuchSeriesError, match=r"both would wait for ever.+ read the store"),
        ):
            services["sync"].get_candle_data("A", "1m", *TEN)

    async def ask():
        async with AsyncMarketDataService(store, coordinator=FunctionCoordinator(awaiting)) as service:
            services["async"] = service
            await service.get_candle_data("A", "1m", *TEN)

    with pytest.raises(mdstore.NoSuchSeriesError, match="both would wait for ever"):
        asyncio.run(ask())


def test_a_router_that_asks_its_own_service_is_told(store, caplog):
    class Router:
        name = "router"

        def candles(self, symbol, timeframe, start, end):
            return self.service.get_candle_data("OTHER", timeframe, start, end).frame

    router = Router()
    with MarketDataService(store, router) as router.service, pytest.raises(mdstore.NoSuchSeriesError):
        router.service.get_candle_data("A", "1m", *TEN)
    assert "both would wait for ever" in caplog.text


def test_the_hint_works_a_source_may_read_the_store_or_ask_another_service(store):
    store.write("OTHER", "1m", bars(*TEN))
    upstream = FunctionCoordinator(lambda *asked: bars(*asked[2:]), name="far")

    with MarketDataService(store, coordinator=upstream) as other:

        def reads(symbol, timeframe, low, high):
            if symbol == "A":
                return store.candles("OTHER", timeframe)
            return other.get_candle_data("C", timeframe, low, high).frame

        with MarketDataService(store, coordinator=FunctionCoordinator(reads)) as service:
            assert len(service.get_candle_data("A", "1m", *TEN)) == 10
            assert len(service.get_candle_data("B", "1m", *TEN)) == 10


# ---- what hangs


def test_the_threads_of_what_hangs_are_few_and_the_others_end():
    gate = threading.Event()
    threads = CallThreads(3)
    futures = [threads.submit(lambda: gate.wait(60)) for _ in range(10)]
    assert len(source_threads()) == 3
    assert all(thread.daemon for thread in source_threads())
    for future in futures[5:]:
        assert future.cancel()
    gate.set()
    assert all(future.result(20) for future in futures[:5])
    for thread in source_threads():
        thread.join(20)
    assert source_threads() == []
    failing = threads.submit(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        failing.result(20)


def test_a_call_that_is_cancelled_as_it_waits_is_forgotten_at_once():
    """Behind a source that hung, each request that was given up stayed, with all that it held."""
    gate, threads = threading.Event(), CallThreads(1)
    hanging = threads.submit(lambda: gate.wait(60))
    asked = [Asked() for _ in range(100)]
    gone = [weakref.ref(one) for one in asked]
    futures = [threads.submit(one) for one in asked]
    del asked
    for future in futures[1:]:
        assert future.cancel()
    gc.collect()
    assert [ref() is None for ref in gone] == [False] + [True] * 99
    gate.set()
    assert hanging.result(20)
    assert futures[0].result(20) == "asked"


class Asked:
    def __call__(self):
        return "asked"


def test_more_calls_than_can_wait_are_refused_and_the_hint_works():
    gate, threads = threading.Event(), CallThreads(2, waiting=3)
    futures = [threads.submit(lambda: gate.wait(60)) for _ in range(5)]
    with pytest.raises(mdstore.SourceError, match=r"3 calls of a source wait.*at most 2 at a time") as error:
        threads.submit(lambda: 1)
    assert "ask for less at once" in str(error.value)
    assert futures[-1].cancel()
    less = threads.submit(lambda: 7)
    gate.set()
    assert less.result(20) == 7
    assert all(future.result(20) for future in futures[:4])


def test_a_source_that_hangs_under_many_requests_answers_each_with_what_is_the_matter():
    gate = threading.Event()
    source = FunctionCoordinator(lambda *_: gate.wait(60), concurrency=1, timeout=30)
    source._threads = CallThreads(1, waiting=2)

    async def ask():
        return [page async for page in source.candles("A", "1m", *TEN)]

    async def many():
        tasks = [asyncio.create_task(ask()) for _ in range(10)]
        await asyncio.sleep(0.1)
        refused = [task for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return [type(task.exception()) for task in refused]

    assert asyncio.run(many()) == [mdstore.SourceError] * 7
    assert len(source._threads._waiting) == 0
    gate.set()


def source_threads():
    return [one for one in threading.enumerate() if one.name == "mdstore-source-call"]


@pytest.mark.variants(1)
@pytest.mark.parametrize("kind", ["plain", "blocking", "router"])
def test_what_hangs_keeps_no_process_from_its_end(python, kind):
    script = """
        import sys, threading, mdstore
        from mdstore.sources.sync.coordinator import FunctionCoordinator

        def hang(*asked):
            threading.Event().wait()

        async def blocking(*asked):
            hang()

        class Router:
            name = "router"
            candles = staticmethod(hang)

        policies = mdstore.ServicePolicies(wait_seconds=0.3)
        with mdstore.open("s.sqlite3") as store:
            source = {"plain": hang, "blocking": blocking, "router": hang}[sys.argv[1]]
            router = Router() if sys.argv[1] == "router" else None
            source = FunctionCoordinator(source, concurrency=2)
            with mdstore.MarketDataService(store, router, source, policies) as service:
                for symbol in "ABCD":
                    try:
                        service.get_candle_data(symbol, "1m", "2025-09-01", "2025-09-01T00:09")
                    except mdstore.NoSuchSeriesError as error:
                        print(symbol, end="")
            calls = [one for one in threading.enumerate() if one.name == "mdstore-source-call"]
            assert len(calls) <= (4 if router else 2), calls
    """
    assert python(script, kind) == "ABCD"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_has_threads_of_its_own(python):
    script = """
        import os, threading
        from mdstore.sources.sync.call_threads import CallThreads
        threads = CallThreads(1)
        threads.submit(threading.Event().wait)
        pid = os.fork()
        if not pid:
            os._exit(threads.submit(lambda: 7).result(20))
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    """
    assert python(script) == "7"


def test_a_service_that_is_closed_leaves_no_thread(store):
    async def gives(symbol, timeframe, low, high):
        return bars(low, high)

    for function in (gives, lambda *asked: bars(*asked[2:])):
        with MarketDataService(store, coordinator=FunctionCoordinator(function)) as service:
            assert service.get_candle_data("A", "1m", *TEN).frame.height == 10
            store.delete("A", "1m")
    for thread in source_threads():
        thread.join(20)
    assert not [one for one in threading.enumerate() if one.name.startswith("mdstore-s")]


# ---- what is no failure of the host


class Answer:
    def __init__(self, status):
        self.status_code = status


class StatusError(OSError):
    def __init__(self, status):
        super().__init__(f"HTTP {status}")
        self.response = Answer(status)


class ClientError(Exception):
    """As an HTTP client raises for what it could not reach, from the error of the socket."""


@pytest.mark.parametrize(
    "error",
    [KeyError("no such symbol"), ValueError("what?"), StatusError(404), mdstore.NoSuchMarketError("none")],
)
def test_symbols_that_a_source_does_not_know_shut_it_off_for_nobody(store, error):
    def gives(symbol, timeframe, low, high):
        if symbol.startswith("BAD"):
            raise error
        return bars(low, high)

    names = [f"BAD{number}" for number in range(20)]
    with MarketDataService(store, coordinator=FunctionCoordinator(gives)) as service:
        with pytest.raises(mdstore.NoSuchSeriesError):
            service.get_candle_data(names, "1m", *TEN)
        assert len(service.get_candle_data("A", "1m", *TEN)) == 10
        assert service.stats()["upstream"] == {"failing": 20, "breaker": ""}


@pytest.mark.parametrize(
    "error", [ConnectionError("down"), TimeoutError("late"), StatusError(503), StatusError(429), "client"]
)
def test_a_host_that_fails_is_left_alone(store, error):
    calls = []

    def gives(symbol, timeframe, low, high):
        calls.append(symbol)
        if error == "client":
            raise ClientError("no route") from ConnectionRefusedError()
        raise error

    names = [f"S{number}" for number in range(20)]
    source = FunctionCoordinator(gives, name="exchange", concurrency=1)
    with MarketDataService(store, coordinator=source) as service:
        with pytest.raises(mdstore.NoSuchSeriesError):
            service.get_candle_data(names, "1m", *TEN)
        calls.clear()
        with pytest.raises(mdstore.NoSuchSeriesError, match="requests in a row have failed"):
            service.get_candle_data("A", "1m", *TEN)
        assert calls == []
        assert "exchange failed" in service.stats()["upstream"]["breaker"]
