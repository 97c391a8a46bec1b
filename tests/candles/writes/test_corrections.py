"""Bars that are all there are corrected as whole columns: what that leaves is what row by row leaves."""

from contextlib import ExitStack
from unittest.mock import patch

import apsw
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mdstore
from mdstore import DamagedDataError
from mdstore.candles.writes import bar_changes, upserts
from mdstore.core.schema import CANDLE_COLUMNS
from tests.candles.writes.test_stacks import tables
from tests.support.candles import MINUTE, START
from tests.support.doses import dose

BARS = 260
VOLUMES = (0.0, -0.0, 1.0, 5e-324, 2.0**53, 1e300)
slow = settings(
    max_examples=dose(40),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Clock:
    """A clock that stands until it is moved; in seconds."""

    def __init__(self):
        self.ms = START + 2 * BARS * MINUTE

    def __call__(self):
        return self.ms / 1000


def frame(volumes, closes, places):
    """Return bars at some places, whose values are told by their place among all."""
    rows = [
        (START + place * MINUTE, 10.0, 12.0, 9.0, closes[place], volumes[place]) for place in sorted(places)
    ]
    return pl.DataFrame(rows, schema=CANDLE_COLUMNS, orient="row")


@st.composite
def corrections(draw):
    """Draw which bars are stored, and writes over a run of them, of which some have other values."""
    stored = draw(st.sets(st.integers(0, BARS - 1), max_size=12).map(lambda gone: {*range(BARS)} - gone))
    writes = []
    for _ in range(draw(st.integers(1, 3))):
        low, high = sorted(draw(st.lists(st.integers(0, BARS), min_size=2, max_size=2, unique=True)))
        places = {place for place in stored if low <= place < high}
        kind, value = draw(st.sampled_from(("all", "some", "tail", "none"))), draw(st.sampled_from(VOLUMES))
        changed = {
            "all": places,
            "some": draw(st.sets(st.integers(0, BARS - 1))) & places,
            "tail": {place for place in places if place > low},
            "none": set(),
        }[kind]
        writes.append((places, changed, value, draw(st.booleans())))
    return stored, writes


def left_by(path, stored, writes, *, columns):
    """Write it all; return what every write counted, the rows of every table, and each past state."""
    clock, volumes, closes = Clock(), [1.0] * BARS, [10.0 + place / BARS for place in range(BARS)]
    with ExitStack() as stack:
        if not columns:
            stack.enter_context(patch.object(bar_changes, "FEW", 10**9))
        # Several parts in a call, the ends of which are anywhere.
        stack.enter_context(patch.object(upserts, "PUT_ROWS", 100))
        store = stack.enter_context(mdstore.MarketDataStore(path, clock=clock))
        counts, states = [store.write("A", "1m", frame(volumes, closes, stored), source="one")], []
        for places, changed, value, of_close in writes:
            clock.ms += MINUTE
            states.append((clock.ms, store.candles("A", "1m")))
            for place in changed:
                if of_close:
                    closes[place] = 9.0 + abs(value) % 3
                volumes[place] = value
            counts.append(store.write("A", "1m", frame(volumes, closes, places), source="other"))
            clock.ms += MINUTE
        assert store.candles("A", "1m").equals(
            frame(volumes, closes, stored).with_columns(
                pl.col("timestamp").cast(pl.Datetime("ms", "UTC")), pl.col("volume") + 0.0
            )
        )
        for moment, state in states:
            assert store.candles("A", "1m", as_of=moment - 1).equals(state)
        assert store.maintenance.check() == []
        told = store.revisions()
    return [(one.inserted, one.updated, one.unchanged, one.notes) for one in counts], told, tables(path)


@slow
@given(given=corrections())
def test_columns_leave_what_rows_leave(tmp_path_factory, given):
    folder = tmp_path_factory.mktemp("corrections")
    by_columns = left_by(folder / "columns.sqlite3", *given, columns=True)
    by_rows = left_by(folder / "rows.sqlite3", *given, columns=False)
    assert by_columns[0] == by_rows[0]
    assert by_columns[1].equals(by_rows[1])
    assert by_columns[2] == by_rows[2]


@pytest.mark.parametrize("value", ["a text", None])
def test_a_price_that_is_no_number_is_damage(tmp_path, value):
    """As another program, or a flipped bit, may leave it; nothing is written over it."""
    path, places = tmp_path / "a.sqlite3", range(BARS)
    rows = frame([1.0] * BARS, [10.0] * BARS, places)
    with mdstore.open(path) as store:
        store.write("A", "1m", rows)
    con = apsw.Connection(str(path))
    con.execute("PRAGMA writable_schema = on")
    sql = "UPDATE sqlite_schema SET sql = replace(replace(sql, ' NOT NULL', ''), 'STRICT, ', '')"
    con.execute(f"{sql} WHERE name = 'candles'")
    con.close()
    con = apsw.Connection(str(path))
    con.execute("UPDATE candles SET low = ? WHERE timestamp = ?", (value, START + 5 * MINUTE))
    con.close()
    with mdstore.open(path) as store, pytest.raises(DamagedDataError):
        store.write("A", "1m", rows.with_columns(pl.col("volume") + 1))
    con = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    assert con.execute("SELECT count(*) FROM candles WHERE volume = 1.0").get == BARS
    con.close()
