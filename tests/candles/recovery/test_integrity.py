"""What other programs changed in the file is found by a check and taken over by a rebuild."""

import contextlib
import sqlite3
from unittest.mock import patch

import pytest

import mdstore
from mdstore import DamagedDataError
from mdstore.candles.reads import reads
from tests.support.candles import MINUTE, START, walk
from tests.support.file import filled, run
from tests.support.packs import BARS, foreign


def test_candles_changed_by_another_program_are_found_by_check_and_sealed_again_by_warm(store, python):
    store.write("A", "1m", walk(BARS))
    python(
        """
        import sqlite3, sys
        with sqlite3.connect(sys.argv[1]) as connection:
            sql = "UPDATE candles SET close = close + 0.5 WHERE timestamp = ?"
            connection.execute(sql, (int(sys.argv[2]),))
        """,
        store.path,
        START + 77 * MINUTE,
    )
    (finding,) = store.maintenance.check()
    assert "A 1m from 2025-09-01 00:00 to 2025-09-01 02:07" in finding  # the bars under one digest
    assert "another program has changed it" in finding
    assert store.maintenance.warm(rebuild=True) == BARS
    assert store.candles("A", "1m")["close"][77] == walk(BARS)["close"][77] + 0.5
    assert store.maintenance.check() == []


def test_where_the_catalogue_is_wrong_the_table_is_read_by_sql_too(tmp_path, python):
    """A file of another program, which goes on writing to it: the table is the truth, whatever it holds."""
    foreign(tmp_path / "s.sqlite3", symbols=1)
    with mdstore.open(tmp_path / "s.sqlite3") as store:
        python(DELETE_ONE, store.path, START + 77 * MINUTE)
        with patch.object(reads, "LOOSE_ROWS", BARS), patch.object(reads, "STRAIGHT_ROWS", 0):
            assert len(store.candles("S0", "1m")) == BARS - 1
            assert "does not agree" in store.explain("S0", "1m").reason
        assert store.sql("SELECT count(*) AS n FROM candles")["n"].to_list() == [BARS - 1]


DELETE_ONE = """
    import sqlite3, sys
    with sqlite3.connect(sys.argv[1]) as connection:
        connection.execute("DELETE FROM candles WHERE timestamp = ?", (int(sys.argv[2]),))
"""


def test_what_another_program_deleted_is_refused_until_somebody_takes_it_for_right(store, python):
    store.write("A", "1m", walk(BARS))
    python(
        """
        import sqlite3, sys
        with sqlite3.connect(sys.argv[1]) as connection:
            connection.execute("DELETE FROM candles WHERE timestamp = ?", (int(sys.argv[2]),))
            connection.execute("DELETE FROM cells")
        """,
        store.path,
        START + 77 * MINUTE,
    )
    store._candles._memory.clear()
    with pytest.raises(DamagedDataError, match="A 1m"):
        store.candles("A", "1m")
    with pytest.raises(DamagedDataError, match="A 1m"):
        store.sql("SELECT count(*) AS n FROM candles")
    store.maintenance.warm(rebuild=True)
    assert len(store.candles("A", "1m")) == BARS - 1
    assert store.sql("SELECT count(*) AS n FROM candles")["n"].to_list() == [BARS - 1]


def test_what_another_program_added_or_deleted_is_taken_over_by_a_rebuild(store, python):
    store.write("A", "1m", walk(BARS))
    python(
        """
        import sqlite3, sys
        with sqlite3.connect(sys.argv[1]) as connection:
            connection.execute("DELETE FROM candles WHERE timestamp = ?", (int(sys.argv[2]),))
            sql = "INSERT INTO candles VALUES ('NEW', '1m', ?, 1, 2, 1, 2, 3)"
            connection.execute(sql, (int(sys.argv[2]),))
        """,
        store.path,
        START + 77 * MINUTE,
    )
    assert len(store.maintenance.check()) == 3
    assert store.maintenance.warm(rebuild=True) == BARS
    assert store.maintenance.check() == []
    assert len(store.candles("A", "1m")) == BARS - 1
    assert store.candles("NEW", "1m")["volume"].to_list() == [3.0]


def test_a_foreign_timeframe_is_seen_by_sql_and_in_nobodys_way(tmp_path):
    foreign(tmp_path / "s.sqlite3", symbols=1)
    with contextlib.closing(sqlite3.connect(tmp_path / "s.sqlite3")) as connection:
        connection.executemany(
            "INSERT INTO candles VALUES ('S0', ?, 0, 1, 2, 1, 2, 3)", [("60m",), ("1h",), ("daily",)]
        )
        connection.commit()
    with mdstore.open(tmp_path / "s.sqlite3") as store:
        counted = store.sql("SELECT timeframe, count(*) AS n FROM candles GROUP BY ALL ORDER BY ALL").rows()
        assert counted == [("1h", 1), ("1m", BARS), ("60m", 1), ("daily", 1)]
        assert store.maintenance.warm() == 1


def test_a_damaged_file_is_found_by_check(path):
    with mdstore.open(path) as store:
        store.write("A", "1m", walk(20_000))
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4096] = b"\xff" * 4096
    path.write_bytes(data)
    with mdstore.open(path) as store:
        assert store.maintenance.check() != []


def test_check_finds_candles_that_another_program_changed(path):
    run(filled(path), "DELETE FROM candles WHERE timestamp % 120000 = 0")
    with mdstore.open(path) as store:
        assert ["the catalogue says" in finding for finding in store.maintenance.check()] == [True, False]
