"""What a watch goes on from: messages that are none, whoever is told and fails, a recorder that is closed."""

import polars as pl
import pytest

import mdstore
from mdstore import LocalExchange
from mdstore.sources.local_exchange.faults import SocketFaults
from tests.sources.watching.test_watch import OHLCV, markets, rows, until

pytestmark = pytest.mark.slow  # bars of a second end three seconds after they began


@pytest.fixture
def exchange():
    with LocalExchange(markets("KRW-BTC")) as exchange:
        yield exchange


def send_all(exchange, message):
    """Have the exchange send something by all of its websockets."""
    loop, hub = exchange._loop, exchange._hub
    for one in list(hub._sockets):
        loop.call_soon_threadsafe(one.send, message)


def test_what_is_no_text_ends_no_watch_that_is_recorded(store, exchange, tmp_path):
    options = {"base_url": exchange.url, "record": tmp_path / "upbit"}
    with store.watch("upbit", ["KRW-BTC"], "1s", **options) as watch:
        until(lambda: watch.messages > 3)
        send_all(exchange, b"\xff\xfe\x00")
        until(lambda: watch.stats()["refused"] == 1)
        more = rows(store)
        until(lambda: rows(store) > more + 1)
        assert not watch.wait(0)
    assert "no JSON" in str(watch.errors[0].error)
    with mdstore.open(tmp_path / "again.sqlite3") as again:
        assert again.replay(watch.recorder.files).messages == watch.messages - 1


def test_a_recorder_that_was_closed_is_told_of_once(store, exchange, tmp_path):
    recorder = mdstore.Recorder(tmp_path / "upbit")
    with store.watch("upbit", ["KRW-BTC"], "1s", base_url=exchange.url, record=recorder) as watch:
        until(lambda: watch.messages > 3)
        recorder.close()
        more = watch.messages
        until(lambda: watch.messages > more + 3)
    assert [str(failure.error) for failure in watch.errors] == [
        "this recorder is closed: nothing more is written"
    ]


def test_a_recorder_without_a_disk_is_told_of(store, exchange, tmp_path):
    errors = []
    options = {"base_url": exchange.url, "record": tmp_path / "gone" / "upbit", "on_error": errors.append}
    watch = store.watch("upbit", ["KRW-BTC"], "1s", **options)
    (tmp_path / "gone").rmdir()
    with watch:
        until(lambda: errors)
        (tmp_path / "gone").mkdir()
    assert isinstance(errors[0], FileNotFoundError)


def test_one_who_is_told_and_fails_ends_no_watch(store, exchange, caplog):
    old = (exchange.now() // 1000 * 1000 - 20_000_000, 1.0, 1.0, 1.0, 1.0, 1.0)
    store.write("KRW-BTC", "1s", [old])  # a hole that is left to a sync, which is told
    options = {"base_url": exchange.url, "on_error": lambda error: 1 / 0}
    with store.watch("upbit", ["KRW-BTC"], "1s", **options) as watch:
        until(lambda: rows(store) >= 2)
        assert not watch.wait(0)
    assert watch.errors
    assert "the one who is told of errors failed" in caplog.text


def test_a_connection_that_the_exchange_closes_is_told_of(store):
    errors = []
    with LocalExchange(markets("KRW-BTC"), socket_faults=SocketFaults(["closed"], after=0.5)) as exchange:
        options = {"base_url": exchange.url, "on_error": errors.append}
        with store.watch("upbit", ["KRW-BTC"], "1s", **options) as watch:
            until(lambda: watch.stats()["reconnects"] == 1)
    (error,) = errors
    assert str(error) == "upbit closed the connection (1001: the server restarts)"
    (note,) = error.__notes__
    assert note.startswith("upbit, KRW-BTC: connected to again in 0.")


@pytest.mark.long
def test_what_was_recorded_under_faults_plays_bars_that_are_true(store, exchange, tmp_path):
    options = {"base_url": exchange.url, "record": tmp_path / "upbit"}
    with store.watch("upbit", ["KRW-BTC"], "1s", **options) as watch:
        for number in range(3):
            more = rows(store)
            until(lambda: rows(store) > more + 7)  # noqa: B023 - called at once
            assert exchange.fail_sockets() == 1
            until(lambda: watch.stats()["reconnects"] == number + 1)  # noqa: B023
    with mdstore.open(tmp_path / "again.sqlite3") as again:
        again.live.build("1s", persist=True)
        again.replay(watch.recorder.files)
        again.live.flush()
        got = again.candles("KRW-BTC", "1s").with_columns(pl.col("timestamp").dt.epoch("ms"))
    first, last = got["timestamp"][0], got["timestamp"][-1]
    truth = exchange.truth.bars("KRW-BTC", "1s", first, last + 1)
    true = {row[0]: row[1:] for row in truth.select("timestamp", *OHLCV).iter_rows()}
    played = {row[0]: row[1:] for row in got.with_columns(pl.col("volume").round(8)).iter_rows()}
    assert played == {start: true[start] for start in played}
    assert len(true) > len(played) > 3
