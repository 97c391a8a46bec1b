"""The sources of ours against the local exchange and all its faults: in the end they have told the truth."""

import asyncio
from dataclasses import replace

import polars as pl
import pytest

import mdstore
from mdstore import LocalExchange, LocalMarket
from mdstore.core.timeframe import HOUR, MINUTE
from mdstore.core.timestamps import ms_to_datetime
from mdstore.sources.exchanges import binance_candles
from mdstore.sources.exchanges.binance_candles import SPOT, open_spot, open_usdm
from mdstore.sources.exchanges.upbit_candles import open_upbit
from mdstore.sources.local_exchange.faults import FAULTS, Faults
from mdstore.sources.local_exchange.request_log import most_in_a_second
from mdstore.sources.web.host import Manners
from tests.support.doses import FULL
from tests.support.pages import covered, pages_of
from tests.support.real import real

NOW, DAWN = "2025-09-03T00:00:30", 1_756_684_800_000  # 2025-09-01 00:00
MANNERS = Manners(attempts=8, first_wait=0.01, longest_wait=0.02, answer=0.5, patience=5)
SOURCES = {
    "upbit": (open_upbit, "KRW-BTC", "candles"),
    "binance": (open_spot, "BTCUSDT", "/api/v3"),
    "binance-futures": (open_usdm, "BTCUSDT", "/fapi/v1"),
}
VALUES = ("timestamp", "open", "high", "low", "close", "volume")


def fetched(exchange, name, start, end, timeframe="1m", *, manners=None):
    """Return the pages of a range, ascending, as a source gives them."""
    opens, symbol, _ = SOURCES[name]
    source = opens(base_url=exchange.url, manners=manners)
    found = pages_of(source, symbol, timeframe, start, end, close=True)
    return sorted(found, key=lambda page: page.start)


def rows_of(pages):
    return pl.concat([page.rows.select(VALUES) for page in pages if len(page.rows)])


def truth(exchange, symbol, start, end, timeframe="1m"):
    return exchange.truth.bars(symbol, timeframe, start, end).select(VALUES)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", SOURCES)
def test_whatever_goes_wrong_the_truth_comes(name, seed):
    symbol, start, end = SOURCES[name][1], DAWN, DAWN + 30 * HOUR
    faults = Faults([kind for kind in FAULTS if kind != "maintenance"], seed=seed, every=1.5)
    limits = {"ban": 0.2, "slow": 0.1, "upbit_per_second": 100}
    market = LocalMarket(symbol=symbol, silent=0.1)
    with LocalExchange([market], seed=seed, now=NOW, faults=faults, limits=limits) as exchange:
        pages = fetched(exchange, name, start, end, manners=MANNERS)
        assert rows_of(pages).equals(truth(exchange, symbol, start, end))
    assert covered(pages) == (start, end)
    assert {page.absent for page in pages} == {"no_trade"}


@pytest.mark.parametrize("name", SOURCES)
def test_nothing_is_asked_for_twice_and_nothing_too_often(name):
    _, symbol, group = SOURCES[name]
    with LocalExchange([symbol], now=NOW) as exchange:
        fetched(exchange, name, DAWN, DAWN + 50 * HOUR)
        asked = [one for one in exchange.requests if one.group == group]
    assert {one.status for one in asked} == {200}
    assert len({tuple(one.query.items()) for one in asked}) == len(asked)
    if name == "upbit":
        assert len(asked) == 15
        assert most_in_a_second(asked, group) <= 10


TIMEFRAMES = ["1s", "3m", "15m", "1d", "1h", "4h", "1M", "12M", "1w"]


@pytest.mark.variants(4)
@pytest.mark.parametrize("timeframe", TIMEFRAMES if FULL else TIMEFRAMES[::3])
def test_every_timeframe_of_upbit(timeframe):
    length = HOUR if timeframe == "1s" else 400 * 24 * HOUR if timeframe[-1] in "wM" else 60 * HOUR
    start, end = DAWN - length, DAWN + 150 * 24 * HOUR * (timeframe == "12M") + 2 * HOUR
    with LocalExchange(
        ["KRW-BTC"], now="2026-01-29T02:00:30" if timeframe == "12M" else "2025-09-01T02:00:30"
    ) as exchange:
        pages = fetched(exchange, "upbit", start, end, timeframe)
        rows = rows_of(pages)
        expected = truth(exchange, "KRW-BTC", start, end, timeframe)
    closed = expected.filter(pl.col("timestamp") < pages[-1].end)
    assert len(rows)
    assert rows.drop("volume").equals(closed.drop("volume"))
    assert (rows["volume"] - closed["volume"]).abs().max() < 1e-6


def test_what_was_recorded_comes_to_the_last_bit():
    """A month of Upbit's minutes: 47,598 bars, and the two holes between them have their reason."""
    path = next(path for path in sorted(real("upbit").iterdir()) if "1m" in path.name.lower())
    recorded = (
        pl.read_csv(path, try_parse_dates=False)
        .rename(str.lower)
        .select(
            pl.first().str.to_datetime().dt.epoch("ms").alias("timestamp"),
            *(pl.col(name).cast(pl.Float64) for name in VALUES[1:]),
        )
        .sort("timestamp")
    )
    start, end = recorded["timestamp"][0], recorded["timestamp"][-1] + MINUTE
    market = LocalMarket(symbol="KRW-BTC", candles=recorded)
    with LocalExchange([market], now="2025-10-05", limits=None) as exchange:
        pages = fetched(exchange, "upbit", start, end)
    rows = rows_of(pages)
    assert len(rows) == 47_598
    assert rows.equals(recorded)
    assert sum(page.end - page.start for page in pages) // MINUTE == 47_600
    assert {page.absent for page in pages} == {"no_trade"}


def test_the_listing_by_the_real_clients():
    markets = [
        LocalMarket(symbol=one, listed="2025-08-20T07:31", silent=0.0) for one in ("KRW-BTC", "BTCUSDT")
    ]
    with LocalExchange(markets, now=NOW) as exchange:
        for name, (opens, symbol, _) in SOURCES.items():

            async def run(opens=opens, symbol=symbol):
                source = opens(base_url=exchange.url, manners=MANNERS)
                try:
                    return await source.first(symbol, "1m"), await source.markets()
                finally:
                    await source.aclose()

            first, listed = asyncio.run(run())
            assert first == truth(exchange, symbol, DAWN - 30 * 24 * HOUR, DAWN)["timestamp"][0], name
            assert [market.symbol for market in listed] == [symbol]


@pytest.mark.slow
def test_a_sync_takes_whole_months_from_the_archive(tmp_path, monkeypatch):
    """January by a file, what lies about it by pages, and all of it as it was traded."""
    january, low, high = 1_735_689_600_000, 1_735_430_400_000, 1_738_713_600_000  # 12-29 to 02-05
    with (
        LocalExchange(["BTCUSDT"], now="2025-03-01T00:00:30") as exchange,
        mdstore.open(tmp_path / "s.sqlite3") as store,
    ):
        monkeypatch.setattr(binance_candles, "ARCHIVE", exchange.url)
        monkeypatch.setattr(binance_candles, "SPOT", replace(SPOT, address=exchange.url))
        since, until = map(ms_to_datetime, (low, high))
        result = store.sync("binance", ["BTCUSDT"], "1m", since=since, until=until)
        files = [one.path for one in exchange.requests if one.path.endswith(".zip")]
        pages = [one for one in exchange.requests if one.path.endswith("klines")]
        expected = truth(exchange, "BTCUSDT", low, high)
        stored = store.candles("BTCUSDT", "1m").with_columns(pl.col("timestamp").dt.epoch("ms"))
    assert not result.failed
    assert stored.equals(expected)
    assert [path.rpartition("/")[2] for path in files] == ["BTCUSDT-1m-2025-01.zip"]
    assert len(pages) < 20
    assert january in stored["timestamp"].to_list()
