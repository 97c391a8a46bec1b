"""Recorded messages of Upbit as rows: how many, which values, and what a broken one says."""

import json
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from mdstore.errors import InvalidInputError
from mdstore.realtime.rows import Depth, Ticker, Trade
from mdstore.sources.exchanges.upbit import UpbitFeed
from mdstore.sources.recordings.recording import messages
from tests.support.exchange_messages import kinds
from tests.support.real import real


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
    assert (row[:9], row.snapshot) == (expected, True)
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
    assert (row[:9], row.snapshot) == (
        ("KRW-ETH", "1m", start, *[142009000.0] * 4, 0.00606119, False), False,
    )  # fmt: skip


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
    for strange in ("1q", "60min", "1M", "daily"):  # of a user a spelling is taken, of the exchange a word
        with pytest.raises(InvalidInputError, match=rf"upbit candle\.{strange}: type"):
            UpbitFeed().rows(message | {"type": f"candle.{strange}"})
    with pytest.raises(InvalidInputError, match="timeframe"):
        UpbitFeed(timeframe="day by day")


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
