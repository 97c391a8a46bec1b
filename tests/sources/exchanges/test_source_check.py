"""An exchange is held to its documentation: what is as it says is told so, and what is not by name."""

import asyncio
import json

import pytest

from mdstore import LocalExchange
from mdstore.errors import InvalidInputError
from mdstore.sources.exchanges.binance_candles import open_spot, open_usdm
from mdstore.sources.exchanges.source_check import check_source
from mdstore.sources.exchanges.upbit_candles import open_upbit
from mdstore.sources.web.host import Manners
from tests.support.tiny_server import Reply, TinyServer

QUICK = Manners(attempts=2, first_wait=0.01, answer=60)


def checked(opens, url):
    async def run():
        source = opens(base_url=url, manners=QUICK)
        source.client.pace.limits.update(dict.fromkeys(source.client.pace.limits, 400.0))
        try:
            return {one.what: one.differs for one in await check_source(source)}
        finally:
            await source.aclose()

    return asyncio.run(run())


@pytest.mark.variants(1)
@pytest.mark.slow
@pytest.mark.parametrize("opens", [open_upbit, open_spot, open_usdm])
def test_an_exchange_that_is_as_documented(opens):
    with LocalExchange(["KRW-BTC", "BTCUSDT"], limits={"upbit_per_second": None}) as exchange:
        found = checked(opens, exchange.url)
        assert {what: differs for what, differs in found.items() if differs} == {}
        assert {"three 1m candles", "three 1M candles", "a market that is not there"} <= set(found)


def test_an_exchange_that_is_not():
    with TinyServer(lambda _: Reply(headers={"Date": "Wed, 03 Sep 2025 00:00:30 GMT"})) as server:
        assert "its clock shows 2025-09-03" in " / ".join(checked(open_upbit, server.url)["the markets"])
    row = {
        "market": "KRW-BTC", "candle_date_time_utc": "2025-09-03T00:00:30", "trade_price": "12", "unit": 1,
        "colour": "red",
    }  # fmt: skip
    with TinyServer(lambda _: Reply(json.dumps([row]))) as server:
        told = " / ".join(checked(open_upbit, server.url)["three 1m candles"])
    for expected in (
        "no Date", "high_price is missing", "trade_price is '12'", "colour, which is not documented",
        "Remaining-Req is ''", "1 bars came where 3", "not on our grid of 1m",
    ):  # fmt: skip
        assert expected in told
    with TinyServer(lambda _: Reply("[[1, 2]]")) as server:
        found = checked(open_spot, server.url)
    assert "a bar has the fields ['int', 'int']" in " / ".join(found["three 1m candles"])
    assert "the weight of a minute is []" in " / ".join(found["the markets and limits"])
    with TinyServer(lambda _: Reply("<html>")) as server:
        assert "no JSON was answered, but <html>" in " / ".join(
            checked(open_upbit, server.url)["the markets"]
        )
    with TinyServer(lambda _: Reply(status=500)) as server:
        assert "failed (500)" in " / ".join(checked(open_upbit, server.url)["the markets"])


def test_a_source_of_which_nothing_is_known():
    class Other:
        name = "other"

    with pytest.raises(InvalidInputError, match="other: what it should answer"):
        asyncio.run(check_source(Other()))
