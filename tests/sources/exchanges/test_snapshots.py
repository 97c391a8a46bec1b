"""Order books that fetch their own snapshots: in sync again after whatever the wire does, and never wrong."""

import asyncio
import json
import logging
import random
import threading
import time

import pytest

from mdstore import RealtimeDataCache
from mdstore.errors import InvalidInputError
from mdstore.realtime.rows import Depth
from mdstore.sources.exchanges import snapshots
from mdstore.sources.exchanges.binance import BinanceFeed
from mdstore.sources.recordings.recording import messages
from tests.support.exchange_messages import diff, snapshot
from tests.support.real import real

SYMBOLS = ("A", "B", "C")
T0 = 1_700_000_000_000  # the time of an update is this and its number


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(snapshots, "FIRST_PAUSE", 0.002)
    monkeypatch.setattr(snapshots, "LONGEST_PAUSE", 0.01)


def idle(feed):
    """Wait until nothing is being fetched."""
    while feed._snapshots._thread is not None:
        time.sleep(0.0005)


class Exchange:
    """The books of some symbols in truth, what they were at each update, and answers that may be old."""

    def __init__(self, seed, market):
        self.random, self.market, self.lock = random.Random(seed), market, threading.Lock()
        self.last = dict.fromkeys(SYMBOLS, 100)
        self.books = {symbol: {"b": {90.0: 1.0}, "a": {110.0: 1.0}} for symbol in SYMBOLS}
        self.states = {symbol: {100: self.levels(symbol)} for symbol in SYMBOLS}
        self.asked, self.fails = [], 0.0

    def levels(self, symbol):
        book = self.books[symbol]
        return sorted(book["b"].items(), reverse=True)[:30], sorted(book["a"].items())[:30]

    def change(self, symbol):
        """Change some levels, in one to four updates, and return the diff."""
        with self.lock:
            changed = {"b": {}, "a": {}}
            for _ in range(self.random.randint(1, 6)):
                side = self.random.choice("ba")
                price = float(self.random.randint(*((72, 99) if side == "b" else (101, 128))))
                changed[side][price] = self.random.choice([0.0, 1.0, 2.5, self.random.random()])
            for side, levels in changed.items():
                for price, size in levels.items():
                    self.books[symbol][side].pop(price, None)
                    if size:
                        self.books[symbol][side][price] = size
            first, before = self.last[symbol] + 1, self.last[symbol]
            self.last[symbol] += self.random.randint(1, 4)
            self.states[symbol][self.last[symbol]] = self.levels(symbol)
            more = {"E": T0 + self.last[symbol], **({"pu": before} if self.market == "futures" else {})}
            return diff(
                first, self.last[symbol], *(changed[of].items() for of in "ba"), symbol=symbol, **more
            )

    def fetch(self, symbol):
        """Answer with the book as it is, or as it was a few updates ago, or not at all."""
        with self.lock:
            self.asked.append(symbol)
            if self.random.random() < self.fails:
                raise self.random.choice([OSError("refused"), ValueError("<html>"), KeyError(symbol)])
            if self.random.random() < self.fails:
                return self.random.choice(["<html>", '{"code":-1121,"msg":"no"}', b"\xff", [], "null"])
            at = self.random.choice([*self.states[symbol]][-4:])
            bids, asks = self.states[symbol][at]
            more = {"E": T0 + at} if self.market == "futures" else {}
            answer = snapshot(at, bids, asks, **more)
            return self.random.choice([answer, json.dumps(answer), json.dumps(answer).encode()])

    async def fetch_in_loop(self, symbol):
        await asyncio.sleep(0.0005)
        return self.fetch(symbol)

    def check(self, rows):
        """Every book that is given is the one of its time."""
        for row in rows:
            assert type(row) is Depth
            bids, asks = self.states[row.symbol][row.timestamp - T0]
            assert list(zip(row.bid_prices, row.bid_sizes, strict=True)) == bids
            assert list(zip(row.ask_prices, row.ask_sizes, strict=True)) == asks


def wire(exchange, steps, faults):
    """Yield diffs as they come: some are lost, some twice, some late, and now and then the connection is."""
    held = []
    for _ in range(steps):
        held.append(exchange.change(exchange.random.choice(SYMBOLS)))
        what = exchange.random.random() if faults else 1.0
        if what < 0.04:
            held.pop()
        elif what < 0.08:
            held.append(held[-1])
        elif what < 0.16:
            continue  # it comes after the next
        elif what < 0.165:
            held = []
            yield None
        yield from reversed(held)
        held = []


SEEDS = pytest.mark.parametrize(
    "seeds", [range(15), pytest.param(range(15, 1_000), marks=pytest.mark.long)], ids=len
)
MARKETS = pytest.mark.parametrize("market", ["spot", "futures"])


def push(exchange, feed, message, resynced):
    if message is None:
        feed.reset()
        return
    rows = feed.rows(message)
    exchange.check(rows)
    resynced.extend(row.symbol for row in rows if row.snapshot)


@SEEDS
@MARKETS
def test_books_are_true_whatever_the_wire_does_and_in_sync_soon_after(seeds, market):
    for seed in seeds:
        exchange, resynced = Exchange(seed, market), []
        feed = BinanceFeed(market, snapshots=exchange.fetch)
        exchange.fails = 0.2
        for message in wire(exchange, 300, faults=True):
            push(exchange, feed, message, resynced)
            if exchange.random.random() < 0.3:
                idle(feed)
        exchange.fails = 0.0
        rounds = 0
        while feed.needs_snapshot() or not rounds:  # what was lost at last is seen by the next diff
            for symbol in SYMBOLS:
                push(exchange, feed, exchange.change(symbol), resynced)
            idle(feed)
            time.sleep(0.001)
            rounds += 1
        for symbol in SYMBOLS:
            rows = feed.rows(exchange.change(symbol))
            assert [row.timestamp for row in rows] == [T0 + exchange.last[symbol]]
            exchange.check(rows)
            # A snapshot that came at last shows in the next diff only.
            resynced.extend(row.symbol for row in rows if row.snapshot)
        assert len(resynced) > 3
        assert set(resynced) == set(SYMBOLS)


@MARKETS
def test_so_are_those_of_a_session_in_an_event_loop(market):
    exchange = Exchange(1, market)
    feed = BinanceFeed(market, snapshots=exchange.fetch_in_loop)
    cache = RealtimeDataCache(clock=lambda: T0 * 10**6)
    errors, seen = [], cache.orderbooks.subscribe()

    async def in_sync(session):
        while True:
            for symbol in SYMBOLS:
                session.push(exchange.change(symbol))
            if not feed.needs_snapshot():
                return
            await asyncio.sleep(0.002)

    async def run():
        async with cache.live.session(feed, SYMBOLS, on_error=errors.append) as session:
            await in_sync(session)  # so that the faults are of books that are
            for message in wire(exchange, 300, faults=True):
                if message is None:
                    session.connecting()
                else:
                    session.push(message)
                await asyncio.sleep(0)
            await in_sync(session)

    asyncio.run(run())
    cache.close()
    exchange.check(list(seen))
    assert errors == []
    assert len(exchange.asked) > 3


def test_one_that_is_in_sync_asks_for_nothing_and_one_that_waits_asks_once():
    exchange, gate = Exchange(2, "spot"), threading.Event()

    def fetch(symbol):
        gate.wait()
        return exchange.fetch(symbol)

    feed = BinanceFeed(snapshots=fetch)
    for _ in range(50):
        for symbol in SYMBOLS:
            assert feed.rows(exchange.change(symbol)) == []
    gate.set()
    idle(feed)
    feed.rows({"e": "nothing"})
    assert sorted(exchange.asked) == list(SYMBOLS)
    for _ in range(50):
        for symbol in SYMBOLS:
            exchange.check(feed.rows(exchange.change(symbol)))
    assert sorted(exchange.asked) == list(SYMBOLS)


def test_an_answer_to_the_connection_before_is_not_taken():
    """It would be a book of before the reconnect, in sync as long as no diff has come."""
    exchange, gate, begun = Exchange(3, "spot"), threading.Event(), threading.Event()

    def fetch(symbol):
        begun.set()
        gate.wait()
        return exchange.fetch(symbol)

    feed = BinanceFeed(snapshots=fetch)
    feed.rows(exchange.change("A"))
    begun.wait()
    feed.reset()
    gate.set()
    idle(feed)
    assert feed.rows({"e": "nothing"}, 10**18) == []
    assert feed._books == {}
    feed.rows(exchange.change("A"))
    idle(feed)
    assert len(exchange.asked) == 2
    exchange.check(feed.rows(exchange.change("A")))


def test_what_fails_is_logged_and_tried_again_ever_later(monkeypatch, caplog):
    now, asked = [0.0], []
    monkeypatch.setattr(snapshots.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(snapshots, "FIRST_PAUSE", 1.0)
    monkeypatch.setattr(snapshots, "LONGEST_PAUSE", 5.0)

    def fetch(symbol):
        asked.append(now[0])
        raise OSError("no route to host")

    feed, exchange = BinanceFeed(snapshots=fetch), Exchange(4, "spot")
    with caplog.at_level(logging.WARNING, "mdstore.live"):
        while now[0] < 20:
            feed.rows(exchange.change("A"))
            idle(feed)
            now[0] += 0.25
    assert asked == [0.0, 1.0, 3.0, 7.0, 12.0, 17.0]
    assert (
        "binance: the order book of A still waits for a snapshot: OSError('no route to host')" in caplog.text
    )


def test_the_recorded_stream_with_a_helper_in_place_of_a_loop():
    """The book is Binance's own best bid and ask, as with the snapshot that was recorded."""
    recorded = list(messages(real("binance_spot", "btcusdt_20240808.gz")))
    (answer,) = [one for one in recorded if '"lastUpdateId"' in one.text]
    asked = []

    def fetch(symbol):
        asked.append(symbol)
        return answer.text

    feed, plain = BinanceFeed(snapshots=fetch), BinanceFeed()
    depths, expected = [], []
    for one in recorded:
        expected += [
            row for row in plain.rows(one.text, one.received, symbol="BTCUSDT") if type(row) is Depth
        ]
        if one is answer:
            continue
        depths += [row for row in feed.rows(one.text, one.received) if type(row) is Depth]
        idle(feed)
    assert asked == ["BTCUSDT"]
    assert len(depths) > 3_400
    books = {row.timestamp: row[2:6] for row in expected}
    assert all(row[2:6] == books[row.timestamp] for row in depths)
    assert [row.snapshot for row in depths].count(True) == 1


def test_the_futures_recording_by_its_answers():
    stream, http = (list(messages(real("binance_futures_stream", f"BINANCE_FUTURES.{of}.0")))
                    for of in ("ws.1", "http.0"))  # fmt: skip
    answers = {one.url.partition("symbol=")[2].partition("&")[0]: one.text for one in http}
    feed, seen = BinanceFeed("futures", snapshots=answers.__getitem__), set()
    for one in stream:
        seen |= {row.symbol for row in feed.rows(one.text, one.received) if type(row) is Depth}
        idle(feed)
    assert seen == set(answers)


def test_a_forked_child_fetches_by_a_thread_of_its_own():
    exchange = Exchange(5, "spot")
    feed = BinanceFeed(snapshots=exchange.fetch)
    feed._snapshots._thread = threading.Thread(target=lambda: None)  # as one looks that is the parent's
    feed.rows(exchange.change("A"))
    idle(feed)
    assert exchange.asked == ["A"]


def test_snapshots_that_are_no_function():
    with pytest.raises(InvalidInputError, match="snapshots="):
        BinanceFeed(snapshots="https://api.binance.com")
