"""What the pages of every source keep, against exchanges of which everything is known."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mdstore.core.timeframe import MINUTE, Timeframe
from mdstore.sources.exchanges.binance_candles import SPOT, USDM, BinanceCandles
from mdstore.sources.exchanges.rest_source import LATE_MS
from mdstore.sources.exchanges.upbit_candles import UpbitCandles
from tests.support.binance_exchange import BinanceExchange
from tests.support.pages import covered, pages_of, times_of
from tests.support.upbit_exchange import UpbitExchange

DAWN = 1_735_689_600_000  # 2025-01-01 00:00 UTC
SYMBOL = "KRW-BTC"


def upbit(minutes, **options):
    exchange = UpbitExchange(minutes, **options)
    return exchange, UpbitCandles(exchange)


def spot(minutes, *, part=SPOT, **options):
    exchange = BinanceExchange(minutes, part=part, **options)
    return exchange, BinanceCandles(part, exchange)


def futures(minutes, **options):
    return spot(minutes, part=USDM, **options)


@pytest.mark.parametrize("opens", [upbit, spot, futures])
@given(
    traded=st.sets(st.integers(0, 600), max_size=120),
    asked=st.tuples(st.integers(-200, 700), st.integers(1, 500)),
    exchange=st.tuples(st.integers(0, 800 * 60), st.sampled_from([1, 3, 10, 1000])),
    timeframe=st.sampled_from(["1m", "5m", "1h"]),
)
@example(traded=set(), asked=(0, 100), exchange=(90 * 60, 200), timeframe="1m")
@example(traded={0}, asked=(-10, 20), exchange=(500 * 60, 200), timeframe="1m")
@example(traded={0, 175}, asked=(0, 176), exchange=(175 * 60, 3), timeframe="1m")
@settings(max_examples=150, deadline=None)
def test_the_pages_are_the_truth(opens, traded, asked, exchange, timeframe):
    """Every closed bar once, and each that is absent with its reason, whatever is asked and how pages end.

    `exchange` is what its clock shows, in seconds, and how many bars it gives at most.
    """
    frame, now = Timeframe.parse(timeframe), DAWN + exchange[0] * 1000
    exchange, source = opens({SYMBOL: [DAWN + at * MINUTE for at in traded]}, clock=now, cap=exchange[1])
    low, high = (DAWN + minute * MINUTE for minute in (asked[0], sum(asked)))
    pages = pages_of(source, SYMBOL, timeframe, low, high)
    low, high = (frame.next(time - 1) for time in (low, high))  # where bars start
    there = exchange.bars(SYMBOL, frame)
    closed = [bar for bar in there if low <= bar < high and frame.next(bar) <= now]
    assert times_of(pages) == closed
    begin, end = covered(pages) or (low, low)
    assert begin == low
    assert end >= min(high, frame.floor(now - LATE_MS))  # what has settled is not left out
    assert end <= frame.floor(now) or not pages  # and nothing is said of what is forming
    for page in pages:
        before = not there or page.end <= there[0]
        assert page.absent == ("before_listing" if before else "no_trade")
