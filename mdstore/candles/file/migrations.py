"""The schema of the file, a step at a time.

Each step runs in one transaction with the row that records it; a step that fails or is killed leaves the
version before. In a new file all of them are one. Steps are appended and never changed: a file in the field
has run them as they were.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import apsw

from mdstore.candles.file import old_revisions
from mdstore.candles.file.row_hashes import MASK, hash_of_row
from mdstore.errors import NewerSchemaError, StoreFileError

__all__ = ["APPLICATION_ID", "MIGRATIONS", "Migration", "migrate", "refuse_unknown", "version_of"]


@dataclass(frozen=True, slots=True)
class Migration:
    """One step: the version it leads to, what it does in words, the SQL, and what is done after that."""

    version: int
    description: str
    sql: str
    after: Callable[[apsw.Connection], None] | None = None


VERSIONS = """
CREATE TABLE IF NOT EXISTS schema_version (
  version INTEGER PRIMARY KEY,
  applied_at INTEGER NOT NULL,              -- milliseconds since 1970 UTC
  description TEXT NOT NULL
) STRICT
"""

CANDLES = """
-- IF NOT EXISTS: a file whose candles somebody wrote with another tool, in the same table, is taken over.
CREATE TABLE IF NOT EXISTS candles (
  symbol TEXT NOT NULL,
  timeframe TEXT NOT NULL,
  timestamp INTEGER NOT NULL,               -- milliseconds since 1970 UTC, start of the bar
  open REAL NOT NULL,
  high REAL NOT NULL,
  low REAL NOT NULL,
  close REAL NOT NULL,
  volume REAL NOT NULL,
  PRIMARY KEY (symbol, timeframe, timestamp)
) STRICT, WITHOUT ROWID;

-- What is stored, kept in the transaction that writes it: no count over the candles is ever needed.
CREATE TABLE series (
  symbol TEXT NOT NULL,
  timeframe TEXT NOT NULL,
  first INTEGER NOT NULL,                   -- start of the first bar, milliseconds since 1970 UTC
  last INTEGER NOT NULL,                    -- start of the last bar
  rows INTEGER NOT NULL,
  revision INTEGER NOT NULL,                -- the store's revision when this series last changed
  PRIMARY KEY (symbol, timeframe)
) STRICT, WITHOUT ROWID;

INSERT INTO series
SELECT symbol, timeframe, min(timestamp), max(timestamp), count(*), 1 FROM candles GROUP BY symbol, timeframe;

-- One row: counts the transactions that changed candles.
CREATE TABLE revision (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  revision INTEGER NOT NULL
) STRICT;

INSERT INTO revision VALUES (1, 1);

-- Rows refused by a rule and set aside, as they were given.
CREATE TABLE quarantine (
  id INTEGER PRIMARY KEY,
  quarantined_at INTEGER NOT NULL,          -- milliseconds since 1970 UTC
  symbol TEXT,
  timeframe TEXT,
  row INTEGER NOT NULL,                     -- its number in the data of that call, from 0
  "column" TEXT NOT NULL,
  rule TEXT NOT NULL,
  value TEXT NOT NULL,
  record TEXT NOT NULL                      -- the row as JSON
) STRICT;

-- The same row set aside again, as when a file is imported twice, is kept once.
CREATE UNIQUE INDEX quarantine_once ON quarantine (ifnull(symbol, ''), ifnull(timeframe, ''), rule, record);
"""

CELLS = """
-- Stretches of series that lie in a pack, too: whoever changes a candle in [start, end) deletes its cell.
CREATE TABLE cells (
  symbol TEXT NOT NULL,
  timeframe TEXT NOT NULL,
  start INTEGER NOT NULL,                   -- milliseconds since 1970 UTC
  "end" INTEGER NOT NULL,                   -- not included
  pack TEXT NOT NULL,                       -- the file's name, without its suffix
  batch INTEGER NOT NULL,                   -- the record batch in it
  "offset" INTEGER NOT NULL,                -- the cell's first row in the batch
  rows INTEGER NOT NULL,
  digests BLOB NOT NULL,                    -- XXH3, 8 bytes for each 4,096 rows
  used INTEGER NOT NULL,                    -- the hour (since 1970) of about the last read
  PRIMARY KEY (timeframe, symbol, start)
) STRICT, WITHOUT ROWID;
"""

LEDGER = """
-- What is known of a range besides its candles. The ranges of a series do not overlap.
CREATE TABLE coverage (
  symbol TEXT NOT NULL,
  timeframe TEXT NOT NULL,
  start INTEGER NOT NULL,                   -- milliseconds since 1970 UTC, start of a bar
  "end" INTEGER NOT NULL,                   -- not included
  reason TEXT NOT NULL,                     -- why bars are not there; unknown: asked, and none came
  source TEXT NOT NULL,                     -- who was asked or says so; empty where nobody said
  asked INTEGER NOT NULL,                   -- ms since 1970 UTC; of what was joined, the last of a day
  PRIMARY KEY (timeframe, symbol, start)
) STRICT, WITHOUT ROWID;

-- Bars that were stored before they had ended, and not again since.
CREATE TABLE unfinished (
  symbol TEXT NOT NULL,
  timeframe TEXT NOT NULL,
  timestamp INTEGER NOT NULL,
  PRIMARY KEY (timeframe, symbol, timestamp)
) STRICT, WITHOUT ROWID;

-- Since when bars are known and where from: those that are there in a range, which overlaps no other.
CREATE TABLE arrivals (
  symbol TEXT NOT NULL,
  timeframe TEXT NOT NULL,
  start INTEGER NOT NULL,                   -- milliseconds since 1970 UTC, start of a bar
  "end" INTEGER NOT NULL,                   -- not included
  source TEXT NOT NULL,                     -- empty where nobody said
  began INTEGER NOT NULL,                   -- the store's revision that brought the first of them
  arrived INTEGER NOT NULL,                 -- and the last of them
  lags BLOB,                                -- of bars that came one by one: revision less began, 4 bytes each
  PRIMARY KEY (timeframe, symbol, start)
) STRICT, WITHOUT ROWID;

-- The last bar of a series was perhaps forming when it was written.
INSERT INTO unfinished
SELECT symbol, timeframe, last FROM series
WHERE revision < last + CAST(substr(timeframe, 1, length(timeframe) - 1) AS INTEGER)
  * CASE substr(timeframe, -1) WHEN 's' THEN 1000 WHEN 'm' THEN 60000 WHEN 'h' THEN 3600000
    WHEN 'd' THEN 86400000 WHEN 'w' THEN 604800000 ELSE 2678400000 END;

-- The arrivals of the last bars, if they came one by one: kept here, a live bar writes no other page.
ALTER TABLE series ADD COLUMN tail_start INTEGER;
ALTER TABLE series ADD COLUMN tail_source TEXT;
ALTER TABLE series ADD COLUMN tail_began INTEGER;
ALTER TABLE series ADD COLUMN tail_lags BLOB;

INSERT INTO arrivals
SELECT symbol, timeframe, first, last + 1, '', 0, 0, NULL FROM series;

-- Closed bars as they were before a revision of the store changed them.
CREATE TABLE revisions (
  symbol TEXT NOT NULL,
  timeframe TEXT NOT NULL,
  timestamp INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  open REAL NOT NULL,
  high REAL NOT NULL,
  low REAL NOT NULL,
  close REAL NOT NULL,
  volume REAL NOT NULL,
  source TEXT NOT NULL,                     -- where the new values came from
  PRIMARY KEY (timeframe, symbol, timestamp, revision)
) STRICT, WITHOUT ROWID;

-- When the market of a symbol is open: the longest pattern (GLOB) that fits; where none does, always.
CREATE TABLE calendars (
  pattern TEXT PRIMARY KEY,
  calendar TEXT NOT NULL
) STRICT, WITHOUT ROWID;
"""

DIGESTS = """
-- Sums of hashes of rows, modulo 2^62, that every row of the file is under: mdstore/candles/file/digests.py.
-- A row a series; that of '' '' is of what is of no series.
CREATE TABLE digests (
  symbol TEXT NOT NULL,
  timeframe TEXT NOT NULL,
  whole INTEGER NOT NULL DEFAULT 1,         -- 0: some of its candles are not under a digest yet
  bucket INTEGER NOT NULL DEFAULT -9223372036854775807, -- the last that was written
  candles INTEGER NOT NULL DEFAULT 0,       -- over the candles of that bucket
  series INTEGER NOT NULL DEFAULT 0,        -- and over its rows in the table of each name
  cells INTEGER NOT NULL DEFAULT 0,
  coverage INTEGER NOT NULL DEFAULT 0,
  arrivals INTEGER NOT NULL DEFAULT 0,
  unfinished INTEGER NOT NULL DEFAULT 0,
  calendars INTEGER NOT NULL DEFAULT 0,
  quarantine INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (timeframe, symbol)
) STRICT, WITHOUT ROWID;

-- A row for each other bucket of 128 bars of a series that has any.
CREATE TABLE bucket_digests (
  symbol TEXT NOT NULL,
  timeframe TEXT NOT NULL,
  bucket INTEGER NOT NULL,                  -- time over the span of 128 bars, both in milliseconds
  candles INTEGER,                          -- null: none, or not under a digest yet
  revisions INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (timeframe, symbol, bucket)
) STRICT, WITHOUT ROWID;

-- What proves the one row of this table: the revision with the other sign.
ALTER TABLE revision ADD COLUMN negative INTEGER NOT NULL DEFAULT 0;
UPDATE revision SET negative = -revision;
"""

EXTRAS = """
-- Columns that a store keeps beside those of candles.
CREATE TABLE declared (
  name TEXT PRIMARY KEY,
  resample TEXT NOT NULL,                   -- how a longer bar has it
  source TEXT NOT NULL,                     -- what else it is called in data, a JSON list
  symbols TEXT NOT NULL,                    -- patterns (GLOB) of symbols that it is kept of; empty for all
  timeframes TEXT NOT NULL                  -- timeframes that it is kept of; empty for all
) STRICT;
ALTER TABLE digests ADD COLUMN declared INTEGER NOT NULL DEFAULT 0;

-- Their values, a column each, which is added when it is declared; null where a bar has none.
CREATE TABLE extras (
  symbol TEXT NOT NULL,
  timeframe TEXT NOT NULL,
  timestamp INTEGER NOT NULL,
  PRIMARY KEY (symbol, timeframe, timestamp)
) STRICT, WITHOUT ROWID;

-- What they were before a revision of the store changed them, of bars that had ended.
CREATE TABLE extra_revisions (
  symbol TEXT NOT NULL,
  timeframe TEXT NOT NULL,
  timestamp INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  source TEXT NOT NULL,                     -- where the new values came from
  PRIMARY KEY (timeframe, symbol, timestamp, revision)
) STRICT, WITHOUT ROWID;

-- Which of them a series has values of, in the order in which they came, parted by spaces.
ALTER TABLE series ADD COLUMN extras TEXT NOT NULL DEFAULT '';
"""


def _sum_up_series(con: apsw.Connection) -> None:
    """Carry the digests of the catalogue on, whose rows have a column more; what was damaged stays so."""
    for row in con.execute("SELECT * FROM series").fetchall():
        change = hash_of_row(row) - hash_of_row(row[:-1])
        con.execute(
            f"UPDATE digests SET series = (series + ?) & {MASK} WHERE timeframe = ? AND symbol = ?",  # noqa: S608
            (change & MASK, row[1], row[0]),
        )


SERVICE = """
-- Names that one process or thread has at a time: mdstore/candles/file/leases.py.
CREATE TABLE leases (
  name TEXT PRIMARY KEY,
  owner TEXT NOT NULL,                      -- where the process is, its number, when it began, and a token
  beat INTEGER NOT NULL                     -- counted up while the holder is at work
) STRICT, WITHOUT ROWID;

-- What is asked for often, to have it ready: a bounded number of series.
CREATE TABLE usage (
  symbol TEXT NOT NULL,
  timeframe TEXT NOT NULL,
  asks REAL NOT NULL,                       -- how often, what is long past counting less and less
  PRIMARY KEY (symbol, timeframe)
) STRICT, WITHOUT ROWID;
"""

UPKEEP = """
-- What upkeep has found and done, a bounded number of rows of each kind.
CREATE TABLE upkeep (
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  at INTEGER NOT NULL,                      -- milliseconds since 1970 UTC
  record TEXT NOT NULL                      -- JSON
) STRICT;
CREATE INDEX upkeep_by_kind ON upkeep (kind, id);
"""

BLOCKS = """
-- Copied, not renamed: that would fail where a view of somebody's own does not fit the file.
CREATE TABLE old_revisions AS SELECT * FROM revisions;
CREATE TABLE old_extra_revisions AS SELECT * FROM extra_revisions;
CREATE INDEX old_revisions_by_write ON old_revisions (timeframe, symbol, revision, timestamp);
CREATE INDEX old_extra_revisions_by_write ON old_extra_revisions (timeframe, symbol, revision, timestamp);
DROP TABLE revisions;
DROP TABLE extra_revisions;

-- What bars that had ended were before a write changed them: mdstore/candles/file/blocks.py.
CREATE TABLE revisions (
  id INTEGER PRIMARY KEY,
  symbol TEXT NOT NULL,
  timeframe TEXT NOT NULL,
  number INTEGER NOT NULL,                  -- of the series' blocks, from 1; the last is in digests
  revision INTEGER NOT NULL,                -- the store's, that changed the bars
  source TEXT NOT NULL,                     -- where the new values came from
  first INTEGER NOT NULL,                   -- start of the first bar, milliseconds since 1970 UTC
  last INTEGER NOT NULL,
  rows INTEGER NOT NULL,
  names TEXT NOT NULL,                      -- of the columns in data; empty: what stands for all before it
  content INTEGER NOT NULL,                 -- hash of data
  digest INTEGER NOT NULL,                  -- hash of number to content
  data BLOB NOT NULL                        -- 8 bytes each, little-endian: the times, then each column
) STRICT;
CREATE UNIQUE INDEX revisions_of_series ON revisions (timeframe, symbol, number);
ALTER TABLE digests ADD COLUMN revisions INTEGER NOT NULL DEFAULT 0;

-- Where the bars in a range are from, if values that had ended were replaced. Ranges do not overlap.
CREATE TABLE replacements (
  symbol TEXT NOT NULL,
  timeframe TEXT NOT NULL,
  start INTEGER NOT NULL,                   -- milliseconds since 1970 UTC, start of a bar
  "end" INTEGER NOT NULL,                   -- not included
  source TEXT NOT NULL,                     -- empty where nobody said
  revision INTEGER NOT NULL,                -- the store's, that brought them
  PRIMARY KEY (timeframe, symbol, start)
) STRICT, WITHOUT ROWID;
ALTER TABLE digests ADD COLUMN replacements INTEGER NOT NULL DEFAULT 0;
"""

BLOCKS_MADE = """
DROP TABLE old_revisions;
DROP TABLE old_extra_revisions;
CREATE TABLE old_bucket_digests AS
SELECT symbol, timeframe, bucket, candles FROM bucket_digests WHERE candles IS NOT NULL;
DROP TABLE bucket_digests;
CREATE TABLE bucket_digests (
  symbol TEXT NOT NULL,
  timeframe TEXT NOT NULL,
  bucket INTEGER NOT NULL,                  -- time over the span of 128 bars, both in milliseconds
  candles INTEGER,                          -- null: none, or not under a digest yet
  PRIMARY KEY (timeframe, symbol, bucket)
) STRICT, WITHOUT ROWID;
INSERT INTO bucket_digests SELECT * FROM old_bucket_digests;
DROP TABLE old_bucket_digests;
"""


def _make_blocks(con: apsw.Connection) -> None:
    """Make blocks of the revisions, and take away what was before them."""
    old_revisions.into_blocks(con)
    con.execute(BLOCKS_MADE)


FROZEN = """
-- Stretches of series that lie compressed here, and not in candles: mdstore/candles/file/frozen.py.
CREATE TABLE frozen (
  symbol TEXT NOT NULL,
  timeframe TEXT NOT NULL,
  start INTEGER NOT NULL,                   -- of its first bar, milliseconds since 1970 UTC
  "end" INTEGER NOT NULL,                   -- 1 behind the start of its last bar
  rows INTEGER NOT NULL,
  digest BLOB NOT NULL,                     -- XXH3 of the bytes, 64 bits
  bytes BLOB NOT NULL,                      -- a Parquet file of the columns of candles and the declared ones
  PRIMARY KEY (symbol, timeframe, start)
) STRICT;

-- For other programs: what they do not see in candles.
CREATE VIEW frozen_stretches AS
SELECT symbol, timeframe, datetime(start / 1000, 'unixepoch') AS first_bar,
  datetime("end" / 1000, 'unixepoch') AS last_bar, rows, length(bytes) AS bytes
FROM frozen;
"""

CANDLE_TABLE = (
    ("symbol", 1), ("timeframe", 2), ("timestamp", 3),
    ("open", 0), ("high", 0), ("low", 0), ("close", 0), ("volume", 0),
)  # fmt: skip
"""The columns of the table and their places in its primary key."""

VERSION_TABLE = ("version", "applied_at", "description")
APPLICATION_ID = 0x6D647374
"""The mark of a store in the header of its file, "mdst" in ASCII: https://www.sqlite.org/pragma.html#pragma_application_id"""

MIGRATIONS = (
    Migration(1, "candles, series, revision, quarantine", CANDLES),
    Migration(2, "cells", CELLS),
    Migration(3, "coverage, unfinished, arrivals, revisions, calendars", LEDGER),
    Migration(4, "digests", DIGESTS, old_revisions.accept_all),
    Migration(5, "declared columns", EXTRAS, _sum_up_series),
    Migration(6, "leases, usage", SERVICE),
    Migration(7, "upkeep", UPKEEP),
    Migration(8, "revisions in blocks, replacements", BLOCKS, _make_blocks),
    Migration(9, "frozen candles", FROZEN),
)


def version_of(con: apsw.Connection) -> int:
    """Return the schema version of a file; 0 for one without a schema of ours."""
    known = con.execute("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_version'").get
    return (
        0 if known is None else int(con.execute("SELECT coalesce(max(version), 0) FROM schema_version").get)
    )


def refuse_unknown(con: apsw.Connection, migrations: Sequence[Migration] = MIGRATIONS) -> int:
    """Return the file's version, 0 for a new one; change nothing.

    Raises `NewerSchemaError` if this code does not know it, `StoreFileError` if the file is somebody else's.
    """
    if con.pragma("application_id") != APPLICATION_ID:
        _refuse_foreign(con)  # before its version is asked for: other programs number theirs, too
    version, newest = version_of(con), migrations[-1].version
    if version > newest:
        raise NewerSchemaError(
            f"{con.filename} has schema version {version}; this mdstore knows versions up to {newest}. The "
            "file was not changed",
            hint="pip install --upgrade mdstore",
        )
    return version


def migrate(con: apsw.Connection, migrations: Sequence[Migration] = MIGRATIONS) -> int:
    """Bring a file to the newest version, mark it as a store, and return how many steps that took."""
    steps = 0
    if refuse_unknown(con, migrations) != migrations[-1].version:
        steps = sum(_apply(con, together, migrations) for together in _transactions(con, migrations))
    if con.pragma("application_id") != APPLICATION_ID:  # made before files were marked
        con.pragma("application_id", APPLICATION_ID)
    return steps


def _transactions(con: apsw.Connection, migrations: Sequence[Migration]) -> list[Sequence[Migration]]:
    """Return the steps that go together: each alone, but in a new file, where each would be one more sync."""
    return [migrations] if version_of(con) == 0 else [(step,) for step in migrations]


def _apply(con: apsw.Connection, steps: Sequence[Migration], migrations: Sequence[Migration]) -> int:
    """Take steps in one transaction, and return how many there were to take."""
    con.execute("BEGIN IMMEDIATE")
    try:
        # Read again inside the transaction: another process may have just done it.
        version = refuse_unknown(con, migrations)
        pending = [step for step in steps if step.version > version]
        if pending:
            con.execute(VERSIONS)
            con.pragma("application_id", APPLICATION_ID)
        for step in pending:
            _take(con, step)
        con.execute("COMMIT")
    except BaseException:
        if con.in_transaction:
            con.execute("ROLLBACK")
        raise
    return len(pending)


def _take(con: apsw.Connection, step: Migration) -> None:
    con.execute(step.sql)
    if step.after is not None:
        step.after(con)
    row = (step.version, int(time.time() * 1000), step.description)
    con.execute("INSERT INTO schema_version VALUES (?, ?, ?)", row)


def _refuse_foreign(con: apsw.Connection) -> None:
    """Refuse a database that is somebody else's: tables, but none of candles as we keep them."""
    if con.execute("SELECT count(*) FROM sqlite_schema").get == 0 and not con.pragma("application_id"):
        return
    candles, versions = _columns(con, "candles"), _columns(con, "schema_version")
    if con.pragma("application_id"):
        found = f"another program has marked it (application_id {con.pragma('application_id')})"
    elif candles != CANDLE_TABLE:
        found = f"its table candles has other columns: {candles}" if candles else "it has no table candles"
    elif versions and tuple(name for name, _ in versions) != VERSION_TABLE:
        found = "its table schema_version is another program's"
    else:
        return
    raise StoreFileError(
        f"{con.filename} is a SQLite database but no store: {found}. It was not changed",
        hint="give the path of a new file",
    )


def _columns(con: apsw.Connection, table: str) -> tuple[tuple[apsw.SQLiteValue, ...], ...]:
    """Return the columns of a table and their places in its primary key; none of one that is not there."""
    return tuple(con.execute("SELECT name, pk FROM pragma_table_info(?) ORDER BY cid", (table,)))
