"""The quick way of a trade to its bars: the same bars as by the long one, and no more kept than is needed."""

import time

from hypothesis import given
from hypothesis import strategies as st

from mdstore.core.time_bounds import FOREVER
from mdstore.realtime.bars import FEW
from mdstore.realtime.cache import RealtimeDataCache
from mdstore.realtime.live import LiveCandles
from mdstore.realtime.rows import Trade
from tests.support.live import GRACE_MS, SYMBOL, T0, Clock

# Times step back by less than the grace; ids have nothing to do with time, as Upbit's do not always.
trades = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 0, 1, -1, -900, 700, 1_500]), st.integers(1, 9), st.integers(1, 99),
        st.none() | st.integers(1, 12),
    ),
    min_size=1, max_size=80,
)  # fmt: skip
TIMEFRAMES = ["1s", "3s", "1m"]


def made(drawn):
    now, found = T0, []
    for after, price, size, key in drawn:
        found.append(Trade(SYMBOL, max(T0, now + after), float(price), size / 7, "buy", key))
        now = max(now, found[-1].timestamp)
    return found


@given(trades)
def test_the_bars_are_those_of_the_long_way(drawn):
    quick, slow = (LiveCandles(clock=Clock(T0 + 10**6)) for _ in range(2))
    told = [live.subscribe("1s") for live in (quick, slow)]
    for live in (quick, slow):
        live.build(TIMEFRAMES, from_start=True)
    for one in made(drawn):
        quick.offer(one)
        if SYMBOL in slow._all.routes:
            slow._all.routes[SYMBOL].last = FOREVER  # behind which nothing comes
        slow.offer(one)
    for timeframe in TIMEFRAMES:
        assert quick.bars(SYMBOL, timeframe) == slow.bars(SYMBOL, timeframe)
    assert told[0].drain() == told[1].drain()


def test_a_busy_bar_keeps_the_trades_of_the_grace_only():
    live = LiveCandles(clock=Clock(T0))
    live.build(["1m", "1h"])
    for at in range(20_000):
        live.offer(Trade(SYMBOL, T0 + at, 1.0, 1.0, "buy", at))
    for series in live._all.of(SYMBOL):
        assert GRACE_MS <= len(series.bar.latest) == len(series.bar.before) <= 2 * GRACE_MS + 2 * FEW
    assert live.bars(SYMBOL, "1m")[0][5] == 20_000.0


def test_no_trade_is_made_of_a_row_unless_somebody_else_wants_one():
    cache, offered = RealtimeDataCache(), []
    cache.live.build("1m")
    offer = cache.live.offer
    cache.live.offer = lambda trade: offered.append(trade) or offer(trade)
    now = time.time_ns() // 10**6

    def push(key):
        assert cache.trades.push((SYMBOL, now + key, 1.0, 1.0, "buy", key)) == 1

    push(1)  # the first of a symbol goes the long way
    offered.clear()
    push(2)
    assert offered == []
    with cache.trades.subscribe() as rows:
        push(3)
        assert offered == rows.drain() == [cache.trades.latest(SYMBOL)]
    push(4)
    assert len(offered) == 1
    assert sum(bar[5] for bar in cache.live.bars(SYMBOL, "1m")) == 4.0
