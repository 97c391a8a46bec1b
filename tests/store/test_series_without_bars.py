"""Series that were asked for, and of which no bar came: they are holes as a whole, and listed."""

import pytest

from mdstore import FunctionCoordinator
from mdstore.errors import NoSuchSeriesError
from tests.support.fake_exchange import FakeExchange, at, bars
from tests.support.upstream import Clock


@pytest.fixture
def clock():
    return Clock.behind(1_000)


@pytest.fixture
def asked(store, clock):
    """A store in which A has bars, B was asked for and has none, and of C all that was asked for failed."""
    store.write("A", "1m", bars(3, without=(1,)))
    nothing = FunctionCoordinator(lambda *_: [], name="mine")
    assert store.sync(nothing, "B", "1m", since=at(0), until=at(500)).failed == {}
    failing = FakeExchange({("C", "1m"): bars(900)}, clock, plan=["fail"] * 99)
    assert store.sync(failing, "C", "1m", since=at(100), until=at(200)).failed
    return store


def holes(frame):
    return [
        (row["symbol"], row["start"], row["end"], row["bars"], row["reason"], row["source"])
        for row in frame.with_columns(frame["start"].dt.epoch("ms"), frame["end"].dt.epoch("ms")).iter_rows(
            named=True
        )
    ]


A = ("A", at(1), at(2), 1, "unknown", None)
B = ("B", at(0), at(500), 500, "unknown", "mine")
C = ("C", at(100), at(200), 100, "fetch_failed", "fake")


def test_each_is_one_hole_with_its_reason(asked):
    assert holes(asked.gaps(None, "1m")) == [A, B, C]
    assert holes(asked.gaps(["C", "A"], "1m")) == [A, C]
    one = asked.gaps("C", "1m")
    assert one.columns[0] == "start"
    assert one.select("bars", "reason").rows() == [(100, "fetch_failed")]


def test_a_range_is_heeded(asked):
    within = asked.gaps(None, "1m", start=at(150), end=at(160))
    assert [(row[0], row[3]) for row in holes(within)] == [("A", 10), ("B", 10), ("C", 10)]


def test_coverage_lists_them_behind_the_others(asked):
    rows = asked.coverage().select(
        "symbol", "timeframe", "first", "bars", "missing", "fetch_failed", "unknown"
    )
    assert rows["symbol"].to_list() == ["A", "B", "C"]
    assert rows.rows()[1:] == [("B", "1m", None, 0, 0, 0, 500), ("C", "1m", None, 0, 100, 100, 0)]


def test_it_is_an_ordinary_series_once_a_bar_has_come(asked):
    asked.write("B", "1m", [(at(3), 1, 2, 1, 2, 5)])
    assert asked.gaps("B", "1m").is_empty()
    asked.delete("B", "1m")
    with pytest.raises(NoSuchSeriesError):
        asked.gaps("B", "1m")
    with pytest.raises(NoSuchSeriesError):
        asked.gaps(["A", "NOBODY"], "1m")


def test_what_is_said_without_an_end_has_none(store):
    store.cover("D", "1m", end=at(0), reason="before_listing")
    assert store.gaps("D", "1m").is_empty()
    store.cover("D", "1m", start=at(0), end=at(5), reason="no_trade")
    assert store.gaps("D", "1m").select("bars", "reason").rows() == [(5, "no_trade")]
