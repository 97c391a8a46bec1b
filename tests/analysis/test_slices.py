"""The roads of a screen: grouped, by slices of a frame, and by columns' own sums; never another answer."""

import math
import struct

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from mdstore.analysis import screen as module
from mdstore.analysis.slices import TOGETHER, reduced, sliced
from tests.analysis.test_screen_law import GROUPED, VALUES
from tests.support.doses import dose
from tests.support.markets import ENDS, LONG, MARKET, close, high, together, volume

REDUCED = {
    f"{name} of {column}": getattr(pl.col(column), name)()
    for name in ("mean", "sum", "min", "max")
    for column in ("open", "close", "volume")
}
NOT_REDUCED = {
    "two columns": pl.col("open", "close").mean(),
    "a sum of a difference": (high - close).sum(),
    "a mean and more": close.mean() + 1,
    "a maximum that minds NaN": close.nan_max(),
    "a tail": close.tail(2).mean(),
    "a time": pl.col("timestamp").max(),
    "a length": pl.len(),
    "a literal": pl.lit(1),
    "every column": pl.all().sum(),
}
# Quarters, so that sums are exact in whichever order; and what candles cannot be, but declared columns can.
values = st.integers(-40, 40).map(lambda n: n / 4)
odd = st.one_of(values, st.sampled_from([math.nan, math.inf, -math.inf, -0.0, None]))


@st.composite
def universes(draw):
    """Draw series of up to thirty bars, some of none and of one, with odd values in some."""
    frames = {}
    for number in range(draw(st.integers(1, 6))):
        bars = draw(st.sampled_from([0, 1, 1, 2, 5, 30]))
        kind = draw(st.sampled_from([values, odd]))
        columns = {
            name: pl.Series(draw(st.lists(kind, min_size=bars, max_size=bars)), dtype=pl.Float64)
            for name in VALUES
        }
        times = pl.Series(range(bars), dtype=pl.Int64).cast(pl.Datetime("ms", "UTC"))
        frames[f"S{number}"] = pl.DataFrame({"timestamp": times, **columns})
    if not any(map(len, frames.values())):
        frames["S"] = LONG.drop("symbol").head(1)
    return frames


def parts_of(ends):
    return [(start, end - start) for start, end in zip((0, *ends), ends, strict=False) if start < end]


def by_slices(long, ends, expr):
    """Answer by the slice of each symbol, whatever a screen would choose."""
    rows = [row for some in sliced(long.drop("symbol"), [expr.last()], parts_of(ends)) for row in some]
    return pl.concat(rows)


def bits(frame, zero=-0.0):
    """Return values as they are to the last bit, every NaN the same; every zero too, if `zero` is 0.0."""
    return [
        [
            None if one is None else "nan" if math.isnan(one) else struct.pack("d", one + zero)
            for one in column
        ]
        for column in frame
    ]


ODD = (math.nan, 1.0, -0.0, None, 0.0, -math.inf)


def odd_universe():
    """Return series of one odd value each, and one of all of them."""
    bar = LONG.drop("symbol").head(1)
    frames = [bar.with_columns(pl.lit(one, pl.Float64).alias(name) for name in VALUES) for one in ODD]
    return {f"S{number}": frame for number, frame in enumerate([*frames, pl.concat(frames)])}


@pytest.mark.parametrize("name", REDUCED)
@settings(max_examples=dose(30))
@example(frames=odd_universe(), chunks=False)
@given(frames=universes(), chunks=st.booleans())
def test_columns_slices_and_groups_give_the_same_to_the_last_bit(name, frames, chunks):
    long, ends = together(frames, chunks=chunks)
    expr, parts = REDUCED[name].alias("x"), parts_of(ends)
    by_columns = reduced(long.drop("symbol"), [expr], parts)
    alone = pl.concat([frame.select(expr) for frame in frames.values() if len(frame)])
    assert bits(by_columns) == bits(alone) == bits(by_slices(long, ends, expr))
    # Of a group of one row Polars gives the row's -0.0 as the mean or sum, where the column's own is 0.0.
    assert bits(by_columns, 0.0) == bits(module._together(long, len(parts), [expr]), 0.0)


@pytest.mark.variants(40)
@pytest.mark.parametrize("name", GROUPED)
@settings(max_examples=dose(15))
@given(frames=universes(), chunks=st.booleans())
def test_slices_give_what_groups_give(name, frames, chunks):
    long, ends = together(frames, chunks=chunks)
    expr = GROUPED[name].alias("x")
    together_ = module._together(long, len(parts_of(ends)), [expr])
    if together_ is None:
        return  # it fails for some, and a screen asks them one by one
    assert_frame_equal(by_slices(long, ends, expr), together_, rel_tol=1e-9, abs_tol=1e-9)


@pytest.mark.parametrize("name", REDUCED)
def test_what_a_column_is_asked_itself(name):
    assert reduced(LONG.drop("symbol"), [REDUCED[name].alias("x")], parts_of(ENDS)).columns == ["x"]


@pytest.mark.parametrize("name", NOT_REDUCED)
def test_what_it_is_not(name):
    assert reduced(LONG.drop("symbol"), [REDUCED["sum of close"], NOT_REDUCED[name]], parts_of(ENDS)) is None


def test_names_and_types_are_those_of_the_expressions():
    exprs = [close.mean().alias("a"), high.max(), volume.sum().name.suffix("_all")]
    found = reduced(LONG.drop("symbol"), exprs, parts_of(ENDS))
    assert_frame_equal(found, pl.concat([frame.select(exprs) for frame in MARKET.values()]), rel_tol=1e-12)


def test_one_that_fails_is_told_and_those_beside_it_are_answered():
    frames = {f"S{number:03}": LONG.drop("symbol").head(3) for number in range(TOGETHER + 3)}
    frames["S001"] = frames["S001"].with_columns(close + 1e30)
    long, ends = together(frames)
    some, rest = sliced(long.drop("symbol"), [close.last().cast(pl.Int64)], parts_of(ends))
    assert isinstance(some[1], pl.exceptions.InvalidOperationError)
    assert [isinstance(one, pl.DataFrame) for one in some].count(False) == 1
    assert len(some) == TOGETHER
    assert len(rest) == 3


def test_progress_of_slices_counts_the_symbols(monkeypatch):
    monkeypatch.setattr(module, "MANY_BARS", 0)
    told, frames = [], {f"S{number:03}": LONG.drop("symbol").head(3) for number in range(TOGETHER + 3)}
    module.screen(*together(frames), "sma(close, 2)", progress=lambda *done: told.append(done))
    assert told == [(TOGETHER, TOGETHER + 3), (TOGETHER + 3, TOGETHER + 3)]
    told.clear()
    module.screen(*together(frames), "close.mean()", progress=lambda *done: told.append(done))
    assert told == [(TOGETHER + 3, TOGETHER + 3)]
