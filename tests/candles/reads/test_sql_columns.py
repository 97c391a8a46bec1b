"""Of a panel that is put together for a query, only the columns that the query can want; every answer is as before."""

import threading

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mdstore
from mdstore.candles.packs import gathered
from mdstore.candles.reads import sql_columns
from tests.support.candles import MINUTE, START, walk
from tests.support.doses import dose

NAMES = [f"S{number:02}" for number in range(12)]
BARS = 30
PLAIN = (
    ("SELECT symbol, count(*) AS bars FROM candles GROUP BY 1 ORDER BY bars, symbol", set()),
    ("SELECT count() FROM candles WHERE timeframe = '1m'", set()),
    ("SELECT DISTINCT ON (symbol) symbol, timeframe FROM candles ORDER BY 1", set()),
    ("SELECT c.symbol, max(C.High) FROM candles AS c GROUP BY ALL ORDER BY 1", {"high"}),
    ('SELECT "CLOSE" * 2 AS x FROM candles WHERE volume > 1 ORDER BY x LIMIT 5', {"close", "volume"}),
    (
        "SELECT a.symbol, count(*) FROM candles a JOIN candles b USING (symbol, timestamp) GROUP BY 1 ORDER BY 1",
        {"timestamp"},
    ),
    (
        "SELECT symbol, last(close ORDER BY timestamp) FROM candles GROUP BY 1 ORDER BY 1",
        {"close", "timestamp"},
    ),
    ("SELECT (SELECT max(high) FROM candles) - min(low) FROM candles", {"high", "low"}),
    (
        "WITH x AS (SELECT symbol, open FROM candles) SELECT symbol, sum(x.open) FROM x GROUP BY 1 ORDER BY 1",
        {"open"},
    ),
    ("SELECT open FROM candles UNION ALL SELECT close FROM candles ORDER BY 1", {"open", "close"}),
    ("SELECT count(*) FILTER (WHERE CASE WHEN low < open THEN true END) FROM candles", {"low", "open"}),
    (
        "SELECT symbol, row_number() OVER (PARTITION BY symbol ORDER BY timestamp) AS n FROM candles ORDER BY ALL",
        None,
    ),
    ("SELECT sum(n) FROM (SELECT row_number() OVER (ORDER BY timestamp) AS n FROM candles)", {"timestamp"}),
)
WIDE = (
    "SELECT * FROM candles ORDER BY ALL",
    "FROM candles ORDER BY symbol, timestamp",
    "SELECT c.* FROM candles c ORDER BY ALL",
    "SELECT c FROM candles c ORDER BY c",
    "SELECT candles FROM candles ORDER BY 1",
    "SELECT count(DISTINCT c) FROM candles c",
    "SELECT max(c['close']) FROM candles c",
    "SELECT unnest(c) FROM candles c ORDER BY ALL",
    "SELECT columns('c.*') FROM candles ORDER BY ALL",
    "SELECT #3 FROM candles ORDER BY 1",
    "SELECT count(*) FROM candles a NATURAL JOIN candles b",
    "SELECT max(f) FROM candles AS c(a, b, c, d, e, f)",
    "SELECT count(*) FROM (FROM candles)",
    "SELECT x.* FROM (SELECT c FROM candles c) AS y(x) ORDER BY ALL",
    "SELECT list_max(list_transform([close], lambda x: x + 1)) FROM candles ORDER BY 1",
    "SUMMARIZE candles",
    "DESCRIBE candles",
    "PIVOT candles ON symbol IN ('S01', 'S02') USING max(close) GROUP BY timestamp ORDER BY 1",
    "SELECT count(*) FROM query_table('candles')",
    "EXPLAIN SELECT symbol FROM candles",
)


def named(name, frame):
    return frame.select(pl.lit(name).alias("symbol"), pl.all())


def bars(number, count=1):
    """Return the next bars of each series."""
    parts = [
        named(name, walk(count, start=START + number * MINUTE, seed=at)) for at, name in enumerate(NAMES)
    ]
    return pl.concat(parts)


class Fed:
    """A store whose candles SQL keeps and lets grow, and one that keeps nothing."""

    def __init__(self, path, memory=1 << 24):
        self.store = mdstore.open(path, memory_bytes=memory)
        self.plain = mdstore.open(path, memory_bytes=0)
        self.store.write_many(bars(0, BARS), timeframe="1m")
        self.number = BARS

    def grow(self):
        self.store.write_many(bars(self.number), timeframe="1m")
        self.number += 1

    def agrees(self, query):
        return self.store.sql(query).equals(self.plain.sql(query))

    def close(self):
        self.store.close()
        self.plain.close()


@pytest.fixture
def fed(tmp_path, monkeypatch):
    monkeypatch.setattr("mdstore.candles.packs.columns.GATHER_ROWS", 100)  # all of them are many
    fed = Fed(tmp_path / "market_data.sqlite3")
    fed.store.sql("SELECT symbol FROM candles LIMIT 1")
    yield fed
    fed.close()


@pytest.fixture
def made(monkeypatch):
    """Return the columns that were put together since."""
    found = []
    column = gathered.Runs.column

    def noted(runs, name, numbers):
        found.append(name)
        return column(runs, name, numbers)

    monkeypatch.setattr(gathered.Runs, "column", noted)
    return found


@pytest.mark.parametrize(("query", "columns"), PLAIN)
def test_a_query_is_given_the_columns_that_it_names(fed, made, query, columns):
    fed.grow()
    made.clear()
    answer = fed.store.sql(query)
    assert set(made) == (columns if columns is not None else set(mdstore.core.schema.CANDLE_COLUMNS))
    assert answer.equals(fed.plain.sql(query))


@pytest.mark.parametrize("query", WIDE)
def test_a_query_that_takes_columns_without_their_names_is_given_all(fed, query):
    fed.store.sql("SELECT symbol FROM candles LIMIT 1")
    fed.grow()
    if query.startswith("EXPLAIN"):
        assert "ARROW_SCAN" in fed.store.sql(query)["explain_value"][0]
    else:
        assert fed.agrees(query)


@settings(max_examples=dose(40))
@given(
    st.lists(
        st.one_of(st.just(None), st.sampled_from([query for query, _ in PLAIN] + list(WIDE[:-1]))),
        min_size=2,
        max_size=8,
    )
)
def test_whichever_columns_were_asked_for_before_answers_are_as_read_anew(tmp_path_factory, steps):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mdstore.candles.packs.columns.GATHER_ROWS", 100)
        fed = Fed(tmp_path_factory.mktemp("sql") / "market_data.sqlite3")
        try:
            for query in steps:
                if query is None:
                    fed.grow()
                else:
                    assert fed.agrees(query)
        finally:
            fed.close()


def test_a_column_that_is_missed_fails_the_query_and_is_never_taken_for_another(fed, monkeypatch):
    monkeypatch.setattr(sql_columns, "named", lambda *_: frozenset())
    fed.grow()
    with pytest.raises(mdstore.QueryError, match="not given"):
        fed.store.sql("SELECT max(close) FROM candles")


def test_a_name_that_is_no_column_is_said_as_ever(fed):
    fed.grow()
    with pytest.raises(mdstore.QueryError) as said:
        fed.store.sql("SELECT symbl, count(*) FROM candles GROUP BY 1")
    with pytest.raises(mdstore.QueryError) as plain:
        fed.plain.sql("SELECT symbl, count(*) FROM candles GROUP BY 1")
    assert str(said.value) == str(plain.value)


def test_candles_are_counted_as_memory_by_the_columns_that_they_hold(fed):
    def held():
        return fed.store.maintenance.stats()["memory_bytes"]

    fed.grow()
    fed.store.sql("SELECT symbol, count(*) FROM candles GROUP BY 1")
    few, rows = held(), len(NAMES) * (BARS + 1)
    fed.store.sql("SELECT max(close) FROM candles")
    assert held() == few + 8 * rows
    fed.store.sql("SELECT * FROM candles")
    assert held() == few + 48 * rows


def test_what_takes_more_than_may_be_kept_grows_none_the_less(tmp_path, monkeypatch):
    monkeypatch.setattr("mdstore.candles.packs.columns.GATHER_ROWS", 100)
    fed = Fed(tmp_path / "market_data.sqlite3", memory=56_000)  # the columns of 372 candles take 18,000
    try:
        fed.store.maintenance.warm()
        for _ in range(3):
            for query in ("SELECT * FROM candles ORDER BY ALL", PLAIN[0][0]):
                assert fed.agrees(query)
            fed.grow()
        assert fed.store.maintenance.stats()["memory_bytes"] <= 56_000
    finally:
        fed.close()


def test_threads_that_ask_for_other_columns_of_the_same_candles_get_them(fed):
    queries = [query for query, _ in PLAIN]
    for _ in range(5):
        fed.grow()
        wanted = {query: fed.plain.sql(query) for query in queries}
        wrong = []

        def ask(some, wanted=wanted, wrong=wrong):
            wrong.extend(query for query in some if not fed.store.sql(query).equals(wanted[query]))

        threads = [threading.Thread(target=ask, args=(queries[at::4],)) for at in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
