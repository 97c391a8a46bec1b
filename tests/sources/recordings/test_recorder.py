"""The recorder: what it writes is what came, and plays again, whatever became of the process and the disk."""

import asyncio
import gzip
import json
import os
import resource
import signal
import threading
import time
from itertools import count, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mdstore
from mdstore.errors import FileFormatError, InvalidInputError, StoreClosedError
from mdstore.sources.recordings import recorder as module
from mdstore.sources.recordings.recorder import Recorder
from mdstore.sources.recordings.recording import messages
from tests.support.processes import start
from tests.support.real import real

T0 = 1_756_684_800_000_000_000


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Write twenty times as often as in earnest."""
    monkeypatch.setattr(module, "FLUSH_SECONDS", 0.05)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.05)


def until(holds):
    while not holds():
        time.sleep(0.005)


def texts(*paths):
    return [json.loads(one.text) for one in messages(*paths)]


def trade(number):
    return {"ty": "trade", "cd": "KRW-BTC", "ttms": T0 // 10**6 + number, "tp": 10 + number % 7, "tv": 0.5,
            "ab": "BID", "sid": number + 1, "st": "REALTIME"}  # fmt: skip


@pytest.mark.variants(1)
@pytest.mark.slow
@pytest.mark.parametrize(
    "files",
    [
        [("upbit_stream", "UPBIT.ws.62.0")], [("binance_spot", "btcusdt_20240808.gz")],
        [("binance_futures_stream", f"BINANCE_FUTURES.{of}.0") for of in ("ws.1", "http.0")],
    ],
    ids=["upbit", "spot", "futures"],
)  # fmt: skip
def test_a_recorded_stream_that_is_recorded_again_is_the_same(tmp_path, files):
    sent = list(messages(*(real(*file) for file in files)))
    moment = iter([one.received for one in sent])
    latest = [0]

    def clock():
        latest[0] = next(moment, latest[0])
        return latest[0]

    with Recorder(tmp_path / "again", rotate_bytes=100_000, rotate_seconds=10**9, clock=clock) as recorder:
        for number, one in enumerate(sent):
            assert recorder.write(one.text, one.received, url=one.url) == one.received
            if number % 5_000 == 4_999:
                recorder.flush()
    assert list(messages(*recorder.files)) == sent
    played = mdstore.RealtimeDataCache(clock=time.time_ns)
    with (
        mdstore.open(tmp_path / "a.sqlite3") as first,
        mdstore.open(tmp_path / "b.sqlite3", realtime=played) as second,
    ):
        ours = first.replay(recorder.files)
        assert ours == second.replay([real(*file) for file in files])
        assert ours.trades > 90
        assert first.trades.window().equals(second.trades.window())


def test_files_that_were_rotated_are_whole_and_play_in_order(tmp_path):
    ticks = count(T0, 1_000_000)
    with Recorder(tmp_path / "new" / "upbit", rotate_bytes=2_000, clock=lambda: next(ticks)) as recorder:
        for number in range(5_000):
            recorder.write(json.dumps(trade(number)))
            if number % 500 == 499:
                recorder.flush()
                if len(recorder.files) > 1:  # each is a whole file before the next begins
                    gzip.decompress(recorder.files[-2].read_bytes())
    assert len(recorder.files) == 10
    assert sorted(recorder.files) == recorder.files
    assert sorted((tmp_path / "new").iterdir()) == recorder.files
    assert texts(*reversed(recorder.files)) == [trade(number) for number in range(5_000)]
    with mdstore.open(tmp_path / "a.sqlite3") as store:
        done = store.replay(recorder.files)
        assert (done.venue, done.trades, done.skipped) == ("upbit", 5_000, 0)


def test_a_file_ends_after_its_time_also_where_nothing_comes(tmp_path):
    now = [T0]
    with Recorder(tmp_path / "a", rotate_seconds=60, clock=lambda: now[0]) as recorder:
        recorder.write("[1]")
        recorder.flush()
        now[0] += 59 * 10**9
        recorder.write("[2]")
        recorder.flush()
        assert recorder._file is not None
        now[0] += 10**9
        until(lambda: recorder._file is None)
        assert len(recorder.files) == 1
        recorder.write("[3]")
    assert [texts(path) for path in recorder.files] == [[[1], [2]], [[3]]]
    assert recorder.files[1].name == "a-20250901T000100.000000Z.gz"


def test_more_files_than_may_be_open_play_in_order(tmp_path):
    ticks = count(T0, 10**9)
    with Recorder(tmp_path / "a", rotate_seconds=1, clock=lambda: next(ticks)) as recorder:
        for number in range(200):
            recorder.write(json.dumps(number))
            recorder.flush()
    assert len(recorder.files) == 200
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 50, before[1]))
    try:
        assert texts(*recorder.files) == list(range(200))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_no_file_is_replaced(tmp_path):
    for text in ("1", "2", "3"):
        with Recorder(tmp_path / "a", clock=lambda: T0) as recorder:
            recorder.write(text)
    assert texts(*sorted(tmp_path.iterdir())) == [1, 2, 3]


# --- what comes -----------------------------------------------------------------------------------------


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.lists(json_values, min_size=1, max_size=10), st.sampled_from([None, 0, 2]), st.booleans())
def test_every_json_is_read_as_it_was_sent(tmp_path_factory, sent, indent, escaped):
    folder = tmp_path_factory.mktemp("recorded")
    with Recorder(folder / "a") as recorder:
        for one in sent:
            recorder.write(json.dumps(one, indent=indent, ensure_ascii=escaped))
    assert texts(*recorder.files) == sent


@given(
    st.lists(st.text(st.characters(codec=None)) | st.sampled_from(["pong", "<html>\n", "\ud800"]), min_size=1)
)
def test_what_is_no_json_comes_back_as_a_text(tmp_path_factory, sent):
    folder = tmp_path_factory.mktemp("recorded")
    with Recorder(folder / "a") as recorder:
        for one in sent:
            recorder.write(one)
    for one, found in zip(sent, texts(*recorder.files), strict=True):
        try:
            expected = json.loads(one.replace("\r", " ").replace("\n", " "))
        except ValueError:
            expected = one
        assert str(found) == str(expected)  # NaN is not NaN


def test_a_pong_among_messages_plays(tmp_path):
    with Recorder(tmp_path / "a") as recorder:
        for one in ("pong", json.dumps(trade(1)), '{"status":"UP"}', "PONG"):
            recorder.write(one.encode())
    with mdstore.open(tmp_path / "a.sqlite3") as store:
        done = store.replay(recorder.files)
    assert (done.messages, done.trades, done.skipped) == (4, 1, 3)


def test_answers_say_whom_was_asked(tmp_path):
    url = "https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=5000"
    with Recorder(tmp_path / "a", clock=lambda: T0 + 7) as recorder:
        recorder.write('{"lastUpdateId":1}', url=url)
        for bad in ("no address", "https://x y", "", "https://x\ny"):
            with pytest.raises(InvalidInputError, match="url="):
                recorder.write("{}", url=bad)
    (one,) = messages(*recorder.files)
    assert one == (T0 + 7, '{"lastUpdateId":1}', url)


def test_time_never_steps_back(tmp_path):
    times = iter([T0 + 5, T0 + 3, T0 + 4, T0 + 9])
    with Recorder(tmp_path / "a", clock=lambda: next(times, T0)) as recorder:
        assert [recorder.write("[]") - T0 for _ in range(4)] == [5, 5, 5, 9]
        assert recorder.write("[]", T0 + 1) == T0 + 9
    assert [one.received - T0 for one in messages(*recorder.files)] == [5, 5, 5, 9, 9]


def test_its_own_time_is_that_of_this_machine(tmp_path):
    before = time.time_ns()
    with Recorder(tmp_path / "a") as recorder:
        stamps = [recorder.write("[]") for _ in range(100)]
    assert before <= stamps[0] <= stamps[-1] <= time.time_ns()
    assert [one.received for one in messages(*recorder.files)] == stamps


@pytest.mark.parametrize("message", [b"\x1f\x8b\x08", {"a": 1}, None, 5])
def test_what_is_no_text_is_refused(tmp_path, message):
    with Recorder(tmp_path / "a") as recorder:
        with pytest.raises(InvalidInputError, match="is no text"):
            recorder.write(message)
        with pytest.raises(InvalidInputError, match="received="):
            recorder.write("[]", 1_756_684_800_000)
    assert recorder.files == []
    with pytest.raises(StoreClosedError):
        recorder.write("[]")


@pytest.mark.parametrize("options", [{"rotate_bytes": 0}, {"rotate_seconds": -1}, {"buffer_bytes": True}])
def test_bounds_that_are_none(tmp_path, options):
    with pytest.raises(InvalidInputError, match=next(iter(options))):
        Recorder(tmp_path / "a", **options)
    with pytest.raises(InvalidInputError, match="path="):
        Recorder(f"{tmp_path}/")


def test_threads_and_tasks_write_to_one_recorder(tmp_path):
    async def tasks(recorder):
        async with recorder:
            workers = [asyncio.to_thread(write_some, recorder, at) for at in range(4)]
            await asyncio.gather(*workers)

    def write_some(recorder, at):
        for number in range(2_000):
            recorder.write(f"[{at},{number}]")

    recorder = Recorder(tmp_path / "a", rotate_bytes=3_000)
    asyncio.run(tasks(recorder))
    found = list(messages(*recorder.files))
    assert all(before.received <= after.received for before, after in pairwise(found))
    by_writer = [
        [json.loads(one.text)[1] for one in found if json.loads(one.text)[0] == at] for at in range(4)
    ]
    assert by_writer == [list(range(2_000))] * 4
    assert recorder.stats() == {
        "written": 8_000,
        "waiting": 0,
        "lost": 0,
        "files": len(recorder.files),
        "error": None,
    }


# --- crashes and disks ----------------------------------------------------------------------------------

WRITES = """
    import json, sys, time
    from mdstore.sources.recordings import recorder as module
    module.FLUSH_SECONDS = 0.02
    recorder = module.Recorder(sys.argv[1], rotate_bytes=3_000)
    for number in range(10**9):
        recorder.write(json.dumps({"number": number, "of": "x" * (number % 200)}))
        if number % 100 == 0:
            print(recorder.stats()["written"], flush=True)
            time.sleep(0.001)
"""


@pytest.mark.slow
@pytest.mark.parametrize("runs", [2, pytest.param(40, marks=pytest.mark.long)])
def test_what_was_written_before_a_kill_plays_and_the_next_run_goes_on(tmp_path, runs):
    begins = []
    for run in range(runs):
        process = start(WRITES, str(tmp_path / "a"), cwd=tmp_path)
        for line in process.stdout:
            if int(line) >= 3_000 + 700 * run:
                break
        process.send_signal(signal.SIGKILL)
        process.communicate()
        files = sorted(tmp_path.iterdir())
        numbers = [one["number"] for one in texts(*files)]  # no error: each file is whole as it is
        begins.append(len([number for number in numbers if number == 0]))
        last = numbers[len(numbers) - 1 - numbers[::-1].index(0) :]
        assert last == list(range(len(last)))
        assert len(last) > 2_000
        assert len(files) > run + 1
    assert begins == list(range(1, runs + 1))


def test_a_file_that_was_cut_plays_up_to_there_and_then_the_next_ones(tmp_path):
    """What a machine leaves that lost its power: a part of a member."""
    ticks = count(T0, 10**9)
    with Recorder(tmp_path / "a", rotate_bytes=1_000, clock=lambda: next(ticks)) as recorder:
        for number in range(90):
            recorder.write(json.dumps(trade(number)))
            if number % 10 == 9:
                recorder.flush()
    cut = recorder.files[0]
    cut.write_bytes(cut.read_bytes()[:-5])
    seen, found = [], messages(*recorder.files)
    with pytest.raises(FileFormatError, match=rf"{cut.name}: damaged after line"):
        seen.extend(json.loads(one.text)["sid"] for one in found)
    assert seen[-60:] == list(range(31, 91))
    assert seen[:10] == list(range(1, 11))
    with mdstore.open(tmp_path / "a.sqlite3") as store:
        assert store.replay(recorder.files).cut == (cut.name,)  # as a crash leaves it: no error
        assert store.trades.stats()["rows"] == len(seen)


def test_what_cannot_be_written_waits_and_nothing_comes_twice(tmp_path, monkeypatch):
    told, full, written = [], [False], os.write

    def write(number, data):
        if not full[0]:
            return written(number, data)
        full[0] = "again" if full[0] is True else full[0]
        written(number, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "write", write)
    monkeypatch.setattr(module, "TELL_SECONDS", 0.0)
    recorder = Recorder(tmp_path / "a", on_error=told.append)
    recorder.write("1")
    recorder.flush()
    full[0] = True
    recorder.write("2")
    until(lambda: len(told) > 1)
    assert [path.name for path in sorted(tmp_path.iterdir())] == [recorder.files[0].name], "no empty files"
    assert told[-1].filename.startswith(str(tmp_path / "a-"))
    assert recorder.stats()["waiting"] == 1
    assert "No space left" in recorder.stats()["error"]
    assert texts(*recorder.files) == [1]
    full[0] = False
    until(lambda: recorder.stats()["waiting"] == 0)
    assert recorder.stats()["error"] is None
    recorder.write("3")
    recorder.close()
    assert texts(*recorder.files) == [1, 2, 3]
    assert {type(one) for one in told} == {OSError}


def test_a_disk_that_stays_full_is_told_of_once_a_minute(tmp_path, monkeypatch):
    told, tries = [], []

    def write(number, data):
        tries.append(number)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(module.os, "write", write)
    recorder = Recorder(tmp_path / "a", on_error=told.append)
    recorder.write("1")
    until(lambda: len(tries) > 10)
    with pytest.raises(OSError, match="No space left"):
        recorder.close()
    assert len(told) == 1
    assert list(tmp_path.iterdir()) == []


def test_beyond_its_buffer_the_newest_are_lost_and_counted(tmp_path, caplog):
    folder = tmp_path / "gone"
    recorder = Recorder(folder / "a", buffer_bytes=40)
    folder.rmdir()
    for number in range(10, 60):
        recorder.write(str(number))
    until(lambda: "wait to be recorded" in caplog.text)
    folder.mkdir()
    recorder.close()
    assert texts(*recorder.files) == list(range(10, 30))
    assert recorder.lost == recorder.stats()["lost"] == 30


def test_closing_says_what_was_not_written(tmp_path):
    folder = tmp_path / "gone"
    recorder = Recorder(folder / "a", on_error=lambda error: 1 / 0)
    folder.rmdir()
    recorder.write("1")
    with pytest.raises(FileNotFoundError):
        recorder.close()
    recorder.close()
    assert not any(one.name == "mdstore-recorder" for one in threading.enumerate())


def test_a_forked_child_is_told_to_make_its_own(tmp_path):
    with Recorder(tmp_path / "a") as recorder:
        recorder.write("1")
        child = os.fork()
        if not child:
            code = 1
            try:
                recorder.write("2")
            except StoreClosedError:
                recorder.close()
                code = 0
            os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert texts(*recorder.files) == [1]
