"""Parameters and tables of the caller's own in a query; what it shows of tables are users' names alone."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import mdstore
from mdstore import InvalidInputError, QueryError
from tests.support.candles import walk

MINE = {"symbol": ["A", "B"], "weight": [0.25, 0.75]}
TABLES = ["candles", "orderbooks", "quarantine", "series", "tickers", "trades"]


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    with mdstore.open(tmp_path_factory.mktemp("sql") / "market_data.sqlite3") as store:
        for seed, symbol in enumerate("ABC"):
            store.write(symbol, "1m", walk(120, seed=seed))
        yield store


def given(full, query, params):
    return full.explain(sql=query, params=params).reason


def test_parameters_and_tables_of_an_explanation_go_with_a_query(full):
    assert full.explain(sql="FROM mine", tables={"mine": MINE}).rows == 2
    for more in ({"params": ["A"]}, {"tables": {"mine": MINE}}):
        with pytest.raises(InvalidInputError, match="they go with sql="):
            full.explain("A", "1m", **more)


def test_parameters_by_place_and_by_name_bound_what_is_read_as_constants_do(full):
    by_place = "SELECT count(*) AS n FROM candles WHERE symbol = ? AND timestamp >= ?"
    by_name = "SELECT count(*) AS n FROM candles WHERE symbol = $who AND timestamp >= $since"
    for since in (datetime(2025, 9, 1, 1, tzinfo=UTC), datetime(2025, 9, 1, 1), "2025-09-01T01:00:00+00:00"):
        assert full.sql(by_place, params=["A", since])["n"][0] == 60
        assert full.sql(by_name, params={"who": "A", "since": since})["n"][0] == 60
        assert given(full, by_place, ("A", since)) == "given 60 1m candles"
        assert given(full, by_name, {"who": "A", "since": since}) == "given 60 1m candles"
    assert full.sql(by_place, params=["A", date(2025, 9, 2)])["n"][0] == 0
    assert full.sql("SELECT ?::INTEGER + ?::DECIMAL(9, 2) AS x", params=[np.int64(1), Decimal("0.25")])["x"][
        0
    ] == Decimal("1.25")
    assert full.sql("SELECT count(*) AS n FROM candles WHERE symbol IN ?", params=[["A", "B"]])["n"][0] == 240


def test_a_parameter_is_a_value_and_no_sql(full):
    hostile = "A' OR 1=1; DROP TABLE candles; --"
    assert full.sql("SELECT count(*) AS n FROM candles WHERE symbol = ?", params=[hostile])["n"][0] == 0
    assert full.sql("SELECT ? AS text", params=[hostile])["text"][0] == hostile


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ("A", "give a list of values"), (5, "give a list of values"), ([object()], r"\?1 is a object"),
        ({"1a": 1}, "'1a' is no name"), ({"who": duckdb_relation} if (duckdb_relation := object()) else {}, r"\$who is a"),
        ([pl.DataFrame()], r"\?1 is a"),
    ],
)  # fmt: skip
def test_what_is_no_parameter_is_refused(full, params, message):
    with pytest.raises(InvalidInputError, match=message):
        full.sql("SELECT ?", params=params)


def test_too_few_and_too_many_parameters_are_refused_in_words(full):
    for query, params in (
        ("SELECT ?", []),
        ("SELECT ?", [1, 2]),
        ("SELECT $a", {"b": 1}),
        ("SELECT ?", None),
    ):
        with pytest.raises(QueryError):
            full.sql(query, params=params)


@pytest.mark.parametrize(
    "mine",
    [
        MINE, pl.DataFrame(MINE), pl.LazyFrame(MINE), pd.DataFrame(MINE), pa.table(MINE),
        pd.DataFrame(MINE).set_index("symbol"), pa.table(MINE).to_batches()[0],
    ],
    ids=["dict", "polars", "lazy", "pandas", "arrow", "indexed", "batch"],
)  # fmt: skip
def test_tables_of_ones_own_are_joined(full, mine):
    query = """
        SELECT m.symbol, sum(m.weight) AS share FROM candles JOIN mine m USING (symbol)
        WHERE timeframe = '1m' GROUP BY ALL ORDER BY ALL
    """
    assert full.sql(query, tables={"mine": mine}).rows() == [("A", 30.0), ("B", 90.0)]
    assert full.sql("SELECT count(*) AS n FROM MINE", tables={"Mine": mine})["n"][0] == 2
    assert full.sql("PIVOT mine ON symbol USING sum(weight)", tables={"mine": mine}).columns == ["A", "B"]
    assert full.sql("FROM query_table('mine')", tables={"mine": mine}).height == 2


def test_they_are_of_one_query(full):
    full.sql("FROM mine", tables={"mine": MINE})
    with pytest.raises(QueryError, match=r"there is no table mine\. Hint: the tables are candles"):
        full.sql("FROM mine")
    with pytest.raises(QueryError, match="a, yours as given"):
        full.sql("FROM mine", tables={"a": MINE, "yours": MINE})


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"candles": MINE}, "the name candles is taken"), ({"TRADES": MINE}, "the name TRADES is taken"),
        ({"a": MINE, "A": MINE}, "the name A is taken"), ({"__mdstore_candles_0": MINE}, "is taken"),
        ({"a b": MINE}, "'a b' is no name"), ({'x"; DROP': MINE}, "is no name"), ({"1": MINE}, "is no name"),
        ({5: MINE}, "5 is no name"), ({"mine": 5}, "mine cannot be taken: it is a int; give a Polars"),
        ({"mine": {"a": [1], "b": [1, 2]}}, "mine cannot be taken"), ([MINE], "is a dict of names"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_refused(full, tables, message):
    with pytest.raises(InvalidInputError, match=message):
        full.sql("SELECT 1", tables=tables)


def test_show_tables_shows_users_tables_alone(full):
    assert full.sql("SHOW TABLES").rows() == [(name,) for name in TABLES]
    assert full.sql("show tables;", tables={"mine": MINE})["name"].to_list() == sorted([*TABLES, "mine"])
    for query in (
        "SHOW ALL TABLES",
        "SHOW",
        "DESCRIBE",
        "SHOW DATABASES",
        "SHOW TABLES FROM main",
        "FROM (SHOW TABLES)",
    ):
        with pytest.raises(QueryError, match=r"this kind of SHOW is not here\. Hint: SHOW TABLES, by itself"):
            full.sql(query)
    assert full.sql("DESCRIBE candles")["column_name"].to_list() == full.sql("FROM candles LIMIT 0").columns
    assert full.sql("DESCRIBE mine", tables={"mine": MINE})["column_name"].to_list() == ["symbol", "weight"]


def test_explain_shows_a_plan_and_runs_nothing_but_a_query(full):
    for how in (
        "EXPLAIN",
        "explain analyze",
        "EXPLAIN (FORMAT JSON)",
        "EXPLAIN (ANALYZE, FORMAT JSON)",
        "/* a */ EXPLAIN",
    ):
        plan = full.sql(f"{how} SELECT max(close) FROM candles WHERE symbol = ?", params=["A"])
        assert plan.columns == ["explain_key", "explain_value"]
        assert "close" in plan["explain_value"][0]
        assert "__mdstore" not in plan["explain_value"][0]
    for query in (
        "COPY (SELECT 1) TO 'x.csv'",
        "EXPLAIN SELECT 1",
        "DELETE FROM candles",
        "SELECT sleep_ms(1)",
        "FROM 'x.csv'",
    ):
        for how in ("EXPLAIN", "EXPLAIN ANALYZE", "EXPLAIN (FORMAT JSON)"):
            with pytest.raises(QueryError):
                full.sql(f"{how} {query}")
    with pytest.raises(QueryError, match="is not explained"):
        full.sql("EXPLAIN PIVOT candles ON symbol USING sum(close)")


def test_many_comments_take_no_time(full):
    assert full.sql("/* x */ -- y\n" * 500 + "SELECT 1 AS one").item() == 1
    with pytest.raises(QueryError):
        full.sql("/* x */" * 500 + "SHOW")


UNKNOWN = (
    "FROM nosuch", "FROM candle", "FROM candles_0", "FROM __mdstore_candles_0", "FROM stored_series",
    "DESCRIBE nosuch", "SUMMARIZE __mdstore_stored_series", "PIVOT nosuch ON symbol USING sum(close)",
    "PIVOT candle ON symbol USING sum(close)", "PIVOT candles_0 ON symbol", "FROM query_table('candles_0')",
    "SELECT nosuch FROM candles", "SELECT nosuch.symbol FROM candles", "PIVOT candles ON nosuch USING sum(close)",
    "EXPLAIN FROM nosuch", "SELECT s.x FROM series s", "UNPIVOT nosuch ON a", "FROM pg_tables", "FROM sqlite_master",
)  # fmt: skip


@pytest.mark.parametrize("query", UNKNOWN)
def test_an_unknown_name_is_answered_with_names_that_users_have(full, query):
    with pytest.raises(QueryError) as raised:
        full.sql(query)
    said = re.sub(re.escape(query), "", str(raised.value)).removeprefix("there is no table")
    named = set(re.findall(r"__\w+|candles_\d+|stored_\w+|pg_\w+|duckdb_\w+|sqlite_\w+", said))
    assert not named - set(re.findall(r"\w+", query)), said
