"""Rows of several symbols under each other."""

from itertools import accumulate

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdstore.core import long_table
from mdstore.core.long_table import Long


def test_an_empty_batch_among_others_is_no_row():
    schema = pa.schema([("close", pa.float64())])
    batches = [pa.record_batch([values], schema=schema) for values in ([1.0, 2.0], [], [3.0])]
    long = Long(pa.Table.from_batches(batches), ["A", "B"], [1, 3])
    assert long.frame.rows() == [("A", 1.0), ("B", 2.0), ("B", 3.0)]
    assert long.table["symbol"].to_pylist() == ["A", "B", "B"]


@pytest.mark.parametrize("many", [0, long_table.MANY_ROWS])
@given(counts=st.lists(st.integers(0, 5), max_size=9))
def test_each_row_has_its_symbol_however_many_there_are(many, counts):
    symbols, rows = [f"S{number}" for number in range(len(counts))], pa.table({"x": range(sum(counts))})
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(long_table, "MANY_ROWS", many)
        long = Long(rows, symbols, list(accumulate(counts)))
        found = long.table.column("symbol").to_pylist()
        named = long.frame["symbol"].to_list()
    assert (
        found
        == named
        == [symbol for symbol, count in zip(symbols, counts, strict=True) for _ in range(count)]
    )
