"""What was written is kept as series sorted by symbol, each once, in memory of our own."""

import polars as pl

from mdstore.candles.writes.written import Appended, Written
from mdstore.core.checked_rows import Group, Stack
from mdstore.core.schema import CANDLE_COLUMNS


def rows(*times):
    return pl.DataFrame({name: list(map(float, times)) for name in CANDLE_COLUMNS}).with_columns(
        pl.col("timestamp").cast(pl.Int64)
    )


def kept(*groups):
    written = Written()
    written.note([Appended(1, 2, groups)])
    (one,) = written.between(1, 2)
    return [
        (bars.timeframe, {part.symbol: part.rows["timestamp"].to_list() for part in bars.groups()})
        for bars in one.groups
    ]


def test_series_that_were_written_one_by_one_are_together_until_one_comes_again():
    groups = [Group(symbol, "1m", rows(at)) for at, symbol in enumerate(("B", "A", "C", "A", "D"))]
    assert kept(*groups) == [("1m", {"A": [1], "B": [0], "C": [2]}), ("1m", {"A": [3], "D": [4]})]


def test_each_timeframe_is_by_itself():
    assert kept(Group("A", "1m", rows(1)), Group("B", "1h", rows(2))) == [
        ("1m", {"A": [1]}),
        ("1h", {"B": [2]}),
    ]


def test_a_stack_is_as_it_was_and_in_its_turn():
    stack = Stack("1m", ["A", "B"], [2, 3], rows(2, 3, 4))
    assert kept(Group("B", "1m", rows(1)), stack, Group("A", "1m", rows(5))) == [
        ("1m", {"B": [1]}), ("1m", {"A": [2, 3], "B": [4]}), ("1m", {"A": [5]}),
    ]  # fmt: skip


def test_symbols_are_sorted_whoever_stacked_them():
    stack = Stack("1m", ["B", "A"], [1, 3], rows(7, 8, 9))
    ((_, found),) = kept(stack)
    assert list(found.items()) == [("A", [8, 9]), ("B", [7])]
