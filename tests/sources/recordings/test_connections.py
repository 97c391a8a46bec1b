"""Connections in recordings: a bar that misses what came before one is none that a replay takes for whole."""

import json

import pytest

import mdstore
from mdstore.errors import InvalidInputError
from mdstore.sources.recordings.recorder import Recorder
from mdstore.sources.recordings.recording import Connected, Message, messages, played

T0 = 1_756_684_800_000  # a whole minute, in ms
URL = "wss://api.upbit.com/websocket/v1"


def trade(second):
    return json.dumps(
        {"ty": "trade", "cd": "KRW-BTC", "ttms": T0 + second * 1000, "tp": 10 + second % 7, "tv": 0.5,
         "ab": "BID", "sid": second + 1, "st": "REALTIME"}
    )  # fmt: skip


class Clock:
    def __init__(self):
        self.now = T0 * 10**6

    def __call__(self):
        return self.now


def record(path, seconds, connects=(), **options):
    clock = Clock()
    with Recorder(path, clock=clock, **options) as recorder:
        for second in seconds:
            clock.now = (T0 + second * 1000) * 10**6
            if second in connects:
                recorder.connected(URL)
            recorder.write(trade(second))
    return recorder


def minutes(tmp_path, files):
    with mdstore.open(tmp_path / "again.sqlite3") as store:
        store.live.build("1m", persist=True)
        store.replay(files)
        store.live.flush()
        times = store.candles("KRW-BTC", "1m")["timestamp"].dt.epoch("ms")
        return [(time - T0) // 60_000 for time in times]


def test_a_bar_that_misses_what_came_before_a_connection_is_not_stored(tmp_path):
    seconds = [second for second in range(0, 400, 10) if second not in (80, 90)]
    recorder = record(tmp_path / "upbit", seconds, connects=[0, 100])
    assert recorder.stats()["written"] == len(seconds)
    with mdstore.open(tmp_path / "again.sqlite3") as store:
        assert store.replay(recorder.files).messages == len(seconds)
    assert minutes(tmp_path, recorder.files) == [2, 3, 4, 5]


def test_so_is_one_across_two_recordings(tmp_path):
    first = record(tmp_path / "first", range(0, 200, 10), connects=[0])
    second = record(tmp_path / "second", range(230, 400, 10), connects=[230])
    assert minutes(tmp_path, first.files + second.files) == [1, 2, 4, 5]


def test_messages_that_there_was_no_room_for_are_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(Recorder, "_run", lambda _: None)  # a disk that takes nothing
    with Recorder(tmp_path / "upbit", clock=Clock(), buffer_bytes=1) as recorder:
        for second in 0, 1, 2:
            recorder.write(trade(second))
        recorder.flush()
        recorder.write(trade(3))
    kinds = [type(one) for one in played(*recorder.files)]
    assert kinds == [Message, Connected, Message]
    assert recorder.lost == 2


def test_a_connection_is_a_line_that_others_know(tmp_path):
    path = tmp_path / "some.recording"
    path.write_text(f"{URL} <-> 1618678261.681707\n1618678263.5: {{}}\n")
    assert list(played(path)) == [
        Connected(1618678261_681707000, URL), Message(1618678263_500000000, "{}")
    ]  # fmt: skip
    assert len(list(messages(path))) == 1
    with Recorder(tmp_path / "upbit") as recorder, pytest.raises(InvalidInputError, match="no address"):
        recorder.connected("upbit")


def test_volumes_are_those_of_the_exchange_to_the_last_digit(tmp_path):
    """0.1 and 0.2 are 0.30000000000000004; live bars of a watch are rounded so, too."""
    sizes = [0.1, 0.2, 0.00000003, 0.7, 0.1]
    clock, path = Clock(), tmp_path / "upbit"
    with Recorder(path, clock=clock) as recorder:
        for second in range(0, 200, 2):
            clock.now = (T0 + second * 1000) * 10**6
            recorder.write(trade(second).replace('"tv": 0.5', f'"tv": {sizes[second // 2 % 5]}'))
    with mdstore.open(tmp_path / "again.sqlite3") as store:
        store.live.build("1m", persist=True)
        store.replay(recorder.files)
        store.live.flush()
        volumes = store.candles("KRW-BTC", "1m")["volume"].to_list()
    assert volumes == [6.60000018] * 2


def kline(minute, volume, *, closed=False, **other):
    start = T0 + minute * 60_000
    values = {"o": "10", "h": "12", "l": "9", "c": "11", "v": str(volume), "x": closed, **other}
    return json.dumps(
        {"e": "kline", "E": start, "s": "BTCUSDT", "k": {"t": start, "s": "BTCUSDT", "i": "1m", **values}}
    )


@pytest.mark.parametrize("lost", ["connection", "half", "wrong"])
def test_a_kline_that_did_not_come_is_one_that_its_bar_lacks(tmp_path, lost):
    """The next bar's was taken to say that all of the last one had come."""
    clock, path = Clock(), tmp_path / "binance"
    with Recorder(path, clock=clock) as recorder:
        recorder.connected(URL)
        for minute in range(4):
            clock.now = (T0 + minute * 60_000) * 10**6
            recorder.write(kline(minute, 1))
            clock.now += 50 * 10**9
            if minute != 2:
                recorder.write(kline(minute, 5, closed=True))
            elif lost == "connection":
                recorder.connected(URL)
            elif lost == "half":
                recorder.write(kline(minute, 5, closed=True)[:50])
            else:
                recorder.write(kline(minute, 5, closed=True, h="8"))
    with mdstore.open(tmp_path / "again.sqlite3") as store:
        store.live.build("1m", persist=True)
        store.replay(recorder.files, venue="binance")
        store.live.flush()
        bars = store.candles("BTCUSDT", "1m")
    minutes = ((bars["timestamp"].dt.epoch("ms") - T0) // 60_000).to_list()
    assert dict(zip(minutes, bars["volume"], strict=True)) == {0: 5.0, 1: 5.0, 3: 5.0}
