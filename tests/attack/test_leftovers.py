"""What killed and failed copies leave: swept by the next copy or opening, unless somebody works there."""

import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import apsw
import pytest

import mdstore
from mdstore import MarketDataError, StoreFileError
from mdstore.candles.recovery import backup, workplace
from tests.support.candles import walk
from tests.support.paths import ROOT
from tests.support.processes import start

COPIER = """
    import os, signal, sys, mdstore
    from mdstore.candles.recovery import backup

    def progress(done, total):
        print("half", flush=True)
        if sys.argv[1] == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        sys.stdin.readline()

    backup.PAGES_PER_STEP = 4
    with mdstore.open("s.sqlite3") as store:
        store.maintenance.backup(sys.argv[2], progress=progress)
        print("done", flush=True)
"""


@pytest.fixture
def path(tmp_path):
    with mdstore.open(tmp_path / "s.sqlite3") as store:
        store.write("A", "1m", walk(20_000))
    return tmp_path / "s.sqlite3"


def hidden(folder):
    return [name for name in folder.iterdir() if name.name.startswith(".")]


def kill_a_copy(folder, target):
    child = start(COPIER, "kill", target, cwd=folder)
    assert child.wait() == -signal.SIGKILL
    child.stdout.close()


def test_a_killed_copy_is_swept_by_the_next_one(path, tmp_path):
    (tmp_path / "copies").mkdir()
    kill_a_copy(tmp_path, "copies/copy.sqlite3")
    kill_a_copy(tmp_path, "copies/copy.sqlite3")
    assert sum(name.stat().st_size for place in hidden(tmp_path / "copies") for name in place.iterdir()) > 0
    with mdstore.open(path) as store:
        store.maintenance.backup(tmp_path / "copies" / "copy.sqlite3")
    assert [name.name for name in (tmp_path / "copies").iterdir()] == ["copy.sqlite3"]


def test_a_killed_copy_is_swept_by_whoever_opens_a_store_beside_it(path, tmp_path):
    kill_a_copy(tmp_path, "copy.sqlite3")
    assert hidden(tmp_path)
    mdstore.open(path).close()
    assert not hidden(tmp_path)


def test_a_copy_that_somebody_makes_is_not_swept(path, tmp_path):
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(COPIER), "wait", "theirs.sqlite3"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert child.stdout.readline() == "half\n"
    with mdstore.open(path) as store:
        seen = []

        def inside(done, total):  # and so is one of this process
            seen.append(len(hidden(tmp_path)))
            workplace.sweep(tmp_path)
            assert len(hidden(tmp_path)) == 2

        store.maintenance.backup(tmp_path / "ours.sqlite3", progress=inside)
        assert seen
    assert "done" in child.communicate("\n" * 1_000)[0]
    for name in ("ours.sqlite3", "theirs.sqlite3"):
        with mdstore.open(tmp_path / name) as copy:
            assert copy.maintenance.check() == []
    assert not hidden(tmp_path)


def test_a_copy_that_fails_leaves_nothing(path, tmp_path):
    def fail(done, total):
        raise ZeroDivisionError

    with mdstore.open(path) as store:
        with pytest.raises(ZeroDivisionError):
            store.maintenance.backup(tmp_path / "copy.sqlite3", progress=fail)
        assert not hidden(tmp_path)
        assert not (tmp_path / "copy.sqlite3").exists()


def test_what_cannot_be_swept_hides_no_error(path, tmp_path, monkeypatch):
    def refuse(*args, **options):
        raise PermissionError(13, "not permitted")

    def fail(*args):
        raise apsw.FullError("database or disk is full")

    monkeypatch.setattr(backup, "_create", fail)
    with mdstore.open(path) as store:
        monkeypatch.setattr(shutil.os, "rmdir", refuse)
        monkeypatch.setattr(shutil.os, "unlink", refuse)
        with pytest.raises(StoreFileError, match="the disk is full"):
            store.maintenance.backup(tmp_path / "copy.sqlite3")


def test_what_the_system_refuses_is_said_in_words(path, tmp_path, monkeypatch):
    def refuse(self, target):
        raise OSError(18, "Invalid cross-device link")

    with mdstore.open(path) as store:
        monkeypatch.setattr(Path, "replace", refuse)
        with pytest.raises(MarketDataError, match=r"copy\.sqlite3: cannot be written: Invalid cross-device"):
            store.maintenance.backup(tmp_path / "copy.sqlite3")
    assert not hidden(tmp_path)
