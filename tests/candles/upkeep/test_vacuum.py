"""VACUUM: smaller and in order; stopped, in the way of a read or on a full disk it changes nothing."""

from contextlib import closing

import apsw
import pytest

import mdstore
from mdstore import MaintenanceStoppedError
from mdstore.candles.upkeep import vacuum
from tests.support.fragmented import all_rows, feed, names, thin_out

THEIRS = """
CREATE TABLE candles (
  symbol TEXT NOT NULL, timeframe TEXT NOT NULL, timestamp INTEGER NOT NULL,
  open REAL, high REAL, low REAL, close REAL, volume REAL, PRIMARY KEY (symbol, timeframe, timestamp)
)
"""


def test_the_file_is_smaller_and_in_order(fed, upkeep):
    thin_out(fed)
    rows, pages, size = all_rows(fed.path), upkeep.pages(), fed.path.stat().st_size
    assert pages.free > 10
    assert upkeep.vacuum() > 0
    assert upkeep.pages().free == 0
    assert upkeep.tables(("candles",))[0].in_order > 0.9
    assert fed.path.stat().st_size < size
    assert all_rows(fed.path) == rows
    assert fed.maintenance.check() == []


def test_stopped_in_the_middle_the_file_is_as_it_was(fed, upkeep, monkeypatch):
    monkeypatch.setattr(vacuum, "STEPS", 100)
    thin_out(fed)
    rows, pages = all_rows(fed.path), upkeep.pages()
    for calls in (0, 3, 30):
        left = [calls]

        def stop(left=left):
            left[0] -= 1
            return left[0] < 0

        with pytest.raises(MaintenanceStoppedError, match="VACUUM was stopped; the file is as it was"):
            upkeep.vacuum(stop=stop)
    assert upkeep.pages() == pages
    assert all_rows(fed.path) == rows
    assert fed.maintenance.check() == []


def test_a_long_read_is_seen(fed, upkeep):
    assert upkeep.log_is_free()
    with closing(apsw.Connection(str(fed.path))) as con:
        con.execute("BEGIN")
        con.execute("SELECT count(*) FROM candles").fetchall()
        fed.write("S001", "1m", [(1_756_684_800_000, 1, 1, 1, 1, 1)])
        assert not upkeep.log_is_free()
        con.execute("COMMIT")
    assert upkeep.log_is_free()


def test_what_it_needs_is_measured(fed, upkeep):
    room, pages = upkeep.room(), upkeep.pages()
    assert pages.bytes <= room.needed <= 2 * pages.bytes
    assert room.free > 0
    assert 0 < upkeep.vacuum_seconds() < 60
    assert not [name for _, name in names(fed.path) if name == "sample"]


def test_a_file_of_another_program_can_give_pages_back_afterwards(tmp_path):
    path = tmp_path / "theirs.sqlite3"
    with closing(apsw.Connection(str(path))) as con:
        con.execute(THEIRS)
    with mdstore.open(path) as store:
        feed(store, bars=300)
        thin_out(store)
        upkeep = store.repository.upkeep
        free = upkeep.pages().free
        assert free > 5
        assert upkeep.give_back(5) == 0  # its pages do not say where they belong
        upkeep.vacuum()
        feed(store, bars=300)
        thin_out(store)
        assert upkeep.give_back(5) == 5
        assert store.maintenance.check() == []
