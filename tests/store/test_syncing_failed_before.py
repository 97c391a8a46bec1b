"""What was asked for and failed before the first stored bar: it is known, shown, and asked for later."""

import polars as pl
import pytest

from mdstore.errors import NoSuchSeriesError
from tests.support.fake_exchange import FakeExchange, at, bars
from tests.support.upstream import Clock


@pytest.fixture
def clock():
    return Clock.behind(1_000)


def failed(store, clock):
    """Have a sync from the beginning on fail before its first bar."""
    source = FakeExchange({("A", "1m"): bars(1_200)}, clock, plan=["fail"] * 50, knows_first=False)
    assert store.sync(source, "A", "1m", since=at(0), until=at(900)).failed
    source.plan.clear()
    return source


def test_it_is_asked_for_by_a_later_sync_without_a_start(store, clock):
    source = failed(store, clock)
    store.write("A", "1m", bars(1_000)[990:], source="live")
    assert store.sync(source, "A", "1m").failed == {}
    assert len(store.candles("A", "1m")) == 1_000
    assert store.coverage()["complete"].to_list() == [1.0]


def test_it_is_so_where_no_bar_is_stored(store, clock):
    source = failed(store, clock)
    result = store.sync(source, ["A", "B"], "1m")
    assert len(store.candles("A", "1m")) == 1_000
    assert isinstance(result.failed["B", "1m"], NoSuchSeriesError)


def test_gaps_and_missing_show_it(store, clock):
    failed(store, clock)
    store.write("A", "1m", bars(1_000)[990:], source="live")
    reasons = store.gaps("A", "1m").group_by("reason").agg(pl.col("bars").sum())
    assert dict(reasons.rows()) == {"fetch_failed": 200, "unknown": 790}
    assert store.missing("A", "1m").rows()[0][0].timestamp() * 1000 == at(0)
    assert store.missing("A", "1m")["bars"].sum() == 990
    whole = store.coverage().row(0, named=True)
    assert (whole["bars"], whole["missing"], whole["complete"]) == (10, 990, 0.01)


def test_what_the_exchange_has_not_is_asked_for_once(store, clock):
    """A later answer takes the place of the failure, and the series begins with its first bar again."""
    source = failed(store, clock)
    source.truth["A", "1m"] = bars(1_000)[500:]
    source.knows_first = True
    store.sync(source, "A", "1m")
    assert len(store.candles("A", "1m")) == 500
    assert store.gaps("A", "1m").is_empty()
    before = source.requests
    source.settles = 0
    store.sync(source, "A", "1m")
    assert source.requests - before <= 1  # the bars that were unsettled


def test_an_open_range_that_failed_says_nothing_of_where_it_begins(store):
    store.cover("A", "1m", end=at(5), reason="fetch_failed", source="mine")
    store.write("A", "1m", bars(10), source="mine")
    assert store.gaps("A", "1m").is_empty()
    with pytest.raises(NoSuchSeriesError):
        store.missing("B", "1m")
