"""What a watch tells of failures: of which symbols, when it is tried again, and each trouble once."""

import asyncio
import math
import re
import time

import pytest

import mdstore
from mdstore import FeedError, LocalExchange, LocalMarket, Trade
from mdstore.sources.sync.candle_source import Wait
from tests.support.fake_exchange import Resting, at, bars
from tests.support.upstream import Clock
from tests.support.waiting import until


@pytest.fixture
def live():
    cache = mdstore.RealtimeDataCache()
    cache.live.build("1m")
    yield cache.live
    cache.close()


@pytest.mark.slow
def test_a_lost_connection_is_told_with_its_symbols_and_when_it_is_made_again(store):
    exchange = LocalExchange([LocalMarket(symbol="KRW-BTC"), LocalMarket(symbol="KRW-ETH")]).start()
    with store.watch("upbit", ["KRW-BTC", "KRW-ETH"], "1m", base_url=exchange.url) as watch:
        until(lambda: watch.stats()["alive"])
        exchange.stop()
        until(lambda: len(watch.errors) >= 3)
    notes = [one.error.__notes__ for one in list(watch.errors)[:3]]
    assert all(len(one) == 1 for one in notes)
    told = [
        re.fullmatch(r"upbit, KRW-BTC and 1 more: connected to again in (\d\.\d) s", one[0]) for one in notes
    ]
    seconds = [float(one[1]) for one in told]
    assert 0.3 <= seconds[0] <= 0.5 <= seconds[2]


def test_silence_is_told_so_too(live):
    errors = []

    async def run():
        session = live.session("made up", "A", silence=0.05, on_error=errors.append)
        async for attempt in session.attempts(first=0.5):
            async with attempt:
                await asyncio.sleep(60)
            break

    asyncio.run(run())
    assert [type(one) for one in errors] == [FeedError]
    assert re.fullmatch(r"made up, A: connected to again in 0\.\d s", errors[0].__notes__[0])


def test_a_row_that_is_refused_is_told_with_its_symbol(store):
    errors = []
    session = store.live.session("made up", ["A", "B"], on_error=errors.append)
    session.push([Trade("B", 1_700_000_000_000, math.nan, 1.0)])
    assert errors[0].__notes__ == ["B"]


def test_a_host_that_is_left_alone_is_told_of_once_and_asked_when_that_is_over(store):
    clock = Clock.behind(1_000)
    source = Resting({(one, "1m"): bars(900) for one in "ABC"}, clock, settles=0)
    source.until = time.monotonic() + 0.5
    watch = store.watch("upbit", list("ABC"), "1m")

    async def fetch(symbol):
        return [part async for part in watch._missed.fetch(source, symbol, "1m", at(0), at(100))]

    async def all_of():
        return await asyncio.gather(*map(fetch, "ABC"))

    found = asyncio.run(all_of())
    assert [len(one) for one in found] == [1, 1, 1]
    assert watch.fetched == 300
    told = [str(one.error) for one in watch.errors]
    assert told == ["upbit has failed again and again: nothing is fetched for 0 s"]


def test_a_long_wait_that_an_exchange_asks_for_is_told_of_once(store):
    watch = store.watch("upbit", "KRW-BTC", "1m")
    reason = "api.upbit.com says that it was asked too often (429)"
    for seconds in (3.0, 600.0, 600.0, 599.0):
        watch._missed.waits(Wait("api.upbit.com", reason, seconds))
    assert [str(one.error) for one in watch.errors] == [f"{reason}: nothing is fetched for 600 s"]
