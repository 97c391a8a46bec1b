"""What is wrong where a bar has other values than it may have: those before, and those that it has now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import apsw

from mdstore.candles.file import declared_columns
from mdstore.candles.ledger.revisions import Values
from mdstore.candles.writes.seen import Seen
from mdstore.core.duplicates import Conflict, conflict_error

__all__ = ["hold_kept", "of_bar", "of_extras"]

BAR = """
SELECT open, high, low, close, volume FROM candles WHERE symbol = ? AND timeframe = ? AND timestamp = ?
"""


def of_bar(con: apsw.Connection, seen: Seen, old: Values) -> Conflict:
    """Describe a bar that was changed, from what it was before and what it is now."""
    new = con.execute(BAR, (*seen.changes.key, old[0])).fetchone()
    assert new is not None  # noqa: S101 - it was written just now; for mypy
    later = tuple(float(value) for value in new)
    return Conflict(*seen.changes.key, old[0], old[1:], later)


def of_extras(con: apsw.Connection, seen: Seen) -> Conflict:
    """Describe a bar of which a value of a declared column was changed."""
    time, before = seen.changes.last_extras
    after = declared_columns.values_at(con, seen.changes.key, time)
    return Conflict(*seen.changes.key, time, before, after, names=_names(con))


def hold_kept(con: apsw.Connection, seen: Seen, ranges: Sequence[tuple[int, int]]) -> None:
    """Raise `ConflictError` where a bar of ranges that are to be kept has changed."""
    olds = [old for old in seen.changes.olds if any(start <= old[0] < end for start, end in ranges)]
    if olds:
        raise conflict_error(replace(of_bar(con, seen, min(olds)), stored=True), len(olds))
    for time, before in seen.changes.old_extras.items():
        if any(start <= time < end for start, end in ranges):
            after = declared_columns.values_at(con, seen.changes.key, time)
            # A value where there was none contradicts nothing.
            if any(old not in (None, new) for old, new in zip(before, after, strict=True)):
                found = Conflict(*seen.changes.key, time, before, after, names=_names(con))
                raise conflict_error(replace(found, stored=True), 1)


def _names(con: apsw.Connection) -> tuple[str, ...]:
    return tuple(declared_columns.table_names(con))
