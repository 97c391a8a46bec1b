"""The file: its schema and pragmas, several processes at once, and one that is killed."""

import os
import signal
import sqlite3
from pathlib import Path

import apsw
import pytest

import mdstore
from mdstore import MarketDataError, StoreBusyError, StoreFileError
from mdstore.candles.file.migrations import MIGRATIONS
from tests.support.candles import bits, walk
from tests.support.file import WRITER, digest, filled, run
from tests.support.processes import start

SPECIFIED = [
    ("symbol", "TEXT", 1, 1),
    ("timeframe", "TEXT", 1, 2),
    ("timestamp", "INTEGER", 1, 3),
    *((name, "REAL", 1, 0) for name in ("open", "high", "low", "close", "volume")),
]


def test_any_sqlite_tool_reads_the_file_as_specified(path):
    filled(path)
    connection = sqlite3.connect(path)
    columns = connection.execute(
        "SELECT name, type, \"notnull\", pk FROM pragma_table_info('candles')"
    ).fetchall()
    assert columns == SPECIFIED
    sql = connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'candles'").fetchone()[0]
    assert "STRICT" in sql
    assert "WITHOUT ROWID" in sql
    assert connection.execute("SELECT count(*) FROM candles").fetchone() == (10,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)
    assert connection.execute("SELECT version FROM schema_version").fetchall() == [
        (step.version,) for step in MIGRATIONS
    ]
    connection.close()


def test_a_closed_store_is_one_file(path):
    filled(path)
    assert [name.name for name in path.parent.iterdir()] == [path.name]


def test_commits_are_synced_and_the_log_is_bounded(store):
    con = store._candles._database._writer
    assert con.pragma("synchronous") == 2
    assert con.pragma("journal_size_limit") == 67_108_864
    store.write("A", "1m", walk(200_000))
    store.write("A", "1m", walk(1, seed=3))
    assert Path(f"{store.path}-wal").stat().st_size <= 67_108_864


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_text("timestamp,open\n" * 100), "no SQLite database"),
        (lambda path: path.write_bytes(os.urandom(8192)), "no SQLite database"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: run(path, "CREATE TABLE bookmarks (url)"), "no store: it has no table candles"),
        (
            lambda path: run(path, "CREATE TABLE candles (symbol, price)"),
            "no store: its table candles has other columns",
        ),
    ],
)
def test_what_is_no_store_is_refused_and_left_untouched(path, make, message):
    make(path)
    before = path.is_file() and digest(path)
    with pytest.raises(StoreFileError, match=message):
        mdstore.open(path)
    assert (path.is_file() and digest(path)) == before


def test_paths_that_cannot_be_are_refused(tmp_path):
    with pytest.raises(StoreFileError, match="does not exist"):
        mdstore.open(tmp_path / "no" / "such" / "s.sqlite3")
    with pytest.raises(StoreFileError, match="no store at"):
        mdstore.open(tmp_path / "s.sqlite3", create=False)
    for nonsense in (":memory:", ""):
        with pytest.raises(MarketDataError, match="no path"):
            mdstore.open(nonsense)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_after_kill_9_every_commit_that_returned_is_there_and_whole(path):
    child = start(WRITER, "A", cwd=path.parent)
    confirmed = -1
    for line in child.stdout:
        confirmed = int(line)
        if confirmed >= 20:
            child.send_signal(signal.SIGKILL)
            break
    confirmed = int((child.stdout.read().split() or [confirmed])[-1])
    child.wait()
    child.stdout.close()
    with mdstore.open(path) as store:
        rows = len(store.candles("A", "1m"))
        assert rows % 50 == 0
        assert rows >= (confirmed + 1) * 50
        assert store.maintenance.check() == []


@pytest.mark.slow
def test_kill_9_in_the_middle_of_a_write_leaves_none_of_it(path):
    filled(path)
    child = start(
        """
        import time, mdstore
        from tests.support.candles import walk
        def chunks():
            for number in range(100):
                yield walk(20_000, start=1_756_684_800_000 + number * 20_000 * 60_000 - 10**12, seed=number)
                print(number, flush=True)
        mdstore.open("market_data.sqlite3").write("B", "1m", chunks())
        """,
        cwd=path.parent,
    )
    for line in child.stdout:
        if int(line) == 6:
            child.kill()
            break
    child.wait()
    child.stdout.close()
    with mdstore.open(path) as store:
        assert store.series()["symbol"].to_list() == ["A"]
        assert bits(store.candles("A", "1m")) == bits(walk(10))
        assert store.maintenance.check() == []


def test_a_view_that_a_killed_scan_left_is_dropped_at_the_next_open(path):
    run(filled(path), "CREATE VIEW scan_1700000000_0badcafe_1_0 AS SELECT 1")
    with mdstore.open(path) as store, store._candles._database.reading() as con:
        assert con.execute("SELECT count(*) FROM sqlite_schema WHERE name GLOB 'scan_*'").get == 0


@pytest.mark.slow
def test_processes_that_open_a_new_file_at_once_agree(path):
    children = [start(WRITER.replace("1000", "5"), f"S{n}", cwd=path.parent) for n in range(4)]
    assert [child.wait() for child in children] == [0] * 4
    for child in children:
        child.stdout.close()
    with mdstore.open(path) as store:
        assert store.series()["rows"].to_list() == [250] * 4
        assert store.maintenance.check() == []


def test_a_writer_that_waits_too_long_says_so_and_readers_do_not_wait(path):
    filled(path)
    with mdstore.open(path, busy_timeout=0.1) as store:
        con = apsw.Connection(os.fspath(path))
        con.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusyError, match="busy_timeout"):
            store.write("B", "1m", walk(3))
        assert len(store.candles("A", "1m")) == 10
        con.execute("ROLLBACK")
        con.close()
        assert store.write("B", "1m", walk(3)).inserted == 3


def test_a_full_disk_leaves_the_state_before(store):
    store.write("A", "1m", walk(10))
    con = store._candles._database._writer
    con.pragma("max_page_count", con.pragma("page_count") + 2)
    with pytest.raises(StoreFileError, match="nothing of this call was written"):
        store.write("B", "1m", walk(50_000))
    con.pragma("max_page_count", 2**31)
    assert store.series()["symbol"].to_list() == ["A"]
    assert store.write("B", "1m", walk(50_000)).inserted == 50_000
    assert store.maintenance.check() == []


def test_an_sqlite_with_the_log_reset_fault_is_refused(path, monkeypatch):
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.51.2")
    with pytest.raises(StoreFileError, match=r"3\.51\.2.*can corrupt"):
        mdstore.open(path)


def test_a_file_that_lost_its_name_is_not_written_to(path, tmp_path):
    with mdstore.open(path) as store:
        store.write("A", "1m", walk(10))
        path.rename(tmp_path / "moved.sqlite3")
        with pytest.raises(StoreFileError, match="moved or deleted"):
            store.write("B", "1m", walk(10))
        (tmp_path / "market_data.sqlite3").write_bytes(b"")
        with pytest.raises(StoreFileError, match="replaced"):
            store.write("B", "1m", walk(10))


@pytest.mark.parametrize("path", [None, 5, "a\0b", "~nobody-of-that-name/x", b"x"])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(MarketDataError, match="no path"):
        mdstore.open(path)


@pytest.mark.parametrize("seconds", ["x", -1, float("inf"), float("nan"), None])
def test_what_is_no_timeout_is_refused(tmp_path, seconds):
    with pytest.raises(MarketDataError, match="busy_timeout"):
        mdstore.open(tmp_path / "s.sqlite3", busy_timeout=seconds)
    assert list(tmp_path.iterdir()) == []


def test_a_close_inside_a_read_is_refused(path, tmp_path):
    with mdstore.open(path) as store:
        store.write("A", "1m", walk(10))
        with pytest.raises(MarketDataError, match="close was called inside"):
            store.maintenance.backup(tmp_path / "copy.sqlite3", progress=lambda done, total: store.close())
        assert len(store.candles("A", "1m")) == 10


def test_a_write_after_what_was_worth_no_sync_is_synced(store):
    database = store._candles._database
    assert database.note(lambda con: con.pragma("synchronous")) == 1
    with database.writing() as con:
        assert con.pragma("synchronous") == 2
