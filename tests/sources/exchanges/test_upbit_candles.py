"""Pages of Upbit: what they give and what they prove, against an exchange of which everything is known."""

import asyncio
import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdstore.core.timeframe import DAY, HOUR, MINUTE, Timeframe
from mdstore.errors import InvalidInputError, NoSuchMarketError, SourceError
from mdstore.service.troubles import is_of_host
from mdstore.sources.exchanges.rest_source import LATE_MS
from mdstore.sources.exchanges.upbit_candles import UpbitCandles, read_bars, remaining, rows_of
from mdstore.sources.web.answers import Answer
from mdstore.sources.web.host import NoPageError
from tests.support.pages import covered, times_of
from tests.support.pages import pages_of as of_source
from tests.support.real import real
from tests.support.upbit_exchange import UpbitExchange, candle

DAWN = 1_735_689_600_000  # 2025-01-01 00:00 UTC
BTC, M1 = "KRW-BTC", Timeframe.parse("1m")


def pages_of(exchange, start, end, timeframe="1m", *, source=None, symbol=BTC):
    return of_source(source or UpbitCandles(exchange), symbol, timeframe, start, end)


def minutes(*numbers):
    return [DAWN + number * MINUTE for number in numbers]


def test_a_full_range_is_asked_for_once():
    exchange = UpbitExchange({BTC: minutes(*range(2000))}, clock=DAWN + 2 * DAY)
    found = pages_of(exchange, DAWN + 500 * MINUTE, DAWN + 1500 * MINUTE)
    assert [request.params["count"] for request in exchange.log] == [200] * 5
    assert times_of(found) == minutes(*range(500, 1500))


def test_what_fits_is_asked_for():
    exchange = UpbitExchange({BTC: minutes(*range(2000))}, clock=DAWN + 2 * DAY)
    pages_of(exchange, DAWN + 500 * MINUTE, DAWN + 507 * MINUTE)
    [request] = exchange.log
    assert request.params == {"market": BTC, "count": 7, "to": "2025-01-01T08:27:00Z"}


def test_a_market_with_few_trades_takes_few_requests():
    """A trade in six hours: a page reaches as far back as it must, past a thousand empty minutes."""
    exchange = UpbitExchange({BTC: minutes(*range(0, 40_000, 360))}, clock=DAWN + 60 * DAY)
    found = pages_of(exchange, DAWN + 360 * MINUTE, DAWN + 36_000 * MINUTE)
    assert len(exchange.log) == 1
    assert len(times_of(found)) == 99
    assert covered(found) == (DAWN + 360 * MINUTE, DAWN + 36_000 * MINUTE)


def test_the_forming_bar_is_left_out_by_the_clock_of_the_exchange():
    now = DAWN + 10 * MINUTE + 30_000
    exchange = UpbitExchange({BTC: minutes(*range(11))}, clock=now)
    assert times_of(pages_of(exchange, DAWN, DAWN + DAY)) == minutes(*range(10))


def test_without_a_clock_the_last_trade_tells():
    body = json.dumps([candle(BTC, at) for at in minutes(7, 6, 5)]).encode()
    bars = read_bars(Answer(200, {}, body), symbol=BTC, frame=M1, to=None, count=3)
    assert bars.clock == DAWN + 7 * MINUTE + 999


def test_a_bar_that_may_be_late_is_not_said_to_be_absent():
    exchange = UpbitExchange({BTC: minutes(0, 1, 2)}, clock=DAWN + 5 * MINUTE + 2_000)
    [page] = pages_of(exchange, DAWN, DAWN + 5 * MINUTE)
    assert page.end == DAWN + 4 * MINUTE  # the minute before has ended two seconds ago
    exchange.clock += LATE_MS
    [page] = pages_of(exchange, DAWN, DAWN + 5 * MINUTE)
    assert page.end == DAWN + 5 * MINUTE


def test_seconds_that_are_kept_no_more_have_no_reason():
    exchange = UpbitExchange({BTC: minutes(100, 101)}, clock=DAWN + DAY)
    source = UpbitCandles(exchange)
    found = pages_of(exchange, DAWN, DAWN + 102 * MINUTE, "1s", source=source)
    assert {page.absent for page in found if page.end <= DAWN + 100 * MINUTE} == {None}
    assert asyncio.run(source.first(BTC, "1s")) is None
    asked = len(exchange.log)
    [page] = pages_of(exchange, DAWN, DAWN + 50 * MINUTE, "1s", source=source)
    assert page.absent is None
    assert len(exchange.log) == asked + 2  # that is not kept: what was empty by mistake is asked for again


def test_an_empty_answer_of_seconds_proves_something_if_it_comes_twice():
    exchange = UpbitExchange({BTC: minutes(*range(100))}, clock=DAWN + DAY)
    true, left = exchange.answer, [Answer(200, {}, b"[]")]
    exchange.answer = lambda *asked: left.pop() if left else true(*asked)
    found = pages_of(exchange, DAWN, DAWN + HOUR, "1s")
    assert times_of(found) == minutes(*range(60))


@pytest.mark.parametrize("timeframe", ["1m", "3m", "15m", "1h", "4h", "1d", "1w", "1M", "12M"])
@pytest.mark.parametrize("cap", [7, 200])
def test_the_first_bar_is_found(timeframe, cap):
    frame, listed = Timeframe.parse(timeframe), DAWN + 47 * DAY + 5 * HOUR + 17 * MINUTE
    traded = [listed + number * 53 * MINUTE for number in range(3000)]
    exchange = UpbitExchange({BTC: traded}, clock=DAWN + 300 * DAY, cap=cap)
    assert asyncio.run(UpbitCandles(exchange).first(BTC, timeframe)) == frame.floor(listed)
    if cap == 200 and timeframe != "1w":
        assert len(exchange.log) <= 5


def test_what_lies_before_the_listing_is_asked_for_once():
    exchange = UpbitExchange({BTC: minutes(*range(100))}, clock=DAWN + DAY)
    source = UpbitCandles(exchange)
    asyncio.run(source.first(BTC, "1m"))
    asked = len(exchange.log)
    [page] = pages_of(exchange, DAWN - DAY, DAWN, source=source)
    assert (page.start, page.end, page.absent) == (DAWN - DAY, DAWN, "before_listing")
    assert len(exchange.log) == asked


def test_an_empty_page_that_the_longer_bars_contradict_proves_nothing():
    exchange = UpbitExchange({BTC: minutes(*range(1000))}, clock=DAWN + DAY)
    true = exchange.answer

    def lying(path, params):
        is_minute, low = path.endswith("minutes/1"), "2025-01-01T05:00:00Z"
        return Answer(200, {}, b"[]") if is_minute and params["to"] == low else true(path, params)

    exchange.answer = lying
    with pytest.raises(SourceError, match="an empty answer proves nothing"):
        pages_of(exchange, DAWN, DAWN + 5 * HOUR)


def test_a_market_that_is_listed_no_more():
    exchange = UpbitExchange({BTC: minutes(*range(100))}, clock=DAWN + 30 * DAY, listed=["KRW-ETH"])
    found = pages_of(exchange, DAWN + 50 * MINUTE, DAWN + 20 * DAY)
    assert {(page.start, page.end, page.absent) for page in found} == {
        (DAWN + 50 * MINUTE, DAWN + 100 * MINUTE, "no_trade"),
        (DAWN + 100 * MINUTE, DAWN + 20 * DAY, "after_delisting"),
    }
    exchange.listed = [BTC]
    [page] = pages_of(exchange, DAWN + 50 * MINUTE, DAWN + 20 * DAY)
    assert page.absent == "no_trade"


@pytest.mark.parametrize("timeframe", ["1M", "12M"])
def test_a_market_whose_last_bar_reaches_the_end(timeframe):
    """A month is longer than a market is looked for that is gone: nothing is left behind its bar."""
    exchange = UpbitExchange({BTC: minutes(*range(100))}, clock=DAWN + 800 * DAY, listed=["KRW-ETH"])
    end = Timeframe.parse(timeframe).next(DAWN)
    found = pages_of(exchange, DAWN, end, timeframe)
    assert (covered(found), times_of(found)) == ((DAWN, end), [DAWN])


def test_a_market_that_rested_before_it_was_listed_no_more():
    exchange = UpbitExchange({BTC: minutes(0, 40_000)}, clock=DAWN + 60 * DAY, listed=[])
    [page] = pages_of(exchange, DAWN, DAWN + 20 * DAY)
    assert page.absent == "no_trade"


def test_what_is_no_market_or_no_timeframe():
    exchange = UpbitExchange({BTC: []}, clock=DAWN)
    with pytest.raises(NoSuchMarketError, match="KRW-NOPE") as error:
        pages_of(exchange, DAWN, DAWN + DAY, symbol="KRW-NOPE")
    assert "KRW-BTC" in str(error.value)
    assert not is_of_host(error.value)
    with pytest.raises(InvalidInputError, match="upbit has no 2h candles") as error:
        pages_of(exchange, DAWN, DAWN + DAY, "2h")
    assert "'1h'" in str(error.value)


def test_a_page_for_people_says_nothing_of_a_market():
    with pytest.raises(SourceError, match=r"refused what it was asked \(404\): <html>") as error:
        read_bars(Answer(404, {}, b"<html>"), symbol=BTC, frame=M1, to=None, count=1)
    assert not isinstance(error.value, NoSuchMarketError)
    assert is_of_host(error.value)
    assert "base_url" in str(error.value)


def test_the_markets():
    exchange = UpbitExchange({BTC: [], "KRW-ETH": []}, clock=DAWN)
    assert [one.symbol for one in asyncio.run(UpbitCandles(exchange).markets())] == [BTC, "KRW-ETH"]


def spoilt(change, count=3):
    rows = [candle(BTC, at) for at in minutes(*range(9, 9 - count, -1))]
    change(rows)
    return rows


@pytest.mark.parametrize(
    ("why", "change"),
    [
        ("other markets", lambda rows: rows[1].update(market="KRW-ETH")),
        ("from the newest to the oldest", lambda rows: rows.reverse()),
        ("from the newest to the oldest", lambda rows: rows.insert(1, rows[0])),
        ("behind the range", lambda rows: rows.insert(0, candle(BTC, DAWN + 20 * MINUTE))),
        ("not on the grid", lambda rows: rows[2].update(candle(BTC, DAWN + 30_000))),
        ("times of Seoul", lambda rows: rows[0].update(candle_date_time_kst="2025-01-01T00:09:00")),
        ("5 bars where 4", lambda rows: rows.extend(candle(BTC, at) for at in minutes(3, 2))),
        ("no candles", lambda rows: rows[0].pop("trade_price")),
        ("no candles", lambda rows: rows[0].update(high_price="12")),
        ("no candles", lambda rows: rows[0].update(low_price=None)),
        ("no candles", lambda rows: rows[0].update(candle_date_time_utc="yesterday")),
        ("no candles", lambda rows: rows.append({"error": {"name": 500}})),
    ],
)
def test_what_is_no_page_is_none(why, change):
    answer = Answer(200, {}, json.dumps(spoilt(change)).encode())
    with pytest.raises(NoPageError, match=why):
        read_bars(answer, symbol=BTC, frame=M1, to=DAWN + 10 * MINUTE, count=4)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"null", b'{"error": {}}', b"[[1, 2]]", b'[{"market"', b"\xff"]
)
def test_what_is_no_list_of_candles_is_no_page(body):
    with pytest.raises(NoPageError, match="no candles"):
        read_bars(Answer(200, {}, body), symbol=BTC, frame=M1, to=None, count=4)


finite = st.floats(0, 1e15)


@given(st.lists(st.tuples(finite, finite, finite), min_size=1, max_size=20))
def test_numbers_come_to_the_last_bit(values):
    rows = [candle(BTC, at) for at in minutes(*range(len(values), 0, -1))]
    for row, (price, volume, turnover) in zip(rows, values, strict=True):
        row.update(trade_price=price, candle_acc_trade_volume=volume, candle_acc_trade_price=turnover)
    answer = Answer(200, {}, json.dumps(rows).encode())
    bars = read_bars(answer, symbol=BTC, frame=M1, to=None, count=200)
    frame = rows_of(bars, list(range(len(values))))
    assert frame.select("close", "volume", "candle_acc_trade_price").rows() == values


@pytest.mark.parametrize("minutes_long", [1, 3])
def test_recorded_pages_are_read(minutes_long):
    paths = sorted(real("smtm").glob(f"upbit_{minutes_long}m_*.json"))
    assert paths
    for path in paths:
        body, frame = path.read_bytes(), Timeframe.parse(f"{minutes_long}m")
        recorded = json.loads(body)
        bars = read_bars(Answer(200, {}, body), symbol=BTC, frame=frame, to=None, count=200)
        rows = rows_of(bars, list(range(len(bars.times))))
        assert rows["close"].to_list() == [row["trade_price"] for row in recorded]
        assert rows["volume"].to_list() == [row["candle_acc_trade_volume"] for row in recorded]
        assert rows["candle_acc_trade_price"].to_list() == [row["candle_acc_trade_price"] for row in recorded]
        assert {before - after for before, after in pairwise(bars.times)} == {minutes_long * MINUTE}


def test_a_recorded_second_is_read():
    text = real("upbit_payloads", "rest_GetKlines.txt").read_text()
    body = text[text.index("[") : text.index("]") + 1].encode()
    bars = read_bars(Answer(200, {}, body), symbol=BTC, frame=Timeframe.parse("1s"), to=None, count=1)
    assert rows_of(bars, [0]).row(0)[1:] == (145794000, 145794000, 145759000, 145759000, 0.0013, 185042)


@pytest.mark.parametrize(
    ("header", "left"),
    [
        ("group=candles; min=600; sec=9", 9),
        ("group=default; min=1800; sec=0", 0),
        ("", None),
        ("sec=x", None),
    ],
)
def test_what_remains_of_the_second(header, left):
    assert remaining({"Remaining-Req": header}) == left
