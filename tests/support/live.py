"""Trades, klines and bars of one symbol, a clock that stands, and a store that fails as it is told to."""

from collections import defaultdict

from mdstore.core.timeframe import Timeframe
from mdstore.realtime.rows import Kline, Trade

MINUTE = 60_000
T0 = 1_700_000_040_000  # a whole minute, 2023-11-14
GRACE_MS = 2_000
SYMBOL = "KRW-BTC"
OHLCV = ("open", "high", "low", "close", "volume")


class Clock:
    """A clock that stands until it is set, in milliseconds."""

    def __init__(self, ms=T0):
        self.at(ms)

    def at(self, ms):
        self.ns = round(ms * 1_000_000)

    def __call__(self):
        return self.ns


class Sink:
    """A store that keeps the last row of each time, and fails as it is told to."""

    def __init__(self, *failures, always=None):
        self.failures, self.always = list(failures), always
        self.calls, self.rows = [], defaultdict(dict)

    def __call__(self, symbol, timeframe, rows):
        self.calls.append((symbol, timeframe, list(rows)))
        if self.failures:
            raise self.failures.pop(0)
        if self.always:
            raise self.always
        self.rows[symbol, timeframe].update({row[0]: row for row in rows})

    def sorted(self, symbol=SYMBOL, timeframe="1m"):
        rows = self.rows[symbol, timeframe]
        return [rows[start] for start in sorted(rows)]


def trade(second, price=10.0, size=1.0, symbol=SYMBOL):
    return Trade(symbol, T0 + round(second * 1000), float(price), float(size))


def kline(minute=0, *values, closed=False, symbol=SYMBOL, timeframe="1m"):
    return Kline(symbol, timeframe, T0 + minute * MINUTE, *(values or (2.0, 3.0, 1.0, 2.5, 10.0)), closed)


def bar(minute, *values, closed=True):
    return (T0 + minute * MINUTE, *map(float, values), closed)


def play(live, clock, trades):
    for one in trades:
        clock.at(one.timestamp)
        live.offer(one)


def grouped(trades, timeframe):
    """Group trades, in the order of arrival, into bars: the plain model."""
    groups = defaultdict(list)
    for one in trades:
        groups[Timeframe.parse(timeframe).floor(one.timestamp)].append(one)
    rows = []
    for start, group in sorted(groups.items()):
        by_time = sorted(group, key=lambda one: one.timestamp)  # stable: equal times stay as they came
        of = [one.price for one in by_time]
        rows.append((start, of[0], max(of), min(of), of[-1], sum(one.size for one in group)))
    return rows
