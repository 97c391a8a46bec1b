"""The feed of the README, as it stands there, over a real socket that closes, drops, refuses and stalls."""

import asyncio
import json
import random
import re
import threading
from contextlib import suppress

import pytest
import websockets

import mdstore
from mdstore.realtime.attempts import Attempts
from mdstore.realtime.rows import Trade
from mdstore.realtime.session import Session
from tests.support.paths import ROOT

T0 = 1_700_000_040_000  # a whole minute
MINUTE = 60_000
STEP_MS = 1_500  # of the exchange's time, to a hundredth of a second of ours
SYMBOL = "KRW-BTC"


def feed_of_the_readme():
    text = (ROOT / "README.md").read_text()
    (code,) = [
        block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "async def feed(" in block
    ]
    names = {"mdstore": mdstore, "websockets": websockets}
    exec(code, names)
    return names["feed"]


class Exchange:
    """Trades go on whoever listens; what is asked for is answered with the truth."""

    def __init__(self, seed):
        self.now, self.trades, self.sockets, self.asked = T0, [], set(), []
        self.is_stalled = False
        self.connected = 0
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    async def serve(self, socket):
        await socket.recv()
        self.connected += 1
        self.sockets.add(socket)
        try:
            await socket.wait_closed()
        finally:
            self.sockets.discard(socket)

    async def trade(self):
        while True:
            await asyncio.sleep(0.01)
            with self._lock:
                self.now += STEP_MS
                if self._random.random() < 0.8:
                    price, size = float(self._random.randint(90, 110)), self._random.randint(1, 99) / 7
                    self.trades.append(Trade(SYMBOL, self.now, price, size, "buy", len(self.trades) + 1))
                    if not self.is_stalled:
                        await self._send(self.trades[-1])

    async def _send(self, trade):
        message = {"ty": "trade", "cd": trade.symbol, "ttms": trade.timestamp, "tp": trade.price,
                   "tv": trade.size, "ab": "BID", "sid": trade.id, "st": "REALTIME"}  # fmt: skip
        for socket in list(self.sockets):
            with suppress(websockets.ConnectionClosed):
                await socket.send(json.dumps(message))

    def bars(self):
        found = {}
        for one in self.trades:
            start = one.timestamp // MINUTE * MINUTE
            bar = found.setdefault(start, [start, one.price, one.price, one.price, one.price, 0.0])
            bar[2], bar[3], bar[4] = max(bar[2], one.price), min(bar[3], one.price), one.price
            bar[5] += one.size
        return {start: tuple(bar) for start, bar in found.items()}

    def fetch(self, symbol, timeframe, start, end):
        self.asked.append((start, end))
        assert (symbol, timeframe) == (SYMBOL, "1m")
        with self._lock:
            return [bar for at, bar in self.bars().items() if start <= at < end]

    async def passes(self, minutes):
        until = self.now + minutes * MINUTE
        while self.now < until:
            await asyncio.sleep(0.01)

    async def hears(self, connections):
        while self.connected < connections or not self.sockets:
            await asyncio.sleep(0.01)


@pytest.fixture
def quick(monkeypatch):
    """Silence and pauses of tenths of seconds, where the README has those of minutes."""
    monkeypatch.setitem(Session.__init__.__kwdefaults__, "silence", 0.4)
    monkeypatch.setitem(Session.attempts.__kwdefaults__, "first", 0.05)
    monkeypatch.setitem(Session.attempts.__kwdefaults__, "most", 0.2)


async def close_cleanly(exchange, server):
    """1001: going away, as exchanges do once a day."""
    for socket in list(exchange.sockets):
        await socket.close(1001)
    return server


async def drop(exchange, server):
    for socket in list(exchange.sockets):
        socket.transport.abort()
    return server


async def refuse(exchange, server):
    """Nobody is there for a while."""
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    await exchange.passes(2)
    return await websockets.serve(exchange.serve, "127.0.0.1", port)


async def stall(exchange, server):
    """The connection stays, and nothing comes by it any more."""
    exchange.is_stalled, known = True, exchange.connected
    await exchange.hears(known + 1)
    exchange.is_stalled = False
    return server


async def live_through(store, exchange, faults):
    server = await websockets.serve(exchange.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    trading = asyncio.create_task(exchange.trade())
    feeding = asyncio.create_task(feed_of_the_readme()(store, exchange.fetch, f"ws://127.0.0.1:{port}"))
    try:
        await exchange.hears(1)
        await exchange.passes(3)
        for fault in faults:
            known = exchange.connected
            server = await fault(exchange, server)
            await exchange.hears(known + 1)
            await exchange.passes(3)
        while any(hole.end is None or hole.end < exchange.now - 2 * MINUTE for hole in store.live.holes()):
            assert not feeding.done(), feeding.result()
            await asyncio.sleep(0.02)
    finally:
        feeding.cancel()
        with suppress(asyncio.CancelledError):
            await feeding
        trading.cancel()
        server.close()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, *(pytest.param(n, marks=pytest.mark.long) for n in range(2, 8))])
def test_the_feed_of_the_readme_stores_the_truth_whatever_becomes_of_its_connection(tmp_path, quick, seed):
    exchange = Exchange(seed)
    cache = mdstore.RealtimeDataCache(clock=lambda: exchange.now * 1_000_000)
    with mdstore.open(tmp_path / "a.sqlite3", realtime=cache) as store:
        faults = [close_cleanly, drop, refuse, stall, drop]
        random.Random(seed).shuffle(faults)
        asyncio.run(asyncio.wait_for(live_through(store, exchange, faults), 60))
        assert exchange.connected == len(faults) + 1
        assert store.live.stats()["land_error"] is None
        store.live.flush()
        (hole,) = store.live.holes()  # since the end
        assert hole.end is None
        truth = exchange.bars()
        stored = store.candles(SYMBOL, "1m")
        times = stored["timestamp"].dt.epoch("ms").to_list()
        assert len(times) > 12
        assert times == [start for start in sorted(truth) if times[0] <= start < hole.start]
        rows = zip(times, *(stored[name] for name in stored.columns[1:]), strict=True)
        assert list(rows) == [truth[start] for start in times]
        assert len(exchange.asked) >= len(faults)


def test_attempts_wait_longer_while_they_are_in_vain():
    class Dead:
        connections = 0
        alive_since = float("-inf")
        is_closed = False

    session = Dead()
    attempts = Attempts(session, (), 0.5, 60.0)
    pauses = [attempts._next_pause() for _ in range(12)]
    assert pauses[0] == 0.0
    assert all(0.75 * wanted <= pause <= wanted for wanted, pause in zip(
        [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60], pauses[1:], strict=True))  # fmt: skip
    session.connections = 1
    assert attempts._next_pause() <= 0.5
