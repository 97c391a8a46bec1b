"""The scanner process: started when needed, reused, restarted, and gone when it should be."""

import gc
import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import mdstore
from mdstore import ForkedError, ScannerError, StoreBusyError, StoreClosedError
from mdstore.candles.file import table_reads as reader
from mdstore.candles.file.scanner import Scanner
from mdstore.candles.packs import seal_policy as upkeep
from tests.support.candles import bits, walk
from tests.support.interrupts import interrupted


@pytest.fixture
def scanning(store, monkeypatch):
    """A store that seals by the scanner, however little."""
    monkeypatch.setattr(upkeep, "SCAN_ROWS", -1)
    monkeypatch.setattr(upkeep, "SCAN_ROWS_COLD", -1)
    store.write("A", "1m", walk(100))
    return store


def scanned(store):
    """Make all rows loose, have the scanner seal them, and return what is read then."""
    before = store._candles._upkeep.scanned
    store.maintenance.warm(rebuild=True)
    assert store._candles._upkeep.scanned > before
    return bits(store.candles("A", "1m"))


def process(store):
    return store._candles._scanner._process


def is_gone(pid):
    """Tell whether a process is neither running nor a zombie."""
    return not os.path.exists(f"/proc/{pid}")


def until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def test_it_is_started_on_first_need_reused_and_ended_at_close(store, scanning):
    assert process(store) is None
    scanned(store)
    first = process(store).pid
    scanned(store)
    assert process(store).pid == first
    store.close()
    assert is_gone(first)
    with pytest.raises(StoreClosedError):
        store.candles("A", "1m")


def test_a_small_read_starts_nothing(store):
    store.write("A", "1m", walk(100))
    store.candles("A", "1m")
    assert process(store) is None


@pytest.mark.slow
def test_it_is_started_again_when_it_was_killed(store, scanning):
    scanned(store)
    dead = process(store).pid
    os.kill(dead, signal.SIGKILL)
    assert scanned(store) == bits(walk(100))
    assert process(store).pid != dead
    assert until(lambda: is_gone(dead))


@pytest.mark.slow
def test_a_scan_during_which_it_dies_is_retried_once_and_then_goes_another_way(store, scanning, monkeypatch):
    deaths = []
    started = Scanner._started

    def start_and_kill(self):
        child = started(self)
        if len(deaths) < limit:
            deaths.append(child.pid)
            child.kill()
            child.wait()
        return child

    monkeypatch.setattr(Scanner, "_started", start_and_kill)
    limit = 1
    assert scanned(store) == bits(walk(100))
    limit = 3
    with pytest.raises(ScannerError, match=r"died twice.*exit status -9"):
        store._candles._scanner.scan("series")
    limit = 5
    assert store.maintenance.warm(rebuild=True) == 100
    assert "died twice" in store.maintenance.stats()["pack_trouble"]
    assert bits(store.candles("A", "1m")) == bits(walk(100))
    limit = 0
    assert scanned(store) == bits(walk(100))
    assert store.maintenance.stats()["pack_trouble"] == ""
    assert all(is_gone(pid) for pid in deaths)


@pytest.mark.long
def test_it_ends_by_itself_when_idle_and_leaves_no_zombie(store, scanning):
    store._candles._scanner._idle_seconds = 0.3
    scanned(store)
    pid = process(store).pid
    assert until(lambda: is_gone(pid))
    assert scanned(store) == bits(walk(100))


@pytest.mark.slow
def test_it_ends_when_its_parent_is_killed(python, tmp_path):
    pid = python(
        """
        import os, mdstore
        store = mdstore.open("s.sqlite3")
        store._candles._scanner.scan("series")
        print(store._candles._scanner._process.pid, flush=True)
        os.kill(os.getpid(), 9)
        """,
        check=False,
    ).stdout.strip()
    assert until(lambda: is_gone(int(pid)))


@pytest.mark.slow
@pytest.mark.long
def test_no_descriptor_is_left_open(store, scanning):
    scanned(store)
    gc.collect()  # what other tests left open is theirs
    before = set(os.listdir("/proc/self/fd"))
    for _ in range(5):
        os.kill(process(store).pid, signal.SIGKILL)
        scanned(store)
    assert len(os.listdir("/proc/self/fd")) == len(before)


@pytest.mark.slow
def test_ctrl_c_during_a_scan_leaves_a_store_that_works(store, scanning):
    endless = """
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000)
        SELECT i AS number FROM n WHERE i < 0
    """
    scanned(store)
    with store._candles._views.holding(endless) as view, pytest.raises(KeyboardInterrupt):
        interrupted(0.4, lambda: store._candles._scanner.scan(view))
    assert scanned(store) == bits(walk(100))


def test_threads_share_a_store(store, scanning):
    def read(number):
        if number % 3 == 0:
            store.write(f"S{number}", "1m", walk(20))
        return bits(store.candles("A", "1m"))

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(read, range(40)))
    assert all(answer == bits(walk(100)) for answer in answers)
    assert store.maintenance.check() == []


@pytest.mark.slow
def test_a_script_without_a_main_guard_runs_once(python):
    assert python("""
        import mdstore
        print("started")
        with mdstore.open("s.sqlite3") as store:
            print(store._candles._scanner.scan("series").num_rows)
    """).split() == ["started", "0"]


@pytest.mark.long
def test_code_without_a_file_works_as_in_a_notebook(python):
    assert (
        python(
            """
        import asyncio, mdstore

        async def cell():
            with mdstore.open("s.sqlite3") as store:
                return store._candles._scanner.scan("series").num_rows

        print(asyncio.run(cell()))
        """,
            stdin=True,
        )
        == "0"
    )


@pytest.mark.long
def test_files_of_the_users_folder_do_not_shadow_the_scanners_modules(python, tmp_path):
    (tmp_path / "duckdb.py").write_text("raise SystemExit('shadowed')")
    assert (
        python("""
        import sys
        sys.path.pop(0)
        import mdstore
        print(mdstore.open("s.sqlite3")._candles._scanner.scan("series").num_rows)
    """)
        == "0"
    )


def read_all(path):
    with mdstore.open(path) as store:
        return len(store.sql("SELECT * FROM candles WHERE symbol = 'A'"))


def use_given(store):
    return len(store.candles("A", "1m")), store.write("B", "1m", walk(5)).inserted


@pytest.mark.variants(1)
@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_processes_open_the_same_file_or_are_handed_the_store(store, scanning, method):
    scanned(store)
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(read_all, [store.path] * 2) == [100, 100]
        assert pool.apply(use_given, (store,)) == (100, 5)
    assert len(store.candles("B", "1m")) == 5


FORK = """
    import multiprocessing, os
    import mdstore
    from mdstore.candles.reads import reads as columnar
    from mdstore.candles.packs import seal_policy as upkeep

    columnar.LOOSE_ROWS = columnar.STRAIGHT_ROWS = upkeep.SCAN_ROWS = upkeep.SCAN_ROWS_COLD = -1
    store = mdstore.open("s.sqlite3")

    def work(number):
        written = store.write(f"S{number}", "1m", [(1_756_684_800_000, 1, 2, 1, 2, number)]).inserted
        return written, store.candles("A", "1m")["close"].to_list(), store.sql("SELECT 42 AS x")["x"][0]

    print(store.arrow("A", "1m").num_rows)
    with multiprocessing.get_context("fork").Pool(3) as pool:
        print(pool.map(work, range(6)) == [(1, [1.5], 42)] * 6)
    print(store.arrow("A", "1m").num_rows, work(6) == (1, [1.5], 42), store.series().height,
          store.maintenance.check())
"""


@pytest.mark.long
def test_forked_children_and_their_parent_all_go_on(python, tmp_path):
    with mdstore.open(tmp_path / "s.sqlite3") as store:
        store.write("A", "1m", [(1_756_684_800_000, 1, 2, 1, 1.5, 0)])
    assert python(FORK).splitlines() == ["1", "True", "1 True 8 []"]


def forked(work):
    """Run `work` in a forked child; return its exit status, 0 if it returned true."""
    child = os.fork()
    if not child:
        try:
            os._exit(0 if work() else 1)
        except BaseException:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning")
def test_a_child_forked_from_a_process_that_uses_polars_reads_arrow_and_is_told(store, scanning):
    assert len(store.candles("A", "1m")) == 100

    def work():
        for refused in (
            lambda: store.candles("A", "1m"),
            lambda: store.write("B", "1m", walk(1)),
            store.series,
        ):
            with pytest.raises(ForkedError, match="spawn"):
                refused()
        return store.arrow("A", "1m").num_rows == 100 and store.delete("A", end=1_756_684_860_000) == 1

    assert forked(work) == 0
    assert len(store.candles("A", "1m")) == 99
    assert store.maintenance.check() == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning")
def test_a_fork_in_the_middle_of_a_write_does_not_touch_it(store):
    statuses = []

    def closed():
        with pytest.raises(StoreClosedError):
            store.arrow("A", "1m")
        return True

    def chunks():
        yield walk(5)
        statuses.append(forked(closed))
        yield walk(10)

    assert store.write("A", "1m", chunks()).rows == 15
    assert statuses == [0]
    assert len(store.candles("A", "1m")) == 10
    assert store.maintenance.check() == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning")
def test_a_forked_child_that_closes_leaves_the_parents_scanner_alone(store, scanning):
    scanned(store)
    pid = process(store).pid

    def work():
        store.close()
        return True

    assert forked(work) == 0
    assert len(store.candles("A", "1m")) == 100
    assert process(store).pid == pid


FORK_UNDER_WAY = """
    import multiprocessing
    import mdstore

    store = mdstore.open("s.sqlite3")
    with multiprocessing.get_context("fork").Pool(2, maxtasksperchild=2) as pool:
        rows = pool.imap(tuple, [(1_756_684_800_000 + i * 60_000, 1, 2, 1, 2, i) for i in range(12)])
        print(store.write("A", "1m", rows).inserted)
    print(store.maintenance.check())
"""


@pytest.mark.slow
def test_a_pool_that_forks_while_its_results_are_written_goes_on(python):
    assert python(FORK_UNDER_WAY).splitlines() == ["12", "[]"]


@pytest.mark.long
def test_two_stores_of_one_file_scan_side_by_side(store, scanning):
    with mdstore.open(store.path) as other, ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda i: scanned_once((store, other)[i % 2]), range(60)))
    assert answers == [100] * 60


def scanned_once(store):
    wanted = [("A", "1m", 0, 2**62)]
    with store._candles._views.holding(reader.stretches_view(wanted)) as view:
        return 100 if view is None else store._candles._scanner.scan(view).num_rows


def test_a_closed_store_starts_nothing(store, scanning):
    scanned(store)
    store.close()
    with pytest.raises(StoreClosedError):
        store.maintenance.warm()
    assert process(store) is None


@pytest.mark.slow
def test_a_store_that_is_dropped_takes_its_process_with_it(tmp_path):
    dropped = mdstore.open(tmp_path / "s.sqlite3")
    dropped._candles._scanner.scan("series")
    pid = process(dropped).pid
    del dropped
    gc.collect()
    assert until(lambda: is_gone(pid))


@pytest.mark.long
def test_a_whole_market_is_scanned(store, scanning):
    symbols = [f"S{i:04}" for i in range(1_200)]
    rows = [(symbol, 1_756_684_800_000 + i * 60_000, 1, 2, 1, 2, i) for symbol in symbols for i in range(2)]
    store.write_many(rows, timeframe="1m")
    assert store.maintenance.warm(rebuild=True) == 2_500
    for limit in (None, 1):
        answer = store.candles(symbols, "1m", limit=limit)
        assert answer["symbol"].unique(maintain_order=True).to_list() == symbols
        assert len(answer) == 1_200 * (limit or 2)


@pytest.mark.long
def test_a_process_with_many_open_files_scans(python):
    assert (
        python("""
        import os, resource
        import mdstore
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard > 0 else 4096, hard))
        held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
        print(mdstore.open("s.sqlite3")._candles._scanner.scan("series").num_rows)
    """)
        == "0"
    )


def test_a_thread_waits_for_anothers_write_no_longer_than_asked(tmp_path):
    begun, done = threading.Event(), threading.Event()

    def chunks():
        yield walk(5)
        begun.set()
        done.wait(30)

    with mdstore.open(tmp_path / "s.sqlite3", busy_timeout=0.1) as store, ThreadPoolExecutor(1) as pool:
        written = pool.submit(store.write, "A", "1m", chunks())
        begun.wait(30)
        with pytest.raises(StoreBusyError, match="another thread"):
            store.write("B", "1m", walk(5))
        done.set()
        assert written.result().inserted == 5
        assert store.write("B", "1m", walk(5)).inserted == 5
