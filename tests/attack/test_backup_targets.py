"""Copies and exports aimed at a store's own files, by every name they have: refused, and nothing is lost."""

import os
import shutil
from contextlib import ExitStack

import pytest

import mdstore
from mdstore import MarketDataError, StoreFileError
from tests.support.candles import bits, walk


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def live(folder):
    """A store with packs and a log that holds what was committed last."""
    with mdstore.open(folder / "s.sqlite3") as store:
        store.write("A", "1m", walk(5_000))
        store.write("B", "1m", walk(10))
        yield store


def linked(target, folder):
    (folder.parent / "link").symlink_to(target)
    return folder.parent / "link"


def hard(target, folder):
    os.link(target, folder.parent / "hard")
    return folder.parent / "hard"


def pack(folder):
    return next((folder / "s.sqlite3-packs").iterdir())


TARGETS = {
    "the file": lambda folder: folder / "s.sqlite3",
    "the file by ..": lambda folder: folder / ".." / "data" / "s.sqlite3",
    "the file by a link": lambda folder: linked(folder / "s.sqlite3", folder),
    "the file by a hard link": lambda folder: hard(folder / "s.sqlite3", folder),
    "the log": lambda folder: folder / "s.sqlite3-wal",
    "the log in capitals": lambda folder: folder / "s.sqlite3-WAL",
    "the log by a link": lambda folder: linked(folder / "s.sqlite3-wal", folder),
    "the log by a hard link": lambda folder: hard(folder / "s.sqlite3-wal", folder),
    "the log by a link to the folder": lambda folder: linked(folder, folder) / "s.sqlite3-wal",
    "the index of the log": lambda folder: folder / "s.sqlite3-shm",
    "a journal that is not there": lambda folder: folder / "s.sqlite3-journal",
    "a journal by a link that leads nowhere": lambda folder: linked(folder / "s.sqlite3-journal", folder),
    "a pack": pack,
    "a pack by a hard link": lambda folder: hard(pack(folder), folder),
    "a new file among the packs": lambda folder: folder / "s.sqlite3-packs" / "copy.sqlite3",
    "the folder of the packs": lambda folder: folder / "s.sqlite3-packs",
    "among the packs by a link": lambda folder: linked(folder / "s.sqlite3-packs", folder) / "copy.sqlite3",
}


@pytest.mark.parametrize("what", TARGETS)
@pytest.mark.parametrize("overwrite", [True, False])
def test_a_copy_aimed_at_a_part_of_the_store_is_refused(live, folder, what, overwrite):
    target = TARGETS[what](folder)
    before = sorted(name.name for name in folder.rglob("*"))
    with pytest.raises(MarketDataError):
        live.maintenance.backup(target, overwrite=overwrite)
    assert sorted(name.name for name in folder.rglob("*")) == before
    assert bits(live.candles("B", "1m")) == bits(walk(10))
    if "hard" in what:  # that such a link is there is a finding of its own
        target.unlink()
    assert live.maintenance.check() == []


@pytest.mark.parametrize("what", [what for what in TARGETS if not what.startswith("the file")])
def test_a_new_store_does_not_take_the_place_of_a_part_of_another(live, folder, what):
    target = TARGETS[what](folder)
    with pytest.raises(MarketDataError):
        mdstore.open(target)
    target.unlink() if "hard" in what else None
    assert live.maintenance.check() == []


@pytest.mark.parametrize("target", ["data.csv", "link.csv", "data.csv-packs/A.arrow"])
def test_an_export_aimed_at_a_part_of_the_store_is_refused(tmp_path, python, target):
    with mdstore.open(tmp_path / "data.csv") as store:
        store.write("A", "1m", walk(5_000))
    (tmp_path / "link.csv").symlink_to(tmp_path / "data.csv")
    before = {name: name.read_bytes() for name in tmp_path.rglob("*") if name.is_file()}
    done = python(
        "import sys; from mdstore.cli import main; main()",
        *("-f", "data.csv", "export", target, "A", "--force"),
        check=False,
    )
    assert done.returncode == 1
    assert "of the store" in done.stderr or "the store itself" in done.stderr
    assert {name: name.read_bytes() for name in tmp_path.rglob("*") if name.is_file()} == before


def test_parts_of_a_store_of_another_process_are_told_by_their_names(python, folder, tmp_path):
    shutil.rmtree(folder)
    with mdstore.open(tmp_path / "s.sqlite3") as store:
        store.write("A", "1m", walk(5_000))
        python(
            """
            import mdstore
            from mdstore import MarketDataError
            with mdstore.open("other.sqlite3") as store:
                for part in ("", "-wal", "-shm", "-journal", "-packs/copy"):
                    name = f"s.sqlite3{part}"
                    try:
                        store.maintenance.backup(name, overwrite=True)
                    except MarketDataError:
                        continue
                    raise AssertionError(name)
            """
        )
        assert store.maintenance.check() == []


def test_a_copy_beside_the_store_is_made_and_whole(live, folder):
    for name in ("copy.sqlite3", "s.sqlite3.bak", "s-wal.sqlite3", "packs", "x" * 247):
        copy = live.maintenance.backup(folder / name)
        with mdstore.open(copy) as store:
            assert bits(store.candles("B", "1m")) == bits(walk(10))
            assert store.maintenance.check() == []


@pytest.mark.parametrize("name", ["x" * 256, "x" * 300, "x/" * 3_000 + "x"])
def test_a_name_that_is_too_long_is_refused_in_words(live, folder, name):
    for refused in (live.maintenance.backup, mdstore.open):
        with pytest.raises(StoreFileError, match=r"too long|does not exist"):
            refused(folder / name)


def test_a_link_that_leads_to_itself_is_refused_in_words(live, folder):
    (folder / "loop").symlink_to(folder / "loop")
    for refused in (live.maintenance.backup, mdstore.open):
        with pytest.raises(StoreFileError):
            refused(folder / "loop")


def test_two_stores_of_one_process_are_minded_both(folder):
    with ExitStack() as stack:
        one, two = (stack.enter_context(mdstore.open(folder / name)) for name in ("1.sqlite3", "2.sqlite3"))
        for store in (one, two):
            store.write("A", "1m", walk(10))
        with pytest.raises(MarketDataError):
            one.maintenance.backup(two.path, overwrite=True)
        with pytest.raises(MarketDataError):
            one.maintenance.backup(f"{two.path}-wal", overwrite=True)
        assert two.maintenance.check() == []
