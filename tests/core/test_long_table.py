"""Rows of several symbols under each other."""

import pyarrow as pa

from mdstore.core.long_table import Long


def test_an_empty_batch_among_others_is_no_row():
    schema = pa.schema([("close", pa.float64())])
    batches = [pa.record_batch([values], schema=schema) for values in ([1.0, 2.0], [], [3.0])]
    long = Long(pa.Table.from_batches(batches), ["A", "B"], [1, 3])
    assert long.frame.rows() == [("A", 1.0), ("B", 2.0), ("B", 3.0)]
    assert long.table["symbol"].to_pylist() == ["A", "B", "B"]
