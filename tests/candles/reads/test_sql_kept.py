"""What queries of an unchanged store share: candles, connections, the look at a text; and the newest bars alone."""

import os
import threading

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mdstore
from mdstore.candles.reads import sql_parse
from mdstore.candles.reads.sql_candles import CONNECTION_BYTES
from tests.support.candles import walk
from tests.support.doses import dose

NEWEST = "SELECT {columns} FROM candles WHERE {where} ORDER BY timestamp DESC LIMIT {limit}"
ONE = "symbol = 'B' AND timeframe = '1m'"


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    with mdstore.open(tmp_path_factory.mktemp("sql") / "market_data.sqlite3") as store:
        for seed, symbol in enumerate("ABC"):
            store.write(symbol, "1m", walk(600, seed=seed))
        store.write("B", "1h", walk(600, seed=9, step=3_600_000))
        yield store


def read(store, query):
    return store.explain(sql=query).reason


# ---- the newest bars


@pytest.mark.parametrize(
    "query",
    [
        NEWEST.format(columns="*", where=ONE, limit=10),
        NEWEST.format(columns="close, timestamp AS t", where=ONE, limit="6 OFFSET 4"),
        NEWEST.format(columns="c.close", where="'B' = symbol AND c.timeframe IN ('1m')", limit=10).replace(
            "FROM candles", "FROM candles AS c"
        ),
    ],
)
def test_of_one_series_the_newest_bars_are_enough(full, query):
    assert read(full, query) == "given 14 1m candles"
    assert full.sql(query).equals(full.sql(query.replace("LIMIT", "NULLS LAST, close LIMIT")))


@pytest.mark.parametrize(
    "query",
    [
        NEWEST.format(columns="close AS timestamp", where=ONE, limit=10),
        NEWEST.format(columns="* REPLACE (-close AS timestamp)", where=ONE, limit=10),
        NEWEST.format(columns="* RENAME (close AS timestamp, timestamp AS t)", where=ONE, limit=10),
        NEWEST.format(columns="max(close) OVER () AS m", where=ONE, limit=10),
        NEWEST.format(columns="DISTINCT close > 100 AS up, timestamp", where=ONE, limit=10),
        NEWEST.format(columns="*", where=f"{ONE} AND close > 100", limit=10),
        NEWEST.format(columns="*", where=f"{ONE} AND timestamp BETWEEN '2025-09-01' AND now()", limit=10),
        NEWEST.format(columns="*", where=f"{ONE} AND timestamp <> '2025-09-01 09:59:00'", limit=10),
        NEWEST.format(columns="*", where="timeframe = '1m'", limit=10),
        NEWEST.format(columns="*", where="symbol = 'B'", limit=10),
        NEWEST.format(columns="*", where=ONE, limit="10%"),
        NEWEST.format(columns="*", where=ONE, limit="(SELECT 10)"),
        NEWEST.format(columns="*", where=ONE, limit=10).replace("DESC", "ASC"),
        NEWEST.format(columns="*", where=ONE, limit=10).replace("timestamp DESC", "close, timestamp DESC"),
        NEWEST.format(columns="*", where=ONE, limit=10).replace(
            "ORDER", "QUALIFY row_number() OVER () > 5 ORDER"
        ),
        NEWEST.format(columns="*", where=ONE, limit=10).replace(
            "FROM candles", "FROM candles AS c(symbol, timeframe, timestamp)"
        ),
        f"SELECT count(*) FROM ({NEWEST.format(columns='*', where=ONE, limit=10)})",
        f"WITH c AS (FROM candles) {NEWEST.format(columns='*', where=ONE, limit=10)}",
    ],
)
def test_of_whatever_else_is_asked_all_bars_within_bounds_are_given(full, query, monkeypatch):
    assert read(full, query) not in {"given 14 1m candles", "given 10 1m candles"}
    answer = full.sql(query)
    monkeypatch.setattr(sql_parse, "_bounds", lambda *_: None)
    assert answer.equals(full.sql(f"{query} -- again"))


bounds = st.lists(
    st.tuples(
        st.sampled_from(("<", "<=", ">", ">=", "=")), st.integers(-2, 602), st.sampled_from((0, 1, 30_000))
    ),
    max_size=3,
)


@settings(max_examples=dose(150))
@given(bounds=bounds, limit=st.integers(0, 20), offset=st.integers(0, 5))
def test_bounds_at_bars_and_beside_them_leave_the_same_newest_bars(full, bounds, limit, offset):
    start = full.candles("B", "1m")["timestamp"].dt.epoch("ms")[0]
    times = [
        f"timestamp {sign} '{pl.select(pl.lit(start + at * 60_000 + beside).cast(pl.Datetime('ms'))).item()}'"
        for sign, at, beside in bounds
    ]
    where = " AND ".join((ONE, *times))
    query = NEWEST.format(columns="*", where=where, limit=f"{limit} OFFSET {offset}")
    assert full.sql(query).equals(full.sql(query.replace("timestamp DESC", "timestamp DESC, close")))


# ---- what is kept


def test_an_unchanged_store_gives_a_query_what_it_gave_before(full):
    query = "SELECT symbol, sum(close) AS s FROM candles WHERE timeframe = '1m' GROUP BY 1 ORDER BY 1"
    first = full.sql(query)
    before = full.maintenance.stats()["memory_hits"]
    assert full.sql(query).equals(first)
    assert full.maintenance.stats()["memory_hits"] > before


def test_whatever_changes_the_store_is_seen(store):
    query = "SELECT * FROM candles ORDER BY ALL"

    def agrees():
        return store.sql(query).drop("symbol", "timeframe").equals(store.candles("A", "1m"))

    store.write("A", "1m", walk(50))
    assert agrees()
    store.write("A", "1m", walk(50, seed=3))
    assert agrees()
    store.write("A", "1m", walk(80, seed=3))
    assert agrees()
    store.delete("A", "1m", end="2025-09-01T00:10")
    assert agrees()
    assert store.sql(query)["symbol"].to_list() == ["A"] * 70
    store.rename("A", "B")
    assert store.sql(query)["symbol"].to_list() == ["B"] * 70
    store.declare("value", resample="sum")
    assert store.sql(query).columns[-1] == "value"
    store.maintenance.warm(rebuild=True)
    assert len(store.sql(query)) == 70


def test_what_another_process_writes_is_seen(store, python):
    store.write("A", "1m", walk(50))
    assert store.sql("SELECT count(*) FROM candles").item() == 50
    python(
        """
        import sys
        import mdstore
        with mdstore.open(sys.argv[1]) as store:
            store.delete("A", "1m", end="2025-09-01T00:10")
        """,
        store.path,
    )
    assert store.sql("SELECT count(*) FROM candles").item() == 40


def test_what_one_query_makes_the_next_does_not_see(full):
    wide = full.sql("PIVOT (SELECT timestamp, symbol, close FROM candles) ON symbol USING first(close)")
    assert wide.columns == ["timestamp", "A", "B", "C"]
    mine = pl.DataFrame({"x": [1, 2]})
    assert full.sql("FROM mine", tables={"mine": mine}).equals(mine)
    assert full.sql("FROM mine", tables={"mine": mine * 2}).equals(mine * 2)
    with pytest.raises(mdstore.QueryError, match="there is no table mine"):
        full.sql("FROM mine")
    with pytest.raises(mdstore.QueryError):
        full.sql("SELECT error('no') FROM candles")
    assert full.sql("SELECT count(*) FROM series").item() == 4


def test_threads_that_ask_the_same_get_the_same(full):
    query = "SELECT symbol, timeframe, sum(close) AS s FROM candles GROUP BY ALL ORDER BY ALL"
    answers, wanted = [], full.sql(query)

    def ask():
        answers.extend(full.sql(query) for _ in range(20))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 80
    assert all(answer.equals(wanted) for answer in answers)


def test_without_memory_nothing_is_kept_and_answers_are_the_same(tmp_path, full):
    with mdstore.open(tmp_path / "s.sqlite3", memory_bytes=0) as store:
        store.write("B", "1m", walk(600, seed=1))
        for _ in range(3):
            query = NEWEST.format(columns="*", where=ONE, limit=10)
            assert store.sql(query).equals(full.sql(query))


def test_connections_that_are_kept_are_counted_as_memory(tmp_path):
    with mdstore.open(tmp_path / "s.sqlite3", memory_bytes=1_000_000) as store:
        store.write("B", "1m", walk(600))
        for limit in range(100):
            store.sql(NEWEST.format(columns="*", where=ONE, limit=limit))
        stats = store.maintenance.stats()
        assert 1 < stats["memory_entries"] <= 1_000_000 // CONNECTION_BYTES + 1
        assert stats["memory_bytes"] <= 1_000_000


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_asks_by_a_duckdb_of_its_own(python, tmp_path):
    out = python(
        """
        import os, sys
        import mdstore
        from mdstore.errors import ForkedError
        from tests.support.candles import walk

        store = mdstore.open(sys.argv[1])
        store.write("A", "1m", walk(50))
        query = "SELECT count(*) AS n FROM candles"
        wanted = store.sql(query)["n"][0]
        child = os.fork()
        if not child:
            try:
                table, _ = store._candles.sql(query)
                os._exit(0 if table.column(0)[0].as_py() == wanted else 1)
            except ForkedError:
                os._exit(0)
        status = os.waitpid(child, 0)[1]
        print(status, store.sql(query)["n"][0])
        """,
        tmp_path / "s.sqlite3",
    )
    assert out == "0 50"
