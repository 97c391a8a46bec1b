"""Leases: one holder at a time, whoever is killed, frozen, or in another process."""

import os
import signal
import threading

import apsw
import pytest

import mdstore
from mdstore.candles.file import leases
from mdstore.candles.file.leases import Leases
from mdstore.errors import StoreFileError
from tests.support.faults import failing_disk
from tests.support.processes import start

HOLDER = """
    import sys, time, mdstore
    with mdstore.open("s.sqlite3") as store:
        lease = store._candles.leases.take("fetch")
        print(lease is not None, flush=True)
        sys.stdin.read() if sys.argv[1] == "hold" else None
        time.sleep(1_000)
"""


class Timer:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def store(tmp_path):
    with mdstore.open(tmp_path / "s.sqlite3") as store:
        yield store


def held(store, timer=None):
    return Leases(store._candles._database, timer=timer or Timer())


def rows(store):
    with store._candles._database.reading() as con:
        return con.execute("SELECT name, owner, beat FROM leases").fetchall()


def test_a_name_has_one_holder_at_a_time_until_it_is_given_back(store):
    mine, others = held(store), held(store)
    lease = mine.take("fetch A")
    assert lease is not None
    assert others.take("fetch A") is None
    assert mine.take("fetch A") is None  # not even by the same opener: threads share it
    assert others.take("fetch B") is not None
    lease.give_back()
    assert others.take("fetch A") is not None


def test_a_holder_that_says_nothing_is_left_and_one_that_works_is_not(store, monkeypatch):
    monkeypatch.setattr(leases, "_is_gone", lambda owner: False)  # as of another machine
    timer = Timer()
    lease, others = held(store).take("fetch"), held(store, timer)
    for _ in range(5):
        assert others.take("fetch") is None
        timer.now += leases.LEFT_SECONDS - 1
        assert lease.beat()
    assert others.take("fetch") is None
    timer.now += leases.LEFT_SECONDS
    taken = others.take("fetch")
    assert taken is not None
    assert not lease.beat()  # who was frozen so long learns of it
    lease.give_back()  # and takes nothing away
    assert [owner for _, owner, _ in rows(store)] == [taken.owner]


def test_two_who_watch_the_same_dead_holder_do_not_both_get_it(store, monkeypatch):
    monkeypatch.setattr(leases, "_is_gone", lambda owner: True)
    held(store).take("fetch")
    got = []
    barrier = threading.Barrier(8)

    def take():
        barrier.wait()
        got.append(held(store).take("fetch"))

    # From now on whoever has it lives.
    found = rows(store)[0][1]
    monkeypatch.setattr(leases, "_is_gone", lambda owner: owner == found)
    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(one is not None for one in got) == 1


def test_a_process_that_is_killed_leaves_no_lease_behind(store, tmp_path):
    child = start(HOLDER, "sleep", cwd=tmp_path)
    assert child.stdout.readline() == "True\n"
    assert held(store).take("fetch") is None
    os.kill(child.pid, signal.SIGSTOP)  # frozen, not gone
    assert held(store).take("fetch") is None
    child.kill()
    child.wait()
    child.stdout.close()
    assert held(store).take("fetch") is not None


def test_a_process_number_that_came_again_is_not_the_holder(store, monkeypatch):
    lease = held(store).take("fetch")
    numbering, pid, began, token = lease.owner.split(" ")
    assert int(pid) == os.getpid()
    assert not leases._is_gone(lease.owner)
    assert leases._is_gone(f"{numbering} {pid} {int(began) + 1} {token}")
    assert not leases._is_gone(f"elsewhere {pid} {int(began) + 1} {token}")  # another machine's: who knows
    monkeypatch.setattr(leases, "_numbering", lambda: open("/proc/none"))  # noqa: SIM115 - there is none
    assert leases._here() == "- - -"
    assert not leases._is_gone("- - - 123")
    assert not leases._is_gone(lease.owner)


def test_what_is_asked_for_often_is_kept_and_fades(store, monkeypatch):
    from mdstore.candles.file import usage

    candles = store._candles
    assert candles.most_used(5) == []
    assert candles.used({("A", "1m"): 10, ("B", "1d"): 2})
    assert candles.used({("B", "1d"): 30})
    most = candles.most_used(5)
    assert [one[:2] for one in most] == [("B", "1d"), ("A", "1m")]
    assert [one[2] for one in most] == pytest.approx([2 * 0.9 + 30, 10 * 0.9])
    monkeypatch.setattr(usage, "SERIES", 3)
    assert candles.used({(f"S{number}", "1m"): 50 for number in range(10)})
    assert [one[:2] for one in candles.most_used(9)] == [("S0", "1m"), ("S1", "1m"), ("S2", "1m")]
    for _ in range(200):
        candles.used({})
    assert candles.most_used(9) == []
    assert store.maintenance.check() == []


def test_a_file_that_is_busy_takes_no_lease_from_who_is_at_work(tmp_path):
    with mdstore.MarketDataStore(tmp_path / "s.sqlite3", busy_timeout=0.1) as store:
        mine, timer = held(store).take("fetch"), Timer()
        other = apsw.Connection(str(store.path))
        other.execute("BEGIN IMMEDIATE")
        assert mine.beat(), "nobody else could have taken over, nor is it said that anybody has"
        assert held(store, timer).take("fetch B") is None, "it is tried again"
        other.execute("ROLLBACK")
        other.close()
        assert mine.beat()
        others = held(store, timer)
        assert others.take("fetch") is None
        timer.now = leases.LEFT_SECONDS
        assert others.take("fetch") is not None
        assert not mine.beat()


def test_a_lease_that_cannot_be_noted_is_no_lease_of_others(tmp_path):
    with failing_disk() as disk, mdstore.open(tmp_path / "s.sqlite3") as store:
        mine = held(store).take("fetch")
        disk.fail(0, "full", dead=True)
        with pytest.raises(StoreFileError, match="disk is full"):
            held(store).take("fetch B")
        assert mine.beat()
        disk.rest()
        assert held(store).take("fetch B") is not None
        assert mine.beat()
