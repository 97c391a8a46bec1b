"""One pace for all tasks, threads and processes: the log of the server says whether it was kept."""

import asyncio
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from mdstore.errors import SourceError
from mdstore.sources.web import shared_books
from mdstore.sources.web.pace import Pace
from mdstore.sources.web.shared_books import Books, SharedBooks
from mdstore.sources.web.window import WINDOW, Sent
from tests.support.paths import ROOT
from tests.support.tiny_server import Reply, TinyServer, most_in_a_second

ASK = """
import asyncio, sys
from pathlib import Path
from mdstore.sources.web.answers import Request
from mdstore.sources.web.client import WebClient

async def main(url, folder, limit, requests, tasks):
    client = WebClient(url, {"candle": limit}, pace_folder=Path(folder))
    left = iter(range(requests))
    async def worker():
        for _ in left:
            await client.fetch(Request("/", group="candle", what="it"), lambda answer: answer.status)
    await asyncio.gather(*(worker() for _ in range(tasks)))
    await client.aclose()

asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])))
"""

HOLD = """
import fcntl, sys, time
with open(sys.argv[1], "a") as held:
    fcntl.flock(held, fcntl.LOCK_EX)
    print(1, flush=True)
    time.sleep(60)
"""


def start(server, folder, *, limit, requests, tasks=3):
    arguments = (server.url, folder, limit, requests, tasks)
    return subprocess.Popen([sys.executable, "-c", ASK, *map(str, arguments)], cwd=ROOT)


def turns(folder, number, *, limit=10.0, group="candle", host="host", cost=1.0):
    """Take turns that are answered at once, and return when they came."""

    async def run():
        pace, times = Pace(host, {group: limit}, folder=folder), []
        for _ in range(number):
            turn = await pace.turn(group, cost)
            times.append(turn.sent)
            pace.answered(turn, time.monotonic())
        return times

    return asyncio.run(run())


@pytest.mark.slow
def test_processes_share_the_pace(tmp_path):
    with TinyServer(lambda asked: Reply(delay=0.05 * (len(server.log) % 3))) as server:
        began = time.monotonic()
        processes = [start(server, tmp_path, limit=20, requests=30) for _ in range(3)]
        assert [process.wait(60) for process in processes] == [0, 0, 0]
    times = [asked.at for asked in server.log]
    assert len(times) == 90
    assert most_in_a_second(times) <= 20
    assert times[-1] - times[0] < 90 / 20 + 3, began  # it is a pace, and no standstill


@pytest.mark.long
def test_a_thousand_requests_of_several_processes_take_what_they_must(tmp_path):
    """1,080 at 10 a second: not one too many in any second, and within 3 % of 108 s."""
    with TinyServer() as server:
        processes = [start(server, tmp_path, limit=10, requests=360) for _ in range(3)]
        assert [process.wait(300) for process in processes] == [0, 0, 0]
    times = [asked.at for asked in server.log]
    assert len(times) == 1080
    assert most_in_a_second(times) <= 10
    assert 106.9 < times[-1] - times[0] < 1.03 * 108


def test_threads_share_the_pace(tmp_path):
    found = []
    threads = [
        threading.Thread(target=lambda: found.extend(turns(tmp_path, 8, limit=20.0))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 32
    assert most_in_a_second(found) <= 20


def test_groups_and_hosts_have_a_pace_of_their_own(tmp_path):
    began = time.monotonic()
    for host in ("one", "another"):
        for group in ("candle", "market"):
            turns(tmp_path, 1, limit=1.0, group=group, host=host)
    assert time.monotonic() - began < 1


@pytest.mark.slow
def test_a_process_that_is_killed_wedges_nothing(tmp_path):
    with TinyServer(lambda _: Reply(delay=60)) as server:
        process = start(server, tmp_path, limit=5, requests=50, tasks=5)
        while len(server.log) < 5:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        began = time.monotonic()
        assert len(turns(tmp_path, 1, limit=5.0, host=server.url.removeprefix("http://"))) == 1
        assert 0.5 < time.monotonic() - began < 10


def test_a_lock_goes_with_its_process(tmp_path):
    books = SharedBooks("host", tmp_path)
    with subprocess.Popen([sys.executable, "-c", HOLD, str(books.path)], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"1\n"
        with books.open() as found:
            assert found is None
        process.kill()
        process.wait()
        with books.open() as found:
            assert found == Books()


def test_one_has_the_books_at_a_time_within_a_process_too(tmp_path):
    books = SharedBooks("host", tmp_path)
    with books.open() as found:
        assert found is not None
        with SharedBooks("host", tmp_path).open() as other:
            assert other is None


@pytest.mark.parametrize(
    "damage", [b"", b"x", b"mdpace01" + b"\xff" * 60, b"mdpace01" + b"\0" * 16 + b"\x09" * 8]
)
def test_books_that_are_damaged_are_begun_anew(tmp_path, damage):
    turns(tmp_path, 2)
    SharedBooks("host", tmp_path).path.write_bytes(damage)
    assert len(turns(tmp_path, 2)) == 2


def test_books_that_were_cleared_away_are_made_again(tmp_path):
    turns(tmp_path, 1)
    SharedBooks("host", tmp_path).path.unlink()
    turns(tmp_path, 1)
    assert SharedBooks("host", tmp_path).path.exists()


def test_what_the_books_hold_comes_back(tmp_path):
    books = SharedBooks("api.upbit.com:443", tmp_path)
    with books.open() as found:
        found.window("candle").entries += [Sent(3, 1.5, 2.0), Sent(4, 1.75, 1.0, 2.5)]
        found.noted, found.banned_until = 100.0, 160.0
    with books.open() as again:
        assert again.window("candle").entries == [Sent(3, 1.5, 2.0), Sent(4, 1.75, 1.0, 2.5)]
        assert again.window("market").entries == []
        assert again.ban(110.0) == 50.0


@pytest.mark.parametrize("wall", [99.0, 1e9])
def test_a_ban_of_a_clock_that_was_put_back_is_none(wall):
    assert Books(noted=100.0, banned_until=160.0).ban(wall) == 0
    assert Books(noted=100.0, banned_until=1e12).ban(101.0) == 0


def test_a_ban_holds_for_all_groups_and_is_told(tmp_path):
    async def run():
        one, another = (Pace("host", {"candle": 10.0, "market": 10.0}, folder=tmp_path) for _ in range(2))
        await one.obey_ban(0.4)
        told, began = [], time.monotonic()
        await another.turn("market", banned=told.append)
        assert time.monotonic() - began >= 0.35
        assert told
        assert 0.3 < told[0] <= 0.4

    asyncio.run(run())


def test_a_rest_holds_for_its_group(tmp_path):
    async def run():
        pace = Pace("host", {"candle": 10.0, "market": 10.0}, folder=tmp_path)
        began = time.monotonic()  # before it is told to rest: it does so from some moment within that call on
        await pace.rest("candle", 0.4)
        await pace.turn("market")
        assert time.monotonic() - began < 0.3
        await pace.turn("candle")
        assert time.monotonic() - began >= 0.4

    asyncio.run(run())


def remaining(folder, *said, limit=10.0):
    """Take turns of which the host says how many requests remain; return when they came."""

    async def run():
        pace, times = Pace("host", {"candle": limit}, folder=folder), []
        for left in said:
            turn = await pace.turn("candle")
            times.append(turn.sent)
            pace.answered(turn, time.monotonic(), left)
        return times

    return asyncio.run(run())


def test_what_others_have_asked_is_waited_for(tmp_path):
    """Another machine behind the same address has taken eight of ten: so a third one waits for the second."""
    times = remaining(tmp_path, 1, 0, 0)
    assert times[1] - times[0] < 0.5
    assert times[2] - times[1] > 0.5


def test_a_host_that_counts_as_we_do_is_not_slowed_down(tmp_path):
    times = remaining(tmp_path, *range(9, -1, -1))
    assert times[-1] - times[0] < 1


def test_a_host_that_allows_clearly_more_is_believed(tmp_path):
    times = remaining(tmp_path, *[1000] * 50)
    assert times[-1] - times[0] < 1


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(shared_books.tempfile, "gettempdir", lambda: str(tmp_path / "nowhere"))
    with pytest.raises(SourceError, match="nowhere") as error:
        SharedBooks("host")
    assert "TMPDIR" in str(error.value)


def test_a_folder_of_somebody_else_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "mdstore").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setattr(shared_books.tempfile, "gettempdir", lambda: str(tmp_path))
    assert SharedBooks("host").path.parent == tmp_path / f"mdstore-{os.getuid()}"


def test_what_costs_more_than_a_second_allows_takes_up_several(tmp_path):
    now = [1000.0]
    pace = Pace("host", {"g": 2.0}, folder=tmp_path, clock=lambda: now[0])
    turn = asyncio.run(pace.turn("g", 10.0))
    pace.answered(turn, now[0])
    wait, _ = pace._try("g", 1.0)
    assert wait == pytest.approx(5 * WINDOW)
    now[0] += wait
    assert asyncio.run(pace.turn("g", 1.0)).sent == now[0]


def test_an_answer_waits_for_the_books_without_holding_up_others(tmp_path):
    async def run():
        pace = Pace("host", {"g": 1.0}, folder=tmp_path)
        turn = await pace.turn("g")
        with SharedBooks("host", tmp_path).open() as books:
            assert books is not None
            pace.answered(turn, turn.sent)  # it returns at once, and has noted nothing yet
        [sent] = _sent(tmp_path)
        assert sent.freed == math.inf
        await asyncio.sleep(0.02)
        [sent] = _sent(tmp_path)
        assert sent.freed < math.inf

    asyncio.run(run())


def test_books_that_cannot_be_written_are_no_error_of_the_answer(tmp_path):
    folder = tmp_path / "books"
    folder.mkdir()
    pace = Pace("host", {"g": 1.0}, folder=folder)
    turn = asyncio.run(pace.turn("g"))
    shutil.rmtree(folder)
    pace.answered(turn, turn.sent)
    with pytest.raises(SourceError, match="cannot be noted there"):
        asyncio.run(pace.turn("g"))  # who asks next is told


def _sent(folder):
    with SharedBooks("host", folder).open() as books:
        return list(books.window("g").entries)
