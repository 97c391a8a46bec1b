"""Files of other versions: older ones are migrated, newer ones are left alone."""

import contextlib
import os
import sqlite3
from unittest.mock import patch

import apsw
import pytest

import mdstore
from mdstore import NewerSchemaError
from mdstore.candles.file import migrations
from mdstore.candles.file.migrations import MIGRATIONS, Migration, migrate
from tests.support.candles import walk
from tests.support.file import digest, filled

NEXT = MIGRATIONS[-1].version + 1


def test_a_store_does_not_write_once_a_newer_mdstore_has_migrated_the_file(store):
    store.write("A", "1m", walk(5))
    with store._candles._database.writing() as con:
        con.execute("INSERT INTO schema_version VALUES (99, 0, 'from the future')")
    with pytest.raises(NewerSchemaError):
        store.write("A", "1m", walk(6))
    assert len(store.candles("A", "1m")) == 5


def test_a_file_of_the_first_schema_is_migrated_and_keeps_its_candles(tmp_path):

    path = tmp_path / "s.sqlite3"
    with (
        patch.object(migrations, "MIGRATIONS", migrations.MIGRATIONS[:1]),
        contextlib.closing(migrations.apsw.Connection(str(path))) as con,
    ):
        migrations.migrate(con, migrations.MIGRATIONS)
        con.execute("INSERT INTO candles VALUES ('A', '1m', 0, 1, 2, 1, 2, 3)")
        con.execute(
            "INSERT INTO series (symbol, timeframe, first, last, rows, revision) "
            "VALUES ('A', '1m', 0, 0, 1, 2)"
        )
    with mdstore.open(path) as store:
        assert store.candles("A", "1m")["volume"].to_list() == [3.0]
        assert store.sql("SELECT max(close) AS c FROM candles")["c"].to_list() == [2.0]


def test_a_newer_file_is_refused_and_left_untouched(path):
    connection = sqlite3.connect(filled(path))
    connection.execute("INSERT INTO schema_version VALUES (99, 0, 'from the future')")
    connection.commit()
    connection.close()
    before = digest(path)
    with pytest.raises(NewerSchemaError, match=r"schema version 99.*not changed.*pip install --upgrade"):
        mdstore.open(path)
    assert digest(path) == before
    assert [name.name for name in path.parent.iterdir()] == [path.name]


def test_a_step_runs_once_in_one_transaction_and_a_failing_one_leaves_the_version_before(path):
    filled(path)
    con = apsw.Connection(os.fspath(path))
    added = Migration(NEXT, "a note on each series", "ALTER TABLE series ADD COLUMN note TEXT; SELECT 1;")
    failing = Migration(NEXT + 1, "half a step", "CREATE TABLE half (x); INSERT INTO nowhere VALUES (1);")
    assert migrate(con, (*MIGRATIONS, added)) == 1
    assert migrate(con, (*MIGRATIONS, added)) == 0
    with pytest.raises(apsw.SQLError):
        migrate(con, (*MIGRATIONS, added, failing))
    assert migrations.version_of(con) == NEXT
    assert con.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'half'").get == 0
    con.close()


def test_candles_written_by_another_tool_are_taken_over(path):
    connection = sqlite3.connect(path)
    connection.execute(MIGRATIONS[0].sql[: MIGRATIONS[0].sql.index(";")])
    connection.executemany(
        "INSERT INTO candles VALUES ('X', '1m', ?, 1, 2, 0.5, 1.5, 3)", [(i * 60_000,) for i in range(5)]
    )
    connection.commit()
    connection.close()
    with mdstore.open(path) as store:
        assert store.series().select("symbol", "rows").rows() == [("X", 5)]
        assert store.write("X", "1m", [(0, 1, 2, 0.5, 1.5, 3)], unit="ms").unchanged == 1
        assert store.maintenance.check() == []
