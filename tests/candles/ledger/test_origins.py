"""Where the bars that are there now came from, whatever was written over them."""

import tempfile
from itertools import pairwise
from pathlib import Path

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mdstore
from tests.support.candles import MINUTE, START, walk
from tests.support.doses import dose

DAY = 86_400_000
FIRST = 1_704_067_200_000


class Model:
    """What each bar is and which source brought it as it is now."""

    def __init__(self):
        self.bars = {}

    def write(self, rows, source):
        for time, value in rows.items():
            if self.bars.get(time, (None,))[0] != value:
                self.bars[time] = (value, source)

    def delete(self, start, end):
        self.bars = {time: bar for time, bar in self.bars.items() if not start <= time < end}


days = st.integers(0, 20).map(lambda day: FIRST + day * DAY)
brought = st.tuples(
    st.dictionaries(days, st.sampled_from([1.0, 2.0]), min_size=1), st.sampled_from(["one", "two", None])
)
taken = st.tuples(days, days)


def act(store, model, what, of):
    if isinstance(what, dict):
        store.write("X", "1d", [(day, *[value] * 5) for day, value in what.items()], unit="ms", source=of)
        model.write(what, of)
    elif what < of and model.bars:
        store.delete("X", "1d", start=what, end=of)
        model.delete(what, of)


@settings(max_examples=dose(60), suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(brought | taken, min_size=1, max_size=10))
def test_provenance_is_of_the_bars_that_are_there_now(given):
    model = Model()
    with tempfile.TemporaryDirectory() as folder, mdstore.open(Path(folder) / "m.sqlite3") as store:
        for what, of in given:
            act(store, model, what, of)
        ms = pl.col("start", "end").dt.epoch("ms")
        found = store.provenance("X", "1d").with_columns(ms).select("start", "end", "source").rows()
        told = {time: [of for start, end, of in found if start <= time < end] for time in model.bars}
        assert told == {time: [source] for time, (_, source) in model.bars.items()}
        assert all(one[1] <= other[0] for one, other in pairwise(found))


def test_a_write_says_of_whom_it_replaces_bars(store):
    start = START - 200 * MINUTE
    store.write("X", "1m", walk(100, start=start), source="a.csv")
    store.write("X", "1m", walk(10, start=start + 100 * MINUTE))
    done = store.write("X", "1m", walk(110, start=start, seed=1), source="b.csv")
    assert done.notes == (
        "X 1m: 100 bars from a.csv replaced by other values",
        "X 1m: 10 bars of which nobody said where from replaced by other values",
    )
    assert store.write("X", "1m", walk(110, start=start, seed=2), source="b.csv").notes == ()
    assert store.write("X", "1m", walk(1, start=start, seed=3), source="c.csv").notes == (
        "X 1m: 1 bar from b.csv replaced by other values",
    )


def test_a_feed_that_corrects_its_own_bars_says_nothing(store):
    for seed in range(3):
        assert store.write("X", "1m", walk(5, seed=seed), source="upbit").notes == ()
    assert store.provenance()["source"].to_list() == ["upbit"]
