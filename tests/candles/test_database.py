"""The file: its schema and pragmas, migrations, recovery, and several processes at once."""

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import apsw
import pytest

import mdstore
from mdstore import MarketDataError, NewerSchemaError, StoreBusyError, StoreFileError
from mdstore.candles.file import migrations
from mdstore.candles.file.migrations import MIGRATIONS, Migration, migrate
from tests.support.candles import bits, walk
from tests.support.paths import ROOT

SPECIFIED = [
    ("symbol", "TEXT", 1, 1),
    ("timeframe", "TEXT", 1, 2),
    ("timestamp", "INTEGER", 1, 3),
    *((name, "REAL", 1, 0) for name in ("open", "high", "low", "close", "volume")),
]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "market_data.sqlite3"


def filled(path):
    with mdstore.open(path) as store:
        store.write("A", "1m", walk(10))
    return path


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


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
    assert connection.execute("SELECT version FROM schema_version").fetchall() == [(1,), (2,), (3,), (4,)]
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


def test_a_newer_file_is_refused_and_left_untouched(path):
    connection = sqlite3.connect(filled(path))
    connection.execute("INSERT INTO schema_version VALUES (99, 0, 'from the future')")
    connection.commit()
    connection.close()
    before = digest(path)
    with pytest.raises(NewerSchemaError, match=r"schema version 99.*not changed.*pip install --upgrade"):
        mdstore.open(path)
    assert digest(path) == before
    assert [name.name for name in path.parent.iterdir()] == [path.name]


def test_a_step_runs_once_in_one_transaction_and_a_failing_one_leaves_the_version_before(path):
    filled(path)
    con = apsw.Connection(os.fspath(path))
    added = Migration(5, "a note on each series", "ALTER TABLE series ADD COLUMN note TEXT; SELECT 1;")
    failing = Migration(6, "half a step", "CREATE TABLE half (x); INSERT INTO nowhere VALUES (1);")
    assert migrate(con, (*MIGRATIONS, added)) == 1
    assert migrate(con, (*MIGRATIONS, added)) == 0
    with pytest.raises(apsw.SQLError):
        migrate(con, (*MIGRATIONS, added, failing))
    assert migrations.version_of(con) == 5
    assert con.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'half'").get == 0
    con.close()


def test_candles_written_by_another_tool_are_taken_over(path):
    connection = sqlite3.connect(path)
    connection.execute(MIGRATIONS[0].sql[: MIGRATIONS[0].sql.index(";")])
    connection.executemany(
        "INSERT INTO candles VALUES ('X', '1m', ?, 1, 2, 0.5, 1.5, 3)", [(i * 60_000,) for i in range(5)]
    )
    connection.commit()
    connection.close()
    with mdstore.open(path) as store:
        assert store.series().select("symbol", "rows").rows() == [("X", 5)]
        assert store.write("X", "1m", [(0, 1, 2, 0.5, 1.5, 3)], unit="ms").unchanged == 1
        assert store.maintenance.check() == []


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


def run(path, sql):
    connection = sqlite3.connect(path)
    connection.execute(sql)
    connection.commit()
    connection.close()


def test_paths_that_cannot_be_are_refused(tmp_path):
    with pytest.raises(StoreFileError, match="does not exist"):
        mdstore.open(tmp_path / "no" / "such" / "s.sqlite3")
    with pytest.raises(StoreFileError, match="no store at"):
        mdstore.open(tmp_path / "s.sqlite3", create=False)
    for nonsense in (":memory:", ""):
        with pytest.raises(MarketDataError, match="no path"):
            mdstore.open(nonsense)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_found_by_check(path):
    with mdstore.open(path) as store:
        store.write("A", "1m", walk(20_000))
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4096] = b"\xff" * 4096
    path.write_bytes(data)
    with mdstore.open(path) as store:
        assert store.maintenance.check() != []


def test_check_finds_candles_that_another_program_changed(path):
    run(filled(path), "DELETE FROM candles WHERE timestamp % 120000 = 0")
    with mdstore.open(path) as store:
        assert ["the catalogue says" in finding for finding in store.maintenance.check()] == [True, False]


WRITER = """
    import sys, mdstore
    from tests.support.candles import walk
    with mdstore.open("market_data.sqlite3") as store:
        for number in range(1000):
            store.write(sys.argv[1], "1m", walk(50, start=1_756_684_800_000 + number * 50 * 60_000))
            print(number, flush=True)
"""


def start(script, *args, cwd):
    root = str(ROOT)
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *args],
        stdout=subprocess.PIPE, text=True, cwd=cwd, env={**os.environ, "PYTHONPATH": root},
    )  # fmt: skip


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
        assert con.execute("SELECT count(*) FROM sqlite_schema WHERE type = 'view'").get == 0


def test_processes_that_open_a_new_file_at_once_agree(path):
    children = [start(WRITER.replace("1000", "5"), f"S{n}", cwd=path.parent) for n in range(6)]
    assert [child.wait() for child in children] == [0] * 6
    for child in children:
        child.stdout.close()
    with mdstore.open(path) as store:
        assert store.series()["rows"].to_list() == [250] * 6
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


def test_a_backup_is_whole_while_a_writer_goes_on(path, tmp_path):
    child = start(WRITER, "A", cwd=path.parent)
    child.stdout.readline()
    seen = []
    with mdstore.open(path) as store:
        for number in range(3):
            copy = store.maintenance.backup(
                tmp_path / f"copy{number}.sqlite3", progress=lambda done, total: seen.append((done, total))
            )
            with mdstore.open(copy) as other:
                assert other.maintenance.check() == []
                assert other.series()["rows"][0] % 50 == 0
        child.kill()
        child.wait()
        child.stdout.close()
        assert seen[-1][0] == seen[-1][1] > 0
        with pytest.raises(StoreFileError, match="exists and was left"):
            store.maintenance.backup(copy)
        assert store.maintenance.backup(copy, overwrite=True) == copy
        with pytest.raises(StoreFileError, match="is a folder"):
            store.maintenance.backup(tmp_path)
        with pytest.raises(MarketDataError, match="the store itself"):
            store.maintenance.backup(path)
        with pytest.raises(StoreFileError, match="does not exist"):
            store.maintenance.backup(tmp_path / "no" / "copy.sqlite3")
    assert not [name for name in os.listdir(tmp_path) if "partial" in name]


def test_a_backup_does_not_land_beside_a_log_that_would_spoil_it(path, tmp_path):
    filled(path)
    other = tmp_path / "other.sqlite3"
    child = start(
        """
        import os, mdstore
        from tests.support.candles import walk
        store = mdstore.open("other.sqlite3")
        store.write("OLD", "1m", walk(10))
        os.kill(os.getpid(), 9)
        """,
        cwd=tmp_path,
    )
    child.wait()
    child.stdout.close()
    with mdstore.open(path) as store:
        for gone in (False, True):
            if gone:
                other.unlink()
            with pytest.raises(StoreFileError, match="wal lies beside it"):
                store.maintenance.backup(other, overwrite=True)
        Path(f"{other}-wal").unlink()
        with mdstore.open(store.maintenance.backup(other)) as copy:
            assert copy.series()["symbol"].to_list() == ["A"]


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
