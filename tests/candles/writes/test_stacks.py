"""A frame of many series leaves what the same rows leave series by series, to the byte of every table."""

from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import apsw
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mdstore
from mdstore import ConflictError, DamagedDataError, MarketDataError
from mdstore.candles.ledger import coverage
from mdstore.candles.packs.cells import all_cells
from mdstore.candles.writes.appends import Appends
from mdstore.core import inputs
from tests.support.candles import MINUTE, START, walk
from tests.support.doses import dose
from tests.support.small import cut_down

SYMBOLS = ("A", "B", "C", "D-ü")
DAY = 86_400_000
NOW = START + 200 * MINUTE
slow = settings(
    max_examples=dose(100),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self):
        self.now = NOW / 1000

    def __call__(self):
        return self.now


def one_by_one():
    """Return what makes a store land each series alone."""
    return patch.object(Appends, "land", lambda _, stack: stack.groups())


@contextmanager
def side_by_side(folder, clock):
    """Yield two stores whose sizes are cut down: one as it is, and one to land each series alone."""
    with ExitStack() as stack:
        for change in cut_down():
            stack.enter_context(change)
        stores = []
        for name in ("ours", "alone"):
            (folder / name).mkdir()
            store = mdstore.MarketDataStore(folder / name / "s.sqlite3", clock=clock)
            stores.append(stack.enter_context(store))
        yield stores


def tables(path):
    """Return all rows of all tables; of cells, which merging cuts anew as it comes, the ranges they cover."""
    con = apsw.Connection(str(path), apsw.SQLITE_OPEN_READONLY)
    names = {name for (name,) in con.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    found = {}
    for name in names - {"schema_version", "cells"}:  # which says when; and see below
        columns = [row[1] for row in con.execute(f"PRAGMA table_info({name})") if row[1] != "cells"]
        kept = ", ".join(f'"{column}"' for column in columns)
        found[name] = sorted(con.execute(f"SELECT {kept} FROM {name}"), key=repr)
    found["cells"] = covered(all_cells(con))
    con.close()
    return found


def covered(cells):
    """Return the ranges of series in which there are cells, those behind each other as one."""
    ranges = []
    for one in cells:
        key = (one.timeframe, one.symbol)
        if ranges and ranges[-1][0] == key and ranges[-1][2] == one.start:
            ranges[-1] = (key, ranges[-1][1], one.end)
        else:
            ranges.append((key, one.start, one.end))
    return ranges


@st.composite
def frames(draw):
    """Draw rows of several series, some of which come twice, in any order or sorted."""
    parts = draw(
        st.lists(
            st.tuples(
                st.sampled_from(SYMBOLS),
                st.integers(0, 230),  # where it begins, in minutes: some lie in the future
                st.integers(1, 30),
                st.integers(1, 3),
                st.integers(0, 2),
            ),
            min_size=1,
            max_size=6,
        )
    )
    rows = pl.concat(
        walk(count, start=START + first * MINUTE, step=step * MINUTE, seed=seed).with_columns(
            symbol=pl.lit(symbol), seed=pl.lit(seed)
        )
        for symbol, first, count, step, seed in parts
    ).drop("seed")
    order = draw(st.sampled_from(("as it is", "by symbol", "by time", "shuffled")))
    if order == "by symbol":
        return rows.sort("symbol", "timestamp", maintain_order=True)
    if order == "by time":
        return rows.sort("timestamp", "symbol", maintain_order=True)
    return rows.sample(fraction=1, shuffle=True, seed=1) if order == "shuffled" else rows


@st.composite
def steps(draw):
    """Draw a write with its options, or a deletion."""
    if draw(st.integers(0, 5)) == 0:
        first = draw(st.integers(0, 200))
        return "delete", draw(st.sampled_from(SYMBOLS)), first, first + draw(st.integers(1, 80))
    rows = draw(frames())
    if draw(st.integers(0, 3)) == 0:
        bad = draw(st.integers(0, len(rows) - 1))
        rows = rows.with_columns(
            pl.when(pl.int_range(pl.len()) == bad).then(None).otherwise("close").alias("close")
        )
    options = {
        "on_conflict": draw(st.sampled_from(("last", "last", "raise"))),
        "on_invalid": draw(st.sampled_from(("quarantine", "drop", "raise"))),
        "source": draw(st.sampled_from(("one", "other", None))),
        "covers": draw(st.sampled_from((None, None, "data", (START, START + 150 * MINUTE)))),
        "align": draw(st.sampled_from((None, None, None, "floor"))),
    }
    return "write", rows, options


def run(store, step):
    """Take a step; return what came of it, an error in its words."""
    try:
        if step[0] == "delete":
            _, symbol, first, last = step
            return store.delete(symbol, "1m", start=START + first * MINUTE, end=START + last * MINUTE)
        result = store.write_many(step[1], timeframe="1m", **step[2])
    except MarketDataError as error:
        return type(error), str(error).replace(str(store.path.parent), "")
    return repr(result), dict(result.reach)


@pytest.mark.filterwarnings("ignore::UserWarning")
@slow
@given(history=st.lists(steps(), min_size=1, max_size=6), chunk=st.sampled_from((7, 20, 50_000)))
def test_a_frame_of_many_series_leaves_what_each_alone_leaves(tmp_path_factory, history, chunk):
    folder, clock = tmp_path_factory.mktemp("stacks"), Clock()
    with patch.object(inputs, "CHUNK", chunk), side_by_side(folder, clock) as (ours, alone):
        for step in history:
            clock.now += 1
            found = run(ours, step)
            with one_by_one():
                expected = run(alone, step)
            assert found == expected
            assert tables(ours.path) == tables(alone.path)
        assert ours.maintenance.check() == []
        if ours.series().height:
            assert ours.candles(None, "1m").equals(alone.candles(None, "1m"))


def long(bars, symbols=SYMBOLS, start=START, step=DAY):
    return pl.concat(
        walk(bars, start=start, step=step, seed=at).with_columns(symbol=pl.lit(symbol))
        for at, symbol in enumerate(symbols)
    )


def test_new_rows_of_many_series_go_into_one_pack(tmp_path):
    """Also the next ones behind a cell, whose cells begin where those before them end."""
    with mdstore.open(tmp_path / "s.sqlite3") as store:
        start = START - 4_000 * DAY
        store.write_many(long(900, start=start), timeframe="1d")
        store.write_many(long(900, start=start + 900 * DAY), timeframe="1d")
        assert store.maintenance.stats()["sealed_rows"] == 8 * 900
        assert store.maintenance.check() == []
        assert store.candles("B", "1d").height == 1_800


def test_rows_with_rows_stored_between_them_are_compared(tmp_path):
    """One series of the frame is new, one goes on, and one reaches back: each counts as what it is."""
    with mdstore.open(tmp_path / "s.sqlite3") as store:
        store.write_many(long(10, ("A", "B")), timeframe="1d", source="first")
        rows = pl.concat([
            long(5, ("A",), start=START + 10 * DAY), long(12, ("B",)).with_columns(pl.col("volume") + 1),
            long(3, ("C",)),
        ])  # fmt: skip
        result = store.write_many(rows, timeframe="1d", source="second")
        assert (result.inserted, result.updated, result.unchanged) == (5 + 2 + 3, 10, 0)
        assert store.revisions()["symbol"].unique().to_list() == ["B"]
        assert store.maintenance.check() == []


def test_a_conflict_in_a_later_chunk_says_the_same(tmp_path):
    rows = long(30, ("A", "B"))
    again = rows.head(1).with_columns(pl.col("volume") + 1)
    with (
        patch.object(inputs, "CHUNK", 40),
        mdstore.open(tmp_path / "s.sqlite3") as store,
        pytest.raises(ConflictError, match="A 1d at 2025-09-01T00:00:00Z comes twice with different values"),
    ):
        store.write_many(pl.concat([rows, again]), timeframe="1d")


def test_a_damaged_catalogue_is_noticed_before_rows_are_taken_for_new(tmp_path):
    path = tmp_path / "s.sqlite3"
    with mdstore.open(path) as store:
        store.write_many(long(10), timeframe="1d")
    con = apsw.Connection(str(path))
    con.execute("UPDATE series SET last = last - 5 * 86400000 WHERE symbol = 'B'")
    con.close()
    with mdstore.open(path) as store, pytest.raises(DamagedDataError, match="B 1d"):
        store.write_many(long(3, start=START + 5 * DAY), timeframe="1d")


def test_of_many_series_those_that_were_delisted_trade_again(tmp_path):
    """Also where only the last of them was, and what is said of others ends before their new bars."""
    names = [f"S{number:02}" for number in range(20)]
    with mdstore.open(tmp_path / "s.sqlite3") as store:
        store.write_many(long(10, names), timeframe="1d", covers="data")
        store.cover("S19", "1d", start=START + 10 * DAY, reason="after_delisting")
        store.write_many(long(2, names, start=START + 12 * DAY), timeframe="1d")
        with store._candles._database.reading() as con:
            said = coverage.known(con, ("S19", "1d"))
        delisted = [(one.start, one.end) for one in said if one.reason == "after_delisting"]
        assert delisted == [(START + 10 * DAY, START + 12 * DAY)]
        assert store.maintenance.check() == []
