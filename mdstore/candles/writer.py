"""Landing candles: one transaction, rows that differ are written, and every row is counted once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

import apsw
import polars as pl

from mdstore.candles import catalogue
from mdstore.candles.catalogue import Series
from mdstore.candles.database import Database, UpdateCounter
from mdstore.timestamps import ms_to_datetime
from mdstore.validation import Checked, Group, OnInvalid, first_error

__all__ = ["Progress", "WriteResult", "delete", "write"]

Progress = Callable[[int], None]

# Rows in a statement (bench/upsert.py): 200 or 300 give a few percent more than 100, 500 lose a third, below
# 50 the calls count. What is left over goes in smaller ones, since each size is parsed once and then cached.
ROWS_PER_STATEMENT = (100, 10, 1)
COLUMNS = 6
# The function counts the rows that differ: SQLite itself tells only inserted and updated together.
UPSERT = """
INSERT INTO candles VALUES {rows}
ON CONFLICT DO UPDATE SET open = excluded.open, high = excluded.high, low = excluded.low,
  close = excluded.close, volume = count_update(excluded.volume)
WHERE open IS NOT excluded.open OR high IS NOT excluded.high OR low IS NOT excluded.low
  OR close IS NOT excluded.close OR volume IS NOT excluded.volume
"""
QUARANTINE = """
INSERT OR IGNORE INTO quarantine (quarantined_at, symbol, timeframe, row, "column", rule, value, record)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
DELETE = "DELETE FROM candles WHERE symbol = ? AND timeframe = ? AND timestamp >= ? AND timestamp < ?"


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What became of the rows of a write; every row given is counted in exactly one of the counts.

    `inserted` were new, `updated` differed from what was stored, `unchanged` did not. `duplicates` are
    earlier rows of a key that comes again later in the data (the last wins). `quarantined` and `dropped`
    broke a rule. `first` and `last` are the bars' starts (aware, UTC) of the rows that passed, or None.
    """

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    duplicates: int = 0
    quarantined: int = 0
    dropped: int = 0
    first: datetime | None = None
    last: datetime | None = None

    @property
    def rows(self) -> int:
        """The number of rows given."""
        return sum(
            (self.inserted, self.updated, self.unchanged, self.duplicates, self.quarantined, self.dropped)
        )


def write(
    database: Database, chunks: Iterable[Checked], on_invalid: OnInvalid, progress: Progress | None
) -> WriteResult:
    """Write checked chunks in one transaction; any error, also from `chunks`, leaves the file as it was."""
    chunks = iter(chunks)
    # The first chunk is taken before the transaction: most data is one chunk, and nobody else need wait
    # while it is checked.
    first = next(chunks, None)
    if first is None:
        return WriteResult()
    _refuse_bad(first, on_invalid)
    with database.writing() as con:
        batch = _Batch(con, database.updates, on_invalid)
        batch.land(first)
        _report(progress, batch)
        for chunk in chunks:
            _refuse_bad(chunk, on_invalid)
            batch.land(chunk)
            _report(progress, batch)
        batch.finish()
    return batch.result()


def delete(database: Database, keys: Iterable[tuple[str, str]], start: int, end: int) -> int:
    """Delete the candles of the series `keys` that start in `[start, end)` (ms), and return how many."""
    total = 0
    with database.writing() as con:
        at_revision: int | None = None
        for symbol, timeframe in keys:
            con.execute(DELETE, (symbol, timeframe, start, end))
            deleted = con.changes()
            if deleted:
                at_revision = at_revision or catalogue.bump(con)
                catalogue.recount(con, symbol, timeframe, deleted, at_revision)
            total += deleted
    return total


def _refuse_bad(chunk: Checked, on_invalid: OnInvalid) -> None:
    if on_invalid == "raise" and len(chunk.bad):
        raise first_error(chunk)


def _report(progress: Progress | None, batch: _Batch) -> None:
    if progress is not None:
        progress(batch.result().rows)


@dataclass(slots=True)
class _Seen:
    """What a call has done to one series; `runs` are the times it has written, each run sorted."""

    inserted: int = 0
    changed: bool = False
    first: int | None = None
    last: int | None = None
    runs: list[pl.Series] = field(default_factory=list)

    def again(self, times: pl.Series) -> pl.Series | None:
        """Mark the times that came in an earlier chunk; None if there are none, as in sorted data."""
        low, high = times[0], times[-1]
        near = [run for run in self.runs if run[0] <= high and low <= run[-1]]
        return times.is_in(pl.concat(near).implode()) if near else None


class _Batch:
    """The state of one write transaction."""

    def __init__(self, con: apsw.Connection, updates: UpdateCounter, on_invalid: OnInvalid) -> None:
        self._con = con
        self._updates = updates
        self._keep_bad = on_invalid == "quarantine"
        self._seen: dict[tuple[str, str], _Seen] = {}
        self._counts = {"inserted": 0, "updated": 0, "unchanged": 0, "duplicates": 0, "bad": 0}

    def land(self, chunk: Checked) -> None:
        """Write one chunk: its groups, then its bad rows."""
        for group in chunk.groups:
            self._land_group(group)
        self._counts["duplicates"] += chunk.duplicates
        self._counts["bad"] += len(chunk.bad)
        if self._keep_bad and len(chunk.bad):
            self._quarantine(chunk.bad)

    def finish(self) -> None:
        """Bring the catalogue up to what was written."""
        changed = {key: seen for key, seen in self._seen.items() if seen.changed}
        if not changed:
            return
        at_revision = catalogue.bump(self._con)
        for (symbol, timeframe), seen in changed.items():
            assert seen.first is not None  # noqa: S101 - a changed series has rows; for mypy
            assert seen.last is not None  # noqa: S101
            grown = Series(symbol, timeframe, seen.first, seen.last, seen.inserted, at_revision)
            catalogue.grow(self._con, grown)

    def result(self) -> WriteResult:
        """Return the counts so far."""
        counts = dict(self._counts)
        bad = counts.pop("bad")
        firsts = [seen.first for seen in self._seen.values() if seen.first is not None]
        lasts = [seen.last for seen in self._seen.values() if seen.last is not None]
        return WriteResult(
            **counts,
            quarantined=bad if self._keep_bad else 0,
            dropped=0 if self._keep_bad else bad,
            first=ms_to_datetime(min(firsts)) if firsts else None,
            last=ms_to_datetime(max(lasts)) if lasts else None,
        )

    def _land_group(self, group: Group) -> None:
        seen = self._seen.setdefault((group.symbol, group.timeframe), _Seen())
        rows, times = group.rows, group.rows["timestamp"]
        again = seen.again(times)
        if again is not None and again.any():
            # A key of an earlier chunk: the last wins, and its row was counted then.
            self._upsert(group, rows.filter(again))
            self._counts["duplicates"] += int(again.sum())
            rows = rows.filter(~again)
        inserted, updated = self._upsert(group, rows)
        self._counts["inserted"] += inserted
        self._counts["updated"] += updated
        self._counts["unchanged"] += len(rows) - inserted - updated
        seen.inserted += inserted
        seen.runs.append(times)
        seen.first = times[0] if seen.first is None else min(seen.first, times[0])
        seen.last = times[-1] if seen.last is None else max(seen.last, times[-1])

    def _upsert(self, group: Group, rows: pl.DataFrame) -> tuple[int, int]:
        """Write rows of one series, and return how many were inserted and how many updated."""
        if not len(rows):
            return 0, 0
        before, counted = self._con.total_changes(), self._updates.count
        key = [group.symbol, group.timeframe]
        for statement, values in _statements(rows):
            self._con.execute(statement, key + values)
        changes, updated = self._con.total_changes() - before, self._updates.count - counted
        if changes:
            self._seen[group.symbol, group.timeframe].changed = True
        return changes - updated, updated

    def _quarantine(self, bad: pl.DataFrame) -> None:
        now = int(time.time() * 1000)
        order = ("symbol", "timeframe", "row", "column", "rule", "value", "record")
        self._con.executemany(QUARANTINE, ((now, *row) for row in bad.select(order).iter_rows()))


def _statements(rows: pl.DataFrame) -> Iterator[tuple[str, list[object]]]:
    """Yield UPSERTs and their bindings, the largest first."""
    flat: list[object] = [None] * (COLUMNS * len(rows))
    for place, column in enumerate(rows.iter_columns()):
        flat[place::COLUMNS] = column.to_list()
    done = 0
    for size in ROWS_PER_STATEMENT:
        width = size * COLUMNS
        while len(flat) - done >= width:
            yield STATEMENTS[size], flat[done : done + width]
            done += width


def _statement(size: int) -> str:
    """Write the UPSERT of `size` rows; ?1 and ?2 are the series, bound once for all rows."""
    return UPSERT.format(
        rows=",".join(
            "(?1,?2," + ",".join(f"?{3 + row * COLUMNS + place}" for place in range(COLUMNS)) + ")"
            for row in range(size)
        )
    )


STATEMENTS = {size: _statement(size) for size in ROWS_PER_STATEMENT}
