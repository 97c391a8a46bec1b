"""Made bars against plain Python: which there are and which are over, as the clock and the file go on."""

import polars as pl
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

import mdstore
from mdstore import MarketDataService
from mdstore.service.memory_coordinator import MemoryCoordinator
from tests.support.candles import MINUTE, START
from tests.support.doses import dose
from tests.support.upstream import Clock

MOST = 400
minutes = st.integers(0, MOST)
BARS = {"5m": 5, "15m": 15, "1h": 60}


def row(minute, volume=10.0):
    return (START + minute * MINUTE, 1.0, 3.0, 0.5, 2.0, volume)


class DerivedBars(RuleBasedStateMachine):
    """Minutes are written as they form, once they have ended, late, or never; then it may be said why."""

    def __init__(self):
        super().__init__()
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.seconds = 30
        self.stored, self.early, self.covered = set(), set(), set()

    @initialize(seconds=st.integers(60, 200 * 60))
    def begin(self, seconds):
        self.store = mdstore.MarketDataStore(f"{self.folder.name}/s.sqlite3", clock=self.clock)
        self.service = MarketDataService(self.store)
        self.goes_on(seconds)
        self.store.write("A", "1m", [row(0)])
        self.store.write("B", "1h", [row(0)])
        self.stored.add(0)

    def teardown(self):
        if hasattr(self, "service"):
            self.service.close()
            self.store.close()
        self.folder.cleanup()

    @rule(seconds=st.integers(1, 4_000))
    def goes_on(self, seconds):
        self.seconds = min(self.seconds + seconds, MOST * 60)
        self.clock.now = START / 1000 + self.seconds

    @rule(ahead=st.integers(1, 3))
    def comes_to_the_change_of_an_hour(self, ahead):
        self.seconds = min((self.seconds // 3_600 + 1) * 3_600 + ahead - 2, MOST * 60)
        self.clock.now = START / 1000 + self.seconds

    @property
    def ended(self):
        return self.seconds // 60

    @rule(back=st.integers(0, 120), bars=st.integers(1, 120))
    def minutes_are_written(self, back, bars):
        low = max(self.ended - back, 0)
        some = range(low, min(low + bars, self.ended))
        if some:
            self.store.write("A", "1m", [row(one) for one in some])
            self.stored.update(some)
            self.early.difference_update(some)

    @rule(volume=st.floats(1, 9))
    def a_minute_is_written_as_it_forms(self, volume):
        now = self.ended
        if now < MOST:
            self.store.write("A", "1m", [row(now, volume)])
            self.stored.add(now)
            self.early.add(now)

    @rule(back=st.integers(0, 120), bars=st.integers(1, 120))
    def it_is_said_that_there_was_no_trade(self, back, bars):
        low = max(self.ended - back, 0)
        some = range(low, min(low + bars, self.ended))
        if some and not self.stored.intersection(some):
            ends = START + some[0] * MINUTE, START + (some[-1] + 1) * MINUTE
            self.store.cover("A", "1m", start=ends[0], end=ends[1], reason="no_trade")
            self.covered.update(some)

    def made(self, width):
        """Return start, minutes, whether it is closed and whether it is over, of each bar.

        One that is over is closed unless one of its minutes is stored as it formed only.
        """
        bars = {}
        for minute in sorted(self.stored):
            bars.setdefault(minute // width, []).append(minute)
        newest = max(self.stored)
        for number, inside in bars.items():
            end, last = (number + 1) * width, inside[-1]
            quiet = self.covered.issuperset(range(last + 1, end))
            over = newest >= end or (end <= self.ended and quiet and last not in self.early)
            yield number * width, len(inside), over and not self.early.intersection(inside), over

    @rule(
        bar=st.sampled_from(sorted(BARS)),
        forming=st.booleans(),
        count=st.none() | st.integers(1, 9),
        symbols=st.sampled_from(["A", ["A"], ["A", "B"]]),
    )
    def bars_are_asked_for(self, bar, forming, count, symbols):
        if "B" in symbols and bar != "1h":
            return
        answer = self.service.get_candle_data(symbols, bar, count=count, include_forming=forming)
        frame = answer.frame
        if symbols != "A":
            frame = frame.filter(pl.col("symbol").cast(pl.String) == "A")
        times = (frame["timestamp"].to_physical() - START) // MINUTE
        found = list(zip(times, frame["bars"], frame["closed"], strict=True))
        wanted = [one for *one, over in self.made(BARS[bar]) if forming or over]
        found = [list(one) for one in found]
        assert found == (wanted if count is None else wanted[-count:])
        if "B" in symbols:
            assert len(answer) == len(found) + 1

    @rule(bar=st.sampled_from(sorted(BARS)), back=st.integers(0, 200), bars=st.integers(1, 200))
    def bars_of_a_range_are_asked_for(self, bar, back, bars):
        low = max(self.ended - back, 0)
        ends = START + low * MINUTE, START + (low + bars) * MINUTE
        frame = self.service.get_candle_data("A", bar, *ends).frame
        times = (frame["timestamp"].to_physical() - START) // MINUTE
        wanted = [one[0] for one in self.made(BARS[bar]) if one[3] and low <= one[0] < low + bars]
        assert times.to_list() == wanted


TestDerivedBars = DerivedBars.TestCase
TestDerivedBars.settings = settings(max_examples=dose(60), stateful_step_count=25)


@pytest.fixture
def clock():
    return Clock()


@pytest.mark.long
def test_a_screener_sees_each_hour_as_it_is_over(store, clock):
    """Some bars come a minute late, and those that never come are known not to have been after that."""
    every = {minute: row(minute) for minute in range(300) if minute % 7 or minute % 60 in (0, 30)}
    source = MemoryCoordinator({}, absent="no_trade")
    with MarketDataService(store, coordinator=source, timer=lambda: clock.now) as service:
        for second in range(120, 300 * 60, 47):
            clock.now = START / 1000 + second
            there = [one for minute, one in every.items() if (minute + 1) * 60 <= second]
            source.held = {("A", "1m"): pl.DataFrame(there, FRAME, orient="row").with_columns(TIME)}
            frame = service.get_candle_data("A", "1h", START, derive="1m").frame
            hours = second // 3_600
            least = (second - 110) // 3_600
            assert least <= len(frame) <= hours
            full = [sum(h * 60 <= minute < h * 60 + 60 for minute in every) for h in range(hours)]
            assert frame["bars"].to_list() == full[: len(frame)]
    assert len(source.requests) < 1_000


FRAME = ["timestamp", "open", "high", "low", "close", "volume"]
TIME = pl.col("timestamp").cast(pl.Datetime("ms", "UTC"))
