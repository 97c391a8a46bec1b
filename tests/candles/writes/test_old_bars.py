"""What bars were before a call is a dict by time, whose first value of each counts; it is kept as columns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdstore.candles.file.bar_columns import columns_of_bars
from mdstore.candles.writes.old_bars import OldBars, only

prices = st.floats(allow_nan=False, width=32)
bars = st.lists(
    st.tuples(st.integers(0, 30), prices, prices, prices, prices, prices),
    min_size=1,
    max_size=8,
    unique_by=lambda bar: bar[0],
).map(sorted)


@given(parts=st.lists(st.tuples(bars, st.booleans()), max_size=6), looks=st.sets(st.integers(0, 5)))
def test_it_is_a_dict_by_time_in_which_the_first_of_each_stays(parts, looks):
    """However they are added, whether they come in order, and whoever looks meanwhile."""
    olds, model = OldBars(), {}
    for number, (some, as_columns) in enumerate(parts):
        if as_columns:
            columns = columns_of_bars([(-1,) + (0.0,) * 5, *some])
            olds.add_columns([column.slice(1) for column in columns])
        else:
            olds.add(some)
        for bar in some:
            model.setdefault(bar[0], bar)
        assert olds.last == some[-1]
        if number in looks:
            assert list(olds) == sorted(model.values())
    assert list(olds) == sorted(model.values())
    assert bool(olds) == bool(model)
    wanted = [bar[0] % 2 == 0 for bar in olds]
    assert list(zip(*only(olds.columns, wanted), strict=True)) == [bar for bar in olds if bar[0] % 2 == 0]


def test_a_price_that_is_a_text_is_no_bar():
    with pytest.raises(TypeError):
        OldBars().add([(0, 1.0, "2", 1.0, 1.0, 1.0)])
