"""What lies in packs: the cells of a write, and what becomes of them when candles change."""

import time
from itertools import pairwise
from unittest.mock import patch

import polars as pl
import pytest

import mdstore
from mdstore.candles.packs.cells import CELL_ROWS
from mdstore.candles.reads import reads as columnar
from tests.support.candles import MINUTE, START, bits, walk
from tests.support.packs import BARS, cells, tiers


def ago(bars, *, minutes=0):
    """Return bars of which the last began `minutes` ago."""
    last = int(time.time() * 1000) // MINUTE * MINUTE - minutes * MINUTE
    return walk(bars, start=last - (bars - 1) * MINUTE)


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
