"""A copy that does not come to its end leaves nothing: no packs without an owner, no hidden folder."""

import os
import signal
import time
from pathlib import Path

import pytest

import mdstore
from mdstore import StoreFileError
from mdstore.candles.recovery import backup, workplace
from tests.support.candles import bits, walk
from tests.support.packs import BARS, tiers
from tests.support.processes import start


def hidden(folder):
    return [place.name for place in folder.glob(f"{workplace.PREFIX}*")]


def test_a_copy_with_packs_reads_from_them_at_once_also_over_an_older_one(store, tmp_path):
    store.write("A", "1m", walk(BARS))
    target = store.maintenance.backup(tmp_path / "copy.sqlite3", packs=True)
    store.write("B", "1m", walk(BARS, seed=1))
    store.maintenance.backup(target, packs=True, overwrite=True)
    time.sleep(0.06)
    with mdstore.open(target) as copy:
        assert tiers(copy, "B", "1m") == ("packs",)
        assert bits(copy.candles("B", "1m")) == bits(walk(BARS, seed=1))
        assert copy.maintenance.check() == []
    assert hidden(tmp_path) == []


def test_a_copy_that_does_not_get_its_name_leaves_no_packs(store, tmp_path, monkeypatch):
    store.write("A", "1m", walk(BARS))
    target = tmp_path / "copy.sqlite3"

    def refused(self, name):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "replace", refused)
    with pytest.raises(StoreFileError, match="cannot be written"):
        store.maintenance.backup(target, packs=True)
    assert not target.exists()
    assert not Path(f"{target}-packs").exists()
    assert hidden(tmp_path) == []


def test_a_process_killed_before_the_copy_has_its_name_leaves_what_is_swept(store, tmp_path):
    store.write("A", "1m", walk(BARS))
    child = start(
        """
        import os, signal, sys
        from pathlib import Path
        import mdstore
        Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        with mdstore.open(sys.argv[1]) as store:
            store.maintenance.backup("copy.sqlite3", packs=True)
        """,
        str(store.path),
        cwd=tmp_path,
    )
    child.communicate()
    assert child.returncode == -signal.SIGKILL
    assert len(hidden(tmp_path)) == 1
    assert not (tmp_path / "copy.sqlite3-packs").exists()
    store.maintenance.backup(tmp_path / "copy.sqlite3")
    assert hidden(tmp_path) == []


def test_packs_that_find_no_place_are_told_of_beside_a_copy_that_is_whole(store, tmp_path):
    store.write("A", "1m", walk(BARS))
    (tmp_path / "copy.sqlite3-packs").write_text("in the way")
    with pytest.raises(StoreFileError, match="is written and whole"):
        store.maintenance.backup(tmp_path / "copy.sqlite3", packs=True)
    with mdstore.open(tmp_path / "copy.sqlite3") as copy:
        assert bits(copy.candles("A", "1m")) == bits(walk(BARS))


@pytest.mark.parametrize("with_lock", [False, True])
def test_a_folder_left_before_its_first_file_is_swept_after_a_minute(tmp_path, with_lock):
    place = tmp_path / f"{workplace.PREFIX}0123456789abcdef"
    place.mkdir()
    if with_lock:
        (place / workplace.LOCK).touch()
    workplace.sweep(tmp_path)
    assert place.exists()  # it may be being set up just now
    os.utime(place, (time.time() - 61, time.time() - 61))
    workplace.sweep(tmp_path)
    assert not place.exists()


def test_a_folder_whose_owner_lives_is_not_swept_however_old(tmp_path):
    with workplace.workplace(tmp_path) as place:
        os.utime(place, (1_600_000_000, 1_600_000_000))
        workplace.sweep(tmp_path)
        assert place.exists()


def test_a_damaged_copy_is_said_of_its_target_in_both_tongues(store, tmp_path, monkeypatch):
    store.write("A", "1m", walk(10))
    create = backup._create

    class Damaged:
        """A connection whose file does not pass SQLite's check."""

        def __init__(self, con):
            self.con = con

        def __getattr__(self, name):
            return getattr(self.con, name)

        def pragma(self, name, *value):
            return "wrong" if name == "quick_check" else self.con.pragma(name, *value)

    def copied(source, copy, progress):
        pages(source, copy.con, progress)

    pages = backup._copy_pages
    monkeypatch.setattr(backup, "_create", lambda *args: Damaged(create(*args)))
    monkeypatch.setattr(backup, "_copy_pages", copied)
    with pytest.raises(StoreFileError) as refused:
        store.maintenance.backup(tmp_path / "copy.sqlite3")
    assert refused.value.message == f"{tmp_path / 'copy.sqlite3'}: the copy came out damaged and was not kept"
    assert "store.maintenance.check()" in refused.value.hint.python
    assert store.maintenance.check() == []
    assert "`mdstore check`" in refused.value.hint.cli
