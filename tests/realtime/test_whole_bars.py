"""The law of live bars: what is stored as whole is the truth to the bit, and every other bar has a name.

An exchange in truth, a wire that drops, holds back, repeats and garbles, and a local clock that steps.
"""

import random
from collections import defaultdict
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdstore.core.timeframe import Timeframe
from mdstore.realtime.cache import RealtimeDataCache
from mdstore.realtime.rows import Trade

T0 = 1_700_000_040_000  # a whole minute
MIDNIGHT = 1_706_745_600_000 - 3_000  # three seconds before 2024-02-01: a day, a month and a quarter of hours
GRACE = 2_000
SYMBOLS = ("A", "B")
MINUTE = 60_000


class Books:
    """A store in memory: bars, where there was no trade, and what is not to be believed."""

    def __init__(self):
        self.bars, self.quiet, self.doubted = defaultdict(dict), defaultdict(list), defaultdict(list)

    def __call__(self, symbol, timeframe, rows):
        self.land({(symbol, timeframe): rows})

    def land(self, rows):
        for key, found in rows.items():
            self.bars[key].update({row[0]: row for row in found})

    def state(self, quiet, doubted):
        for key, found in quiet.items():
            self.quiet[key] += found
        for key, found in doubted.items():
            self.doubted[key] += found

    def fill(self, symbol, timeframe, rows, start, end, **said):
        raise AssertionError("nothing is fetched")

    def missing(self, symbols, timeframe):
        return {}

    lease = lacks = stored = fill


@dataclass
class Exchange:
    """What happens there, and what comes here by a wire that may be down."""

    now: int = T0
    trades: list = field(default_factory=list)
    held: list = field(default_factory=list)
    sent: list = field(default_factory=list)
    is_up: bool = True

    def trade(self, symbol, after, price, size, hold):
        """Make a trade some time after the one before; it is sent `hold` ms late, as others may be."""
        self.now += after
        made = Trade(symbol, self.now, price, size, "buy", len(self.trades) + 1)
        self.trades.append(made)
        if self.is_up:
            self.held.append((self.now + hold, made))

    def due(self):
        """Give what is to be delivered by now, in the order of its delays."""
        ready = sorted((one for one in self.held if one[0] <= self.now), key=lambda one: one[0])
        self.held = [one for one in self.held if one[0] > self.now]
        self.sent += [made for _, made in ready]
        return [made for _, made in ready]

    def bars(self, timeframe):
        """Give the bars of all trades, added up in the order in which they were made."""
        bar, found = Timeframe.parse(timeframe), {}
        for one in self.trades:
            start = bar.floor(one.timestamp)
            _, first, high, low, _, volume = found.get(
                (one.symbol, start), (start, one.price, one.price, one.price, one.price, 0.0)
            )
            found[one.symbol, start] = (
                start, first, max(high, one.price), min(low, one.price), one.price, volume + one.size
            )  # fmt: skip
        return found


GAPS = [0, 1, 40, 300, 700, 990, 1_000, 2_500]
HELD = [0, 0, 700, 1_999]
STEPS = [-900_000, -70_000, -5_000, 1_300, 65_000, 900_000]
# What may happen, as often as it is named here; each is a method of `World`, and what it is given.
ARGUMENTS = {
    "trade": [SYMBOLS, GAPS, range(1, 10), range(1, 100), HELD],
    "quiet": [[0, 500, 3_000, 20_000]],
    "drop": [[True, False]],
    "up": [[True, False]],
    "bounce": [[True, False]],
    "repeat": [range(1, 31)],
    "step": [STEPS],
    "right": [],
    "beat": [],
    "garble": [SYMBOLS],
    "late": [range(1, 13)],
}
KINDS = ["trade"] * 60 + [*ARGUMENTS, "up", "up", "bounce", "bounce", "right", "right"]
kinds = st.sampled_from(KINDS)
arguments = {kind: st.tuples(*map(st.sampled_from, choices)) for kind, choices in ARGUMENTS.items()}


@st.composite
def a_step(draw):
    kind = draw(kinds)
    return kind, *draw(arguments[kind])


steps = st.lists(a_step(), min_size=30, max_size=120)


def steps_of(seed):
    """Draw steps at random: Hypothesis repeats what it has drawn, and few of its bars are whole."""
    drawn, names = random.Random(seed), []
    for _ in range(drawn.randint(10, 120)):
        kind = drawn.choice(KINDS)
        names.append((kind, *(drawn.choice(choices) for choices in ARGUMENTS[kind])))
    return names


class World:
    """The exchange, and a store that listens to it."""

    symbols = SYMBOLS

    def __init__(self, timeframes, start=T0):
        self.exchange, self.offset, self.books, self.began = Exchange(start), 0, Books(), start
        self.cache = RealtimeDataCache(clock=lambda: (self.exchange.now + self.offset) * 1_000_000)
        self.live, self.timeframes = self.cache.live, timeframes
        self.live.land_in(self.books)
        self.live.build(timeframes, persist=True)
        self.errors, self.taken, self.is_begun = [], [], False
        self.session = self.live.session("made up", SYMBOLS, on_error=self.errors.append)
        self.session.subscribed()

    def deliver(self):
        came = [made for made in self.exchange.due() if self.session.push([made])]
        self.taken += came
        self.is_begun = self.is_begun or bool(came)

    def play(self, steps):
        for what, *args in steps:
            getattr(self, "do_" + what)(*args)
            self.deliver()
        self.session.close()
        self.live.close()

    def do_trade(self, symbol, after, price, size, hold):
        self.exchange.trade(symbol, after, float(price), size / 7, hold)

    def do_quiet(self, after):
        self.exchange.now += after

    def do_drop(self, noticed):
        """The connection is lost, with all that is on its way; that is noticed at once, or when it is up."""
        self.exchange.is_up, self.exchange.held = False, []
        if noticed:
            self.session.disconnected()

    def do_up(self, said):
        if self.exchange.is_up:
            return
        self.session.connecting()
        self.is_begun = False
        self.exchange.is_up = True
        if said:
            self.session.subscribed()

    def do_bounce(self, said):
        """The connection is lost, and comes back at once."""
        self.do_drop(True)
        self.do_up(said)

    def do_repeat(self, back):
        for made in self.taken[-back:][:3]:
            self.session.push([made])

    def do_step(self, by):
        self.offset += by

    def do_right(self):
        self.offset = 0

    def do_beat(self):
        if self.exchange.is_up and not self.exchange.held:
            self.session.heartbeat(self.exchange.now)

    def do_garble(self, symbol):
        """A trade comes as rubbish."""
        self.exchange.trade(symbol, 1, 5.0, 1.0, 0)
        if self.exchange.is_up:
            made = self.exchange.held.pop()[1]
            self.session.push([made._replace(price=float("nan"))])

    def do_late(self, back):
        """A trade that was lost comes after all, whenever; not before the first that is in order."""
        lost = [one for one in self.exchange.trades if one not in self.exchange.sent]
        if self.exchange.is_up and lost and not self.exchange.held and self.is_begun:
            self.session.push([lost[-min(back, len(lost))]])

    def check(self):
        """Every bar is whole and true, or stated to be without a trade, or in the hole; never two of them."""
        for timeframe in self.timeframes:
            truth = self.exchange.bars(timeframe)
            for symbol in self.symbols:
                self._check(
                    (symbol, timeframe), {start: row for (s, start), row in truth.items() if s == symbol}
                )

    def _check(self, key, truth):
        bar = Timeframe.parse(key[1])
        holes = [
            (hole.start, 2**62 if hole.end is None else hole.end)
            for hole in self.live.holes(key[0])
            if hole.timeframe == key[1]
        ]
        stored = dict(self.books.bars[key])
        for low, high in self.books.doubted[key]:
            for start in [one for one in stored if low <= one < high]:
                del stored[start]
        start = bar.floor(self.began)
        while start < self.exchange.now:
            in_hole = any(low <= start < high for low, high in holes)
            quiet = any(low <= start < high for low, high in self.books.quiet[key])
            doubted = any(low <= start < high for low, high in self.books.doubted[key])
            where = (key, start - T0, stored.get(start), truth.get(start), quiet, in_hole)
            if start in stored:
                assert stored[start] == truth.get(start), where
                assert not in_hole, where
            elif quiet and not doubted:
                assert start not in truth, where
                assert not in_hole, where
            else:
                assert in_hole, where
            start = bar.next(start)


def law(timeframes, examples, start=T0):
    @settings(max_examples=examples, deadline=None)
    @given(steps)
    def holds(drawn):
        world = World(timeframes, start)
        world.play(drawn)
        world.check()

    holds()


DOSES = pytest.mark.parametrize("examples", [100, pytest.param(6_000, marks=pytest.mark.long)])


@DOSES
def test_whole_bars_are_the_truth_and_every_other_bar_is_in_a_hole(examples):
    law(["1s", "3s", "1m"], examples)


@DOSES
def test_so_are_those_over_the_end_of_a_month(examples):
    law(["1s", "5m", "1h", "1d", "1w", "1M"], examples // 2, MIDNIGHT)


def test_a_clock_that_is_behind_refuses_trades_whose_bars_are_known_to_lack_them():
    """A trade that was lost comes late, right behind the refused ones: what it begins is older."""
    now = ("trade", "A", 0, 1, 1, 0)
    refused = [("step", -70_000), now, ("garble", "A"), now]
    later = [("trade", "A", after, 1, 1, 0) for after in (700, 990, 990, 2_500, 2_500, 2_500)]
    world = World(["1s", "5m", "1M"], MIDNIGHT)
    world.play([now, *refused, *later, ("late", 1), ("trade", "B", 0, 1, 1, 0), ("right",), now])
    world.check()


@pytest.mark.parametrize(
    "seeds", [range(500), pytest.param(range(500, 50_000), marks=pytest.mark.long)], ids=len
)
def test_so_are_those_of_many_random_streams(seeds):
    stored = amended = 0
    for seed in seeds:
        world = World(["1s", "3s", "1m"])
        world.play(steps_of(seed))
        try:
            world.check()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        stored += sum(map(len, world.books.bars.values()))
        amended += world.live.stats()["amended"] + world.live.stats()["too_late"]
    assert stored > 10 * len(seeds)
    assert amended > len(seeds) // 10
