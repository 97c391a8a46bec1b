"""Runs of rows out of batches under each other: copied one by one or by Polars, they are the same rows."""

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdstore.candles.packs import gathered
from mdstore.core.schema import CANDLE
from tests.support.candles import walk

SIZES = (40, 1, 25)
WHOLE = [walk(size, seed=seed) for seed, size in enumerate(SIZES)]


def batch(frame):
    """Return candles as a batch that begins within its memory, as those of a pack do."""
    more = pl.concat([frame.head(1), frame])
    arrays = [
        more[name].to_physical().to_arrow().view(field.type)
        for name, field in zip(CANDLE.names, CANDLE, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=CANDLE).slice(1)


@st.composite
def run(draw):
    low = draw(st.integers(0, sum(SIZES)))
    return low, draw(st.integers(low, sum(SIZES)))


@pytest.mark.parametrize("few", [0, gathered.FEW_RUNS])
@given(runs=st.lists(run(), max_size=12))
def test_runs_are_the_rows_one_after_the_other(few, runs):
    rows = pl.concat(WHOLE)
    expected = pl.concat([rows.head(0), *(rows[low:high] for low, high in runs)])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(gathered, "FEW_RUNS", few)
        taken = gathered.Runs(
            list(map(batch, WHOLE)), [low for low, _ in runs], [high for _, high in runs]
        ).rows()
    assert taken.schema == CANDLE
    assert pl.DataFrame(taken).equals(expected.cast(pl.DataFrame(taken).schema))


def test_what_is_copied_cannot_be_written():
    taken = gathered.Runs([batch(WHOLE[0])], [3], [7]).rows()
    assert not any(chunk.buffers()[1].is_mutable for chunk in taken.columns)


@st.composite
def runs_of(draw, rows):
    lows = draw(st.lists(st.integers(0, rows), max_size=8))
    return lows, [draw(st.integers(low, rows)) for low in lows]


@pytest.mark.parametrize("few", [0, gathered.FEW_RUNS])
@pytest.mark.parametrize("broken", [False, True])
@given(data=st.data())
def test_runs_among_runs_are_the_rows_that_these_are_of(few, broken, data):
    lows, highs = data.draw(runs_of(sum(SIZES)))
    rows, runs = pl.concat(WHOLE), gathered.Runs(list(map(batch, WHOLE)), lows, highs)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(gathered, "FEW_RUNS", few)
        patched.setattr(gathered, "polars_is_broken", lambda: broken)
        for size in (3, 5):
            more = walk(size, seed=size)
            known = pl.concat(
                [rows.head(0), *(rows[low:high] for low, high in zip(lows, highs, strict=True)), more]
            )
            lows, highs = data.draw(runs_of(len(known)))
            rows, runs = known, runs.then(batch(more), lows, highs)
        taken = runs.rows()
    expected = pl.concat([rows.head(0), *(rows[low:high] for low, high in zip(lows, highs, strict=True))])
    assert pl.DataFrame(taken).equals(expected.cast(pl.DataFrame(taken).schema))
