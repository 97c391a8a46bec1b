"""Indexes: what a workload uses, what it lacks, found, tried on a copy, applied and undone."""

import asyncio
from contextlib import closing

import apsw
import pytest

from mdstore import InvalidInputError, QueryError
from mdstore.candles.upkeep.plans import steps_of
from mdstore.optimization import indexes as rules
from mdstore.optimization.indexes import IndexAdvice, IndexOptimizer
from tests.support.candles import walk
from tests.support.fragmented import names

ONE = "SELECT * FROM trades WHERE buyer = 'b17'"
RANGE = "SELECT close FROM candles WHERE symbol = ? AND timeframe = ? AND timestamp >= ?"
FREE = "SELECT max(close) FROM candles WHERE timestamp >= 1756684800000"


@pytest.fixture
def theirs(store):
    """A store with a table of the user's own."""
    for symbol in ("A", "B"):
        store.write(symbol, "1m", walk(500))
    with closing(apsw.Connection(str(store.path))) as con, con:
        con.execute("CREATE TABLE trades (id INTEGER PRIMARY KEY, buyer TEXT, price REAL, at INTEGER)")
        con.execute("CREATE INDEX trades_by_at ON trades (at)")
        con.execute("CREATE UNIQUE INDEX trades_once ON trades (buyer, at)")
        rows = ((f"b{number % 3_000}", number / 7, number) for number in range(9_000))
        con.executemany("INSERT INTO trades (buyer, price, at) VALUES (?, ?, ?)", rows)
        con.execute("DROP INDEX trades_once")
        con.execute("CREATE UNIQUE INDEX trades_once ON trades (at, buyer)")
    return store


def usage(store, workload):
    return asyncio.run(IndexOptimizer(store).analyze_index_usage(workload))


def test_a_missing_index_is_found_tried_applied_and_undone(theirs):
    found = usage(theirs, {ONE: 40, RANGE: 10})
    assert found.scans == {"trades": {ONE: 40}}
    (advice,) = [one for one in found.advice if one.kind == "create"]
    assert (advice.table, advice.columns, advice.statements) == ("trades", ("buyer",), {ONE: 40})
    assert "steps became" in advice.reason
    assert "USING INDEX trades_by_buyer" in advice.reason
    schema, optimizer = names(theirs.path), IndexOptimizer(theirs)
    before = theirs.repository.upkeep.run(ONE)
    applied = optimizer.apply(advice)
    after = theirs.repository.upkeep.run(ONE)
    assert before.rows == after.rows == 3
    assert before.steps > 10 * after.steps
    assert (before.scan_steps > 8_000, after.scan_steps) == (True, 0)
    assert not [one for one in usage(theirs, {ONE: 40}).advice if one.kind == "create"]
    optimizer.undo(applied)
    assert names(theirs.path) == schema
    kept = theirs.repository.upkeep.records(rules.APPLIED)
    assert [one["done"] for one in kept] == [applied.done, applied.undo]
    assert kept[0]["undo"] == applied.undo
    assert theirs.maintenance.check() == []


def test_an_index_that_was_made_meanwhile_is_seen(theirs):
    """A plan was that of the indexes as they were when the connection looked last: it was to be dropped."""
    assert [one.kind for one in usage(theirs, {ONE: 1}).advice if one.table == "trades"] == ["create", "drop"]
    with closing(apsw.Connection(str(theirs.path))) as con:
        con.execute("CREATE INDEX longer ON trades (buyer, price)")
        assert "longer" in usage(theirs, {ONE: 1}).used
        assert not [one for one in usage(theirs, {ONE: 1}).advice if "buyer" in one.columns]
        con.execute("DROP INDEX longer")
    (advice,) = [one for one in usage(theirs, {ONE: 1}).advice if one.kind == "create"]
    IndexOptimizer(theirs).apply(advice)
    assert not [one for one in usage(theirs, {ONE: 1}).advice if one.kind == "create"]


def test_of_two_indexes_of_which_one_begins_with_the_other_the_longer_is_proposed(theirs):
    both = f"{ONE} ORDER BY price"
    proposed = [one for one in usage(theirs, {ONE: 7, both: 2}).advice if one.kind == "create"]
    assert [one.columns for one in proposed] == [("buyer", "price")]
    assert proposed[0].statements == {ONE: 7, both: 2}
    IndexOptimizer(theirs).apply(proposed[0])
    assert set(usage(theirs, {ONE: 7, both: 2}).used["trades_by_buyer_price"]) == {ONE, both}


def test_what_is_used_and_what_is_not(theirs):
    by_time = "SELECT at FROM trades WHERE at BETWEEN 3 AND 9"
    found = usage(theirs, {by_time: 3, RANGE: 7})
    assert found.used["candles's key"] == {RANGE: 7}
    index = next(iter(found.covering))
    assert index in ("trades_by_at", "trades_once")
    assert found.used[index] == {by_time: 3}
    assert found.scans == {}
    assert index not in found.unused


def test_the_key_of_a_table_is_used_or_unused_under_one_name(theirs):
    found = usage(theirs, {RANGE: 7})
    assert "candles's key" in found.used
    assert "cells's key" in found.unused
    assert not {"candles's key", "sqlite_autoindex_candles_1"} & set(found.unused)


def test_keys_unique_indexes_and_those_of_the_store_are_never_to_go(theirs):
    found = usage(theirs, {ONE: 1})
    drops = [one.name for one in found.advice if one.kind == "drop"]
    assert drops == ["trades_by_at"]
    assert {"trades_once", "quarantine_once"} <= set(found.unused)
    optimizer = IndexOptimizer(theirs)
    for name in (
        "trades_once",
        "quarantine_once",
        "upkeep_by_kind",
        "sqlite_autoindex_calendars_1",
        "nothing",
    ):
        with pytest.raises(InvalidInputError, match="no index that can be dropped"):
            optimizer.apply(IndexAdvice("drop", name, "trades", (), "", {}))
    applied = optimizer.apply(next(one for one in found.advice if one.kind == "drop"))
    assert ("index", "trades_by_at") not in names(theirs.path)
    optimizer.undo(applied)
    assert ("index", "trades_by_at") in names(theirs.path)


def test_a_search_whose_first_column_is_free_is_a_scan(theirs):
    """SQLite words it as a search of the key, once the statistics are there."""
    theirs.repository.upkeep.analyze()
    plan = theirs.repository.upkeep.plan(FREE)
    (step,) = theirs.repository.upkeep.plan_steps(FREE)
    assert step.is_scan, plan
    texts = {
        "SEARCH candles USING PRIMARY KEY (ANY(symbol) AND timeframe=?)": True,
        "SEARCH candles USING PRIMARY KEY": True,
        "SEARCH candles USING PRIMARY KEY (symbol=? AND timestamp>?)": False,
        "SEARCH t USING COVERING INDEX i (a=?)": False,
        "SEARCH t USING INTEGER PRIMARY KEY (rowid=?)": False,
        "SCAN t USING COVERING INDEX i": True,
        "SCAN t": True,
    }
    assert {text: step.is_scan for text in texts for step in steps_of([text])} == texts
    assert steps_of(["USE TEMP B-TREE FOR ORDER BY"]) == []


def test_an_index_that_does_not_cut_the_steps_is_not_proposed(theirs):
    assert [
        one for one in usage(theirs, {"SELECT * FROM trades WHERE at >= 0": 9}).advice if one.kind == "create"
    ] == []
    assert [
        one for one in usage(theirs, {"SELECT count(*) FROM trades": 9}).advice if one.kind == "create"
    ] == []


def test_what_sqlite_cannot_run_is_said(theirs):
    with pytest.raises(QueryError, match="SQLite cannot run 'SELECT nonsense'"):
        usage(theirs, {"SELECT nonsense": 1})
    with pytest.raises(QueryError, match="only what reads is run here, and this changes the file: 'DELETE"):
        theirs.repository.upkeep.run("DELETE FROM trades")
    with pytest.raises(InvalidInputError, match="no columns nothing"):
        theirs.repository.upkeep.create_index("trades", ["nothing"])


def test_a_table_is_looked_after_for_a_reason_and_says_which(theirs, monkeypatch):
    optimizer, upkeep = IndexOptimizer(theirs), theirs.repository.upkeep

    def needed(table):
        return asyncio.run(optimizer.reindex_if_needed(table))

    assert needed("trades") == "statistics: it was never analyzed"
    assert needed("trades") == ""
    monkeypatch.setattr(rules, "BULK_ROWS", 50)
    with closing(apsw.Connection(str(theirs.path))) as con, con:
        rows = ((f"n{number}", 1.0, 10_000 + number) for number in range(60))
        con.executemany("INSERT INTO trades (buyer, price, at) VALUES (?, ?, ?)", rows)
    assert needed("trades") == "bulk inserts: 60 rows more"
    monkeypatch.setattr(type(upkeep), "count_seconds", lambda self, table: (1e9, 9_060))
    assert needed("trades").startswith("slow-down: a row takes ")
    monkeypatch.undo()
    with pytest.raises(InvalidInputError, match="no table 'nothing' in market_data"):
        needed("nothing")


def test_an_index_that_is_damaged_is_made_anew(theirs):
    with closing(apsw.Connection(str(theirs.path))) as con:
        con.pragma("writable_schema", 1)
        con.execute(
            "UPDATE sqlite_schema SET sql = 'CREATE INDEX trades_by_at ON trades (price)' "
            "WHERE name = 'trades_by_at'"
        )
        con.pragma("schema_version", con.pragma("schema_version") + 1)
    reason = asyncio.run(IndexOptimizer(theirs).reindex_if_needed("trades"))
    assert reason.startswith("integrity: ")
    assert asyncio.run(IndexOptimizer(theirs).reindex_if_needed("trades")).startswith(("statistics", ""))
    assert theirs.maintenance.check() == []


@pytest.mark.parametrize("table", ["sqlite_schema", "sqlite_master", "dbstat", "pragma_table_list", "asked"])
def test_what_can_have_no_index_is_asked_for_none(theirs, table):
    """Statements of the store's own that look at the schema are among those that an analyzer sees."""
    with closing(apsw.Connection(str(theirs.path))) as con:
        con.execute("CREATE VIEW asked AS SELECT buyer AS name FROM trades")
    usage = IndexOptimizer(theirs).usage({f"SELECT name FROM {table} WHERE name = 'x' ORDER BY name": 1})
    assert [one for one in usage.advice if one.kind == "create" and one.table != "trades"] == []


def test_columns_that_a_key_has_in_an_order_that_does_not_help_are_tried_in_another(theirs):
    """`trades_once` is by time and buyer; a statement that names the buyer alone goes through all of it."""
    sql = "SELECT at FROM trades WHERE buyer = 'b7'"
    (advice,) = [one for one in usage(theirs, {sql: 5}).advice if one.kind == "create"]
    assert advice.columns[0] == "buyer"
    assert "buyer is in trades_once behind at, which the statement leaves free" in advice.reason


def test_of_the_stores_own_tables_none_is_proposed_and_it_is_told_why(theirs):
    found = usage(theirs, {"SELECT max(close) FROM candles WHERE timestamp = 1756684800000": 3, RANGE: 2})
    assert [one for one in found.advice if one.table == "candles"] == []
    (declined,) = found.declined
    assert (declined.table, declined.columns[0]) == ("candles", "timestamp")
    assert "steps became" in declined.reason
    assert "each of its writes would write an index too" in declined.reason
    assert "store.sql" in declined.reason
    assert sum(declined.statements.values()) == 3
    assert found.scans["candles"]
    assert theirs.sql("SELECT max(close) FROM candles WHERE timestamp = '2025-09-01'").height == 1
