"""Bars that an exchange sends as klines: they close, correct and replace those made of trades."""

import json

import pytest

from mdstore import InvalidInputError
from mdstore.realtime.live import LiveCandles
from mdstore.realtime.rows import Kline
from tests.support.live import GRACE_MS, MINUTE, SYMBOL, T0, Clock, Sink, bar, kline, play, trade
from tests.support.real import real


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


def test_a_series_of_klines_is_not_built_of_trades_any_more(live, clock):
    play(live, clock, [trade(1, 50), trade(60, 60), trade(62, 60)])
    live.offer(trade(1, 50, symbol="B"))
    live.update(kline(1, 2, 3, 1, 2.5, 10))
    play(live, clock, [trade(70, 99), trade(70, 99, symbol="B")])
    assert live.bars(SYMBOL, "1m") == [bar(0, 50, 50, 50, 50, 1), bar(1, 2, 3, 1, 2.5, 10, closed=False)]
    assert live.bars("B", "1m")[-1][4] == 99.0


@pytest.mark.parametrize("per_ms", [1, 1_000, 1_000_000])
def test_a_kline_may_bear_finer_times(live, clock, per_ms):
    """Binance's spot gives microseconds to those who ask for them."""
    update = kline(0, 2, 3, 1, 2.5, 10)
    live.update(update._replace(timestamp=update.timestamp * per_ms))
    assert live.bars(SYMBOL, "1m") == [bar(0, 2, 3, 1, 2.5, 10, closed=False)]
    later = kline(1, 2, 3, 1, 2.5, 10)
    live.update(later._replace(timestamp=later.timestamp * per_ms, closed=True))
    assert [row[0] for row in live.bars(SYMBOL, "1m")] == [update.timestamp, later.timestamp]


def test_a_kline_makes_a_partial_bar_whole(clock):
    live = LiveCandles(clock=clock)
    live.build("1m")
    play(live, clock, [trade(30, 50)])
    live.update(kline(0, 2, 3, 1, 2.5, 10))
    live.heartbeat(T0 + MINUTE + GRACE_MS)
    assert live.bars(SYMBOL, "1m") == [bar(0, 2, 3, 1, 2.5, 10)]


def test_a_bar_of_trades_that_klines_left_half_made_is_dropped(live, clock):
    play(live, clock, [trade(30, 50), trade(61, 51)])
    live.update(kline(0, 2, 3, 1, 2.5, 10, closed=True))
    live.update(kline(2))
    live.offer(trade(62, 52))
    assert live.bars(SYMBOL, "1m") == [bar(0, 2, 3, 1, 2.5, 10), bar(2, 2, 3, 1, 2.5, 10, closed=False)]
    assert live.stats()["partial"] == 1


def test_a_kline_of_a_later_bar_closes_the_one_before(live):
    live.update(kline(0))
    assert live.forming(SYMBOL, "1m") == kline(0)
    live.update(kline(1, 4, 4, 4, 4, 0))
    assert live.bars(SYMBOL, "1m") == [bar(0, 2, 3, 1, 2.5, 10), bar(1, 4, 4, 4, 4, 0, closed=False)]


def test_a_kline_that_does_not_follow_closes_no_bar_as_whole(landing, clock):
    """Without a session nobody has said that the connection was lost in between."""
    sink = Sink()
    live = landing(sink)
    clock.at(T0 + 9 * MINUTE)
    live.update(kline(0))
    live.update(kline(5))
    live.update(kline(6))
    live.update(kline(9, closed=True))
    live.flush()
    assert [row[0] for row in sink.sorted()] == [T0 + 5 * MINUTE, T0 + 9 * MINUTE]
    assert live.stats()["partial"] == 2
    live.update(kline(0, 2, 5, 1, 2.5, 11, closed=True))  # the exchange's own word makes it whole
    live.flush()
    assert sink.sorted()[0] == bar(0, 2, 5, 1, 2.5, 11)[:6]


@pytest.mark.parametrize("how", ["trade", "heartbeat"])
def test_nor_does_what_comes_of_a_much_later_time(live, clock, how):
    def comes(seconds):
        clock.at(T0 + 1000 * seconds)
        play(live, clock, [trade(seconds)]) if how == "trade" else live.heartbeat(T0 + 1000 * seconds)

    live.update(kline(0))
    comes(63)  # of the very next bar
    live.update(kline(1))
    comes(300)
    assert [one[0] for one in live.bars(SYMBOL, "1m") if one[6]] == [T0]
    assert [start for _, _, start, _ in live.holes()] == [T0 + MINUTE]


def test_in_a_session_that_was_not_lost_a_quiet_time_costs_no_bar(live, clock):
    clock.at(T0 + 9 * MINUTE)
    with live.session("made up", SYMBOL) as session:
        session.push([kline(0), kline(5), kline(6)])
        assert [one[0] for one in live.bars(SYMBOL, "1m") if one[6]] == [T0, T0 + 5 * MINUTE]


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


def test_an_update_after_time_closed_its_bar_still_counts_while_it_is_the_newest(live, clock):
    live.update(kline(0))
    live.heartbeat(T0 + MINUTE + GRACE_MS)
    assert live.bars(SYMBOL, "1m") == [bar(0, 2, 3, 1, 2.5, 10)]
    live.update(kline(0, 2, 3, 1, 3, 12))
    assert live.bars(SYMBOL, "1m") == [bar(0, 2, 3, 1, 3, 12)]
    assert live.stats()["amended"] == 1


def test_a_lost_connection_drops_the_open_bar_unless_another_kline_makes_it_whole(live, clock):
    live.build("1m")
    session = live.session("made up", SYMBOL)
    session.push([kline(0)])
    session.disconnected()
    session.push([kline(0, 2, 3, 1, 3, 12)])
    clock.at(T0 + MINUTE)
    session.push([kline(1)])
    session.disconnected()
    clock.at(T0 + 3 * MINUTE)
    session.connecting()
    session.push([kline(3)])
    assert [one[0] for one in live.bars(SYMBOL, "1m")] == [T0, T0 + 3 * MINUTE]
    assert live.stats()["partial"] == 1
    assert session.hole == [(SYMBOL, "1m", T0 + MINUTE, T0 + 3 * MINUTE)]


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


@pytest.mark.parametrize(
    ("field", "value"),
    [("timestamp", T0 + 60 * 24 * MINUTE), ("timestamp", 0), ("closed", "no"), ("open", True)],
)
def test_a_garbled_kline_is_refused(live, field, value):
    live.update(kline(0))
    with pytest.raises(InvalidInputError, match=field):
        live.update(kline(0)._replace(**{field: value}))
    assert len(live.bars(SYMBOL, "1m")) == 1


def test_a_kline_that_is_refused_is_one_that_its_bar_lacks(clock):
    """The first kline of the next bar was taken to say that all of it had come."""
    sink = Sink()
    live = LiveCandles(clock=clock, land=sink)
    live.build("1m", persist=True)
    session = live.session("made up", SYMBOL)
    session.subscribed()
    wrong = kline(1, 2, 1, 3, 2.5, 10, closed=True)  # its high is below its low
    for minute, last in enumerate([kline(0, closed=True), wrong, kline(2, closed=True), kline(3)]):
        clock.at(T0 + minute * MINUTE + 50_000)
        session.push([kline(minute, 2, 3, 1, 2.5, 4)])
        session.push([last])
    live.flush()
    live.close()
    assert [row[0] for row in sink.sorted()] == [T0, T0 + 2 * MINUTE]
    assert session.refused == 1
    assert next((one.start, one.end) for one in session.hole) == (T0 + MINUTE, T0 + 2 * MINUTE)
