"""Recorded messages of Binance as rows: how many, which values, and what a broken one says."""

import json
from collections import Counter

import pytest

from mdstore.errors import InvalidInputError
from mdstore.realtime.rows import Depth, Kline, Ticker, Trade
from mdstore.sources.exchanges.binance import BinanceFeed
from mdstore.sources.recordings.recording import messages
from tests.support.exchange_messages import DAY, KLINE, TRADE, diff, kinds, snapshot
from tests.support.real import real


@pytest.fixture(scope="module")
def spot():
    """Each message of the spot recording, parsed, with the rows it gave."""
    feed = BinanceFeed()
    return [
        (json.loads(message.text), feed.rows(message.text, message.received, symbol="BTCUSDT"))
        for message in messages(real("binance_spot", "btcusdt_20240808.gz"))
    ]


def test_spot_counts(spot):
    tickers = [m for m, _ in spot if m.get("stream") == "btcusdt@bookTicker"]
    assert (len(spot), len(tickers)) == (41_249, 28_040)
    counts = kinds(row for _, rows in spot for row in rows)
    # The first bookTicker came before a price was known; three diffs waited for the snapshot, which is a row.
    assert counts == {"Trade": 9_757, "Ticker": 28_039, "Depth": 3_451 - 3 + 1}


def of(found, kind):
    return [row for _, rows in found for row in rows if isinstance(row, kind)]


def test_spot_trades_are_what_was_sent(spot):
    for sent, rows in spot:
        if sent.get("stream") == "btcusdt@trade":
            ((symbol, timestamp, price, size, side, number, snapshot, received),) = rows
            data = sent["data"]
            assert (symbol, timestamp, number, snapshot) == ("BTCUSDT", data["T"], data["t"], False)
            assert (price, size) == (float(data["p"]), float(data["q"]))
            assert side == ("sell" if data["m"] else "buy")
            assert received > 1723161253 * 10**9
    ids = [row.id for row in of(spot, Trade)]
    assert ids == list(range(ids[0], ids[0] + len(ids)))


def test_spot_takers_trade_at_the_best_price(spot):
    """Sides are the taker's: a buy trades at the last ask that bookTicker had, a sell at the last bid.

    Not each does, since bookTicker often comes before the trade that moved it; but seven times as many as
    trade at the best price of the other side.
    """
    best, same, other = None, 0, 0
    for sent, rows in spot:
        if sent.get("stream") == "btcusdt@bookTicker":
            best = {"sell": float(sent["data"]["b"]), "buy": float(sent["data"]["a"])}
        elif sent.get("stream") == "btcusdt@trade" and best:
            side = rows[0].side
            same += rows[0].price == best[side]
            other += rows[0].price == best["buy" if side == "sell" else "sell"]
    assert (same, other) == (3_651, 513)


def test_spot_tickers_hold_the_last_trade_and_the_best_of_the_book(spot):
    price = None
    for sent, rows in spot:
        if sent.get("stream") == "btcusdt@trade":
            price = rows[0].price
        elif sent.get("stream") == "btcusdt@bookTicker" and price is not None:
            (row,) = rows
            data = sent["data"]
            assert row.price == price
            assert (row.bid, row.bid_size, row.ask, row.ask_size) == tuple(float(data[k]) for k in "bBaA")
            # Spot's bookTicker has no time of its own; the exchange's clock, by its trades, was ahead.
            assert row.timestamp >= row.received // 1_000_000
            assert row.best_age is None


def test_spot_depths(spot):
    depths = of(spot, Depth)
    assert [row.snapshot for row in depths] == [True] + [False] * (len(depths) - 1)
    times = [row.timestamp for row in depths]
    assert times == sorted(times)
    # The snapshot has no time; the last diff that had waited for it has.
    assert times[0] == 1723161255408
    assert all(len(row.bid_prices) == len(row.ask_prices) == 30 for row in depths)
    assert all(row.bid_prices[0] < row.ask_prices[0] for row in depths)


@pytest.fixture(scope="module")
def futures():
    """Each message of the futures recordings with its rows; snapshots are given as they were asked for."""
    feed, found = BinanceFeed("futures"), []
    files = ("BINANCE_FUTURES.ws.1.0", "BINANCE_FUTURES.http.0.0")
    for message in messages(*(real("binance_futures_stream", file) for file in files)):
        symbol = (message.url or "").partition("symbol=")[2].partition("&")[0]
        rows = feed.snapshot if symbol else feed.rows
        args = (symbol,) if symbol else ()
        found.append((json.loads(message.text), rows(*args, message.text, message.received)))
    assert feed.needs_snapshot() == []
    return found


def test_futures_counts(futures):
    events = Counter(sent["data"]["e"] for sent, _ in futures if "data" in sent)
    assert events == {"depthUpdate": 764, "bookTicker": 613, "aggTrade": 91, "kline": 67}
    counts = kinds(row for _, rows in futures for row in rows)
    assert (counts["Trade"], counts["Kline"]) == (91, 67)
    # Each of the four books starts with a snapshot that its waiting diffs reach past.
    depths = of(futures, Depth)
    assert Counter(row.symbol for row in depths if row.snapshot) == dict.fromkeys(
        ("SUSHIUSDT", "AKROUSDT", "KEEPUSDT", "CTKUSDT"), 1
    )
    waited = sum(sent.get("data", {}).get("e") == "depthUpdate" and not rows for sent, rows in futures)
    assert (len(depths), waited) == (4 + 764 - waited, 764 + 4 - len(depths))
    assert 4 <= waited < 40


def test_futures_klines(futures):
    rows = of(futures, Kline)
    assert {row.timeframe for row in rows} == {"1m"}
    assert {row.timestamp for row in rows} == {1626992700000, 1626992760000}
    closed = [row for row in rows if row.closed]
    assert (
        len(closed) == sum(sent["data"]["k"]["x"] for sent, _ in futures if "k" in sent.get("data", {})) > 0
    )
    first = rows[0]
    assert first[:9] == ("CTKUSDT", "1m", 1626992700000, 1.01, 1.011, 1.01, 1.011, 3917.0, False)


def test_futures_trades_and_tickers(futures):
    trade = of(futures, Trade)[0]
    assert trade[:6] == ("CTKUSDT", 1626992741421, 1.011, 10.0, "buy", 16599292)
    # A symbol has tickers only once it has traded.
    traded = set()
    for sent, rows in futures:
        data = sent.get("data", {})
        if data.get("e") == "aggTrade":
            traded.add(data["s"])
        elif data.get("e") == "bookTicker":
            assert [row.timestamp for row in rows] == ([data["E"]] if data["s"] in traded else [])


def test_books_ask_for_snapshots_and_say_when_they_have_one():
    feed = BinanceFeed()
    assert feed.rows(diff(5, 6)) == feed.rows(diff(1, 1, symbol="Y")) == []
    assert feed.needs_snapshot() == ["X", "Y"]
    assert feed.rows(snapshot(2), symbol="X") == []  # too old
    assert feed.needs_snapshot() == ["X", "Y"]
    (first,) = feed.rows(snapshot(5), symbol="X")
    (second,) = feed.rows(diff(7, 7, [("11", "2")]))
    assert [(row.timestamp, row.snapshot) for row in (first, second)] == [(1006, True), (1007, False)]
    assert (second.bid_prices, second.bid_sizes) == ([11.0, 10.0], [2.0, 1.0])
    assert feed.rows(diff(6, 7)) == []  # old
    assert feed.rows(diff(9, 9)) == []  # a hole
    assert feed.needs_snapshot() == ["X", "Y"]
    (again,) = feed.snapshot("X", json.dumps(snapshot(8)), 7)
    assert (again.timestamp, again.snapshot, again.received) == (1009, True, 7)
    assert feed.needs_snapshot() == ["Y"]


def test_a_snapshot_without_a_time_is_shown_when_it_has_one():
    feed = BinanceFeed()
    assert feed.snapshot("X", snapshot(5)) == []
    (row,) = feed.rows(diff(6, 6))
    assert row.snapshot
    (row,) = BinanceFeed().snapshot("X", snapshot(5), 9_000_000)
    assert (row.timestamp, row.snapshot) == (9, True)
    (row,) = BinanceFeed("futures").snapshot("X", snapshot(5, E=77), 9_000_000)
    assert row.timestamp == 77


def test_a_book_may_be_empty_and_still_be_the_same_book():
    feed = BinanceFeed()
    feed.snapshot("X", snapshot(5, bids=[], asks=[]), 1)
    (row,) = feed.rows(diff(6, 6))
    assert (row.bid_prices, row.snapshot, feed.needs_snapshot()) == ([], False, [])


def test_futures_diffs_chain_by_name():
    feed = BinanceFeed("futures")
    feed.snapshot("X", snapshot(100, E=1), 1)
    assert len(feed.rows(diff(95, 110, pu=90))) == 1
    assert len(feed.rows(diff(150, 160, pu=110))) == 1  # ids are shared by all symbols: others lie between
    assert feed.rows(diff(161, 170, pu=155)) == []
    assert feed.needs_snapshot() == ["X"]
    with pytest.raises(InvalidInputError, match="binance-futures depthUpdate: pu is missing"):
        feed.rows(diff(161, 170))


def test_partial_depth_streams_are_whole_books():
    wrapped = {"stream": "btcusdt@depth5@100ms", "data": snapshot(7)}
    (row,) = BinanceFeed().rows(wrapped, 5_000_000)
    assert (row.symbol, row.timestamp, row.bid_prices, row.ask_prices) == ("BTCUSDT", 5, [10.0], [12.0])
    feed = BinanceFeed("futures")
    partial = diff(1, 2, [("10", "1")], [("12", "1")], symbol="BTCUSDT", pu=0)
    (row,) = feed.rows({"stream": "btcusdt@depth20", "data": partial})
    assert (row.symbol, row.timestamp, row.bid_prices, feed.needs_snapshot()) == ("BTCUSDT", 1002, [10.0], [])


def test_day_tickers():
    feed = BinanceFeed()
    (row,) = feed.rows(DAY, 5)
    assert row == Ticker(
        "BNBBTC", 1672515782136, 0.0025, 0.001, 0.0026, 0.001, -0.0015, 2.5, 10000.0, 18.0, 0.0024, 10.0,
        0.0026, 100.0, received=5,
    )  # fmt: skip
    best = {"u": 1, "s": "BNBBTC", "b": "0.0023", "B": "1", "a": "0.0027", "A": "2"}
    (later,) = feed.rows(best, 7_000_000)
    assert later == row._replace(
        timestamp=1672515782136, bid=0.0023, bid_size=1.0, ask=0.0027, ask_size=2.0, received=7_000_000,
        price_age=0.007, day_age=0.007,
    )  # fmt: skip
    assert kinds(feed.rows({"stream": "!ticker@arr", "data": [DAY, DAY | {"s": "ETHBTC"}]})) == {"Ticker": 2}
    futures = {key: value for key, value in DAY.items() if key not in "bBaA"}
    (row,) = BinanceFeed("futures").rows(futures)
    assert (row.price, row.bid) == (0.0025, None)


def test_trades_of_the_insurance_fund_are_left_out():
    trade = {"e": "trade", "E": 2, "T": 1, "s": "X", "t": 9, "p": "10", "q": "2", "X": "MARKET", "m": True}
    feed = BinanceFeed("futures")
    assert feed.rows(trade | {"X": "INSURANCE_FUND", "p": "11"}) == []
    assert feed.rows(trade) == [Trade("X", 1, 10.0, 2.0, "sell", 9)]


@pytest.mark.parametrize(
    "message", [{"result": None, "id": 1}, [], [[1, 2]], "7",
                {"e": "outboundAccountPosition"}, {"stream": "x@y", "data": None}]
)  # fmt: skip
def test_binance_what_is_no_market_data(message):
    assert BinanceFeed().rows(message) == []


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (TRADE | {"p": "NaN"}, "binance trade: p = 'NaN' is no number"),
        (TRADE | {"m": "true"}, "binance trade: m"),
        (TRADE | {"t": None}, "binance trade: t is missing"),
        (TRADE | {"e": "aggTrade"}, "binance aggTrade: a is missing"),
        (TRADE | {"s": ""}, "binance trade: s"),
        (KLINE | {"k": None}, "binance kline: k is missing"),
        (KLINE | {"k": 5}, "binance kline: k = 5 is no object"),
        (KLINE | {"k": KLINE["k"] | {"x": 1}}, r"binance kline: k\.x"),
        (KLINE | {"k": KLINE["k"] | {"i": "1q"}}, r"binance kline: k\.i"),
        (KLINE | {"k": KLINE["k"] | {"i": "60min"}}, r"binance kline: k\.i"),
        (diff(1, 2) | {"b": "12"}, "binance depthUpdate: b"),
        (diff(1, 2, [("10", "x")]), r"binance depthUpdate: bids\[0\]"),
        (diff(3, 2), "binance depthUpdate: first_id"),
        (diff(1, 2) | {"E": None}, "binance depthUpdate: E is missing"),
        (snapshot(1), "binance depth: the message does not say its symbol"),
        ({"stream": "x@bookTicker", "data": {"u": 1, "s": "X", "b": 1, "B": 1, "a": 1, "A": 1}}, "no time"),
        (DAY | {"P": None}, "binance 24hrTicker: P is missing"),
    ],
)
def test_binance_errors_name_kind_and_field(message, said):
    feed = BinanceFeed()
    with pytest.raises(InvalidInputError, match=said):
        feed.rows(message)
    assert feed.needs_snapshot() == []


def test_a_market_that_is_none():
    with pytest.raises(InvalidInputError, match="market"):
        BinanceFeed("margin")
    with pytest.raises(InvalidInputError, match="no object"):
        BinanceFeed().snapshot("X", "[]")
