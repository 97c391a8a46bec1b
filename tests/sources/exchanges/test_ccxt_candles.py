"""Exchanges of ccxt, by the real package, against the local exchange: its traps cover nothing."""

import asyncio

import pytest

from mdstore import LocalExchange, LocalMarket
from mdstore.core.timeframe import DAY, HOUR, MINUTE, Timeframe
from mdstore.errors import InvalidInputError, NoSuchMarketError, SourceError
from mdstore.sources.exchanges.candle_sources import open_source
from mdstore.sources.exchanges.ccxt_candles import _in_range, _is_traded, open_ccxt
from mdstore.sources.web.host import Manners, NoPageError
from tests.support.pages import covered, pages_of, times_of

ccxt = pytest.importorskip(
    "ccxt", reason="ccxt is not installed: it is 124 MB, and no part of the tests' extra (pip install ccxt)"
)

NOW, DAWN = "2025-09-03T00:00:30", 1_756_684_800_000  # 2025-09-01 00:00
QUICK = Manners(attempts=6, first_wait=0.01, longest_wait=0.02, answer=3, patience=5)
LIMITS = {"upbit_per_second": None, "spot_weight": None, "futures_weight": None}


def opened(exchange, name="upbit", **options):
    source = open_ccxt(name, base_url=exchange.url, manners=QUICK, **options)
    source._host.pace.limits["any"] = 1000.0  # the pace has tests of its own
    source._exchange.options["fetchMarkets"] = {"types": ["spot"]}  # the local exchange has no others
    return source


def asked(exchange, start, end, timeframe="1m", *, symbol="BTC/KRW", name="upbit", unlisted=True):
    source = opened(exchange, name)
    if unlisted:
        source._firsts[symbol, timeframe] = start
    return pages_of(source, symbol, timeframe, start, end, close=True)


def truth(exchange, symbol, start, end, timeframe="1m"):
    return exchange.truth.bars(symbol, timeframe, start, end)["timestamp"].cast(int).to_list()


ALL_FAULTS = ["html", "429", "short_page", "418", "500", "dropped", "truncated", "html", "short_page", "slow",
              "duplicated"]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "symbol", "local"), [("upbit", "BTC/KRW", "KRW-BTC"), ("binance", "BTC/USDT", "BTCUSDT")]
)
@pytest.mark.parametrize("faults", [[], ALL_FAULTS], ids=["well", "faulty"])
def test_what_comes_is_the_truth(name, symbol, local, faults):
    end = DAWN + 40 * HOUR
    with LocalExchange([local], now=NOW, limits={**LIMITS, "ban": 0.1}) as exchange:
        exchange.faults.left = list(faults)
        pages = asked(exchange, DAWN, end, symbol=symbol, name=name)
        assert times_of(pages) == truth(exchange, local, DAWN, end)
        assert not exchange.faults.left
    assert covered(pages) == (DAWN, end)
    assert {page.absent for page in pages} == {"no_trade"}


def test_a_page_is_exactly_what_was_asked_for():
    with LocalExchange([LocalMarket(symbol="KRW-BTC", silent=0.0)], now=NOW, limits=LIMITS) as exchange:
        pages = asked(exchange, DAWN, DAWN + 500 * MINUTE)
        queries = [one.query for one in exchange.requests if "candles" in one.path]
    assert [(query["count"], query["to"][:16]) for query in queries] == [
        ("100", "2025-09-01T08:20"), ("200", "2025-09-01T06:40"), ("200", "2025-09-01T03:20"),
    ]  # fmt: skip
    assert [len(page.rows) for page in pages] == [100, 200, 200]


def test_an_empty_page_is_no_end():
    """A day without a trade: what comes after it is asked for all the same."""
    quiet = LocalMarket(symbol="KRW-BTC", candles=None, listed="2025-09-01", silent=0.0)
    with LocalExchange([quiet], now=NOW, limits=LIMITS) as exchange:
        start = DAWN - DAY
        pages = asked(exchange, start, DAWN + HOUR)
        assert times_of(pages) == truth(exchange, "KRW-BTC", start, DAWN + HOUR)
    assert covered(pages) == (start, DAWN + HOUR)


def test_a_page_of_html_covers_nothing():
    with LocalExchange(["KRW-BTC"], now=NOW, limits=LIMITS) as exchange:
        exchange.faults.left = ["html"] * 99
        with pytest.raises(SourceError, match="no JSON was answered"):
            asked(exchange, DAWN, DAWN + HOUR)


def test_the_first_bar_is_found_and_what_lies_before_it_has_its_reason():
    market = LocalMarket(symbol="KRW-BTC", listed="2025-08-20T07:31", silent=0.0)
    with LocalExchange([market], now=NOW, limits=LIMITS) as exchange:
        pages = asked(exchange, DAWN - 20 * DAY, DAWN - 11 * DAY, unlisted=False)
        listed = truth(exchange, "KRW-BTC", DAWN - 20 * DAY, DAWN)[0]
        assert times_of(pages) == truth(exchange, "KRW-BTC", DAWN - 20 * DAY, DAWN - 11 * DAY)
        assert len(exchange.requests) < 40
    assert (pages[-1].end, pages[-1].absent) == (listed, "before_listing")


def test_the_forming_bar_is_left_out():
    with LocalExchange([LocalMarket(symbol="KRW-BTC", silent=0.0)], now=NOW, limits=LIMITS) as exchange:
        now = exchange.now()
        pages = asked(exchange, now // MINUTE * MINUTE - HOUR, now + HOUR)
        assert max(page.end for page in pages) <= exchange.now()
        assert len(times_of(pages)) == 60


def test_the_markets():
    async def run():
        source = opened(exchange)
        try:
            return await source.markets(), source.requests, source.timeframes
        finally:
            await source.aclose()

    with LocalExchange(["KRW-BTC", "KRW-ETH"], now=NOW, limits=LIMITS) as exchange:
        markets, requests, timeframes = asyncio.run(run())
    assert [market.symbol for market in markets] == ["BTC/KRW", "ETH/KRW"]
    assert requests == 1
    assert {"1s", "1m", "4h", "1d", "1w", "1M"} <= set(timeframes)


def test_what_is_no_market():
    with (
        LocalExchange(["KRW-BTC"], now=NOW, limits=LIMITS) as exchange,
        pytest.raises(NoSuchMarketError, match="NOPE/KRW") as error,
    ):
        asked(exchange, DAWN, DAWN + HOUR, symbol="NOPE/KRW")
    assert "BTC/USDT" in str(error.value)


def test_each_request_has_its_turn_at_what_it_costs(tmp_path):
    """By ccxt a candle request of Upbit costs two of twenty a second: that is ten."""
    with LocalExchange(["KRW-BTC"], now=NOW) as exchange:
        source = open_ccxt("upbit", base_url=exchange.url, manners=QUICK)
        assert source.pace == 20

        async def run():
            source._firsts["BTC/KRW", "1m"] = DAWN
            async for _ in source.candles("BTC/KRW", "1m", DAWN, DAWN + 15 * 200 * MINUTE):
                pass
            await source.aclose()

        asyncio.run(run())
        candles = [one.at for one in exchange.requests if one.group == "candles"]
        assert {one.status for one in exchange.requests} == {200}
    assert source.pace == 10
    assert candles[10] - candles[0] >= 1


def test_a_name_that_ccxt_does_not_have():
    with pytest.raises(InvalidInputError, match="ccxt has no exchange 'upbitt'") as error:
        open_source("ccxt:upbitt")
    assert "'ccxt:upbit'" in str(error.value)


def test_a_name_of_ccxt_needs_no_prefix():
    async def run():
        source = open_source("kraken", offline=True)
        try:
            assert source.name == "ccxt:kraken"
            with pytest.raises(SourceError, match="nobody is to be asked"):
                await source.markets()
        finally:
            await source.aclose()

    asyncio.run(run())


def test_what_ccxt_gives_is_looked_at():
    rows = [
        [DAWN, None, None, None, None, 0],
        [DAWN + MINUTE, 1, 2, 1, 2, None],
        [DAWN + HOUR, 1, 1, 1, 1, 1],
    ]
    kept = _in_range(rows, Timeframe.parse("1m"), DAWN, DAWN + HOUR)
    assert kept == rows[:2]
    assert [_is_traded(row) for row in kept] == [False, True]  # what has no volume is for the store to refuse
    for wrong in ([rows[1], rows[1]], [[DAWN + 1, 1, 1, 1, 1, 1]]):
        with pytest.raises(NoPageError, match="not on the grid, or one comes twice"):
            _in_range(wrong, Timeframe.parse("1m"), DAWN, DAWN + HOUR)


def by_hand(answer, *, first=None):
    """Return a source whose exchange answers by a function of `(since, limit)`."""
    source = open_ccxt("kraken", base_url="http://127.0.0.1:1", manners=QUICK)
    source._exchange.markets = {"BTC/USD": {}}
    source._firsts["BTC/USD", "1m"] = first
    source.asked = []

    async def fetch_ohlcv(_symbol, _timeframe, *, since, limit):
        source.asked.append(since)
        return [[at, 1, 1, 1, 1, 1] for at in answer(since, limit)]

    source._exchange.fetch_ohlcv = fetch_ohlcv
    return source


def come(source, start, end):
    """Return the pages that come of a range, and the error that ends them."""
    pages = []

    async def run():
        try:
            async for page in source.candles("BTC/USD", "1m", start, end):
                pages.append(page)  # noqa: PERF401 - what came before the error stays
        except SourceError as error:
            return error
        finally:
            await source.aclose()

    return asyncio.run(run()), pages


def test_the_newest_bars_prove_nothing_of_older_ones():
    """Kraken gives its newest 720 bars, whatever was asked for."""
    begin = DAWN + 5000 * MINUTE
    newest = [begin + number * MINUTE for number in range(720)]
    error, pages = come(by_hand(lambda since, limit: newest), DAWN, DAWN + HOUR)
    assert pages == []
    assert "it did not keep to the range, and proves nothing" in error.message
    error, pages = come(by_hand(lambda since, limit: newest), begin - HOUR, begin + HOUR)
    assert covered(pages) == (begin, begin + HOUR)  # what it has comes all the same
    assert "proves nothing" in error.message


def test_an_exchange_that_goes_on_past_the_end_proves_that_nothing_was_traded():
    """Seen to have the oldest bar, too, it is none that has its newest only."""
    bars = [DAWN - DAY, *(DAWN + number * MINUTE for number in range(30, 60))]

    def on(since, limit):
        return [bar for bar in bars if bar >= since][:limit]

    error, pages = come(by_hand(on, first=DAWN - DAY), DAWN, DAWN + HOUR)
    assert error is None
    assert (covered(pages), len(times_of(pages))) == ((DAWN, DAWN + HOUR), 30)


def test_an_empty_page_is_asked_for_twice():
    bars = [DAWN + number * MINUTE for number in range(60)]
    left = [[]]  # the first answer is empty, by mistake

    def mistaken(since, limit):
        return left.pop() if left else bars

    source = by_hand(mistaken)
    error, pages = come(source, DAWN, DAWN + HOUR)
    assert error is None
    assert times_of(pages) == bars
    assert source.asked == [DAWN, DAWN]


def test_one_event_loop_after_the_other_may_ask():
    bars = [DAWN + number * MINUTE for number in range(60)]
    with LocalExchange(["KRW-BTC"], now=NOW, limits=LIMITS) as exchange:
        source = opened(exchange)
        for _ in range(2):
            pages = pages_of(source, "BTC/KRW", "1m", DAWN, DAWN + HOUR, close=True)
            assert times_of(pages) == truth(exchange, "KRW-BTC", DAWN, DAWN + HOUR)
    source = by_hand(lambda since, limit: bars)
    loops = [asyncio.new_event_loop() for _ in range(2)]
    try:
        assert loops[0].run_until_complete(source._once("BTC/USD", Timeframe.parse("1m"), DAWN, DAWN + HOUR))
        with pytest.raises(SourceError, match="from two event loops at a time") as error:
            loops[1].run_until_complete(source._once("BTC/USD", Timeframe.parse("1m"), DAWN, DAWN + HOUR))
        assert "mdstore.open_source" in str(error.value)
        loops[0].run_until_complete(source.aclose())
    finally:
        for loop in loops:
            loop.close()


def test_an_exchange_without_candles_is_named():
    without = next(name for name in ccxt.exchanges if not getattr(ccxt, name)().has.get("fetchOHLCV"))
    with pytest.raises(InvalidInputError, match="has no candles, by what ccxt knows") as error:
        open_ccxt(without)
    asyncio.run(open_source(error.value.hint.python.split("'")[1]).aclose())
