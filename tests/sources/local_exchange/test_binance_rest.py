"""Binance's requests and files: shaped as they were recorded, paged as they are documented."""

import csv
import hashlib
import io
import re
import zipfile

import pytest

from mdstore import LocalExchange, LocalMarket
from mdstore.core.timestamps import to_ms
from tests.support.asking import ask, klines
from tests.support.real import real

NOW = "2025-09-03T12:00:30"
LISTED = to_ms("2024-03-05")


@pytest.fixture(scope="module")
def exchange():
    markets = [
        LocalMarket(symbol="BTCUSDT", listed="2024-03-05"),
        LocalMarket(symbol="LUNAUSDT", delisted="2025-09-01"),
        "KRW-BTC",
    ]
    with LocalExchange(markets, now=NOW, limits=None) as exchange:
        yield exchange


def test_klines_are_shaped_as_they_were_recorded(exchange):
    with next(real("binance_kline").glob("*.csv")).open() as file:
        recorded = next(csv.reader(file))
    found = klines(exchange, limit=1).json[0]
    assert len(found) == len(recorded)
    for mine, theirs in zip(found, recorded, strict=True):
        form = re.sub(r"\d+", "0", theirs)
        assert re.sub(r"\d+", "0", str(mine)) == form
    assert [type(value) for value in found] == [int, *[str] * 5, int, str, int, *[str] * 3]
    assert found[6] - found[0] == 59_999


def test_klines_go_forward_from_the_listing(exchange):
    page = klines(exchange, startTime=0, limit=1000).json
    assert len(page) == 1000
    assert [row[0] for row in page] == list(range(LISTED, LISTED + 60_000_000, 60_000))
    assert [float(row[4]) for row in page] == exchange.truth.bars(
        "BTCUSDT", "1m", LISTED, LISTED + 60_000_000
    )["close"].to_list()


def test_end_time_is_included_and_the_latest_come_without_a_start(exchange):
    end = to_ms("2025-09-01")
    both = klines(exchange, startTime=end - 120_000, endTime=end).json
    assert [row[0] for row in both] == [end - 120_000, end - 60_000, end]
    latest = klines(exchange, endTime=end, limit=2).json
    assert [row[0] for row in latest] == [end - 60_000, end]
    forming = klines(exchange, limit=1).json[0]
    assert forming[0] == to_ms("2025-09-03T12:00")


def test_pages_are_of_1000_and_of_1500_bars(exchange):
    assert len(klines(exchange, limit=5000).json) == 1000
    found = ask(exchange, "/fapi/v1/klines", symbol="BTCUSDT", interval="1m", limit=5000).json
    assert len(found) == 1500


def test_weeks_start_on_monday_and_months_with_the_first(exchange):
    weeks = klines(exchange, interval="1w", limit=2).json
    assert [row[0] for row in weeks] == [to_ms("2025-08-25"), to_ms("2025-09-01")]
    months = klines(exchange, interval="1M", startTime=to_ms("2025-07-02"), limit=5).json
    assert [row[0] for row in months] == [to_ms("2025-08-01"), to_ms("2025-09-01")]
    assert months[0][6] == to_ms("2025-09-01") - 1


def test_symbols_that_no_longer_trade_are_listed_and_have_their_bars(exchange):
    found = {one["symbol"]: one["status"] for one in ask(exchange, "/api/v3/exchangeInfo").json["symbols"]}
    assert found == {"BTCUSDT": "TRADING", "LUNAUSDT": "BREAK"}
    last = klines(exchange, symbol="LUNAUSDT", limit=1).json[0]
    assert last[0] == to_ms("2025-08-31T23:59")
    futures = ask(exchange, "/fapi/v1/exchangeInfo").json["symbols"][0]
    assert futures["onboardDate"] == LISTED


def test_what_is_wrong_is_said_as_binance_does(exchange):
    assert klines(exchange, symbol="NONE").json["code"] == -1121
    assert klines(exchange, interval="7m").json["code"] == -1120
    assert klines(exchange, startTime="soon").json["code"] == -1100
    assert ask(exchange, "/api/v3/klines", symbol="BTCUSDT").json["code"] == -1102


def opened(answer):
    with zipfile.ZipFile(io.BytesIO(answer.body)) as file:
        (name,) = file.namelist()
        return name, list(csv.reader(io.TextIOWrapper(file.open(name))))


def test_files_of_months_have_what_klines_give(exchange):
    path = "/data/spot/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2024-12.zip"
    name, rows = opened(ask(exchange, path))
    assert name == "BTCUSDT-1h-2024-12.csv"
    given = klines(
        exchange, interval="1h", startTime=to_ms("2024-12-01"), endTime=to_ms("2025-01-01") - 1, limit=1000
    )
    assert rows == [[str(value) for value in row] for row in given.json]
    checksum = ask(exchange, path + ".CHECKSUM").body.decode().split()
    assert checksum == [hashlib.sha256(ask(exchange, path).body).hexdigest(), "BTCUSDT-1h-2024-12.zip"]


def test_files_of_spot_are_in_microseconds_from_2025_on(exchange):
    at = to_ms("2025-08-01") * 1000
    _, spot = opened(ask(exchange, "/data/spot/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2025-08-01.zip"))
    assert (int(spot[0][0]), int(spot[0][6]), len(spot)) == (at, at + 59_999_999, 1440)
    futures = "/data/futures/um/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2025-08-01.zip"
    _, rows = opened(ask(exchange, futures))
    assert rows[0][0] == "open_time"
    assert int(rows[1][0]) == at // 1000


@pytest.mark.parametrize(
    "path",
    [
        "spot/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2025-09.zip",  # it is not over
        "spot/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2024-01.zip",  # before the listing
        "spot/daily/klines/NONE/1m/NONE-1m-2025-08-01.zip",
        "spot/daily/klines/BTCUSDT/1m/BTCUSDT-5m-2025-08-01.zip",
    ],
)
def test_files_that_are_not_there(exchange, path):
    assert ask(exchange, f"/data/{path}").status == 404
