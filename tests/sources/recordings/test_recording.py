"""Recordings: their lines, their damage, and playing them again."""

import gzip
import json
import time
from dataclasses import FrozenInstanceError
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdstore.errors import FileFormatError, InvalidInputError
from mdstore.sources.recordings.recording import Message, messages, venue
from mdstore.sources.recordings.replay import RecordingClock, replay
from tests.support.real import real

SPOT = ("binance_spot", "btcusdt_20240808.gz")
UPBIT = ("upbit_stream", "UPBIT.ws.62.0")
FUTURES = ("binance_futures_stream", "BINANCE_FUTURES.ws.1.0")
FUTURES_ANSWERS = ("binance_futures_stream", "BINANCE_FUTURES.http.0.0")


# --- reading --------------------------------------------------------------------------------------------


def recording(tmp_path, *lines, name="some.recording"):
    path = tmp_path / name
    path.write_text("\n".join(lines) + "\n")
    return path


def test_every_kind_of_line(tmp_path):
    path = recording(
        tmp_path,
        'configuration: {"trades":["A"]}',
        "wss://api.upbit.com/websocket/v1 <-> 1618678261.681707",
        'wss://api.upbit.com/websocket/v1 <- 1618678262.670261: [{"ticket":"x"}]',
        "",
        '1723161253937085768 {"a":1}',
        '1618678263.010785: {"b":"\u20a9"}',
        r"""1618678263: b'{"c":"it\'s \xe2\x82\xa9"}'""",
        r'''1618678263.5: b"[\"d'\"]"''',
        "https://fapi.binance.com/fapi/v1/depth?symbol=X&limit=5 -> 1626992741.301402: {}",
    )
    assert list(messages(path)) == [
        Message(1723161253937085768, '{"a":1}'),
        Message(1618678263_010785000, '{"b":"\u20a9"}'),
        Message(1618678263_000000000, '{"c":"it\'s \u20a9"}'),
        Message(1618678263_500000000, '["d\'"]'),
        Message(1626992741_301402000, "{}", "https://fapi.binance.com/fapi/v1/depth?symbol=X&limit=5"),
    ]


@pytest.mark.parametrize(
    ("seconds", "ns"),
    [
        ("1626992741.06217", 1626992741_062170000), ("1618678263.6800792", 1618678263_680079200),
        ("1618678263.123456789", 1618678263_123456789), ("1618678263.1234567899", 1618678263_123456789),
        ("1618678263.000000001", 1618678263_000000001),
    ],
)  # fmt: skip
def test_seconds_are_exact(tmp_path, seconds, ns):
    assert list(messages(recording(tmp_path, f"{seconds}: []"))) == [Message(ns, "[]")]


@given(st.lists(st.integers(10**18, 2 * 10**18), min_size=1, max_size=20))
def test_seconds_of_any_length_are_exact(moments):
    """Written with as many digits as it takes, every nanosecond comes back."""
    text = "".join(f"{ns // 10**9}.{ns % 10**9:09d}".rstrip("0") + "0: []\n" for ns in moments)
    with TemporaryDirectory() as folder:
        path = Path(folder, "some.recording")
        path.write_text(text)
        assert [message.received for message in messages(path)] == moments


def test_recorded_files():
    spot = list(messages(real(*SPOT)))
    assert (len(spot), spot[0].received) == (41_249, 1723161253937085768)
    assert all(before.received <= after.received for before, after in pairwise(spot))
    upbit = list(messages(real(*UPBIT)))
    assert (len(upbit), upbit[0].received) == (449, 1618678263_010785000)
    assert json.loads(upbit[0].text)["sid"] == 1618678262000003
    (markets,) = messages(real("upbit_stream", "UPBIT.0"))
    assert (markets.url, markets.received) == ("https://api.upbit.com/v1/market/all", 1618678261_680079200)
    assert json.loads(markets.text)[0]["korean_name"] == "\ube44\ud2b8\ucf54\uc778"


def test_files_are_merged_in_the_order_received():
    files = real(*FUTURES), real(*FUTURES_ANSWERS)
    merged = list(messages(*files))
    assert merged == sorted([*messages(files[0]), *messages(files[1])], key=lambda message: message.received)
    assert (len(merged), sum(message.url is not None for message in merged)) == (1_539, 4)
    assert merged == list(messages(*reversed(files)))


@pytest.mark.parametrize(
    "line",
    [
        "1723161253937085768", '1723161253937085768 {"a":', "1723161253937085768 b'{'", '1723161253 {"a":1}',
        "1618678263.5: b'\\xff'", "1618678263.5: b'[]' + b''", "1618678263.5: b'", "1618678263.x: {}",
        '{"a":1}', "https://x.y -> {}", "date,open,high,low,close", "\x00\x01",
    ],
)  # fmt: skip
def test_a_broken_line_is_named(tmp_path, line):
    path = recording(tmp_path, '1723161253937085768 {"a":1}', "", line)
    found = messages(path)
    assert next(found).text == '{"a":1}'
    with pytest.raises(FileFormatError, match=r"some\.recording: line 3"):
        next(found)


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "some.recording"
    path.write_bytes(b"1723161253937085768 {}\n1723161253937085769 \xff\n")
    with pytest.raises(FileFormatError, match="line 2"):
        list(messages(path))


def test_gzip_by_content_and_damage(tmp_path):
    lines = "".join(f'{1723161253937085768 + n} {{"n":{n * n * 7919}}}\n' for n in range(20_000))
    packed = gzip.compress(lines.encode())
    path = tmp_path / "no-suffix"
    path.write_bytes(packed)
    assert len(list(messages(path))) == 20_000
    path.write_bytes(packed[: len(packed) // 2])
    found = messages(path)
    assert next(found).text == '{"n":0}'
    with pytest.raises(FileFormatError, match=r"no-suffix: damaged after line [1-9]"):
        list(found)
    path.write_bytes(packed[:200] + bytes(100) + packed[300:])
    with pytest.raises(FileFormatError, match="no-suffix: "):
        list(messages(path))


def test_a_recording_cut_short(tmp_path):
    path = tmp_path / "cut.gz"
    path.write_bytes(real(*SPOT).read_bytes()[:500_000])
    with pytest.raises(FileFormatError, match=r"cut\.gz: damaged after line \d+"):
        list(messages(path))


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        next(messages(tmp_path / "absent"))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([SPOT], "binance"), ([UPBIT], "upbit"), ([("upbit_stream", "UPBIT.0"), UPBIT], "upbit"),
        ([FUTURES], "binance-futures"), ([FUTURES_ANSWERS], "binance-futures"),
        ([FUTURES, FUTURES_ANSWERS], "binance-futures"),
    ],
)  # fmt: skip
def test_venue_of_recordings(files, expected):
    assert venue(*(real(*file) for file in files)) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"e":"aggTrade","E":1,"s":"X"}', "binance"), ('{"e":"bookTicker","E":1,"u":1,"s":"X","b":1,"a":1}',
         "binance-futures"), ('{"u":1,"s":"X","b":1,"B":1,"a":1,"A":1}', "binance"),
        ('{"e":"depthUpdate","E":1,"s":"X","U":1,"u":1,"b":[],"a":[]}', "binance"),
        ('{"e":"depthUpdate","E":1,"s":"X","U":1,"u":1,"pu":0,"b":[],"a":[]}', "binance-futures"),
        ('[{"market":"KRW-BTC"}]', "upbit"), ('[{"type":"trade","code":"KRW-BTC"}]', "upbit"),
    ],
)  # fmt: skip
def test_venue_by_message(tmp_path, line, expected):
    # What may be either waits for what surely is one.
    either = '{"e":"trade","E":1,"s":"X"}' if "binance" in expected else '{"status":"UP"}'
    lines = [f"1723161253937085768 {text}" for text in ("[]", "7", either, line)]
    assert venue(recording(tmp_path, *lines)) == expected


def test_venue_that_cannot_be_told(tmp_path):
    nobody = recording(tmp_path, '1723161253937085768 {"hello":1}', name="nobody")
    with pytest.raises(FileFormatError, match="nobody: cannot tell"):
        venue(nobody)
    upbit = recording(tmp_path, '1723161253937085768 {"ty":"trade","cd":"X"}', name="u")
    spot = recording(tmp_path, '1723161253937085768 {"lastUpdateId":1}', name="b")
    with pytest.raises(FileFormatError, match="different exchanges"):
        venue(upbit, spot)
    assert venue(upbit, nobody) == "upbit"


# --- playing --------------------------------------------------------------------------------------------


class Sink:
    """Takes rows and notes what the clock says meanwhile."""

    def __init__(self):
        self.clock = time.time_ns
        self.taken = {"tickers": [], "orderbooks": [], "trades": [], "klines": []}
        for kind in ("tickers", "orderbooks", "trades"):
            setattr(self, kind, SimpleNamespace(push=self._taker(kind)))
        connection = SimpleNamespace(unsubscribed=lambda: None, subscribed=lambda: None, heard=lambda _: None)
        self.live = SimpleNamespace(update=self._taker("klines"), session=lambda *_, **__: connection)
        self.times = []

    def _taker(self, kind):
        def take(row):
            self.taken[kind].append(row)
            self.times.append((row.received, self.clock()))

        return take

    def counts(self):
        return {kind: len(rows) for kind, rows in self.taken.items()}


def counted(done):
    return {kind: getattr(done, kind) for kind in ("tickers", "orderbooks", "trades", "klines")}


@pytest.mark.parametrize(
    ("files", "played", "skipped", "kinds"),
    [
        ([SPOT], "binance", 4, {"tickers": 28_039, "orderbooks": 3_449, "trades": 9_757, "klines": 0}),
        ([UPBIT], "upbit", 0, {"tickers": 0, "orderbooks": 145, "trades": 304, "klines": 0}),
        ([("upbit_stream", "UPBIT.0"), UPBIT], "upbit", 1,
         {"tickers": 0, "orderbooks": 145, "trades": 304, "klines": 0}),
    ],
)  # fmt: skip
def test_recordings_are_played(files, played, skipped, kinds):
    sink, files = Sink(), [real(*file) for file in files]
    done = replay(files, sink)
    assert (done.venue, done.skipped) == (played, skipped)
    assert counted(done) == sink.counts() == kinds
    assert done.messages == sum(kinds.values()) + skipped
    received = [message.received for message in messages(*files)]
    assert (done.first, done.last) == (received[0], received[-1])
    assert done.seconds == pytest.approx((received[-1] - received[0]) / 1e9)
    # The clock says when the message being played was received, and stands at the end afterwards.
    assert all(row_received == clock for row_received, clock in sink.times)
    assert isinstance(sink.clock, RecordingClock)
    assert sink.clock() == done.last
    with pytest.raises(FrozenInstanceError):
        done.trades = 0


def test_futures_take_their_snapshots_from_the_answers():
    sink = Sink()
    done = replay([real(*FUTURES), real(*FUTURES_ANSWERS)], sink)
    assert (done.messages, done.trades, done.klines) == (1_539, 91, 67)
    assert {row.symbol for row in sink.taken["orderbooks"] if row.snapshot} == {
        "SUSHIUSDT", "AKROUSDT", "KEEPUSDT", "CTKUSDT",
    }  # fmt: skip
    assert done.orderbooks > 700
    alone = replay(str(real(*FUTURES)), Sink())
    assert (alone.orderbooks, alone.trades) == (0, 91)


class FakeTime:
    """A clock that only sleeping moves; `late` is how much longer each nap takes than was asked for."""

    def __init__(self, late=0.0):
        self.now, self.late, self.naps = 100.0, late, []

    def sleep(self, seconds):
        self.naps.append(seconds)
        self.now += seconds + self.late

    def timer(self):
        return self.now


@pytest.mark.parametrize("speed", [1.0, 10, 0.25])
def test_pace(speed):
    fake, sink = FakeTime(), Sink()
    done = replay(real(*UPBIT), sink, speed=speed, sleep=fake.sleep, timer=fake.timer)
    assert done.seconds > 25
    assert sum(fake.naps) == pytest.approx(done.seconds / speed, rel=1e-9)
    assert 0 < max(fake.naps) <= 0.1
    assert sink.counts()["trades"] == 304


def test_pace_with_a_timer_that_is_real():
    """Playing takes time, too: what is slept and what is played make up the recording's length."""
    fake, sink = FakeTime(), Sink()
    before = time.monotonic()
    done = replay(real(*UPBIT), sink, speed=10, sleep=fake.sleep)
    took = time.monotonic() - before
    assert done.seconds / 10 - took <= sum(fake.naps) <= done.seconds / 10


def test_pace_makes_up_for_naps_that_take_too_long():
    fake = FakeTime(late=0.002)
    done = replay(real(*UPBIT), Sink(), speed=1, sleep=fake.sleep, timer=fake.timer)
    assert fake.now - 100 == pytest.approx(done.seconds, abs=0.2)
    assert sum(fake.naps) < done.seconds - 0.5


def test_no_pace_does_not_sleep():
    fake = FakeTime()
    replay(real(*UPBIT), Sink(), sleep=fake.sleep)
    assert fake.naps == []


def test_ctrl_c_ends_a_long_wait(tmp_path):
    path = recording(tmp_path, "1723161253937085768 []", "1823161253937085768 []")

    def sleep(seconds):
        assert seconds <= 0.1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replay(path, Sink(), venue="binance", speed=1, sleep=sleep)


@pytest.mark.slow
def test_progress():
    seen = []
    done = replay(real(*SPOT), Sink(), progress=seen.append)
    assert len(seen) > 20
    assert seen == sorted(seen)
    assert seen[-1] == done.messages
    fake, seen = FakeTime(), []
    replay(real(*UPBIT), Sink(), speed=1, sleep=fake.sleep, timer=fake.timer, progress=seen.append)
    assert len(seen) > 400


def test_the_clock_is_never_set_back(tmp_path):
    bar = '{"ty":"ticker","cd":"X","tms":1,"tp":1}'
    path = recording(tmp_path, *(f"172316125393708576{n} {bar}" for n in (5, 3, 7)))
    sink = Sink()
    done = replay(path, sink)
    assert [clock % 10 for _, clock in sink.times] == [5, 5, 7]
    assert (done.first % 10, done.last % 10, done.tickers) == (5, 7, 3)


@pytest.mark.parametrize("speed", [0, -1, float("nan"), float("inf")])
def test_speeds_that_are_none(speed, tmp_path):
    with pytest.raises(InvalidInputError, match="speed"):
        replay(recording(tmp_path, "1723161253937085768 []"), Sink(), venue="upbit", speed=speed)


def test_what_cannot_be_played(tmp_path):
    empty = recording(tmp_path, "")
    with pytest.raises(FileFormatError, match="no message"):
        replay(empty, Sink(), venue="upbit")
    with pytest.raises(InvalidInputError, match="venue"):
        replay(empty, Sink(), venue="nasdaq")
    with pytest.raises(InvalidInputError, match="paths"):
        replay([], Sink())
    broken = recording(tmp_path, "1723161253937085768 []", '1723161253937085769 {"ty":"trade","cd":"X"}')
    with pytest.raises(FileFormatError, match=r"some\.recording: message 2, .*upbit trade: ask_bid or ab is"):
        replay(broken, Sink())


def test_what_the_sink_refuses_is_said_with_file_and_message(tmp_path):
    path = recording(tmp_path, '1723161253937085768 {"ty":"ticker","cd":"X","tms":1,"tp":1}')
    sink = Sink()

    def refuse(row):
        raise InvalidInputError("no more")

    sink.tickers = SimpleNamespace(push=refuse)
    with pytest.raises(FileFormatError, match=r"some\.recording: message 1, .*: no more$"):
        replay(path, sink)
