"""Upkeep by itself: one at a time, stopped at close, started by nothing but a word."""

import signal
import threading

import pytest

import mdstore
from mdstore import InvalidInputError, ReadOnlyError
from mdstore.optimization.maintainer import Maintainer
from mdstore.optimization.vacuum import Limits, SmartVacuumScheduler
from tests.support.candles import walk
from tests.support.fragmented import feed, thin_out
from tests.support.processes import start
from tests.support.waiting import until

SMALL = Limits(free_pages=10, table_pages=10, in_order=0.95)
NIGHT = 1_772_506_800.0  # 2026-03-03T03:00Z


def threads():
    return [one.name for one in threading.enumerate() if one.name == "mdstore-maintenance"]


def test_nothing_starts_unless_it_is_said(tmp_path):
    with mdstore.open(tmp_path / "a.sqlite3") as store:
        assert threads() == []
        assert not store.maintenance.is_running
    with mdstore.open(tmp_path / "a.sqlite3", maintenance="auto") as store:
        assert store.maintenance.is_running
        store.maintenance.stop()
        assert threads() == []
        store.maintenance.start(every=0.01)
        until(lambda: store.maintenance._maintainer.rounds > 3)
        store.maintenance.start(quiet_hours=None, every=0.01)  # begins anew
        assert len(threads()) == 1
    assert threads() == []


def test_what_is_neither_auto_nor_nothing_is_refused(tmp_path):
    with pytest.raises(
        InvalidInputError, match=r"maintenance='always' is neither 'auto' nor None.*takes hours"
    ):
        mdstore.open(tmp_path / "a.sqlite3", maintenance="always")
    assert not (tmp_path / "a.sqlite3").exists()


def test_hours_and_zones_that_are_none_are_refused(store):
    for options in ({"quiet_hours": "night"}, {"tz": "Mars"}, {"every": 0}, {"every": "often"}):
        with pytest.raises(InvalidInputError):
            store.maintenance.start(**options)
    assert not store.maintenance.is_running


def test_a_file_that_is_only_read_cannot_be_looked_after(store):
    store.write("A", "1m", walk(5))
    with mdstore.open(store.path, read_only=True) as reader, pytest.raises(ReadOnlyError):
        reader.maintenance.start()
    with pytest.raises(ReadOnlyError):
        mdstore.open(store.path, read_only=True, maintenance="auto")
    with mdstore.open(store.path):
        pass  # it was left open by nobody


def test_in_the_quiet_hours_a_round_does_what_is_needed_and_the_next_nothing(store, clock):
    feed(store)
    thin_out(store)
    keeper = Maintainer(store, SmartVacuumScheduler(store, limits=SMALL))
    done = keeper.look()
    assert done == (keeper_text(store), "statistics brought up to date")
    assert keeper.look() == ()
    clock.now = NIGHT + 86_400
    assert keeper.look() == (keeper_done(store),)
    assert keeper.look() == ()
    measured = store.repository.upkeep.last("measured")
    assert measured["free"] < measured["pages"] // 20
    assert store.maintenance.check() == []


def keeper_text(store):
    return f"{store.repository.upkeep.last('incremental')['pages']:,} free pages given back"


def keeper_done(store):
    return f"VACUUM, in which nobody else wrote for {store.repository.upkeep.last('vacuum')['seconds']:.2f} s"


def test_another_that_is_at_it_is_no_error_and_the_next_round_comes(store):
    feed(store, series=4)
    keeper = Maintainer(store, every=0.01)
    other = mdstore.open(store.path)
    with other:
        with other.repository.upkeep.holding():
            keeper.start()
            until(lambda: "another thread or process is at its upkeep" in keeper.trouble)
        until(lambda: keeper.trouble == "")
        keeper.stop()
    assert store.repository.upkeep.last("measured")


def test_a_killed_maintainer_leaves_no_lease_behind(store, tmp_path):
    script = """
        import sys, time, mdstore
        with mdstore.open(sys.argv[1]) as store, store.repository.upkeep.holding():
            print("held", flush=True)
            time.sleep(1_000)
    """
    feed(store, series=4)
    with start(script, str(store.path), cwd=tmp_path) as child:
        assert child.stdout.readline() == "held\n"
        keeper = Maintainer(store)
        with pytest.raises(mdstore.StoreBusyError):
            keeper.look()
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert keeper.look()


def test_closing_ends_the_work_in_the_middle(tmp_path, clock, monkeypatch):
    """Within a second; here: between two steps."""
    from mdstore.candles.upkeep import rebuild

    monkeypatch.setattr(rebuild, "MOST_ROWS", 500)
    store = mdstore.MarketDataStore(tmp_path / "a.sqlite3", clock=clock)
    feed(store, bars=1_000, at_once=50)
    clock.now = NIGHT + 86_400
    limits = Limits(table_pages=10, stop_seconds=0.0)
    keeper = Maintainer(store, SmartVacuumScheduler(store, limits=limits), every=0.01)
    store.maintenance._maintainer = keeper
    keeper.start()
    until(lambda: rebuild.is_left(store.repository._database))
    store.close()
    assert threads() == []
    with mdstore.open(tmp_path / "a.sqlite3") as store:
        assert store.maintenance.check() == []
        assert store.repository.upkeep.last("rebuild") is None


def test_trouble_is_logged_and_looked_past(store, monkeypatch, caplog):
    feed(store, series=2)
    keeper = Maintainer(store, every=0.01)

    def fails():
        raise mdstore.StoreFileError("the disk is full")

    monkeypatch.setattr(store.repository.upkeep, "rows", fails)
    keeper.start()
    until(lambda: keeper.rounds > 1)
    monkeypatch.undo()
    until(lambda: keeper.trouble == "")
    keeper.stop()
    assert "the disk is full" in caplog.text
