"""`store.stats()`: one tree of figures, those of `maintenance.stats()` under the same names among them."""

import os
import time

import mdstore
from tests.support.candles import walk
from tests.support.clock import Clock


def test_the_flat_figures_are_in_the_tree_under_their_names(store):
    store.write("A", "1m", walk(3_000))
    store.candles("A", "1m")
    flat, tree = store.maintenance.stats(), store.stats()
    for name, value in flat.items():
        branches = (
            [tree["memory"]] if name.startswith("memory_") else [tree["file"], tree["log"], tree["packs"]]
        )
        found = [one[name.removeprefix("memory_")] for one in branches if name.removeprefix("memory_") in one]
        assert found == [value], name


def test_what_was_called_is_counted_by_operation_and_tier(tmp_path):
    with mdstore.open(tmp_path / "s.sqlite3", pack_bytes=0) as store:
        store.write("A", "1m", walk(100))
        store.write_many({"symbol": ["B"], "timeframe": ["1m"], "timestamp": ["2025-09-01T00:00"],
                          "open": [1], "high": [1], "low": [1], "close": [1], "volume": [1]})  # fmt: skip
        for _ in range(3):
            store.candles("A", "1m")
        store.arrow("A", "1m")
        store.scan("A", "1m")
        store.screen("1m", "close")
        store.resample("A", "1h", source="1m")
        store.sql("SELECT 1")
        store.delete("B")
        store.explain("A", "1m")  # tells of itself
        counts = {
            (operation, tiers): one["count"]
            for operation, found in store.stats()["latencies"].items()
            for tiers, one in found.items()
        }
    assert counts == {
        ("candles", "sqlite"): 1,
        ("candles", "memory"): 2,
        ("candles", "made"): 1,
        ("arrow", "memory"): 1,
        ("scan", "memory"): 1,
        ("screen", "sqlite"): 1,
        ("sql", "duckdb"): 1,
        ("write", "sqlite"): 2,
        ("delete", "sqlite"): 1,
    }


def test_memory_is_told_by_part(store):
    store.write("A", "1m", walk(3_000))
    store.candles("A", "1m")
    before = store.stats()["memory"]["parts"]
    assert set(before) == {"tier", "sqlite", "arrow", "duckdb", "process", "realtime"}
    assert (before["realtime"], before["duckdb"]) == (0, 0)
    assert before["process"] > before["sqlite"] > 0
    assert before["tier"] == store.maintenance.stats()["memory_bytes"] > 0
    store.trades.push(("A", time.time_ns() // 1_000_000, 1.0, 2.0))
    store.sql("SELECT count(*) FROM candles")
    after = store.stats()
    assert after["memory"]["parts"]["realtime"] == after["realtime"]["trades"]["bytes"] > 0
    assert after["memory"]["pid"] == os.getpid()


def test_a_store_without_live_rows_makes_no_rings_for_it(store):
    assert store.stats()["realtime"] == {}
    assert store._realtime._cache is None


def test_upkeep_and_growth_are_those_of_the_file(store):
    assert store.stats()["growth"]["bytes_per_day"] is None
    store.write("A", "1m", walk(3_000))
    mdstore.FragmentationMonitor(store).measure()
    store.maintenance.optimize()
    tree = store.stats()
    assert tree["maintenance"]["measured"]["bytes"] > 0
    assert tree["maintenance"]["analyze"]["rows"] == 3_000
    assert tree["maintenance"]["vacuum"] is None
    assert (tree["maintenance"]["is_running"], tree["maintenance"]["trouble"]) == (False, "")
    assert tree["at_work"] == []
    with store.repository.upkeep.holding():
        assert store.stats()["at_work"] == [f"maintenance (process {os.getpid()})"]
    store.maintenance.start()
    assert store.stats()["maintenance"]["is_running"]


def test_a_store_that_is_only_read_tells_as_much_and_changes_nothing(store):
    store.write("A", "1m", walk(300))
    before = store.repository.revision()
    with mdstore.open(store.path, read_only=True) as reader:
        tree = reader.stats()
    assert tree["file"]["rows"] == 300
    assert store.repository.revision() == before


def test_measures_of_an_hour_say_nothing_of_what_a_day_brings(tmp_path):
    clock = Clock()
    with mdstore.MarketDataStore(tmp_path / "s.sqlite3", clock=clock) as store:
        for at in range(2):
            store.write(f"S{at}", "1m", walk(3_000))
            mdstore.FragmentationMonitor(store).measure()
            clock.pass_by(hours=1)
        assert store.stats()["growth"]["bytes_per_day"] is None
        clock.pass_by(days=1)
        mdstore.FragmentationMonitor(store).measure()
        assert store.stats()["growth"]["bytes_per_day"] is not None
