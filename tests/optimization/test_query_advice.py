"""What would help a query of `store.sql`: told where it was tried and the answer is the same, else not."""

import re

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from mdstore.optimization import query_advice as rules
from mdstore.optimization.queries import QueryAnalyzer
from mdstore.optimization.query_advice import query_advice
from tests.support.candles import START, walk
from tests.support.fragmented import bar

BARS = 6_000  # four days and four hours
LATEST = "SELECT symbol, arg_max(close, timestamp) AS price, max(timestamp) AS at FROM candles"
MINUTES = "FROM candles WHERE timeframe = '1m'"
BY_DAY = f"SELECT symbol, avg(close) {MINUTES} AND CAST(timestamp AS DATE) = '2025-09-05'"


@pytest.fixture
def filled(store):
    for number in range(3):
        store.write(f"S{number}", "1m", walk(BARS, seed=number))
    store.write("S0", "1h", walk(100, start=START, step=3_600_000))
    return store


def advised(store, query):
    return query_advice(store.repository, query, 7)


@pytest.mark.parametrize(
    ("query", "values"),
    [
        (f"{LATEST} WHERE timeframe = '1m' GROUP BY symbol", {"price": "close", "at": "timestamp"}),
        (f"{LATEST} WHERE timeframe = '1m' GROUP BY ALL", {"price": "close", "at": "timestamp"}),
        (f"SELECT symbol, last(close ORDER BY timestamp) {MINUTES} GROUP BY symbol", {"close": "close"}),
        (
            f"SELECT timeframe, symbol, first(high ORDER BY timestamp DESC) AS h {MINUTES} GROUP BY ALL",
            {"h": "high"},
        ),
    ],
)
def test_the_latest_bar_of_each_symbol_is_for_screen(filled, query, values):
    (advice,) = advised(filled, query)
    assert advice.kind == "use screen"
    assert advice.statements == {query: 7}
    assert advice.reason.startswith("the same answer from 3 candles in place of 18,000")
    screened = eval(advice.instead, {"store": filled})  # as it says
    asked = filled.sql(query)
    assert list(screened.rows.columns[1:]) == list(values)
    for name in values:
        column = name if name in asked.columns else asked.columns[-1]
        by_symbol = dict(asked.select(pl.col("symbol").cast(pl.String), column).rows())
        assert dict(screened.rows.select(pl.col("symbol").cast(pl.String), name).rows()) == by_symbol


@pytest.mark.parametrize(("condition", "bars"), [("<= 3", 3), ("< 3", 2), ("= 1", 1)])
def test_the_latest_bars_of_each_symbol_are_for_candles(filled, condition, bars):
    query = (
        "SELECT * FROM candles WHERE timeframe = '1m' AND symbol IN ('S0', 'S1') "
        f"QUALIFY row_number() OVER (PARTITION BY symbol ORDER BY timestamp DESC) {condition}"
    )
    (advice,) = advised(filled, query)
    assert (advice.kind, advice.instead) == (
        "use candles",
        f"store.candles(['S0', 'S1'], '1m', limit={bars})",
    )
    if condition != "= 1":
        assert eval(advice.instead, {"store": filled}).height == filled.sql(query).height == 2 * bars


@pytest.mark.parametrize(
    "query",
    [
        f"{BY_DAY} GROUP BY symbol ORDER BY symbol",
        f"SELECT close * 2 AS c {MINUTES} AND symbol = 'S1' ORDER BY timestamp DESC LIMIT 20",
        f"SELECT close * 2 AS c {MINUTES} AND symbol = 'S2' ORDER BY timestamp LIMIT 9",
        "SELECT count(*), sum(volume) FROM candles WHERE date_part('day', timestamp) = 5",
    ],
)
def test_a_query_that_says_its_time_otherwise_is_told_to_bound_it(filled, query):
    (advice,) = advised(filled, query)
    assert advice.kind == "bound the timestamp"
    bound, text = re.match(r"(timestamp (?:>=|<) .*?): (SELECT .*)", advice.instead).groups()
    assert ("timestamp >=" in bound) == ("ORDER BY timestamp LIMIT" not in query)
    assert ("timestamp <" in bound) == ("DESC" not in query)
    assert_frame_equal(filled.sql(text).sort(pl.all()), filled.sql(query).sort(pl.all()))
    given = filled.explain(sql=text).given
    assert given * 10 <= filled.explain(sql=query).given
    assert f"from {given:,} candles" in advice.reason


def test_the_bound_of_days_ends_with_the_last_bar(filled):
    (advice,) = advised(filled, f"{BY_DAY} GROUP BY symbol")
    assert "timestamp < '2025-09-05T04:00:00.000+00:00'" in advice.instead
    (advice,) = advised(filled, f"{BY_DAY.replace('05', '02')} GROUP BY symbol") or [None]
    assert advice is None  # a fourth of the candles is no tenth


@pytest.mark.parametrize(
    "query",
    [
        "SELECT symbol, max(high) FROM candles WHERE timeframe = '1m' GROUP BY symbol",  # of all bars
        f"SELECT close {MINUTES} AND symbol = 'S1' ORDER BY timestamp DESC LIMIT 20",  # is given 24
        "SELECT max(close) FROM candles WHERE timeframe = '1m' AND volume > 1e9",
        f"{LATEST} GROUP BY symbol",  # of two timeframes
        f"{LATEST} WHERE timeframe = '1m' AND volume > 5 GROUP BY symbol",  # the latest may not pass
        f"{LATEST} WHERE timeframe = '1m' GROUP BY symbol HAVING price > 0",
        f"SELECT symbol, arg_max(close, timestamp), avg(close) {MINUTES} GROUP BY symbol",
        f"SELECT symbol, last(close ORDER BY timestamp DESC) {MINUTES} GROUP BY symbol",
        "SELECT max(close) FROM candles WHERE timeframe = '1m' ORDER BY max(timestamp) LIMIT 1",
        f"SELECT * {MINUTES} AND timestamp >= '2025-09-05T03:00' ORDER BY timestamp LIMIT 3",  # bound already
        "SELECT close FROM candles WHERE timeframe = '1h' ORDER BY timestamp DESC LIMIT 2",  # of a few rows
        "SELECT symbol, random() FROM candles WHERE timeframe = '1m' ORDER BY timestamp DESC LIMIT 2",
        "SELECT close FROM candles TABLESAMPLE 50 PERCENT (bernoulli) ORDER BY timestamp DESC LIMIT 2",
        "WITH candles AS (SELECT 1 AS timestamp) SELECT * FROM candles",
        "SELECT * FROM series", "SELECT 1", "SELECT nothing FROM candles", "no query",
        "SELECT close FROM candles WHERE timeframe = ? ORDER BY timestamp DESC LIMIT 2",
        "SELECT c.close FROM candles c JOIN series s USING (symbol) ORDER BY c.timestamp DESC LIMIT 2",
    ],
)  # fmt: skip
def test_nothing_is_told_where_it_would_not_help_or_not_be_the_same(filled, query):
    assert advised(filled, query) == []


def test_nothing_is_told_where_the_answer_is_another(filled, monkeypatch):
    query = f"{LATEST} WHERE timeframe = '1m' GROUP BY symbol"
    assert advised(filled, query)
    monkeypatch.setattr(rules, "_shown", lambda value: str(id(value)))
    assert advised(filled, query) == []


def test_an_answer_that_is_too_long_to_compare_is_not_advised(filled, monkeypatch):
    monkeypatch.setattr(rules, "MOST_ROWS", 2)
    assert advised(filled, f"{LATEST} WHERE timeframe = '1m' GROUP BY symbol") == []


def test_the_analyzer_tells_it_beside_indexes_and_counts_no_trial_as_asked(filled):
    query = f"{LATEST} WHERE timeframe = '1m' GROUP BY symbol"
    with QueryAnalyzer(filled) as analyzer:
        for _ in range(4):
            filled.sql(query)
        advice = analyzer.advice()
        asked = analyzer.statements().filter(pl.col("engine") == "duckdb")
    assert [(one.kind, one.statements) for one in advice] == [("use screen", {query: 4})]
    assert asked["count"].to_list() == [4]


def test_a_bar_that_comes_later_is_in_the_bounded_query_of_the_latest(filled):
    query = f"SELECT close * 2 AS c {MINUTES} AND symbol = 'S1' ORDER BY timestamp DESC LIMIT 20"
    (advice,) = advised(filled, query)
    filled.write("S1", "1m", [bar(BARS, 77.0)])
    text = advice.instead.split(": ", 1)[1]
    assert filled.sql(text).equals(filled.sql(query))
