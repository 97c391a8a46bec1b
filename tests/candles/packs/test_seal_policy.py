"""When loose candles are put into packs: by a warming, or by reads that have paid for it."""

import threading
from unittest.mock import patch

import pytest

import mdstore
from mdstore.candles.packs import first_digests
from mdstore.candles.packs import seal_policy as upkeep
from mdstore.candles.reads import reads as columnar
from tests.support.candles import MINUTE, START, bits, walk
from tests.support.packs import BARS, cells, foreign, tiers


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


@pytest.mark.slow
def test_a_write_between_scan_and_publication_wins(store, monkeypatch):
    store.write("A", "1m", walk(1_500))
    store.write("B", "1m", walk(1_500))
    scanned = upkeep.Upkeep._scanned

    def write_meanwhile(self, group, extras):
        table = scanned(self, group, extras)
        store.write("A", "1m", walk(1, start=START + 7 * MINUTE, seed=8))
        return table

    monkeypatch.setattr(upkeep.Upkeep, "_scanned", write_meanwhile)
    for name in ("SCAN_ROWS", "SCAN_ROWS_COLD"):
        monkeypatch.setattr(upkeep, name, -1)
    assert store.maintenance.warm() == 1_500
    assert [cell.symbol for cell in cells(store)] == ["B"]
    assert store.candles("A", "1m")["close"][7] == walk(1, start=START + 7 * MINUTE, seed=8)["close"][0]
    assert store.maintenance.check() == []


def test_a_series_that_is_written_to_all_the_time_can_be_warmed(tmp_path):
    foreign(tmp_path / "s.sqlite3", symbols=1, bars=70_000)
    stop = threading.Event()
    with mdstore.open(tmp_path / "s.sqlite3") as store, mdstore.open(tmp_path / "s.sqlite3") as feed:

        def write():
            number = 0
            while not stop.is_set():
                number += 1
                feed.write("S0", "1m", walk(1, start=START + 70_000 * MINUTE, seed=number))

        first_digests.complete(store._candles._database)  # before the bar is there that changes all the time
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


def test_what_has_no_room_is_not_sealed_again_and_again(tmp_path):
    with mdstore.open(tmp_path / "s.sqlite3", pack_bytes=48 * 1_000) as store:
        with patch.object(upkeep.Sealer, "finish", side_effect=AssertionError):
            store.write("A", "1m", walk(BARS))
            assert bits(store.candles("A", "1m")) == bits(walk(BARS))
        assert "no room for 3,000 rows" in store.maintenance.stats()["pack_trouble"]
