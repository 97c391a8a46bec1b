"""Sessions: what they know of a connection, which bars they withhold, and what becomes of these."""

import asyncio
import logging
import threading
from datetime import UTC, datetime

import pytest

from mdstore import (
    BinanceFeed,
    FeedError,
    InvalidInputError,
    MarketDataStore,
    RealtimeDataCache,
    StoreClosedError,
    UpbitFeed,
)  # fmt: skip
from mdstore.realtime.live import LiveCandles
from mdstore.realtime.rows import Depth, Hole, Kline, Ticker, Trade
from tests.support.live import MINUTE, SYMBOL, T0, Clock, Sink, bar, kline, trade
from tests.support.waiting import until


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def cache(clock):
    cache = RealtimeDataCache(clock=clock)
    cache.live.build("1m")
    yield cache
    cache.close()


@pytest.fixture
def live(cache):
    return cache.live


@pytest.fixture
def store(tmp_path, clock):
    seconds = lambda: clock() / 1e9  # noqa: E731
    cache = RealtimeDataCache(clock=clock)
    with MarketDataStore(tmp_path / "a.sqlite3", realtime=cache, clock=seconds) as store:
        store.live.build("1m", persist=True)
        yield store


def play(session, clock, trades):
    for one in trades:
        clock.at(one.timestamp)
        session.push([one])


def minutes(holes, symbol=SYMBOL):
    """Holes of a symbol in minutes since the beginning."""
    ends = [(h.start, h.end) for h in holes if h.symbol == symbol]
    return [((start - T0) / MINUTE, None if end is None else (end - T0) / MINUTE) for start, end in ends]


def minute(at):
    return datetime.fromtimestamp((T0 + at * MINUTE) / 1000, UTC)


# ---- what is withheld, and by which name


def test_a_bar_in_its_grace_is_in_the_hole_of_a_lost_connection(live, clock):
    session = live.session("made up", SYMBOL)
    session.subscribed()
    play(session, clock, [trade(-50), trade(10), trade(50), trade(60.5)])
    clock.at(T0 + 61_000)
    assert minutes(session.disconnected()) == [(-1, None)]
    assert [one[6] for one in live.bars(SYMBOL, "1m")] == [False, False]


def test_an_outage_is_one_hole_from_the_last_proven_bar_to_the_first_whole_one(live, clock):
    session = live.session("made up", SYMBOL)
    session.subscribed()
    play(session, clock, [trade(-50), trade(10), trade(95)])
    session.disconnected()
    clock.at(T0 + 400_000)
    session.connecting()
    session.subscribed()
    play(session, clock, [trade(405), trade(430)])
    assert minutes(session.hole) == [(-1, 0), (1, 7)]
    assert [one[0] for one in live.bars(SYMBOL, "1m") if one[6]] == [T0]


def test_the_next_session_goes_on_with_the_hole_of_the_last(live, clock):
    with live.session("made up", SYMBOL) as session:
        session.subscribed()
        play(session, clock, [trade(-50), trade(10), trade(95)])
    assert minutes(session.hole) == [(-1, 0), (1, None)]
    clock.at(T0 + 400_000)
    with live.session("made up", SYMBOL) as other:
        other.subscribed()
        play(other, clock, [trade(405)])
        assert minutes(other.hole) == [(-1, 0), (1, 7)]


def test_a_subscription_that_takes_effect_after_the_minute_makes_no_whole_bar_of_it(live, clock):
    clock.at(T0 - 100)
    session = live.session("made up", SYMBOL)
    session.subscribed()
    play(session, clock, [trade(0.2), trade(30), trade(70)])
    assert minutes(session.hole) == [(-1, 1)]
    assert live.stats()["closed"] == 0


@pytest.mark.parametrize("step_ms", [0, 900_000, -5_000])
def test_neither_a_stall_nor_a_step_of_the_clock_makes_a_bar_whole(store, clock, step_ms):
    session = store.live.session("made up", SYMBOL)
    session.subscribed()
    play(session, clock, [trade(-50), trade(20)])
    clock.at(T0 + 62_000 + step_ms)
    store.live.flush()
    assert store.live.stats()["landed"] == 0
    session.close()
    assert minutes(session.hole) == [(-1, None)]


def test_the_exchanges_own_word_with_a_time_begins_bars(live, clock):
    session = live.session("made up", SYMBOL)
    clock.at(T0 - 3_000)
    session.subscribed(at=T0 - 2_500)
    play(session, clock, [trade(30), trade(70)])
    assert minutes(session.hole) == [(-1, 0)]


def test_a_symbol_is_proven_by_others_of_its_connection_and_by_no_other(live, clock):
    upbit, binance = live.session("upbit", [SYMBOL, "KRW-ETH"]), live.session("binance", "BTCUSDT")
    for session in (upbit, binance):
        session.subscribed()
    play(upbit, clock, [trade(-50), trade(20)])
    play(binance, clock, [trade(second, symbol="BTCUSDT") for second in range(-50, 200, 10)])
    assert live.bars(SYMBOL, "1m")[-1] == bar(0, 10, 10, 10, 10, 1, closed=False)
    play(upbit, clock, [trade(200, symbol="KRW-ETH")])
    assert live.bars(SYMBOL, "1m")[-1] == bar(0, 10, 10, 10, 10, 1)
    binance.disconnected()
    assert minutes(upbit.hole) == [(-1, 0)]
    assert minutes(binance.hole, "BTCUSDT") == [(-1, 0), (3, None)]


def test_symbols_that_have_not_traded_have_holes_too(live, clock):
    session = live.session("made up", [SYMBOL, "QUIET"])
    session.subscribed()
    play(session, clock, [trade(-50), trade(70)])
    assert minutes(session.disconnected(), "QUIET") == [(-1, 0), (1, None)]


def test_a_heartbeat_proves_what_is_quiet(live, clock):
    session = live.session("made up", SYMBOL)
    session.subscribed()
    play(session, clock, [trade(-50), trade(20)])
    session.heartbeat(T0 + MINUTE + 1_999)
    assert live.stats()["closed"] == 0
    session.heartbeat(T0 + MINUTE + 2_000)
    assert live.stats()["closed"] == 1


def test_tickers_and_books_of_the_exchanges_time_prove_bars_and_those_of_ours_do_not(live, clock):
    session = live.session("made up", SYMBOL)
    session.subscribed()
    play(session, clock, [trade(-50), trade(20)])
    clock.at(T0 + 90_000)
    session.push([Ticker(SYMBOL, T0 + 90_000, 1.0, received=clock())])  # spot's bookTicker has no other time
    assert live.stats()["closed"] == 0
    session.push([Depth(SYMBOL, T0 + 89_000, [1.0], [1.0], [2.0], [1.0], received=clock())])
    assert live.stats()["closed"] == 1


# ---- feeds and names


def test_two_feeds_of_one_name_are_kept_apart_or_refused(live, clock):
    spot = live.session(BinanceFeed("spot"), "BTCUSDT")
    with pytest.raises(InvalidInputError, match="BTCUSDT comes by another session, of binance") as caught:
        live.session(BinanceFeed("futures"), "BTCUSDT")
    prefix = caught.value.hint.python.partition("prefix='")[2].partition("'")[0]
    futures = live.session(BinanceFeed("futures"), "BTCUSDT", prefix=prefix)
    message = '{"e":"trade","E":%d,"s":"BTCUSDT","t":1,"p":"%d","q":"1","T":%d,"m":false}'
    clock.at(T0)
    assert spot.push(message % (T0, 100, T0)) == futures.push(message % (T0, 200, T0)) == 1
    assert live.bars("BTCUSDT", "1m") == [bar(0, 100, 100, 100, 100, 1, closed=False)]
    assert live.bars("binance-futures:BTCUSDT", "1m") == [bar(0, 200, 200, 200, 200, 1, closed=False)]


def test_rows_of_another_sessions_symbol_are_refused(live, clock):
    errors = []
    live.session("one", "A")
    other = live.session("other", "B", on_error=errors.append)
    assert other.push([trade(0, symbol="A"), trade(0, symbol="B")]) == 1
    assert "A comes by another session, of one" in str(errors[0])
    assert other.refused == 1


# ---- klines and candles


def test_a_page_of_candles_does_not_change_what_a_series_is_made_of(live, clock):
    session = live.session("made up", SYMBOL)
    session.subscribed()
    play(session, clock, [trade(-50), trade(10)])
    session.push([kline(minute)._replace(snapshot=True) for minute in (0, -1, -2)])  # the newest first
    session.push([kline(-3, closed=True)])
    play(session, clock, [trade(70), trade(130)])
    assert live.stats()["source_changes"] == 0
    assert live.bars(SYMBOL, "1m")[-2:] == [
        bar(1, 10, 10, 10, 10, 1),
        bar(2, 10, 10, 10, 10, 1, closed=False),
    ]
    assert minutes(session.hole) == []


def test_trades_make_bars_again_where_klines_stop_coming(live, clock, caplog):
    session = live.session("made up", SYMBOL)
    session.subscribed()
    with caplog.at_level(logging.WARNING, "mdstore.live"):
        play(session, clock, [trade(-50), trade(10)])
        session.push([kline(0)])
        session.disconnected()
        session.connecting()
        session.subscribed()
        play(session, clock, [trade(second) for second in range(70, 400, 10)])
    assert live.bars(SYMBOL, "1m")[-2:] == [
        bar(5, 10, 10, 10, 10, 6), bar(6, 10, 10, 10, 10, 4, closed=False),
    ]  # fmt: skip
    assert minutes(session.hole) == [(-1, 3)]
    assert [record.message for record in caplog.records] == [
        f"{SYMBOL} 1m is made of klines from now on", f"{SYMBOL} 1m is made of trades from now on",
    ]  # fmt: skip


# ---- late and repeated trades


def test_a_trade_too_late_for_a_stored_bar_has_it_asked_for_again(store, clock):
    session = store.live.session("made up", SYMBOL)
    session.subscribed()
    play(session, clock, [trade(60 * at - 50) for at in range(9)])
    store.live.flush()
    assert store.missing(SYMBOL, "1m", end=minute(6)).is_empty()
    session.push([trade(20, 99.0)])
    assert minutes(session.hole) == [(-1, 1)]
    store.live.flush()
    assert store.missing(SYMBOL, "1m", end=minute(6)).rows() == [(minute(0), minute(1), 1)]


def test_trades_of_one_millisecond_are_in_the_order_of_their_ids(live, clock):
    session = live.session("made up", SYMBOL)
    for key, price in ((2, 20.0), (1, 10.0), (3, 30.0)):
        session.push([Trade(SYMBOL, T0, price, 1.0, "buy", key)])
    assert live.bars(SYMBOL, "1m") == [bar(0, 10, 30, 10, 30, 3, closed=False)]


def test_repeats_of_trades_that_are_not_held_any_more_do_not_count_again(clock):
    cache = RealtimeDataCache(trades={"rows": 600}, clock=clock)
    cache.live.build("1m", from_start=True)
    trades = [Trade(SYMBOL, T0 + at, 10.0, 1.0, "buy", at) for at in range(3000)]
    for again in (trades, trades[:1500]):
        for one in again:
            cache.trades.push(one)
    assert cache.live.bars(SYMBOL, "1m")[0][5] == 3000.0
    assert cache.trades.stats()["duplicates"] == 1500


# ---- the ledger


def test_minutes_without_a_trade_are_stated_as_such(store, clock):
    session = store.live.session("made up", [SYMBOL, "BUSY"])
    session.subscribed()
    play(session, clock, [trade(-70), trade(-50, symbol="BUSY"), trade(10)])
    for second in range(20, 4 * 3600, 20):
        play(session, clock, [trade(second, symbol="BUSY")])
    play(session, clock, [trade(4 * 3600 + 10), trade(4 * 3600 + 70)])
    store.live.flush()
    gaps = store.gaps(SYMBOL, "1m")
    assert gaps.select("start", "end", "bars", "reason", "source").rows() == [
        (minute(1), minute(240), 239, "no_trade", "live")
    ]
    assert store.missing(SYMBOL, "1m", end=minute(240)).is_empty()


# ---- what is wrong with what comes


def test_what_is_wrong_is_refused_and_the_feed_goes_on(live, clock):
    errors = []
    session = live.session(BinanceFeed("futures"), "BTCUSDT", on_error=errors.append)
    session.subscribed()
    now = T0 // MINUTE * MINUTE
    kline_of = '{"e":"kline","E":1,"s":"BTCUSDT","k":{"t":%d,"s":"BTCUSDT","i":"1m","o":"1","c":"1","h":"1","l":"1","v":"1","x":true}}'  # noqa: E501
    trade_of = '{"e":"aggTrade","E":1,"s":"BTCUSDT","a":%d,"p":"%s","q":"1","T":%d,"m":false}'
    assert session.push(kline_of % (now * 1000)) == 1  # microseconds
    assert live.bars("BTCUSDT", "1m")[-1][0] == now
    assert session.push(trade_of % (1, "1", T0 + 120_000)) == 0  # after a step of the clock
    assert session.push(trade_of % (2, "x", T0)) == 0
    assert session.push("{") == session.push(5) == session.push([("no", "row")]) == 0
    assert session.push('{"error":{"code":2,"msg":"Invalid request"},"id":1}') == 0
    assert session.push('{"code":-1121,"msg":"Invalid symbol."}') == 0
    assert session.refused == 5
    assert [str(error) for error in errors if isinstance(error, FeedError)] == [
        "binance-futures: Invalid request", "binance-futures: Invalid symbol.",
    ]  # fmt: skip
    assert session.push(trade_of % (3, "1", T0)) == 1


def test_what_upbit_refuses_is_told():
    errors, live = [], LiveCandles()
    session = live.session(UpbitFeed(), "KRW-BTC", on_error=errors.append)
    session.push('{"error":{"name":"WRONG_FORMAT","message":"Format is wrong."}}')
    assert [str(error) for error in errors] == ["upbit: Format is wrong."]


def test_a_listener_to_errors_that_fails_stops_nothing(live, clock, caplog):
    session = live.session("made up", SYMBOL, on_error=lambda error: 1 / 0)
    assert session.push([trade(0)._replace(price=float("nan"))]) == 0
    assert session.push([trade(0)]) == 1
    assert "the one who is told of errors failed" in caplog.text


def test_a_refused_trade_leaves_its_bar_in_the_hole(live, clock):
    session = live.session("made up", SYMBOL)
    session.subscribed()
    play(session, clock, [trade(-50), trade(10)])
    session.push([trade(20)._replace(size=-1.0)])
    play(session, clock, [trade(70), trade(140)])
    assert minutes(session.hole) == [(-1, 1)]
    assert [one[0] for one in live.bars(SYMBOL, "1m") if one[6]] == [T0 + MINUTE]


def test_bars_that_cannot_be_stored_are_logged_and_told(clock, caplog):
    errors, sink = [], Sink(always=OSError("no space left"))
    live = LiveCandles(clock=clock, land=sink)
    live.build("1m", persist=True)
    live.on_error = lambda error: errors.append(("live", str(error)))
    session = live.session("made up", SYMBOL, on_error=lambda error: errors.append(("session", str(error))))
    session.subscribed()
    play(session, clock, [trade(-50), trade(10), trade(70)])
    until(lambda: len(errors) >= 2)
    assert sorted(errors[:2]) == [("live", "no space left"), ("session", "no space left")]
    assert "closed bars wait to be stored: KRW-BTC 1m: OSError: no space left" in caplog.text
    sink.always = None
    live.flush()
    live.close()


# ---- states


def test_states(live, clock):
    session = live.session("made up", SYMBOL, silence=0.05)
    assert session.state == "connecting"
    session.subscribed()
    assert session.state == "subscribed"
    session.push([trade(0)])
    assert session.state == "alive"
    until(lambda: session.state == "silent")
    session.heartbeat()
    assert session.state == "alive"
    session.disconnected()
    assert session.state == "disconnected"
    session.close()
    session.close()
    assert (session.state, session.stats()["state"]) == ("closed", "closed")
    assert repr(session) == "<Session: made up, 1 symbols, closed>"


def test_states_of_a_lost_connection_are_not_the_latest(cache, clock):
    session = cache.live.session("made up", ["A", "B"])
    cache.push([Ticker("A", T0, 1.0), Ticker("C", T0, 1.0), Depth("A", T0, [1.0], [1.0], [2.0], [1.0])])
    session.disconnected()
    assert cache.tickers.latest("A") is cache.orderbooks.latest("A") is None
    assert cache.tickers.latest("C").price == 1.0
    session.push([Ticker("A", T0, 2.0)])
    assert cache.tickers.latest("A").price == 2.0


@pytest.mark.parametrize(
    ("options", "word"),
    [({"feed": 5}, "feed"), ({"symbols": []}, "symbols"), ({"silence": 0}, "silence")],
)
def test_sessions_that_are_refused(live, options, word):
    with pytest.raises(InvalidInputError, match=word):
        live.session(**{"feed": "made up", "symbols": "A", **options})
    session = live.session("made up", "A")
    with pytest.raises(InvalidInputError, match="B is no symbol of this session"):
        session.subscribed("B")
    live.close()
    with pytest.raises(StoreClosedError):
        live.session("made up", "B")


def test_a_session_of_all_symbols(live, clock):
    session = live.session("made up", None)
    session.subscribed()
    play(
        session,
        clock,
        [trade(-50, symbol="A"), trade(10, symbol="A"), trade(20, symbol="B"), trade(70, symbol="A")],
    )
    assert [one[0] for one in live.bars("B", "1m") if one[6]] == [T0]
    session.disconnected()
    assert {hole.symbol for hole in session.hole} == {"A", "B"}


# ---- backfill


def truth(start, end):
    return [(at, 1.0, 2.0, 1.0, 2.0, 5.0) for at in range(start, end, MINUTE)]


def test_holes_are_fetched_once_their_bars_have_ended(store, clock):
    asked = []

    def fetch(*of):
        asked.append(of)
        return truth(*of[2:])

    with store.live.session("made up", "BTC", prefix="X:", backfill=fetch) as session:
        session.subscribed()
        play(session, clock, [trade(-50, symbol="BTC"), trade(70, symbol="BTC")])
        until(lambda: not session.hole)
        assert asked == [("BTC", "1m", T0 - MINUTE, T0)]
    stored = store.candles("X:BTC", "1m")
    assert stored["timestamp"].to_list() == [minute(-1)]
    assert store.provenance("X:BTC", "1m")["source"].to_list() == ["backfill"]


def test_holes_of_before_a_restart_are_fetched_too(store, clock):
    store.write(SYMBOL, "1m", truth(T0 - 10 * MINUTE, T0 - 5 * MINUTE))
    clock.at(T0)
    asked = []

    async def fetch(*of):
        asked.append(of[2:])
        return truth(*of[2:])

    async def run():
        async with store.live.session("made up", SYMBOL, backfill=fetch) as session:
            session.subscribed()
            assert minutes(session.hole)[0][0] == -5
            for one in (trade(5), trade(70), trade(140)):
                clock.at(one.timestamp)
                session.push([one])
            while session.hole:
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(run(), 30))
    assert asked[0][0] == T0 - 5 * MINUTE
    store.live.flush()
    times = store.candles(SYMBOL, "1m")["timestamp"].to_list()
    assert times == [minute(at) for at in range(-10, 2)]


def test_a_fetch_that_fails_is_told_and_tried_again(store, clock, monkeypatch):
    monkeypatch.setattr("mdstore.realtime.backfill.FIRST_PAUSE", 0.01)
    errors, failures = [], [OSError("429"), OSError("429")]

    def fetch(symbol, timeframe, start, end):
        if failures:
            raise failures.pop()
        return truth(start, end)

    with store.live.session("made up", SYMBOL, backfill=fetch, on_error=errors.append) as session:
        session.subscribed()
        play(session, clock, [trade(-50), trade(70)])
        until(lambda: not session.hole)
    assert [str(error) for error in errors] == ["429", "429"]


def test_a_hole_filled_by_other_means_is_none(live, clock):
    session = live.session("made up", SYMBOL)
    session.subscribed()
    play(session, clock, [trade(-50), trade(70)])
    assert session.hole == [Hole(SYMBOL, "1m", T0 - MINUTE, T0)]
    session.filled(SYMBOL, "1m", T0 - MINUTE, T0)
    assert session.hole == []


# ---- closed bars, as they close


def test_closed_bars_are_told_once_in_order_whole_partial_or_amended(live, clock):
    subscription = live.subscribe("1m", SYMBOL)
    session = live.session("made up", [SYMBOL, "B"])
    session.subscribed()
    play(session, clock, [trade(-50), trade(10), trade(20, symbol="B"), trade(70), trade(130)])
    session.push([trade(15, 99.0)])
    told = [(one.symbol, (one.timestamp - T0) // MINUTE, one.high, one.partial, one.amended)
            for one in subscription.drain()]  # fmt: skip
    assert told == [
        (SYMBOL, -1, 10.0, True, False), (SYMBOL, 0, 10.0, False, False),
        (SYMBOL, 1, 10.0, False, False), (SYMBOL, 0, 99.0, False, True),
    ]  # fmt: skip


def test_closed_bars_for_a_callback_a_loop_and_a_task(clock):
    live, called = LiveCandles(clock=clock), []
    live.build("1m", from_start=True)
    callback = live.subscribe("1m", callback=called.append)
    loop = live.subscribe("60s")

    async def task():
        async for one in live.subscribe("1m"):
            return one
        return None

    async def run():
        waiting = asyncio.create_task(task())
        await asyncio.sleep(0)
        for at in range(4):
            live.offer(trade(65 * at))
        return await waiting

    assert asyncio.run(run()).timestamp == T0
    callback.close()
    live.close()
    assert (
        [one.timestamp for one in loop]
        == [one.timestamp for one in called]
        == [T0, T0 + MINUTE, T0 + 2 * MINUTE]
    )
    with pytest.raises(StoreClosedError):
        live.subscribe("1m")
    with pytest.raises(InvalidInputError, match="callback"):
        live.subscribe("1m", callback=5)


# ---- many bars at once


def test_many_bars_land_in_one_transaction(store, clock):
    session = store.live.session("made up", [f"S{at}" for at in range(50)])
    session.subscribed()
    for second in (-50, 10, 70):
        clock.at(T0 + second * 1000)
        session.push([trade(second, symbol=name) for name in session.symbols])
    store.live.flush()
    assert store.series()["revision"].n_unique() <= 2  # the first may have gone by itself
    assert len(store.series()) == 50


def test_a_store_that_hangs_is_told_of(clock, caplog, monkeypatch):
    monkeypatch.setattr("mdstore.realtime.live_writer.SLOW_SECONDS", 0.05)
    gate = threading.Event()
    live = LiveCandles(clock=clock, land=lambda *_: gate.wait(20))
    live.build("1m", persist=True, from_start=True)
    live.offer(trade(0))
    live.offer(trade(63))
    until(lambda: "the store has not taken closed bars for" in caplog.text)
    gate.set()
    live.close()


def test_klines_of_a_feed_are_rows_too(live, clock):
    session = live.session("made up", SYMBOL)
    assert session.push(Kline(SYMBOL, "1m", T0, 1.0, 1.0, 1.0, 1.0, 1.0, closed=False)) == 1
    assert live.forming(SYMBOL, "1m").close == 1.0


def test_attempts_in_a_plain_loop_note_what_is_lost_and_raise_what_is_not(live, clock):
    class LostError(Exception):
        pass

    errors, states = [], []
    with live.session("made up", SYMBOL, on_error=errors.append) as session:
        for number, attempt in enumerate(session.attempts(LostError, first=0.001, most=0.002)):
            with attempt:
                states.append(session.state)
                session.push([trade(number)])
                if number == 0:
                    raise LostError
                if number == 1:
                    raise ConnectionRefusedError
                if number == 3:
                    session.close()
        assert [type(error) for error in errors] == [LostError, ConnectionRefusedError]
        assert states == ["connecting"] * 4
    with live.session("made up", SYMBOL) as session:
        attempt = next(session.attempts())
        with pytest.raises(ZeroDivisionError), attempt:
            raise ZeroDivisionError
    assert session.is_closed
