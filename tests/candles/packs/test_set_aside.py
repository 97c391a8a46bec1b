"""Packs of a store whose file is gone are set aside, and never deleted: they may yet be put back."""

import errno
import os
from pathlib import Path

import pytest

import mdstore
from mdstore.candles.packs import pack_files
from tests.support.candles import bits, walk
from tests.support.packs import BARS


def deserted(path, seed=0):
    """Make a store whose file is then deleted; return its old packs, by name."""
    with mdstore.open(path) as store:
        store.write("A", "1m", walk(BARS, seed=seed))
        folder = store.packs_path
    path.unlink()
    for pack in folder.glob("*.arrow"):
        os.utime(pack, (1_600_000_000, 1_600_000_000))
    found = {pack.name: pack.read_bytes() for pack in folder.glob("*.arrow")}
    assert found
    return found


def packs_below(folder):
    return {pack.name: pack.read_bytes() for pack in folder.rglob("*.arrow")}


def is_kept(path, old):
    """Use a new store in the deserted one's place, and tell whether all of `old` is still there."""
    for _ in range(2):
        with mdstore.open(path) as store:
            store.write("B", "1m", walk(BARS))
            store.maintenance.compact()
            assert bits(store.candles("B", "1m")) == bits(walk(BARS))
            assert store.maintenance.check() == []
    return old.items() <= packs_below(path.parent).items()


def renaming_only(monkeypatch, allowed):
    """Let the system refuse to rename what `allowed` does not."""
    rename = Path.rename

    def refused(self, target):
        if not allowed(self):
            raise OSError(errno.EBUSY, "Device or resource busy")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refused)


def test_two_stores_set_aside_in_one_second_are_both_kept(path, monkeypatch):
    monkeypatch.setattr(pack_files.time, "strftime", lambda *_: "20260102T030405")
    first = deserted(path)
    second = deserted(path, seed=1)
    assert is_kept(path, first | second)
    with mdstore.open(path) as store:
        assert len(store.maintenance.stats()["packs_set_aside"].split(", ")) == 2


def test_packs_in_a_folder_that_keeps_its_name_are_set_aside_inside_it(path, monkeypatch):
    old = deserted(path)
    renaming_only(monkeypatch, lambda place: not place.is_dir())  # as a mount point is
    assert is_kept(path, old)
    with mdstore.open(path) as store:
        (aside,) = store.maintenance.stats()["packs_set_aside"].split(", ")
    assert packs_below(path.parent / aside) == old


@pytest.mark.parametrize("young", [None, 0.0])
def test_packs_that_cannot_be_set_aside_are_not_swept(path, monkeypatch, young):
    old = deserted(path)
    renaming_only(monkeypatch, lambda place: not place.is_dir() and place.name not in old)
    with mdstore.open(path) as store:
        store.write("B", "1m", walk(BARS))
        store._candles._compaction.sweep(young=young)
        store.maintenance.compact()
        assert bits(store.candles("B", "1m")) == bits(walk(BARS))
    assert old.items() <= packs_below(path.parent).items()
