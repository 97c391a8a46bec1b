"""Files as earlier versions of the schema have them, made of a store's that is closed."""

from contextlib import closing
from math import isnan

import apsw

from mdstore.candles.file import blocks
from mdstore.candles.file.digests import span_of
from mdstore.candles.file.migrations import MIGRATIONS, migrate
from mdstore.candles.file.row_hashes import MASK, hash_of_bar, hash_of_extra, hash_of_row

BLOCKS = f"SELECT symbol, timeframe, {blocks.HEADER}, data FROM revisions"
SERIES = "UPDATE digests SET series = ? WHERE symbol = ? AND timeframe = ?"
DIGESTS_SINCE, BLOCKS_SINCE = 4, 8
WITH_DECLARED = {"extras", "extra_revisions"}


def make_older(path, version):
    """Take a file back to an earlier version of the schema, with all that it could hold."""
    with closing(apsw.Connection(":memory:")) as con:
        migrate(con, MIGRATIONS[:version])
        before, texts = columns_of(con), dict(con.execute("SELECT name, sql FROM sqlite_schema"))
    with closing(apsw.Connection(str(path))) as con:
        if version < BLOCKS_SINCE:
            _into_rows(con, texts)
        tables = {name for name, _ in before}
        if "frozen" not in tables:
            con.execute("DROP VIEW IF EXISTS frozen_stretches")
        for table, column in sorted(columns_of(con) - before):
            if table in tables & WITH_DECLARED:
                continue
            if table in tables:
                con.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
            else:
                con.execute(f"DROP TABLE IF EXISTS {table}")
        if version == DIGESTS_SINCE:  # of catalogue rows that have a column less now
            for row in con.execute("SELECT * FROM series").fetchall():
                con.execute(SERIES, (hash_of_row(row), *row[:2]))
        con.execute("DELETE FROM schema_version WHERE version > ?", (version,))


def columns_of(con):
    """Return the columns of every table, with its name."""
    sql = "SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table'"
    return {(table, column) for table, column in con.execute(sql) if not table.startswith("sqlite_")}


def _into_rows(con, texts):
    """Make rows of blocks, a row a bar, and put them under the sums of their buckets."""
    found = con.execute(BLOCKS).fetchall()
    columns = [name for (name,) in con.execute("SELECT name FROM pragma_table_info('extras')")][3:]
    con.execute("DROP TABLE revisions")
    if "revisions" not in texts:
        return
    con.execute(texts["revisions"])
    if "extra_revisions" in texts:
        con.execute(texts["extra_revisions"])
        for name in columns:
            con.execute(f'ALTER TABLE extra_revisions ADD COLUMN "{name}" REAL')
    con.execute("ALTER TABLE bucket_digests ADD COLUMN revisions INTEGER NOT NULL DEFAULT 0")
    for symbol, timeframe, _, revision, source, _, _, rows, names, _, data in found:
        if names != blocks.CANDLE and "extra_revisions" not in texts:
            continue
        for time, *values in blocks.frame_of(names, rows, data).iter_rows():
            _insert(con, (symbol, timeframe), (time, revision, source), names, values)


def _insert(con, key, change, names, values):
    time, revision, source = change
    seed = hash_of_row((revision, source))
    if names == blocks.CANDLE:
        con.execute(
            "INSERT INTO revisions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*key, time, revision, *values, source),
        )
        value = hash_of_bar((time, *values), seed)
    else:
        held = [None if isnan(one) else one for one in values]
        listed = ", ".join(f'"{name}"' for name in names.split())
        con.execute(
            f"INSERT INTO extra_revisions (symbol, timeframe, timestamp, revision, source, {listed}) "
            f"VALUES (?, ?, ?, ?, ?{', ?' * len(held)})",
            (*key, *change, *held),
        )
        value = hash_of_row(change) + sum(
            hash_of_extra(time, one, place, seed) for place, one in enumerate(held)
        )
    con.execute(
        "INSERT INTO bucket_digests (symbol, timeframe, bucket, revisions) VALUES (?, ?, ?, ?) "
        f"ON CONFLICT DO UPDATE SET revisions = (revisions + excluded.revisions) & {MASK}",
        (*key, time // span_of(key[1]), value & MASK),
    )
