"""SQL: read-only, typed, of one snapshot, and bounded by its WHERE."""

import tempfile

import duckdb
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mdstore
from mdstore import QueryError
from mdstore.candles.reads.sql_bounds import wanted
from tests.support.candles import MINUTE, START, bits, walk
from tests.support.doses import dose
from tests.support.interrupts import interrupted


def bounds(query):
    import json

    return wanted(json.loads(duckdb.execute("SELECT json_serialize_sql(?)", [query]).fetchone()[0]))


def test_the_tables_are_typed_and_exact(full):
    frame = full.sql("SELECT * FROM candles WHERE symbol = 'A' AND timeframe = '1m' ORDER BY timestamp")
    assert frame.schema == {
        "symbol": pl.String, "timeframe": pl.String, "timestamp": pl.Datetime("ms", "UTC"),
        "open": pl.Float64, "high": pl.Float64, "low": pl.Float64, "close": pl.Float64, "volume": pl.Float64,
    }  # fmt: skip
    assert bits(frame.drop("symbol", "timeframe")) == bits(walk(120))
    series = full.sql("SELECT * FROM series ORDER BY ALL")
    assert series.drop("revision").rows() == full.series().drop("revision", "bytes").rows()


def test_time_functions_work_in_utc(full):
    frame = full.sql("""
        SELECT time_bucket(INTERVAL 1 hour, timestamp) AS hour, first(open ORDER BY timestamp) AS open, count(*) AS bars
        FROM candles WHERE symbol = 'B' AND timeframe = '1m' GROUP BY hour ORDER BY hour
    """)
    assert frame["hour"].to_physical().to_list() == [START, START + 60 * MINUTE]
    assert frame["bars"].to_list() == [60, 60]


def test_columns_of_one_name_get_names_of_their_own(full):
    frame = full.sql("SELECT a.close, b.close FROM candles a JOIN candles b USING (timestamp) LIMIT 1")
    assert frame.columns == ["close", "close_1"]


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM candles",
        "INSERT INTO candles SELECT * FROM candles",
        "CREATE TABLE x AS SELECT 1",
        "COPY (SELECT 1) TO 'x.csv'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO 'x.csv'",
        "ATTACH 'x.db'",
        "SET threads = 1",
        "PRAGMA database_size; SELECT 1",
        "SELECT 1; SELECT 2",
        "",
        "INSTALL httpfs",
    ],
)
def test_what_is_no_single_read_is_refused(full, query, tmp_path, monkeypatch):
    with pytest.raises(QueryError):
        full.sql(query)
    assert full.maintenance.check() == []


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELEC 1", "syntax error"),
        ("SELECT nope FROM candles", "nope"),
        ("SELECT * FROM prices", "candles, series and quarantine"),
        ("SELECT CAST(symbol AS INTEGER) FROM candles", "Could not convert"),
    ],
)
def test_a_wrong_query_says_why_and_the_next_is_answered(full, query, message):
    with pytest.raises(QueryError, match=message):
        full.sql(query)
    assert full.sql("SELECT 1 AS one")["one"].to_list() == [1]


@pytest.mark.slow
def test_an_error_in_the_middle_of_an_answer_is_an_error(full):
    # The first rows are sent before the bad one is met; they must not pass for the whole answer.
    query = "SELECT CASE WHEN i < 900000 THEN i ELSE CAST('x' || i AS BIGINT) END FROM range(1000000) t(i)"
    for _ in range(40):  # DuckDB hides the error behind an interruption in some of these
        with pytest.raises(QueryError, match="Could not convert"):
            full.sql(query)
    assert full.sql("SELECT 1 AS one")["one"].to_list() == [1]


@pytest.mark.parametrize(
    ("where", "names", "start", "end"),
    [
        ("symbol = 'A'", {"symbol": ["A"], "timeframe": None}, None, None),
        (
            "'A' = symbol AND timeframe IN ('1m', '1h')",
            {"symbol": ["A"], "timeframe": ["1h", "1m"]},
            None,
            None,
        ),
        ("symbol IN ('A', 'B') AND symbol = 'B'", {"symbol": ["B"], "timeframe": None}, None, None),
        ("timestamp >= '2025-09-01' AND close > 5", {"symbol": None, "timeframe": None}, START - 1, None),
        ("DATE '2025-09-01' > timestamp", {"symbol": None, "timeframe": None}, None, START + 2),
        (
            "timestamp BETWEEN '2025-09-01' AND TIMESTAMP '2025-09-01 00:01:00'",
            {"symbol": None, "timeframe": None},
            START - 1,
            START + MINUTE + 2,
        ),
    ],
)
def test_bounds_are_read_off_the_where(where, names, start, end):
    assert bounds(f"SELECT * FROM candles WHERE {where}") == {
        **names,
        "start": start,
        "end": end,
    }


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM candles",
        "SELECT * FROM candles WHERE symbol = 'A' OR close > 1",
        "SELECT * FROM candles WHERE NOT symbol = 'A'",
        "SELECT * FROM candles WHERE upper(symbol) = 'A'",
        "SELECT * FROM candles WHERE symbol > 'A'",
        "SELECT * FROM candles WHERE timestamp > now() - INTERVAL 1 DAY",
        "SELECT * FROM candles c, candles d WHERE c.symbol = 'A'",
        "SELECT * FROM candles c ASOF JOIN candles d ON c.timestamp >= d.timestamp WHERE d.symbol = 'A' AND c.symbol = 'B'",
        "SELECT * FROM candles c(symbol, x) WHERE symbol = '1m'",
        "WITH candles AS (SELECT 'A' AS symbol) SELECT * FROM candles WHERE symbol = 'A'",
        "SELECT * FROM candles WHERE symbol = 'A' UNION ALL SELECT * FROM candles",
        "SELECT * FROM series",
    ],
)
def test_where_nothing_is_certain_there_are_no_bounds(query):
    assert bounds(query) is None


atoms = st.sampled_from(
    [
        "symbol = 'A'", "symbol IN ('A', 'C')", "'B' = symbol", "symbol <> 'A'", "timeframe = '1m'", "timeframe = '60m'",
        "timestamp >= '2025-09-01T00:30'", "timestamp < '2025-09-01 01:00:00'", "timestamp > DATE '2025-09-01'",
        "timestamp BETWEEN '2025-09-01T00:10' AND '2025-09-02'", "'2025-09-01T00:30:00Z' <= timestamp",
        "timestamp = '2025-09-01T00:30'", "timestamp >= DATE '2025-09-01 12:00'",
        "timestamp < TIMESTAMP '2025-09-01 05:00:00+09'", "timestamp < '2025-09-01 05:00:00+09'::TIMESTAMPTZ", "close > 150", "symbol IS NOT NULL", "symbol = NULL",
    ]
)  # fmt: skip
wheres = st.recursive(
    atoms,
    lambda inner: st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(
        lambda t: f"({t[0]} {t[1]} {t[2]})"
    ),
    max_leaves=4,
)
shapes = st.sampled_from(
    [
        "SELECT symbol, timeframe, count(*), max(close), min(timestamp) FROM candles WHERE {one} GROUP BY ALL ORDER BY ALL",
        "SELECT count(*), max(high) FROM (SELECT * FROM candles WHERE {one}) WHERE {two}",
        "SELECT count(*) FROM candles a JOIN candles b USING (timestamp, timeframe) WHERE a.symbol = 'A' AND b.symbol = 'B' AND {a}",
        "SELECT count(*), count(b.close) FROM candles a LEFT JOIN candles b ON a.timestamp = b.timestamp AND b.symbol = 'C' WHERE a.symbol = 'A' AND a.timeframe = '1m'",
        "SELECT count(b.close), max(b.close) FROM (SELECT * FROM candles WHERE symbol = 'A' AND {one}) a "
        "ASOF JOIN (SELECT * FROM candles WHERE symbol = 'B' AND timeframe = '1m') b ON a.timestamp >= b.timestamp",
        "SELECT (SELECT max(close) FROM candles WHERE {one}) AS x, count(*) FROM candles WHERE {two}",
        "WITH w AS (SELECT * FROM candles WHERE {one}) SELECT count(*) FROM w JOIN candles c USING (symbol, timestamp) WHERE c.timeframe = '1m'",
        "SELECT count(*) FROM candles WHERE {one} AND close > (SELECT avg(close) FROM candles WHERE {two})",
    ]
)


@pytest.mark.slow
@settings(max_examples=dose(120), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shape=shapes, one=wheres, two=wheres)
def test_a_bounded_query_answers_as_duckdb_does_over_all_candles(full, plain, shape, one, two):
    qualified = (
        one.replace("symbol", "a.symbol")
        .replace("timestamp", "a.timestamp")
        .replace("close", "a.close")
        .replace("timeframe", "a.timeframe")
    )
    query = shape.format(one=one, two=two, a=qualified)
    expected = plain.execute(query).pl()
    assert full.sql(query).rows() == expected.rows()


def test_explain_says_whether_duckdb_was_asked(full):
    """One series as it is stored is given without it, and was said to be by it."""
    one = "SELECT * FROM candles WHERE symbol = 'A' AND timeframe = '1m'"
    assert full.explain(sql=one).tiers == ("sqlite",)  # too few to be in a pack
    assert full.explain(sql=f"{one} AND close > 0").tiers == ("duckdb",)


def test_explain_says_what_a_query_was_given(full):
    assert (
        full.explain(sql="SELECT close FROM candles WHERE symbol = 'A'").reason
        == "given 48 1h, 120 1m candles"
    )
    assert (
        full.explain(sql="SELECT close FROM candles WHERE symbol = 'A' AND timeframe = '1m'").reason
        == "given 120 1m candles"
    )
    joined = "SELECT * FROM candles JOIN series USING (symbol) WHERE candles.symbol = 'B' AND candles.timeframe = '1h'"
    assert full.explain(sql=joined).reason == "given 48 1h candles"
    assert full.explain(sql="SELECT close FROM candles").reason == "given 144 1h, 360 1m candles"
    assert full.explain(sql="SELECT 1").reason == "given no candles"


def test_quarantine_is_a_table_too(store):
    store.write("A", "1m", walk(3).with_columns(volume=-1.0), on_invalid="quarantine")
    assert store.sql("SELECT count(*) AS n, any_value(rule) AS rule FROM quarantine").rows() == [
        (3, "volume >= 0")
    ]


@pytest.mark.parametrize("what", ["count(*)", "count(1)", "count(*) + count(symbol)"])
@pytest.mark.parametrize("table", ["candles", "series", "quarantine"])
def test_counting_needs_no_column(full, plain, what, table):
    rows = {"candles": 504, "series": 6, "quarantine": 0}[table]
    assert full.sql(f"SELECT {what} AS n FROM {table}")["n"][0] == rows * (1 + ("+" in what))
    assert full.sql(f"SELECT 1 AS one FROM {table} LIMIT 1")["one"].to_list() == [1] * min(rows, 1)


def test_differences_of_times_are_durations(full):
    import datetime as dt

    gaps = full.sql(
        "SELECT timestamp - lag(timestamp) OVER (ORDER BY timestamp) AS gap FROM candles WHERE symbol = 'A' AND timeframe = '1h'"
    )
    assert gaps["gap"].to_list() == [None] + [dt.timedelta(hours=1)] * 47
    with pytest.raises(QueryError, match="months"):
        full.sql("SELECT INTERVAL 1 MONTH AS m")
    with pytest.raises(QueryError, match="cast it"):
        full.sql("SELECT [INTERVAL 1 DAY] AS list")


@pytest.mark.parametrize("query", [None, b"SELECT 1", "SELECT '\udc80'"])
def test_what_is_no_query_is_refused(full, query):
    with pytest.raises(QueryError):
        full.sql(query)


def test_a_deep_query_is_answered_unbounded(full):
    # Too deep for Python's parser of JSON; 900 sums would take DuckDB 12 s.
    query = "SELECT count(*) AS x FROM " + "(FROM " * 400 + "candles" + ")" * 400
    assert full.sql(query)["x"].to_list() == full.sql("SELECT count(*) AS x FROM candles")["x"].to_list()


def test_names_are_made_until_they_are_free(full):
    assert full.sql("SELECT 1 a, 2 a, 3 a_1").columns == ["a", "a_1", "a_1_1"]


@pytest.mark.slow
def test_ctrl_c_ends_a_query_and_leaves_a_store_that_works(full):
    endless = "SELECT count(*) FROM range(10000000000) a, range(1000) b WHERE a.range % 7 = b.range"
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            interrupted(0.4, lambda: full.sql(endless))
        assert full.sql("SELECT count(*) AS n FROM candles")["n"].to_list() == [504]


@pytest.mark.parametrize("file", ["market_data.sqlite3", "market_data.sqlite3-wal", "x.csv"])
def test_no_file_is_opened_by_a_query(full, file):
    for read in ("read_blob", "read_text", "read_csv", "read_parquet"):
        with pytest.raises(QueryError):
            full.sql(f"SELECT * FROM {read}('{full.path.with_name(file)}')")


def test_a_query_does_not_see_the_variables_of_the_program(full):
    prices = pl.DataFrame({"x": [1]})
    with pytest.raises(QueryError, match="prices"):
        full.sql("SELECT * FROM prices")
    assert len(prices) == 1


def test_times_are_compared_in_every_way(full):
    for condition, rows in (
        ("timestamp IN ('2025-09-01T00:30', '2025-09-01T01:00')", 2), ("timestamp = '2025-09-01T00:30'", 1),
        ("timestamp IN (SELECT timestamp FROM candles WHERE symbol = 'B' AND timeframe = '1h')", 2),
    ):  # fmt: skip
        query = f"SELECT count(*) AS n FROM candles WHERE symbol = 'A' AND timeframe = '1m' AND {condition}"
        assert full.sql(query)["n"].to_list() == [rows]


def test_a_table_that_is_named_by_a_text_is_whole(full):
    query = "SELECT count(*) FROM candles WHERE symbol = 'B' UNION ALL SELECT count(*) FROM query_table({})"
    for text in ("'candles'", "['candles']", "['CANDLES'], true", "candles"):
        assert [n for (n,) in full.sql(query.format(text)).rows()] == [168, 504]
    with pytest.raises(QueryError, match="put together"):
        full.sql(query.format("'can' || 'dles'"))


@pytest.mark.long
def test_large_queries_of_two_stores_spill_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    rows = "SELECT count(*) AS n FROM (SELECT i, random() FROM range(3000000) t(i) ORDER BY 2)"
    with mdstore.open(tmp_path / "a.sqlite3", sql_memory_bytes=32 * 2**20) as one:
        with mdstore.open(tmp_path / "b.sqlite3", sql_memory_bytes=32 * 2**20) as other:
            for store in (one, other):
                assert store.sql(rows)["n"].to_list() == [3_000_000]
            assert len(list(tmp_path.glob("mdstore-duckdb-*"))) == 2
        assert len(list(tmp_path.glob("mdstore-duckdb-*"))) == 1
    assert not list(tmp_path.glob("mdstore-duckdb-*"))
