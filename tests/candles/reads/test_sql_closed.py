"""A store that is closed while queries of other threads are under way: they are told so, whatever DuckDB says."""

import threading

import pytest

from mdstore import StoreClosedError
from mdstore.candles.reads import sql, sql_running
from tests.support.candles import walk

COUNT = "SELECT count(*) AS n FROM candles"


def closing_before(monkeypatch, module, name, store):
    """Have the store closed just before a function is called."""
    original = getattr(module, name)

    def called(*args):
        store.close()
        return original(*args)

    monkeypatch.setattr(module, name, called)


@pytest.mark.parametrize(
    ("module", "name"), [(sql, "answered"), (sql, "_register"), (sql_running, "refuse_types")]
)
def test_whoever_is_in_the_middle_of_a_query_is_told(store, monkeypatch, module, name):
    store.write("A", "1m", walk(10))
    query = "SELECT count(*) AS n FROM candles, series"  # which is registered for each query
    assert store.sql(query)["n"].to_list() == [10]
    closing_before(monkeypatch, module, name, store)
    with pytest.raises(StoreClosedError):
        store.sql(query)


def test_threads_that_query_without_end_are_told(store):
    store.write("A", "1m", walk(1_000))
    ends = []

    def ask():
        try:
            while True:
                store.sql("SELECT count(*) FROM candles a, candles b WHERE a.open < b.close")
        except Exception as error:
            ends.append(type(error))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    store.sql(COUNT)
    store.close()
    for thread in threads:
        thread.join()
    assert ends == [StoreClosedError] * 4


def test_a_closed_store_starts_no_duckdb(store):
    store.close()
    with pytest.raises(StoreClosedError):
        store.sql(COUNT)
    assert store._candles.queries._engine is None
