"""Subscriptions: callbacks, iterators and tasks that are given rows as they come."""

import asyncio
import gc
import threading
import time
from contextlib import suppress

import pytest

from mdstore import (
    InvalidInputError,
    Trade,
)
from tests.support.realtime import NOW, trade


def test_a_callback_is_given_each_kept_row_once_and_in_order(cache):
    seen = []
    subscription = cache.trades.subscribe(seen.append, symbols="KRW-BTC")
    for key in range(1, 500):
        cache.trades.push(trade(key=key))
        cache.trades.push(trade(key=key))
        cache.trades.push(trade(key=key, symbol="OTHER"))
    cache.trades.push([trade(1, key=key) for key in range(500, 600)])
    subscription.close()
    assert [row.id for row in seen] == list(range(1, 600))
    assert isinstance(seen[0], Trade)
    cache.trades.push(trade(5, key=700))
    assert len(seen) == 599


def test_a_slow_subscriber_drops_and_the_feed_goes_on(cache):
    gate = threading.Event()
    seen = []
    subscription = cache.trades.subscribe(lambda row: (gate.wait(), seen.append(row.id)), buffer=10)
    for key in range(1000):
        cache.trades.push(trade(key=key))
    gate.set()
    subscription.close()
    assert seen[-10:] == list(range(990, 1000))
    assert subscription.dropped + len(seen) == subscription.received == 1000


def test_one_that_blocks_loses_nothing(cache):
    seen = []
    with cache.trades.subscribe(
        lambda row: (time.sleep(0.0002), seen.append(row.id)), overflow="block", buffer=5, patience=60
    ) as subscription:
        for key in range(500):
            cache.trades.push(trade(key=key))
            assert subscription.waiting <= 6
    assert seen == list(range(500))


def test_one_that_blocks_for_ever_costs_its_patience_once_a_push(cache):
    subscription = cache.trades.subscribe(overflow="block", buffer=2, patience=0.05)
    for key in range(5):
        cache.trades.push(trade(key=key))
    assert [row.id for row in subscription.drain()] == [3, 4]
    assert subscription.dropped == 3


def test_the_latest_of_each_symbol_is_all_that_some_want(cache):
    subscription = cache.tickers.subscribe(overflow="latest")
    for at in range(100):
        cache.tickers.push([("A", NOW + at, 1.0 + at), ("B", NOW + at, 2.0 + at)])
    assert [(row.symbol, row.price) for row in subscription.drain()] == [("A", 100.0), ("B", 101.0)]
    assert subscription.get(timeout=0.01) is None


def test_a_callback_that_fails_ends_its_subscription_and_says_so(cache, monkeypatch):
    shown = []
    monkeypatch.setattr(threading, "excepthook", shown.append)

    def fail(row):
        raise ZeroDivisionError(row.id)

    subscription = cache.trades.subscribe(fail)
    cache.trades.push(trade(key=1))
    while cache.trades.stats()["subscriptions"]:
        time.sleep(0.001)
    cache.trades.push(trade(key=2))
    with pytest.raises(ZeroDivisionError):
        subscription.close()
    assert len(shown) == 1


def test_rows_can_be_iterated_over_until_the_store_closes(cache):
    subscription = cache.trades.subscribe()
    seen = []
    thread = threading.Thread(target=lambda: seen.extend(row.id for row in subscription))
    thread.start()
    for key in range(100):
        cache.trades.push(trade(key=key))
    cache.close()
    thread.join()
    assert seen == list(range(100))


def test_tasks_are_given_rows_that_threads_push(cache):
    async def consume(count):
        seen = []
        async for row in cache.trades.subscribe():
            seen.append(row.id)
            if len(seen) == count:
                break
        return seen

    async def main():
        tasks = [asyncio.create_task(consume(1000)) for _ in range(3)]
        await asyncio.sleep(0)

        def push():
            for key in range(1000):
                cache.trades.push(trade(key=key))

        await asyncio.gather(asyncio.to_thread(push), *tasks)
        return [task.result() for task in tasks]

    assert asyncio.run(main()) == [list(range(1000))] * 3
    # Its event loop is gone, and the feed is none the worse.
    assert cache.trades.push(trade(key=5000)) == 1


def test_a_task_may_push_and_others_get_a_turn(cache):
    async def main():
        subscription = cache.trades.subscribe()
        turns = 0

        async def tick():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        ticking = asyncio.create_task(tick())
        for key in range(2000):
            cache.trades.push(trade(key=key))
        seen = 0
        async for _ in subscription:
            seen += 1
            if seen == 2000:
                break
        ticking.cancel()
        return turns

    assert asyncio.run(main()) > 5


@pytest.mark.parametrize(
    ("arguments", "word"),
    [({"overflow": "explode"}, "overflow"), ({"buffer": 0}, "buffer"), ({"callback": 5}, "callback"),
     ({"symbols": 5}, "symbols"), ({"patience": -1}, "patience")],
)  # fmt: skip
def test_bad_subscriptions_are_refused(cache, arguments, word):
    with pytest.raises(InvalidInputError, match=word):
        cache.trades.subscribe(**arguments)
    assert cache.trades.stats()["subscriptions"] == 0


async def cancelled(subscription):
    """Wait for rows that do not come, until somebody loses patience."""
    with suppress(TimeoutError):
        async with asyncio.timeout(0.02):
            async for row in subscription:
                raise AssertionError(row)


def test_subscriptions_that_nobody_holds_are_let_go(cache):
    def leave():
        subscription = cache.trades.subscribe()
        cache.trades.push(trade(key=2))
        for _ in subscription:
            break

    leave()
    asyncio.run(cancelled(cache.trades.subscribe()))
    gc.collect()
    cache.trades.push(trade(key=3))
    assert cache.trades.stats()["subscriptions"] == 0


def test_a_subscription_goes_on_after_its_task_was_cancelled(cache):
    subscription = cache.trades.subscribe()
    asyncio.run(cancelled(subscription))
    for key in range(3):
        cache.trades.push(trade(key=key))
    assert [row.id for row in subscription.drain()] == [0, 1, 2]


def test_in_an_event_loop_nothing_blocks(cache):
    async def main():
        async with cache.trades.subscribe(overflow="block", buffer=2, patience=1_000) as subscription:
            for key in range(5):
                cache.trades.push(trade(key=key))
            return [row.id for row in subscription.drain()], subscription.dropped

    assert asyncio.run(main()) == ([3, 4], 3)


def test_two_callbacks_may_close_each_other(cache):
    ready, made = threading.Event(), []

    def close_other(which):
        ready.wait()
        made[which].close()

    made.append(cache.trades.subscribe(lambda _: close_other(1)))
    made.append(cache.trades.subscribe(lambda _: close_other(0)))
    cache.trades.push(trade())
    ready.set()
    end = time.monotonic() + 20
    while any(one._queue.worker.is_alive() for one in made) and time.monotonic() < end:
        time.sleep(0.01)
    assert not any(one._queue.worker.is_alive() for one in made)


def test_a_row_that_comes_between_a_look_and_the_wait_wakes_the_task(cache):
    subscription = cache.trades.subscribe()

    async def main():
        assert subscription._queue.take() is None
        cache.trades.push(trade())
        await asyncio.wait_for(subscription._queue.arrival(), 10)

    asyncio.run(main())
    assert [row.id for row in subscription.drain()] == [1]
