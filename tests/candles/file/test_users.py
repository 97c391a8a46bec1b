"""Who has a store's file open, and who reads it: other processes among them."""

import os
import sys

import pytest

import mdstore
from mdstore.candles.file.users import User, users
from tests.support.processes import start

READER = """
import mdstore
with mdstore.open("market_data.sqlite3") as store:
    with store.repository._database.reading() as con:
        con.execute("SELECT count(*) FROM series").fetchall()
        print("reading", flush=True)
        __import__("time").sleep(60)
"""
linux = pytest.mark.skipif(sys.platform != "linux", reason="no list of locks")


@linux
def test_this_process_has_it_open_and_reads_while_it_does(store):
    store.write("A", "1m", [("2025-09-01T00:00", 1, 2, 1, 2, 5)])
    me = User(os.getpid(), "this process")
    found = users(store.path)
    assert (found.known, found.open_by, found.reading) == (True, (me,), ())
    with store.repository._database.reading() as con:
        con.execute("SELECT count(*) FROM series").fetchall()
        assert users(store.path).reading == (me,)
    assert users(store.path).reading == ()
    store.close()
    assert users(store.path).open_by == ()


@linux
@pytest.mark.slow
def test_another_process_is_named_by_its_command(store, tmp_path):
    store.write("A", "1m", [("2025-09-01T00:00", 1, 2, 1, 2, 5)])
    process = start(READER, cwd=tmp_path)
    try:
        assert process.stdout.readline() == "reading\n"
        found = users(store.path)
        assert {user.pid for user in found.open_by} == {os.getpid(), process.pid}
        assert [user.pid for user in found.reading] == [process.pid]
        assert "mdstore" in str(found.reading[0])
        assert len(found.reading[0].command) <= 80
    finally:
        process.kill()
        process.communicate()
    assert users(store.path).reading == ()


def test_locks_of_other_files_and_waits_are_left_out(store, tmp_path):
    status = os.stat(f"{store.path}-shm")
    ours = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    locks = tmp_path / "locks"
    locks.write_text(
        f"1: POSIX  ADVISORY  READ 999999 {ours} 128 128\n"
        f"1: -> POSIX  ADVISORY  WRITE 999998 {ours} 128 128\n"
        "2: POSIX  ADVISORY  READ 999997 00:00:1 123 123\n"
        f"3: POSIX  ADVISORY  READ 999996 {ours} 0 EOF\n"
        f"4: POSIX  ADVISORY  READ 999995 {ours} 124 124\n"
        "5: FLOCK\n"
    )
    found = users(store.path, locks=locks)
    assert [user.pid for user in found.open_by] == [999995, 999999]
    assert [str(user) for user in found.reading] == ["process 999995"]


def test_where_the_system_does_not_tell_that_is_said(store, tmp_path):
    assert not users(store.path, locks=tmp_path / "nothing").known
    assert not users(mdstore.open(tmp_path / "b.sqlite3").path, locks=tmp_path).known
