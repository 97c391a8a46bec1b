"""The groups of a chunk land: rows that come again are told from new ones, and every row is counted once."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection

import polars as pl

from mdstore.candles.file import catalogue, declared_columns
from mdstore.candles.file.bar_columns import batch_of
from mdstore.candles.file.bar_digests import bars_of
from mdstore.candles.file.carried import Writer
from mdstore.candles.file.table_reads import read_range
from mdstore.candles.packs import cells
from mdstore.candles.writes import conflicts
from mdstore.candles.writes.appends import Appends
from mdstore.candles.writes.bar_changes import Changes
from mdstore.candles.writes.batch_sealer import SEAL_LEAST, BatchSealer
from mdstore.candles.writes.next_bars import NextBars
from mdstore.candles.writes.results import Policy
from mdstore.candles.writes.seen import Seen
from mdstore.candles.writes.upserts import Upserts
from mdstore.core.checked_rows import Group, Stack
from mdstore.core.duplicates import conflict_error
from mdstore.core.extra_columns import Extra
from mdstore.core.once import once
from mdstore.core.schema import CANDLE_COLUMNS

__all__ = ["Landing"]

COLUMNS = len(CANDLE_COLUMNS)


class Landing:
    """Lands groups in one transaction; `counts` says what became of rows, `seen` what of series."""

    def __init__(self, con: Writer, policy: Policy, sealer: BatchSealer, source: str | None) -> None:
        self._con = con
        self._policy = policy
        self._sealer = sealer
        self._upserts = Upserts(con, sealer)
        self.seen: dict[tuple[str, str], Seen] = {}
        self.counts: Counter[str] = Counter()
        self._appends = Appends(con, sealer, self.seen, self.counts, source)
        self.ignored: tuple[str, ...] = ()

    def land(self, rows: Group | Stack) -> None:
        """Write the rows of one series, or of several."""
        self._appends.see(rows.timeframe)
        if isinstance(rows, Group):
            self._land(rows)
            return
        plain = rows.rows.width == COLUMNS
        for group in self._appends.land(rows) if plain else rows.groups():
            self._land(group)

    @property
    def next(self) -> Collection[NextBars]:
        """Bars that are written, each the next of its series, and yet to be entered."""
        return self._appends.next.values()

    def see_late(self, revision: int) -> None:
        """Have next bars entered series by series that cannot be together, in a revision."""
        for bars in list(self.next):
            if not bars.are_soon(revision):
                self._appends.see(bars.timeframe)

    def _land(self, group: Group) -> None:
        rows = group.rows if group.moved is None else self._without_withheld(group, group.moved)
        if not len(rows):
            return
        key = (group.symbol, group.timeframe)
        seen = self.seen.get(key) or self.seen.setdefault(key, Seen(Changes(*key)))
        if rows.width > COLUMNS or seen.given:
            rows = self._with_extras(seen, rows)
        times = rows["timestamp"]
        again = seen.again(times)
        if again is not None and again.any():
            # A key of an earlier chunk: the last wins, and its row was counted then.
            self._land_again(seen, rows.filter(again))
            rows = rows.filter(~again)
        end = self._upserts.end_of(seen) if len(rows) >= SEAL_LEAST else None
        inserted, updated = self._upserts.upsert(seen, rows)
        if inserted and end is not None:
            start = cells.next_start(end, cells.end_of(self._con, *key))
            new = rows.slice(bisect_left(rows["timestamp"], start))
            if len(new):
                self._sealer.take(key, start, batch_of(new))
        self.counts["inserted"] += inserted
        self.counts["updated"] += updated
        self.counts["unchanged"] += len(rows) - inserted - updated
        seen.inserted += inserted
        seen.note(times, 0, len(times), times[0], times[-1])

    def _with_extras(self, seen: Seen, rows: pl.DataFrame) -> pl.DataFrame:
        """Return rows with the declared columns of their series; what they do not give is null."""
        key = seen.changes.key
        seen.given = tuple(n for n in rows.columns[COLUMNS:] if n in self._kept and self._kept[n].is_of(*key))
        if not seen.given:
            return rows[list(CANDLE_COLUMNS)]
        stored = catalogue.find(self._con, *key)
        held = seen.extras or (stored.names if stored is not None else ())
        seen.extras = tuple(dict.fromkeys((*held, *seen.given)))
        none = pl.Series([None], dtype=pl.Float64).new_from_index(0, len(rows))
        more = [rows[name] if name in seen.given else none.alias(name) for name in seen.extras]
        return pl.DataFrame([*rows.iter_columns()][:COLUMNS] + more)

    @once
    def _kept(self) -> dict[str, Extra]:
        """The columns that are declared, as of this transaction."""
        return {one.name: one for one in declared_columns.all_declared(self._con)}

    def _without_withheld(self, group: Group, moved: pl.Series) -> pl.DataFrame:
        """Leave out moved rows where a bar with other values is stored; `on_conflict="last"` takes them."""
        if self._policy.on_conflict == "last":
            return group.rows
        found = read_range(self._con, group.symbol, group.timeframe, moved[0], moved[-1] + 1)
        stored = {row[0]: row[1:] for row in bars_of(found)}
        there = [time for time in moved if time in stored]
        rows = group.rows.filter(group.rows["timestamp"].is_in(there))
        other = [row[0] for row in rows.iter_rows() if row[1:COLUMNS] != stored[row[0]]]
        self.counts["withheld"] += len(other)
        return group.rows.filter(~group.rows["timestamp"].is_in(other)) if other else group.rows

    def _land_again(self, seen: Seen, rows: pl.DataFrame) -> None:
        """Write rows of bars that an earlier chunk has written, which differ from these or do not."""
        before = len(seen.changes.olds)
        _, updated = self._upserts.upsert(seen, rows)
        if updated and self._policy.on_conflict == "raise":
            olds = seen.changes.olds
            found = (
                conflicts.of_bar(self._con, seen, olds.last)
                if len(olds) > before
                else conflicts.of_extras(self._con, seen)
            )
            raise conflict_error(found, updated, self.ignored)
        self.counts["conflicts"] += updated
        self.counts["duplicates"] += len(rows) - updated
