"""Packs are merged and laid in order, and the budget of their bytes is kept."""

import shutil

import polars as pl
import pytest

import mdstore
from mdstore import InvalidInputError
from mdstore.candles.packs import merging as module
from tests.support.candles import MINUTE, START, bits, walk
from tests.support.packs import BARS, cells, tiers


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


def test_compact_has_nothing_to_do_where_only_some_series_have_declared_columns(store):
    """Their bars lie in a pack of their own: it was all written anew each time."""
    store.declare("trades", resample="sum", symbols=["B", "D"])
    for symbol in "ABCD":
        bars = walk(BARS)
        store.write(symbol, "1m", bars.with_columns(trades=bars["volume"]) if symbol in "BD" else bars)
    store.maintenance.compact()
    kept = cells(store)
    assert [cell.symbol for cell in kept] == list("ABCD")
    assert len({cell.pack for cell in kept}) == 2
    assert store.maintenance.compact() == 0
    assert cells(store) == kept


def test_packs_with_other_numbers_of_declared_columns_are_not_merged_again_and_again(store):
    """Each number of them has a pack of its own, so of eight such packs a merge made eight."""
    names = [f"x{number}" for number in range(module.MERGE)]
    for name in names:
        store.declare(name, resample="sum")
    for number in range(module.MERGE + 1):
        values = [pl.col("volume").alias(name) for name in names[:number]]
        store.write(f"S{number}", "1m", walk(BARS).with_columns(values))
    kept = cells(store)
    assert len({cell.pack for cell in kept}) == module.MERGE + 1
    store._candles._compaction.merge()
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


def test_unasked_packs_leave_half_of_a_disk_to_others(tmp_path, monkeypatch):
    """The disk has room for six packs beside what the file takes, so three of them are made and stay."""
    size = 48 * BARS
    store = mdstore.MarketDataStore(tmp_path / "s.sqlite3", memory_bytes=0)
    with store:
        packs = store._candles._packs

        def disk_usage(_):
            return shutil._ntuple_diskusage(10 * size, 0, 7 * size - sum(packs.files().values()))

        monkeypatch.setattr(module.shutil, "disk_usage", disk_usage)
        for symbol in "ABCDEF":
            store.write(symbol, "1m", walk(BARS))
        kept = store.maintenance.stats()
        assert 2 * size < kept["pack_bytes"] <= 3.5 * size
        assert kept["pack_trouble"] == ""
        for symbol in "ABCDEF":
            assert bits(store.candles(symbol, "1m")) == bits(walk(BARS))
        assert 2 * size < store.maintenance.stats()["pack_bytes"] <= 3.5 * size


def test_a_budget_of_nothing_keeps_no_packs(tmp_path):
    with mdstore.open(tmp_path / "s.sqlite3", pack_bytes=0) as store:
        store.write("A", "1m", walk(BARS))
        assert bits(store.candles("A", "1m")) == bits(walk(BARS))
        assert store.maintenance.stats()["pack_bytes"] == 0
    for wrong in (-1, 1.5, "1 GB", True):
        with pytest.raises(InvalidInputError, match="pack_bytes"):
            mdstore.open(tmp_path / "s.sqlite3", pack_bytes=wrong)


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
