"""Answers that are kept: what is cached equals what is not, whoever changes what they were made of."""

import random

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import mdstore
from mdstore import MarketDataService
from mdstore.cache.disk import DiskCache
from mdstore.cache.memory import MemoryCache
from mdstore.candles.reads.sql_functions import ALLOWED
from mdstore.service.results import is_lasting
from tests.support.candles import MINUTE, START, walk

TOTALS = (
    "SELECT symbol, timeframe, count(*) AS bars, sum(close) AS total FROM candles GROUP BY ALL ORDER BY ALL"
)


@pytest.fixture
def service(store):
    store.write("A", "1m", walk(300))
    store.write("B", "1m", walk(300, seed=1))
    with MarketDataService(store) as service:
        yield service


def hits(service):
    return service.stats()["results"]["hits"]


def test_the_same_question_is_answered_once_until_its_series_change(service, store):
    screen = "close > sma(close, 20)"
    for _ in range(3):
        assert_frame_equal(service.sql(TOTALS), store.sql(TOTALS))
        assert_frame_equal(
            service.screen("1m", screen, symbols=["A"]).rows, store.screen("1m", screen, symbols=["A"]).rows
        )
        assert_frame_equal(service.resample("A", "1h", source="1m"), store.resample("A", "1h", source="1m"))
    assert hits(service) == 2 * 4  # of a screen its rows, and what failed
    counted = service.stats()["tiers"]
    for kind in ("sql", "screen", "resample"):
        assert (counted[kind]["calls"], counted[kind]["hits"]) == (3, 2)
    store.write("B", "1m", walk(310, seed=1))
    before = hits(service)
    service.sql(TOTALS)
    assert hits(service) == before  # B is among its candles
    service.screen("1m", screen, symbols=["A"])
    service.resample("A", "1h", source="1m")
    assert hits(service) == before + 3  # A is as it was


def test_what_is_known_of_bars_changes_what_is_made_of_them(service, store):
    store.delete("A", "1m", start=START + 10 * MINUTE, end=START + 20 * MINUTE)
    assert service.resample("A", "1h", source="1m")["of"].to_list()[0] == 60
    store.cover("A", "1m", start=START + 10 * MINUTE, end=START + 20 * MINUTE, reason="no_trade")
    assert service.resample("A", "1h", source="1m")["of"].to_list()[0] == 50
    service.resample("A", "1d", source="1m")
    store.set_calendar("*", "XKRX")
    assert_frame_equal(service.resample("A", "1d", source="1m"), store.resample("A", "1d", source="1m"))


def test_a_frame_that_is_given_is_the_callers_own(service):
    first = service.sql(TOTALS)
    first.drop_in_place("bars")
    second = service.sql(TOTALS)
    second.drop_in_place("total")
    assert service.sql(TOTALS).columns == ["symbol", "timeframe", "bars", "total"]


def test_questions_that_differ_in_anything_are_other_questions(service, store):
    asked = [
        {"what": "close"},
        {"what": ["close"]},
        {"what": {"x": "close"}},
        {"what": pl.col("close")},
        {"what": pl.col("close") + 1},
        {"what": "close", "bars": 5},
        {"what": "close", "end": START + 50 * MINUTE},
        {"what": "close", "derive_from": "1m"},
    ]
    for _ in range(2):
        for one in asked:
            timeframe = "1h" if "derive_from" in one else "1m"
            assert_frame_equal(service.screen(timeframe, **one).rows, store.screen(timeframe, **one).rows)
    assert hits(service) == 2 * len(asked)
    assert service.sql("SELECT ? AS x", params=[1]).item() == 1
    assert service.sql("SELECT ? AS x", params=[2]).item() == 2
    assert isinstance(service.sql("SELECT ? AS x", params=[True]).item(), bool)
    one = service.resample("A", "1h", source="1m")
    many = service.resample(["A"], "1h", source="1m")
    assert many.columns == ["symbol", *one.columns]


def test_a_function_is_asked_each_time(service):
    calls = []

    def count(frame):
        calls.append(1)
        return len(frame)

    for _ in range(2):
        assert service.screen("1m", count).rows["value"].to_list() == [300, 300]
    assert len(calls) == 4


def test_what_fails_is_not_kept(service):
    for _ in range(2):
        with pytest.raises(mdstore.QueryError):
            service.sql("SELECT nothing FROM candles")
        with pytest.raises(mdstore.NoSuchSeriesError):
            service.resample("X", "1h", source="1m")
    assert service.stats()["results"]["entries"] == 0


@pytest.mark.parametrize(
    "query",
    [
        "SELECT now()", "select CURRENT_TIMESTAMP", "SELECT random()", "SELECT uuid()", "FROM tickers",
        'SELECT "now"()', "SELECT * FROM candles USING SAMPLE 5",
        "SELECT today()", "SELECT age(timestamp) FROM candles",
        "EXPLAIN ANALYZE SELECT 1", "SHOW TABLES",
    ],
)  # fmt: skip
def test_what_is_of_the_moment_is_asked_each_time(query):
    assert not is_lasting(query)


def test_no_function_of_duckdb_that_is_of_the_moment_is_taken_for_lasting():
    rows = duckdb.sql(
        "SELECT DISTINCT lower(function_name) FROM duckdb_functions() WHERE stability <> 'CONSISTENT'"
    ).fetchall()
    fleeting = {name for (name,) in rows} & ALLOWED
    assert "random" in fleeting
    constant = {"current_database", "current_schema"}  # of one store; named all the same
    assert [name for name in sorted(fleeting | constant) if is_lasting(f"SELECT {name}()")] == []


OTHER = """
    import sys, mdstore
    from tests.support.candles import MINUTE, START, walk
    with mdstore.open("market_data.sqlite3") as store:
        for line in sys.stdin:
            what, symbol, low, bars, seed = line.split()
            low, bars = START + int(low) * MINUTE, int(bars)
            if what == "write":
                store.write(symbol, "1m", walk(bars, start=low, seed=int(seed)))
            elif what == "delete":
                try:
                    store.delete(symbol, "1m", start=low, end=low + bars * MINUTE)
                except mdstore.NoSuchSeriesError:
                    pass
            elif what == "cover":
                store.cover(symbol, "1m", start=low, end=low + bars * MINUTE, reason="no_trade")
            print("done", flush=True)
"""


@pytest.mark.variants(1)
@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_cached_equals_uncached_beside_another_process(tmp_path, kind):
    import subprocess
    import sys
    import textwrap

    from tests.support.paths import ROOT

    chance = random.Random(5)
    store = mdstore.open(tmp_path / "market_data.sqlite3")
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(OTHER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )  # fmt: skip
    cache = MemoryCache(10**7) if kind == "memory" else DiskCache(tmp_path / "cache", 10**7)
    with store, MarketDataService(store, cache=cache) as service:
        store.write("A", "1m", walk(100))
        for _ in range(60):
            if chance.random() < 0.4:
                what = chance.choice(["write", "write", "delete", "cover"])
                line = (
                    what,
                    chance.choice("ABC"),
                    chance.randrange(200),
                    chance.randrange(1, 60),
                    chance.randrange(3),
                )
                child.stdin.write(" ".join(map(str, line)) + "\n")
                child.stdin.flush()
                assert child.stdout.readline() == "done\n"
            else:
                assert_frame_equal(service.sql(TOTALS), store.sql(TOTALS))
                question = {"last": "close", "mean": "sma(close, 5)"}
                mine, theirs = (one.screen("1m", question) for one in (service, store))
                assert_frame_equal(mine.rows, theirs.rows)
                made = [one.resample(None, "1h", source="1m") for one in (service, store)]
                assert_frame_equal(*made)
        assert hits(service) > 10
        child.stdin.close()
        child.wait(20)
        child.stdout.close()
