"""A process that has Polars' pool is told from one that has not, also when the pool is new."""

import threading
import time

import pytest

from mdstore.core import polars_forks

YOUNG = "20000 0 1"
OLD = "9000000 0 9"


@pytest.fixture
def threads(tmp_path, monkeypatch):
    """Return what makes a thread as the system lists it: its name, state and time on a processor (ns)."""
    monkeypatch.setattr(polars_forks, "THREADS", tmp_path)

    def thread(number, name, state, run):
        folder = tmp_path / str(number)
        folder.mkdir(exist_ok=True)
        (folder / "comm").write_text(f"{name}\n")
        (folder / "stat").write_text(f"{number} ({name}) {state} 1 1 1\n")
        (folder / "schedstat").write_text(run)

    return thread


@pytest.mark.parametrize(
    ("name", "state", "run", "is_pool"),
    [
        ("polars-0", "S", OLD, True),
        ("polars-11", "R", YOUNG, True),
        ("python3", "S", YOUNG, False),  # it waits: whatever it is, it has the name that it wanted
        ("python3", "R", OLD, False),
        ("async-executor-0", "S", OLD, False),
    ],
)
def test_threads_of_the_pool_bear_its_name(threads, name, state, run, is_pool):
    threads(1, "python3", "R", OLD)
    threads(2, name, state, run)
    assert polars_forks._has_pool() is is_pool


def test_a_thread_that_has_not_run_yet_is_given_the_time_to_take_a_name(threads):
    threads(2, "python3", "R", YOUNG)
    late = threading.Timer(0.02, threads, [2, "polars-0", "S", OLD])
    late.start()
    assert polars_forks._has_pool()
    late.join()


def test_it_may_be_another_librarys(threads):
    threads(2, "python3", "R", YOUNG)
    late = threading.Timer(0.02, threads, [2, "python3", "S", OLD])
    late.start()
    assert not polars_forks._has_pool()
    late.join()


def test_one_that_never_gets_to_run_is_taken_for_the_pools(threads, monkeypatch):
    monkeypatch.setattr(polars_forks, "PATIENCE_SECONDS", 0.01)
    threads(2, "python3", "R", YOUNG)
    assert polars_forks._has_pool()


def test_the_thread_that_forks_is_none_however_young(threads):
    def fork():
        threads(threading.get_native_id(), "python3", "R", YOUNG)
        began = time.monotonic()
        found.append((polars_forks._has_pool(), time.monotonic() - began < polars_forks.PATIENCE_SECONDS))

    found = []
    forker = threading.Thread(target=fork)
    forker.start()
    forker.join()
    assert found == [(False, True)]


def test_a_system_that_lists_no_threads_says_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(polars_forks, "THREADS", tmp_path / "none")
    assert not polars_forks._has_pool()
