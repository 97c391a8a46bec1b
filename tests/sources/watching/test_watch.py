"""Exchanges that are watched over real sockets: what is stored is what was traded, whatever breaks."""

import asyncio
import random
import threading
import time

import polars as pl
import pytest

import mdstore
from mdstore import LocalExchange, LocalMarket
from mdstore.core.timestamps import to_ms
from mdstore.sources.local_exchange.faults import Faults, SocketFaults
from tests.support.command_line import mdstore_process
from tests.support.waiting import until

pytestmark = pytest.mark.slow  # bars of a second end three seconds after they began
OHLCV = ["open", "high", "low", "close", "volume"]
FAST = 240  # trades a minute: seconds without one are there, too


def markets(*symbols, trades=FAST):
    return [LocalMarket(symbol=symbol, trades_per_minute=trades, silent=0) for symbol in symbols]


def stored(store, timeframe="1s", symbol="KRW-BTC"):
    try:
        return store.candles(symbol, timeframe)
    except mdstore.NoSuchSeriesError:
        return pl.DataFrame()


def rows(store, timeframe="1s", symbol="KRW-BTC"):
    return len(stored(store, timeframe, symbol))


def assert_is_truth(store, exchange, symbol, timeframe="1s"):
    """Every stored bar is the exchange's, to the last bit; none is missing, and holes are explained."""
    got = stored(store, timeframe, symbol).with_columns(pl.col("timestamp").dt.timestamp("ms"))
    first, last = got["timestamp"][0], got["timestamp"][-1]
    truth = exchange.truth.bars(symbol, timeframe, first, last + 1)
    assert got.select("timestamp", *OHLCV).rows() == truth.select("timestamp", *OHLCV).rows()
    holes = store.gaps(symbol, timeframe, start=first, end=last)
    assert set(holes["reason"]) <= {"no_trade"}


def test_bars_are_stored_as_they_end(store):
    told = []
    with LocalExchange(markets("KRW-BTC", "KRW-ETH")) as exchange:
        store.live.subscribe("1s", callback=told.append)
        with store.watch("upbit", ["KRW-BTC", "KRW-ETH"], "1s", base_url=exchange.url) as watch:
            until(lambda: min(rows(store), rows(store, symbol="KRW-ETH")) >= 6)
            assert store.trades.latest("KRW-BTC").price > 0
            assert store.tickers.latest("KRW-ETH").change_rate is not None
            stats = watch.stats()
        for symbol in ("KRW-BTC", "KRW-ETH"):
            assert_is_truth(store, exchange, symbol)
    assert (stats["symbols"], stats["connections"], stats["alive"], stats["refused"]) == (2, 1, 1, 0)
    assert {bar.symbol for bar in told if not bar.partial} == {"KRW-BTC", "KRW-ETH"}
    assert set(store.provenance()["source"]) == {"live", "upbit"}


def test_what_broken_connections_missed_is_fetched(store):
    plan = SocketFaults(["dropped", "closed", "silent"], seed=1, after=1.0)
    failures = []
    with LocalExchange(markets("KRW-BTC", "KRW-ETH"), socket_faults=plan) as exchange:
        options = {"base_url": exchange.url, "silence": 1.0, "on_error": failures.append}
        with store.watch("upbit", "KRW-*", "1s", **options) as watch:
            until(lambda: plan.left == [] and watch.stats()["reconnects"] >= 3)
            more = rows(store)
            until(lambda: rows(store) > more + 4 and watch.stats()["holes"] == 0)
        for symbol in ("KRW-BTC", "KRW-ETH"):
            assert_is_truth(store, exchange, symbol)
    assert any("nothing came for 1 s" in str(error) for error in failures)
    assert [failure.error for failure in watch.errors] == failures


@pytest.mark.long
def test_requests_may_fail_meanwhile(store):
    plan = Faults(["html", "500", "truncated", "dropped", "short_page"], seed=2, times=1, every=1.5)
    with LocalExchange(markets("KRW-BTC"), faults=plan) as exchange:
        with store.watch("upbit", ["KRW-BTC"], "1s", base_url=exchange.url) as watch:
            while plan.left:
                assert exchange.fail_sockets() <= 1
                time.sleep(0.5)
            more = rows(store)
            until(lambda: rows(store) > more + 3 and watch.stats()["holes"] == 0)
        assert_is_truth(store, exchange, "KRW-BTC")


@pytest.mark.long
def test_an_exchange_that_was_away_is_connected_to_again(store):
    here = LocalExchange(markets("KRW-BTC")).start()
    port = int(here.url.rpartition(":")[2])
    with store.watch("upbit", ["KRW-BTC"], "1s", base_url=here.url) as watch:
        until(lambda: rows(store) >= 2)
        here.stop()
        time.sleep(1.5)
        with LocalExchange(markets("KRW-BTC"), port=port) as again:
            more = rows(store)
            until(lambda: rows(store) > more + 4 and watch.stats()["holes"] == 0)
            assert_is_truth(store, again, "KRW-BTC")
    assert watch.stats()["reconnects"] >= 1


@pytest.mark.long
def test_a_watch_goes_on_where_the_last_one_ended(store):
    with LocalExchange(markets("KRW-BTC")) as exchange:
        with store.watch("upbit", ["KRW-BTC"], "1s", base_url=exchange.url):
            until(lambda: rows(store) >= 2)
        time.sleep(2)
        with store.watch("upbit", ["KRW-BTC"], "1s", base_url=exchange.url) as watch:
            more = rows(store)
            until(lambda: rows(store) > more + 4 and watch.stats()["holes"] == 0)
        assert_is_truth(store, exchange, "KRW-BTC")


def test_binance_tells_when_a_bar_has_ended(store):
    with LocalExchange(markets("BTCUSDT")) as exchange:
        with store.watch("binance", ["BTCUSDT"], "1s", base_url=exchange.url) as watch:
            until(lambda: rows(store, symbol="BTCUSDT") >= 4)
            exchange.fail_sockets()
            until(lambda: watch.stats()["reconnects"] == 1)
            more = rows(store, symbol="BTCUSDT")
            until(lambda: rows(store, symbol="BTCUSDT") > more + 2 and watch.stats()["holes"] == 0)
        assert_is_truth(store, exchange, "BTCUSDT")


@pytest.mark.long
def test_futures_of_binance(store):
    with (
        LocalExchange(markets("BTCUSDT")) as exchange,
        store.watch("binance-futures", ["BTCUSDT"], "1m", base_url=exchange.url),
    ):
        until(lambda: store.live.forming("BTCUSDT", "1m") is not None)
        until(lambda: store.trades.latest("BTCUSDT") is not None)
        paths = {one.path for one in exchange.requests}
    assert {"/futures/stream", "/fapi/v1/exchangeInfo"} <= paths


def test_many_symbols_come_by_several_connections(store):
    many = [f"KRW-T{number:03d}" for number in range(150)]
    with LocalExchange(markets(*many, trades=4)) as exchange:
        with store.watch("upbit", "KRW-T*", "1m", base_url=exchange.url) as watch:
            until(lambda: watch.stats()["alive"] == 2)
            assert sorted(watch.symbols) == many
        sent = [one.query["sent"] for one in exchange.requests if one.group == "websocket-message"]
    assert sorted(text.count("KRW-T") for text in sent) == [100, 200]  # of tickers and trades


@pytest.mark.long
def test_order_books_where_they_are_wanted(store):
    with (
        LocalExchange(markets("KRW-BTC")) as exchange,
        store.watch("upbit", ["KRW-BTC"], "1m", base_url=exchange.url, orderbooks=True),
    ):
        until(lambda: store.orderbooks.latest("KRW-BTC") is not None)


def test_what_is_recorded_plays_again(store, tmp_path):
    with LocalExchange(markets("KRW-BTC")) as exchange:
        options = {"base_url": exchange.url, "record": tmp_path / "upbit"}
        with store.watch("upbit", ["KRW-BTC"], "1s", **options) as watch:
            until(lambda: rows(store) >= 8)
        assert watch.recorder.files
        with mdstore.open(tmp_path / "again.sqlite3") as again:
            again.live.build("1s", persist=True)
            played = again.replay(watch.recorder.files)
            again.live.flush()
            assert played.messages == watch.messages > 20
            bars = again.candles("KRW-BTC", "1s").with_columns(pl.col("volume").round(8))
        assert bars.rows() == store.candles("KRW-BTC", "1s", start=bars["timestamp"][0])[: len(bars)].rows()


def test_it_is_read_by_other_processes(store, python):
    with (
        LocalExchange(markets("KRW-BTC")) as exchange,
        store.watch("upbit", ["KRW-BTC"], "1m", base_url=exchange.url),
    ):
        until(lambda: store.trades.latest("KRW-BTC") is not None)
        store.serve()
        price = python(
            """
            import sys, mdstore
            with mdstore.attach(sys.argv[1]) as bot:
                print(bot.trades.latest("KRW-BTC").price)
            """,
            store.path,
        )
    assert float(price) > 0


def test_from_a_coroutine(store):
    async def main(exchange):
        async with store.watch("upbit", ["KRW-BTC"], "1s", base_url=exchange.url) as watch:
            bars = store.live.subscribe("1s")
            async for bar in bars:
                if not bar.partial:
                    break
            return bar, watch.symbols

    with LocalExchange(markets("KRW-BTC")) as exchange:
        bar, symbols = asyncio.run(main(exchange))
    assert bar.symbol == "KRW-BTC"
    assert symbols == ("KRW-BTC",)


@pytest.mark.long
def test_killed_at_any_moment_the_next_watch_has_it_all(tmp_path):
    chance = random.Random(5)
    with LocalExchange(markets("KRW-BTC", "KRW-ETH")) as exchange:
        arguments = ("watch", "upbit", "KRW-*", "-t", "1s", "--base-url", exchange.url)
        for _ in range(4):
            process = mdstore_process(tmp_path, *arguments)
            process.stdout.readline()
            time.sleep(chance.uniform(0, 3))
            process.kill()
            process.communicate()
        with mdstore.open(tmp_path / "market_data.sqlite3") as store:
            with store.watch("upbit", "KRW-*", "1s", base_url=exchange.url) as watch:
                more = rows(store)
                until(lambda: rows(store) > more + 6 and watch.stats()["holes"] == 0)
            for symbol in ("KRW-BTC", "KRW-ETH"):
                assert_is_truth(store, exchange, symbol)
            assert store.maintenance.check() == []


def test_a_long_hole_of_before_is_left_to_a_sync(store):
    with LocalExchange(markets("KRW-BTC")) as exchange:
        now = exchange.now() // 1000 * 1000
        old = (now - 20_000 * 1000, 1.0, 1.0, 1.0, 1.0, 1.0)
        store.write("KRW-BTC", "1s", [old])
        with store.watch("upbit", ["KRW-BTC"], "1s", base_url=exchange.url) as watch:
            until(lambda: rows(store) >= 4)
            told = [one.error for one in watch.errors if "more than 10,000 bars" in str(one.error)]
            until(lambda: watch.stats()["holes"] == 0)
        assert min(to_ms(one.query["to"]) for one in exchange.requests if one.group == "candles") >= now
        assert store.candles("KRW-BTC", "1s")["timestamp"].dt.timestamp("ms")[1] >= now - 1000
        (error,) = told
        call, command = error.hint
        assert command == f"mdstore sync upbit KRW-BTC 1s --base-url {exchange.url}"
        result = eval(call, {"store": store})
        assert result.failed == {}
        assert len(store.missing("KRW-BTC", "1s", end=now)) == 0


# ---- mistakes


def test_symbols_that_are_not_there(store):
    with LocalExchange(["KRW-BTC"]) as exchange:
        with (
            pytest.raises(
                mdstore.NoSuchMarketError, match=r"upbit has no market 'KRW-BTX'.*did you mean KRW-BTC"
            ),
            store.watch("upbit", ["KRW-BTX"], base_url=exchange.url),
        ):
            pass
        with (
            pytest.raises(mdstore.NoSuchMarketError, match=r"no market of upbit fits 'USD-\*'"),
            store.watch("upbit", "USD-*", base_url=exchange.url),
        ):
            pass


def test_what_cannot_be_watched_is_refused(store):
    with pytest.raises(mdstore.InvalidInputError, match=r"no websocket of 'upbitt'.*did you mean 'upbit'"):
        store.watch("upbitt", ["KRW-BTC"])
    with pytest.raises(mdstore.InvalidInputError, match="symbols=None"):
        store.watch("upbit", None)
    with pytest.raises(mdstore.InvalidInputError, match="silence"):
        store.watch("upbit", ["KRW-BTC"], silence=0)
    with pytest.raises(mdstore.TimeframeError):
        store.watch("upbit", ["KRW-BTC"], "minutely")


def test_a_timeframe_that_could_not_be_fetched_is_refused_and_the_hint_works(store):
    with LocalExchange(markets("KRW-BTC")) as exchange:
        with (
            pytest.raises(mdstore.InvalidInputError, match=r"upbit has no 7m candles.*watch one of 1s, 1m"),
            store.watch("upbit", ["KRW-BTC"], "7m", base_url=exchange.url),
        ):
            pass
        with store.watch("upbit", ["KRW-BTC"], "1s", base_url=exchange.url):
            until(lambda: rows(store) >= 1)
        assert len(store.candles("KRW-BTC", "7s", derive_from="1s"))


@pytest.mark.long
def test_two_watches_of_one_market(store):
    with (
        LocalExchange(markets("KRW-BTC")) as exchange,
        store.watch("upbit", ["KRW-BTC"], base_url=exchange.url) as first,
    ):
        with (
            pytest.raises(mdstore.InvalidInputError, match=r"KRW-BTC is watched already.*close that first"),
            store.watch("upbit", ["KRW-BTC"], base_url=exchange.url),
        ):
            pass
        with pytest.raises(mdstore.InvalidInputError, match="was started before"):
            first.start()


@pytest.mark.long
def test_nobody_answers(store):
    with (
        LocalExchange(["KRW-BTC"]) as exchange,
        LocalExchange(["KRW-BTC"]) as other,
    ):
        other.stop()
        with pytest.raises(mdstore.SourceError), store.watch("upbit", ["KRW-BTC"], base_url=other.url):
            pass
        assert exchange.requests == []


def test_a_store_that_is_closed_ends_its_watches(tmp_path):
    threads = set(threading.enumerate())
    with LocalExchange(markets("KRW-BTC")) as exchange:
        store = mdstore.open(tmp_path / "market_data.sqlite3")
        watch = store.watch("upbit", ["KRW-BTC"], "1s", base_url=exchange.url).start()
        until(lambda: watch.messages > 3)
        store.close()
        assert watch.wait(0)
    left = {one.name for one in set(threading.enumerate()) - threads if one.name.startswith("mdstore")}
    assert left <= {"mdstore-exchange"}


def test_a_watch_may_be_closed_before_it_has_begun(store):
    with LocalExchange(markets("KRW-BTC")) as exchange:
        watch = store.watch("upbit", ["KRW-BTC"], "1s", base_url=exchange.url)
        run, gate = watch._run, threading.Event()
        watch._run = lambda: gate.wait() and run()
        starting = threading.Thread(target=watch.start, daemon=True)
        closing = threading.Thread(target=watch.close, daemon=True)
        for thread in (starting, closing):
            thread.start()
            time.sleep(0.2)
        gate.set()
        until(lambda: not closing.is_alive() and not starting.is_alive(), seconds=30)
        assert watch.wait(0)
        assert exchange.requests == []


def test_a_coroutine_that_is_cancelled_while_a_watch_begins_leaves_none(store):
    async def main(url):
        async with store.watch("upbit", ["KRW-BTC"], "1s", base_url=url):
            pytest.fail("it does not begin")

    async def cancelled(exchange):
        task = asyncio.create_task(main(exchange.url))
        while not exchange.requests:
            await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with LocalExchange(markets("KRW-BTC"), faults=["stalled"] * 9) as exchange:
        asyncio.run(cancelled(exchange))
        assert not any(one.name == "mdstore-watch-upbit" for one in threading.enumerate())


def test_nothing_of_the_second_before_the_first_is_asked_for_twice(store):
    """Each range of seconds is fetched once, however often it is looked for."""
    with LocalExchange(markets("KRW-BTC")) as exchange:
        with store.watch("upbit", ["KRW-BTC"], "1s", base_url=exchange.url):
            until(lambda: rows(store) >= 6)
        asked = [one.query["to"] for one in exchange.requests if one.group == "candles"]
    assert len(asked) == len(set(asked))
    assert to_ms(asked[-1]) <= exchange.now()
