"""Trades as the clock goes on, and the bars that they form: what websockets send."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from mdstore.core.timeframe import Timeframe
from mdstore.errors import InvalidInputError
from mdstore.sources.local_exchange.generated_bars import MINUTE
from mdstore.sources.local_exchange.trades_of_bar import GOLDEN, Bar, Minute
from mdstore.sources.local_exchange.truth import Truth

__all__ = ["DAY", "Day", "Forming", "Tape", "Traded"]

DAY = 24 * 60 * MINUTE
AHEAD = 10 * MINUTE  # so much is made of a market at a time
HALF = 0.5
STRIDE = 10_000  # ids of one millisecond


class Traded(NamedTuple):
    """A trade: `bid` says that the taker bought."""

    symbol: str
    time: int
    price: float
    size: float
    bid: bool
    id: int


class Tape:
    """The trades of the markets that are watched, each given once, when its time has come."""

    def __init__(self, truth: Truth, now: Callable[[], int]) -> None:
        self.truth = truth
        self._now = now
        self._reels: dict[str, _Reel] = {}
        self.until = now()

    def watch(self, symbol: str) -> None:
        """Play a market from now on."""
        if symbol not in self._reels:
            self._reels[symbol] = _Reel(self.truth, symbol, self.until)

    def last(self, symbol: str, at: int) -> Traded:
        """Return the last trade of a market up to a time (ms) in a minute that has trades."""
        minute = self.truth.minute(symbol, at - at % MINUTE)
        if minute is None:
            raise InvalidInputError(f"{symbol} has no trade in the minute of {at}")
        return _traded(symbol, minute, max(0, minute.until(at) - 1))

    def forget(self) -> None:
        """Read the minutes anew, after the truth was changed."""
        for symbol in self._reels:
            self._reels[symbol] = _Reel(self.truth, symbol, self.until)

    def advance(self) -> list[Traded]:
        """Return what has been traded since the last call, in order of time."""
        now = self._now()
        found: list[Traded] = []
        for reel in self._reels.values():
            if reel.next_at <= now:
                reel.play(now, found)
        self.until = max(self.until, now)
        found.sort(key=_time)
        return found


class _Reel:
    """The minutes of one market that lie ahead."""

    def __init__(self, truth: Truth, symbol: str, since: int) -> None:
        self._truth, self._symbol = truth, symbol
        self._traded = truth.markets[symbol]
        self._minutes: deque[Minute] = deque()
        self._made_until = since - since % MINUTE
        self._number = 0
        self.next_at = since
        # Not all markets at the same time later on: for 200 of them it takes a fifth of a second.
        self._fill(MINUTE * (1 + int(self._traded.phase * AHEAD / MINUTE)))
        if self._minutes and self._minutes[0].bar.timestamp <= since:
            self._number = self._minutes[0].until(since)
        self._find_next()

    def play(self, now: int, found: list[Traded]) -> None:
        while self.next_at <= now:
            if self._minutes and self._number < self._minutes[0].count:
                found.append(_traded(self._symbol, self._minutes[0], self._number))
                self._number += 1
            self._find_next()

    def _find_next(self) -> None:
        """Go to the trade that comes next; where none is in sight, look again when that ends."""
        while self._minutes and self._number >= self._minutes[0].count:
            self._minutes.popleft()
            self._number = 0
        if not self._minutes:
            self._fill()
        self.next_at = self._minutes[0].time(self._number) if self._minutes else self._made_until

    def _fill(self, ahead: int = AHEAD) -> None:
        start = self._made_until
        self._made_until = start + ahead
        rows = self._traded.minutes(start, self._made_until, self._truth.maintenance).iter_rows()
        self._minutes.extend(self._traded.trades(Bar._make(row)) for row in rows)


class Forming:
    """A bar of one series as its trades come."""

    def __init__(self, truth: Truth, symbol: str, timeframe: Timeframe, now: int) -> None:
        self.timeframe = timeframe
        start = timeframe.floor(now)
        rows = truth.bars(symbol, timeframe, start, start + 1, now=now).rows()
        self.bar = Bar._make(rows[0]) if rows else None
        self.changed = False

    def add(self, trade: Traded) -> None:
        """Add a trade; one of a later bar begins that."""
        bar, start = self.bar, self.timeframe.floor(trade.time)
        self.changed = True
        paid = trade.price * trade.size
        if bar is None or bar.timestamp != start:
            self.bar = Bar(start, *(trade.price,) * 4, trade.size, paid, trade.time)
            return
        self.bar = Bar(
            start, bar.open, max(bar.high, trade.price), min(bar.low, trade.price), trade.price,
            round(bar.volume + trade.size, 8), round(bar.value + paid, 8), trade.time,
        )  # fmt: skip


class Day:
    """What tickers say of a market: the day so far, and the sums of the last 24 hours, as they began."""

    def __init__(self, tape: Tape, symbol: str) -> None:
        now, truth = tape.until, tape.truth
        today = now - now % DAY
        days = truth.bars(symbol, "1d", today - DAY, now + 1, now=now).rows()
        last = [Bar._make(row) for row in days]
        self.before = last[0].close if last and last[0].timestamp < today else None
        self.bar = last[-1] if last and last[-1].timestamp == today else None
        self.changed = True
        minutes = truth.minutes(symbol, now - DAY, now)
        self.volume, self.value = float(minutes["volume"].sum()), float(minutes["value"].sum())

    def add(self, trade: Traded) -> None:
        """Add a trade; the first of a day begins it."""
        self.changed = True
        today, bar, paid = trade.time - trade.time % DAY, self.bar, trade.price * trade.size
        self.volume += trade.size
        self.value += paid
        if bar is None or bar.timestamp != today:
            self.before = self.before if bar is None else bar.close
            self.bar = Bar(today, *(trade.price,) * 4, trade.size, paid, trade.time)
        else:
            high, low = max(bar.high, trade.price), min(bar.low, trade.price)
            sums = (bar.volume + trade.size, bar.value + paid)
            self.bar = Bar(today, bar.open, high, low, trade.price, *sums, trade.time)


def _traded(symbol: str, minute: Minute, number: int) -> Traded:
    at, bid = minute.time(number), number * GOLDEN % 1 < HALF
    return Traded(symbol, at, minute.price(number), minute.size(number), bid, at * STRIDE + number)


def _time(trade: Traded) -> int:
    return trade.time
