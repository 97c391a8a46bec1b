"""Recorded streams, by connections that are lost again and again: the law of live bars holds of them, too."""

import random

import pytest

from mdstore import RealtimeDataCache
from mdstore.realtime.rows import Trade
from mdstore.sources.exchanges import registry
from mdstore.sources.recordings.recording import messages
from tests.realtime.test_whole_bars import Books, Exchange, World
from tests.support.real import real

STREAMS = {
    "upbit": (("upbit_stream", "UPBIT.ws.62.0"), 304),
    "binance": (("binance_spot", "btcusdt_20240808.gz"), 9_757),
    "binance-futures": (("binance_futures_stream", "BINANCE_FUTURES.ws.1.0"), 91),
}


class Recorded(World):
    """A recording as it comes, but for what is lost with a connection, and what comes twice."""

    def __init__(self, name, timeframes, seed):
        path, self.count = STREAMS[name]
        self.messages, self.random = list(messages(real(*path))), random.Random(seed)
        read = registry.venue(name).reader().rows
        # Of trades only: the klines of the futures' recording would be another source of the same bars.
        self.came = [
            [one for one in read(message.text, message.received, message.url) if type(one) is Trade]
            for message in self.messages
        ]
        trades = [one for rows in self.came for one in rows]
        self.symbols = tuple(sorted({one.symbol for one in trades}))
        self.timeframes, self.now = timeframes, self.messages[0].received
        self.began = min(one.timestamp for one in trades)
        self.exchange = Exchange(max(one.timestamp for one in trades))
        self.exchange.trades = sorted(trades, key=lambda one: (one.timestamp, one.id))
        self.books, self.cache = Books(), RealtimeDataCache(clock=lambda: self.now)
        self.live = self.cache.live
        self.live.land_in(self.books)
        self.live.build(timeframes, persist=True)
        self.session = self.begin(name)

    def begin(self, name):
        session = self.live.session(name, self.symbols)
        session.subscribed()
        return session

    def play(self, losses):
        at = sorted(self.random.sample(range(50, len(self.messages)), 2 * losses))
        downs = [range(*pair) for pair in zip(at[::2], at[1::2], strict=True)]
        for number, (message, trades) in enumerate(zip(self.messages, self.came, strict=True)):
            self.now = message.received
            if any(number == down.start for down in downs):
                self.session.disconnected()
            if any(number == down.stop for down in downs):
                self.session.connecting()
                self.session.subscribed()
            if not any(number in down for down in downs):
                self.session.push(trades)
                if trades and self.random.random() < 0.1:
                    self.session.push(trades)
        self.session.close()
        self.live.close()


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("losses", [0, 3, pytest.param(20, marks=pytest.mark.long)])
def test_bars_of_recorded_streams_are_the_truth_or_in_a_hole(name, losses):
    for seed in range(1 if losses < 20 else 20):
        world = Recorded(name, ["1s", "5s", "1m"], seed)
        world.play(losses)
        assert len(world.exchange.trades) == world.count
        world.check()
        if not losses and name == "binance":
            assert len(world.books.bars["BTCUSDT", "1m"]) >= 4
