"""Statements that would do more than read: refused, and nothing of them is left, in files or for the next query."""

import os
import subprocess
import sys

import pytest

import mdstore
from mdstore import QueryError
from tests.support.candles import walk

HOSTILE = [
    "SELECT * FROM enable_logging(storage='file', storage_path='{folder}/log')",
    "SELECT * FROM enable_logging('QueryLog', storage='stdout')",
    "CALL enable_logging(storage='stdout')", "PRAGMA enable_logging", "PRAGMA enable_profiling='json'",
    "SELECT * FROM enable_profiling(save_location='{folder}/profile')",
    "SELECT write_log('x')", "SELECT * FROM query('SELECT * FROM enable_logging()')",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
    "COPY (SELECT 1) TO '{folder}/x.csv'", "EXPORT DATABASE '{folder}/x'", "ATTACH '{folder}/x.db' AS x",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{folder}/x.csv'", "CREATE TABLE t AS SELECT 1", "CREATE TEMP TABLE t (i INT)",
    "CREATE TYPE e AS ENUM ('a')", "CREATE MACRO m() AS 1", "CREATE SECRET (TYPE S3)", "CREATE SEQUENCE s",
    "CREATE TYPE e AS ENUM ('a'); SELECT 1", "CREATE TABLE t AS SELECT 1 a; PIVOT t ON a", "PIVOT series ON symbol; SELECT 1",
    "CREATE TABLE t AS PIVOT series ON symbol", "COPY (PIVOT series ON symbol) TO '{folder}/x.csv'",
    "PREPARE p AS SELECT 1", "EXECUTE p", "DEALLOCATE p", "SET threads = 1", "SET VARIABLE x = 1", "RESET TimeZone",
    "SET lock_configuration = false", "SET GLOBAL TimeZone = 'Asia/Seoul'", "USE memory", "BEGIN", "COMMIT", "VACUUM", "ANALYZE",
    "CHECKPOINT", "FORCE CHECKPOINT", "INSTALL httpfs", "LOAD httpfs", "DETACH memory", "DROP VIEW candles",
    "ALTER VIEW candles RENAME TO x", "UPDATE series SET rows = 0", "INSERT INTO series SELECT * FROM series",
    "MERGE INTO series USING series ON true", "COMMENT ON VIEW candles IS 'x'", "SHOW ALL TABLES", "SHOW TABLES FROM main",
    "SELECT * FROM '{folder}/x.csv'", "SELECT * FROM 'https://example.com/x.parquet'", "FROM read_text('/etc/passwd')",
    "PIVOT '{folder}/x.csv' ON a", "FROM glob('*')", "FROM duckdb_settings()", "SELECT current_setting('threads')",
    "SELECT getvariable('x')", "FROM duckdb_settings", "FROM pg_catalog.pg_settings", "FROM pg_settings", "FROM sqlite_master",
    "FROM information_schema.tables", "FROM query_table('pg_settings')", "FROM query_table('pg_' || 'settings')",
    "FROM histogram(pg_settings, name)", "WITH pg_settings AS (SELECT 1) SELECT (SELECT count(*) FROM pg_settings)",
    "WITH tables AS (SELECT 1) FROM information_schema.tables", "SELECT * REPLACE (1 AS pg_settings) FROM pg_settings",
    "PIVOT pg_settings ON name", "PIVOT (FROM duckdb_settings()) ON name", "PIVOT (FROM U&\"\\0073eries\") ON symbol",
    "FROM arrow_scan(1, 2, 3)", "FROM seq_scan()", "FROM python_map_function()", "FROM stored_series", "FROM candles_0",
    "SELECT nextval('s')", "SELECT setseed(0.5)", "FROM test_all_types()", "SELECT 1; SELECT 2", ";", "-- nothing", "(", "\0",
]  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with mdstore.open(tmp_path_factory.mktemp("statements") / "market_data.sqlite3") as store:
        store.write("A", "1m", walk(100))
        store.sql("SELECT 1 FROM candles, series")
        yield store


@pytest.mark.parametrize("query", HOSTILE)
def test_what_would_do_more_than_read_is_refused_and_leaves_nothing(store, query, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = set(os.listdir(store.path.parent))
    with pytest.raises(QueryError) as raised:
        store.sql(query.replace("{folder}", str(tmp_path)))
    assert "Traceback" not in str(raised.value)
    assert os.listdir(tmp_path) == []
    assert set(os.listdir(store.path.parent)) == before
    assert store.sql("SELECT count(*) AS n FROM candles")["n"].to_list() == [100]


PROGRAM = """
import sys, mdstore
from mdstore import QueryError
with mdstore.open(sys.argv[1]) as store:
    for query in sys.argv[2:]:
        try:
            store.sql(query)
        except QueryError:
            pass
        print(store.sql("SELECT 1 AS one")["one"][0])
"""


@pytest.mark.slow
def test_nothing_hostile_ends_the_process_or_writes_into_its_output(store, tmp_path):
    queries = [query.replace("{folder}", str(tmp_path)).replace("\0", "") for query in HOSTILE]
    file = str(tmp_path / "market_data.sqlite3")
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, file, *queries],
        check=False, capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.split() == ["1"] * len(queries)
    assert not [name for name in os.listdir(tmp_path) if not name.startswith("market_data.sqlite3")]


READING = {
    "FROM series": 1, "VALUES (1), (2)": 2, "TABLE series": 1, "(SELECT 1)": 1, "SELECT 1;": 1, "SELECT 1 -- x": 1,
    "WITH s AS (FROM series) SELECT * FROM s": 1, "DESCRIBE candles": 8, "SUMMARIZE SELECT close FROM candles": 1,
    "SHOW candles": 8, "FROM range(3)": 3, "SELECT unnest([1, 2])": 2, "SELECT * FROM query_table('series')": 1,
    "FROM query_table(['series', 'series'])": 2, "WITH columns AS (SELECT 1) FROM columns": 1,
    "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) FROM r": 5,
    "FROM candles TABLESAMPLE 100%": 100, "SELECT random(), now(), uuid(), version(), current_user": 1,
    "SELECT *, lag(close) OVER (ORDER BY timestamp) FROM candles QUALIFY row_number() OVER () <= 3": 3,
    "PIVOT series ON symbol": 1, "PIVOT candles ON symbol IN ('A') USING sum(close) GROUP BY timestamp": 100,
    "PIVOT candles ON symbol USING sum(close) GROUP BY timestamp": 100,
    "WITH p AS (PIVOT candles ON symbol USING last(close) GROUP BY timestamp) SELECT max(A) FROM p": 1,
    "FROM candles PIVOT (max(close) FOR symbol IN ('A')) LIMIT 5": 5, "PIVOT (PIVOT series ON symbol) ON timeframe;": 1,
    "SHOW TABLES": 6, "-- which\n show /* x */ tables ;": 6, "EXPLAIN SELECT 1": 1, "EXPLAIN ANALYZE FROM candles": 1,
    "explain (format json) SELECT max(close) FROM candles": 1, "EXPLAIN (SELECT 1)": 1,
    "UNPIVOT candles ON open, close INTO NAME which VALUE price": 200,
    "FROM candles UNPIVOT (price FOR which IN (high, low))": 200,
}  # fmt: skip


@pytest.mark.parametrize("query", READING)
def test_what_only_reads_is_answered(store, query):
    assert len(store.sql(query)) == READING[query]


def test_a_pivot_gives_a_column_a_symbol(tmp_path):
    with mdstore.open(tmp_path / "market_data.sqlite3") as store:
        for seed, symbol in enumerate(("A", "B b", "C")):
            store.write(symbol, "1m", walk(3, seed=seed))
        closes = {symbol: store.candles(symbol, "1m")["close"].to_list() for symbol in ("A", "B b", "C")}
        table = "(SELECT symbol, timestamp, close FROM candles WHERE timeframe = '1m')"
        for query in (
            f"PIVOT {table} ON symbol USING first(close) ORDER BY timestamp",
            f"PIVOT {table} ON symbol IN ('A', 'B b', 'C') USING first(close) ORDER BY timestamp",
        ):
            made = store.sql(query)
            assert made.columns == ["timestamp", "A", "B b", "C"]
            assert {symbol: made[symbol].to_list() for symbol in closes} == closes
        with pytest.raises(QueryError) as raised:
            store.sql("PIVOT (SELECT symbol AS query, close FROM candles) ON query USING first(close)")
        assert raised.value.hint.python.startswith("name the values")
        store.sql("PIVOT (SELECT symbol AS query, close FROM candles) ON query IN ('A') USING first(close)")


def test_a_query_leaves_no_state_to_the_next(store):
    store.sql("PIVOT series ON symbol")
    connection = store._candles._queries._started().query()
    assert connection.execute("SELECT count(*) FROM duckdb_types() WHERE NOT internal").fetchone() == (0,)
    assert connection.execute("SELECT count(*) FROM duckdb_views() WHERE NOT internal").fetchone() == (0,)
    connection.close()
