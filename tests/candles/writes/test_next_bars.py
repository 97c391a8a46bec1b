"""A feed's next bars, entered for all series together, leave what each series alone leaves."""

from contextlib import ExitStack
from unittest.mock import patch

import apsw
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mdstore
from mdstore import DamagedDataError, MarketDataError
from mdstore.candles.ledger.arrivals import MOST_LAGS
from mdstore.candles.writes import appends
from mdstore.core import inputs
from tests.candles.writes.test_stacks import Clock, one_by_one, side_by_side, slow, tables
from tests.support.candles import MINUTE, START, walk

SYMBOLS = ("A", "B", "C", "D-ü")
LONG_AGO = 50 * 86_400  # seconds: more than arrivals say in one row


def bars(first, count=1, symbols=SYMBOLS, seed=0):
    """Return bars of each symbol from minute `first` on."""
    return pl.concat(
        walk(count, start=START + first * MINUTE, seed=seed + at).with_columns(symbol=pl.lit(symbol))
        for at, symbol in enumerate(symbols)
    )


@st.composite
def steps(draw):
    """Draw what a feed does: as a rule it gives the next bar of every series."""
    what = draw(st.sampled_from(("next",) * 12 + ("two", "again", "skip", "delete", "cover")))
    some = draw(st.lists(st.sampled_from(SYMBOLS), min_size=1, unique=True))
    symbols = draw(st.sampled_from((SYMBOLS,) * 5 + (tuple(sorted(some)),)))
    source = draw(st.sampled_from(("feed",) * 8 + ("other", None)))
    covers = draw(st.sampled_from((None,) * 8 + ("data",)))
    return what, symbols, source, covers, draw(st.sampled_from((0,) * 12 + (-600, LONG_AGO)))


def run(store, step, at):
    """Take a step at minute `at`; return what came of it, an error in its words."""
    what, symbols, source, covers, _ = step
    try:
        if what == "delete":
            return store.delete(symbols[0], "1m", start=START + (at - 2) * MINUTE)
        if what == "cover":
            start, end = START + at * MINUTE, START + (at + 1) * MINUTE
            return store.cover(symbols[0], "1m", start=start, end=end, reason="after_delisting")
        frames = [bars(at, 2 if what == "two" else 1, symbols)]
        if what == "again":
            frames.append(bars(at + 1, 1, symbols[:2]))
        result = store.write_many(iter(frames), timeframe="1m", source=source, covers=covers)
    except MarketDataError as error:
        return type(error), str(error).replace(str(store.path.parent), "")
    return repr(result), dict(result.reach)


@pytest.mark.filterwarnings("ignore::UserWarning")
@slow
@given(history=st.lists(steps(), min_size=10, max_size=30), late=st.sampled_from((20, 150, 3_600)))
def test_next_bars_together_leave_what_each_alone_leaves(tmp_path_factory, history, late):
    """Whatever comes between: holes, bars again, other sources, deletions, a clock that jumps.

    A bar is written `late` seconds after it began, some before they have ended.
    """
    folder, clock = tmp_path_factory.mktemp("next"), Clock()
    with side_by_side(folder, clock) as (ours, alone):
        clock.now, at = START / 1000 + late, 0
        for step in history:
            clock.now += step[-1]
            found = run(ours, step, at)
            with one_by_one():
                assert found == run(alone, step, at)
            assert tables(ours.path) == tables(alone.path)
            minutes = {"skip": 3, "two": 2, "again": 2, "next": 1}.get(step[0], 0)
            at, clock.now = at + minutes, clock.now + minutes * 60
        assert ours.maintenance.check() == []


def fed(store, count, first=0, source="feed"):
    """Write the bars of so many minutes, each of all series at once."""
    for at in range(first, first + count):
        store.write_many(bars(at), timeframe="1m", source=source)


def test_next_bars_make_no_object_of_a_series(tmp_path):
    """So the law above is of them, not of what it compares them with."""
    with mdstore.open(tmp_path / "s.sqlite3") as store:
        fed(store, 2)
        with patch.object(appends, "Changes", None):
            fed(store, 5, first=2)
        assert store.maintenance.check() == []
        assert store.series()["rows"].to_list() == [7] * 4
        assert store.provenance("A", "1m")["source"].to_list() == ["feed"]


def test_next_bars_beside_others_are_entered_once(tmp_path):
    """One series begins, one left out a bar, and one is given again: each is what it is."""
    with mdstore.open(tmp_path / "s.sqlite3") as store:
        fed(store, 3)
        store.write_many(bars(3, symbols=("A", "B")), timeframe="1m", source="feed")
        rows = pl.concat([bars(4, symbols=("A", "C", "E")), bars(3, symbols=("B",), seed=9)])
        result = store.write_many(rows, timeframe="1m", source="feed")
        assert (result.inserted, result.updated) == (3, 1)
        assert sorted(symbol for symbol, _ in result.reach) == ["A", "B", "C", "E"]
        assert dict(store.series().select("symbol", "rows").rows()) == {
            "A": 5,
            "B": 4,
            "C": 4,
            "D-ü": 3,
            "E": 1,
        }
        assert store.maintenance.check() == []


def test_a_bar_that_comes_again_in_a_later_chunk_is_counted_once(tmp_path):
    with patch.object(inputs, "CHUNK", 4), mdstore.open(tmp_path / "s.sqlite3") as store:
        fed(store, 3)
        result = store.write_many(pl.concat([bars(3), bars(3), bars(4)]), timeframe="1m", source="feed")
        assert (result.inserted, result.duplicates, result.rows) == (8, 4, 12)
        assert store.series()["rows"].to_list() == [5] * 4
        assert store.maintenance.check() == []


def test_a_write_may_last_longer_than_arrivals_say_in_one_row(tmp_path):
    clock, found = Clock(), []

    def feed():
        yield bars(3)
        clock.now += LONG_AGO

    for name in ("ours", "alone"):
        clock.now = START / 1000 + 3_600
        with (
            mdstore.MarketDataStore(tmp_path / f"{name}.sqlite3", clock=clock) as store,
            ExitStack() as stack,
        ):
            fed(store, 3)
            if name == "alone":
                stack.enter_context(one_by_one())
            store.write_many(feed(), timeframe="1m", source="feed")
            assert store.maintenance.check() == []
        found.append(tables(tmp_path / f"{name}.sqlite3"))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE series SET rows = rows + 1 WHERE symbol = 'B'",
        "UPDATE series SET last = last - 60000 WHERE symbol = 'B'",
        "UPDATE digests SET series = series + 1 WHERE symbol = 'B'",
        "DELETE FROM digests WHERE symbol = 'B'",
    ],
)
def test_next_bars_are_not_added_to_a_damaged_catalogue(tmp_path, damage):
    path = tmp_path / "s.sqlite3"
    with mdstore.open(path) as store:
        fed(store, 3)
    con = apsw.Connection(str(path))
    con.execute(damage)
    con.close()
    before = tables(path)
    with mdstore.open(path) as store, pytest.raises(DamagedDataError, match="B 1m"):
        fed(store, 1, first=3)
    assert tables(path) == before


def test_damage_to_a_bar_is_noticed_after_the_next(tmp_path):
    """The digest of its bucket is carried on, not made anew of what is there."""
    path = tmp_path / "s.sqlite3"
    with mdstore.open(path) as store:
        fed(store, 3)
    con = apsw.Connection(str(path))
    con.execute(
        "UPDATE candles SET close = close + 0.5, high = high + 1 WHERE symbol = 'B' AND timestamp = ?",
        (START,),
    )
    con.close()
    with mdstore.open(path) as store:
        fed(store, 1, first=3)
        with pytest.raises(DamagedDataError, match="B 1m"):
            store.candles("B", "1m")


def test_more_series_than_hashes_are_remembered_of(tmp_path):
    names = [f"S{number:03}" for number in range(250)]
    with (
        patch("mdstore.candles.file.carried.MOST_HASHES", 100),
        mdstore.open(tmp_path / "s.sqlite3") as store,
    ):
        for at in range(4):
            store.write_many(bars(at, symbols=names), timeframe="1m", source="feed")
        assert store.maintenance.check() == []
        assert store.series()["rows"].to_list() == [4] * 250


def test_many_next_bars_begin_another_row_of_arrivals(tmp_path):
    for name in ("ours", "alone"):
        with mdstore.open(tmp_path / f"{name}.sqlite3") as store, ExitStack() as stack:
            if name == "alone":
                stack.enter_context(one_by_one())
            fed(store, 2 * MOST_LAGS + 3)
            assert store.maintenance.check() == []
    ours, alone = (tables(tmp_path / f"{name}.sqlite3") for name in ("ours", "alone"))
    assert len(ours["arrivals"]) == len(alone["arrivals"]) == 2 * 4
