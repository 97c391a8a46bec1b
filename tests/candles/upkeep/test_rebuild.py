"""A rebuild in the order of the key: nothing changes but where rows lie, whoever writes meanwhile."""

import random
import shutil
import subprocess
import sys
import threading
from contextlib import closing, suppress

import apsw
import pytest

import mdstore
from mdstore import InvalidInputError, MaintenanceStoppedError, StoreBusyError, StoreFileError
from mdstore.candles.upkeep import rebuild
from tests.support.fragmented import SERIES, all_rows, bar, feed, names

ORDER = 0.9


def in_order(store):
    return store.repository.upkeep.tables(("candles",))[0].in_order


def between_steps(work):
    """Return what does something between the steps of a rebuild, and never stops it."""

    def stop():
        work()
        return False

    return stop


@pytest.fixture
def small_steps(monkeypatch):
    monkeypatch.setattr(rebuild, "ROWS_PER_STEP", 100)
    monkeypatch.setattr(rebuild, "MOST_ROWS", 500)


def test_leaves_lie_in_the_order_of_the_key_and_nothing_else_changes(fed, upkeep):
    before, schema, frame = all_rows(fed.path), names(fed.path), fed.candles(None, "1m")
    revision = fed.repository.revision()
    assert in_order(fed) < 0.5
    assert upkeep.rebuild("candles") == len(before)
    assert in_order(fed) > ORDER
    assert all_rows(fed.path) == before
    assert names(fed.path) == schema
    assert fed.repository.revision() == revision
    shutil.rmtree(fed.packs_path)
    fed.repository._memory.clear()
    assert fed.candles(None, "1m").equals(frame)
    assert fed.maintenance.check() == []
    pages = upkeep.pages()
    assert pages.free > pages.count // 3  # the pages it had, for candles to come


def test_what_is_written_meanwhile_is_there_whatever_it_is(fed, upkeep, small_steps):
    chance = random.Random(7)
    steps = 0

    def write():
        nonlocal steps
        steps += 1
        symbol, number = f"S{chance.randrange(SERIES):03d}", chance.randrange(590)
        kind = chance.randrange(4)
        if kind == 0:
            fed.delete(symbol, "1m", start=bar(number)[0], end=bar(number + 5)[0])
        elif kind == 1:
            fed.write(f"N{chance.randrange(5)}", "1m", [bar(chance.randrange(900))])
        else:
            fed.write(symbol, "1m", [bar(number + i, float(steps)) for i in range(chance.randrange(1, 9))])

    expected = {}
    upkeep.rebuild("candles", stop=between_steps(write))
    assert steps > 20
    assert fed.maintenance.check() == []
    for symbol in {symbol for symbol, _ in fed}:
        expected[symbol] = fed.candles(symbol, "1m").rows()
    shutil.rmtree(fed.packs_path)
    fed.repository._memory.clear()
    assert {symbol: fed.candles(symbol, "1m").rows() for symbol in expected} == expected
    assert fed.maintenance.check() == []


def test_many_changes_are_caught_up_with_before_the_exchange(fed, upkeep, small_steps):
    left = [900]

    def write():
        if left[0]:
            left[0] -= 300
            fed.write("S003", "1m", [bar(number, 9.0 + left[0]) for number in range(300)])

    upkeep.rebuild("candles", stop=between_steps(write))
    assert set(fed.candles("S003", "1m", limit=600)["open"][:300]) == {9.0}
    assert fed.maintenance.check() == []


def test_a_table_that_is_changed_more_quickly_than_it_is_copied_is_left_alone(fed, upkeep, monkeypatch):
    monkeypatch.setattr(rebuild, "FEW", -1)
    monkeypatch.setattr(rebuild, "ROUNDS", 3)
    before = all_rows(fed.path)
    with pytest.raises(MaintenanceStoppedError, match=r"changed more quickly.*Hint: try again when less"):
        upkeep.rebuild("candles")
    assert all_rows(fed.path) == before
    assert [name for _, name in names(fed.path) if "rebuild" in name] == []
    monkeypatch.undo()
    upkeep.rebuild("candles")
    assert in_order(fed) > ORDER


def test_another_program_that_writes_meanwhile_loses_nothing_and_keeps_its_things(fed, upkeep, small_steps):
    """Its index, its trigger and its view are of the table that has taken the other's place."""
    con = apsw.Connection(str(fed.path))
    con.set_busy_timeout(5000)
    con.execute("CREATE INDEX mine ON candles (timestamp, close)")
    con.execute("CREATE VIEW seen AS SELECT count(*) AS n FROM candles")
    con.execute("CREATE TABLE log (t INTEGER)")
    con.execute(
        "CREATE TRIGGER tell AFTER DELETE ON candles BEGIN INSERT INTO log VALUES (old.timestamp); END"
    )
    calls = [0]

    def write():
        calls[0] += 1
        number = calls[0]
        con.execute("INSERT OR REPLACE INTO candles VALUES ('F', '1m', ?, 1, 1, 1, 1, ?)", (number, number))
        con.execute("UPDATE candles SET volume = ? WHERE symbol = 'S001' AND open > 240", (number,))
        con.execute(
            "UPDATE OR REPLACE candles SET symbol = 'G' WHERE symbol = 'F' AND timestamp = ?", (number - 1,)
        )
        con.execute("DELETE FROM candles WHERE symbol = 'S002' AND timestamp < ?", (bar(number)[0],))

    with closing(con):
        upkeep.rebuild("candles", stop=between_steps(write))
        done = calls[0]
        assert done > 20
        assert con.execute(
            "SELECT count(*), max(volume) FROM candles WHERE symbol IN ('F', 'G')"
        ).fetchall() == [(done, done)]
        assert con.execute(
            "SELECT DISTINCT volume FROM candles WHERE symbol = 'S001' AND open > 240"
        ).fetchall() == [(done,)]
        assert con.execute("SELECT count(*) FROM candles WHERE symbol = 'S002'").get == 600 - done
        assert con.execute("SELECT n FROM seen").get == con.execute("SELECT count(*) FROM candles").get
        assert con.execute("SELECT count(*) FROM log").get == done
        by_index = con.execute("SELECT count(close) FROM candles INDEXED BY mine WHERE timestamp > 0").get
        assert by_index == con.execute("SELECT count(close) FROM candles WHERE timestamp + 0 > 0").get
        assert con.pragma("integrity_check") == "ok"


def test_other_processes_go_on(fed, upkeep, small_steps):
    """One reads and one writes with no error, and what it was told is written is there."""
    script = """
import sys, mdstore
from tests.support.fragmented import bar
with mdstore.open(sys.argv[1]) as store:
    number = 0
    print("ready", flush=True)
    for line in sys.stdin:
        store.write("W", "1m", [bar(number, float(number + 2))])
        assert len(store.candles(None, "1m")) > number
        number += 1
        print(number, flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(fed.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout.readline() == "ready\n"
        done = []

        def write():
            other.stdin.write("\n")
            other.stdin.flush()
            done.append(int(other.stdout.readline()))

        upkeep.rebuild("candles", stop=between_steps(write))
        other.stdin.close()
        assert other.wait() == 0
    assert done == list(range(1, len(done) + 1))
    assert len(done) > 20
    assert fed.candles("W", "1m")["open"].to_list() == [float(number + 2) for number in range(len(done))]
    assert fed.maintenance.check() == []


def test_a_read_that_began_before_sees_its_own_moment_to_the_end(fed, upkeep):
    before = all_rows(fed.path)
    with fed.repository._database.reading() as con:
        assert con.execute("SELECT count(*) FROM candles").get == len(before)
        worker = threading.Thread(target=upkeep.rebuild, args=("candles",))
        worker.start()
        worker.join()
        rows = con.execute("SELECT * FROM candles ORDER BY symbol, timeframe, timestamp").fetchall()
        assert rows == before
    assert in_order(fed) > ORDER


def test_stopped_at_any_step_all_is_as_before(fed, upkeep, small_steps):
    before, schema = all_rows(fed.path), names(fed.path)
    for steps in (0, 1, 7, 15):
        left = [steps]

        def stop(left=left):
            left[0] -= 1
            return left[0] < 0

        with pytest.raises(MaintenanceStoppedError, match="was stopped; it can begin again"):
            upkeep.rebuild("candles", stop=stop)
        assert [name for kind, name in names(fed.path) if kind == "trigger"] == []
        fed.write("S000", "1m", [bar(3, before[3][3])])
    assert all_rows(fed.path)[700:] == before[700:]
    upkeep.rebuild("candles")
    assert names(fed.path) == schema
    assert fed.maintenance.check() == []


def test_what_is_altered_meanwhile_is_not_replaced(fed, upkeep):
    def alter():
        with closing(apsw.Connection(str(fed.path))) as con, con:
            if con.execute("SELECT count(*) FROM pragma_table_info('candles') WHERE name = 'mine'").get == 0:
                con.execute("ALTER TABLE candles ADD COLUMN mine REAL")

    with pytest.raises(StoreFileError, match="altered meanwhile; it is as it was"):
        upkeep.rebuild("candles", stop=between_steps(alter))
    assert [name for _, name in names(fed.path) if "rebuild" in name] == []


def test_who_was_frozen_until_another_took_its_place_finds_its_copy_gone(fed, upkeep, small_steps):
    before, calls = all_rows(fed.path), [0]

    def other():
        calls[0] += 1
        if calls[0] == 6:
            rebuild.in_order(fed.repository._database, "candles", stop=half_done())

    def half_done():
        left = [5]

        def stop():
            left[0] -= 1
            return left[0] < 0

        return stop

    def taken_over():
        with suppress(MaintenanceStoppedError):
            other()

    with pytest.raises(StoreFileError):
        upkeep.rebuild("candles", stop=between_steps(taken_over))
    assert all_rows(fed.path) == before
    assert fed.maintenance.check() == []


def test_one_at_a_time(fed, upkeep, python):
    script = """
        import sys, mdstore
        with mdstore.open(sys.argv[1]) as store:
            try:
                store.repository.upkeep.rebuild("candles")
            except mdstore.StoreBusyError as error:
                print(error)
    """
    with upkeep.holding():
        assert "another thread or process is at its upkeep" in python(script, fed.path)
        assert upkeep.rebuild("candles") == 12_000  # the holder's thread may
    assert python(script, fed.path) == ""
    other = mdstore.MarketDataStore(fed.path)
    with other, other.repository.upkeep.holding(), pytest.raises(StoreBusyError, match="Hint: try again"):
        upkeep.rebuild("candles")


@pytest.mark.parametrize("name", ["quarantine", "nothing", "sqlite_schema", "candles; DROP TABLE candles"])
def test_what_has_no_key_of_its_own_is_refused(fed, upkeep, name):
    with pytest.raises(InvalidInputError, match="no table that can be put in order"):
        upkeep.rebuild(name)


def test_other_tables_of_the_file_can_be_put_in_order(fed, upkeep):
    fed.write("S001", "1m", [bar(number, 7.0) for number in range(300)])
    fed.declare("value", resample="sum")
    fed.write(
        "S001",
        "1m",
        [
            {
                "timestamp": bar(0)[0],
                **dict(zip(("open", "high", "low", "close", "volume"), bar(0)[1:], strict=True)),
                "value": 3.0,
            }
        ],
    )
    revised = fed.revisions("S001")
    for name in (
        "replacements",
        "arrivals",
        "bucket_digests",
        "digests",
        "extras",
        "series",
        "cells",
        "coverage",
    ):
        upkeep.rebuild(name)
    assert fed.revisions("S001").equals(revised)
    assert fed.candles("S001", "1m", columns=["value"])["value"][0] == 3.0
    assert fed.maintenance.check() == []


def test_a_file_in_disorder_is_seen(store):
    feed(store, series=3, bars=2_000, at_once=2_000)
    assert in_order(store) > ORDER
