"""All tiers against the truth: whatever fails or lies, an answer is right, or says what it lacks."""

import polars as pl
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from polars.testing import assert_frame_equal

import mdstore
from mdstore import MarketDataService, NoSuchSeriesError
from mdstore.analysis.resample import resample
from mdstore.core.timeframe import Timeframe
from mdstore.service.router import RoutedBar
from tests.support.candles import MINUTE, START, walk
from tests.support.doses import dose
from tests.support.upstream import Clock, Faulty

BARS = 400
FIVE = 5 * MINUTE
VALUES = ["timestamp", "open", "high", "low", "close", "volume", "bars"]
SYMBOLS = ("A", "B")
FAULTS = (None, "fail", "late", "html", "none", "symbol", "grid", "range", "bad")
numbers, names = st.integers(0, BARS), st.sampled_from(SYMBOLS)


class TheRouter:
    """Holds the bars that it is given."""

    name = "router"

    def __init__(self):
        self.held = {}

    def candles(self, symbol, timeframe, start, end):
        return [bar for bar in self.held.get(symbol, ()) if start <= bar.timestamp < end]


class Services(RuleBasedStateMachine):
    """A service over a store, a router and a source with faults, beside others that write and delete."""

    def __init__(self):
        super().__init__()
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.clock, self.seconds = Clock(), 0.0
        self.clock.at(50)

    @initialize(holes=st.sets(st.integers(0, BARS - 1), max_size=100), page=st.sampled_from([7, 50, 200]))
    def begin(self, holes, page):
        every = {symbol: walk(BARS, seed=seed) for seed, symbol in enumerate(SYMBOLS)}
        kept = pl.Series([at not in holes for at in range(BARS)])
        self.truth = {symbol: frame.filter(kept) for symbol, frame in every.items()}
        self.source = Faulty({}, name="exchange", page_bars=page, absent="no_trade")
        self.router = TheRouter()
        self.store = mdstore.MarketDataStore(f"{self.folder.name}/s.sqlite3", clock=self.clock)
        self.service = MarketDataService(
            self.store, self.router, self.source, timer=lambda: self.seconds + self.clock.now
        )
        self.publish()

    def teardown(self):
        if hasattr(self, "service"):
            self.service.close()
            self.store.close()
        self.folder.cleanup()

    def publish(self):
        """The source has what has ended."""
        self.source.held = {(symbol, "1m"): self.ended(symbol) for symbol in SYMBOLS}

    def ended(self, symbol):
        times = self.truth[symbol]["timestamp"].to_physical()
        return self.truth[symbol].filter(times + MINUTE <= self.clock.now * 1000)

    def settled(self, symbol, low, high):
        times = self.truth[symbol]["timestamp"].to_physical()
        end = min(high, (int(self.clock.now * 1000) - 2_000) // MINUTE * MINUTE)
        return self.truth[symbol].filter((times >= low) & (times < end))

    @rule(bars=st.integers(1, 40))
    def time_passes(self, bars):
        self.clock.now = min(self.clock.now + bars * 60, START / 1000 + BARS * 60 + 30)
        self.publish()

    @rule()
    def a_while_passes(self):
        self.seconds += 10_000

    @rule(
        symbol=st.sampled_from(SYMBOLS),
        low=numbers,
        bars=st.integers(1, 60),
        kind=st.sampled_from(("realtime", "recovered")),
    )
    def the_router_has_some(self, symbol, low, bars, kind):
        rows = self.settled(symbol, START + low * MINUTE, START + (low + bars) * MINUTE)
        times = rows["timestamp"].to_physical().to_list()
        values = rows.select(pl.exclude("timestamp")).rows()
        self.router.held[symbol] = [
            RoutedBar(time, *row, kind=kind) for time, row in zip(times, values, strict=True)
        ]

    @rule(symbol=st.sampled_from(SYMBOLS), low=numbers, bars=st.integers(1, 60))
    def another_writes(self, symbol, low, bars):
        rows = self.settled(symbol, START + low * MINUTE, START + (low + bars) * MINUTE)
        self.store.write(symbol, "1m", rows, source="another")

    @rule(symbol=st.sampled_from(SYMBOLS), low=numbers, bars=st.integers(1, 60))
    def another_deletes(self, symbol, low, bars):
        try:
            self.store.delete(symbol, "1m", start=START + low * MINUTE, end=START + (low + bars) * MINUTE)
        except NoSuchSeriesError:
            return
        self.service._tiers._whole.clear()  # else it would be looked again in ten minutes

    @rule(
        symbols=st.sampled_from(["A", "B", ["A"], ["A", "B"]]),
        back=st.integers(-5, 150),
        bars=st.integers(1, 200),
        plan=st.lists(st.sampled_from(FAULTS), max_size=3),
    )
    def a_range_is_asked_for(self, symbols, back, bars, plan):
        self.source.plan = list(plan)
        start = int(self.clock.now * 1000) // MINUTE * MINUTE - back * MINUTE
        end = start + bars * MINUTE
        known = {symbol: self.known(symbol) for symbol in SYMBOLS}
        before = len(self.source.requests)
        try:
            answer = self.service.get_candle_data(symbols, "1m", start, end)
        except NoSuchSeriesError:
            wanted = [symbols] if isinstance(symbols, str) else symbols
            # Nobody has a bar of it yet: there is none, or none that could be had.
            failed = self.service.stats()["upstream"]
            assert failed["failing"] or all(self.settled(symbol, start, end).is_empty() for symbol in wanted)
            return
        for symbol in [symbols] if isinstance(symbols, str) else symbols:
            frame = answer.frame
            if "symbol" in frame.columns:
                frame = frame.filter(pl.col("symbol").cast(pl.String) == symbol).drop("symbol")
            truth = self.settled(symbol, start, end)
            assert frame.join(self.ended(symbol), on=frame.columns, how="anti").is_empty()
            if symbol not in answer.about.why_stale:
                assert_frame_equal(frame, truth)
        for symbol, _, first, last in self.source.requests[before:]:
            assert not known[symbol].intersection({first, last - MINUTE})  # nothing known at either end

    @rule(symbol=names, count=st.integers(1, 60), plan=st.lists(st.sampled_from(FAULTS)))
    def the_latest_are_asked_for(self, symbol, count, plan):
        self.source.plan = list(plan)
        try:
            answer = self.service.get_candle_data(symbol, "1m", count=count)
        except NoSuchSeriesError:
            return
        if not answer.about.why_stale:
            truth = self.settled(symbol, START - 10**9, START + BARS * MINUTE)
            assert_frame_equal(answer.frame, truth.tail(count))

    @rule(
        symbols=st.sampled_from(["A", ["A", "B"]]),
        back=st.integers(0, 150),
        plan=st.lists(st.sampled_from(FAULTS), max_size=3),
    )
    def made_bars_are_asked_for(self, symbols, back, plan):
        self.source.plan = list(plan)
        start = int(self.clock.now * 1000) // FIVE * FIVE - back * MINUTE
        try:
            answer = self.service.get_candle_data(symbols, "5m", start, derive="1m")
        except NoSuchSeriesError:
            return
        for symbol in [symbols] if isinstance(symbols, str) else symbols:
            frame = answer.frame
            if "symbol" in frame.columns:
                frame = frame.filter(pl.col("symbol").cast(pl.String) == symbol).drop("symbol")
            assert frame["closed"].all()
            assert ((frame["timestamp"].to_physical() + FIVE) <= self.clock.now * 1000).all()
            if symbol not in answer.about.why_stale:
                truth = self.settled(symbol, -(-start // FIVE) * FIVE, START + BARS * MINUTE)
                bars = resample(truth, Timeframe.parse("1m"), Timeframe.parse("5m"))
                given = frame.select(VALUES).join(bars.select(VALUES), on=VALUES, how="anti")
                assert given.is_empty()
                # What a source publishes late is waited for.
                ended = pl.col("timestamp").dt.epoch("ms") + FIVE <= self.clock.now * 1000 - 63_000
                assert bars.filter(ended).join(frame, on="timestamp", how="anti").is_empty()

    def known(self, symbol):
        """Return the times of bars that are stored, or of which it is said why they are not there."""
        end = int(self.clock.now * 1000) // MINUTE * MINUTE
        every = set(range(START, end, MINUTE))
        missing = self.store.missing(symbol, "1m", start=START, end=end)
        for low, high in missing.select(pl.col("start", "end").to_physical()).rows():
            every.difference_update(range(low, high, MINUTE))
        return every

    @precondition(lambda self: hasattr(self, "service"))
    @invariant()
    def the_books_balance(self):
        tiers = self.service.stats()["tiers"]
        if "coordinator" in tiers:
            assert tiers["coordinator"]["calls"] == len(self.source.metrics)
            assert tiers["coordinator"]["hits"] == sum(not one.error for one in self.source.metrics)
            assert tiers["coordinator"]["rows"] == sum(one.rows for one in self.source.metrics)


TestServices = Services.TestCase
TestServices.settings = settings(max_examples=dose(15), stateful_step_count=20)
