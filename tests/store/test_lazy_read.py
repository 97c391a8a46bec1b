"""Scans: of the moment they were made, and of the cells that their conditions want."""

from unittest.mock import patch

import polars as pl
import pytest

import mdstore
from mdstore import StoreFileError
from tests.support.candles import bits, walk
from tests.support.packs import BARS


def test_a_scan_is_of_the_moment_it_was_made(store):
    store.write("A", "1m", walk(BARS))
    lazy = store.scan("A", "1m")
    store.write("A", "1m", walk(BARS, seed=1))
    assert bits(lazy.collect()) == bits(walk(BARS))
    joined = lazy.join(lazy.filter(pl.col("close") > 0), on="timestamp").collect()
    assert (joined["close"] == joined["close_right"]).all()


def test_a_scan_touches_the_cells_that_its_conditions_want(store):
    import datetime as dt

    from mdstore.candles.packs.columns import SeriesView

    for symbol in "ABC":
        store.write(symbol, "1m", walk(BARS))
    verified = []
    original = SeriesView.verify

    def noting(self, low, high):
        if low < high:
            verified.append((self.symbol, low, high))
        return original(self, low, high)

    day = dt.datetime(2025, 9, 2, tzinfo=dt.UTC)
    queries = {
        1: pl.col("symbol") == "B",
        2: pl.col("symbol").is_in(["A", "C", "nobody"]) & (pl.col("close") > 0),
        0: pl.col("symbol") == "nobody",
        3: (pl.col("symbol") == "A") | (pl.col("close") > 0),
    }
    for touched, condition in queries.items():
        expected = store.candles(None, "1m").filter(condition)
        with patch.object(SeriesView, "verify", noting):
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
    with patch.object(SeriesView, "verify", noting):
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


@pytest.mark.parametrize("bounds", [{}, {"limit": 2}])
@pytest.mark.parametrize("symbols", ["A", ["A", "B"], None])
def test_a_scan_whose_pack_is_damaged_meanwhile_is_read_again_wherever_from(store, symbols, bounds):
    """A few rows come from the table then, once no pack has them."""
    store.declare("turnover", resample="sum")
    for symbol in "AB":
        store.write(symbol, "1m", walk(BARS).with_columns(turnover=pl.col("volume") * 2))
    columns = ["timestamp", "turnover", "close"]
    with mdstore.open(store.path) as other:  # so that nothing is verified here yet
        found = other.candles(symbols, "1m", columns=columns, **bounds)
        wanted = pl.DataFrame(found.rows(), found.schema, orient="row")  # in memory that no pack is mapped to
    lazy = store.scan(symbols, "1m", columns=columns, **bounds)
    for pack in store.packs_path.glob("*.arrow"):
        damaged = bytearray(pack.read_bytes())
        damaged[: len(damaged) - 2_000] = bytes(len(damaged) - 2_000)
        pack.write_bytes(damaged)
    assert lazy.head(3).collect().equals(wanted.head(3))
    assert lazy.filter(pl.col("close") > 0).collect().equals(wanted)


def test_a_scan_whose_pack_is_damaged_and_whose_bars_have_changed_says_so(store):
    store.write("A", "1m", walk(BARS))
    lazy = store.scan("A", "1m", limit=2)
    store.write("A", "1m", walk(BARS, seed=1))
    for pack in store.packs_path.glob("*.arrow"):
        pack.write_bytes(bytes(pack.stat().st_size))
    with pytest.raises(StoreFileError, match="have changed since this scan"):
        lazy.collect()
