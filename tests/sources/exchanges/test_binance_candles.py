"""Pages of Binance: what they give and what they prove, against an exchange of which everything is known."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdstore.core.timeframe import DAY, HOUR, MINUTE, Timeframe
from mdstore.errors import InvalidInputError, NoSuchMarketError, SourceError
from mdstore.service.troubles import is_of_host
from mdstore.sources.exchanges.binance_candles import (
    SPOT,
    USDM,
    BinanceCandles,
    open_spot,
    open_usdm,
    read_bars,
    remaining,
    rows_of,
)
from mdstore.sources.exchanges.rest_source import LISTED_SECONDS
from mdstore.sources.web.answers import Answer
from mdstore.sources.web.host import NoPageError
from tests.support.binance_exchange import BinanceExchange, kline
from tests.support.pages import pages_of as of_source
from tests.support.pages import times_of

DAWN = 1_735_689_600_000  # 2025-01-01 00:00 UTC, a Wednesday
BTC, M1 = "BTCUSDT", Timeframe.parse("1m")


def pages_of(exchange, start, end, timeframe="1m", *, source=None, symbol=BTC):
    return of_source(source or BinanceCandles(exchange.part, exchange), symbol, timeframe, start, end)


def minutes(*numbers):
    return [DAWN + number * MINUTE for number in numbers]


@pytest.mark.parametrize(("part", "size"), [(SPOT, 1000), (USDM, 499)])
def test_a_full_range_is_asked_for_once(part, size):
    exchange = BinanceExchange({BTC: minutes(*range(3000))}, clock=DAWN + 9 * DAY, part=part)
    found = pages_of(exchange, DAWN, DAWN + 2 * size * MINUTE)
    assert [(one.params["limit"], one.cost) for one in exchange.log] == [(size, 2)] * 2
    assert times_of(found) == minutes(*range(2 * size))


def test_what_fits_is_asked_for():
    exchange = BinanceExchange({BTC: minutes(*range(100))}, clock=DAWN + DAY, part=USDM)
    pages_of(exchange, DAWN, DAWN + 7 * MINUTE)
    [request] = exchange.log
    assert request.params == {
        "symbol": BTC, "interval": "1m", "startTime": DAWN, "limit": 7, "endTime": DAWN + 7 * MINUTE - 1,
    }  # fmt: skip
    assert request.cost == 1


@pytest.mark.parametrize(
    ("bars", "weight"), [(1, 1), (99, 1), (100, 2), (499, 2), (500, 5), (1000, 5), (1500, 10)]
)
def test_what_a_request_for_futures_weighs(bars, weight):
    assert USDM.weight(bars) == weight


@pytest.mark.parametrize(
    ("timeframe", "starts"), [("1w", [DAWN - 2 * DAY, DAWN + 5 * DAY]), ("1M", [DAWN, DAWN + 31 * DAY])]
)
def test_weeks_begin_on_monday_and_months_are_those_of_the_calendar(timeframe, starts):
    exchange = BinanceExchange({BTC: [DAWN + hour * HOUR for hour in range(24 * 40)]}, clock=DAWN + 90 * DAY)
    assert times_of(pages_of(exchange, DAWN - 9 * DAY, DAWN + 90 * DAY, timeframe))[:2] == starts


def test_the_first_bar_is_asked_for_once():
    exchange = BinanceExchange({BTC: minutes(77, 78)}, clock=DAWN + DAY)
    source = BinanceCandles(SPOT, exchange)
    assert asyncio.run(source.first(BTC, "1m")) == DAWN + 77 * MINUTE
    assert asyncio.run(source.first(BTC, "1m")) == DAWN + 77 * MINUTE
    [request] = exchange.log
    assert request.params["startTime"] == 0
    assert request.params["limit"] == 1


def test_a_market_that_is_traded_no_more():
    exchange = BinanceExchange({BTC: minutes(*range(100))}, clock=DAWN + 30 * DAY, gone=[BTC])
    found = pages_of(exchange, DAWN + 50 * MINUTE, DAWN + 20 * DAY)
    assert [(page.start, page.end, page.absent) for page in found] == [
        (DAWN + 50 * MINUTE, DAWN + 100 * MINUTE, "no_trade"),
        (DAWN + 100 * MINUTE, DAWN + 20 * DAY, "after_delisting"),
    ]
    exchange.gone = []
    assert pages_of(exchange, DAWN + 50 * MINUTE, DAWN + 20 * DAY)[-1].absent == "no_trade"


def test_a_market_that_is_halted_is_not_gone():
    exchange = BinanceExchange({BTC: minutes(*range(100))}, clock=DAWN + 30 * DAY, halted=[BTC])
    assert pages_of(exchange, DAWN + 50 * MINUTE, DAWN + 20 * DAY)[-1].absent == "no_trade"


def test_the_list_of_markets_is_asked_for_again_after_a_while():
    exchange = BinanceExchange({BTC: minutes(*range(100))}, clock=DAWN + 30 * DAY, gone=[BTC])
    source, now = BinanceCandles(SPOT, exchange), [0.0]
    source.timer = lambda: now[0]
    low, high = DAWN + 100 * MINUTE, DAWN + 20 * DAY
    reasons = []
    for now[0], exchange.gone in ((0.0, [BTC]), (1.0, []), (LISTED_SECONDS + 2, [])):
        reasons += {page.absent for page in pages_of(exchange, low, high, source=source)}
    assert reasons == ["after_delisting", "after_delisting", "no_trade"]


def test_a_market_that_rests_is_not_gone():
    exchange = BinanceExchange({BTC: minutes(0, 40_000)}, clock=DAWN + 60 * DAY, gone=[BTC])
    found = pages_of(exchange, DAWN + MINUTE, DAWN + 20 * DAY)
    assert {page.absent for page in found} == {"no_trade"}


def mistaken(exchange, times):
    """Have an exchange answer with an empty list so often, where it has bars."""
    true, left = exchange.answer, [b"[]"] * times

    def answer(path, params):
        return Answer(200, {}, left.pop()) if left and path.endswith("klines") else true(path, params)

    exchange.answer = answer
    return exchange


def test_an_empty_answer_proves_something_if_it_comes_twice():
    exchange = BinanceExchange({BTC: minutes(*range(5000))}, clock=DAWN + 9 * DAY)
    assert times_of(pages_of(mistaken(exchange, 1), DAWN, DAWN + HOUR)) == minutes(*range(60))
    source = BinanceCandles(SPOT, mistaken(exchange, 1))
    assert asyncio.run(source.first(BTC, "1m")) == DAWN
    quiet = DAWN + 6000 * MINUTE
    asked = len(exchange.log)
    [page] = pages_of(exchange, quiet, quiet + HOUR, source=source)
    assert (page.start, page.end, page.absent) == (quiet, quiet + HOUR, "no_trade")
    assert len(exchange.log) == asked + 2


def test_what_is_no_market_or_no_timeframe():
    exchange = BinanceExchange({BTC: []}, clock=DAWN)
    with pytest.raises(NoSuchMarketError, match="'NOPE': Invalid symbol") as error:
        pages_of(exchange, DAWN, DAWN + DAY, symbol="NOPE")
    assert "BTCUSDT" in str(error.value)
    illegal = rb"""{"code":-1100,"msg":"Illegal characters found in parameter 'symbol'"}"""
    with pytest.raises(NoSuchMarketError, match="'btc-usdt': Illegal characters"):
        read_bars(Answer(400, {}, illegal), symbol="btc-usdt", frame=M1, asked=(0, 1), count=1)
    with pytest.raises(InvalidInputError, match="binance has no 7m candles"):
        pages_of(exchange, DAWN, DAWN + DAY, "7m")
    with pytest.raises(SourceError, match=r"refused what it was asked \(404\): <html>") as error:
        read_bars(Answer(404, {}, b"<html>"), symbol=BTC, frame=M1, asked=(0, 1), count=1)
    assert "base_url" in str(error.value)
    assert "--base-url" in error.value.said("cli")


def test_a_refusal_of_a_request_is_not_of_the_host():
    limit = b'{"code":-1130,"msg":"Data sent for parameter \'limit\' is not valid."}'
    with pytest.raises(SourceError, match=r"\(400\): Data sent") as error:
        read_bars(Answer(400, {}, limit), symbol=BTC, frame=M1, asked=(0, 1), count=1)
    assert not is_of_host(error.value)
    assert "see whether symbol, timeframe and times" in str(error.value)


def test_the_markets():
    exchange = BinanceExchange({BTC: [], "ETHUSDT": []}, clock=DAWN, gone=["ETHUSDT"])
    [market] = asyncio.run(BinanceCandles(SPOT, exchange).markets())
    assert (market.symbol, market.listed) == (BTC, 7)


@pytest.mark.parametrize(
    ("why", "change"),
    [
        ("from the oldest to the newest", lambda rows: rows.reverse()),
        ("from the oldest to the newest", lambda rows: rows.insert(1, rows[0])),
        ("before the range", lambda rows: rows.insert(0, kline(DAWN - MINUTE, M1))),
        ("behind the range", lambda rows: rows.append(kline(DAWN + DAY, M1))),
        ("not on the grid", lambda rows: rows[2].__setitem__(0, DAWN + 150_000)),
        ("5 bars where 4", lambda rows: rows.extend(kline(at, M1) for at in minutes(5, 6))),
        ("no candles", lambda rows: rows[0].pop()),
        ("no candles", lambda rows: rows[0].__setitem__(1, "much")),
        ("no candles", lambda rows: rows[0].__setitem__(5, None)),
    ],
)
def test_what_is_no_page_is_none(why, change):
    rows = [kline(at, M1) for at in minutes(0, 1, 2)]
    change(rows)
    answer = Answer(200, {}, json.dumps(rows).encode())
    with pytest.raises(NoPageError, match=why):
        read_bars(answer, symbol=BTC, frame=M1, asked=(DAWN, DAWN + 10 * MINUTE), count=4)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"null", b'{"code": 0, "msg": ""}', b"[[1]]", b"[[17", b"\xff"]
)
def test_what_is_no_list_of_candles_is_no_page(body):
    with pytest.raises(NoPageError, match="no candles"):
        read_bars(Answer(200, {}, body), symbol=BTC, frame=M1, asked=(0, 1), count=4)


texts = st.decimals(0, 10**9, places=8).map(lambda number: f"{number:f}")


@given(st.lists(st.tuples(texts, texts, texts), min_size=1, max_size=20))
def test_numbers_come_to_the_last_bit(values):
    rows = [kline(at, M1) for at in minutes(*range(len(values)))]
    for row, (close, volume, turnover) in zip(rows, values, strict=True):
        row[4], row[5], row[7] = close, volume, turnover
    bars = read_bars(
        Answer(200, {}, json.dumps(rows).encode()), symbol=BTC, frame=M1, asked=(DAWN, None), count=99
    )
    frame = rows_of(bars.klines).select("close", "volume", "quote_asset_volume")
    assert frame.rows() == [tuple(map(float, row)) for row in values]


@pytest.mark.parametrize(
    ("used", "left"), [("5699", None), ("5700", 0.0), ("6001", 0.0), ("much", None), (None, None)]
)
def test_the_weight_of_the_minute(used, left):
    headers = {} if used is None else {"X-MBX-USED-WEIGHT-1M": used}
    assert remaining(headers, minute=6000) == left


def test_another_address_has_no_archive():
    for opened, archive in (
        (open_spot(), True),
        (open_usdm(), True),
        (open_spot(base_url="http://127.0.0.1:1"), False),
    ):
        assert (opened._archive is not None) == archive
    assert open_spot(base_url="http://127.0.0.1:1", archive_url="http://127.0.0.1:2")._archive is not None


def test_futures_are_named_as_such():
    exchange = BinanceExchange({BTC: minutes(1)}, clock=DAWN + DAY, part=USDM)
    with pytest.raises(NoSuchMarketError, match=r"^binance-futures has no market 'NOSUCH'"):
        pages_of(exchange, DAWN, DAWN + DAY, symbol="NOSUCH")
