"""Recorded exchange messages as rows: how many, which values, and what a broken one says."""

import json
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdstore.errors import InvalidInputError
from mdstore.realtime.rows import Depth, Kline, Ticker, Trade
from mdstore.sources.exchanges.binance import BinanceFeed
from mdstore.sources.exchanges.upbit import UpbitFeed
from mdstore.sources.recordings.recording import messages
from tests.support.real import real


def kinds(rows):
    return Counter(type(row).__name__ for row in rows)


# --- Upbit ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def upbit():
    """Each message of the Upbit capture, parsed, with the one row it gave."""
    feed, found = UpbitFeed(), []
    for message in messages(real("upbit_stream", "UPBIT.ws.62.0")):
        (row,) = feed.rows(message.text, message.received)
        found.append((json.loads(message.text), row))
    return found


def payload(name):
    """A recorded payload: the JSON after the lines that say how it was asked for."""
    text = real("upbit_payloads", f"{name}.txt").read_text()
    return text[min(place for mark in ("\n{", "\n[") if (place := text.find(mark)) > 0) :]


def test_upbit_stream_counts(upbit):
    rows = [row for _, row in upbit]
    assert kinds(rows) == {"Trade": 304, "Depth": 145}
    assert {len(row.bid_prices) for row in rows if isinstance(row, Depth)} == {15}
    assert {len(row.ask_prices) for row in rows if isinstance(row, Depth)} == {15}
    assert not any(row.snapshot for row in rows)


def test_upbit_stream_trades_are_what_was_sent(upbit):
    for sent, row in upbit:
        if sent["ty"] == "trade":
            side = {"ASK": "sell", "BID": "buy"}[sent["ab"]]
            expected = (sent["cd"], sent["ttms"], sent["tp"], sent["tv"], side, sent["sid"], False)
            assert row[:-1] == expected
    trades = [row for _, row in upbit if isinstance(row, Trade)]
    assert Counter(row.side for row in trades) == Counter(
        {"BID": "buy", "ASK": "sell"}[sent["ab"]] for sent, _ in upbit if "ab" in sent
    )
    assert min(Counter(row.side for row in trades).values()) > 100


def test_upbit_stream_sequential_ids_step_back(upbit):
    """Six times in KRW-LAMB an id is below the one before: rows keep the order they came in."""
    ids = [row.id for _, row in upbit if isinstance(row, Trade) and row.symbol == "KRW-LAMB"]
    assert sum(after < before for before, after in pairwise(ids)) == 6


def test_upbit_stream_lags(upbit):
    lags = [row.received / 1e6 - sent["tms"] for sent, row in upbit if isinstance(row, Trade)]
    assert (round(min(lags)), round(max(lags))) == (91, 515)
    # A trade's own time was of whole seconds in 2021.
    assert all(row.timestamp % 1000 == 0 for _, row in upbit if isinstance(row, Trade))


def test_upbit_stream_books_are_what_was_sent(upbit):
    for sent, row in upbit:
        if sent["ty"] == "orderbook":
            assert (row.symbol, row.timestamp) == (sent["cd"], sent["tms"])
            assert (row.total_bid_size, row.total_ask_size) == (sent["tbs"], sent["tas"])
            assert row.bid_prices == [unit["bp"] for unit in sent["obu"]]
            assert row.ask_sizes == [unit["as"] for unit in sent["obu"]]
            assert row.bid_prices == sorted(row.bid_prices, reverse=True)
            assert row.ask_prices == sorted(row.ask_prices)
            assert row.bid_prices[0] < row.ask_prices[0]


def test_upbit_rest_ticker():
    btc, eth = UpbitFeed().rows(payload("rest_GetTickers"), 7)
    assert btc == Ticker(
        "KRW-BTC", 1751606040403, 148601000.0, 148737000.0, 149360000.0, 148288000.0, -136000.0,
        -0.0009143656, 1198.26954807, 178448329314.96686, snapshot=True, received=7,
    )  # fmt: skip
    assert eth[:3] == ("KRW-ETH", 1751606040373, 3510000.0)


def test_upbit_rest_orderbook():
    rows = UpbitFeed().rows(payload("rest_GetOrderBook"))
    assert kinds(rows) == {"Depth": len(json.loads(payload("rest_GetOrderBook")))}
    assert rows[0].symbol == "KRW-BTC"
    assert (rows[0].bid_prices[0], rows[0].bid_sizes[0]) == (148490000.0, 0.04296774)
    assert (rows[0].ask_prices[1], rows[0].ask_sizes[1]) == (148590000.0, 0.00075646)
    assert (rows[0].total_bid_size, rows[0].timestamp, rows[0].snapshot) == (9.49577219, 1751606867762, True)
    assert len(rows[0].bid_prices) == len(rows[0].ask_prices) <= 30


def test_upbit_rest_trade():
    rows = UpbitFeed().rows(payload("rest_GetTradeHistory"), 9)
    expected = Trade("KRW-BTC", 1751068799336, 147058000.0, 0.00006043, "buy", 17510687993360000, True, 9)
    assert rows == [expected]


def test_upbit_rest_candle_needs_a_hint():
    text = payload("rest_GetKlines")
    (row,) = UpbitFeed(timeframe="1s").rows(text)
    start = datetime(2025, 6, 30, 23, 59, 59, tzinfo=UTC).timestamp() * 1000
    expected = ("KRW-BTC", "1s", start, 145794000.0, 145794000.0, 145759000.0, 145759000.0, 0.0013, False)
    assert row[:-1] == expected
    with pytest.raises(InvalidInputError, match="upbit candle: unit is missing"):
        UpbitFeed().rows(text)


@pytest.mark.parametrize("name", ["rest_GetSymbols", "rest_GetSymbolConfig"])
def test_upbit_what_is_no_market_data(name):
    assert UpbitFeed().rows(payload(name)) == []


@pytest.mark.parametrize(
    "message", ['{"status":"UP"}', "{}", "[]", "5", "null", '{"type":"myOrder","code":"KRW-BTC"}', [[1, 2]]]
)
def test_upbit_what_is_no_market_data_either(message):
    assert UpbitFeed().rows(message) == []


def test_upbit_websocket_ticker():
    (row,) = UpbitFeed().rows(payload("ws_Tickers"), 3)
    assert row == Ticker(
        "KRW-ETH", 1693383690031, 36929.0, 37249.0, 37645.0, 36732.0, -306.0, -0.0082180744, 0.22569412,
        8320.40577449, snapshot=True, received=3,
    )  # fmt: skip


def test_upbit_websocket_trade():
    (row,) = UpbitFeed().rows(payload("ws_Trades"))
    assert row == Trade("KRW-ETH", 1696585056846, 37625.0, 8.428e-05, "sell", 1696585056846000, snapshot=True)


def test_upbit_websocket_orderbook():
    (row,) = UpbitFeed().rows(payload("ws_OrderBook"))
    assert (row.symbol, row.timestamp, row.snapshot, len(row.bid_prices)) == (
        "KRW-ETH",
        1746601573804,
        False,
        5,
    )
    assert (row.total_ask_size, row.ask_sizes[-1]) == (4.79158413, 0.12781487)


def test_upbit_websocket_candle():
    (row,) = UpbitFeed().rows(payload("ws_Kline"))
    start = datetime(2025, 1, 2, 4, 28, 5, tzinfo=UTC).timestamp() * 1000
    assert row[:-1] == ("KRW-ETH", "1m", start, *[142009000.0] * 4, 0.00606119, False)


SIMPLE = {
    "type": "ty", "code": "cd", "opening_price": "op", "high_price": "hp", "low_price": "lp",
    "trade_price": "tp", "signed_change_price": "scp", "signed_change_rate": "scr",
    "acc_trade_price_24h": "atp24h", "acc_trade_volume_24h": "atv24h", "timestamp": "tms",
    "stream_type": "st", "trade_timestamp": "ttms", "trade_volume": "tv", "ask_bid": "ab",
    "sequential_id": "sid", "candle_date_time_utc": "cdttmu", "candle_acc_trade_volume": "catv",
    "orderbook_units": "obu", "total_ask_size": "tas", "total_bid_size": "tbs", "ask_price": "ap",
    "bid_price": "bp", "ask_size": "as", "bid_size": "bs",
}  # fmt: skip


def simple(message):
    """A message as the SIMPLE format has it; keys of no interest are left out."""
    if isinstance(message, list):
        return [simple(item) for item in message]
    if not isinstance(message, dict):
        return message
    return {SIMPLE[key]: simple(value) for key, value in message.items() if key in SIMPLE}


@pytest.mark.parametrize("name", ["ws_Tickers", "ws_Trades", "ws_OrderBook", "ws_Kline"])
def test_upbit_formats_say_the_same(name):
    message = json.loads(payload(name))
    default = UpbitFeed().rows(message, 1)
    assert UpbitFeed().rows(simple(message), 1) == default
    assert UpbitFeed().rows(json.dumps([simple(message), message]).encode(), 1) == default * 2


@pytest.mark.parametrize(
    ("name", "timeframe"),
    [
        ("upbit_1m_20200220_170000-20200220_202000.json", "1m"),
        ("upbit_1m_20200220_202000-20200220_210000.json", "1m"),
        ("upbit_3m_20200220_000000-20200220_100000.json", "3m"),
        ("upbit_3m_20200220_100000-20200220_120000.json", "3m"),
        ("upbit_3m_20200220_170000-20200220_200000.json", "3m"),
    ],
)
def test_upbit_candle_pages(name, timeframe):
    text = real("smtm", name).read_text()
    rows, sent = UpbitFeed(timeframe="1d").rows(text), json.loads(text)
    assert len(rows) == len(sent) > 30
    step = int(timeframe[0]) * 60_000
    for row, bar in zip(rows, sent, strict=True):
        assert (row.timeframe, row.symbol, row.closed, row.timestamp % step) == (
            timeframe,
            "KRW-BTC",
            False,
            0,
        )
        assert (
            datetime.fromtimestamp(row.timestamp / 1000, UTC).strftime("%FT%T") == bar["candle_date_time_utc"]
        )
        assert (row.open, row.close, row.volume) == (
            bar["opening_price"], bar["trade_price"], bar["candle_acc_trade_volume"],
        )  # fmt: skip
        assert row.low <= min(row.open, row.close) <= max(row.open, row.close) <= row.high


def test_upbit_timeframes_have_one_name():
    message = json.loads(payload("ws_Kline"))
    assert UpbitFeed().rows(message | {"type": "candle.240m"})[0].timeframe == "4h"
    assert UpbitFeed().rows(message | {"type": "candle.1s"})[0].timeframe == "1s"
    with pytest.raises(InvalidInputError, match=r"upbit candle\.1q: type"):
        UpbitFeed().rows(message | {"type": "candle.1q"})
    with pytest.raises(InvalidInputError, match="timeframe"):
        UpbitFeed(timeframe="daily")


def test_upbit_books_are_cut_at_thirty_levels_and_at_the_last_real_one():
    units = [{"ask_price": 100 + n, "bid_price": 99 - n, "ask_size": 1.5, "bid_size": 2.5} for n in range(40)]
    message = {"type": "orderbook", "code": "KRW-X", "timestamp": 1, "orderbook_units": units}
    (row,) = UpbitFeed().rows(message)
    assert (len(row.bid_prices), row.ask_prices[-1], row.total_bid_size) == (30, 129.0, None)
    for unit in units[2:]:
        unit["bid_price"] = unit["bid_size"] = 0
    units[29]["ask_size"] = 0
    (row,) = UpbitFeed().rows(message)
    assert (row.bid_prices, row.bid_sizes, len(row.ask_prices)) == ([99.0, 98.0], [2.5, 2.5], 29)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("ws_Trades", {"trade_price": None}, "upbit trade: trade_price or tp is missing"),
        ("ws_Trades", {"trade_price": "much"}, "upbit trade: trade_price = 'much' is no number"),
        ("ws_Trades", {"trade_price": "NaN"}, "upbit trade: trade_price"),
        ("ws_Trades", {"trade_price": True}, "upbit trade: trade_price"),
        ("ws_Trades", {"trade_volume": -1}, "upbit trade: trade_volume"),
        ("ws_Trades", {"trade_volume": 10**400}, "upbit trade: trade_volume"),
        ("ws_Trades", {"sequential_id": 1.5}, "upbit trade: sequential_id"),
        ("ws_Trades", {"sequential_id": 2**63}, "upbit trade: sequential_id"),
        ("ws_Trades", {"sequential_id": "9" * 5000}, "upbit trade: sequential_id"),
        ("ws_Trades", {"trade_timestamp": "now"}, "upbit trade: trade_timestamp"),
        ("ws_Trades", {"ask_bid": "BUY"}, "upbit trade: ask_bid = 'BUY' is neither ASK nor BID"),
        ("ws_Trades", {"code": 7}, "upbit trade: code"),
        ("ws_Tickers", {"trade_price": None}, "upbit ticker: trade_price"),
        ("ws_Tickers", {"signed_change_rate": "x"}, "upbit ticker: signed_change_rate"),
        ("ws_OrderBook", {"orderbook_units": {}}, "upbit orderbook: orderbook_units"),
        ("ws_OrderBook", {"orderbook_units": [7]}, r"upbit orderbook: orderbook_units\[0\]"),
        (
            "ws_OrderBook",
            {"orderbook_units": [{"ask_price": 1, "ask_size": 1, "bid_price": 1}]},
            r"upbit orderbook: orderbook_units\[0\]\.bid_size",
        ),
        ("ws_OrderBook", {"timestamp": None}, "upbit orderbook: timestamp"),
        ("ws_Kline", {"candle_date_time_utc": "yesterday"}, "upbit candle.1m: candle_date_time_utc"),
        ("ws_Kline", {"candle_acc_trade_volume": None}, "upbit candle.1m: candle_acc_trade_volume"),
    ],
)
def test_upbit_errors_name_kind_and_field(name, change, said):
    with pytest.raises(InvalidInputError, match=said):
        UpbitFeed().rows(json.loads(payload(name)) | change)


@pytest.mark.parametrize("text", ["PONG", "", '{"ty":"trade"', b"\xff\xfe\xfd", "[" * 100_000])
@pytest.mark.parametrize("feed", [UpbitFeed(), BinanceFeed()])
def test_what_is_no_json(feed, text):
    with pytest.raises(InvalidInputError, match="no JSON"):
        feed.rows(text)


# --- Binance --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spot():
    """Each message of the spot recording, parsed, with the rows it gave."""
    feed = BinanceFeed()
    return [
        (json.loads(message.text), feed.rows(message.text, message.received, symbol="BTCUSDT"))
        for message in messages(real("binance_spot", "btcusdt_20240808.gz"))
    ]


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


def of(found, kind):
    return [row for _, rows in found for row in rows if isinstance(row, kind)]


def test_spot_counts(spot):
    tickers = [m for m, _ in spot if m.get("stream") == "btcusdt@bookTicker"]
    assert (len(spot), len(tickers)) == (41_249, 28_040)
    counts = kinds(row for _, rows in spot for row in rows)
    # The first bookTicker came before a price was known; three diffs waited for the snapshot, which is a row.
    assert counts == {"Trade": 9_757, "Ticker": 28_039, "Depth": 3_451 - 3 + 1}


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
            # Spot's bookTicker has no time of its own.
            assert row.timestamp == row.received // 1_000_000


def test_spot_depths(spot):
    depths = of(spot, Depth)
    assert [row.snapshot for row in depths] == [True] + [False] * (len(depths) - 1)
    times = [row.timestamp for row in depths]
    assert times == sorted(times)
    # The snapshot has no time; the last diff that had waited for it has.
    assert times[0] == 1723161255408
    assert all(len(row.bid_prices) == len(row.ask_prices) == 30 for row in depths)
    assert all(row.bid_prices[0] < row.ask_prices[0] for row in depths)


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


def diff(first, last, bids=(), asks=(), symbol="X", **more):
    return {
        "e": "depthUpdate", "E": 1000 + last, "s": symbol, "U": first, "u": last,
        "b": [list(pair) for pair in bids], "a": [list(pair) for pair in asks], **more,
    }  # fmt: skip


def snapshot(last, bids=(("10", "1"),), asks=(("12", "1"),), **more):
    return {"lastUpdateId": last, "bids": list(map(list, bids)), "asks": list(map(list, asks)), **more}


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


DAY = {
    "e": "24hrTicker", "E": 1672515782136, "s": "BNBBTC", "p": "-0.0015", "P": "250.00", "w": "0.0018",
    "x": "0.0009", "c": "0.0025", "Q": "10", "b": "0.0024", "B": "10", "a": "0.0026", "A": "100",
    "o": "0.0010", "h": "0.0026", "l": "0.0010", "v": "10000", "q": "18", "O": 0, "C": 86400000, "n": 18151,
}  # fmt: skip


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
        timestamp=7, bid=0.0023, bid_size=1.0, ask=0.0027, ask_size=2.0, received=7_000_000
    )
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
    "message", [{"result": None, "id": 1}, {"code": -1121, "msg": "Invalid symbol."}, [], [[1, 2]], "7",
                {"e": "outboundAccountPosition"}, {"stream": "x@y", "data": None}]
)  # fmt: skip
def test_binance_what_is_no_market_data(message):
    assert BinanceFeed().rows(message) == []


TRADE = {"e": "trade", "E": 2, "T": 1, "s": "X", "t": 9, "p": "10", "q": "2", "m": True}
KLINE = {"e": "kline", "E": 2, "s": "X", "k": {
    "t": 1, "i": "1m", "o": "1", "h": "1", "l": "1", "c": "1", "v": "1", "x": False,
}}  # fmt: skip


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


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
BASES = [TRADE, KLINE, DAY, diff(1, 2, [("10", "1")]), {"stream": "x@depth5", "data": snapshot(1)}]
UPBIT_BASES = [
    {"ty": "trade", "cd": "K", "ttms": 1, "tp": 1, "tv": 1, "ab": "ASK", "sid": 1},
    {"ty": "orderbook", "cd": "K", "tms": 1, "obu": [{"ap": 2, "bp": 1, "as": 1, "bs": 1}]},
    {"ty": "ticker", "cd": "K", "tms": 1, "tp": 1},
    {
        "ty": "candle.1m",
        "cd": "K",
        "cdttmu": "2025-01-01T00:00:00",
        "op": 1,
        "hp": 1,
        "lp": 1,
        "tp": 1,
        "catv": 1,
    },
]


@given(data=st.data(), base=st.sampled_from([*BASES, *UPBIT_BASES]))
def test_any_value_anywhere_gives_rows_or_the_typed_error(data, base):
    feed = UpbitFeed() if "ty" in base else BinanceFeed()
    key = data.draw(st.sampled_from(sorted(base)), label="key")
    message = base | {key: data.draw(JSON, label="value")}
    try:
        rows = feed.rows(message, 1)
    except InvalidInputError as error:
        assert "binance" in str(error) or "upbit" in str(error)  # noqa: PT017 - either is right
    else:
        assert all(isinstance(row, Ticker | Depth | Trade | Kline) for row in rows)
