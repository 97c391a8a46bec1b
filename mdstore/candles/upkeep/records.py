"""What upkeep has found and done, kept in the file: a bounded number of records of each kind.

They are worth no sync and are under no digest: what is lost of them is measured again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import apsw

from mdstore.candles.file.database import Database

__all__ = ["KEPT", "Record", "add", "last", "newest"]

KEPT = 400
"""So many records of a kind stay: more than a year of one a day."""
INSERT = "INSERT INTO upkeep (kind, at, record) VALUES (?, ?, ?)"
FORGET = """
DELETE FROM upkeep WHERE kind = ?1 AND id <=
  (SELECT id FROM upkeep WHERE kind = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)
"""
NEWEST = "SELECT at, record FROM upkeep WHERE kind = ? ORDER BY id DESC LIMIT ?"

Record = dict[str, Any]
"""What is known of one event, with its time `at` (ms)."""


def add(database: Database, kind: str, at: int, record: Mapping[str, Any]) -> bool:
    """Keep a record; false where it could not be written."""
    row = (kind, at, json.dumps(record))

    def work(con: apsw.Connection) -> bool:
        con.execute(INSERT, row)
        con.execute(FORGET, (kind, KEPT))
        return True

    return bool(database.note(work, wait=True))


def newest(database: Database, kind: str, limit: int = KEPT) -> list[Record]:
    """Return the newest records of a kind, oldest first."""
    with database.reading() as con:
        rows = con.execute(NEWEST, (kind, limit)).fetchall()
    return [{"at": int(str(at)), **json.loads(str(record))} for at, record in reversed(rows)]


def last(database: Database, kind: str) -> Record | None:
    """Return the last record of a kind, or None."""
    found = newest(database, kind, 1)
    return found[0] if found else None
