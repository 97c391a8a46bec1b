"""Files of Binance's archive: which are used, what they prove, and what is asked for in their place."""

import asyncio
import functools
import io
import zipfile
from hashlib import sha256

import polars as pl
import pytest

from mdstore.core.timeframe import DAY, MINUTE, Timeframe
from mdstore.errors import SourceError
from mdstore.sources.exchanges.binance_archive import Archive, plan, read_checksum, read_file, read_zip
from mdstore.sources.exchanges.binance_candles import SPOT, BinanceCandles
from mdstore.sources.web.answers import Answer
from mdstore.sources.web.host import NoPageError
from tests.support.binance_exchange import ArchiveFiles, BinanceExchange, kline, zipped
from tests.support.pages import pages_of, times_of
from tests.support.real import real

DAWN = 1_735_689_600_000  # 2025-01-01 00:00 UTC
BTC, M1 = "BTCUSDT", Timeframe.parse("1m")
NAME = "BTCUSDT-1m-2025-01.zip"
JANUARY = "/data/spot/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2025-01.zip"
MONTH = [DAWN + number * MINUTE for number in range(31 * 1440)]
NOW = DAWN + 60 * DAY


def fetched(files, exchange, start, end):
    archive = Archive("spot", ArchiveFiles(files), clock=lambda: NOW / 1000)
    source = BinanceCandles(SPOT, exchange, archive)

    async def run():
        return [page async for page in source.candles(BTC, "1m", start, end)]

    pages = asyncio.run(run())
    times = pl.concat([page.rows for page in pages if len(page.rows)])["timestamp"].to_list()
    return pages, times, archive.client.log


def test_a_month_comes_as_a_file_and_the_rest_is_asked_for():
    """To the bit what REST gives: 44,640 bars by 2 requests, and half a day before and behind by one each."""
    traded = [DAWN + number * MINUTE for number in range(-720, 31 * 1440 + 720)]
    exchange = BinanceExchange({BTC: traded}, clock=NOW)
    files = {JANUARY: zipped(MONTH, M1, "BTCUSDT-1m-2025-01.zip", microseconds=True)}
    pages, times, asked = fetched(files, exchange, traded[0], traded[-1] + MINUTE)
    assert times == traded
    assert asked == [f"{JANUARY}.CHECKSUM", JANUARY]
    assert len(exchange.log) == 2
    by_rest = BinanceCandles(SPOT, exchange)

    async def run():
        return [page.rows async for page in by_rest.candles(BTC, "1m", traded[0], traded[-1] + MINUTE)]

    assert pl.concat([page.rows for page in pages]).equals(pl.concat(asyncio.run(run())))


def test_what_a_file_lacks_is_asked_for():
    exchange = BinanceExchange({BTC: MONTH[:20_000] + MONTH[20_007:]}, clock=NOW)
    lacking = MONTH[:500] + MONTH[510:20_000] + MONTH[20_007:]
    files = {JANUARY: zipped(lacking, M1, "BTCUSDT-1m-2025-01.zip")}
    pages, times, _ = fetched(files, exchange, DAWN, DAWN + 31 * DAY)
    assert times == exchange.minutes[BTC]
    assert [request.params["limit"] for request in exchange.log] == [10, 7, 7, 1]  # the last is the listing
    assert sum(page.end - page.start for page in pages) == 31 * DAY


def test_a_file_that_is_not_there_is_asked_for_once():
    exchange = BinanceExchange({BTC: MONTH}, clock=NOW)
    archive = Archive("spot", ArchiveFiles({}), clock=lambda: NOW / 1000)
    source = BinanceCandles(SPOT, exchange, archive)

    async def run():
        return [page async for page in source.candles(BTC, "1m", DAWN, DAWN + 31 * DAY)]

    assert sum(len(page.rows) for page in asyncio.run(run())) == len(MONTH)
    asyncio.run(run())
    assert archive.client.log == [f"{JANUARY}.CHECKSUM"]


def test_a_file_full_of_holes_is_not_used():
    exchange = BinanceExchange({BTC: MONTH[::2]}, clock=NOW)
    files = {JANUARY: zipped(MONTH[::2], M1, "BTCUSDT-1m-2025-01.zip")}
    _, times, _ = fetched(files, exchange, DAWN, DAWN + 31 * DAY)
    assert times == MONTH[::2]
    assert len(exchange.log) >= 22


def test_which_files_are_used():
    month, day = ("monthly", "2025-01"), ("daily", "2025-02-01")
    assert plan(M1, DAWN, DAWN + 31 * DAY, 1000, NOW) == [(month, DAWN, DAWN + 31 * DAY)]
    assert plan(M1, DAWN + 1, DAWN + 31 * DAY, 1000, NOW) == [(None, DAWN + 1, DAWN + 31 * DAY)]
    assert plan(M1, DAWN, DAWN + 31 * DAY, 1000, DAWN + 32 * DAY) == [
        (None, DAWN, DAWN + 31 * DAY)
    ]  # too new
    assert plan(Timeframe.parse("1h"), DAWN, DAWN + 31 * DAY, 1000, NOW) == [(None, DAWN, DAWN + 31 * DAY)]
    second = Timeframe.parse("1s")
    assert plan(second, DAWN, DAWN + 32 * DAY + 5, 1000, NOW) == [
        (month, DAWN, DAWN + 31 * DAY),
        (day, DAWN + 31 * DAY, DAWN + 32 * DAY),
        (None, DAWN + 32 * DAY, DAWN + 32 * DAY + 5),
    ]


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("microseconds", [True, False])
def test_files_are_read_alike(header, microseconds):
    rows = read_zip(zipped(MONTH[:3], M1, "a.zip", header=header, microseconds=microseconds), "a.zip")
    assert rows["timestamp"].to_list() == MONTH[:3]
    assert rows.row(1)[1:] == tuple(float(kline(MONTH[1], M1)[at]) for at in (1, 2, 3, 4, 5, 7, 8, 9, 10))


def test_a_recorded_file_is_read():
    text = real("binance_kline", "ADABTC-1m-2021-11-28.csv").read_text()
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as file:
        file.writestr("ADABTC-1m-2021-11-28.csv", text)
    rows = read_zip(body.getvalue(), "ADABTC-1m-2021-11-28.zip")
    first = text.splitlines()[0].split(",")
    assert len(rows) == len(text.splitlines())
    assert rows.row(0) == (int(first[0]), *(float(first[at]) for at in (1, 2, 3, 4, 5, 7, 8, 9, 10)))


@pytest.mark.parametrize("body", [b"", b"<html>", zipped(MONTH[:1], M1, "a.zip")[:-30]])
def test_what_is_no_zip_of_candles_is_named(body):
    with pytest.raises(SourceError, match=r"a\.zip has its SHA-256, and holds no candles"):
        read_zip(body, "a.zip")


def test_a_zip_of_something_else_is_named():
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as file:
        file.writestr("a.csv", "this,is\nno,candle\n")
    with pytest.raises(SourceError, match="holds no candles"):
        read_zip(body.getvalue(), "a.zip")


def test_a_file_without_its_sha256_is_named():
    with pytest.raises(SourceError, match=r"a\.zip does not have the SHA-256"):
        read_zip(b"half a file", "a.zip", "0" * 64)
    assert read_file(Answer(404, {}, b"")) is None


REFUSED = Answer(403, {}, b"<Error><Code>AccessDenied</Code></Error>")


@functools.cache
def good(*, header=False):
    return zipped(MONTH, M1, NAME, header=header)


def of_text(change):
    """Return a file of which the text is another, and its SHA-256."""
    with zipfile.ZipFile(io.BytesIO(good(header=True))) as file:
        [inside] = file.namelist()
        text = change(file.read(inside).decode())
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as file:
        file.writestr(inside, text)
    digest = sha256(body.getvalue()).hexdigest()
    return {JANUARY: body.getvalue(), f"{JANUARY}.CHECKSUM": f"{digest}  {NAME}".encode()}


@pytest.mark.variants(1)
@pytest.mark.parametrize(
    "changed",
    [
        lambda: {f"{JANUARY}.CHECKSUM": REFUSED},
        lambda: {JANUARY: REFUSED},
        lambda: {JANUARY: good()[:-50]},
        lambda: {f"{JANUARY}.CHECKSUM": SourceError("the archive cannot be reached")},
        lambda: {JANUARY: b"no", f"{JANUARY}.CHECKSUM": f"{sha256(b'no').hexdigest()}  {NAME}".encode()},
        lambda: of_text(lambda text: text.replace("open,high", "high,open", 1)),
        lambda: of_text(lambda text: text.replace(f"\n{MONTH[7]},", f"\n{MONTH[7] + 9},", 1)),
        lambda: of_text(lambda text: text + text.splitlines()[-1] + "\n"),
    ],
    ids=[
        "403 of the sum",
        "403",
        "half",
        "unreachable",
        "no candles",
        "other columns",
        "off the grid",
        "twice",
    ],
)
def test_whatever_fails_of_a_file_its_range_is_asked_for(changed):
    exchange = BinanceExchange({BTC: MONTH}, clock=NOW)
    files = ArchiveFiles({JANUARY: good()})
    files.files.update(changed())
    source = BinanceCandles(SPOT, exchange, Archive("spot", files, clock=lambda: NOW / 1000))
    for _ in range(2):
        assert times_of(pages_of(source, BTC, "1m", DAWN, DAWN + 31 * DAY)) == MONTH
    assert files.log.count(f"{JANUARY}.CHECKSUM") == 1  # that it failed is remembered


def test_a_row_that_lacks_a_price_is_asked_for():
    exchange = BinanceExchange({BTC: MONTH}, clock=NOW)

    def lacking(text):
        line = next(line for line in text.splitlines() if line.startswith(f"{MONTH[9]},"))
        fields = line.split(",")
        return text.replace(line, ",".join([fields[0], "", *fields[2:]]), 1)

    _, times, _ = fetched(of_text(lacking), exchange, DAWN, DAWN + 31 * DAY)
    assert times == MONTH
    assert [request.params["limit"] for request in exchange.log] == [1]


def test_one_file_at_a_time_is_read():
    months = [f"/data/spot/monthly/klines/{one}/1m/{one}-1m-2025-01.zip" for one in ("A", "B", "C")]
    files = ArchiveFiles({path: good() for path in months})
    true, under_way = files.fetch, []

    async def fetch(request, read):
        under_way.append(request.path.removesuffix(".CHECKSUM"))
        assert len(set(under_way)) == 1
        await asyncio.sleep(0)
        found = await true(request, read)
        if not request.path.endswith("CHECKSUM"):
            under_way.clear()
        return found

    files.fetch = fetch
    exchange = BinanceExchange({}, clock=NOW)
    source = BinanceCandles(SPOT, exchange, Archive("spot", files, clock=lambda: NOW / 1000))

    async def one(symbol):
        return [page async for page in source.candles(symbol, "1m", DAWN, DAWN + 31 * DAY)]

    async def run():
        return await asyncio.gather(*map(one, "ABC"))

    assert [times_of(pages) for pages in asyncio.run(run())] == [MONTH] * 3


@pytest.mark.parametrize("text", ["", "<html>", "abc  a.zip", f"{'0' * 64}  b.zip"])
def test_what_is_no_sha256_of_the_file(text):
    with pytest.raises(NoPageError, match="no SHA-256"):
        read_checksum(Answer(200, {}, text.encode()), name="a.zip")
    assert read_checksum(Answer(404, {}, b""), name="a.zip") is None
    assert read_checksum(Answer(200, {}, f"{'AB' * 32}  a.zip\n".encode()), name="a.zip") == "ab" * 32
    with pytest.raises(SourceError, match="403"):
        read_checksum(Answer(403, {}, b"no"), name="a.zip")


def test_a_range_is_cut_at_the_months_of_files():
    source = BinanceCandles(
        SPOT, BinanceExchange({}, clock=NOW), Archive("spot", ArchiveFiles({}), clock=lambda: NOW / 1000)
    )
    february = DAWN + 31 * DAY
    assert source.stretches("1m", DAWN - 3 * DAY, february + 8 * DAY) == [
        (DAWN - 3 * DAY, DAWN), (DAWN, february), (february, february + 10_000 * MINUTE),
        (february + 10_000 * MINUTE, february + 8 * DAY),
    ]  # fmt: skip
    assert BinanceCandles(SPOT, BinanceExchange({}, clock=NOW)).stretches("1m", 0, 5 * MINUTE) == [
        (0, 5 * MINUTE)
    ]
