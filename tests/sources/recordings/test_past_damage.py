"""Recordings that are damaged play past it: what is left out is counted, and no bar lacks a trade unknown."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mdstore
from mdstore.errors import FileFormatError
from mdstore.sources.recordings.recorder import Recorder

T0 = 1_756_684_800_000  # a whole minute, in ms
SECONDS = range(0, 400, 5)


def trade(second, **other):
    return json.dumps(
        {"ty": "trade", "cd": "KRW-BTC", "ttms": T0 + second * 1000, "tp": 10 + second % 7, "tv": 0.5,
         "ab": "BID", "sid": second + 1, "st": "REALTIME", **other}
    )  # fmt: skip


def line(second, text=None):
    return f"{(T0 + second * 1000) * 10**6} {text or trade(second)}\n"


def recorded(folder):
    """Return a recording of a gzip member each five seconds, as a recorder writes one each second."""
    now = [0]
    with Recorder(folder / "upbit", clock=lambda: now[0]) as recorder:
        for second in SECONDS:
            now[0] = (T0 + second * 1000) * 10**6
            recorder.write(trade(second))
            recorder.flush()
    return recorder.files[0]


def written(folder, lines, name="some.recording"):
    path = folder / name
    path.write_text("".join(lines))
    return path


def played(*files, **options):
    """Return what was played, and the bars that were stored, by their minute."""
    with TemporaryDirectory() as folder, mdstore.open(Path(folder, "again.sqlite3")) as store:
        store.live.build("1m", persist=True)
        done = store.replay(files, **options)
        store.live.flush()
        if store.series().is_empty():
            return done, {}
        bars = store.candles(None, "1m").with_columns(pl.col("timestamp").dt.epoch("ms")).rows()
    return done, {(bar[1] - T0) // 60_000: bar[2:] for bar in bars}


@pytest.fixture(scope="module")
def whole():
    """The bars of a recording that nothing befell."""
    with TemporaryDirectory() as folder:
        done, bars = played(recorded(Path(folder)))
    assert (done.messages, done.unread, done.cut, list(bars)) == (80, 0, (), [1, 2, 3, 4, 5])
    return bars


@pytest.mark.parametrize("bad", [line(150)[:60] + "\n", "\n" + "x" * 90 + "\n", "\x00" * 50 + "\n"])
def test_a_garbled_line_is_left_out_and_its_bar_with_it(tmp_path, whole, bad):
    lines = [bad if second == 150 else line(second) for second in SECONDS]
    path = written(tmp_path, lines)
    done, bars = played(path)
    assert (done.messages, done.unread, done.cut) == (79, 1, ())
    number = 31 + bad.startswith("\n")
    assert done.first_unread.startswith(f"some.recording: line {number}: ")
    assert bars == {minute: bar for minute, bar in whole.items() if minute != 2}
    with pytest.raises(FileFormatError, match=f"line {number}"):
        played(path, strict=True)


def test_the_last_line_of_a_recorder_that_was_killed_is_no_error(tmp_path, whole):
    path = written(tmp_path, [*map(line, SECONDS), line(400)[:70]])
    done, bars = played(path)
    assert (done.messages, done.unread, done.cut) == (80, 0, ("some.recording",))
    assert bars == whole
    with pytest.raises(FileFormatError, match="line 81"):
        played(path, strict=True)


def test_a_bar_between_a_file_that_was_cut_and_the_next_is_not_stored(tmp_path, whole):
    first = written(tmp_path, [*map(line, range(0, 150, 5)), line(150)[:70]], "a")
    second = written(tmp_path, map(line, range(155, 400, 5)), "b")
    done, bars = played(first, second)
    assert (done.cut, bars) == (("a",), {1: whole[1], **{minute: whole[minute] for minute in (3, 4, 5)}})


def test_of_a_gzipped_recording_a_damaged_member_is_left_out_and_no_more(tmp_path, whole):
    path = recorded(tmp_path)
    data = bytearray(path.read_bytes())
    begins = [at for at in range(len(data)) if data[at : at + 3] == b"\x1f\x8b\x08"]
    assert len(begins) == len(SECONDS)
    data[begins[30] + 40] ^= 0xFF  # the trade at 150 s
    path.write_bytes(data)
    done, bars = played(path)
    assert (done.messages, done.unread, done.cut) == (79, 1, ())
    assert done.first_unread.startswith(f"{path.name}: damaged after line 30: ")
    assert bars == {minute: bar for minute, bar in whole.items() if minute != 2}


def test_zeros_that_a_power_cut_leaves_at_the_end_are_no_error(tmp_path, whole):
    path = recorded(tmp_path)
    path.write_bytes(path.read_bytes() + bytes(4096))
    done, bars = played(path)
    assert (done.messages, done.unread, done.cut, bars) == (80, 0, (), whole)


@pytest.mark.parametrize(
    ("text", "unread", "minutes"),
    [
        (trade(150, tp=-1), 1, [1, 3, 4, 5]), (trade(150, ab="?"), 1, [1, 3, 4, 5]),
        (trade(150, ttms=10**12 * 3), 1, [1, 3, 4, 5]), ('{"ty":"ticker","cd":"X"}', 1, [1, 2, 3, 4, 5]),
        ("7", 0, [1, 2, 3, 4, 5]),
    ],
)  # fmt: skip
def test_a_message_that_breaks_a_rule_is_left_out_and_its_bar_if_it_may_have_been_a_trade(
    tmp_path, whole, text, unread, minutes
):
    path = written(tmp_path, [line(second, text if second == 150 else None) for second in SECONDS])
    done, bars = played(path)
    assert (done.messages, done.unread, list(bars)) == (80, unread, minutes)
    assert {minute: bar for minute, bar in bars.items() if minute != 2} == {
        minute: bar for minute, bar in whole.items() if minute != 2
    }
    if unread:
        with pytest.raises(FileFormatError, match=r"some\.recording: message 31, "):
            played(path, strict=True)


def test_a_file_that_is_no_recording_at_all_is_refused_among_others_too(tmp_path):
    good, bad = written(tmp_path, map(line, SECONDS)), tmp_path / "candles.csv"
    bad.write_text("date,open,high,low,close\n" * 50)
    for files in [bad], [good, bad], [bad, good]:
        for venue in None, "upbit":
            with pytest.raises(FileFormatError, match=r"candles\.csv: line 1: .* is no recorded message"):
                played(*files, venue=venue)


DAMAGE = st.tuples(
    st.sampled_from(["flip", "zero", "cut", "drop", "twice"]), st.floats(0, 1), st.integers(1, 400)
)


@given(st.lists(DAMAGE, min_size=1, max_size=3))
def test_whatever_befalls_its_bytes_no_bar_is_stored_that_was_not_there(whole, damages):
    with TemporaryDirectory() as folder:
        path = recorded(Path(folder))
        data = path.read_bytes()
        for kind, where, length in damages:
            at = int(where * len(data))
            part = data[at : at + length]
            put = {
                "flip": bytes(byte ^ 0x55 for byte in part), "zero": bytes(len(part)), "drop": b"",
                "twice": part * 2, "cut": None,
            }[kind]  # fmt: skip
            data = data[:at] if put is None else data[:at] + put + data[at + length :]
        path.write_bytes(data)
        try:
            _, bars = played(path, venue="upbit")
        except FileFormatError:
            return
    assert bars.items() <= whole.items()
