"""Rows and options that cannot be: refused by name, and the ring is unharmed."""

import math

import polars as pl
import pytest

from mdstore import (
    InvalidInputError,
    RealtimeDataCache,
    ValidationError,
)
from tests.support.realtime import NAMES, NOW


class Weird:
    """Nothing that a row could hold."""


FLOAT_TIME = {
    "timestamp": float(NOW)
}  # a column of floats holds times: pandas makes them of integers with gaps
BAD = [
    ("trades", {"price": math.nan}, "price", "finite"),
    ("trades", {"price": math.inf}, "price", "finite"),
    ("trades", {"price": None}, "price", "number"),
    ("trades", {"price": "100"}, "price", "number"),
    ("trades", {"price": Weird()}, "price", "number"),
    ("trades", {"price": 10**400}, "price", "."),
    ("trades", {"size": -1.0}, "size", "size >= 0"),
    ("trades", {"size": math.nan}, "size", "finite"),
    ("trades", {"side": "BID"}, "side", "'buy', the taker's side"),
    ("trades", {"side": 1}, "side", "'buy', 'sell'"),
    ("trades", {"id": 1.5}, "id", "whole number"),
    ("trades", {"id": 2**63}, "id", "64 bits"),
    ("trades", {"id": "abc"}, "id", "whole number"),
    ("trades", {"symbol": ""}, "symbol", "symbol"),
    ("trades", {"symbol": None}, "symbol", "symbol"),
    ("trades", {"symbol": 5}, "symbol", "."),
    ("trades", {"timestamp": NOW + 61_000}, "timestamp", "61 s ahead"),
    ("trades", {"timestamp": 20250101}, "timestamp", "unit"),
    ("trades", FLOAT_TIME, "timestamp", "."),
    ("trades", {"timestamp": "yesterday"}, "timestamp", "ISO"),
    ("trades", {"timestamp": "1999-01-01"}, "timestamp", "2000 or later"),
    ("trades", {"snapshot": 1}, "snapshot", "True or False"),
    ("trades", {"received": 5}, "received", "nanoseconds"),
    ("trades", {"amount": 5}, "amount", "fields are"),
    ("tickers", {"price": math.nan}, "price", "finite"),
    ("tickers", {"bid": math.inf}, "bid", "finite"),
    ("tickers", {"bid_size": -1.0}, "bid_size", ">= 0"),
    ("tickers", {"volume_24h": "5"}, "volume_24h", "number"),
    ("tickers", {"size": 1.0}, "size", "fields are"),
    ("orderbooks", {"bid_prices": [1.0] * 10_000}, "bid_prices", "30 levels, not 10,000"),
    ("orderbooks", {"bid_prices": [1.0, 2.0], "bid_sizes": [1.0, 1.0]}, "bid_prices", "best first"),
    ("orderbooks", {"ask_prices": [3.0, 2.0], "ask_sizes": [1.0, 1.0]}, "ask_prices", "best first"),
    ("orderbooks", {"ask_sizes": [1.0, 1.0]}, "ask_sizes", "as long as ask_prices"),
    ("orderbooks", {"ask_sizes": [-1.0]}, "ask_sizes", ">= 0"),
    ("orderbooks", {"ask_sizes": 5}, "ask_sizes", "list"),
    ("orderbooks", {"ask_prices": [math.nan]}, "ask_prices", "finite"),
]
GOOD = {
    "trades": {"symbol": "A", "timestamp": NOW, "price": 1.0, "size": 1.0, "side": "buy", "id": 1},
    "tickers": {"symbol": "A", "timestamp": NOW, "price": 1.0},
    "orderbooks": {
        "symbol": "A", "timestamp": NOW, "bid_prices": [1.0], "bid_sizes": [1.0],
        "ask_prices": [2.0], "ask_sizes": [1.0],
    },
}  # fmt: skip


@pytest.mark.parametrize(("name", "change", "field", "rule"), BAD)
def test_bad_rows_are_refused_by_name_and_the_ring_is_unharmed(cache, name, change, field, rule):
    table, good = cache.tables[name], GOOD[name]
    table.push(good)
    before, stats = table.window("A"), table.stats()
    for data, row in (
        (good | change, 0),
        ([good, good | change], 1),
        ([good | {"symbol": "B"}, good | change], 1),
    ):
        with pytest.raises(ValidationError, match=rule) as caught:
            table.push(data)
        assert caught.value.column == field
        assert caught.value.row == row
        assert "Nothing was taken" in str(caught.value)
    assert table.window("A").equals(before)
    assert table.stats() == stats


@pytest.mark.parametrize(
    ("name", "change", "field", "rule"),
    [bad for bad in BAD if bad[0] != "orderbooks" and bad[1] != FLOAT_TIME],
)
def test_bad_columns_are_refused_by_name_and_the_ring_is_unharmed(cache, name, change, field, rule):
    table, good = cache.tables[name], GOOD[name]
    table.push(good)
    before, stats = table.window("A"), table.stats()
    bad = good | change
    columns = {key: [value] for key, value in bad.items()}
    with pytest.raises(InvalidInputError) as caught:
        table.push(columns)
    if isinstance(caught.value, ValidationError):
        assert caught.value.column == field
    assert table.window("A").equals(before)
    assert table.stats() == stats


@pytest.mark.parametrize("data", [5, "KRW-BTC", b"x", None, [5], ["KRW-BTC"], (), {}, [[]], Weird(), [None]])
def test_what_is_no_row_is_refused(cache, data):
    with pytest.raises(InvalidInputError):
        cache.trades.push(data)
    assert cache.trades.stats()["pushed"] == 0


def test_an_empty_batch_is_nothing(cache):
    assert cache.trades.push([]) == 0
    assert (
        cache.trades.push(
            pl.DataFrame(schema=dict.fromkeys(NAMES, pl.Int64) | dict.fromkeys(("symbol", "side"), pl.String))
        )
        == 0
    )
    assert cache.trades.window().is_empty()
    assert cache.trades.snapshot().is_empty()


@pytest.mark.parametrize(
    "options",
    [{"ttl": 0}, {"ttl": math.nan}, {"ttl": "5"}, {"rows": 0}, {"rows": 1.5}, {"bytes": -1}, {"colour": 1}],
)
def test_bad_options_are_refused(options):
    with pytest.raises(InvalidInputError, match=next(iter(options))):
        RealtimeDataCache(trades=options)


@pytest.mark.parametrize("arguments", [{"seconds": 0}, {"seconds": math.nan}, {"rows": 0}, {"rows": True}])
def test_bad_windows_are_refused(cache, arguments):
    with pytest.raises(InvalidInputError, match=next(iter(arguments))):
        cache.trades.window("A", **arguments)
