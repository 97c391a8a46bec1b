"""What reads share: mapped memory that nobody can spoil, and the memory that answers again."""

import shutil
import time
from pathlib import Path
from unittest.mock import patch

import numpy as np
import polars as pl
import pytest

import mdstore
from mdstore import InvalidInputError
from tests.support.candles import MINUTE, START, bits, walk
from tests.support.packs import BARS, tiers


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


# ---- memory shared, and safe


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


def test_the_memory_behind_a_table_cannot_be_written(store):
    store.write("A", "1m", walk(10))
    store.write("B", "1m", walk(10))
    for table in (store.arrow("A", "1m"), store.arrow(None, "1m")):
        for chunk in table["close"].chunks:
            with pytest.raises(ValueError, match="read-only"):
                np.frombuffer(chunk.buffers()[1])[:] = -1.0


# ---- what is remembered


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


def test_a_close_that_is_refused_closes_nothing(store):
    store.write("A", "1m", walk(BARS))

    def close(_):
        with pytest.raises(InvalidInputError):
            store.close()

    store.write("A", "1m", walk(5), progress=close)
    assert store.maintenance.warm(rebuild=True) == BARS
