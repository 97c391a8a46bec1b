"""Websockets of the local exchange: shaped as they were recorded, one with the candles."""

import asyncio
import json
import time

import pytest
import websockets

from mdstore import BinanceFeed, Kline, LocalExchange, LocalMarket, Ticker, Trade, UpbitFeed
from mdstore.core.timeframe import Timeframe
from mdstore.sources.local_exchange.faults import SocketFaults
from mdstore.sources.local_exchange.tape import Forming, Tape
from mdstore.sources.local_exchange.truth import Truth
from tests.support.real import real

FAST = 1200  # trades a minute
MARKETS = [LocalMarket(symbol=symbol, trades_per_minute=FAST, silent=0) for symbol in ("KRW-BTC", "BTCUSDT")]
UPBIT = "/websocket/v1"
MINUTE = Timeframe.parse("1m")
TICKET = {"ticket": "test"}


def wanted(*kinds, form="DEFAULT", **more):
    parts = [{"type": kind, "codes": ["KRW-BTC"], **more} for kind in kinds]
    return json.dumps([TICKET, *parts, {"format": form}])


async def taken(exchange, path, ask, count):
    async with websockets.connect(exchange.ws_url + path) as socket:
        if ask is not None:
            await socket.send(ask)
        return [await asyncio.wait_for(socket.recv(), 10) for _ in range(count)]


async def all_of(socket, patience=10):
    """Read until the connection ends, or nothing comes for so many seconds."""
    while True:
        await asyncio.wait_for(socket.recv(), patience)


def received(path, ask, count, **about):
    with LocalExchange(MARKETS, **about) as exchange:
        return asyncio.run(taken(exchange, path, ask, count))


@pytest.mark.parametrize(
    ("kind", "file"),
    [("ticker", "Tickers"), ("trade", "Trades"), ("orderbook", "OrderBook"), ("candle.1m", "Kline")],
)
def test_upbits_messages_are_shaped_as_they_were_recorded(kind, file):
    text = real("upbit_payloads", f"ws_{file}.txt").read_text()
    recorded = json.loads(text[text.index("= ") + 2 :])
    mine = json.loads(received(UPBIT, wanted(kind), 1)[0])
    assert mine.keys() >= recorded.keys()
    for name, value in recorded.items():
        whole = isinstance(value, int | float) and not isinstance(value, bool)
        assert isinstance(mine[name], (int, float) if whole else type(value)), name
    assert mine["stream_type"] == "SNAPSHOT"


def test_short_names_are_as_they_were_recorded():
    lines = real("upbit_stream", "UPBIT.ws.62.0").read_text().splitlines()
    texts = [line.partition("b'")[2].removesuffix("'") for line in lines if "b'" in line]
    for kind in ("trade", "orderbook"):
        recorded = next(json.loads(text) for text in texts if f'"ty":"{kind}"' in text)
        mine = json.loads(received(UPBIT, wanted(kind, form="SIMPLE"), 1)[0])
        assert mine.keys() >= recorded.keys()
        if kind == "orderbook":
            assert mine["obu"][0].keys() == recorded["obu"][0].keys()


@pytest.mark.parametrize("form", ["DEFAULT", "SIMPLE", "JSON_LIST", "SIMPLE_LIST"])
def test_the_feed_reads_every_format(form):
    messages = received(UPBIT, wanted("ticker", "trade", "orderbook", "candle.1s", form=form), 40)
    assert all(isinstance(message, bytes) for message in messages)
    rows = [row for message in messages for row in UpbitFeed().rows(message)]
    assert {type(row).__name__ for row in rows} == {"Ticker", "Trade", "Depth", "Kline"}


def test_snapshots_come_once_and_only_where_they_are_wanted():
    both = [json.loads(text)["stream_type"] for text in received(UPBIT, wanted("trade"), 5)]
    assert both == ["SNAPSHOT", *["REALTIME"] * 4]
    live = received(UPBIT, wanted("trade", is_only_realtime=True), 3)
    assert {json.loads(text)["stream_type"] for text in live} == {"REALTIME"}


def test_the_snapshot_is_the_trade_before_those_that_follow():
    trades = [json.loads(text) for text in received(UPBIT, wanted("trade"), 6)]
    ids = [one["sequential_id"] for one in trades]
    assert ids == sorted(set(ids))
    assert trades[1]["trade_timestamp"] - trades[0]["trade_timestamp"] < 2 * 60_000 / FAST + 100


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("hello", "WRONG_FORMAT"),
        ('[{"type":"trade","codes":["KRW-BTC"]}]', "NO_TICKET"),
        ('[{"ticket":"a"}]', "NO_TYPE"),
        ('[{"ticket":"a"},{"type":"trade"}]', "NO_CODES"),
        ('[{"ticket":"a"},{"type":"gossip","codes":["KRW-BTC"]}]', "INVALID_PARAM"),
    ],
)
def test_upbit_refuses_what_it_cannot_read(text, name):
    assert json.loads(received(UPBIT, text, 1)[0])["error"]["name"] == name


def test_ping_is_answered():
    assert received(UPBIT, "PING", 1) == ['{"status":"UP"}']


def test_a_sixth_message_in_a_second_ends_the_connection():
    async def run(exchange):
        async with websockets.connect(exchange.ws_url + UPBIT) as socket:
            for _ in range(6):
                await socket.send("PING")
            with pytest.raises(websockets.ConnectionClosedError, match="too many messages"):
                await asyncio.wait_for(all_of(socket), 10)

    with LocalExchange(MARKETS) as exchange:
        asyncio.run(run(exchange))


def test_a_sixth_connection_in_a_second_is_refused():
    async def run(exchange):
        await asyncio.sleep(1 - time.monotonic() % 1)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(tried(exchange)) for _ in range(12)]
        return [task.result() for task in tasks]

    async def tried(exchange):
        try:
            async with websockets.connect(exchange.ws_url + UPBIT):
                return 101
        except websockets.InvalidStatus as error:
            return error.response.status_code

    with LocalExchange(MARKETS) as exchange:
        found = asyncio.run(run(exchange))
    assert set(found) == {101, 429}
    assert found.count(101) <= 10  # of at most two seconds


def test_a_client_that_says_nothing_is_closed():
    async def run(exchange):
        async with websockets.connect(exchange.ws_url + UPBIT, ping_interval=None) as socket:
            with pytest.raises(websockets.ConnectionClosed):
                await asyncio.wait_for(socket.recv(), 10)

    with LocalExchange(MARKETS, limits={"upbit_idle": 0.2}) as exchange:
        asyncio.run(run(exchange))


COMBINED = "/stream?streams=" + "/".join(
    f"btcusdt@{kind}" for kind in ("trade", "bookTicker", "kline_1s", "aggTrade", "ticker")
)


def test_binances_streams_are_read_by_the_feed():
    messages = received(COMBINED, None, 80)
    feed = BinanceFeed()
    rows = [row for message in messages for row in feed.rows(message, time.time_ns())]
    assert {type(row) for row in rows} == {Trade, Ticker, Kline}
    assert any(row.change_rate is not None for row in rows if type(row) is Ticker)


@pytest.mark.parametrize(("name", "kind"), [("kline", "kline_1s"), ("bookTicker", "bookTicker")])
def test_futures_are_shaped_as_they_were_recorded(name, kind):
    lines = real("binance_futures_stream", "BINANCE_FUTURES.ws.1.0").read_text().splitlines()
    text = next(line for line in lines if f'"e":"{name}"' in line)
    recorded = json.loads(text.partition(": ")[2])
    (mine,) = received(f"/futures/stream?streams=btcusdt@{kind}", None, 1)
    mine = json.loads(mine)
    assert mine["stream"] == f"btcusdt@{kind}"
    assert mine["data"].keys() == recorded["data"].keys()
    for part in ("k",) if name == "kline" else ():
        mine, recorded = mine["data"][part], recorded["data"][part]
        assert [(key, type(value)) for key, value in mine.items()] == [
            (key, type(value)) for key, value in recorded.items()
        ]


def test_subscriptions_are_made_listed_and_ended():
    async def run(exchange):
        async with websockets.connect(exchange.ws_url + "/ws/btcusdt@trade") as socket:
            await socket.send('{"method":"SUBSCRIBE","params":["btcusdt@kline_1m"],"id":1}')
            await socket.send('{"method":"UNSUBSCRIBE","params":["btcusdt@trade"],"id":2}')
            await socket.send('{"method":"LIST_SUBSCRIPTIONS","id":3}')
            await socket.send('{"method":"GUESS","id":4}')
            answers = []
            while len(answers) < 4:
                message = json.loads(await asyncio.wait_for(socket.recv(), 10))
                answers += [message] if "id" in message else []
            return answers

    with LocalExchange(MARKETS) as exchange:
        answers = asyncio.run(run(exchange))
    assert answers[:2] == [{"result": None, "id": 1}, {"result": None, "id": 2}]
    assert answers[2]["result"] == ["btcusdt@kline_1m"]
    assert answers[3]["error"]["code"] == 2


def test_the_seconds_of_the_stream_are_those_that_are_asked_for():
    with LocalExchange(MARKETS) as exchange:
        messages = asyncio.run(taken(exchange, "/ws/btcusdt@kline_1s", None, 4))
        bars = [json.loads(text)["k"] for text in messages]
        ended = [bar for bar in bars if bar["x"]][1:]
        first, last = ended[0]["t"], ended[-1]["t"]
        truth = exchange.truth.bars("BTCUSDT", "1s", first, last + 1).rows()
    given = [(bar["t"], *(float(bar[name]) for name in "ohlcv")) for bar in ended]
    assert given == [row[:6] for row in truth]


def test_a_tape_gives_every_trade_once_and_bars_formed_of_them_are_the_truth():
    now = [1_756_684_800_000]
    truth = Truth([LocalMarket(symbol="KRW-BTC", trades_per_minute=90)], seed=3)
    tape = Tape(truth, lambda: now[0])
    tape.watch("KRW-BTC")
    forming = Forming(truth, "KRW-BTC", MINUTE, tape.until)
    seen, made = [], {}
    for _ in range(1500):  # 25 minutes, over the ten that are made at a time
        now[0] += 1009
        for trade in tape.advance():
            seen.append(trade.id)
            forming.add(trade)
            made[forming.bar.timestamp] = forming.bar
    assert seen == sorted(set(seen))
    bars = truth.bars("KRW-BTC", "1m", 1_756_684_860_000, now[0] - 60_000).rows()
    assert len(bars) < 25
    for bar in bars:
        assert made[bar[0]][:6] == bar[:6]


@pytest.mark.parametrize("kind", ["dropped", "closed"])
def test_sockets_break(kind):
    async def run(exchange):
        with pytest.raises(websockets.ConnectionClosed) as caught:
            await taken(exchange, UPBIT, wanted("trade"), 10_000)
        return caught.value

    with LocalExchange(MARKETS, socket_faults=SocketFaults([kind], after=0.3)) as exchange:
        error = asyncio.run(run(exchange))
        assert (error.rcvd is None) == (kind == "dropped")
        assert len(asyncio.run(taken(exchange, UPBIT, wanted("trade"), 30))) == 30  # the plan is done


def test_a_socket_falls_silent():
    async def run(exchange):
        async with websockets.connect(exchange.ws_url + UPBIT) as socket:
            await socket.send(wanted("trade"))
            await asyncio.wait_for(socket.recv(), 10)
            assert await asyncio.to_thread(exchange.fail_sockets, "silent") == 1
            with pytest.raises(TimeoutError):
                await all_of(socket, patience=0.5)

    with LocalExchange(MARKETS) as exchange:
        asyncio.run(run(exchange))


def test_no_connection_is_made_while_the_exchange_stands_still():
    down = [("2025-09-01", "2025-09-02")]
    with (
        LocalExchange(MARKETS, now="2025-09-01T12:00", maintenance=down) as exchange,
        pytest.raises(websockets.InvalidStatus),
    ):
        asyncio.run(taken(exchange, UPBIT, None, 1))


def test_the_log_has_connections_and_subscriptions():
    with LocalExchange(MARKETS) as exchange:
        asyncio.run(taken(exchange, UPBIT, wanted("trade"), 1))
        log = [(one.group, one.query.get("sent")) for one in exchange.requests]
    assert log == [("websocket-connect", None), ("websocket-message", wanted("trade"))]
