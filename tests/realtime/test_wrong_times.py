"""Trades whose time is wrong: any bar may be the one that lacks them."""

from mdstore.realtime.cache import RealtimeDataCache
from tests.support.live import MINUTE, SYMBOL, T0, Clock, trade


def test_a_trade_of_the_future_may_be_one_of_the_bar_that_forms():
    clock = Clock()
    cache = RealtimeDataCache(clock=clock)
    cache.live.build("1m")
    session = cache.live.session("made up", [SYMBOL, "OTHER"])
    session.subscribed()
    for second in (-50, 10, 70, 100, 150, 190, 260, 320):
        clock.at(T0 + second * 1000)
        one = trade(second)
        is_spoiled = second == 100
        session.push([one._replace(timestamp=one.timestamp + 3_600_000) if is_spoiled else one])
        session.push([one._replace(symbol="OTHER", timestamp=one.timestamp + 5)])
    holes = [(h.symbol, (h.start - T0) // MINUTE, (h.end - T0) // MINUTE) for h in session.hole]
    assert holes == [(SYMBOL, -1, 0), (SYMBOL, 1, 3), ("OTHER", -1, 0)]
    assert [(bar[0] - T0) // MINUTE for bar in cache.live.bars(SYMBOL, "1m") if bar[6]] == [0, 3, 4]
    cache.close()
