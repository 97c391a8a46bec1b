"""Recorded streams over real websockets that drop, stall, reorder, repeat, close, refuse: the law holds."""

import asyncio
import math
import random
from collections import Counter
from contextlib import suppress

import pytest
import websockets

from mdstore import BinanceFeed, UpbitFeed
from mdstore.realtime.rows import Depth
from tests.realtime.test_recorded_streams import Recorded

FEEDS = {
    "upbit": UpbitFeed, "binance": BinanceFeed, "binance-futures": lambda: BinanceFeed("futures"),
}  # fmt: skip
NS = 1_000_000_000
SILENCE = 0.25
# Each of them once, and then again, in any order.
FAULTS = ("drop", "close", "stall", "hold", "refuse")
NEAR_NS = 500_000_000  # two messages that are further apart are not sent in the other order
AGAIN = 0.05
FIRST = 10


class OverSockets(Recorded):
    """A recording sent by a server, at a pace, to whoever is connected; who is not has lost what was sent."""

    def __init__(self, name, seed, seconds, faults):
        self.name, self.kinds = name, Counter()
        super().__init__(name, ["1s", "5s", "1m"], seed)
        # The klines of the futures' recording would be another source of the same bars.
        self.messages = [one for one in self.messages if '"e":"kline"' not in one.text and one.url is None]
        self.speed = (self.messages[-1].received - self.messages[0].received) / NS / seconds
        apart = len(self.messages) // (faults + 1)
        places = [round(apart * (number + self.random.uniform(0.7, 1.3))) for number in range(faults)]
        names = [*FAULTS, *self.random.choices(FAULTS, k=max(0, faults - len(FAULTS)))][:faults]
        self.random.shuffle(names)
        self.faults = dict(zip(places, names, strict=True))
        self.sockets, self.kept, self.sent = set(), [], []
        self.is_silent = self.is_holding = False
        self.returning = None

    def begin(self, name):
        return self.live.session(FEEDS[name](), self.symbols, silence=SILENCE)

    # --- the exchange's side

    async def serve(self, socket):
        await socket.recv()
        self.sent, self.kept, self.is_silent = [], [], False
        self.sockets.add(socket)
        try:
            await socket.wait_closed()
        finally:
            self.sockets.discard(socket)

    async def listen(self):
        """Listen where the system takes no ports for clients: one that is refused could connect to itself."""
        while not hasattr(self, "port"):
            port = random.randint(20_000, 30_000)
            with suppress(OSError):
                self.server = await websockets.serve(self.serve, "127.0.0.1", port)
                self.port = port

    async def send(self, texts):
        for text in texts:
            for socket in list(self.sockets):
                with suppress(websockets.ConnectionClosed):
                    await socket.send(text)
        self.sent = [*self.sent, *texts][-30:]

    async def play_stream(self):
        loop = asyncio.get_running_loop()
        began, first = loop.time(), self.messages[0].received
        for number, message in enumerate(self.messages):
            due = began + (message.received - first) / NS / self.speed
            if due > loop.time():
                await asyncio.sleep(due - loop.time())
            self.now = message.received
            fault = self.faults.get(number)
            if fault is not None:
                self.kinds[fault] += 1
                await getattr(self, fault)()
            if self.is_silent or not self.sockets:
                continue
            self.kept.append(message.text)
            if not (self.is_holding or self.comes_after_the_next(number)):
                await self.send(self.ordered())
                await self.again()

    def comes_after_the_next(self, number):
        after = self.messages[number + 1 : number + 2]
        # Not the very first: a bar that had ended before anything came is none of the session's.
        is_near = number > FIRST and after and after[0].received - self.messages[number].received < NEAR_NS
        if is_near and self.random.random() < AGAIN:
            self.kinds["reorder"] += 1
            return True
        return False

    def ordered(self):
        texts, self.kept = self.kept, []
        return texts if len(texts) > 2 else texts[::-1]  # what was held back comes as it was

    async def again(self):
        if self.random.random() < AGAIN:
            self.kinds["repeat"] += 1
            await self.send([self.random.choice(self.sent)])

    async def drop(self):
        for socket in list(self.sockets):
            socket.transport.abort()
        self.sockets.clear()

    async def close(self):
        """1001: going away, as exchanges do once a day."""
        for socket in list(self.sockets):
            await socket.close(1001)

    async def stall(self):
        """The connection stays, and nothing comes by it any more, until there is another."""
        self.is_silent = bool(self.sockets)

    async def hold(self):
        """What comes is held back for a while, and then comes at once."""
        self.is_holding = True
        asyncio.get_running_loop().call_later(SILENCE / 2, self.let_go)

    def let_go(self):
        self.is_holding = False

    async def refuse(self):
        """Nobody is there for a while."""
        if self.returning is not None:
            await self.returning  # from the time before
        self.server.close()
        await self.server.wait_closed()
        self.returning = asyncio.create_task(self.come_back())

    async def come_back(self):
        await asyncio.sleep(0.2)
        self.server = await websockets.serve(self.serve, "127.0.0.1", self.port)

    # --- ours

    async def feed(self):
        async with self.session as session:
            lost = websockets.WebSocketException
            async for attempt in session.attempts(on=lost, first=0.02, most=0.1):
                async with attempt, websockets.connect(f"ws://127.0.0.1:{self.port}") as socket:
                    await socket.send("[]")
                    session.subscribed()
                    async for message in socket:
                        session.push(message)

    async def run(self):
        await self.listen()
        feeding = asyncio.create_task(self.feed())
        while not self.sockets:
            await asyncio.sleep(0.01)
        await self.play_stream()
        await asyncio.sleep(0.1)
        feeding.cancel()
        with suppress(asyncio.CancelledError):
            await feeding
        if self.returning is not None:
            await self.returning
        self.server.close()
        await self.server.wait_closed()
        self.live.close()


def play(name, seed, seconds, faults):
    world = OverSockets(name, seed, seconds, faults)
    asyncio.run(world.run())
    try:
        world.check()
    except AssertionError as error:
        raise AssertionError(f"{name}, seed {seed}, {dict(world.kinds)}: {error}") from error
    assert world.live.stats()["land_error"] is None
    return world


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "upbit" else pytest.mark.long) for name in FEEDS]
)
def test_bars_over_sockets_are_the_truth_or_in_a_hole(name):
    world = play(name, 1, 6, len(FAULTS))
    assert set(FAULTS) <= set(world.kinds)
    assert world.session.connections >= 2  # how many more, and how many bars, is up to the machine


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "seconds", "faults", "seeds"),
    [("binance", 120, 40, [1]), ("upbit", 15, 5, range(2, 8)), ("binance-futures", 15, 5, range(2, 8))],
)
def test_so_they_are_for_two_minutes_of_faults(name, seconds, faults, seeds):
    kinds, stored = Counter(), 0
    for seed in seeds:
        world = play(name, seed, seconds, faults)
        kinds += world.kinds
        stored += sum(map(len, world.books.bars.values()))
        if name == "binance":  # its books keep the time of the exchange going, too
            assert type(world.cache.orderbooks.latest("BTCUSDT")) in (Depth, type(None))
    assert set(kinds) == {*FAULTS, "reorder", "repeat"}
    assert stored > (100 if name == "binance" else 10)


def test_the_law_sees_a_bar_that_is_wrong_and_one_that_nobody_names():
    world = OverSockets("upbit", 3, 1, 0)
    world.session.subscribed()
    for message in world.messages:
        world.now = message.received
        world.session.push(message.text)
    world.session.close()
    world.live.close()
    world.check()
    bars = next(bars for bars in world.books.bars.values() if bars)
    start, row = next(iter(bars.items()))
    bars[start] = (*row[:5], math.nextafter(row[5], math.inf))
    with pytest.raises(AssertionError):
        world.check()
    del bars[start]
    with pytest.raises(AssertionError):
        world.check()
