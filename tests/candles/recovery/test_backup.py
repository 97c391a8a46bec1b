"""Copies of the file: whole, and read as what they are in whatever place they are put."""

import os
import shutil
import time
from pathlib import Path

import pytest

import mdstore
from mdstore import MarketDataError, StoreFileError
from tests.support.candles import bits, walk
from tests.support.file import WRITER, filled
from tests.support.packs import BARS, tiers
from tests.support.paths import ROOT
from tests.support.processes import start


def test_a_backup_and_a_store_without_its_packs_are_sound(store, tmp_path):
    store.write("A", "1m", walk(BARS))
    store.maintenance.backup(tmp_path / "copy.sqlite3")
    with mdstore.open(tmp_path / "copy.sqlite3") as copy:
        assert copy.maintenance.check() == []
    for symbol in "BCDEFG":
        store.write(symbol, "1m", walk(BARS))
    shutil.rmtree(store.packs_path)
    assert store.maintenance.check() == []
    time.sleep(0.06)
    assert tiers(store, None, "1m") == ("packs",)


def test_a_backup_takes_the_place_of_the_file_and_is_true(tmp_path):
    path = tmp_path / "s.sqlite3"
    with mdstore.open(path) as store:
        store.write("A", "1m", walk(BARS))
        store.maintenance.backup(tmp_path / "copy.sqlite3")
        store.write("A", "1m", walk(BARS, seed=1))
        store.candles("A", "1m")
    os.replace(tmp_path / "copy.sqlite3", path)
    with mdstore.open(path) as store:
        assert bits(store.candles("A", "1m")) == bits(walk(BARS))
        store.write("A", "1m", walk(BARS, seed=2))
        assert bits(store.candles("A", "1m")) == bits(walk(BARS, seed=2))
        assert store.maintenance.check() == []


def test_a_file_that_a_backup_replaced_is_not_read_as_the_old_one(tmp_path):
    path = tmp_path / "s.sqlite3"
    with mdstore.open(path) as store:
        store.write("A", "1m", walk(BARS))
        store.maintenance.backup(tmp_path / "copy.sqlite3")
        store.candles("A", "1m")
        os.replace(tmp_path / "copy.sqlite3", path)
        time.sleep(0.02)
        for read in (lambda: store.candles("A", "1m"), store.series, lambda: store.sql("FROM candles")):
            with pytest.raises(StoreFileError, match="replaced"):
                read()
    with mdstore.open(path) as store:
        assert bits(store.candles("A", "1m")) == bits(walk(BARS))


@pytest.mark.slow
def test_a_backup_restored_into_the_open_file_is_what_is_read(store, python, tmp_path):
    store.write("A", "1m", walk(BARS))
    store.maintenance.backup(tmp_path / "copy.sqlite3")
    store.write("A", "1m", walk(BARS, seed=1))
    time.sleep(0.06)
    for _ in range(3):
        assert bits(store.candles("A", "1m")) == bits(walk(BARS, seed=1))
    # As many commits as there were before, so that a count of them would be the same.
    python(
        """
        import sys, apsw, mdstore
        from tests.support.candles import walk
        source, target = apsw.Connection(sys.argv[1]), apsw.Connection(sys.argv[2])
        with target.backup("main", source, "main") as steps:
            steps.step()
        target.close()
        with mdstore.open(sys.argv[2]) as store:
            store.write("A", "1m", walk(3_000, seed=2))
        """,
        tmp_path / "copy.sqlite3",
        store.path,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert bits(store.candles("A", "1m")) == bits(walk(BARS, seed=2))
    assert store.maintenance.check() == []


def test_a_copy_under_another_name_has_packs_of_its_own(store, tmp_path):
    store.write("A", "1m", walk(BARS))
    store.maintenance.backup(tmp_path / "copy.sqlite3")
    with mdstore.open(tmp_path / "copy.sqlite3") as copy:
        assert bits(copy.candles("A", "1m")) == bits(walk(BARS))
        assert copy.packs_path != store.packs_path
        assert copy.maintenance.check() == []


@pytest.mark.slow
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


def test_a_copy_that_may_not_grow_so_large_is_named(store, tmp_path, python):
    """As `ulimit -f` has it: it is the copy that cannot be written, and nothing of it stays."""
    store.write("A", "1m", walk(3_000))
    said = python(
        """
        import resource, sys
        import mdstore
        store = mdstore.open(sys.argv[1])
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        try:
            store.maintenance.backup(sys.argv[2])
        except mdstore.StoreFileError as error:
            print(error)
        """,
        store.path,
        tmp_path / "copy.sqlite3",
    )
    assert said.startswith(f"{tmp_path / 'copy.sqlite3'}: it cannot be written, or grow so large")
    assert [path for path in tmp_path.iterdir() if path.name.startswith(("copy", "."))] == []
