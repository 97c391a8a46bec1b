"""Where bars of two sources meet in one series, `verify` says whether they go together."""

import polars as pl
import pytest

from mdstore.core.schema import PRICES
from tests.support.candles import START
from tests.support.quality import calm

FIRST = START - 86_400_000


def times(frame, factor):
    return frame.with_columns(pl.col(PRICES) * factor)


def seams(store):
    return store.verify("X").filter(pl.col("check") == "seam")


@pytest.mark.parametrize("factor", [0.2225, 0.97, 1.02])
def test_a_source_of_another_adjustment_makes_a_seam(store, factor):
    bars = calm(start=FIRST)
    store.write("X", "1m", bars[:400], source="plain.csv")
    store.write("X", "1m", times(bars[300:], factor), source="adjusted.csv")
    (found,) = seams(store).rows(named=True)
    assert (found["severity"], found["start"], found["bars"]) == ("warning", bars["timestamp"][300], 1)
    assert found["value"] == pytest.approx(factor)
    assert found["detail"] == (
        "bars of plain.csv and of adjusted.csv meet: 100 closes of adjusted.csv are "
        f"{factor:.4g} times those that they replaced"
    )


def test_corrections_make_no_seam(store):
    bars = calm(start=FIRST)
    store.write("X", "1m", bars[:400], source="feed")
    store.write("X", "1m", times(bars[300:], 1.0001), source="archive")
    assert seams(store).is_empty()


def test_a_series_that_was_replaced_as_a_whole_has_none(store):
    bars = calm(start=FIRST)
    store.write("X", "1m", bars, source="plain.csv")
    store.write("X", "1m", times(bars, 0.5), source="adjusted.csv")
    assert seams(store).is_empty()


def test_sources_that_only_follow_each_other_have_none(store):
    bars = calm(start=FIRST)
    store.write("X", "1m", bars[:300], source="one")
    store.write("X", "1m", bars[300:], source="two")
    assert seams(store).is_empty()
