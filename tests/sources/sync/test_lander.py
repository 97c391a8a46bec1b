"""Pages that wait land together: in any order, of any size, with what each of them proves."""

import asyncio
import random

import polars as pl
import pytest

import mdstore
from mdstore.core.timeframe import Timeframe
from mdstore.errors import InvalidInputError
from mdstore.sources.sync.coordinator import Page
from mdstore.sources.sync.lander import MOST_WAITING, Arrived, Lander
from mdstore.store.store_place import StorePlace
from tests.support.candles import MINUTE

START = 1_700_000_040_000
MINUTELY = Timeframe.parse("1m")
FINAL = 2**62


def page(place, size, *, symbol="A", rows=None, absent="no_trade"):
    low, high = START + place * size * MINUTE, START + (place + 1) * size * MINUTE
    if rows is None:
        times = pl.int_range(low, high, MINUTE, eager=True).alias("timestamp")
        one = pl.Series([1.0 + place]).new_from_index(0, len(times))
        values = {"open": one, "high": one + 1, "low": one - 0.5, "close": one, "volume": one}
        rows = pl.DataFrame([times, *(values[name].alias(name) for name in values)])
    return Arrived(symbol, MINUTELY, Page(low, high, rows, absent), (low, high), FINAL)


def landed(store, pages):
    """Land pages together, and return what came of each."""

    async def land():
        lander = Lander(StorePlace(store._candles, store._declared, store._now), "test")
        futures = [await lander.put(one) for one in pages]
        await lander.at_rest()
        return [future.exception() or future.result() for future in futures]

    return asyncio.run(land())


@pytest.mark.parametrize("size", [1, 200, 20_000])
def test_pages_land_in_any_order_and_every_row_is_under_its_digest(store, size):
    """60,000 rows are checked in more than one piece: once they were not in order behind that."""
    pages = [page(place, size) for place in range(4)]
    done = landed(store, pages[::-1])
    assert [one.range for one in done] == [(one.page.start, one.page.end) for one in pages[::-1]]
    assert store.maintenance.check() == []
    there = store.candles("A", "1m")
    assert len(there) == 4 * size
    assert there["timestamp"].is_sorted()
    assert store.missing("A", "1m", end=START + 4 * size * MINUTE).is_empty()


def test_more_pages_than_wait_at_once_land_in_few_transactions(store):
    order = list(range(3 * MOST_WAITING))
    random.Random(7).shuffle(order)
    before = store._candles.revision()
    landed(store, [page(place, 20, symbol=f"S{place % 5}") for place in order])
    assert len(store.series()) == 5
    assert store.series()["rows"].sum() == 3 * MOST_WAITING * 20
    assert store.maintenance.check() == []
    assert store._candles.revision() > before


def test_a_page_that_is_none_fails_alone(store):
    wrong = page(1, 100, rows=page(7, 100).page.rows)  # of another range
    done = landed(store, [page(0, 100), wrong, page(2, 100)])
    assert isinstance(done[1], InvalidInputError)
    assert [store.gaps("A", "1m").select("bars", "reason").rows()] == [[(100, "unknown")]]
    assert len(store.candles("A", "1m")) == 200


def test_an_empty_page_says_why_there_is_nothing(store):
    landed(store, [page(0, 10, rows=[], absent="before_listing"), page(1, 10), page(2, 10, rows=[])])
    span = {"start": START, "end": START + 30 * MINUTE}
    assert store.gaps("A", "1m", **span)["reason"].to_list() == ["before_listing", "no_trade"]


def test_of_a_bar_in_two_pages_the_later_one_counts(store):
    again = page(0, 10)
    later = again.page.rows.with_columns(volume=pl.lit(99.0))
    landed(store, [again, page(0, 10, rows=later), page(1, 10)])
    assert store.candles("A", "1m")["volume"].to_list() == [99.0] * 10 + [2.0] * 10
    assert store.maintenance.check() == []


def test_what_the_store_cannot_take_is_told_of_all(tmp_path):
    store = mdstore.open(tmp_path / "market_data.sqlite3")
    place = StorePlace(store._candles, store._declared, store._now)
    store.close()

    async def land():
        lander = Lander(place, "test")
        future = await lander.put(page(0, 10))
        await lander.at_rest()
        return future.exception()

    assert "closed" in str(asyncio.run(land()))
