"""A page with bad rows proves nothing of their bars, and all the rest that it would have proven."""

import pytest

from mdstore import FunctionCoordinator, ValidationError
from mdstore.core.timeframe import Timeframe
from mdstore.sources.sync.coordinator import Page
from mdstore.sources.sync.page_proof import FEW_BAD, proven
from tests.support.candles import MINUTE, START

MINUTES = Timeframe.parse("1m")


def at(minute):
    return START + minute * MINUTE


def rows(low, high, bad=()):
    """Return rows of minutes, a high below the low in those that are bad."""
    return [(at(one), 1.0, 0.1 if one in bad else 3.0, 0.5, 2.0, 10.0) for one in range(low, high)]


def worth(given, high=30, most=100):
    page = Page(at(0), at(high), given)
    return proven(page, "A", MINUTES, most, (at(1_000), 0))


def minutes(times):
    return [(time - START) // MINUTE for time in times]


def test_the_bars_of_bad_rows_are_named_and_the_range_stays():
    good = worth(rows(0, 20, bad=(0, 7, 19)))
    assert (good.start, good.end) == (at(0), at(30))
    assert minutes(good.rows["timestamp"]) == [one for one in range(20) if one not in (0, 7, 19)]
    assert minutes(good.bad["time"]) == [0, 7, 19]
    left = good.without(good.rows["timestamp"].head(3).append(good.bad["time"].head(1)))
    assert minutes(left.rows["timestamp"])[0] == 4
    assert minutes(left.bad["time"]) == [7, 19]
    assert (left.start, left.end) == (good.start, good.end)


def test_a_full_page_ends_with_its_rows_whether_they_are_bad_or_not():
    good = worth(rows(5, 10, bad=(5, 9)), most=5)
    assert (good.start, good.end) == (at(5), at(10))
    all_bad = worth(rows(5, 10, bad=range(5, 10)), most=5)
    assert (all_bad.start, all_bad.end, len(all_bad.rows)) == (at(5), at(10), 0)


def test_bad_rows_beyond_the_range_are_of_no_bar_that_was_asked_for():
    good = worth(rows(0, 12, bad=(11,)), high=10)
    assert good.bad.is_empty()
    assert len(good.rows) == 10


@pytest.mark.parametrize(
    "given", [rows(0, 30, bad=range(FEW_BAD + 6)), [(at(0) + 1, *rows(0, 1)[0][1:]), *rows(1, 20)]]
)
def test_most_rows_bad_or_one_off_the_grid_is_no_page(given):
    with pytest.raises(ValidationError):
        worth(given)


def test_a_sync_sets_a_bad_row_aside_and_asks_for_its_bar_again(store):
    wrong = {7}
    source = FunctionCoordinator(
        lambda symbol, timeframe, low, high: [row for row in rows(0, 30, bad=wrong) if low <= row[0] < high],
        name="exchange",
    )
    store.sync(source, "A", "1m", since=at(0), until=at(30))
    assert len(store.candles("A", "1m")) == 29
    assert store.quarantine()["rule"].len() == 1
    assert store.missing("A", "1m", start=at(0), end=at(30))["bars"].to_list() == [1]
    wrong.clear()
    store.sync(source, "A", "1m", since=at(0), until=at(30))
    assert len(store.candles("A", "1m")) == 30
