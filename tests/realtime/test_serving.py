"""Live rows of another process: the same as there, whatever becomes of either."""

import os
import signal
import socket
import stat
import threading
import time
from contextlib import contextmanager

import pytest

import mdstore
from mdstore.errors import InvalidInputError, StaleDataError, StoreClosedError
from mdstore.realtime import serving
from mdstore.realtime.serving import short_name, socket_path
from tests.support.processes import start

BOT = """
    import sys, time
    import mdstore
    store = mdstore.open(sys.argv[1])
    now = time.time_ns() // 10**6
    for number in range(1_000):
        store.trades.push((f"S{number % 10}", now, 100.0 + number, 0.5, "buy", number))
    store.serve()
    print("served", flush=True)
    store.trades.push(("MARK", now, float(sys.argv[2]), 1.0, "buy", 1))
    print("marked", flush=True)
    time.sleep(1000)
"""


@contextmanager
def a_bot(folder, mark=1.0):
    process = start(BOT, str(folder / "a.sqlite3"), str(mark), cwd=folder)
    try:
        assert [process.stdout.readline() for _ in range(2)] == ["served\n", "marked\n"]
        yield process
    finally:
        process.kill()
        process.communicate()


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


def now():
    return time.time_ns() // 10**6


@pytest.fixture
def clock():
    return time.time


@pytest.fixture
def served(store):
    """A store that serves, and what is attached to it; in one process, which is no matter to a socket."""
    store.serve()
    with mdstore.attach(store.path) as attached:
        yield store, attached


def book(symbol="KRW-BTC"):
    return {"symbol": symbol, "timestamp": now(), "bid_prices": [9.0, 8.5], "bid_sizes": [1.0, 0.1 + 0.2],
            "ask_prices": [10.0], "ask_sizes": [3.0]}  # fmt: skip


def test_what_is_read_is_what_is_there(served):
    store, attached = served
    for number in range(2_000):
        store.trades.push(
            (f"S{number % 7}", now(), 100 / 7 + number, 0.1, "buy" if number % 3 else None, number)
        )
        store.tickers.push({"symbol": f"S{number % 7}", "timestamp": now(), "price": 1 / 3, "bid": 0.1})
    store.orderbooks.push(book())
    for name in ("trades", "tickers", "orderbooks"):
        there, here = getattr(store, name), getattr(attached, name)
        for symbol in ("S3", "KRW-BTC", "NONE"):
            assert here.latest(symbol) == there.latest(symbol)
            assert type(here.latest(symbol)) is type(there.latest(symbol))
            assert here.window(symbol).equals(there.window(symbol))
        for symbols in (None, ["S1", "S2"], ["NONE"], ("KRW-BTC", "S1")):
            found = here.window(symbols, rows=50)
            assert found.equals(there.window(symbols, rows=50))
            assert found.schema == there.window(symbols, rows=50).schema
            assert here.arrow(symbols).equals(there.arrow(symbols))
            assert here.arrow(symbols).schema == there.arrow(symbols).schema
            assert here.snapshot(symbols).equals(there.snapshot(symbols))
    assert attached.orderbooks.latest("KRW-BTC").bid_sizes == (1.0, 0.1 + 0.2)


def test_times_to_live_are_those_of_the_one_that_serves(served):
    store, attached = served
    store.trades.push(("A", now() - 5_000, 1.0, 1.0, "buy", 1))
    assert attached.trades.latest("A").id == 1
    assert attached.trades.latest("A", max_age=2) is None
    with pytest.raises(StaleDataError, match=r"the latest trade of A is 5\.\d s old"):
        attached.trades.latest("A", max_age=2, on_stale="raise")
    with pytest.raises(StaleDataError, match="Hint: did you mean A"):
        attached.trades.latest("a", on_stale="raise")
    assert len(attached.trades.window(seconds=2)) == 0


@pytest.mark.parametrize(
    "read",
    [
        lambda trades: trades.latest(5), lambda trades: trades.window(5),
        lambda trades: trades.window(["A", ""]),
        lambda trades: trades.window(rows=0), lambda trades: trades.latest("A", max_age="x"),
        lambda trades: trades.latest("Z", on_stale="x"), lambda trades: trades.snapshot([None]),
    ],
)  # fmt: skip
def test_what_is_refused_there_is_refused_here(served, read):
    store, attached = served
    store.trades.push(("A", now(), 1.0, 1.0, "buy", 1))
    with pytest.raises(InvalidInputError) as there:
        read(store.trades)
    with pytest.raises(InvalidInputError) as here:
        read(attached.trades)
    assert str(here.value) == str(there.value)
    assert attached.trades.latest("A").id == 1  # and the next is answered


@pytest.mark.parametrize(
    "line", [b"\n", b"[]\n", b'{"of":"trades"}\n', b'{"of":"trades","read":"clear","options":{}}\n',
             b'{"of":"_rings","read":"latest","options":{}}\n', b"\xff\xfe\n", b"GET / HTTP/1.1\n",
             b'{"of":"trades","read":"window","options":{"self":1}}\n'],
)  # fmt: skip
def test_nothing_else_can_be_asked_for(served, line):
    store, attached = served
    store.trades.push(("A", now(), 1.0, 1.0, "buy", 1))
    with socket.socket(socket.AF_UNIX) as raw:
        with short_name(socket_path(store.path)) as name:
            raw.connect(name)
        raw.sendall(line)
        kind, size = serving.HEADER.unpack(raw.recv(serving.HEADER.size, socket.MSG_WAITALL))
        assert kind == serving.REFUSED
        assert b"InvalidInputError" in raw.recv(size, socket.MSG_WAITALL)
    assert attached.trades.latest("A").price == 1.0


def test_only_its_owner_may_read(served):
    store, _ = served
    path = socket_path(store.path)
    assert path == store.serve()
    assert path.parent.name == "market_data.sqlite3-live"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_folder_that_others_could_read_is_closed_to_them(store):
    path = socket_path(store.path)
    path.parent.mkdir()
    path.parent.chmod(0o777)
    store.serve()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_store_that_closes_serves_no_more(served):
    store, attached = served
    store.trades.push(("A", now(), 1.0, 1.0, "buy", 1))
    assert attached.trades.latest("A").id == 1
    store.close()
    assert not socket_path(store.path).exists()
    with pytest.raises(StoreClosedError, match="no process answers"):
        attached.trades.latest("A")
    with pytest.raises(StoreClosedError, match="no process answers"):
        mdstore.attach(store.path)
    with mdstore.open(store.path) as again:
        again.serve()
        assert attached.trades.latest("A") is None


def test_the_hints_work(tmp_path):
    with mdstore.open(tmp_path / "a.sqlite3") as store, mdstore.open(tmp_path / "a.sqlite3") as other:
        with pytest.raises(StoreClosedError, match=r"serves them by store.serve\(\)"):
            mdstore.attach(store.path)
        store.serve()
        with pytest.raises(InvalidInputError, match=r"served there already.*mdstore\.attach\(path\)"):
            other.serve()
        mdstore.attach(other.path).close()
        store.close()
        other.serve()


def test_a_path_that_is_too_long_for_a_socket_is_named_by_its_folder(tmp_path, monkeypatch):
    deep = tmp_path / ("x" * 60) / ("y" * 60)
    deep.mkdir(parents=True)
    with mdstore.open(deep / "a.sqlite3") as store:
        store.serve()
        store.trades.push(("A", now(), 1.0, 1.0, "buy", 1))
        with mdstore.attach(store.path) as attached:
            assert attached.trades.latest("A").id == 1
        assert stat.S_IMODE(socket_path(store.path).stat().st_mode) == 0o600
    monkeypatch.setattr(serving, "OPEN_FILES", tmp_path / "absent")  # as on macOS
    with mdstore.open(deep / "a.sqlite3") as store:
        for _ in range(2):  # the first leaves nothing behind that would keep the second out
            with pytest.raises(InvalidInputError, match="shorter path"):
                store.serve()


def test_many_threads_share_one_connection_and_a_feed_goes_on_meanwhile(served):
    store, attached = served
    wrong, done = [], threading.Event()

    def feed():
        number = 0
        while not done.is_set():
            number += 1
            store.trades.push(("A", now(), float(number), 1.0, "buy", number))

    def ask():
        last = 0
        for _ in range(150):
            row = attached.trades.latest("A")
            ids = attached.trades.window("A", rows=500)["id"].to_list()
            if row.id < last or ids != sorted(ids) or ids[-1] < row.id or row.price != row.id:
                wrong.append((row, ids[-1]))
            last = row.id

    store.trades.push(("A", now(), 0.0, 1.0, "buy", 0))
    feeding, askers = threading.Thread(target=feed), [threading.Thread(target=ask) for _ in range(4)]
    for thread in (feeding, *askers):
        thread.start()
    for thread in askers:
        thread.join()
    done.set()
    feeding.join()
    assert wrong == []


# --- processes that end ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_one_that_is_killed_is_gone_at_once_and_its_socket_is_taken_over(tmp_path):
    with a_bot(tmp_path, 1.0) as bot:
        attached = mdstore.attach(tmp_path / "a.sqlite3")
        assert attached.trades.latest("MARK").price == 1.0
        assert len(attached.trades.window()) == 1_001
        kill(bot)
    assert socket_path(tmp_path / "a.sqlite3").exists()  # and nobody behind it
    with pytest.raises(StoreClosedError, match="no process answers"):
        attached.trades.latest("MARK")
    with a_bot(tmp_path, 2.0):
        assert attached.trades.latest("MARK").price == 2.0  # by the same object
    attached.close()


@pytest.mark.slow
def test_a_reader_that_is_killed_in_the_middle_of_an_answer_harms_nobody(tmp_path, store):
    for number in range(100_000):
        store.trades.push(("A", now(), 1.0, 1.0, "buy", number))
    store.serve()
    reads = """
        import sys
        import mdstore
        attached = mdstore.attach(sys.argv[1])
        while True:
            attached.trades.window()
            print("read", flush=True)
    """
    for _ in range(3):
        reader = start(reads, str(store.path), cwd=tmp_path)
        reader.stdout.readline()
        kill(reader)
        reader.communicate()
    with mdstore.attach(store.path) as attached:
        assert len(attached.trades.window()) == 100_000
    while any("process_request_thread" in thread.name for thread in threading.enumerate()):
        time.sleep(0.01)


@pytest.mark.slow
def test_one_that_is_stopped_is_not_waited_for_for_ever(tmp_path):
    with a_bot(tmp_path) as bot, mdstore.attach(tmp_path / "a.sqlite3", timeout=0.3) as attached:
        bot.send_signal(signal.SIGSTOP)
        os.waitpid(bot.pid, os.WUNTRACED)
        with pytest.raises(StoreClosedError, match="timed out"):
            attached.trades.latest("MARK")
        bot.send_signal(signal.SIGCONT)
        assert attached.trades.latest("MARK").price == 1.0  # its own answer, not that of before


@pytest.mark.slow
def test_only_one_process_serves(tmp_path):
    with a_bot(tmp_path) as bot, mdstore.open(tmp_path / "a.sqlite3") as store:
        with pytest.raises(InvalidInputError, match="served there already"):
            store.serve()
        with mdstore.attach(store.path) as attached:
            assert attached.trades.latest("MARK").price == 1.0
            kill(bot)
            store.serve()
            assert attached.trades.latest("MARK") is None


def forked(work):
    """Run in a forked child; return whether it went well."""
    child = os.fork()
    if not child:
        code = 1
        try:
            code = 0 if work() else 2
        finally:
            os._exit(code)
    return child


def ended(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_forked_child_reads_by_a_connection_of_its_own(served):
    store, attached = served
    for number in range(4):
        store.trades.push((f"S{number}", now(), 1.0, 1.0, "buy", number))
    assert attached.trades.latest("S3").id == 3

    def reads(number):
        return all(attached.trades.latest(f"S{number}").id == number for _ in range(200))

    children = [forked(lambda number=number: reads(number)) for number in range(3)]
    assert reads(3)
    assert [ended(child) for child in children] == [0, 0, 0]


@pytest.mark.slow
def test_a_child_that_outlives_one_that_was_killed_does_not_seem_to_serve(tmp_path):
    forks = BOT.replace("time.sleep(1000)", """
    import os
    child = os.fork()
    if child:
        print(child, flush=True)
    time.sleep(1000)
""")  # fmt: skip
    process = start(forks, str(tmp_path / "a.sqlite3"), "1.0", cwd=tmp_path)
    child = int([process.stdout.readline() for _ in range(3)][-1])
    try:
        kill(process)
        with pytest.raises(StoreClosedError, match="refused"):
            mdstore.attach(tmp_path / "a.sqlite3", timeout=5).trades.latest("MARK")
        with a_bot(tmp_path, 2.0), mdstore.attach(tmp_path / "a.sqlite3") as attached:
            assert attached.trades.latest("MARK").price == 2.0
    finally:
        os.kill(child, signal.SIGKILL)
        process.communicate()


def test_a_forked_child_neither_serves_nor_keeps_others_from_it(store):
    """It has the sockets of its parent: whoever connects would wait for an answer as long as it lives."""
    store.serve()
    alive, told = os.pipe()
    child = forked(lambda: os.read(alive, 1) == b"x")
    store.close()
    with pytest.raises(StoreClosedError, match="no process answers"):
        mdstore.attach(store.path, timeout=5)
    with mdstore.open(store.path) as again:
        again.serve()
        mdstore.attach(store.path).close()
    os.write(told, b"x")
    assert ended(child) == 0


def test_a_forked_child_does_not_end_what_its_parent_serves(served):
    store, attached = served
    store.trades.push(("A", now(), 1.0, 1.0, "buy", 1))
    assert ended(forked(lambda: store._server.close() is None)) == 0
    assert attached.trades.latest("A").id == 1
    mdstore.attach(store.path).close()
