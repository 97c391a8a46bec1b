"""What DuckDB's parse looks like is its own affair: an unknown shape has no bounds, and no names to go by."""

import copy
import json
import random

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mdstore
from mdstore import QueryError
from mdstore.candles.reads import sql_parse
from mdstore.candles.reads.sql_bounds import wanted
from tests.support.candles import START, walk
from tests.support.doses import dose

QUERIES = (
    "SELECT * FROM candles WHERE symbol = 'A' AND timeframe IN ('1m', '5m') AND timestamp >= '2025-09-01'",
    "FROM candles c WHERE c.symbol = 'A' AND c.timestamp BETWEEN TIMESTAMP '2025-09-01' AND DATE '2025-09-02'",
    "FROM candles a JOIN candles b USING (timestamp) WHERE a.symbol = 'A' AND b.symbol = 'B'",
    "WITH t AS (SELECT 1) FROM candles c, t WHERE c.symbol = $who AND '2025-09-01' <= c.timestamp AND 5 < close",
)
PARAMS = {"who": "A"}
# The same condition, symbol = 'A', as DuckDB 2.0.1 shows it.
OF_DUCKDB_2 = {
    "class": "COMPARISON", "type": "COMPARE_EQUAL", "alias": "", "query_location": 28, "query_location_length": 12,
    "left": {
        "class": "COLUMN_REF", "type": "COLUMN_REF", "alias": "", "query_location": 28, "query_location_length": 6,
        "column_names": ["symbol"],
    },
    "right": {
        "class": "CONSTANT", "type": "VALUE_CONSTANT", "alias": "", "query_location": 37,
        "query_location_length": 3, "literal": {"kind": "STRING", "text": "A"},
    },
}  # fmt: skip


def tree(query):
    ((text,),) = duckdb.execute("SELECT json_serialize_sql(?)", [query]).fetchall()
    return json.loads(text)


TREES = [tree(query) for query in QUERIES]


def nodes(found):
    """Yield every object of a tree."""
    if isinstance(found, dict):
        yield found
        for value in found.values():
            yield from nodes(value)
    elif isinstance(found, list):
        for value in found:
            yield from nodes(value)


def is_as_wide(box, whole):
    """Tell whether bounds leave in all that others do."""
    if box is None or whole is None:
        return box is None
    names = all(
        box[name] is None or (whole[name] is not None and set(box[name]) >= set(whole[name]))
        for name in ("symbol", "timeframe")
    )
    start = box["start"] is None or (whole["start"] is not None and box["start"] <= whole["start"])
    return (
        names and start and (box["end"] is None or (whole["end"] is not None and box["end"] >= whole["end"]))
    )


@pytest.mark.parametrize("number", range(len(TREES)))
def test_each_query_is_bounded_by_the_shape_that_is_known(number):
    box = wanted(TREES[number], PARAMS)
    assert box is not None
    assert box["symbol"] == (["A", "B"] if number == 2 else ["A"])


@pytest.mark.parametrize("number", range(len(TREES)))
@pytest.mark.parametrize("change", ["lost", "renamed", "added"])
def test_a_node_of_another_shape_sets_no_bound(number, change):
    """Every key of every node, one after the other: what is not understood never narrows what is read."""
    whole = wanted(TREES[number], PARAMS)
    for place, node in enumerate(nodes(TREES[number])):
        for key in node:
            other = copy.deepcopy(TREES[number])
            here = list(nodes(other))[place]
            if change == "added":
                here["negated"] = True
            else:
                value = here.pop(key)
                if change == "renamed":
                    here[f"{key}_of_3"] = value
            assert is_as_wide(wanted(other, PARAMS), whole), (key, change)


@given(st.integers(0, len(TREES) - 1), st.integers(0), st.data())
@settings(max_examples=dose(300))
def test_no_tree_ends_it(number, seed, data):
    other = copy.deepcopy(TREES[number])
    chance = random.Random(seed)
    for _ in range(3):
        node = chance.choice(list(nodes(other)))
        if node:
            key = chance.choice(list(node))
            node[key] = data.draw(st.sampled_from([None, 7, "x", [], {}, [[]], [{}], {"type": "CAST"}, True]))
    wanted(other, PARAMS)


def test_the_shape_of_duckdb_2_is_everything():
    two = copy.deepcopy(TREES[0])
    two["statements"][0]["node"]["where_clause"] = OF_DUCKDB_2
    assert wanted(two, PARAMS) is None


@pytest.mark.parametrize(
    "query", ["SELECT max(close) AS m FROM candles WHERE symbol = 'A'", "FROM query_table('series')"]
)
def test_a_parse_that_hides_its_names_is_not_gone_by(tmp_path, monkeypatch, query):
    """Where functions and tables were under other keys, none would be seen, and all be allowed."""
    whole = sql_parse._tree
    monkeypatch.setattr(sql_parse, "_known_shape", [])
    with mdstore.open(tmp_path / "s.sqlite3") as store:
        store.write("A", "1m", walk(3))
        for key in ("function_name", "table_name"):
            monkeypatch.setattr(
                sql_parse, "_tree", lambda con, text, key=key: whole(con, text).replace(f'"{key}"', '"name"')
            )
            with pytest.raises(QueryError, match="in a way that is not known here"):
                store.sql(query)
        monkeypatch.setattr(sql_parse, "_tree", whole)
        assert len(store.sql(query)) == 1


def test_a_table_named_by_a_text_is_refused_where_the_shape_is_unknown(tmp_path, monkeypatch):
    whole = sql_parse._tree
    with mdstore.open(tmp_path / "s.sqlite3") as store:
        store.sql("FROM query_table('series')")
        monkeypatch.setattr(
            sql_parse, "_tree", lambda con, text: whole(con, text).replace('"children"', '"arguments"')
        )
        with pytest.raises(QueryError, match=r"cannot be told from this DuckDB's parse.*name it in the FROM"):
            store.sql("SELECT rows FROM query_table('series')")
        assert store.sql("FROM series").is_empty()


def test_answers_are_the_same_without_bounds(tmp_path, monkeypatch):
    with mdstore.open(tmp_path / "s.sqlite3") as store:
        for seed, symbol in enumerate("ABC"):
            store.write(symbol, "1m", walk(50, seed=seed))
        query = f"SELECT sum(close) AS s FROM candles WHERE symbol = 'A' AND timestamp >= epoch_ms({START + 600_000})"
        bounded = store.sql(query).item()
        monkeypatch.setattr("mdstore.candles.reads.sql_bounds.SHAPES", {})
        query = query.replace(
            "AS s", "AS s  "
        )  # another text: what was looked through is not looked through again
        assert store.explain(sql=query).reason.startswith("given 150 ")
        assert store.sql(query).item() == bounded
