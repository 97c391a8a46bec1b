"""All tiers against the truth: whatever fails or lies, an answer is right, or says what it lacks.

A fake clock, a router and a source that fail, lie, are slow and are cancelled by a plan, and another that
writes, corrects and deletes beside the service. What must hold: no answer has a bar that is not so, or lacks
one without saying why; nobody is asked for what is known, nor at once again where he failed; a hole keeps the
reason that was given; the books (calls, hits, misses, rows, bytes by tier) are those of what was given.
"""

import asyncio
import tempfile

import polars as pl
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from polars.testing import assert_frame_equal

import mdstore
from mdstore import AsyncMarketDataService, NoSuchSeriesError, ServicePolicies
from mdstore.analysis.resample import resample
from mdstore.core.timeframe import Timeframe
from mdstore.service import source_calls
from mdstore.service.router import RoutedBar
from mdstore.sources.sync.coordinator import Limits
from tests.support.candles import MINUTE, START, walk
from tests.support.doses import dose
from tests.support.upstream import Clock, Faulty
from tests.support.waiting import until

BARS = 300
ROW = 48
FIVE = 5 * MINUTE
VALUES = ["timestamp", "open", "high", "low", "close", "volume", "bars"]
SYMBOLS = ("A", "B")
READS = ("memory", "packs", "sqlite", "scanner", "made")
FAULTS = (
    "fail", "late", "slow", "part", "cancelled", "html", "none", "symbol", "grid", "range", "bad", "half"
)  # fmt: skip
SLOW, LONG = 0.05, 30.0
"""Seconds that an answer is waited for where it never comes, and where it does at last."""
TOTALS = "SELECT symbol, count(*) AS bars, sum(close) AS total FROM candles GROUP BY ALL ORDER BY ALL"
names, backs = st.sampled_from(SYMBOLS), st.integers(1, 100)
lists = st.sampled_from(["A", "B", ["A", "B"]])
plans = st.one_of(st.just([]), st.lists(st.sampled_from((None, *FAULTS)), min_size=1, max_size=3))
faces = st.sampled_from(("sync", "async"))


class Source(Faulty):
    """A source that looks, whenever it is asked, whether it had to be: `asked_for_nothing` are the others."""

    def __init__(self, store, page, *, is_dense):
        super().__init__({}, name="exchange", page_bars=page, absent="no_trade", timeout=SLOW)
        self.store, self.is_dense = store, is_dense
        self.asked_for_nothing, self.open = [], set()

    async def candles(self, symbol, timeframe, start, end):
        if self.plan and self.plan[0] == "half" and not self.is_dense:
            self.plan[0] = "part"  # half of what has holes anyway looks like all of it
        ends = {start, end - MINUTE}
        if symbol in self.open or not ends <= missing(self.store, symbol, start, end):
            self.asked_for_nothing.append((symbol, start, end))
        self.open.add(symbol)
        try:
            async for page in super().candles(symbol, timeframe, start, end):
                yield page
        finally:
            self.open.discard(symbol)


class Router:
    """Gives what it is said to hold: ranges of the truth, by kind, and a bar that forms, which is none."""

    name = "router"

    def __init__(self, truth):
        self.truth = truth
        self.held, self.fault, self.given = {}, None, []

    def candles(self, symbol, timeframe, start, end):
        bars = self.bars(symbol, start, end)
        is_good = self.fault is None
        # At once: two symbols are asked for in two threads.
        self.given.append([(symbol, bar.timestamp, bar.kind) for bar in bars if is_good and bar.closed])
        if self.fault == "fail":
            raise RuntimeError("no luck")
        return bars if is_good else [bar._replace(timestamp=bar.timestamp + 17_000) for bar in bars]

    def bars(self, symbol, start, end):
        if symbol not in self.held:
            return []
        between, kind, forming = self.held[symbol]
        rows = self.truth(symbol, *between).with_columns(pl.col("timestamp").to_physical()).rows()
        bars = [RoutedBar(*row, kind=kind) for row in rows if start <= row[0] < end]
        forms = RoutedBar(forming, 1.0, 1.0, 1.0, 1.0, 1.0, closed=False)
        return [*bars, forms] if start <= forming < end else bars


class Services(RuleBasedStateMachine):
    """A service over a store, a router and a source, beside another store that writes and deletes."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock, self.seconds = Clock(), 0.0
        self.clock.at(50)
        self.answers, self.results = [], 0
        self.patience, source_calls.ROUTER_SECONDS = source_calls.ROUTER_SECONDS, LONG

    @initialize(holes=st.sets(st.integers(0, BARS - 1), max_size=80), page=st.sampled_from([7, 50, 200]))
    def begin(self, holes, page):
        every = {symbol: walk(BARS, seed=seed) for seed, symbol in enumerate(SYMBOLS)}
        kept = pl.Series([at not in holes for at in range(BARS)])
        self.truth = {symbol: frame.filter(kept) for symbol, frame in every.items()}
        path = f"{self.folder.name}/s.sqlite3"
        self.store = mdstore.MarketDataStore(path, clock=self.clock)
        self.other = mdstore.MarketDataStore(path, clock=self.clock)
        self.source = Source(self.store, page, is_dense=not holes)
        self.router = Router(self.settled)
        self.face = AsyncMarketDataService(
            self.store,
            self.router,
            self.source,
            ServicePolicies(wait_seconds=LONG, reach=4),
            timer=lambda: self.seconds + self.clock.now,
        )
        self.service = self.face._service
        self.router.held = {"B": (self.between(30, 25), "realtime", self.until(0))}
        self.publish()

    def teardown(self):
        if hasattr(self, "face"):
            self.service.close()
            self.other.close()
            self.store.close()
        self.folder.cleanup()
        source_calls.ROUTER_SECONDS = self.patience

    # ---- the truth

    def publish(self):
        """The source has what has ended."""
        self.source.held = {(symbol, "1m"): self.ended(symbol) for symbol in SYMBOLS}

    def ended(self, symbol):
        times = self.truth[symbol]["timestamp"].to_physical()
        return self.truth[symbol].filter(times + MINUTE <= self.clock.now * 1000)

    def settled(self, symbol, low, high):
        times = self.truth[symbol]["timestamp"].to_physical()
        return self.truth[symbol].filter((times >= low) & (times < min(high, self.until(2_000))))

    def until(self, behind):
        """Return up to where bars have ended for so long (ms)."""
        return (int(self.clock.now * 1000) - behind) // MINUTE * MINUTE

    def between(self, back, bars):
        """Return a range of so many bars that begins so many back from now (ms)."""
        low = max(START, self.until(0) - back * MINUTE)
        return low, low + bars * MINUTE

    # ---- what others do

    @rule(bars=st.integers(1, 40))
    def some_time_passes(self, bars):
        self.time_passes(bars)

    def time_passes(self, bars):
        self.clock.now = min(self.clock.now + bars * 60, START / 1000 + BARS * 60 + 30)
        self.publish()

    @rule()
    def a_while_passes(self):
        self.seconds += 10_000

    @rule(
        symbol=names,
        back=st.integers(1, 60),
        bars=st.integers(20, 60),
        kind=st.sampled_from(("realtime", "recovered", "snapshot")),
        fault=st.sampled_from((None, None, None, "fail", "lie")),
    )
    def the_router_has_some(self, symbol, back, bars, kind, fault):
        self.router.held[symbol] = self.between(back, bars), kind, self.until(0)
        self.router.fault = fault

    @rule(symbol=names, back=backs, bars=st.integers(1, 60))
    def another_writes(self, symbol, back, bars):
        rows = self.settled(symbol, *self.between(back, bars))
        self.other.write(symbol, "1m", rows, source="another")

    @rule(symbol=names, back=backs, bars=st.integers(1, 60), by=st.floats(0.5, 2.0))
    def another_corrects(self, symbol, back, bars, by):
        """What was wrong is put right: from now on that is the truth, and an answer from before is none."""
        low, high = self.between(back, bars)
        high = min(high, self.until(2_000))
        prices = pl.col("open", "high", "low", "close")
        time_of = pl.col("timestamp").to_physical()
        inside = (time_of >= low) & (time_of < high)
        self.truth[symbol] = self.truth[symbol].with_columns(
            pl.when(inside).then(prices * by).otherwise(prices)
        )
        self.publish()
        self.other.write(symbol, "1m", self.settled(symbol, low, high), source="another")

    @rule(symbol=names, back=backs, bars=st.integers(1, 60))
    def another_deletes(self, symbol, back, bars):
        low, high = self.between(back, bars)
        try:
            self.other.delete(symbol, "1m", start=low, end=high)
        except NoSuchSeriesError:
            return
        self.seconds += 61  # else it would be looked again in a minute

    # ---- what is asked

    @rule(symbols=lists, back=st.integers(-5, 150), bars=st.integers(1, 200), plan=plans, face=faces)
    def a_range_is_asked_for(self, symbols, back, bars, plan, face):
        start = self.until(0) - back * MINUTE
        between = start, start + bars * MINUTE
        answer = self.asked(face, plan, symbols, "1m", start=between[0], end=between[1])
        if answer is None:
            return
        for symbol in named(symbols):
            self.holds_truth(answer, symbol, of(answer, symbol), self.settled(symbol, *between))
            self.holds_reasons(answer, symbol, *between)

    @rule(
        symbols=lists,
        steps=st.lists(st.integers(1, 20), min_size=2, max_size=3),
        kind=st.sampled_from(("realtime", "recovered")),
        plan=plans,
        face=faces,
    )
    def a_chart_asks_the_same_as_time_goes_on(self, symbols, steps, kind, plan, face):
        for bars in steps:
            self.router.held["A"] = self.between(5, 5), kind, self.until(0)
            self.time_passes(bars)
            answer = self.asked(face, plan, symbols, "1m", start=START)
            for symbol in named(symbols) if answer else ():
                truth = self.settled(symbol, START, START + BARS * MINUTE)
                self.holds_truth(answer, symbol, of(answer, symbol), truth)

    @rule(symbols=lists, count=st.sampled_from((1, 5, 40, 53)), plan=plans, face=faces)
    def the_latest_are_asked_for(self, symbols, count, plan, face):
        answer = self.asked(face, plan, symbols, "1m", count=count)
        if answer is None:
            return
        for symbol in named(symbols):
            truth = self.settled(symbol, START, START + BARS * MINUTE).tail(count)
            self.holds_truth(answer, symbol, of(answer, symbol), truth, is_of_range=False)

    @rule(symbols=lists, back=st.integers(0, 150), plan=plans, face=faces)
    def made_bars_are_asked_for(self, symbols, back, plan, face):
        start = int(self.clock.now * 1000) // FIVE * FIVE - back * MINUTE
        answer = self.asked(face, plan, symbols, "5m", start=start, derive="1m")
        if answer is None:
            return
        for symbol in named(symbols):
            frame = of(answer, symbol)
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

    @rule(symbol=names, back=st.integers(10, 150))
    def one_gives_up(self, symbol, back):
        """A task is cancelled while the source is asked: nobody has failed, and what is missing stays so."""
        self.source.plan, self.source.limits = ["slow"], Limits(self.source.limits.page_bars, 4, LONG)
        start, before = self.until(0) - back * MINUTE, len(self.source.requests)
        failing, given = self.service.stats()["upstream"]["failing"], len(self.router.given)

        async def give_up():
            task = asyncio.create_task(self.face.get_candle_data(symbol, "1m", start))
            while not task.done() and len(self.source.requests) == before:
                await asyncio.sleep(0.001)
            is_asking = not task.done()
            task.cancel()
            found = await asyncio.gather(task, return_exceptions=True)
            return is_asking, found[0]

        is_asking, found = asyncio.run(give_up())
        self.source.limits, self.source.plan = Limits(self.source.limits.page_bars, 4, SLOW), []
        if isinstance(found, mdstore.MarketAnswer):
            self.counted(found)
        else:
            assert isinstance(found, asyncio.CancelledError if is_asking else NoSuchSeriesError)
        if is_asking:
            until(lambda: not self.source.open)
            until(lambda: self.source.metrics[-1].error.startswith("CancelledError"))
            assert self.service.stats()["upstream"]["failing"] == failing
        assert len(self.router.given) <= given + 1 + BARS

    @rule()
    def results_are_asked_for(self):
        assert_frame_equal(self.service.sql(TOTALS), self.other.sql(TOTALS))
        if len(self.other):
            made = [one.resample(None, "1h", source="1m") for one in (self.service, self.other)]
            assert_frame_equal(*made)
        self.results += 1

    # ---- what must hold

    def asked(self, face, plan, symbols, *args, **kwargs):
        """Ask by one of the faces; return the answer, None where nobody has a bar, which must be so."""
        self.source.plan = list(plan)
        metrics, routed = len(self.source.metrics), len(self.router.given)
        try:
            answer = self.ask(face, symbols, *args, **kwargs)
        except NoSuchSeriesError as error:
            refused = error.message
        else:
            refused = None
        if refused is not None:  # there is none yet, or none that could be had, which it says
            failed = {one.symbol for one in self.source.metrics[metrics:] if one.error}
            assert not failed or "failed" in refused
            is_failing = failed or self.service.stats()["upstream"]["failing"]
            assert is_failing or self.lacks_all(symbols, **kwargs)
            return None
        fresh = self.source.metrics[metrics:]
        given = [bar for bars in self.router.given[routed:] for bar in bars]
        rows = answer.about.rows_by_tier
        assert rows.get("coordinator", 0) == sum(one.rows for one in fresh)
        assert rows.get("router", 0) == len(given)
        self.holds_provenance(given)
        for one in fresh:
            if one.error:
                assert one.symbol in answer.about.why_stale
                self.holds_failure(one)
        for text in answer.about.why_stale.values():
            assert f"after {LONG:g} s" not in text
        self.is_known_now(face, answer, symbols, *args, **kwargs)
        return answer

    def ask(self, face, *args, **kwargs):
        if face == "sync":
            answer = self.service.get_candle_data(*args, **kwargs)
        else:
            answer = asyncio.run(self.face.get_candle_data(*args, **kwargs))
        self.counted(answer)
        return answer

    def counted(self, answer):
        tier, width = answer.about.tiers[0], ROW + 4 * ("symbol" in answer.frame.columns)
        size = answer.frame.estimated_size() if tier == "made" else width * len(answer)
        self.answers.append((len(answer), size, tier))

    def lacks_all(self, symbols, start=START, end=START + BARS * MINUTE, derive=None, **_):
        """Tell whether there is no bar in a range that has settled, or none that longer ones are made of."""
        start = start if derive is None else -(-start // FIVE) * FIVE
        return all(self.settled(symbol, start, end).is_empty() for symbol in named(symbols))

    def is_known_now(self, face, answer, *args, **kwargs):
        """Who asks the same at once is given it, and nobody is asked again, nor who failed."""
        failed = {symbol for symbol, text in answer.about.why_stale.items() if "failed" in text}
        is_right = not answer.about.why_stale
        before, self.source.plan = len(self.source.requests), []
        again = self.ask(face, *args, **kwargs)
        asked = {symbol for symbol, *_ in self.source.requests[before:]}
        assert not asked & failed
        if is_right:
            assert not asked
            assert again.about.rows_by_tier == {} or self.router.held
            if not again.about.rows_by_tier:
                assert_frame_equal(again.frame, answer.frame)

    def holds_truth(self, answer, symbol, frame, truth, *, is_of_range=True):
        assert frame.join(self.ended(symbol), on=frame.columns, how="anti").is_empty()
        if symbol not in answer.about.why_stale:
            assert_frame_equal(frame, truth)
        elif is_of_range:  # what is lacking in it was asked for, just now
            assert "no source has said why" not in answer.about.why_stale[symbol]

    def holds_reasons(self, answer, symbol, start, end):
        """What the source says of bars that are not there is what is known of them."""
        if symbol in answer.about.why_stale:
            return
        end = min(end, self.until(63_000))
        there = set(self.settled(symbol, start, end)["timestamp"].to_physical())
        every = set(range(max(start, START), end, MINUTE))
        holes = self.store.gaps(symbol, "1m", start=max(start, START), end=end) if every else None
        for low, high, reason in [] if holes is None else rows_of(holes, "start", "end", "reason"):
            assert not there & set(range(low, high, MINUTE))
            assert reason == "no_trade"

    def holds_failure(self, one):
        """What could not be had is known as that."""
        missed = set(self.settled(one.symbol, one.start, one.end)["timestamp"].to_physical())
        if one.symbol not in {symbol for symbol, _ in self.store}:
            return
        holes = self.store.gaps(one.symbol, "1m", start=one.start, end=one.end)
        for low, high, reason in rows_of(holes, "start", "end", "reason"):
            if missed & set(range(low, high, MINUTE)):
                assert reason == "fetch_failed"

    def holds_provenance(self, given):
        """Bars of a router say how it came by them."""
        for symbol, at, kind in given:
            source = "router" if kind == "realtime" else f"router ({kind})"
            origins = rows_of(self.store.provenance(symbol, "1m"), "start", "end", "source")
            assert any(low <= at < high and name == source for low, high, name in origins)

    @precondition(lambda self: hasattr(self, "face"))
    @invariant()
    def nobody_is_asked_for_what_is_known(self):
        assert self.source.asked_for_nothing == []

    @precondition(lambda self: hasattr(self, "face"))
    @invariant()
    def the_books_balance(self):
        tiers = self.service.stats()["tiers"]
        none = dict.fromkeys(("calls", "hits", "misses", "rows", "bytes"), 0)
        book = {name: tiers.get(name, none) for name in (*READS, "calls", "router", "coordinator")}
        assert all(one["hits"] + one["misses"] == one["calls"] for one in book.values())
        metrics = self.source.metrics
        assert kept(book["coordinator"]) == (
            len(metrics), sum(not one.error for one in metrics), sum(one.rows for one in metrics)
        )  # fmt: skip
        given = [len(bars) for bars in self.router.given]
        assert kept(book["router"]) == (len(given), sum(rows > 0 for rows in given), sum(given))
        for name in ("router", "coordinator"):
            assert (name, book[name]["bytes"]) == (name, ROW * book[name]["rows"])
        answers = self.answers
        rows, size = sum(rows for rows, _, _ in answers), sum(size for _, size, _ in answers)
        assert kept(book["calls"]) == (len(answers), len(answers), rows)
        assert book["calls"]["bytes"] == size
        for name in READS:
            assert book[name]["hits"] == sum(tier == name for _, _, tier in answers)
            assert book[name]["rows"] == sum(rows for rows, _, tier in answers if tier == name)
            assert book[name]["bytes"] == sum(size for _, size, tier in answers if tier == name)
        disk = sum(book[name]["hits"] for name in ("packs", "sqlite", "scanner"))
        assert book["memory"]["misses"] == disk  # memory is asked first
        assert tiers.get("sql", none)["calls"] == self.results


def missing(store, symbol, start, end):
    """Return the times of bars that are worth asking for."""
    found = rows_of(store.missing(symbol, "1m", start=start, end=end), "start", "end")
    return {at for low, high in found for at in range(low, high, MINUTE)}


def named(symbols):
    return [symbols] if isinstance(symbols, str) else symbols


def of(answer, symbol):
    """Return the bars of one symbol of an answer."""
    frame = answer.frame
    if "symbol" not in frame.columns:
        return frame
    return frame.filter(pl.col("symbol").cast(pl.String) == symbol).drop("symbol")


def rows_of(frame, *columns):
    """Return rows of a frame, with times in ms."""
    times = {"start", "end"}
    return frame.select(pl.col(name).to_physical() if name in times else name for name in columns).rows()


def kept(book):
    return book["calls"], book["hits"], book["rows"]


TestServices = Services.TestCase
TestServices.settings = settings(max_examples=dose(45), stateful_step_count=20)
