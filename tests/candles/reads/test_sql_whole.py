"""A query that wants one series as it is stored is answered by what is in hand, as DuckDB would answer it."""

import json

import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mdstore
from mdstore import QueryError
from mdstore.candles.reads import sql
from mdstore.candles.reads.sql_bounds import COLUMNS, whole
from tests.support.candles import bits, walk

ONE = "symbol = 'A' AND timeframe = '1m'"
AS_STORED = {
    f"SELECT * FROM candles WHERE {ONE}": COLUMNS,
    f"FROM candles WHERE {ONE}": COLUMNS,
    f"SELECT * FROM candles WHERE {ONE} ORDER BY timestamp": COLUMNS,
    f"select * from CANDLES where {ONE} order by TIMESTAMP asc nulls first;": COLUMNS,
    f"SELECT volume, timestamp FROM candles WHERE {ONE}": ("volume", "timestamp"),
    f"SELECT c.close, c.symbol FROM candles c WHERE c.{ONE} ORDER BY c.timestamp": ("close", "symbol"),
    "SELECT close FROM candles WHERE '1m' = timeframe AND (symbol IN ('A') AND symbol = 'A')": ("close",),
    f'SELECT "close" FROM main.candles AS d WHERE {ONE}': ("close",),
}
OTHERS = (
    "SELECT * FROM candles",
    "SELECT * FROM candles WHERE symbol = 'A'",
    "SELECT * FROM candles WHERE symbol = 'A' AND timeframe IN ('1m', '1h')",
    "SELECT * FROM candles WHERE symbol = 'A' AND symbol = 'B' AND timeframe = '1m'",
    "SELECT * FROM candles WHERE symbol = 'A' OR timeframe = '1m'",
    "SELECT * FROM candles WHERE symbol <> 'A' AND timeframe = '1m'",
    "SELECT * FROM candles WHERE symbol NOT IN ('A') AND timeframe = '1m'",
    "SELECT * FROM candles WHERE lower(symbol) = 'A' AND timeframe = '1m'",
    f"SELECT * FROM candles WHERE {ONE} AND timestamp >= '2025-09-01T01:00'",
    f"SELECT * FROM candles WHERE {ONE} AND timestamp = '2025-09-01T00:01'",
    f"SELECT * FROM candles WHERE {ONE} AND close > 0",
    f"SELECT * FROM candles WHERE NOT ({ONE})",
    f"SELECT * FROM candles WHERE {ONE} ORDER BY timestamp DESC",
    f"SELECT * FROM candles WHERE {ONE} ORDER BY close",
    f"SELECT * FROM candles WHERE {ONE} ORDER BY ALL",
    f"SELECT * FROM candles WHERE {ONE} ORDER BY 3",
    f"SELECT * FROM candles WHERE {ONE} ORDER BY timestamp, close",
    f"SELECT * FROM candles WHERE {ONE} ORDER BY timestamp LIMIT 3",
    f"SELECT * FROM candles WHERE {ONE} LIMIT 3",
    f"SELECT * FROM candles WHERE {ONE} USING SAMPLE 3",
    f"SELECT DISTINCT close FROM candles WHERE {ONE}",
    f"SELECT close AS open FROM candles WHERE {ONE}",
    f"SELECT close, close FROM candles WHERE {ONE}",
    f"SELECT *, close FROM candles WHERE {ONE}",
    f"SELECT Close FROM candles WHERE {ONE}",
    f"SELECT close + 1 FROM candles WHERE {ONE}",
    f"SELECT * EXCLUDE (open) FROM candles WHERE {ONE}",
    f"SELECT * REPLACE (1.0 AS open) FROM candles WHERE {ONE}",
    f"SELECT COLUMNS('o.*') FROM candles WHERE {ONE}",
    f"SELECT max(close) FROM candles WHERE {ONE}",
    f"SELECT row_number() OVER () AS n FROM candles WHERE {ONE}",
    f"SELECT close FROM candles WHERE {ONE} GROUP BY ALL",
    f"SELECT close FROM candles WHERE {ONE} QUALIFY row_number() OVER () = 1",
    "SELECT * FROM candles c(a, b) WHERE a = 'A' AND b = '1m'",
    f"SELECT * FROM candles TABLESAMPLE 10% WHERE {ONE}",
    f"SELECT * FROM memory.candles WHERE {ONE}",
    f"SELECT * FROM memory.main.candles WHERE {ONE}",
    f"SELECT * FROM candles, (SELECT 1 AS one) WHERE {ONE}",
    f"SELECT * FROM (SELECT * FROM candles WHERE {ONE})",
    f"SELECT * FROM candles WHERE {ONE} UNION ALL SELECT * FROM candles WHERE {ONE}",
    f"WITH x AS (SELECT 1) SELECT * FROM candles WHERE {ONE}",
    f"WITH candles AS (SELECT 'A' AS symbol, '1m' AS timeframe) SELECT * FROM candles WHERE {ONE}",
    f"DESCRIBE SELECT * FROM candles WHERE {ONE}",
    f"SUMMARIZE SELECT * FROM candles WHERE {ONE}",
)


def columns_of(query):
    return whole(json.loads(duckdb.execute("SELECT json_serialize_sql(?)", [query]).fetchone()[0]))


def same(ours, theirs):
    times = pl.selectors.datetime()
    theirs = theirs.with_columns(times.dt.cast_time_unit("ms").dt.convert_time_zone("UTC"))
    assert ours.schema == theirs.schema
    assert exact(ours) == exact(theirs)


def exact(frame):
    """Return texts, and numbers and times to the last bit."""
    return [column.to_list() if column.dtype == pl.String else bits(column.to_frame("x")) for column in frame]


@pytest.mark.parametrize("query", AS_STORED)
def test_a_whole_series_is_given_as_it_is_stored(full, plain, query, monkeypatch):
    assert columns_of(query) == AS_STORED[query]
    same(full.sql(query), plain.execute(query).pl())
    monkeypatch.delattr(sql, "answered")  # DuckDB is not asked
    assert full.sql(query).columns == list(AS_STORED[query])
    with pytest.raises(NameError):
        full.sql("SELECT 1")


@pytest.mark.parametrize("query", OTHERS)
def test_anything_else_is_for_duckdb(query):
    assert columns_of(query) is None


CHOICES = st.builds(
    "SELECT {} FROM candles {} WHERE {}{} {}".format,
    st.sampled_from(["*", "close", "timestamp, volume", "symbol, close, timeframe", "close, open AS x"]),
    st.sampled_from(["", "c", "AS symbol"]),
    st.sampled_from([ONE, "timeframe = '1h' AND symbol = 'B'", "symbol = 'C' AND timeframe = '1m'"]),
    st.sampled_from(
        ["", " AND symbol = 'A'", " AND timeframe <> '1d'", " AND timestamp > '2025-09-01 00:30:00+00'"]
    ),
    st.sampled_from(
        ["", "ORDER BY timestamp", "ORDER BY timestamp ASC", "ORDER BY timestamp DESC", "LIMIT 2"]
    ),
)


@given(query=CHOICES)
def test_answers_are_those_of_duckdb(full, plain, query):
    same(full.sql(query), plain.execute(query).pl())


def test_explain_and_values_of_parameters_are_for_duckdb(full):
    query = f"SELECT close FROM candles WHERE {ONE}"
    assert full.sql(f"EXPLAIN {query}").columns == ["explain_key", "explain_value"]
    asked = "SELECT close FROM candles WHERE symbol = ? AND timeframe = ?"
    assert full.sql(asked, params=["A", "1m"]).equals(full.sql(query))
    with pytest.raises(QueryError):
        full.sql(query, params=["A"])


def test_a_series_that_changes_has_other_answers(tmp_path):
    query = f"SELECT * FROM candles WHERE {ONE}"
    with mdstore.open(tmp_path / "s.sqlite3") as store:
        assert store.sql(query).is_empty()
        store.write("A", "1m", walk(300))
        kept = store.sql(query)
        assert bits(kept.drop("symbol", "timeframe")) == bits(walk(300))
        store.delete("A", "1m", start=kept["timestamp"][10])
        assert exact(store.sql(query)) == exact(kept[:10])
        store.declare("trades", resample="sum")
        assert store.sql(query).columns == [*COLUMNS, "trades"]
        assert exact(store.sql(query).drop("trades")) == exact(kept[:10])
    assert bits(kept.drop("symbol", "timeframe")) == bits(walk(300))
