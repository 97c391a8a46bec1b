"""Upbit's requests: shaped as they were recorded, paged as they are documented."""

import json
import time
from datetime import datetime, timedelta

import polars as pl
import pytest

import mdstore
from mdstore import LocalExchange, LocalMarket
from tests.support.asking import ask, minutes
from tests.support.real import real

NOW = "2025-09-01T12:00:30"
ZONE = {"market": "KRW-BTC"}


@pytest.fixture(scope="module")
def exchange():
    with LocalExchange(
        [LocalMarket(symbol="KRW-BTC"), "KRW-ETH", "BTCUSDT"], now=NOW, limits=None
    ) as exchange:
        yield exchange


def times(answer):
    return [row["candle_date_time_utc"] for row in answer.json]


def shape(row):
    """Return the names and types of a JSON object, in its order; a whole number may be a float."""
    kind = {int: float}
    return [
        (name, kind.get(type(value), type(value)) if name != "timestamp" else int)
        for name, value in row.items()
    ]


def test_minutes_are_shaped_as_they_were_recorded(exchange):
    recorded = json.loads(next(real("smtm").glob("upbit_1m*")).read_text())
    assert shape(minutes(exchange).json[0]) == shape(recorded[0])


def test_seconds_are_shaped_as_they_were_recorded(exchange):
    recorded = json.loads(real("upbit_payloads", "rest_GetKlines.txt").read_text().split("\n", 3)[3])
    assert shape(ask(exchange, "/v1/candles/seconds", **ZONE).json[0]) == shape(recorded[0])


def test_markets_are_shaped_as_they_were_recorded(exchange):
    recorded = json.loads(real("upbit_payloads", "rest_GetSymbols.txt").read_text().split("\n", 3)[3])
    found = ask(exchange, "/v1/market/all", is_details="true").json
    assert [row["market"] for row in found] == ["KRW-BTC", "KRW-ETH"]
    assert shape(found[0]) == shape(recorded[0])
    assert found[0]["market_event"].keys() == recorded[0]["market_event"].keys()
    assert set(found[0]["market_event"]["caution"]) == set(recorded[0]["market_event"]["caution"])


def test_a_page_is_newest_first_and_at_most_200(exchange):
    found = times(minutes(exchange, count=500))
    assert len(found) == 200
    assert found == sorted(found, reverse=True)
    assert found[0] == "2025-09-01T12:00:00"  # it is forming


def test_to_is_exclusive_and_in_utc_unless_it_names_a_zone(exchange):
    for to in (
        "2025-09-01T09:00:00Z",
        "2025-09-01 09:00:00",
        "2025-09-01T18:00:00+09:00",
        "2025-09-01T18:00:00 09:00",
    ):
        assert times(minutes(exchange, to=to, count=1)) == ["2025-09-01T08:59:00"]


def test_a_page_goes_back_over_minutes_without_a_trade(exchange):
    page = times(minutes(exchange))
    assert len(page) == 200
    span = datetime.fromisoformat(page[0]) - datetime.fromisoformat(page[-1])
    assert span > timedelta(minutes=199)


def test_pages_walked_to_the_listing_are_the_truth(exchange):
    with LocalExchange([LocalMarket(symbol="KRW-BTC", listed="2025-08-31")], now=NOW, limits=None) as young:
        rows, to = [], "2025-09-01T12:00:00Z"
        while page := minutes(young, to=to).json:
            rows += page
            to = page[-1]["candle_date_time_utc"]
        truth = young.truth.bars("KRW-BTC", "1m", "2025-08-31", "2025-09-01T12:00")
    assert [row["trade_price"] for row in reversed(rows)] == truth["close"].to_list()
    assert [row["candle_acc_trade_price"] for row in reversed(rows)] == truth["value"].to_list()
    assert [row["timestamp"] for row in reversed(rows)] == truth["last"].to_list()


@pytest.mark.variants(3)
@pytest.mark.parametrize(
    ("path", "starts", "field"),
    [
        ("minutes/240", ["2025-09-01T12:00:00", "2025-09-01T08:00:00"], "unit"),
        ("days", ["2025-09-01T00:00:00", "2025-08-31T00:00:00"], "prev_closing_price"),
        ("weeks", ["2025-09-01T00:00:00", "2025-08-25T00:00:00"], "first_day_of_period"),
        ("months", ["2025-09-01T00:00:00", "2025-08-01T00:00:00"], "first_day_of_period"),
        ("years", ["2025-01-01T00:00:00", "2024-01-01T00:00:00"], "first_day_of_period"),
    ],
)
def test_longer_bars(exchange, path, starts, field):
    found = ask(exchange, f"/v1/candles/{path}", count=2, **ZONE)
    assert times(found) == starts
    assert field in found.json[0]
    kst = datetime.fromisoformat(found.json[0]["candle_date_time_kst"])
    assert kst - datetime.fromisoformat(starts[0]) == timedelta(hours=9)


def test_seconds_are_kept_for_three_months(exchange):
    assert ask(exchange, "/v1/candles/seconds", to="2025-06-10T00:00:00Z", **ZONE).json
    assert ask(exchange, "/v1/candles/seconds", to="2025-06-01T00:00:00Z", **ZONE).json == []


def test_the_forming_bar_goes_on(exchange):
    first = minutes(exchange, count=1).json[0]
    later = first
    while later["candle_acc_trade_volume"] == first["candle_acc_trade_volume"]:
        time.sleep(0.05)
        later = minutes(exchange, count=1).json[0]
    assert later["timestamp"] > first["timestamp"]


def test_nothing_is_traded_before_the_listing_nor_after_the_delisting():
    market = LocalMarket(symbol="KRW-BTC", listed="2025-08-31", delisted="2025-09-02")
    with LocalExchange([market], now="2025-09-01T23:59:59") as exchange:
        assert minutes(exchange, to="2025-08-31T00:00:00Z").json == []
        while minutes(exchange).status == 200:
            assert ask(exchange, "/v1/market/all").status in (200, 429)
        assert minutes(exchange).status in (404, 429)


def test_what_is_wrong_is_said_as_upbit_does(exchange):
    unknown = minutes(exchange, market="KRW-NONE")
    assert (unknown.status, unknown.json) == (404, {"error": {"name": 404, "message": "Code not found"}})
    assert ask(exchange, "/v1/candles/minutes/1").status == 400
    assert minutes(exchange, count="many").status == 400
    assert minutes(exchange, to="yesterday").status == 400
    assert minutes(exchange, unit=7).status == 404


def test_recorded_minutes_come_out_to_the_last_bit(store):
    frame = pl.read_csv(next(real("upbit").glob("*1m*")), try_parse_dates=True)
    frame = frame.rename({frame.columns[0]: "timestamp"})
    market = LocalMarket(symbol="KRW-BTC", candles=frame)
    with LocalExchange([market], now="2025-10-04T02:00", limits=None) as exchange:
        rows, to = [], "2025-10-04T02:00:00Z"
        while page := minutes(exchange, to=to).json:
            rows += page
            to = page[-1]["candle_date_time_utc"]
    result = store.write("KRW-BTC", "1m", rows)
    assert result.inserted == len(frame)
    got = store.candles("KRW-BTC", "1m")
    for name in ("open", "high", "low", "close", "volume"):
        assert got[name].to_list() == frame.sort("timestamp")[name].to_list()


def test_without_the_extra_it_is_said_what_to_install(python):
    said = python(
        """
        import sys
        sys.modules["aiohttp"] = None
        import mdstore
        try:
            mdstore.LocalExchange()
        except mdstore.MarketDataError as error:
            print(error)
        """
    )
    assert "pip install 'mdstore[exchanges]'" in said
    with pytest.raises(mdstore.InvalidInputError, match="does not listen yet"):
        LocalExchange(["KRW-BTC"]).url  # noqa: B018
