"""Rows go in in any form and come out as they were; which columns, which nulls."""

import math
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import mdstore
from mdstore import (
    Depth,
    InvalidInputError,
    Ticker,
    Trade,
)
from mdstore.realtime.limits import ORDERBOOKS, TICKERS, TRADES
from tests.support.realtime import MS, NAMES, NOW, ids, trade


def test_a_trade_comes_back_as_it_went_in_whatever_form_it_had(cache, clock):
    forms = [
        trade(key=1),
        dict(zip(NAMES, trade(key=2), strict=True)),
        Trade(*trade(key=3)),
        [trade(key=4)],
        pl.DataFrame([trade(key=5)], schema=NAMES, orient="row"),
        pa.table(pl.DataFrame([trade(key=6)], schema=NAMES, orient="row").to_arrow()),
        pd.DataFrame([trade(key=7)], columns=list(NAMES)),
        {name: [value] for name, value in zip(NAMES, trade(key=8), strict=True)},
        (*trade(key="9"), True, NOW * MS),  # a text of digits, a snapshot, a time of receipt
        ("KRW-BTC", datetime.fromtimestamp(NOW / 1000, UTC), Decimal(100), 1, "buy", np.int64(10)),
    ]
    for form in forms:
        assert cache.trades.push(form) == 1
    frame = cache.trades.window("KRW-BTC")
    assert ids(frame) == list(range(1, 11))
    assert frame["price"].to_list() == [100.0] * 10
    assert frame["snapshot"].to_list() == [False] * 8 + [True, False]
    assert frame["received"].dt.epoch("ns").to_list() == [NOW * MS] * 10
    assert cache.trades.latest("KRW-BTC") == Trade(
        "KRW-BTC", NOW, 100.0, 1.0, "buy", 10, snapshot=False, received=NOW * MS
    )


def test_the_schemas_are_those_of_the_contract(cache):
    cache.tickers.push(Ticker("KRW-BTC", NOW, 1.0, bid=0.5))
    cache.orderbooks.push(Depth("KRW-BTC", NOW, [2.0, 1.0], [1, 1], [3.0], [1]))
    cache.trades.push(trade())
    for kind in (TICKERS, ORDERBOOKS, TRADES):
        table = cache.tables[kind.name]
        assert table.arrow("KRW-BTC").schema == kind.packing.schema
        assert table.arrow().schema.names == ["symbol", *kind.packing.schema.names]
        assert table.window(None).columns == table.snapshot().columns == table.arrow().schema.names
        assert table.window("nobody").schema == table.window("KRW-BTC").schema
        assert len(table.window("nobody")) == len(table.window(["nobody"])) == 0
        assert table.arrow("KRW-BTC").validate(full=True) is None


def test_what_is_missing_is_null(cache):
    cache.tickers.push({"symbol": "A", "timestamp": NOW, "price": 1.0, "bid": math.nan, "high": 2.0})
    row = cache.tickers.window("A").row(0, named=True)
    assert [name for name, value in row.items() if value is not None] == [
        "timestamp", "price", "high", "snapshot", "received",
    ]  # fmt: skip
    assert cache.tickers.latest("A").bid is None
    cache.trades.push(("A", NOW, 1.0, 1.0))
    assert cache.trades.window("A").row(0)[3:5] == (None, None)
    assert cache.trades.latest("A")[4:6] == (None, None)
    frame = pl.DataFrame({"symbol": ["F"] * 70, "timestamp": range(NOW - 70, NOW), "price": 1.0, "size": 2.0})
    assert cache.trades.push(frame) == 70
    assert cache.trades.window("F").row(-1)[1:6] == (1.0, 2.0, None, None, False)
    assert cache.trades.latest("F") == Trade("F", NOW - 1, 1.0, 2.0, received=NOW * MS)
    assert cache.tickers.push(frame.select("symbol", "timestamp", "price", high=pl.lit(3))) == 70
    assert cache.tickers.latest("F") == Ticker("F", NOW - 1, 1.0, high=3.0, received=NOW * MS)
    assert cache.tickers.window("F")["open"].null_count() == 70
    cache.orderbooks.push(("A", NOW, [], [], [1.5], [2.0]))
    assert cache.orderbooks.latest("A")[2:8] == ((), (), (1.5,), (2.0,), None, None)
    assert cache.orderbooks.window("A")["bid_prices"].to_list() == [[]]


def test_order_books_of_any_depth_keep_their_levels(cache, clock):
    books = []
    for depth in (0, 1, 30, 7, 15, 30):
        clock.ms += 1
        bids = [100.0 - level for level in range(depth)]
        asks = [101.0 + level for level in range(30 - depth)]
        sizes = [0.5 + level for level in range(30)]
        books.append(Depth("A", clock.ms, bids, sizes[:depth], asks, sizes[: len(asks)], 5.0, None))
        cache.orderbooks.push(books[-1])
    frame = cache.orderbooks.window("A")
    for name in ("bid_prices", "bid_sizes", "ask_prices", "ask_sizes"):
        assert frame[name].to_list() == [list(getattr(book, name)) for book in books]
    assert frame["total_bid_size"].to_list() == [5.0] * 6
    assert frame["total_ask_size"].null_count() == 6


def test_a_frame_of_order_books_can_be_pushed(cache):
    frame = pl.DataFrame({
        "symbol": ["A", "B"], "timestamp": [NOW, NOW],
        "bid_prices": [[1.0], [2.0, 1.0]], "bid_sizes": [[1.0], [1.0, 1.0]],
        "ask_prices": [[3.0], []], "ask_sizes": [[1.0], []],
    })  # fmt: skip
    assert cache.orderbooks.push(frame) == 2
    assert cache.orderbooks.snapshot()["bid_prices"].to_list() == [[1.0], [2.0, 1.0]]


def test_a_window_is_the_last_seconds_and_the_last_rows(cache, clock):
    for second in range(20):
        cache.trades.push(trade(second * 1000 - 19_000, key=second))
    assert ids(cache.trades.window("KRW-BTC", seconds=5)) == [15, 16, 17, 18, 19]
    assert ids(cache.trades.window("KRW-BTC", rows=3)) == [17, 18, 19]
    assert ids(cache.trades.window("KRW-BTC", seconds=2, rows=3)) == [18, 19]
    cache.trades.push(trade(symbol="A"))
    long = cache.trades.window(rows=2)
    assert long["symbol"].to_list() == ["A", "KRW-BTC", "KRW-BTC"]
    assert cache.trades.snapshot()["id"].to_list() == [1, 19]
    assert cache.trades.snapshot(["KRW-BTC"])["id"].to_list() == [19]


@pytest.mark.parametrize(
    ("data", "word"),
    [
        ({"symbol": "A", "timestamp": NOW, "amount": 1.0}, "is it size"),
        ({"symbol": "A", "datetime": NOW}, "is it timestamp"),
        (["KRW-BTC", NOW, 1.0, 1.0], "a list is a batch"),
    ],
)
def test_names_of_other_tools_are_answered_with_ours(cache, data, word):
    with pytest.raises(InvalidInputError, match=word):
        cache.trades.push(data)


def test_sides_may_be_shouted(cache):
    rows = [("A", NOW, 1.0, 1.0, "BUY", 1), ("A", NOW, 1.0, 1.0, "Sell", 2)]
    cache.trades.push(rows[:1])
    cache.trades.push(pl.DataFrame(rows, schema=NAMES, orient="row"))
    assert cache.trades.window("A")["side"].to_list() == ["buy", "sell"]


@pytest.mark.parametrize("rows", ['{"type":"trade"}', {"type": "trade"}, None, [5], [("A", NOW)]])
def test_what_is_no_row_of_a_feed_is_refused(cache, rows):
    with pytest.raises(InvalidInputError):
        cache.push(rows)


def test_rows_of_a_feed_go_where_they_belong(cache, clock):
    cache.live.build("1m", from_start=True)
    cache.push(Trade("A", NOW, 1.0, 1.0))
    cache.push([
        Ticker("A", NOW, 1.0),
        Depth("A", NOW, [1.0], [1.0], [2.0], [1.0]),
        mdstore.Kline("B", "1m", NOW // 60_000 * 60_000, 1.0, 1.0, 1.0, 1.0, 1.0, closed=False),
    ])  # fmt: skip
    assert [len(table) for table in cache.tables.values()] == [1, 1, 1]
    assert cache.live.frame(None, "1m")["symbol"].to_list() == ["A", "B"]
