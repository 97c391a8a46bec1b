"""What lies at a store's path and is none, or no longer: refused with its reason, and left to the byte."""

import os
import shutil
import sqlite3

import apsw
import pytest

import mdstore
from mdstore import StoreFileError
from mdstore.candles.file.migrations import APPLICATION_ID, MIGRATIONS
from tests.support.candles import bits, walk

MARK = "PRAGMA application_id"
CANDLES = MIGRATIONS[0].sql[: MIGRATIONS[0].sql.index(";")]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "s.sqlite3"


def run(path, *statements, keep=False):
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    if keep:
        return connection
    return connection.close()


def contents(folder):
    return {name.name: name.read_bytes() if name.is_file() else None for name in folder.iterdir()}


def filled(path, rows=10):
    with mdstore.open(path) as store:
        store.write("A", "1m", walk(rows))
    return path


FOREIGN = {
    "a table schema_version": ["CREATE TABLE schema_version (version TEXT)"],
    "a version that is no number": [
        "CREATE TABLE schema_version (version)",
        "INSERT INTO schema_version VALUES ('1.2')",
    ],
    "a newer version of its own": [
        "CREATE TABLE schema_version (version)",
        "INSERT INTO schema_version VALUES (99)",
    ],
    "our candles and its own version": [
        CANDLES, "CREATE TABLE schema_version (version)", "INSERT INTO schema_version VALUES ('1.2')",
    ],
    "our candles and its mark": [CANDLES, "PRAGMA application_id = 12345"],
    "no table but its mark": ["PRAGMA application_id = 12345", "CREATE TABLE t (x)", "DROP TABLE t"],
    "a log": ["PRAGMA journal_mode = wal", "CREATE TABLE bookmarks (url)"],
}  # fmt: skip


@pytest.mark.parametrize("what", FOREIGN)
def test_a_database_of_another_program_is_left_to_the_byte(path, what):
    run(path, *FOREIGN[what])
    before = contents(path.parent)
    for create in (True, False):
        with pytest.raises(StoreFileError, match="is a SQLite database but no store"):
            mdstore.open(path, create=create)
    assert contents(path.parent) == before


def test_a_log_that_another_program_left_is_not_carried_over(path):
    connection = run(path, "PRAGMA journal_mode = wal", "CREATE TABLE bookmarks (url)", keep=True)
    copy = shutil.copytree(path.parent, path.parent / "copy")  # as a crash would leave it
    connection.close()
    before = contents(copy)
    with pytest.raises(StoreFileError, match="but no store"):
        mdstore.open(copy / path.name)
    after = contents(copy)
    for name in (path.name, f"{path.name}-wal"):
        assert after[name] == before[name]


@pytest.mark.parametrize("data", [b"x", b"timestamp,open\n" * 9, b"SQLite format 3\0", bytes(4096)])
def test_what_is_no_database_is_never_overwritten(path, data):
    path.write_bytes(data)
    for create in (True, False):
        with pytest.raises(StoreFileError, match=r"no SQLite database|cut off after"):
            mdstore.open(path, create=create)
    assert contents(path.parent) == {path.name: data}


def test_a_device_is_no_store(path):
    os.mkfifo(path)
    with pytest.raises(StoreFileError, match="a device or the like"):
        mdstore.open(path)


def test_an_empty_file_is_a_new_store_and_no_old_one(path):
    path.touch()
    with pytest.raises(StoreFileError, match=r"no store at.*empty"):
        mdstore.open(path, create=False)
    assert contents(path.parent) == {path.name: b""}
    filled(path)


def test_a_store_that_was_cut_off_is_refused_and_its_packs_can_be_had_again(path):
    filled(path, 5_000)
    packs = path.with_name("s.sqlite3-packs")
    kept = contents(packs)
    assert kept
    os.truncate(path, 0)
    for create in (True, False):
        with pytest.raises(StoreFileError, match="a store was cut off there") as refused:
            mdstore.open(path, create=create)
    assert contents(packs) == kept
    assert "delete s.sqlite3." in refused.value.hint.python
    path.unlink()  # as the hint says
    with mdstore.open(path) as store:
        (aside,) = store.maintenance.stats()["packs_set_aside"].split(", ")
        assert aside.startswith("s.sqlite3-packs.orphaned-")
        assert contents(path.with_name(aside)) == kept
        store.write("B", "1m", walk(5_000))
        assert bits(store.candles("B", "1m")) == bits(walk(5_000))
        assert store.maintenance.check() == []
    assert contents(path.with_name(aside)) == kept


def cut_off_with_a_log(python, path):
    python(
        f"""
        import os, mdstore
        from tests.support.candles import walk
        mdstore.open({os.fspath(path)!r}).write("A", "1m", walk(10))
        os._exit(0)
        """
    )
    return path.with_name("s.sqlite3-wal")


@pytest.mark.parametrize("cut", ["emptied", "gone"])
def test_a_log_that_lost_its_file_is_not_deleted(python, path, cut):
    log = cut_off_with_a_log(python, path)
    whole, data = path.read_bytes(), log.read_bytes()
    path.unlink()
    if cut == "emptied":
        path.touch()
    for _ in range(2):
        with pytest.raises(StoreFileError, match=r"s\.sqlite3-wal") as refused:
            mdstore.open(path)
    assert log.read_bytes() == data
    assert "s.sqlite3-wal" in refused.value.hint.python
    path.write_bytes(whole)  # put back, it is what it was
    with mdstore.open(path) as store:
        assert bits(store.candles("A", "1m")) == bits(walk(10))
        assert store.maintenance.check() == []


def test_to_begin_anew_is_to_delete_both(python, path):
    log = cut_off_with_a_log(python, path)
    os.truncate(path, 0)
    with pytest.raises(StoreFileError, match="cut off") as refused:
        mdstore.open(path)
    assert "delete s.sqlite3 and s.sqlite3-wal" in refused.value.hint.python
    path.unlink()
    log.unlink()
    filled(path)


def test_stores_are_marked_older_ones_when_they_are_opened(path):
    con = apsw.Connection(os.fspath(filled(path)))
    assert con.pragma("application_id") == APPLICATION_ID == int.from_bytes(b"mdst", "big")
    con.pragma("application_id", 0)  # as they were made before
    con.close()
    with mdstore.open(path) as store:
        assert bits(store.candles("A", "1m")) == bits(walk(10))
    con = apsw.Connection(os.fspath(path))
    assert con.pragma("application_id") == APPLICATION_ID
    con.close()


def test_a_file_of_two_names_is_refused(path, tmp_path):
    other = tmp_path / "other.sqlite3"
    with mdstore.open(path) as store:
        store.write("A", "1m", walk(10))
        os.link(path, other)
        assert ["has 2 names" in finding for finding in store.maintenance.check()] == [True]
        with pytest.raises(StoreFileError, match="has 2 names"):
            mdstore.open(other)
    before = path.read_bytes()
    for name in (path, other):
        with pytest.raises(StoreFileError, match=r"has 2 names \(hard links\)") as refused:
            mdstore.open(name)
    assert (
        f"find {tmp_path} -inum {path.stat().st_ino} lists them; delete all but one"
        in refused.value.hint.python
    )
    assert path.read_bytes() == before
    other.unlink()  # as the hint says
    with mdstore.open(path) as store:
        assert store.maintenance.check() == []
