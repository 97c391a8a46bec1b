"""How exchanges are connected to: addresses, subscriptions, and symbols."""

import json

import pytest

import mdstore
from mdstore.sources.sync.symbols import matching
from mdstore.sources.watching.streams import STREAMS, Wanted, stream_of

WANTED = Wanted(["KRW-BTC", "KRW-ETH"], ["1m"])


def test_upbit_is_told_all_in_one_message():
    (message,) = stream_of("upbit").messages(WANTED)
    ticket, *kinds, form = json.loads(message)
    assert ticket.keys() == {"ticket"}
    assert kinds == [{"type": kind, "codes": ["KRW-BTC", "KRW-ETH"]} for kind in ("ticker", "trade")]
    assert form == {"format": "SIMPLE"}
    (books,) = stream_of("upbit").messages(Wanted(["KRW-BTC"], ["1m"], orderbooks=True))
    assert '"orderbook"' in books


@pytest.mark.parametrize(("name", "trade"), [("binance", "trade"), ("binance-futures", "aggTrade")])
def test_binance_is_told_a_hundred_streams_at_a_time(name, trade):
    symbols = [f"S{number}USDT" for number in range(STREAMS[name].symbols)]
    messages = [
        json.loads(text) for text in stream_of(name).messages(Wanted(symbols, ["1m", "1h"], orderbooks=True))
    ]
    names = [one for message in messages for one in message["params"]]
    assert {len(message["params"]) for message in messages[:-1]} <= {100}
    assert [message["id"] for message in messages] == list(range(1, len(messages) + 1))
    kinds = (trade, "ticker", "kline_1m", "kline_1h", "depth20@100ms")
    assert set(names) == {f"{symbol.lower()}@{kind}" for symbol in symbols for kind in kinds}
    assert len(names) <= 1024


@pytest.mark.parametrize(
    ("name", "bars", "each"),
    [("upbit", 12, 100), ("binance", 3, 100), ("binance", 12, 68), ("futures", 1, 40), ("futures", 12, 13)],
)
def test_a_connection_has_no_more_streams_than_it_takes(name, bars, each):
    stream = stream_of("binance-futures" if name == "futures" else name)
    symbols = [f"S{number}USDT" for number in range(250)]
    groups = stream.groups(Wanted(symbols, [f"{count}m" for count in range(1, bars + 1)], orderbooks=True))
    assert [one for group in groups for one in group.symbols] == symbols
    assert len(groups[0].symbols) == each
    if name != "upbit":
        asked = [sum(len(json.loads(text)["params"]) for text in stream.messages(one)) for one in groups]
        assert max(asked) <= (200 if name == "futures" else 1024)


def test_addresses():
    assert stream_of("upbit").url(None) == "wss://api.upbit.com/websocket/v1"
    assert stream_of("binance").url(None) == "wss://stream.binance.com:9443/stream"
    assert stream_of("binance-futures").url(None) == "wss://fstream.binance.com/stream"
    assert stream_of("upbit").url("http://127.0.0.1:80/") == "ws://127.0.0.1:80/websocket/v1"
    assert stream_of("binance-futures").url("https://here") == "wss://here/futures/stream"


def test_symbols_that_are_meant():
    listed = ["KRW-BTC", "KRW-ETH", "BTC-ETH"]
    assert matching(["*-ETH", "KRW-BTC", "KRW-ETH"], listed, "upbit") == ("KRW-ETH", "BTC-ETH", "KRW-BTC")
    with pytest.raises(mdstore.NoSuchMarketError, match="upbit has no market 'KRW-XRP'"):
        matching(["KRW-XRP"], listed, "upbit")
