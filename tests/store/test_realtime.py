"""What is live, within a store: beside the candles in queries, never on a disk."""

import threading
from datetime import UTC, datetime

import pytest

import mdstore
from mdstore import (
    InvalidInputError,
    RealtimeDataCache,
)
from tests.support.realtime import MS, NOW, Clock, now_ms, trade


def test_nothing_of_it_is_ever_on_a_disk(store, tmp_path):
    for key in range(5000):
        store.trades.push(("SECRET-SYMBOL", now_ms(), 123456.789, 1.0, "buy", key))
    store.tickers.push(("SECRET-SYMBOL", now_ms(), 123456.789))
    store.orderbooks.push(("SECRET-SYMBOL", now_ms(), [1.0], [1.0], [2.0], [1.0]))
    store.sql("SELECT * FROM trades")
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix not in (".sqlite3-shm",)]
    for path in files:
        if path != store.path and not path.name.startswith(store.path.name):
            assert b"SECRET" not in path.read_bytes()
    store.close()
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"SECRET" not in path.read_bytes()


def test_sql_joins_what_is_live_with_what_is_stored(store):
    minute = now_ms() // 60_000 * 60_000
    store.write("A", "1m", [(minute - 60_000 * n, 1, 9, 1, 5 + n, 1) for n in range(5)])
    store.trades.push([("A", minute - 30_000, 7.0, 1.0, "buy", 1), ("A", minute + 1, 8.0, 2.0, "sell", 2)])
    store.tickers.push({"symbol": "A", "timestamp": minute, "price": 7.5, "bid": 7.0})
    store.orderbooks.push(("A", now_ms(), [7.0, 6.0], [1.0, 2.0], [8.0], [3.0]))
    joined = store.sql("""
        SELECT t.id, t.side, t.price, c.close
        FROM trades t ASOF JOIN candles c ON t.symbol = c.symbol AND c.timestamp <= t.timestamp
        WHERE c.timeframe = '1m' ORDER BY t.id
    """)
    assert joined.rows() == [(1, "buy", 7.0, 6.0), (2, "sell", 8.0, 5.0)]
    assert store.sql("SELECT symbol, bid_prices[1], ask_sizes[1] FROM orderbooks").rows() == [("A", 7.0, 3.0)]
    assert store.sql("SELECT symbol, price, bid, ask FROM tickers").rows() == [("A", 7.5, 7.0, None)]
    assert store.sql("SELECT count(*) FROM trades JOIN candles USING (symbol)").item() == 10
    assert store.sql("SELECT max(timestamp) FROM trades").item() == datetime.fromtimestamp(
        (minute + 1) / 1000, UTC
    )


def test_a_screen_joins_frames_of_both(store):
    minute = now_ms() // 60_000 * 60_000
    store.write("A", "1m", [(minute - 60_000, 1, 9, 1, 5, 1)])
    store.tickers.push(("A", minute, 7.5))
    joined = store.candles(None, "1m", limit=1).join(store.tickers.snapshot(), on="symbol")
    assert joined["price"].to_list() == [7.5]


def test_a_store_may_have_another_cache(tmp_path):
    cache = RealtimeDataCache(trades={"ttl": 5})
    with mdstore.open(tmp_path / "a.sqlite3", realtime=cache) as store:
        assert store.trades is cache.trades
        assert store.trades.ttl == 5
        with pytest.raises(InvalidInputError, match="stored elsewhere"):
            mdstore.open(tmp_path / "b.sqlite3", realtime=cache)


def test_a_callback_that_fails_at_close_keeps_no_bar_from_being_stored(tmp_path, monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    clock = Clock()
    path = tmp_path / "a.sqlite3"
    store = mdstore.open(path, realtime=RealtimeDataCache(clock=clock))
    store.live.build("1m", persist=True, from_start=True)
    gate = threading.Event()

    def fail(row):
        gate.wait()
        raise ZeroDivisionError

    store.trades.subscribe(fail)
    store.trades.push(trade())
    clock.ms += 70_000
    store.live.heartbeat(clock.ms)
    threading.Timer(0.05, gate.set).start()
    store.close()
    with mdstore.open(path) as again:
        assert len(again.candles("KRW-BTC", "1m")) == 1


def test_a_closed_store_says_so(tmp_path):
    store = mdstore.open(tmp_path / "a.sqlite3")
    trades = store.trades
    store.close()
    for use in (lambda: store.trades, lambda: store.live, lambda: store.realtime, trades.subscribe):
        with pytest.raises(mdstore.StoreClosedError, match="closed"):
            use()


def test_a_replay_lets_go_by_the_time_on_the_recording(store, tmp_path):
    start = NOW // 1000 * 1000
    lines = [
        f'{(start + at * 1000) * MS} {{"ty":"trade","cd":"A","ttms":{start + at * 1000},"tp":1,"tv":1,"ab":"BID","sid":{at},"st":"REALTIME"}}\n'  # noqa: E501
        for at in range(5000)
    ]
    path = tmp_path / "long.ws"
    path.write_text("".join(lines))
    store.replay(path)
    assert len(store.trades.window("A")) == 600
    assert len(store.trades) < 1000
    with pytest.raises(InvalidInputError, match="clear"):
        store.replay(path)
    store.realtime.clear()
    assert store.trades.push(("A", now_ms(), 1.0, 1.0, "buy", 1)) == 1
    store.realtime.clear()
    (tmp_path / "broken.ws").write_text(f'{start * MS} {{"ty":"trade"}}\n')
    with pytest.raises(mdstore.FileFormatError):
        store.replay(tmp_path / "broken.ws")
    assert store.trades.push(("A", now_ms(), 1.0, 1.0, "buy", 1)) == 1


def test_clear_closes_no_bar_by_the_clock_it_goes_back_to(store):
    store.realtime.clock = Clock(NOW)
    store.live.build("1m", persist=True, from_start=True)
    store.trades.push(("A", NOW, 1.0, 1.0, "buy", 1))
    store.realtime.clear()
    store.live.flush()
    assert store.series().is_empty()
