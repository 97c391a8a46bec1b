"""Ctrl-C at any moment of a query is `KeyboardInterrupt`: in the main thread DuckDB would make an error of it."""

import threading

import pytest

from mdstore.candles.reads import sql_running
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


def test_ctrl_c_while_duckdb_is_imported_is_no_error_of_the_import(python):
    """Of 60 presses in the first 0.35 s five were `ImportError`, and after one DuckDB could not be had."""
    assert (
        python(
            """
        import signal, sys
        import mdstore

        class Pressing:
            def find_spec(self, name, *_):
                if name == "_duckdb" and self in sys.meta_path:
                    sys.meta_path.remove(self)
                    signal.raise_signal(signal.SIGINT)

        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.meta_path.insert(0, Pressing())
        store = mdstore.open("market_data.sqlite3")
        try:
            store.sql("SELECT 1")
        except KeyboardInterrupt:
            print("_duckdb" in sys.modules, store.sql("SELECT 1 AS one")["one"].to_list())
        """
        )
        == "True [1]"
    )


@pytest.fixture
def late(monkeypatch):
    """Return the threads that have not begun when Ctrl-C is pressed: all that are started."""
    threads = []

    def start(thread):
        threads.append(thread)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", start)
    return threads


def test_what_has_not_begun_when_ctrl_c_is_pressed_is_not_done(late):
    """It would be done on a connection that is closed meanwhile, or as Python exits."""
    done, here = [], set()
    connection = Watched(None, here, here)
    with pytest.raises(KeyboardInterrupt):
        sql_running.apart(lambda: done.append("apart"))
    with pytest.raises(KeyboardInterrupt):
        sql_running.answered(connection, "SELECT 1", None, sql_running.Deadline.of(None))
    for thread in late:
        thread.run()
    assert (done, here, len(late)) == ([], set(), 2)
    assert sql_running.left_behind() == []


def test_a_signal_handler_may_close_the_store_while_duckdb_starts(python):
    """It waited for ever for a lock that the query held which it had interrupted."""
    assert (
        python(
            """
        import signal
        import mdstore
        from mdstore.candles.reads import sql_engine

        store, share = mdstore.open("market_data.sqlite3"), sql_engine._share

        def closing(connection):
            signal.raise_signal(signal.SIGTERM)
            return share(connection)

        sql_engine._share = closing
        signal.signal(signal.SIGTERM, lambda *_: store.close())
        try:
            store.sql("SELECT 1")
        except mdstore.StoreClosedError:
            print("closed")
        """
        )
        == "closed"
    )
