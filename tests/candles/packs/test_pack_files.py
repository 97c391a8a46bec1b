"""Packs that are lost, cut or damaged are noticed and made again; a full disk costs speed, not answers."""

import contextlib
import os
import shutil
import time

import polars as pl
import pytest

import mdstore
from mdstore import StoreFileError
from mdstore.candles.packs.cells import insert
from mdstore.candles.packs.pack_files import PackLostError
from tests.support.candles import MINUTE, START, bits, walk
from tests.support.packs import BARS, cells, tiers


@pytest.mark.parametrize("how", ["folder", "file", "cut", "empty", "flip", "other", "half", "blank"])
@pytest.mark.parametrize("fresh", [False, True])
def test_a_pack_that_is_lost_is_noticed_and_made_again(store, how, fresh):
    store.write("A", "1m", walk(BARS))
    store.write("B", "1m", walk(BARS, seed=1))
    if not fresh:
        assert bits(store.candles("A", "1m")) == bits(walk(BARS))
        store.candles(None, "1m")
    file = store.packs_path / f"{cells(store)[0].pack}.arrow"
    if how == "folder":
        shutil.rmtree(store.packs_path)
    elif how == "file":
        file.unlink()
    elif how in ("cut", "empty"):
        os.truncate(file, file.stat().st_size // 2 if how == "cut" else 0)
    elif how == "flip":
        with file.open("r+b") as pack:
            pack.seek(60_000)
            byte = pack.read(1)[0]
            pack.seek(60_000)
            pack.write(bytes([byte ^ 4]))
    elif how in ("half", "blank"):  # a power cut: the file has its length, and pages that were never written
        size = file.stat().st_size
        os.truncate(file, size // 2 if how == "half" else 0)
        os.truncate(file, size)
    else:
        shutil.copy(store.packs_path / f"{cells(store)[1].pack}.arrow", file)
    assert bits(store.candles("A", "1m")) == bits(walk(BARS))
    assert bits(store.candles("B", "1m")) == bits(walk(BARS, seed=1))
    assert len(store.candles(None, "1m")) == 2 * BARS
    assert store.sql("SELECT count(*) AS n, count(DISTINCT close) AS d FROM candles")["n"][0] == 2 * BARS
    assert sum(cell.rows for cell in cells(store)) == 2 * BARS
    assert store.maintenance.check() == []


@pytest.mark.slow
def test_every_flipped_bit_is_noticed(tmp_path, store):
    import random

    chance = random.Random(5)
    store.write("A", "1m", walk(BARS))
    (cell,) = cells(store)
    file = store.packs_path / f"{cell.pack}.arrow"
    whole = file.read_bytes()
    expected = bits(walk(BARS))
    for _ in range(60):
        place = chance.randrange(len(whole) * 8)
        broken = bytearray(whole)
        broken[place // 8] ^= 1 << place % 8
        file.write_bytes(broken)
        with mdstore.open(store.path) as other:
            assert bits(other.candles("A", "1m")) == expected
        # As it was, for the next: the read has forgotten the cell, or found that the bit did not matter.
        with store._candles._database.writing() as con:
            con.execute("DELETE FROM cells")
            insert(con, [cell])
        file.write_bytes(whole)


def test_a_scan_whose_pack_is_lost_reads_again_or_says_that_it_cannot(store):
    def damage():
        file = max(store.packs_path.glob("*.arrow"), key=lambda path: path.stat().st_mtime_ns)
        time.sleep(0.06)
        with file.open("r+b") as pack:
            pack.seek(60_000)
            pack.write(b"\xff" * 8)

    store.write("A", "1m", walk(BARS))
    lazy = store.scan(None, "1m")
    damage()
    assert bits(lazy.collect()) == bits(walk(BARS))
    assert bits(store.scan("A", "1m").collect()) == bits(walk(BARS))
    store.maintenance.warm(rebuild=True)
    lazy = store.scan(None, "1m")
    damage()
    store.write("A", "1m", walk(1, start=START + BARS * MINUTE))
    with pytest.raises((StoreFileError, pl.exceptions.ComputeError), match=r"store\.scan again"):
        lazy.collect()
    assert len(store.scan("A", "1m").collect()) == BARS + 1


def is_deleted(descriptor, folder):
    """Tell whether it is of a pack of this store (other tests' are none of ours) that was removed."""
    with contextlib.suppress(OSError):
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        return path.startswith(str(folder)) and path.endswith(".arrow (deleted)")
    return False


def test_packs_that_were_merged_away_are_let_go_of(store):
    with mdstore.open(store.path) as other:
        for number in range(30):
            store.write("A", "1m", walk(2_000, start=START + (number - 40) * 2_000 * MINUTE))
            assert len(other.candles("A", "1m")) == 2_000 * (number + 1)
            other.candles(None, "1m", limit=3)
        held = [name for name in os.listdir("/proc/self/fd") if is_deleted(name, store.packs_path)]
        assert len(held) <= 2 * 2  # of the writer's own store, until it opens its next pack


@pytest.mark.slow
def test_every_flipped_byte_of_metadata_is_noticed(store):
    store.write("A", "1m", walk(2_000))
    (cell,) = cells(store)
    file = store.packs_path / f"{cell.pack}.arrow"
    whole, expected = file.read_bytes(), walk(2_000)["close"].to_list()
    body = whole.index(walk(2_000)["timestamp"].to_physical().to_numpy().tobytes())
    places = [*range(body), *range(body + 6 * 8 * 2_000, len(whole))]
    packs = store._candles._packs
    for place in places[:: 1 if len(places) < 2_500 else 2]:
        broken = bytearray(whole)
        broken[place] ^= 0xFF
        file.write_bytes(broken)
        packs.close(cell.pack)
        with contextlib.suppress(PackLostError):
            pack = packs.open(cell.pack)
            rows = pack.rows(cell.batch, cell.offset, cell.rows)
            pack.verify(cell.place, cell.digests, cell.rows, 0, cell.rows)
            assert rows["close"].to_pylist() == expected


def test_what_cannot_be_removed_is_left(tmp_path):
    with mdstore.open(tmp_path / "s.sqlite3") as store:
        store.write("A", "1m", walk(BARS))
        stuck = store.packs_path / "x.arrow"
        stuck.mkdir()
        os.utime(stuck, (0, 0))
        assert store.write("B", "1m", walk(BARS)).inserted == BARS
    with mdstore.open(tmp_path / "s.sqlite3") as store:
        assert len(store.candles("B", "1m")) == BARS


def test_a_folder_that_cannot_be_written_costs_speed_not_answers(tmp_path):
    (tmp_path / "s.sqlite3-packs").write_text("in the way")
    with mdstore.open(tmp_path / "s.sqlite3") as store:
        assert store.write("A", "1m", walk(BARS)).inserted == BARS
        assert bits(store.candles("A", "1m")) == bits(walk(BARS))
        assert tiers(store, "A", "1m") == ("sqlite",)
        assert store.maintenance.warm() == 0
        assert "cannot be written" in store.maintenance.stats()["pack_trouble"]
        assert store.sql("SELECT count(*) AS n FROM candles")["n"][0] == BARS
        assert len(store.scan("A", "1m").filter(pl.col("volume") >= 0).collect()) == BARS
        assert store.screen("1m", pl.col("close").mean()).rows.height == 1
        (tmp_path / "s.sqlite3-packs").unlink()
        assert store.maintenance.warm() == BARS
        assert store.maintenance.stats()["pack_trouble"] == ""


def test_a_full_disk_fails_no_write_and_no_read(store, monkeypatch):
    from mdstore.candles.packs import pack_files as packs

    def full(self, batch):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(packs.PackWriter, "add", full)
        assert store.write("A", "1m", walk(BARS)).inserted == BARS
        assert bits(store.candles("A", "1m")) == bits(walk(BARS))
        assert "No space left" in store.maintenance.stats()["pack_trouble"]
    assert store.packs_path.exists() is False or list(store.packs_path.iterdir()) == []
    assert store.maintenance.warm() == BARS


def test_what_nothing_points_to_is_removed_at_open_unless_it_is_young(tmp_path):
    with mdstore.open(tmp_path / "s.sqlite3") as store:
        store.write("A", "1m", walk(BARS))
        folder = store.packs_path
    old, young, torn, other = (folder / name for name in ("0.arrow", "1.arrow", "2.partial", "notes.txt"))
    for file in (old, young, torn, other):
        file.write_bytes(b"x")
    for file in (old, torn, other):
        os.utime(file, (time.time() - 7_200,) * 2)
    with mdstore.open(tmp_path / "s.sqlite3") as store:
        assert not old.exists()
        assert not torn.exists()
        assert young.exists()
        assert other.exists()
        assert tiers(store, "A", "1m") == ("packs",)
