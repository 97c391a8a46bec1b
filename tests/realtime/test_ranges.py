"""Ranges of time are the moments in them, whatever was added and taken out."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mdstore.realtime.ranges import Ranges

MOMENTS = range(40)
steps = st.lists(
    st.tuples(st.sampled_from(["add", "add", "add", "remove"]), st.integers(0, 39), st.integers(0, 39)),
    max_size=20,
)


@given(steps)
def test_ranges_are_the_moments_in_them(drawn):
    ranges, truth = Ranges(), set()
    for what, start, end in drawn:
        getattr(ranges, what)(start, end)
        moments = set(range(start, end))
        truth = truth | moments if what == "add" else truth - moments
        found = list(ranges)
        assert {moment for low, high in found for moment in range(low, high)} == truth
        assert all(before[1] < after[0] for before, after in pairwise(found))  # neither overlap nor touch
        assert [moment in ranges for moment in MOMENTS] == [moment in truth for moment in MOMENTS]
        assert bool(ranges) == bool(truth)
    assert ranges.pop() == found if drawn else not ranges
    assert list(ranges) == []
