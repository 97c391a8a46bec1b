"""The next piece of a write is worked on in a thread, which ends with the write however that ends."""

import os
import threading
from contextlib import closing

import polars as pl
import pytest

import mdstore
from mdstore import ValidationError
from mdstore.core import inputs
from mdstore.store import ahead as ahead_module
from mdstore.store import writing
from mdstore.store.ahead import ahead
from tests.support.ahead import threads, two_cores  # noqa: F401 - a fixture for each test
from tests.support.candles import walk
from tests.support.interrupts import interrupted
from tests.support.processes import start

CHUNK = 500


@pytest.fixture
def small(monkeypatch):
    """Small chunks, each worth a thread."""
    monkeypatch.setattr(inputs, "CHUNK", CHUNK)
    monkeypatch.setattr(writing, "AHEAD_ROWS", 1)


def in_threads(pieces, work):
    return ahead(pieces, work, lambda _: True, at_hand=True)


def test_all_comes_in_order_whatever_a_piece_makes():
    made = list(in_threads(range(50), lambda n: [n] * (n % 3)))
    assert made == [n for n in range(50) for _ in range(n % 3)]
    assert not threads()


def test_the_next_piece_is_worked_on_while_the_last_is_used():
    began = threading.Event()

    def work(number):
        if number == 1:
            began.set()
        return [number]

    chunks = in_threads(iter(range(3)), work)
    assert next(chunks) == 0
    assert began.wait(10)  # though nobody has asked for it
    assert list(chunks) == [1, 2]


def test_pieces_are_taken_in_the_callers_thread_and_worked_on_in_one_after_the_other():
    taken, worked = [], []

    def pieces():
        for number in range(5):
            taken.append(threading.get_ident())
            yield number

    def work(number):
        worked.append((number, threading.get_ident()))
        return [number]

    assert list(in_threads(pieces(), work)) == list(range(5))
    assert set(taken) == {threading.get_ident()}
    assert [number for number, _ in worked] == list(range(5))
    assert any(thread != threading.get_ident() for _, thread in worked)


def test_an_error_comes_where_the_piece_would_have_come():
    def work(number):
        if number == 2:
            raise ValueError("two")
        return [number]

    seen = []
    with pytest.raises(ValueError, match="two"):
        seen += in_threads(range(5), work)
    chunks = in_threads(range(5), work)
    assert [next(chunks), next(chunks)] == [0, 1]
    with pytest.raises(ValueError, match="two"):
        next(chunks)
    assert not threads()


def test_what_came_before_data_that_fails_is_given_first():
    def pieces():
        yield from range(3)
        raise OSError("gone")

    chunks = in_threads(pieces(), lambda n: [n])
    assert [next(chunks) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="gone"):
        next(chunks)


def test_a_thread_has_ended_once_the_iterator_is_closed():
    release = threading.Event()

    def work(number):
        if number:
            release.wait(10)
        return [number]

    with closing(in_threads(range(5), work)) as chunks:
        next(chunks)
        assert len(threads()) == 1
        release.set()
    assert not threads()


def test_ctrl_c_while_the_thread_is_waited_for_leaves_none_at_work():
    release, worked = threading.Event(), []

    def work(number):
        if number:
            release.wait(10)
        worked.append(number)
        return [number]

    def use():
        chunks = in_threads(range(5), work)
        next(chunks)
        threading.Timer(0.4, release.set).start()
        chunks.close()

    with pytest.raises(KeyboardInterrupt):
        interrupted(0.1, use)
    assert worked == [0, 1]
    assert not threads()


def test_on_one_core_no_thread_is_started(monkeypatch):
    monkeypatch.setattr(ahead_module, "_cores", lambda: 1)
    used = set()

    def work(number):
        used.add(threading.get_ident())
        return [number]

    assert list(in_threads(range(5), work)) == list(range(5))
    assert used == {threading.get_ident()}


def test_where_no_more_threads_may_be_the_caller_works(monkeypatch):
    def refuse(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert list(in_threads(range(5), lambda n: [n])) == list(range(5))


def test_a_thread_that_is_ended_before_it_works_loses_no_piece(monkeypatch):
    monkeypatch.setattr(ahead_module._Made, "run", lambda self: None)
    assert list(in_threads(range(5), lambda n: [n])) == list(range(5))


def test_a_long_frame_is_stored_as_without_a_thread(tmp_path, small, monkeypatch):
    rows = pl.concat(
        walk(bars, seed=at).with_columns(symbol=pl.lit(name))
        for at, (name, bars) in enumerate((("A", 1_700), ("B", 40), ("C", 900), ("D", 1)))
    )
    with mdstore.open(tmp_path / "ahead.sqlite3") as store, mdstore.open(tmp_path / "one.sqlite3") as one:
        result = store.write_many(rows, timeframe="1m")
        monkeypatch.setattr(ahead_module, "_cores", lambda: 1)
        assert result == one.write_many(rows, timeframe="1m")
        assert store.candles(None, "1m").equals(one.candles(None, "1m"))
        assert store.maintenance.check() == []
    assert not threads()


def test_a_bad_row_in_a_later_chunk_leaves_nothing_and_no_thread(tmp_path, small):
    rows = walk(2_000).with_columns(
        pl.when(pl.int_range(pl.len()) == 1_300).then(-1.0).otherwise("volume").alias("volume")
    )
    with mdstore.open(tmp_path / "s.sqlite3") as store:
        with pytest.raises(ValidationError) as caught:
            store.write("A", "1m", rows)
        assert (caught.value.row, caught.value.column) == (1_300, "volume")
        assert not threads()
        assert store.series().height == 0


def test_ctrl_c_while_a_chunk_is_written_leaves_nothing_and_no_thread(tmp_path, small):
    def interrupt(_):
        raise KeyboardInterrupt

    with mdstore.open(tmp_path / "s.sqlite3") as store:
        with pytest.raises(KeyboardInterrupt):
            store.write("A", "1m", walk(3_000), progress=interrupt)
        assert not threads()
        assert store.series().height == 0
        assert store.write("A", "1m", walk(3_000)).inserted == 3_000
        assert store.maintenance.check() == []


def test_another_thread_may_write_and_read_meanwhile(tmp_path, small):
    with mdstore.open(tmp_path / "s.sqlite3") as store:

        def work(name):
            assert store.write(name, "1m", walk(2_600)).inserted == 2_600

        workers = [threading.Thread(target=work, args=(name,)) for name in "ABC"]
        for one in workers:
            one.start()
        for one in workers:
            one.join()
        assert store.candles(None, "1m").height == 3 * 2_600
        assert store.maintenance.check() == []


def test_data_of_a_users_code_is_not_taken_before_the_transaction(tmp_path, small):
    """The second table is asked for inside of it, where a write is refused."""
    with mdstore.open(tmp_path / "s.sqlite3") as store:

        def tables():
            yield walk(CHUNK)
            store.write("B", "1m", walk(3))

        with pytest.raises(mdstore.InvalidInputError, match="inside a read or write"):
            store.write("A", "1m", tables())
        assert store.series().height == 0


FORK = """
    import os, threading
    import mdstore
    from mdstore.core import inputs
    from mdstore.store import ahead, writing
    from tests.support.candles import walk

    inputs.CHUNK, writing.AHEAD_ROWS, ahead._cores = 500, 1, lambda: 2
    with mdstore.open("s.sqlite3") as store:
        forked = []

        def fork(rows):
            if rows == 1_500:
                child = os.fork()
                if child == 0:
                    os._exit(7)
                forked.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

        assert store.write("A", "1m", walk(4_000), progress=fork).inserted == 4_000
        assert forked == [7], forked
        assert store.candles("A", "1m").height == 4_000
        assert store.maintenance.check() == []
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_inside_a_write_ends_and_so_does_the_write(tmp_path):
    with start(FORK, cwd=tmp_path) as process:
        assert process.wait(60) == 0
