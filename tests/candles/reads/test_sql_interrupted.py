"""Ctrl-C at any moment of a query is `KeyboardInterrupt`: in the main thread DuckDB would make an error of it."""

import threading

import pytest

from mdstore.candles.reads.sql_engine import Engine
from tests.support.candles import walk
from tests.support.paths import ROOT

QUIET = {"close", "interrupt"}
"""What of a connection may be called in the main thread: it looks for no signal."""


class Watched:
    """A connection that notes what is asked of it in the main thread, and elsewhere."""

    def __init__(self, connection, here, elsewhere):
        self._connection, self._here, self._elsewhere = connection, here, elsewhere

    def __getattr__(self, name):
        is_main = threading.current_thread() is threading.main_thread()
        (self._here if is_main else self._elsewhere).add(name)
        return getattr(self._connection, name)


def test_duckdb_does_nothing_in_the_main_thread(store, monkeypatch):
    here, elsewhere, query = set(), set(), Engine.query
    monkeypatch.setattr(Engine, "query", lambda engine: Watched(query(engine), here, elsewhere))
    for count in (50, 60):
        store.write("A", "1m", walk(count))
        for name in ("series", "quarantine", "candles", "mine", "tickers"):
            store.sql(f"SELECT count(*) FROM {name}", tables={"mine": {"x": [1]}}, timeout=60)
    store.explain(sql="SELECT * FROM candles WHERE symbol = 'A' AND timeframe = '1m'")
    store.stats()
    assert here <= QUIET
    assert elsewhere >= {"execute", "register", "to_arrow_table"}


@pytest.mark.long
def test_ctrl_c_while_a_query_is_looked_through_is_not_lost(python):
    """12 of 150 were `RuntimeError: Query interrupted`."""
    assert (
        python(
            """
        import os, random, signal, threading, time
        import mdstore
        from tests.support.candles import walk

        store = mdstore.open("market_data.sqlite3")
        store.write("A", "1m", walk(100))

        def text(number):
            values = ",".join(str(random.random()) for _ in range(10_000))
            return f"SELECT count(*) + {number} AS n FROM candles WHERE volume NOT IN ({values})"

        store.sql(text(0))
        began = time.perf_counter()
        store.sql(text(1))
        seconds, ends = time.perf_counter() - began, set()
        for number in range(2, 102):
            query = text(number)
            late = threading.Timer(random.random() * seconds, lambda: os.kill(os.getpid(), signal.SIGINT))
            try:
                late.start()
                store.sql(query)
                late.join()
                time.sleep(1)
            except BaseException as error:
                ends.add(type(error).__name__)
        print(ends, store.sql("SELECT 1 AS one")["one"].to_list())
        """,
            env={"PYTHONPATH": str(ROOT)},
        )
        == "{'KeyboardInterrupt'} [1]"
    )
