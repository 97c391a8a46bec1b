"""Every function of the DuckDB that is installed is decided on: allowed in a query, or refused by its name."""

import duckdb
import pytest

import mdstore
from mdstore import QueryError
from mdstore.candles.reads import sql_functions, sql_parse
from mdstore.candles.reads.sql_functions import ALLOWED, PREFIXES, REASONS, why_refused

# Of scalars, aggregates and macros; PRAGMAs and CALLs are no SELECT and have no list.
CATALOGUE = """
    SELECT DISTINCT lower(function_name), function_type LIKE 'table%' FROM duckdb_functions()
    WHERE function_type <> 'pragma' ORDER BY ALL
"""
FUNCTIONS = duckdb.connect().execute(CATALOGUE).fetchall()
TABLE_FUNCTIONS = sorted(name for name, is_table in FUNCTIONS if is_table)
CALLED = {"query_table": "'series'", "histogram": "series, rows", "histogram_values": "series, rows"}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with mdstore.open(tmp_path_factory.mktemp("functions") / "market_data.sqlite3") as store:
        yield store


def test_every_function_is_in_one_table_and_no_other():
    names = {name for name, _ in FUNCTIONS}
    decided = {name for name in names if name.startswith(tuple(PREFIXES))} | ALLOWED | set(REASONS)
    assert names - decided == set(), "new in this DuckDB: decide on them in sql_functions"
    assert set(ALLOWED) & set(REASONS) == set()
    assert (ALLOWED | set(REASONS)) - names == set(), "gone from this DuckDB"


def test_what_is_marked_to_have_side_effects_is_decided_one_by_one():
    marked = duckdb.execute("""
        SELECT DISTINCT lower(function_name) FROM duckdb_functions() WHERE has_side_effects
    """).fetchall()
    allowed = {name for (name,) in marked if why_refused(name) is None}
    assert allowed == {"error", "gen_random_uuid", "random", "uuid", "uuidv4", "uuidv7"}


@pytest.mark.parametrize("name", TABLE_FUNCTIONS)
def test_a_table_function_is_allowed_or_refused_by_its_name(store, name):
    if why_refused(name) is None:
        store.sql(f"SELECT count(*) FROM {name}({CALLED.get(name, '')})") if name in CALLED else None
        return
    for call in (f"{name}()", f'"{name.upper()}"(1)', f"system.main.{name}('x')", f"{name}(x := 1) t"):
        with pytest.raises(QueryError, match=f"function {name} is not allowed"):
            store.sql(f"SELECT * FROM {call}")
    with pytest.raises(QueryError, match=f"{name} is not allowed"):
        store.sql(f"WITH w AS (FROM range(1), LATERAL (FROM {name}())) SELECT (SELECT 1 FROM w)")


def test_a_scalar_that_is_refused_is_refused_wherever_it_stands(store):
    for name, is_table in FUNCTIONS:
        if not is_table and why_refused(name) and name not in TABLE_FUNCTIONS:
            with pytest.raises(QueryError, match=f"{name} is not allowed"):
                store.sql(f'SELECT 1 FROM series WHERE "{name}"(symbol) ORDER BY list_transform([1], x -> x)')


PLACES = [
    "SELECT Sleep_MS(1)", "SELECT 1 WHERE sleep_ms(1) IS NULL", "SELECT max(sleep_ms(1)) OVER ()",
    "FROM series GROUP BY sleep_ms(1)", "FROM range(sleep_ms(1))", "VALUES (sleep_ms(1))",
    "SELECT list_transform([1], x -> sleep_ms(x))", "SELECT [sleep_ms(x) FOR x IN [1]]",
    "FROM series ORDER BY sleep_ms(1)", "FROM series LIMIT (SELECT sleep_ms(1))",
    "SELECT CASE WHEN sleep_ms(1) IS NULL THEN 1 END", "SELECT 1 UNION ALL SELECT sleep_ms(1)",
    "SELECT count(*) FILTER (WHERE sleep_ms(1) IS NULL)", "SELECT x.sleep_ms(1)",
    "FROM series JOIN range(3) ON sleep_ms(1) IS NULL", "SELECT * REPLACE (sleep_ms(1) AS symbol) FROM series",
    "FROM (DESCRIBE SELECT sleep_ms(1))", "SUMMARIZE SELECT sleep_ms(1)", "SELECT 1 QUALIFY sleep_ms(1) IS NULL",
    "PIVOT (SELECT sleep_ms(1) a) ON a", "PIVOT series ON symbol IN (SELECT sleep_ms(1))",
    "PIVOT series ON symbol USING max(sleep_ms(1))", "PIVOT series ON symbol IN ('A') USING max(sleep_ms(1))",
    "PIVOT (SELECT \"sleep_ms\"(1) a) ON a", "WITH RECURSIVE r AS (SELECT 1 UNION ALL SELECT sleep_ms(1) FROM r) FROM r",
]  # fmt: skip


@pytest.mark.parametrize("query", PLACES)
def test_no_place_in_a_query_hides_a_call(store, query):
    with pytest.raises(QueryError, match="sleep_ms"):
        store.sql(query)


@pytest.mark.long
def test_no_place_hides_any_function_that_is_refused(store):
    refused = [name for name, _ in FUNCTIONS if why_refused(name)]
    for name in refused:
        for query in PLACES:
            with pytest.raises(QueryError, match=name):
                store.sql(query.replace("Sleep_MS", "sleep_ms").replace("sleep_ms", name))
    print(f"{len(refused)} functions refused in each of {len(PLACES)} places")


def test_a_kind_of_node_that_is_not_known_is_refused(store, monkeypatch):
    monkeypatch.setattr(sql_parse, "KINDS", sql_parse.KINDS - {"CASE"})
    with pytest.raises(QueryError, match="CASE"):
        store.sql("SELECT CASE WHEN true THEN 1 END")
    assert store.sql("SELECT 1 AS one")["one"].to_list() == [1]


def test_a_function_of_a_new_version_is_refused_until_somebody_decides(store, monkeypatch):
    monkeypatch.setattr(sql_functions, "ALLOWED", ALLOWED - {"median"})
    with pytest.raises(QueryError, match="median is not allowed in a query: it is not known to only read"):
        store.sql("SELECT median(rows) FROM series")


def test_a_name_that_is_misspelt_has_a_hint_that_works(store):
    with pytest.raises(QueryError) as raised:
        store.sql("SELECT mediam(rows) FROM series")
    assert raised.value.hint.python == "did you mean median?"
    store.sql("SELECT median(rows) FROM series")


def test_text_that_looks_like_a_key_of_the_tree_is_text(store):
    text = ',"function_name":"sleep_ms","table_name":"nope","class":"X'
    assert store.sql(f"SELECT '{text}' AS x")["x"].to_list() == [text]
