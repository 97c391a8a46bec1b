"""What an event loop has of its own ends with it: connections of a source that nobody closes, say."""

import asyncio
import gc
import weakref

import pytest

import mdstore
from mdstore import LocalExchange
from mdstore.sources.exchanges.upbit_candles import open_upbit
from mdstore.sources.web.loops import OfLoops
from tests.support.candles import MINUTE, START

NOW = START + 600 * MINUTE


class Thing:
    """Something to be closed."""

    is_closed = False

    async def close(self):
        await asyncio.sleep(0)
        self.is_closed = True


def test_each_loop_has_its_own_and_it_is_closed_with_the_loop():
    things = OfLoops(Thing, Thing.close)

    async def twice():
        first = await things.here()
        assert await things.here() is first
        assert not first.is_closed
        return first

    one, other = asyncio.run(twice()), asyncio.run(twice())
    assert one is not other
    assert one.is_closed
    assert other.is_closed


def test_one_that_was_closed_is_made_again():
    things = OfLoops(Thing, Thing.close)

    async def again():
        await things.close()  # there is none yet
        first = await things.here()
        await things.close()
        assert first.is_closed
        return await things.here()

    assert asyncio.run(again()).is_closed


class OfLoop(Thing):
    """Knows its loop, as connections do."""

    def __init__(self):
        self.loop = asyncio.get_running_loop()


def test_loops_that_have_ended_are_let_go():
    things, loops = OfLoops(OfLoop, Thing.close), []

    async def once():
        loops.append(weakref.ref(asyncio.get_running_loop()))
        await things.here()

    for _ in range(50):
        asyncio.run(once())
    gc.collect()
    assert len(things._held) == 0
    assert [loop for loop in loops if loop() is not None] == []


def test_so_are_loops_that_were_closed_without_an_end_of_what_they_had():
    things = OfLoops(OfLoop, Thing.close)
    for _ in range(50):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(things.here())
        loop.close()
    assert len(things._held) == 1


def test_loops_in_which_a_source_was_asked_are_let_go(source):
    async def once():
        return len([page async for page in source.candles("KRW-BTC", "1m", START, START + 9 * MINUTE)])

    assert [asyncio.run(once()) for _ in range(5)] == [1] * 5
    assert sessions_of(source) == []


@pytest.fixture
def source():
    with LocalExchange(["KRW-BTC"], now=NOW, limits=None) as exchange:
        yield open_upbit(base_url=exchange.url)


def sessions_of(source):
    return [session for session, _ in source.client._sessions._held.values()]


def test_those_of_a_source_that_a_store_was_given_end_with_the_store(source, tmp_path):
    with mdstore.MarketDataStore(tmp_path / "market_data.sqlite3", clock=lambda: NOW / 1000) as store:
        assert store.sync(source, "KRW-BTC", "1m", since=START).inserted > 500
        (session,) = sessions_of(source)
        assert not session.closed
        store.sync(source, "KRW-BTC", "1d", since=START)
        assert sessions_of(source) == [session]
    assert session.closed


def test_those_of_a_source_that_a_service_was_given_end_with_the_service(source, tmp_path):
    with mdstore.MarketDataStore(tmp_path / "market_data.sqlite3", clock=lambda: NOW / 1000) as store:
        with mdstore.MarketDataService(store, coordinator=source) as service:
            assert len(service.get_candle_data("KRW-BTC", "1m", start=START).frame) > 500
            (session,) = sessions_of(source)
            assert not session.closed
        assert session.closed
