"""Live candles: bars of trades and of klines, when they close, late trades, and how bars are stored."""

import json
import threading
import time
from collections import defaultdict

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mdstore
from mdstore import InvalidInputError, StoreBusyError, StoreClosedError, TimeframeError, ValidationError
from mdstore.core.timeframe import Timeframe
from mdstore.realtime import live_writer as lander
from mdstore.realtime.forming_bars import KEPT
from mdstore.realtime.live import LiveCandles
from mdstore.realtime.rows import Kline, Trade
from tests.support.interrupts import interrupted
from tests.support.real import real

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


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def live(clock):
    live = LiveCandles(clock=clock)
    live.build("1m", from_start=True)
    return live


@pytest.fixture
def landing(clock):
    """Make live candles that land in a sink; their thread is stopped after the test."""
    made = []

    def make(sink, **options):
        made.append(LiveCandles(clock=clock, land=sink))
        made[-1].build(**{"timeframes": "1m", "persist": True, "from_start": True, **options})
        return made[-1]

    yield make
    for live in made:
        live._lander.stop()


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


# ------------------------------------------------------------------------------------------ recorded data


@pytest.mark.parametrize(("timeframe", "bars"), [("1m", 2469), ("5m", 706)])
def test_recorded_trades_make_the_recorded_candles(timeframe, bars):
    """All 12,477 trades of freqtrade's XRP/ETH make all its bars (none lacks trades), to the last bit."""
    trades = pl.read_ipc(real("freqtrade", "XRP_ETH-trades.feather"))
    wanted = pl.read_ipc(real("freqtrade", f"XRP_ETH-{timeframe}.feather"))
    sink, clock = Sink(), Clock()
    live = LiveCandles(clock=clock, land=sink)
    live.build(["1m", "5m"], persist=True, from_start=True)
    rows = trades.select("timestamp", "price", "amount").iter_rows()
    play(live, clock, (Trade("XRP/ETH", *row) for row in rows))
    clock.at(clock.ns / 1e6 + 3_600_000)
    live.close()
    made = sink.sorted("XRP/ETH", timeframe)
    assert len(made) == len(wanted) == bars
    assert wanted["volume"].min() > 0
    assert [row[0] for row in made] == wanted["date"].dt.epoch("ms").to_list()
    assert [row[1:] for row in made] == wanted.select(OHLCV).rows()
    stats = live.stats()
    assert (stats["closed"], stats["landed"], stats["pending"]) == (3175, 3175, 0)
    assert (stats["amended"], stats["too_late"], stats["partial"]) == (0, 0, 0)


def test_recorded_trades_not_from_their_start_make_all_but_the_first_candle():
    trades = pl.read_ipc(real("freqtrade", "XRP_ETH-trades.feather"))[:500]
    sink, clock = Sink(), Clock()
    live = LiveCandles(clock=clock, land=sink)
    live.build("5m", persist=True)
    rows = trades.select("timestamp", "price", "amount").iter_rows()
    play(live, clock, (Trade("XRP/ETH", *row) for row in rows))
    live.close()
    starts = sorted({stamp // 300_000 * 300_000 for stamp in trades["timestamp"]})
    assert [row[0] for row in sink.sorted("XRP/ETH", "5m")] == starts[1:-1]
    assert live.stats()["partial"] == 1


def futures_klines():
    for line in real("binance_futures_stream", "BINANCE_FUTURES.ws.1.0").read_text().splitlines()[1:]:
        received, _, message = line.partition(": ")
        data = json.loads(message)["data"] if message.startswith("{") else {}
        if data.get("e") == "kline":
            k = data["k"]
            values = [float(k[name]) for name in "ohlcv"]
            yield float(received), Kline(k["s"], k["i"], k["t"], *values, k["x"])


def test_recorded_klines_close_with_the_bar_that_the_exchange_closed():
    """The four symbols of a Binance futures recording: each one's x:true bar, and its last open one."""
    sink, clock = Sink(), Clock()
    live = LiveCandles(clock=clock, land=sink)
    live.build("1m", persist=True)
    updates = list(futures_klines())
    for received, update in updates:
        clock.at(received * 1000)
        live.update(update)
        assert live.bars(update.symbol, "1m")[-1] == (*update[2:8], update.closed)
    live.close()
    ended = [update for _, update in updates if update.closed]
    last = {update.symbol: update for _, update in updates}
    assert len(updates) == 67
    assert len(ended) == 4
    landed = {(*key, *row) for key, rows in sink.rows.items() for row in rows.values()}
    assert landed == {update[:8] for update in ended}
    assert all(live.forming(symbol, "1m") == update for symbol, update in last.items())
    assert live.stats()["dropped_klines"] == 0


# ------------------------------------------------------------------------------------------ laws

prices = st.integers(1, 1000).map(float)
sizes = st.integers(1, 1000).map(float)
times = st.one_of(st.integers(0, 5 * MINUTE), st.sampled_from([0, MINUTE - 1, MINUTE, 2 * MINUTE]))


def arrivals(longest):
    """Draw trades with the moment at which each arrives, up to `longest` ms after it was made."""
    delayed = st.tuples(times, prices, sizes, st.integers(0, longest))
    return st.lists(delayed, min_size=1, max_size=40).map(
        lambda drawn: sorted(
            ((T0 + t + delay, Trade(SYMBOL, T0 + t, price, size)) for t, price, size, delay in drawn),
            key=lambda pair: pair[0],
        )
    )


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


@settings(max_examples=150)
@given(arrivals(GRACE_MS), st.lists(st.booleans(), min_size=40, max_size=40))
def test_trades_in_any_order_within_the_grace_make_the_bars_of_a_plain_grouping(arriving, ticks):
    sink, clock = Sink(), Clock()
    live = LiveCandles(clock=clock, land=sink)
    live.build(["1s", "1m", "3m"], persist=True, from_start=True)
    for (moment, one), tick in zip(arriving, ticks, strict=False):
        clock.at(moment)
        live.offer(one)
        if tick:
            live.tick()
    clock.at(T0 + 3_600_000)
    live.close()
    trades = [one for _, one in arriving]
    assert {name: sink.sorted(timeframe=name) for name in ("1s", "1m", "3m")} == {
        name: grouped(trades, name) for name in ("1s", "1m", "3m")
    }
    stats = live.stats()
    assert (stats["amended"], stats["too_late"], stats["forming"]) == (0, 0, 0)


@settings(max_examples=150)
@given(arrivals(10 * MINUTE), st.lists(st.booleans(), min_size=40, max_size=40))
def test_no_volume_is_lost_but_that_of_trades_counted_as_too_late(arriving, ticks):
    sink, clock = Sink(), Clock()
    live = LiveCandles(clock=clock, land=sink)
    live.build("1m", persist=True, from_start=True)
    late = 0.0
    for (moment, one), tick in zip(arriving, ticks, strict=False):
        clock.at(moment)
        before = live.stats()["too_late"]
        live.offer(one)
        late += one.size * (live.stats()["too_late"] - before)
        if tick:
            live.tick()
    clock.at(T0 + 3_600_000)
    live.close()
    assert sum(row[5] for row in sink.sorted()) == sum(one.size for _, one in arriving) - late
    assert all(row[3] <= min(row[1], row[4]) <= max(row[1], row[4]) <= row[2] for row in sink.sorted())


# ------------------------------------------------------------------------------------------ closing by trades


def test_a_bar_closes_at_its_end_and_grace_and_not_a_nanosecond_before(live, clock):
    live.offer(trade(5, 10, 2))
    clock.at(T0 + MINUTE + GRACE_MS)
    clock.ns -= 1
    assert live.bars(SYMBOL, "1m") == [bar(0, 10, 10, 10, 10, 2, closed=False)]
    clock.ns += 1
    assert live.bars(SYMBOL, "1m") == [bar(0, 10, 10, 10, 10, 2)]
    assert live.forming(SYMBOL, "1m") is None


def test_a_later_bar_closes_the_one_before_only_after_its_grace(live, clock):
    play(live, clock, [trade(5), trade(60.5)])
    assert (live.stats()["closed"], live.stats()["forming"]) == (0, 2)
    play(live, clock, [trade(61.999)])
    assert live.stats()["closed"] == 0
    play(live, clock, [trade(62)])
    assert (live.stats()["closed"], live.stats()["forming"]) == (1, 1)


def test_offers_never_close_the_newest_bar_and_ticks_do(live, clock):
    clock.at(T0 + 3_600_000)
    live.offer(trade(5))
    live.offer(trade(6))
    assert live.stats()["closed"] == 0
    live.tick()
    assert live.stats()["closed"] == 1


def test_a_late_trade_sets_open_only_before_the_first_and_close_only_after_the_last(live, clock):
    play(live, clock, [trade(10, 50, 1), trade(20, 60, 1), trade(61, 70, 1)])
    live.offer(trade(15, 99, 1))
    assert live.bars(SYMBOL, "1m")[0] == bar(0, 50, 99, 50, 60, 3, closed=False)
    live.offer(trade(9, 1, 1))
    assert live.bars(SYMBOL, "1m")[0] == bar(0, 1, 99, 1, 60, 4, closed=False)
    live.offer(trade(20, 40, 1))
    assert live.bars(SYMBOL, "1m")[0] == bar(0, 1, 99, 1, 40, 5, closed=False)
    live.offer(trade(9, 2, 1))
    assert live.bars(SYMBOL, "1m")[0] == bar(0, 1, 99, 1, 40, 6, closed=False)
    assert live.bars(SYMBOL, "1m")[1] == bar(1, 70, 70, 70, 70, 1, closed=False)


def test_a_trade_of_a_kept_closed_bar_amends_it_and_an_older_one_is_too_late(live, clock):
    play(live, clock, [trade(60 * minute) for minute in range(6)])
    play(live, clock, [trade(303)])  # bars 2, 3, 4 are kept, 5 forms
    live.offer(trade(60, 500))
    assert (live.stats()["amended"], live.stats()["too_late"]) == (0, 1)
    live.offer(trade(121, 500, 7))
    assert (live.stats()["amended"], live.stats()["too_late"]) == (1, 1)
    assert len(live.bars(SYMBOL, "1m")) == KEPT + 1
    assert live.bars(SYMBOL, "1m")[0] == bar(2, 10, 500, 10, 500, 8)


def test_a_late_trade_makes_a_bar_that_had_none_between_kept_ones(live, clock):
    play(live, clock, [trade(0), trade(120), trade(240)])
    live.offer(trade(65, 33))
    assert live.bars(SYMBOL, "1m")[1] == bar(1, 33, 33, 33, 33, 1)
    live.offer(trade(-60, 33))
    assert (live.stats()["amended"], live.stats()["too_late"]) == (1, 1)


def test_a_first_bar_that_was_not_seen_from_its_start_is_shown_and_then_dropped(clock):
    live = LiveCandles(clock=clock)
    live.build("1m")
    play(live, clock, [trade(30, 5)])
    assert live.bars(SYMBOL, "1m") == [bar(0, 5, 5, 5, 5, 1, closed=False)]
    assert live.stats()["partial"] == 0
    play(live, clock, [trade(60, 6), trade(63, 7)])
    assert live.bars(SYMBOL, "1m") == [bar(1, 6, 7, 6, 7, 2, closed=False)]
    live.offer(trade(31, 5))
    stats = live.stats()
    assert (stats["partial"], stats["closed"], stats["too_late"]) == (1, 0, 1)


def test_a_gap_makes_open_bars_and_the_next_one_partial(live, clock):
    play(live, clock, [trade(0), trade(63), trade(119.5), trade(120.5)])
    assert (live.stats()["closed"], live.stats()["forming"]) == (1, 2)
    live.gap()
    live.tick()
    play(live, clock, [trade(190), trade(250), trade(400)])
    assert [one[0] for one in live.bars(SYMBOL, "1m") if one[6]] == [T0, T0 + 4 * MINUTE]
    assert live.stats()["partial"] == 3


def test_a_gap_within_a_bar_drops_it_and_not_the_next(live, clock):
    play(live, clock, [trade(5)])
    live.gap([SYMBOL])
    play(live, clock, [trade(50), trade(70), trade(130)])
    assert [one[0] for one in live.bars(SYMBOL, "1m")] == [T0 + MINUTE, T0 + 2 * MINUTE]
    assert live.stats()["partial"] == 1


def test_a_clock_that_stands_does_not_pile_up_bars(live, clock):
    for minute in range(500):
        live.offer(trade(60 * minute))
    assert live.stats()["forming"] <= 3
    assert len(live.bars(SYMBOL, "1m")) <= KEPT + 3


def test_months_and_weeks_end_where_the_calendar_says(clock):
    live = LiveCandles(clock=clock)
    live.build(["1M", "1w"], from_start=True)
    january = 1_706_745_599_999  # 2024-01-31T23:59:59.999Z, a Wednesday
    play(live, clock, [Trade("A", january, 1.0, 1.0), Trade("A", january + 1, 2.0, 1.0)])
    assert [one[0] for one in live.bars("A", "1M")] == [1_704_067_200_000, january + 1]
    assert [one[1:6] for one in live.bars("A", "1w")] == [(1.0, 2.0, 1.0, 2.0, 2.0)]


def test_only_what_was_asked_for_is_built(clock):
    live = LiveCandles(clock=clock, grace=0.5)
    live.offer(trade(0))
    live.build("60m", symbols=["A"], from_start=True)
    live.build("1s", from_start=True)
    play(live, clock, [trade(0, symbol="A"), trade(0, symbol="B")])
    assert live.forming("A", "1h") == Kline("A", "1h", T0 // 3_600_000 * 3_600_000, *[10.0] * 4, 1.0, False)
    assert live.bars("B", "1h") == live.bars(SYMBOL, "1s") == []
    assert len(live.bars("A", "1s")) == len(live.bars("B", "1s")) == 1
    assert live.stats()["series"] == 3


def test_what_cannot_be_built_is_refused(clock):
    live = LiveCandles(clock=clock)
    for wrong in ("7x", ["1m", "daily"]):
        with pytest.raises(TimeframeError, match="timeframe"):
            live.build(wrong)
    with pytest.raises(InvalidInputError, match="empty"):
        live.build([])
    with pytest.raises(InvalidInputError, match="symbol"):
        live.build("1m", symbols=[" A"])
    with pytest.raises(InvalidInputError, match="land"):
        live.build("1m", persist=True)
    with pytest.raises(InvalidInputError, match="grace"):
        LiveCandles(grace=-1.0)
    live.offer(trade(0))
    assert live.stats()["series"] == 0


# ------------------------------------------------------------------------------------------ klines


def test_a_series_of_klines_is_not_built_of_trades_any_more(live, clock):
    play(live, clock, [trade(1, 50), trade(60, 60)])
    live.offer(trade(1, 50, symbol="B"))
    live.update(kline(1, 2, 3, 1, 2.5, 10))
    play(live, clock, [trade(70, 99), trade(70, 99, symbol="B")])
    assert live.bars(SYMBOL, "1m") == [bar(0, 50, 50, 50, 50, 1), bar(1, 2, 3, 1, 2.5, 10, closed=False)]
    assert live.bars("B", "1m")[-1][4] == 99.0


def test_a_kline_makes_a_partial_bar_whole(clock):
    live = LiveCandles(clock=clock)
    live.build("1m")
    play(live, clock, [trade(30, 50)])
    live.update(kline(0, 2, 3, 1, 2.5, 10))
    clock.at(T0 + MINUTE + GRACE_MS)
    assert live.bars(SYMBOL, "1m") == [bar(0, 2, 3, 1, 2.5, 10)]


def test_a_bar_of_trades_that_klines_left_half_made_is_dropped(live, clock):
    play(live, clock, [trade(30, 50), trade(61, 51)])
    live.update(kline(0, 2, 3, 1, 2.5, 10, closed=True))
    live.offer(trade(62, 52))
    clock.at(T0 + 3 * MINUTE)
    assert live.bars(SYMBOL, "1m") == [bar(0, 2, 3, 1, 2.5, 10)]
    assert live.stats()["partial"] == 1


def test_a_kline_of_a_later_bar_closes_the_one_before(live):
    live.update(kline(0))
    assert live.forming(SYMBOL, "1m") == kline(0)
    live.update(kline(1, 4, 4, 4, 4, 0))
    assert live.bars(SYMBOL, "1m") == [bar(0, 2, 3, 1, 2.5, 10), bar(1, 4, 4, 4, 4, 0, closed=False)]


def test_an_open_kline_of_an_older_or_settled_bar_is_dropped(live):
    live.update(kline(0))
    live.update(kline(1))
    live.update(kline(0, 9, 9, 9, 9, 9))
    live.update(kline(-1, 9, 9, 9, 9, 9))
    live.update(kline(1, closed=True))
    live.update(kline(1, 9, 9, 9, 9, 9))
    assert [one[1] for one in live.bars(SYMBOL, "1m")] == [2.0, 2.0]
    assert live.stats()["dropped_klines"] == 3
    assert live.stats()["amended"] == 0


def test_an_update_after_the_clock_closed_its_bar_still_counts_while_it_is_the_newest(live, clock):
    live.update(kline(0))
    clock.at(T0 + MINUTE + GRACE_MS)
    assert live.bars(SYMBOL, "1m") == [bar(0, 2, 3, 1, 2.5, 10)]
    live.update(kline(0, 2, 3, 1, 3, 12))
    assert live.bars(SYMBOL, "1m") == [bar(0, 2, 3, 1, 3, 12)]
    assert live.stats()["amended"] == 1


def test_a_gap_in_klines_drops_the_open_bar_unless_another_kline_makes_it_whole(live, clock):
    live.update(kline(0))
    live.gap()
    live.update(kline(0, 2, 3, 1, 3, 12))
    clock.at(T0 + MINUTE)
    live.update(kline(1))
    live.gap()
    clock.at(T0 + 3 * MINUTE)
    live.update(kline(3))
    assert [one[0] for one in live.bars(SYMBOL, "1m")] == [T0, T0 + 3 * MINUTE]
    assert live.stats()["partial"] == 1


def test_a_closed_kline_corrects_a_closed_bar_once(landing):
    sink = Sink()
    live = landing(sink)
    live.update(kline(0))
    live.update(kline(1))
    live.update(kline(0, 2, 5, 1, 2.5, 11, closed=True))
    live.update(kline(0, 2, 5, 1, 2.5, 11, closed=True))
    live.flush()
    assert sink.sorted() == [bar(0, 2, 5, 1, 2.5, 11)[:6]]
    assert live.stats()["amended"] == 1
    assert live.stats()["closed"] == 1


def test_a_closed_kline_lands_even_where_its_bar_is_no_longer_kept(landing, clock):
    sink = Sink()
    live = landing(sink)
    clock.at(T0 + 5 * MINUTE)
    for minute in range(5):
        live.update(kline(minute, closed=True))
    live.update(kline(-9, 7, 7, 7, 7, 7, closed=True))
    live.flush()
    assert sink.sorted()[0] == bar(-9, 7, 7, 7, 7, 7)[:6]
    assert [one[0] for one in live.bars(SYMBOL, "1m")] == [T0 + minute * MINUTE for minute in (2, 3, 4)]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("symbol", " A"), ("timeframe", "7x"), ("timestamp", T0 + 1), ("timestamp", float(T0)),
        ("open", float("nan")), ("high", float("inf")), ("low", None), ("close", "2.5"), ("volume", 10**400),
        ("volume", -1.0), ("low", 2.1), ("high", 2.4),
    ],
)  # fmt: skip
def test_a_wrong_kline_is_refused_by_field_and_changes_nothing(live, field, value):
    live.update(kline(0))
    before = live.stats(), live.bars(SYMBOL, "1m")
    with pytest.raises(InvalidInputError, match=field):
        live.update(kline(1)._replace(**{field: value}))
    assert (live.stats(), live.bars(SYMBOL, "1m")) == before


def test_a_month_that_no_calendar_holds_is_refused(live):
    with pytest.raises(InvalidInputError, match="timestamp"):
        live.update(kline(timeframe="1M")._replace(timestamp=10**17))


# ------------------------------------------------------------------------------------------ frames


def test_a_frame_has_the_columns_of_candles_and_whether_each_is_closed(live, clock):
    play(
        live,
        clock,
        [trade(0, symbol="B"), trade(0, symbol="A"), trade(63, symbol="A"), trade(63, symbol="B")],
    )
    schema = {
        "timestamp": pl.Datetime("ms", "UTC"), **dict.fromkeys(OHLCV, pl.Float64), "closed": pl.Boolean,
        "partial": pl.Boolean,
    }  # fmt: skip
    one, many, every = live.frame("A", "1m"), live.frame(["B", "A", "C"], "1m"), live.frame(None, "60s")
    assert dict(one.schema) == schema
    assert dict(many.schema) == {"symbol": pl.Categorical, **schema}
    assert many.equals(every)
    assert many.select("symbol", "closed").rows() == [("A", True), ("A", False), ("B", True), ("B", False)]
    assert one.rows() == many.filter(pl.col("symbol") == "A").drop("symbol").rows()
    assert one["timestamp"].dt.epoch("ms").to_list() == [T0, T0 + MINUTE]
    assert live.frame("nothing", "1m").schema == one.schema
    assert live.frame(None, "4h").schema == many.schema


def test_a_frame_shows_bars_that_wait_to_be_stored_unless_told_not_to(landing, clock):
    live = landing(Sink(always=OSError("no space left")))
    play(live, clock, [trade(60 * minute) for minute in range(8)])
    clock.at(T0 + 7 * MINUTE + GRACE_MS)
    with pytest.raises(OSError, match="no space"):
        live.flush()
    starts = [T0 + minute * MINUTE for minute in range(8)]
    assert live.frame(SYMBOL, "1m")["timestamp"].dt.epoch("ms").to_list() == starts
    assert live.frame([SYMBOL], "1m", pending=False)["timestamp"].dt.epoch("ms").to_list() == starts[4:]
    live.clear()
    assert live.frame(None, "1m")["timestamp"].dt.epoch("ms").to_list() == starts[:7]


def test_clear_forgets_bars_and_counts_and_goes_on_with_partial_ones(live, clock):
    play(live, clock, [trade(0), trade(63)])
    live.tick()
    live.clear()
    assert live.frame(None, "1m").is_empty()
    assert set(live.stats().values()) == {0, None}
    play(live, clock, [trade(64), trade(120), trade(200)])
    assert [one[0] for one in live.bars(SYMBOL, "1m") if one[6]] == [T0 + 2 * MINUTE]
    assert live.stats()["partial"] == 1


# ------------------------------------------------------------------------------------------ landing


def test_closed_bars_are_in_the_file_and_the_forming_one_is_not(tmp_path, clock):
    with mdstore.open(tmp_path / "live.sqlite3") as store:
        live = LiveCandles(clock=clock, land=store.write)
        live.build(["1m", "1h"], persist=True, from_start=True)
        play(live, clock, [trade(second, 10 + second % 7, 2) for second in range(0, 300, 5)])
        live.flush()
        closed = live.frame([SYMBOL], "1m").filter("closed").drop("symbol", "closed", "partial")
        live.close()
        live.close()
        assert store.candles(SYMBOL, "1m")[-KEPT:].equals(closed)
    with mdstore.open(tmp_path / "live.sqlite3") as store:
        stored = store.candles(SYMBOL, "1m")
        model = grouped([trade(second, 10 + second % 7, 2) for second in range(0, 300, 5)], "1m")
        assert stored["timestamp"].dt.epoch("ms").to_list() == [row[0] for row in model[:-1]]
        assert stored.select(OHLCV).rows() == [row[1:] for row in model[:-1]]
        assert store.series()["timeframe"].to_list() == ["1m"]


def test_a_bar_that_the_store_refuses_does_not_keep_the_others_out(tmp_path, clock):
    with mdstore.open(tmp_path / "live.sqlite3") as store:
        gate = threading.Event()

        def gated(*args):  # the first write waits until all the bars are queued, so that the next has all
            assert gate.wait(5)
            return store.write(*args)

        live = LiveCandles(clock=clock, land=gated)
        live.build("1m", persist=True)
        future = (time.time_ns() // 1_000_000 // MINUTE + 10_000) * MINUTE
        clock.at(future)  # ahead of the store's, which refuses the bar
        live.update(kline(0)._replace(timestamp=future, closed=True))
        for minute in range(3):
            live.update(kline(minute, closed=True))
        gate.set()
        with pytest.raises(ValidationError, match="future"):
            live.flush()
        assert len(store.candles(SYMBOL, "1m")) == 3
        assert live.stats()["pending"] == 1
        with pytest.raises(ValidationError, match="future"):
            live.close()


def test_only_series_built_to_persist_are_stored(landing, clock):
    sink = Sink()
    live = landing(sink, symbols=["A"])
    live.build(["1m", "3m"], from_start=True)
    play(live, clock, [trade(second, symbol=name) for second in (0, 200, 400) for name in "AB"])
    live.update(kline(0, closed=True, symbol="B"))
    live.update(kline(0, closed=True, symbol="A", timeframe="5m")._replace(timestamp=T0 - T0 % 300_000))
    live.flush()
    assert set(sink.rows) == {("A", "1m")}


def test_a_busy_store_is_tried_again(landing, clock):
    sink = Sink(StoreBusyError("busy"), StoreBusyError("busy"))
    live = landing(sink)
    play(live, clock, [trade(0), trade(63)])
    live.flush()
    assert len(sink.calls) == 3
    assert sink.sorted() == [bar(0, 10, 10, 10, 10, 1)[:6]]
    assert (live.stats()["landed"], live.stats()["pending"], live.stats()["land_error"]) == (1, 0, None)


def test_a_store_that_stays_busy_is_given_up_when_time_is_up(landing, clock):
    live = landing(Sink(always=StoreBusyError("another is writing")))
    play(live, clock, [trade(0), trade(63)])
    with pytest.raises(StoreBusyError, match="another is writing"):
        live.flush(timeout=0.1)
    assert live.stats()["pending"] == 1


def test_a_failure_is_named_and_nothing_is_lost(landing, clock, monkeypatch):
    monkeypatch.setattr(lander, "RETRY_SECONDS", 1000)  # flush does not wait for that
    sink = Sink(always=OSError("no space left"))
    live = landing(sink)
    play(live, clock, [trade(0), trade(63), trade(130)])
    with pytest.raises(OSError, match="no space left"):
        live.flush()
    assert live.stats()["land_error"] == "KRW-BTC 1m: OSError: no space left"
    assert live.stats()["pending"] == 2
    sink.always = None
    live.flush(timeout=5)
    assert len(sink.sorted()) == 2
    assert (live.stats()["land_error"], live.stats()["pending"]) == (None, 0)


def test_a_failure_is_tried_again_without_being_asked(landing, clock, monkeypatch):
    monkeypatch.setattr(lander, "RETRY_SECONDS", 0.01)
    sink = Sink(OSError("once"), OSError("twice"))
    live = landing(sink)
    play(live, clock, [trade(0), trade(63)])
    until = time.monotonic() + 5
    while live.stats()["pending"] and time.monotonic() < until:
        time.sleep(0.01)
    assert len(sink.calls) == 3
    assert len(sink.sorted()) == 1


def test_a_bar_that_is_amended_while_it_is_being_stored_is_stored_again(landing, clock):
    began, go_on, sink = threading.Event(), threading.Event(), Sink()

    def slow(*args):
        began.set()
        assert go_on.wait(5)
        sink(*args)

    live = landing(slow)
    play(live, clock, [trade(0), trade(63)])
    assert began.wait(5)
    live.offer(trade(1, 77))
    go_on.set()
    live.flush()
    assert [rows for _, _, rows in sink.calls] == [
        [bar(0, 10, 10, 10, 10, 1)[:6]], [bar(0, 10, 77, 10, 77, 2)[:6]],
    ]  # fmt: skip
    assert live.stats()["pending"] == 0


def test_a_flush_waits_for_what_became_of_a_bar_that_was_amended_meanwhile(landing, clock):
    gates = [threading.Event(), threading.Event()]
    began = [threading.Event(), threading.Event()]
    calls = iter(range(2))

    def slow(*_):
        call = next(calls)
        began[call].set()
        assert gates[call].wait(5)

    live = landing(slow)
    play(live, clock, [trade(0), trade(63)])
    assert began[0].wait(5)
    flusher = threading.Thread(target=live.flush)
    flusher.start()
    time.sleep(0.05)  # for it to begin
    live.offer(trade(1, 77))
    gates[0].set()
    assert began[1].wait(5)
    flusher.join(0.15)
    assert flusher.is_alive()
    gates[1].set()
    flusher.join(5)
    assert not flusher.is_alive()


def test_a_shutdown_that_cannot_store_says_so_and_ends_the_thread(landing, clock):
    live = landing(Sink(always=OSError("no space left")))
    play(live, clock, [trade(0), trade(63)])
    thread = live._lander._thread
    with pytest.raises(OSError, match="no space left"):
        live.close()
    assert not thread.is_alive()
    assert live.stats()["pending"] == 1
    live.close()
    with pytest.raises(OSError, match="no space left"):
        live.flush()


def test_a_shutdown_stores_what_is_closed_and_ends_everything(landing, clock):
    sink = Sink()
    live = landing(sink)
    play(live, clock, [trade(0), trade(63)])
    thread = live._lander._thread
    live.close()
    assert not thread.is_alive()
    live.offer(trade(200))
    clock.at(T0 + 3_600_000)
    live.update(kline(9))
    assert sink.sorted() == [bar(0, 10, 10, 10, 10, 1)[:6]]
    assert [one[0] for one in live.bars(SYMBOL, "1m")] == [T0, T0 + MINUTE]
    with pytest.raises(StoreClosedError, match="closed"):
        live.build("5m")


def test_no_thread_is_started_before_bars_are_to_be_stored(clock):
    threads = set(threading.enumerate())
    live = LiveCandles(clock=clock, land=Sink())
    live.build("1m", from_start=True)
    play(live, clock, [trade(0), trade(63)])
    live.close()
    assert set(threading.enumerate()) <= threads


def test_ctrl_c_ends_a_flush(landing, clock):
    """Also while the store does not come back, so that nothing wakes the one who waits."""
    go_on, came_back = threading.Event(), []
    live = landing(lambda *_: came_back.append(go_on.wait(30)))
    play(live, clock, [trade(0), trade(63)])
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupted(0.2, lambda: live.flush(timeout=30))
        assert not came_back
    finally:
        go_on.set()


def test_threads_share_live_candles(landing, clock):
    sink = Sink()
    live = landing(sink, timeframes=["1s", "1m"])
    names, stop = [f"S{number}" for number in range(4)], threading.Event()
    clock.at(T0 + 600_000)
    failures = []

    def feed(name):
        for number in range(2000):
            live.offer(Trade(name, T0 + number * 50, 10.0, 1.0))
            live.offer(Trade("shared", T0 + number * 50, 10.0, 1.0))

    def read():
        try:
            while not stop.is_set():
                frame = live.frame(None, "1m")
                assert frame.select("symbol", "timestamp").is_duplicated().sum() == 0
                live.stats()
        except BaseException as error:
            failures.append(error)

    reader = threading.Thread(target=read)
    feeders = [threading.Thread(target=feed, args=(name,)) for name in names]
    for thread in (reader, *feeders):
        thread.start()
    for thread in feeders:
        thread.join()
    stop.set()
    reader.join()
    live.close()
    assert not failures
    assert live.stats()["forming"] == 0
    for name in names:
        assert sum(row[5] for row in sink.sorted(name, "1m")) == 2000
    stats = live.stats()
    assert sum(row[5] for row in sink.sorted("shared", "1m")) == 8000
    assert stats["pending"] == 0


# ---- what a feed says of itself


def test_a_feed_that_is_up_makes_the_first_bar_of_a_quiet_symbol_whole(live, clock):
    clock.at(T0 + 1000)
    live.build("1m")
    live.connected()
    play(
        live,
        clock,
        [trade(30, symbol="A"), trade(70, symbol="B"), trade(130, symbol="A"), trade(131, symbol="B")],
    )
    clock.at(T0 + 3 * MINUTE + GRACE_MS)
    assert [one[0] for one in live.bars("B", "1m")] == [T0 + MINUTE, T0 + 2 * MINUTE]
    assert [one[0] for one in live.bars("A", "1m")] == [T0 + 2 * MINUTE]
    assert live.stats()["partial"] == 1  # the minute in which the feed came up


def test_an_old_trade_that_comes_first_says_nothing_of_what_was_missed(live, clock):
    clock.at(T0 + MINUTE + 30_000)
    live.build("1m")
    live.offer(trade(59))
    live.offer(trade(91))
    clock.at(T0 + 2 * MINUTE + GRACE_MS)
    assert live.bars(SYMBOL, "1m") == []
    assert live.stats()["partial"] == 2


def test_a_gap_noticed_late_withdraws_what_waits_and_says_what_to_fetch(landing, clock):
    sink = Sink(always=OSError("disk full"))
    live = landing(sink)
    play(live, clock, [trade(second) for second in range(0, 95, 5)])
    clock.at(T0 + 4 * MINUTE + 5000)
    live.tick()  # the feed has been dead since 1:30, and the minute of its end is closed as if whole
    assert live.stats()["closed"] == 2
    assert live.gap() == [(SYMBOL, "1m", T0 + MINUTE, T0 + 5 * MINUTE)]
    assert live.stats()["pending"] == 1
    assert live.frame(SYMBOL, "1m")["partial"].to_list() == [False, True]
    assert live.gap("OTHER") == []
    assert live.gap(since=T0 + 3 * MINUTE) == [(SYMBOL, "1m", T0 + 3 * MINUTE, T0 + 5 * MINUTE)]


def test_sizes_that_add_up_to_no_number_make_no_bar(landing, clock):
    live = landing(Sink())
    play(live, clock, [trade(0, size=1.5e308), trade(1, size=1.5e308), trade(63)])
    clock.at(T0 + 2 * MINUTE + GRACE_MS)
    live.flush()
    assert (live.stats()["partial"], live.stats()["landed"]) == (1, 1)


@pytest.mark.parametrize(
    ("field", "value"),
    [("timestamp", T0 + 60 * 24 * MINUTE), ("timestamp", 0), ("closed", "no"), ("open", True)],
)
def test_a_garbled_kline_is_refused(live, field, value):
    live.update(kline(0))
    with pytest.raises(InvalidInputError, match=field):
        live.update(kline(0)._replace(**{field: value}))
    assert len(live.bars(SYMBOL, "1m")) == 1


def test_the_last_bar_of_a_quiet_symbol_is_stored_by_itself(landing, clock):
    sink = Sink()
    live = landing(sink)
    play(live, clock, [trade(0), trade(1)])
    clock.at(T0 + MINUTE + GRACE_MS)
    end = time.monotonic() + 10
    while not sink.sorted() and time.monotonic() < end:
        time.sleep(0.01)
    assert [row[0] for row in sink.sorted()] == [T0]


def test_a_clock_that_fails_does_not_end_the_landing(landing, clock):
    sink = Sink()
    live = landing(sink)
    good, failed = live.clock, threading.Event()

    def broken():
        failed.set()
        raise ZeroDivisionError

    live.clock = broken
    assert failed.wait(10)
    live.clock = good
    play(live, clock, [trade(0), trade(63)])
    clock.at(T0 + MINUTE + GRACE_MS)
    live.flush()
    assert len(sink.sorted()) == 1


def test_a_series_is_whole_from_when_it_was_built_and_connected(landing, clock):
    sink = Sink()
    live = LiveCandles(clock=clock, land=sink)
    live.connected()
    clock.at(T0 + 30_000)
    live.build("1m", persist=True)
    play(live, clock, [trade(35), trade(70), trade(130)])
    live.gap()
    clock.at(T0 + 160_000)
    live.offer(trade(129))  # was still in a queue
    clock.at(T0 + 190_000)
    live.connected()
    play(live, clock, [trade(195), trade(250), trade(310)])
    clock.at(T0 + 303_000)
    live.flush()
    assert [row[0] for row in sink.sorted()] == [T0 + MINUTE, T0 + 4 * MINUTE]
    live.close()


def test_a_reconnect_without_a_gap_is_one(landing, clock):
    sink = Sink()
    live = landing(sink, from_start=False)
    live.connected()
    play(live, clock, [trade(10), trade(70), trade(130)])
    clock.at(T0 + 630_000)
    live.connected()
    play(live, clock, [trade(640), trade(670), trade(730)])
    clock.at(T0 + 723_000)
    live.flush()
    assert [row[0] for row in sink.sorted()] == [T0, T0 + MINUTE, T0 + 11 * MINUTE]


def test_a_late_trade_does_not_bring_back_a_bar_that_was_withdrawn(landing, clock):
    live = landing(Sink(always=OSError("disk full")))
    play(live, clock, [trade(10), trade(30)])
    clock.at(T0 + 65_000)
    live.tick()
    live.gap(SYMBOL)
    live.offer(trade(20))
    assert live.stats()["pending"] == 0


def test_a_trade_that_came_too_late_spoils_its_own_bar_only(live, clock):
    live.build("1m", from_start=True)
    play(live, clock, [trade(0), trade(61)])
    live.missed(SYMBOL, T0 - 7_200_000)
    assert live.frame(SYMBOL, "1m")["partial"].to_list() == [False, False]
    live.missed(SYMBOL, T0 + 70_000)
    assert live.frame(SYMBOL, "1m")["partial"].to_list() == [False, True]


def test_a_gap_knows_when_something_was_heard_last(live, clock):
    clock.at(T0 + 10_000)
    live.build("1m")
    live.offer(trade(10))
    clock.at(T0 + 70_000)
    live.tick()
    assert live.bars(SYMBOL, "1m") == []
    assert live.gap() == [(SYMBOL, "1m", T0, T0 + 2 * MINUTE)]
