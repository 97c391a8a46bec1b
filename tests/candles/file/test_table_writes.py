"""Rows that wait as bytes are stored as those that are bound one by one; statements are parsed once."""

from itertools import accumulate, pairwise

import apsw
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdstore.candles.file import table_writes
from mdstore.candles.file.bar_columns import columns_of_frame
from mdstore.candles.file.table_writes import (
    OF_SEVERAL,
    STATEMENTS,
    packed,
    upsert,
    upsert_packed,
    upsert_rows,
    upsert_stack,
)
from mdstore.core.schema import CANDLE_COLUMNS
from tests.support.doses import dose

TABLE = """
CREATE TABLE candles (
  symbol TEXT NOT NULL, timeframe TEXT NOT NULL, timestamp INTEGER NOT NULL,
  open REAL NOT NULL, high REAL NOT NULL, low REAL NOT NULL, close REAL NOT NULL, volume REAL NOT NULL,
  PRIMARY KEY (symbol, timeframe, timestamp)
) STRICT, WITHOUT ROWID
"""
ONE = "INSERT OR REPLACE INTO candles VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.sampled_from((0.0, -0.0, 1.0, 5e-324, 2.0**53))
)
COUNTS = st.one_of(st.integers(1, 12), st.sampled_from((63, 64, 99, 100, 101, 499, 500, 511, 612)))


@st.composite
def stacks(draw):
    """Draw rows of some series under each other: how many, and a frame, perhaps in several chunks."""
    counts = draw(st.lists(COUNTS, min_size=1, max_size=4))
    seen = draw(st.lists(NUMBERS, min_size=7, max_size=7))
    ahead, rows = draw(st.integers(0, 3)), sum(counts)
    times = range(-ahead * 60_000, rows * 60_000, 60_000)
    values = {
        name: [seen[(at * place) % 7] for at in range(rows + ahead)]
        for place, name in enumerate(CANDLE_COLUMNS)
    }
    frame = pl.DataFrame(values | {"timestamp": list(times)}).select(CANDLE_COLUMNS)
    if draw(st.booleans()):
        frame = pl.concat([frame.head(ahead + 1), frame.slice(ahead + 1)], rechunk=False)
    return counts, frame.slice(ahead)


def empty():
    con = apsw.Connection(":memory:")
    con.execute(TABLE)
    return con


def stored(con):
    """Return all rows, a number by its bits: SQLite keeps no negative zero."""
    rows = con.execute("SELECT * FROM candles").fetchall()
    return [(*row[:3], *(value.hex() for value in row[3:])) for row in rows]


def simply(con, key, rows):
    con.executemany(ONE, ((*key, *row) for row in rows.iter_rows()))


@pytest.mark.parametrize("way", ["stack", "series", "tuples", "bytes"])
@settings(max_examples=dose(60), deadline=None)
@given(given=stacks(), stays=st.integers(0, 3))
def test_rows_are_stored_as_one_by_one(way, given, stays):
    """Also over rows that are there, some of which are as they are given."""
    counts, rows = given
    names, ends = [f"S{place}" for place in range(len(counts))], list(accumulate(counts))
    ours, expected = empty(), empty()
    for con in (ours, expected):
        simply(con, ("S0", "1m"), rows.head(stays))
        simply(con, ("S0", "1m"), rows.slice(stays, 2).with_columns(pl.col("volume") / 3 + 1))
    if way == "stack":
        upsert_stack(ours, "1m", names, ends, packed(columns_of_frame(rows)))
    for name, (low, high) in zip(names, pairwise((0, *ends)), strict=True):
        part = rows.slice(low, high - low)
        simply(expected, (name, "1m"), part)
        if way == "series":
            upsert(ours, (name, "1m"), part)
        elif way == "tuples":
            upsert_rows(ours, (name, "1m"), part.rows())
        elif way == "bytes":
            upsert_packed(ours, (name, "1m"), packed(columns_of_frame(part)))
    assert stored(ours) == stored(expected)


def test_no_statement_is_too_long_to_be_kept():
    """One of more than 16 KB is parsed anew each time it is run."""
    con = empty()
    for size, sql in STATEMENTS.items():
        con.execute(f"EXPLAIN {sql}", [0] * (2 + 6 * size))
    for size, sql in OF_SEVERAL.items():
        con.execute(f"EXPLAIN {sql}", [0] * (1 + 7 * size))
    assert con.cache_stats()["too_big"] == 0
    assert con.cache_stats()["misses"] >= len(STATEMENTS) + len(OF_SEVERAL)


def test_every_size_of_a_statement_ends_in_single_rows():
    assert table_writes.ROWS_PER_STATEMENT[-1] == table_writes.OF_SEVERAL_ROWS[-1] == 1
