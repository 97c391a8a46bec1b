"""Bars made of trades: when they close, late trades, gaps, and the laws of all that."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdstore import InvalidInputError, TimeframeError
from mdstore.realtime.forming_bars import KEPT
from mdstore.realtime.live import LiveCandles
from mdstore.realtime.rows import Kline, Trade
from tests.support.doses import dose
from tests.support.live import GRACE_MS, MINUTE, OHLCV, SYMBOL, T0, Clock, Sink, bar, grouped, play, trade
from tests.support.real import real

# ---- recorded trades


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
    live.heartbeat(round(clock.ns / 1e6) + 3_600_000)
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


# ---- laws

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


@settings(max_examples=dose(150))
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
    live.heartbeat(T0 + 3_600_000)
    live.close()
    trades = [one for _, one in arriving]
    assert {name: sink.sorted(timeframe=name) for name in ("1s", "1m", "3m")} == {
        name: grouped(trades, name) for name in ("1s", "1m", "3m")
    }
    stats = live.stats()
    assert (stats["amended"], stats["too_late"], stats["forming"]) == (0, 0, 0)


@settings(max_examples=dose(150))
@given(arrivals(10 * MINUTE), st.lists(st.booleans(), min_size=40, max_size=40))
def test_no_volume_is_lost_but_that_of_trades_counted_as_too_late(arriving, ticks):
    sink, clock = Sink(), Clock()
    live = LiveCandles(clock=clock, land=sink)
    live.build("1m", persist=True, from_start=True)
    late = 0.0
    for (moment, one), tick in zip(arriving, ticks, strict=False):
        clock.at(moment)
        live.flush()  # a bar that is doubted before it has landed is withheld, and named as a hole
        before = live.stats()["too_late"]
        live.offer(one)
        late += one.size * (live.stats()["too_late"] - before)
        if tick:
            live.tick()
    live.heartbeat(T0 + 3_600_000)
    live.close()
    assert sum(row[5] for row in sink.sorted()) == sum(one.size for _, one in arriving) - late
    assert all(row[3] <= min(row[1], row[4]) <= max(row[1], row[4]) <= row[2] for row in sink.sorted())


# ---- closing


def test_a_bar_closes_at_its_end_and_grace_by_the_exchange_and_not_a_millisecond_before(live, clock):
    live.offer(trade(5, 10, 2))
    clock.at(T0 + 60 * MINUTE)
    live.heartbeat(T0 + MINUTE + GRACE_MS - 1)
    assert live.bars(SYMBOL, "1m") == [bar(0, 10, 10, 10, 10, 2, closed=False)]
    live.heartbeat(T0 + MINUTE + GRACE_MS)
    assert live.bars(SYMBOL, "1m") == [bar(0, 10, 10, 10, 10, 2)]
    assert live.forming(SYMBOL, "1m") is None


def test_a_later_bar_closes_the_one_before_only_after_its_grace(live, clock):
    play(live, clock, [trade(5), trade(60.5)])
    assert (live.stats()["closed"], live.stats()["forming"]) == (0, 2)
    play(live, clock, [trade(61.999)])
    assert live.stats()["closed"] == 0
    play(live, clock, [trade(62)])
    assert (live.stats()["closed"], live.stats()["forming"]) == (1, 1)


def test_this_machines_clock_closes_no_bar(live, clock):
    clock.at(T0 + 3_600_000)
    live.offer(trade(5))
    live.offer(trade(6))
    live.tick()
    assert live.stats()["closed"] == 0
    live.heartbeat(T0 + 3_600_000)
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
    for wrong in ("7x", ["1m", "day by day"]):
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


# ---- what a feed says of itself


def test_an_old_trade_that_comes_first_says_nothing_of_what_was_missed(live, clock):
    clock.at(T0 + MINUTE + 30_000)
    live.build("1m")
    live.offer(trade(59))
    live.offer(trade(91))
    live.heartbeat(T0 + 2 * MINUTE + GRACE_MS)
    assert live.bars(SYMBOL, "1m") == []
    assert live.stats()["partial"] == 2


def test_a_trade_that_came_too_late_spoils_its_own_bar_only(live, clock):
    live.build("1m", from_start=True)
    play(live, clock, [trade(0), trade(61)])
    live.missed(SYMBOL, T0 - 7_200_000)
    assert live.frame(SYMBOL, "1m")["partial"].to_list() == [False, False]
    live.missed(SYMBOL, T0 + 70_000)
    assert live.frame(SYMBOL, "1m")["partial"].to_list() == [False, True]
