"""The analyzer: every statement counted under its text, slow ones named, help that was tried."""

from contextlib import closing

import apsw
import pytest

from mdstore import QueryError
from mdstore.optimization import queries
from mdstore.optimization.queries import QueryAnalyzer, normalised
from tests.support.candles import walk

MINE = "SELECT price FROM trades WHERE buyer = 'b{}'"


@pytest.fixture
def theirs(store):
    store.write("A", "1m", walk(2_000))
    with closing(apsw.Connection(str(store.path))) as con, con:
        con.execute("CREATE TABLE trades (id INTEGER PRIMARY KEY, buyer TEXT, price REAL)")
        rows = ((f"b{number % 1_000}", number / 7) for number in range(6_000))
        con.executemany("INSERT INTO trades (buyer, price) VALUES (?, ?)", rows)
    return store


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("SELECT 1", "SELECT ?"),
        ("SELECT  *\n FROM t WHERE a='it''s' AND b > -2.5e3", "SELECT * FROM t WHERE a=? AND b > -?"),
        ("SELECT a1 FROM t2 WHERE x IN ('a', 'b','c')", "SELECT a1 FROM t2 WHERE x IN (?)"),
        ("SELECT ?1, ?", "SELECT ??, ?"),
    ],
)
def test_values_are_no_part_of_a_text(sql, text):
    assert normalised(sql) == text


def test_statements_are_counted_under_their_text(theirs):
    analyzer = QueryAnalyzer(theirs)
    for number in range(5):
        assert analyzer.run(MINE.format(number)) == 6
    (row,) = analyzer.statements().iter_rows(named=True)
    assert (row["engine"], row["text"]) == ("sqlite", normalised(MINE))
    assert (row["count"], row["rows"]) == (5, 30)
    assert row["scan_steps"] >= 5 * 5_999
    assert 0 < row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"]
    assert row["total_ms"] > 0
    with pytest.raises(QueryError):
        analyzer.run("DELETE FROM trades")


def test_it_sees_what_the_store_reads_and_queries_while_it_watches(theirs):
    analyzer = QueryAnalyzer(theirs)
    theirs.sql("SELECT count(*) FROM candles")
    assert analyzer.statements().is_empty()
    with analyzer:
        theirs.sql("SELECT max(close) AS m FROM candles WHERE symbol = 'A' AND timeframe = '1m'")
        theirs.sql("SELECT max(close) AS m FROM candles WHERE symbol = 'B' AND timeframe = '1m'")
        theirs.series()
    seen = analyzer.statements()
    (asked,) = seen.filter(engine="duckdb").iter_rows(named=True)
    assert (asked["count"], asked["rows"]) == (2, 2)
    assert asked["text"] == "SELECT max(close) AS m FROM candles WHERE symbol = ? AND timeframe = ?"
    assert asked["about"]
    assert seen.filter(engine="sqlite").height > 0
    theirs.sql("SELECT count(*) FROM candles")
    theirs.series()
    assert analyzer.statements().equals(seen)


def test_slow_ones_are_named_by_the_threshold_and_by_their_own_past(theirs, monkeypatch):
    analyzer = QueryAnalyzer(theirs, slow_ms=1e9)
    for number in range(30):
        analyzer.run(MINE.format(number))
    assert analyzer.slow().is_empty()
    analyzer.save()
    later = QueryAnalyzer(theirs, slow_ms=1e9, regression=3.0)
    slowly = [0.0]
    monkeypatch.setattr(queries.time, "perf_counter", lambda: slowly[0])
    status = dict.fromkeys((f"SQLITE_STMTSTATUS_{name}" for name in ("FULLSCAN_STEP", "SORT", "VM_STEP")), 0)
    for _ in range(30):
        later.statement({"sql": MINE.format(1), "id": 1})
        slowly[0] += analyzer.statements()["p50_ms"][0] / 100
        later.statement({"sql": MINE.format(1), "id": 1, "stmt_status": status})
    monkeypatch.undo()
    (row,) = later.slow().iter_rows(named=True)
    assert row["reason"].startswith("regression: ")
    assert row["plan"] == "SCAN trades"
    (row,) = QueryAnalyzer(theirs, slow_ms=0.0).slow().rows() or [None]
    assert row is None
    strict = QueryAnalyzer(theirs, slow_ms=0.0001)
    strict.run(MINE.format(1))
    assert strict.slow()["reason"].item().startswith("threshold: half of its runs")


def test_what_would_help_is_tried_and_the_stores_own_tables_are_left_alone(theirs):
    analyzer = QueryAnalyzer(theirs)
    with analyzer:
        for number in range(3):
            analyzer.run(MINE.format(number))
        analyzer.run("SELECT max(close) FROM candles WHERE timestamp > 5")
        theirs.series()
        theirs.candles("A", "1m", limit=10)
    (advice,) = analyzer.advice()
    assert (advice.table, advice.columns) == ("trades", ("buyer",))
    assert sum(advice.statements.values()) == 3


def test_a_profile_says_where_the_time_of_a_query_went(theirs):
    theirs.write("B", "1m", walk(3_000, seed=1))
    query = "SELECT max(close) FROM candles WHERE symbol = 'A' AND timeframe = '1m'"
    profile = QueryAnalyzer(theirs).profile(query)
    assert profile.operators.columns == ["operator", "rows", "ms", "is_source"]
    assert profile.operators["ms"].min() >= 0
    assert (profile.read, profile.stored, profile.given) == (2_000, 5_000, "given 2,000 1m candles")
    assert profile.pruned == pytest.approx(0.6)
    assert profile.given_bytes == 2_000 * 8  # of one column
    with pytest.raises(QueryError):
        QueryAnalyzer(theirs).profile("SELECT nonsense FROM candles")


def test_texts_are_bounded_and_those_that_took_most_stay(theirs, monkeypatch):
    monkeypatch.setattr(queries, "MOST", 10)
    analyzer = QueryAnalyzer(theirs)
    for number in range(40):
        analyzer.query(
            f"SELECT {chr(65 + number % 26)}{chr(65 + number // 26)}", 100.0 if number == 3 else 1e-4, 1, ""
        )
    assert analyzer.statements().height <= 10
    assert analyzer.statements()["total_ms"][0] > 90_000


def test_reads_that_take_turns_are_all_seen(theirs):
    """One in eight was looked at: of two statements in turn always the same."""
    analyzer, database = QueryAnalyzer(theirs), theirs.repository._database
    with analyzer:
        for _ in range(60):
            for number in range(4):
                database.peek(f"SELECT rows + {number} AS n{number} FROM series")
    seen = analyzer.statements()["text"]
    assert sum("AS n" in text for text in seen) == 4
