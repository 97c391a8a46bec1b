"""The columnar tier: what is sealed when, what spoils it, and that frames share its memory safely."""

import contextlib
import os
import shutil
import sqlite3
import threading
import time
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

import numpy as np
import polars as pl
import pytest

import mdstore
from mdstore import InvalidInputError, NewerSchemaError, StoreFileError
from mdstore.candles.packs import seal_policy as upkeep
from mdstore.candles.packs.cells import all_cells, insert
from mdstore.candles.packs.pack_files import PackLostError
from mdstore.candles.packs.sealing import CELL_ROWS
from mdstore.candles.reads import reads as columnar
from tests.support.candles import MINUTE, START, bits, walk
from tests.support.paths import ROOT
from tests.support.real import real

BARS = 3_000


def cells(store):
    with store._candles._database.reading() as con:
        return all_cells(con)


def tiers(store, *args, **options):
    return store.explain(*args, **options).tiers


def ago(bars, *, minutes=0):
    """Return bars of which the last began `minutes` ago."""
    last = int(time.time() * 1000) // MINUTE * MINUTE - minutes * MINUTE
    return walk(bars, start=last - (bars - 1) * MINUTE)


def mapped(store, series):
    """Tell whether the values of a series lie in a mapped pack."""
    if not Path("/proc/self/maps").exists():
        pytest.skip("the system does not list a process's maps")
    address = series.to_arrow().buffers()[1].address
    with open("/proc/self/maps") as maps:
        for line in maps:
            span, *_, name = line.split()
            low, high = (int(edge, 16) for edge in span.split("-"))
            if low <= address < high:
                return str(store.packs_path) in name
    return False


# --- what is sealed


def test_a_bulk_write_seals_from_the_batch_in_hand(store):
    store.write("A", "1m", walk(BARS))
    assert [(c.start, c.end, c.rows) for c in cells(store)] == [
        (START, START + (BARS - 1) * MINUTE + 1, BARS)
    ]
    assert tiers(store, "A", "1m") == ("packs",)
    assert store._candles._scanner.running is False
    assert bits(store.candles("A", "1m")) == bits(walk(BARS))


def test_a_stream_of_chunks_is_sealed_in_cells_of_a_bounded_size(store):
    store.write("A", "1m", (walk(50_000, start=START - i * 50_000 * MINUTE) for i in (2, 1, 0)))
    found = cells(store)
    assert sum(cell.rows for cell in found) == 150_000
    assert max(cell.rows for cell in found) <= CELL_ROWS
    assert len({cell.pack for cell in found}) == 1
    assert len(store.candles("A", "1m")) == 150_000


def test_many_short_series_share_a_pack(store):
    parts = [walk(40, seed=i).select(pl.lit(f"S{i:03}").alias("symbol"), pl.all()) for i in range(60)]
    store.write_many(pl.concat(parts), timeframe="1m")
    assert len(cells(store)) == 60
    assert len({cell.pack for cell in cells(store)}) == 1
    long = store.candles(None, "1m")
    assert long["symbol"].unique(maintain_order=True).to_list() == [f"S{i:03}" for i in range(60)]


def test_a_few_rows_wait_in_the_table_until_a_read_finds_them_worth_a_pack(store):
    for number in range(300):
        store.write("A", "1m", walk(1, start=START + number * MINUTE, seed=number))
        if number == 100:
            assert tiers(store, "A", "1m") == ("sqlite",)
            assert cells(store) == []
    assert tiers(store, "A", "1m") == ("sqlite",)
    assert [cell.rows for cell in cells(store)] == [300]
    store._candles._memory.clear()
    assert tiers(store, "A", "1m") == ("packs",)


def test_a_bar_that_is_forming_is_never_sealed(store):
    store.write("A", "1m", ago(BARS))
    (cell,) = cells(store)
    assert cell.rows == BARS - 1
    assert len(store.candles("A", "1m")) == BARS
    before = cells(store)
    store.write("A", "1m", ago(1).with_columns(volume=pl.lit(7.5)))
    assert cells(store) == before
    assert store.candles("A", "1m", limit=1)["volume"].to_list() == [7.5]
    assert store.maintenance.warm() == 0


def test_appends_spoil_nothing_and_what_is_there_already_writes_nothing(store):
    store.write("A", "1m", walk(BARS))
    before = cells(store)
    assert store.write("A", "1m", walk(BARS)).unchanged == BARS
    store.write("A", "1m", walk(10, start=START + BARS * MINUTE))
    assert cells(store) == before
    assert tiers(store, "A", "1m") == ("packs", "sqlite")


def test_a_correction_spoils_the_cell_it_touches_and_no_other(store):
    with patch("mdstore.candles.packs.sealing.CELL_ROWS", 500):
        store.write("A", "1m", walk(BARS))
        store.write("B", "1m", walk(BARS, seed=1))
        before = cells(store)
        assert len(before) == 12
        store.write("A", "1m", walk(1, start=START + 1_234 * MINUTE, seed=9))
        gone = [cell for cell in before if cell not in cells(store)]
        assert [(c.symbol, c.rows) for c in gone] == [("A", 500)]
        expected = pl.concat(
            [walk(1_234), walk(1, start=START + 1_234 * MINUTE, seed=9), walk(BARS).slice(1_235)]
        )
        assert bits(store.candles("A", "1m")) == bits(expected)
        # The hole was read along, and sealed again at once.
        assert sum(cell.rows for cell in cells(store)) == 2 * BARS
        assert store.maintenance.check() == []


def test_a_later_chunk_that_corrects_an_earlier_one_is_what_is_sealed(store):
    store.write("A", "1m", iter([walk(BARS), walk(1, start=START + 5 * MINUTE, seed=3)]), on_conflict="last")
    expected = pl.concat([walk(5), walk(1, start=START + 5 * MINUTE, seed=3), walk(BARS).slice(6)])
    assert bits(store.candles("A", "1m")) == bits(expected)
    assert store.maintenance.check() == []


def test_negative_zeros_come_back_alike_from_pack_and_table(store):
    store.write("A", "1m", walk(BARS).with_columns(volume=-0.0))
    assert tiers(store, "A", "1m") == ("packs",)
    packed = bits(store.candles("A", "1m"))
    with patch.object(columnar, "ATTEMPTS", 0):
        assert bits(store.candles("A", "1m")) == packed


def test_deletes_spoil_what_they_touch(store):
    store.write("A", "1m", walk(BARS))
    store.write("B", "1m", walk(BARS))
    store.delete("A", "1m", start=START + 100 * MINUTE, end=START + 200 * MINUTE)
    assert [cell.symbol for cell in cells(store)] == ["B"]
    assert bits(store.candles("A", "1m")) == bits(pl.concat([walk(100), walk(BARS).slice(200)]))
    store.delete("A")
    with pytest.raises(mdstore.NoSuchSeriesError):
        store.candles("A", "1m")


# --- memory shared, and safe


def test_frames_and_tables_share_memory_with_the_map(store):
    store.write("A", "1m", walk(BARS))
    store.write("B", "1m", walk(BARS))
    time.sleep(0.06)
    for frame in (
        store.candles("A", "1m"),
        store.candles("A", "1m", limit=5),
        pl.DataFrame(store.arrow("B", "1m")),
    ):
        assert all(mapped(store, frame[name]) for name in frame.columns)
    assert not mapped(store, walk(5)["close"])


def test_many_series_come_as_one_piece_of_the_map_where_they_lie_in_order(store):
    for symbol in "ABC":
        store.write(symbol, "1m", walk(BARS))
    store.maintenance.compact()
    time.sleep(0.06)
    with patch("mdstore.candles.packs.columns.GATHER_ROWS", 0):
        frame = store.candles(None, "1m")
    assert mapped(store, frame["close"])
    assert frame.n_chunks("all") == [1] * 7


def test_what_a_user_does_to_a_frame_changes_nothing_but_the_frame(store):
    store.write("A", "1m", walk(BARS))
    store.write("B", "1m", walk(10))
    expected, long = bits(walk(BARS)), store.candles(None, "1m").clone()
    for _ in range(2):  # once from packs, once from memory
        frame = store.candles("A", "1m")
        frame[0, "close"] = -1.0
        frame.insert_column(0, pl.Series("x", [1] * BARS))
        frame.replace_column(2, pl.Series("open", [0.0] * BARS))
        frame.extend(frame.clone())
        frame.drop_in_place("volume")
        series = store.candles("A", "1m")["close"]
        series[5] = -5.0
        series.scatter([1, 2], -1.0)
        with pytest.raises(ValueError, match="read-only"):
            store.candles("A", "1m")["close"].to_numpy(allow_copy=False)[0] = -1.0
        with pytest.raises(ValueError, match="read-only"):
            store.arrow("A", "1m")["close"].chunk(0).to_numpy(zero_copy_only=True)[0] = -1.0
        assert np.asarray(store.candles("A", "1m")["close"]).flags.writeable is False
        pandas = store.arrow("A", "1m").to_pandas()
        pandas.loc[0, "close"] = -1.0
        many = store.candles(None, "1m")
        many[0, "close"] = -1.0
        many.drop_in_place("symbol")
        assert bits(store.candles("A", "1m")) == expected
        assert store.candles(None, "1m").equals(long)


def test_a_frame_outlives_its_pack_and_its_store(tmp_path):
    with mdstore.open(tmp_path / "s.sqlite3") as store:
        store.write("A", "1m", walk(BARS))
        frame = store.candles("A", "1m")
        shutil.rmtree(store.packs_path)
    assert bits(frame) == bits(walk(BARS))


# --- packs that are lost


@pytest.mark.parametrize("how", ["folder", "file", "cut", "empty", "flip", "other"])
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
    else:
        shutil.copy(store.packs_path / f"{cells(store)[1].pack}.arrow", file)
    assert bits(store.candles("A", "1m")) == bits(walk(BARS))
    assert bits(store.candles("B", "1m")) == bits(walk(BARS, seed=1))
    assert len(store.candles(None, "1m")) == 2 * BARS
    assert store.sql("SELECT count(*) AS n, count(DISTINCT close) AS d FROM candles")["n"][0] == 2 * BARS
    assert sum(cell.rows for cell in cells(store)) == 2 * BARS
    assert store.maintenance.check() == []


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


def test_candles_changed_by_another_program_are_found_by_check_and_sealed_again_by_warm(store, python):
    store.write("A", "1m", walk(BARS))
    python(
        """
        import sqlite3, sys
        with sqlite3.connect(sys.argv[1]) as connection:
            sql = "UPDATE candles SET close = close + 0.5 WHERE timestamp = ?"
            connection.execute(sql, (int(sys.argv[2]),))
        """,
        store.path,
        START + 77 * MINUTE,
    )
    (finding,) = store.maintenance.check()
    assert "A 1m from 2025-09-01 00:00 to 2025-09-03 01:59" in finding
    assert "another program has changed it" in finding
    assert store.maintenance.warm(rebuild=True) == BARS
    assert store.candles("A", "1m")["close"][77] == walk(BARS)["close"][77] + 0.5
    assert store.maintenance.check() == []


def test_where_the_catalogue_is_wrong_the_table_is_read_by_sql_too(store, python):
    store.write("A", "1m", walk(BARS))
    python(
        """
        import sqlite3, sys
        with sqlite3.connect(sys.argv[1]) as connection:
            connection.execute("DELETE FROM candles WHERE timestamp = ?", (int(sys.argv[2]),))
            connection.execute("DELETE FROM cells")
        """,
        store.path,
        START + 77 * MINUTE,
    )
    store._candles._memory.clear()
    assert len(store.candles("A", "1m")) == BARS - 1
    assert "does not agree" in store.explain("A", "1m").reason
    assert store.sql("SELECT count(*) AS n FROM candles")["n"].to_list() == [BARS - 1]


def test_packs_that_were_merged_away_are_let_go_of(store):
    with mdstore.open(store.path) as other:
        for number in range(30):
            store.write("A", "1m", walk(2_000, start=START + (number - 40) * 2_000 * MINUTE))
            assert len(other.candles("A", "1m")) == 2_000 * (number + 1)
            other.candles(None, "1m", limit=3)
        held = [name for name in os.listdir("/proc/self/fd") if is_deleted(name)]
        assert len(held) <= 2 * 2  # of the writer's own store, until it opens its next pack


def is_deleted(descriptor):
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/self/fd/{descriptor}").endswith(".arrow (deleted)")
    return False


def test_what_another_program_added_or_deleted_is_taken_over_by_a_rebuild(store, python):
    store.write("A", "1m", walk(BARS))
    python(
        """
        import sqlite3, sys
        with sqlite3.connect(sys.argv[1]) as connection:
            connection.execute("DELETE FROM candles WHERE timestamp = ?", (int(sys.argv[2]),))
            sql = "INSERT INTO candles VALUES ('NEW', '1m', ?, 1, 2, 1, 2, 3)"
            connection.execute(sql, (int(sys.argv[2]),))
        """,
        store.path,
        START + 77 * MINUTE,
    )
    assert len(store.maintenance.check()) == 3
    assert store.maintenance.warm(rebuild=True) == BARS
    assert store.maintenance.check() == []
    assert len(store.candles("A", "1m")) == BARS - 1
    assert store.candles("NEW", "1m")["volume"].to_list() == [3.0]


def test_a_foreign_timeframe_is_seen_by_sql_and_in_nobodys_way(tmp_path):
    foreign(tmp_path / "s.sqlite3", symbols=1)
    with contextlib.closing(sqlite3.connect(tmp_path / "s.sqlite3")) as connection:
        connection.executemany(
            "INSERT INTO candles VALUES ('S0', ?, 0, 1, 2, 1, 2, 3)", [("60m",), ("1h",), ("daily",)]
        )
        connection.commit()
    with mdstore.open(tmp_path / "s.sqlite3") as store:
        counted = store.sql("SELECT timeframe, count(*) AS n FROM candles GROUP BY ALL ORDER BY ALL").rows()
        assert counted == [("1h", 1), ("1m", BARS), ("60m", 1), ("daily", 1)]
        assert store.maintenance.warm() == 1


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


def test_what_cannot_be_removed_is_left(tmp_path):
    with mdstore.open(tmp_path / "s.sqlite3") as store:
        store.write("A", "1m", walk(BARS))
        stuck = store.packs_path / "x.arrow"
        stuck.mkdir()
        os.utime(stuck, (0, 0))
        assert store.write("B", "1m", walk(BARS)).inserted == BARS
    with mdstore.open(tmp_path / "s.sqlite3") as store:
        assert len(store.candles("B", "1m")) == BARS


def test_what_has_no_room_is_not_sealed_again_and_again(tmp_path):
    with mdstore.open(tmp_path / "s.sqlite3", pack_bytes=48 * 1_000) as store:
        with patch.object(upkeep.Sealer, "finish", side_effect=AssertionError):
            store.write("A", "1m", walk(BARS))
            assert bits(store.candles("A", "1m")) == bits(walk(BARS))
        assert "no room for 3,000 rows" in store.maintenance.stats()["pack_trouble"]


def test_compaction_is_no_reading(tmp_path):
    hours = [1_000_000.0]
    store = mdstore.MarketDataStore(tmp_path / "s.sqlite3", clock=lambda: hours[0] * 3_600)
    with store:
        for symbol in "AB":
            store.write(symbol, "1m", walk(BARS))
        before = {cell.used for cell in cells(store)}
        hours[0] += 50
        store.maintenance.compact()
        assert {cell.used for cell in cells(store)} == before


def test_a_series_that_is_written_to_all_the_time_can_be_warmed(tmp_path):
    foreign(tmp_path / "s.sqlite3", symbols=1, bars=70_000)
    stop = threading.Event()
    with mdstore.open(tmp_path / "s.sqlite3") as store, mdstore.open(tmp_path / "s.sqlite3") as feed:

        def write():
            number = 0
            while not stop.is_set():
                number += 1
                feed.write("S0", "1m", walk(1, start=START + 70_000 * MINUTE, seed=number))

        thread = threading.Thread(target=write)
        thread.start()
        try:
            store.maintenance.warm()
        finally:
            stop.set()
            thread.join()
        assert store.maintenance.stats()["loose_rows"] <= 1
        assert len(store.candles("S0", "1m")) == 70_001
        assert store.maintenance.check() == []


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


# --- orphans, compaction, budget


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


def test_small_packs_are_merged_as_they_come(store):
    for number in range(40):
        store.write("A", "1m", walk(2_000, start=START + number * 2_000 * MINUTE - 80_000 * MINUTE))
    assert store.maintenance.stats()["packs"] < 16
    assert store.maintenance.stats()["cells"] < 16
    assert len(store.candles("A", "1m")) == 80_000
    assert store.maintenance.check() == []


def test_compact_leaves_one_pack_in_order_and_then_nothing_to_do(store):
    for symbol in "CAB":
        store.write(symbol, "1m", walk(BARS))
        store.write(symbol, "1m", walk(BARS, start=START + BARS * MINUTE))
    store.write("A", "1m", walk(1, start=START + 5 * MINUTE, seed=5))
    seen = []
    before = store.candles(None, "1m")
    store.maintenance.compact(progress=lambda done, total: seen.append((done, total)))
    assert [(c.symbol, c.offset) for c in cells(store)] == [("A", 0), ("B", 2 * BARS), ("C", 4 * BARS)]
    assert seen[-1][0] == seen[-1][1]
    assert len({cell.pack for cell in cells(store)}) == 1
    assert store.candles(None, "1m").equals(before)
    kept = cells(store)
    assert store.maintenance.compact() == 0
    assert cells(store) == kept


def test_another_reader_goes_on_over_a_compaction(store):
    for symbol in "ABC":
        store.write(symbol, "1m", walk(BARS))
    with mdstore.open(store.path) as other:
        held = other.candles("A", "1m")
        store.maintenance.compact()
        assert tiers(other, "A", "1m") == ("packs",)
        assert bits(other.candles("A", "1m")) == bits(held) == bits(walk(BARS))


def test_the_least_recently_read_cells_leave_first(tmp_path):
    hours = [1_000_000.0]

    def clock():
        return hours[0] * 3_600

    size = 48 * BARS
    store = mdstore.MarketDataStore(tmp_path / "s.sqlite3", pack_bytes=4 * size, clock=clock, memory_bytes=0)
    with store:
        for symbol in "ABC":
            store.write(symbol, "1m", walk(BARS))
        for symbol in "BCA":
            hours[0] += 2
            store.candles(symbol, "1m")
            store._candles._compaction.write_used()
        hours[0] += 2
        store.write("D", "1m", walk(BARS))
        hours[0] += 2
        store.write("E", "1m", walk(BARS))
        assert {cell.symbol for cell in cells(store)} == {"A", "D", "E"}
        assert store.maintenance.stats()["pack_bytes"] <= 4 * size
        for symbol in "ABCDE":
            assert bits(store.candles(symbol, "1m")) == bits(walk(BARS))
        assert store.maintenance.stats()["pack_bytes"] <= 4 * size


def test_a_budget_of_nothing_keeps_no_packs(tmp_path):
    with mdstore.open(tmp_path / "s.sqlite3", pack_bytes=0) as store:
        store.write("A", "1m", walk(BARS))
        assert bits(store.candles("A", "1m")) == bits(walk(BARS))
        assert store.maintenance.stats()["pack_bytes"] == 0
    for wrong in (-1, 1.5, "1 GB", True):
        with pytest.raises(InvalidInputError, match="pack_bytes"):
            mdstore.open(tmp_path / "s.sqlite3", pack_bytes=wrong)


# --- warm


def foreign(path, symbols=5, bars=BARS):
    """Make a file as another program would: the table, and nothing else of ours."""
    from mdstore.candles.file.migrations import MIGRATIONS

    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(MIGRATIONS[0].sql[: MIGRATIONS[0].sql.index(";")])
        rows = walk(bars).with_columns(pl.col("timestamp").to_physical()).rows()
        for number in range(symbols):
            connection.executemany(f"INSERT INTO candles VALUES ('S{number}', '1m', ?, ?, ?, ?, ?, ?)", rows)
        connection.commit()


def test_a_foreign_file_is_warmed_with_progress_and_read_meanwhile(tmp_path):
    foreign(tmp_path / "s.sqlite3")
    seen, read = [], []
    with mdstore.open(tmp_path / "s.sqlite3") as store, mdstore.open(tmp_path / "s.sqlite3") as other:
        assert tiers(other, "S3", "1m", limit=10) == ("sqlite",)

        def progress(done, total):
            seen.append((done, total))
            read.append(bits(other.candles("S3", "1m", limit=10)))

        with patch.object(upkeep, "BUILD_ROWS", BARS):
            assert store.maintenance.warm(progress=progress) == 5 * BARS
        assert seen == [((i + 1) * BARS, 5 * BARS) for i in range(5)]
        assert read == [bits(walk(BARS).tail(10))] * 5
        assert store.maintenance.stats()["loose_rows"] == 0
        assert store.maintenance.warm() == 0
        assert store.maintenance.check() == []


def test_a_warming_that_is_interrupted_goes_on_where_it_was(tmp_path):
    foreign(tmp_path / "s.sqlite3")

    def progress(done, total):
        if done >= 2 * BARS:
            raise KeyboardInterrupt

    with mdstore.open(tmp_path / "s.sqlite3") as store, patch.object(upkeep, "BUILD_ROWS", BARS):
        with pytest.raises(KeyboardInterrupt):
            store.maintenance.warm(progress=progress)
        assert store.maintenance.stats()["sealed_rows"] == 2 * BARS
        assert store.maintenance.warm() == 3 * BARS


def test_small_reads_of_a_loose_series_seal_it_once_they_have_cost_as_much(tmp_path):
    foreign(tmp_path / "s.sqlite3", symbols=1)
    with mdstore.open(tmp_path / "s.sqlite3") as store:
        ways = [tiers(store, "S0", "1m", limit=500)[0] for _ in range(8)]
    assert ways == ["sqlite"] * 5 + ["packs"] + ["memory"] * 2 or ways[:6] == ["sqlite"] * 5 + ["packs"]


def test_a_range_of_a_large_loose_series_seals_that_range(tmp_path):
    foreign(tmp_path / "s.sqlite3", symbols=1, bars=30_000)
    with mdstore.open(tmp_path / "s.sqlite3") as store, patch.object(columnar, "STRAIGHT_ROWS", 0):
        low, high = START + 5_000 * MINUTE, START + 10_000 * MINUTE
        assert bits(store.candles("S0", "1m", start=low, end=high)) == bits(walk(30_000).slice(5_000, 5_000))
        assert [(cell.start, cell.rows) for cell in cells(store)] == [(low, 5_000)]
        assert bits(store.candles("S0", "1m")) == bits(walk(30_000))


def test_a_write_between_scan_and_publication_wins(store, monkeypatch):
    store.write("A", "1m", walk(1_500))
    store.write("B", "1m", walk(1_500))
    scanned = upkeep.Upkeep._scanned

    def write_meanwhile(self, group):
        table = scanned(self, group)
        store.write("A", "1m", walk(1, start=START + 7 * MINUTE, seed=8))
        return table

    monkeypatch.setattr(upkeep.Upkeep, "_scanned", write_meanwhile)
    for name in ("SCAN_ROWS", "SCAN_ROWS_COLD"):
        monkeypatch.setattr(upkeep, name, -1)
    assert store.maintenance.warm() == 1_500
    assert [cell.symbol for cell in cells(store)] == ["B"]
    assert store.candles("A", "1m")["close"][7] == walk(1, start=START + 7 * MINUTE, seed=8)["close"][0]
    assert store.maintenance.check() == []


# --- memory


def test_the_memory_tier_answers_again_until_the_series_changes(store):
    store.write("A", "1m", walk(BARS))
    store.write("B", "1m", walk(BARS))
    time.sleep(0.06)
    assert tiers(store, "A", "1m") == ("packs",)
    assert tiers(store, "A", "1m", limit=3) == ("memory",)
    store.write("B", "1m", walk(1, start=START + BARS * MINUTE))
    assert tiers(store, "A", "1m") == ("memory",)
    store.write("A", "1m", walk(1, start=START + BARS * MINUTE))
    assert tiers(store, "A", "1m") == ("packs", "sqlite")
    stats = store.maintenance.stats()
    assert stats["memory_hits"] == 2
    assert 0 < stats["memory_hit_rate"] < 1
    assert 0 < stats["memory_bytes"] < stats["memory_limit"]


def test_memory_is_bounded_in_bytes(tmp_path):
    with mdstore.open(tmp_path / "s.sqlite3", memory_bytes=100_000) as store:
        for number in range(60):
            store.write(f"S{number}", "1m", walk(50))
            store.candles(f"S{number}", "1m")
            assert store.maintenance.stats()["memory_bytes"] <= 100_000
        assert 5 < store.maintenance.stats()["memory_entries"] < 60
    with mdstore.open(tmp_path / "s.sqlite3", memory_bytes=0) as store:
        assert len(store.candles("S1", "1m")) == 50
        assert len(store.candles(None, "1m")) == 3_000
        assert store.maintenance.stats()["memory_entries"] == 0


# --- other files, other versions


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


def test_a_store_does_not_write_once_a_newer_mdstore_has_migrated_the_file(store):
    store.write("A", "1m", walk(5))
    with store._candles._database.writing() as con:
        con.execute("INSERT INTO schema_version VALUES (99, 0, 'from the future')")
    with pytest.raises(NewerSchemaError):
        store.write("A", "1m", walk(6))
    assert len(store.candles("A", "1m")) == 5


def test_a_file_of_the_first_schema_is_migrated_and_keeps_its_candles(tmp_path):
    from mdstore.candles.file import migrations

    path = tmp_path / "s.sqlite3"
    with (
        patch.object(migrations, "MIGRATIONS", migrations.MIGRATIONS[:1]),
        contextlib.closing(migrations.apsw.Connection(str(path))) as con,
    ):
        migrations.migrate(con, migrations.MIGRATIONS)
        con.execute("INSERT INTO candles VALUES ('A', '1m', 0, 1, 2, 1, 2, 3)")
        con.execute(
            "INSERT INTO series (symbol, timeframe, first, last, rows, revision) "
            "VALUES ('A', '1m', 0, 0, 1, 2)"
        )
    with mdstore.open(path) as store:
        assert store.candles("A", "1m")["volume"].to_list() == [3.0]
        assert store.sql("SELECT max(close) AS c FROM candles")["c"].to_list() == [2.0]


# --- the lazy face


def test_a_scan_is_of_the_moment_it_was_made(store):
    store.write("A", "1m", walk(BARS))
    lazy = store.scan("A", "1m")
    store.write("A", "1m", walk(BARS, seed=1))
    assert bits(lazy.collect()) == bits(walk(BARS))
    joined = lazy.join(lazy.filter(pl.col("close") > 0), on="timestamp").collect()
    assert (joined["close"] == joined["close_right"]).all()


def test_a_scan_touches_the_cells_that_its_conditions_want(store):
    import datetime as dt

    from mdstore.candles.packs.pack_files import Pack

    for symbol in "ABC":
        store.write(symbol, "1m", walk(BARS))
    verified = []
    original = Pack.verify

    def noting(self, *args):
        verified.append((self.name, *args[-2:]))
        return original(self, *args)

    day = dt.datetime(2025, 9, 2, tzinfo=dt.UTC)
    queries = {
        1: pl.col("symbol") == "B",
        2: pl.col("symbol").is_in(["A", "C", "nobody"]) & (pl.col("close") > 0),
        0: pl.col("symbol") == "nobody",
        3: (pl.col("symbol") == "A") | (pl.col("close") > 0),
    }
    for touched, condition in queries.items():
        expected = store.candles(None, "1m").filter(condition)
        with patch.object(Pack, "verify", noting):
            verified.clear()
            assert store.scan(None, "1m").filter(condition).collect().equals(expected)
        assert len({name for name, *_ in verified}) == touched
    for condition in (
        pl.col("timestamp") >= day, pl.col("timestamp") < day, day > pl.col("timestamp"),
        pl.col("timestamp").is_between(day, day + dt.timedelta(hours=5)), pl.col("timestamp").dt.hour() == 3,
        pl.col("timestamp") == day,
        (pl.col("timestamp") > day) & (pl.col("symbol") == "C"), pl.col("timestamp") != day,
    ):  # fmt: skip
        expected = store.candles(None, "1m").filter(condition)
        assert store.scan(None, "1m").filter(condition).collect().equals(expected)
    with patch.object(Pack, "verify", noting):
        verified.clear()
        assert len(store.scan("A", "1m").filter(pl.col("timestamp") < day).select("close").collect()) == 1_440
        assert max(end for *_, end in verified) <= 1_445
        expected = store.candles(None, "1m").head(7)
        verified.clear()
        assert store.scan(None, "1m").head(7).collect().equals(expected)
        assert verified[-1][2] == 7
    assert store.scan(None, "1m", columns=["close"]).select(pl.len()).collect().item() == 3 * BARS
    streamed = (
        store.scan(None, "1m").group_by("symbol").agg(pl.col("close").mean()).collect(engine="streaming")
    )
    assert len(streamed) == 3


# --- derived bars


def test_upbits_minutes_make_its_hours(store):
    (minutes,) = real("upbit").glob("*1m*")
    (hours,) = real("upbit").glob("*1h*")
    for file, timeframe in ((minutes, "1m"), (hours, "1h")):
        store.write("KRW-BTC", timeframe, pl.read_csv(file))
    made = store.candles("KRW-BTC", "1h", derive_from="1m", start="2025-09-01", end="2025-09-30")
    own = store.candles("KRW-BTC", "1h", start="2025-09-01", end="2025-09-30")
    assert len(own) == 696
    assert made.drop("volume", "closed").equals(own.drop("volume"))
    assert ((made["volume"] - own["volume"]).abs() <= 1e-12 * own["volume"]).all()
    assert made["closed"].all()
    latest = store.candles("KRW-BTC", "1h", derive_from="1m", limit=5)
    assert latest["closed"].to_list() == [True] * 4 + [False]
    days = store.resample("KRW-BTC", "1d", source="1m", tz="Asia/Seoul", limit=3)
    assert days["timestamp"].dt.hour().to_list() == [15] * 3
    whole = store.resample("KRW-BTC", "1d", source="1m", tz="Asia/Seoul")
    assert whole.tail(3).equals(days)


def test_derived_bars_of_a_range_are_those_of_the_whole(store):
    for symbol, seed in (("A", 1), ("B", 2)):
        store.write(symbol, "1m", walk(BARS, seed=seed).filter(pl.int_range(BARS) % 7 != 3))
    whole = store.resample(None, "1h", source="1m")
    for options in (
        {"limit": 3},
        {"start": START + 5 * 60 * MINUTE},
        {"end": START + 5 * 60 * MINUTE},
        {"start": START + 90 * MINUTE, "end": START + 400 * MINUTE, "limit": 2},
    ):
        part = store.resample(None, "1h", source="1m", **options)
        times = whole["timestamp"].to_physical()
        expected = whole.filter((times >= options.get("start", 0)) & (times < options.get("end", 2**62)))
        if "limit" in options:
            expected = expected.group_by("symbol", maintain_order=True).tail(options["limit"])
        assert part.equals(expected)
    assert store.candles("A", "1h", derive_from="1m", columns=["close", "closed"]).columns == [
        "close",
        "closed",
    ]
    with pytest.raises(InvalidInputError, match="derive_from"):
        store.candles("A", "1h", tz="Asia/Seoul")


def test_derived_bars_are_screened(store):
    for symbol, seed in (("A", 1), ("B", 2)):
        store.write(symbol, "1m", walk(BARS, seed=seed))
    rows = store.screen("1h", {"close": "close", "n": pl.len()}, bars=10, derive_from="1m").rows
    made = store.resample(None, "1h", source="1m", limit=10)
    assert rows.rows() == [(s, made.filter(symbol=s)["close"][-1], 10) for s in ("A", "B")]
    with pytest.raises(mdstore.NoSuchSeriesError, match="1h can be made of 1m, with derive_from='1m'"):
        store.screen("1h", "close")


def test_bars_that_have_not_ended_are_not_written_as_if_they_had(store):
    store.write("A", "1m", walk(90))
    hours = store.resample("A", "1h", source="1m")
    with pytest.raises(InvalidInputError, match="1 of the rows are bars that have not ended"):
        store.write("A", "1h", hours)
    assert store.write("A", "1h", hours.filter("closed")).inserted == 1


def test_cells_never_overlap_where_one_beside_them_was_deleted(store):
    def at(bar):
        return START + (bar - 20_000) * MINUTE

    def bars(first, last):
        return walk(last - first, start=at(first))

    for first in (0, 3_000, 6_000):
        store.write("A", "1m", bars(first, first + 3_000))
    store.delete("A", "1m", start=at(5_000), end=at(5_999) + 1)
    store.maintenance.warm()  # the rest of the second cell is sealed up to the third's start
    store.delete("A", "1m", start=at(6_000) - 1)  # the third goes; the second ends behind the last candle
    store.write("A", "1m", bars(7_000, 10_000))
    store.write("A", "1m", bars(5_500, 5_501))
    found = cells(store)
    assert all(one.end <= other.start for one, other in pairwise(found))
    for low, high, rows in ((5_500, 5_501, 1), (5_400, 7_300, 301), (0, 10_000, 8_001)):
        assert len(store.candles("A", "1m", start=at(low), end=at(high))) == rows
        assert len(store.scan("A", "1m", start=at(low), end=at(high)).collect()) == rows
    assert store.sql("SELECT count(*) AS n FROM candles")["n"].to_list() == [8_001]
    assert store.maintenance.check() == []


def test_whether_a_derived_bar_has_ended_is_told_in_the_snapshot_of_its_rows(store, monkeypatch):
    from mdstore.candles.repository import CandleRepository

    store.write("A", "1m", walk(14))
    read = CandleRepository.read

    def read_then_another_writes(self, *args, **options):
        answer = read(self, *args, **options)
        store.write("A", "1m", walk(1, start=START + 14 * MINUTE))
        return answer

    monkeypatch.setattr(CandleRepository, "read", read_then_another_writes)
    assert store.candles("A", "5m", derive_from="1m")["closed"].to_list() == [True, True, False]
    assert store.candles("A", "5m", derive_from="1m", limit=2)["closed"].to_list() == [True, True]


def test_a_close_that_is_refused_closes_nothing(store):
    store.write("A", "1m", walk(BARS))

    def close(_):
        with pytest.raises(InvalidInputError):
            store.close()

    store.write("A", "1m", walk(5), progress=close)
    assert store.maintenance.warm(rebuild=True) == BARS


def test_the_memory_behind_a_table_cannot_be_written(store):
    store.write("A", "1m", walk(10))
    store.write("B", "1m", walk(10))
    for table in (store.arrow("A", "1m"), store.arrow(None, "1m")):
        for chunk in table["close"].chunks:
            with pytest.raises(ValueError, match="read-only"):
                np.frombuffer(chunk.buffers()[1])[:] = -1.0


def test_a_limit_of_derived_bars_reads_a_bounded_part_whatever_the_others_are(store):
    for symbol, bars, end in (("OLD", BARS, 9_000), ("NEW", 30, 0), ("A", BARS, 0)):
        store.write(symbol, "1m", walk(bars, start=START - (bars + end) * MINUTE))
    whole = store.resample(None, "1h", source="1m")
    for limit in (1, 3, 2**40):
        part = store.resample(None, "1h", source="1m", limit=limit)
        assert part.equals(whole.group_by("symbol", maintain_order=True).tail(min(limit, 1_000)))
