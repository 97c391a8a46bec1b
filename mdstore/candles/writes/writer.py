"""Landing candles: one transaction, rows that differ are written, and every row is counted once."""

from __future__ import annotations

import contextlib
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from functools import cached_property, partial
from itertools import chain
from math import nan

import polars as pl
import pyarrow as pa

from mdstore.candles.file import catalogue, declared_columns, frozen, thawing
from mdstore.candles.file.bar_digests import bars_of
from mdstore.candles.file.carried import Writer
from mdstore.candles.file.catalogue import Series
from mdstore.candles.file.database import Database
from mdstore.candles.file.frozen import FrozenPiece
from mdstore.candles.file.table_reads import read_range
from mdstore.candles.file.table_writes import upsert, upsert_rows, upsert_values
from mdstore.candles.file.wide_rows import positive_zeros
from mdstore.candles.ledger import arrivals, claims, relisting, unfinished
from mdstore.candles.ledger.arrivals import Came
from mdstore.candles.ledger.claims import Claim
from mdstore.candles.ledger.revisions import Values
from mdstore.candles.packs import cells
from mdstore.candles.packs.cells import Cell
from mdstore.candles.packs.pack_files import Packs
from mdstore.candles.packs.seal_policy import SEAL_BATCH, SEAL_LEAST, SEAL_ROWS
from mdstore.candles.packs.sealing import Sealer, closed_rows
from mdstore.candles.writes.bar_changes import Changes
from mdstore.core.bad_rows import first_error
from mdstore.core.candle_rules import NO_BAD, Checked, Group, OnInvalid
from mdstore.core.duplicates import Conflict, OnConflict, conflict_error
from mdstore.core.excerpts import excerpt
from mdstore.core.extra_columns import Extra
from mdstore.core.html import facts_html
from mdstore.core.page_sizes import is_full_page
from mdstore.core.schema import CANDLE_COLUMNS, TIMESTAMP, wide_candle
from mdstore.core.symbols import check_symbol
from mdstore.core.time_bounds import FOREVER
from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import ms_to_datetime
from mdstore.errors import InvalidInputError

__all__ = ["SEAL_ROWS", "Part", "Policy", "Progress", "WriteResult", "write", "write_each"]

Progress = Callable[[int], None]

COLUMNS = len(CANDLE_COLUMNS)

QUARANTINE = """
INSERT OR IGNORE INTO quarantine (quarantined_at, symbol, timeframe, row, "column", rule, value, record)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
BAR = """
SELECT open, high, low, close, volume FROM candles WHERE symbol = ? AND timeframe = ? AND timestamp = ?
"""
ANY = "SELECT 1 FROM candles WHERE symbol = ? AND timeframe = ? AND timestamp BETWEEN ? AND ? LIMIT 1"


KEPT = ("inserted", "updated", "unchanged")


@dataclass(frozen=True, slots=True, repr=False)
class WriteResult:
    """What became of the rows of a write; every row given is counted in exactly one of the counts.

    `inserted` were new, `updated` differed from what was stored, `unchanged` did not. `duplicates` are
    earlier rows of a bar that comes again, as it was, later in the data; `conflicts` those that come again
    with other values, where `on_conflict="last"` took the last. `quarantined` and `dropped`
    broke a rule. `first` and `last` are the bars' starts (aware, UTC) of the rows that passed, or None.
    `ignored` are the columns of the data that were not kept, `notes` what was understood of it. `withheld`
    are rows that `align="floor"` moved to the start of a bar where another row stood, in the data or stored:
    half a bar does not bury a whole one. `warnings` say what is doubtful: a page that came back full, with a
    `covers` that is wider. `widened` are rows whose high or low was moved by at most 4 ulp to
    hold open and close, with `tolerance="ulp"`; they are in one of the other counts, too. `reach` is the
    first and the last bar (ms) of each series.
    """

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    duplicates: int = 0
    quarantined: int = 0
    dropped: int = 0
    first: datetime | None = None
    last: datetime | None = None
    conflicts: int = 0
    ignored: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    withheld: int = 0
    widened: int = 0
    reach: Mapping[tuple[str, str], tuple[int, int]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def rows(self) -> int:
        """The number of rows given."""
        kept = self.inserted + self.updated + self.unchanged
        again = self.duplicates + self.conflicts + self.withheld
        return kept + again + self.quarantined + self.dropped

    def __repr__(self) -> str:
        """Return the three counts of what was kept, and whatever else is not nothing."""
        found = {one.name: getattr(self, one.name) for one in fields(self) if one.repr}
        told = (f"{name}={value!r}" for name, value in found.items() if value or name in KEPT)
        return f"WriteResult({', '.join(told)})"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the counts that are not zero, and what was understood."""
        return facts_html(
            "WriteResult", {one.name: getattr(self, one.name) for one in fields(self) if one.repr}
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """What a write does with rows that break a rule, and with bars that come twice with different values.

    `keep` are ranges of series (ms, half-open) whose stored bars it does not change.
    """

    on_invalid: OnInvalid
    on_conflict: OnConflict
    keep: Mapping[tuple[str, str], Sequence[tuple[int, int]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    """One series of a write of several: its rows, and what is said of the ranges that they are from.

    `keep` are ranges (ms) whose stored bars it must not change, by series: `ConflictError` where it would.
    """

    rows: Checked
    claims: Sequence[Claim]
    keep: Mapping[tuple[str, str], Sequence[tuple[int, int]]] = field(default_factory=dict)


SET_ASIDE = Policy("quarantine", "raise")
WATCH_ROWS = 4  # so few are compared, which costs less than to ask where their series ends
WATCH_MORE = 64  # so many new ones behind known ones are, which costs less than statements of their own
PUT_ROWS = 4_096  # so many are compared at a time: as tuples they take 2 MB
NOTHING = Checked([], NO_BAD, 0, 0)


def write(
    database: Database,
    packs: Packs,
    chunks: Iterable[Checked],
    *,
    claim: Claim,
    policy: Policy,
    progress: Progress | None,
    clock: Callable[[], float],
    has_room: Callable[[int], bool],
) -> WriteResult:
    """Write checked chunks in one transaction; any error, also from `chunks`, leaves the file as it was.

    New rows behind the end of their series are sealed from the batch in hand, published with their commit.
    """
    chunks, now = iter(chunks), int(clock() * 1000)  # the data is of now, however long a lock is waited for
    # The first chunk is taken before the transaction: most data is one chunk, and nobody else need wait
    # while it is checked.
    first = next(chunks, NOTHING if claim.range else None)
    if first is None:
        return WriteResult()
    _refuse(first, policy)
    sealer = _BatchSealer(packs, clock, has_room)
    try:
        with database.writing() as con:
            batch = _Batch(con, [claim], policy, sealer, now)
            batch.land(first)
            _report(progress, batch)
            for chunk in chunks:
                _refuse(chunk, policy)
                batch.land(chunk)
                _report(progress, batch)
            batch.finish(int(clock() * 1000))
    except BaseException:
        sealer.take_back(database)
        raise
    return batch.result()


def write_each(
    database: Database,
    packs: Packs,
    parts: Sequence[Part],
    *,
    clock: Callable[[], float],
    has_room: Callable[[int], bool],
) -> list[WriteResult]:
    """Write several series, each once, in one transaction; return what became of each.

    Each has claims of its own, so that pages of many series wait for one synced commit together.
    """
    now, sealers, done = int(clock() * 1000), [], []
    for part in parts:
        _refuse(part.rows, SET_ASIDE)
    try:
        with database.writing() as con:
            for part in parts:
                sealers.append(_BatchSealer(packs, clock, has_room))
                policy = replace(SET_ASIDE, keep=part.keep)
                batch = _Batch(con, part.claims, policy, sealers[-1], now)
                batch.land(part.rows)
                batch.finish(int(clock() * 1000))
                done.append(batch.result())
    except BaseException:
        for sealer in sealers:
            sealer.take_back(database)
        raise
    return done


def _refuse(chunk: Checked, policy: Policy) -> None:
    if policy.on_invalid == "raise" and len(chunk.bad):
        raise first_error(chunk.bad, chunk.rows)
    if policy.on_conflict == "raise" and chunk.conflict is not None:
        raise conflict_error(chunk.conflict, chunk.conflicts)


def _report(progress: Progress | None, batch: _Batch) -> None:
    if progress is not None:
        progress(batch.result().rows)


@dataclass(slots=True)
class _Seen:
    """What a call has done to one series; `runs` are the times it has written, each run sorted."""

    changes: Changes
    inserted: int = 0
    changed: bool = False
    first: int | None = None
    last: int | None = None
    end: int | None = None
    runs: list[pl.Series] = field(default_factory=list)
    extras: tuple[str, ...] = ()
    """The declared columns that the series has values of, with those of the call, once there are such."""
    given: tuple[str, ...] = ()
    """Those in the rows that are written just now."""

    def again(self, times: pl.Series) -> pl.Series | None:
        """Mark the times that came in an earlier chunk; None if there are none, as in sorted data."""
        low, high = times[0], times[-1]
        near = [run for run in self.runs if run[0] <= high and low <= run[-1]]
        return times.is_in(pl.concat(near).implode()) if near else None


class _Batch:
    """The state of one write transaction."""

    def __init__(
        self, con: Writer, claims: Sequence[Claim], policy: Policy, sealer: _BatchSealer, now: int
    ) -> None:
        self._con = con
        self._claim, self._claims = claims[0], claims
        self._sealer = sealer
        self._now = now
        self._refused: dict[tuple[str, str], list[int | None]] = {}
        self._policy = policy
        self._keep_bad = policy.on_invalid == "quarantine"
        self._seen: dict[tuple[str, str], _Seen] = {}
        self._ignored: tuple[str, ...] = ()
        self._notes: tuple[str, ...] = ()
        self._warnings: tuple[str, ...] = ()
        self._counts = {
            "inserted": 0, "updated": 0, "unchanged": 0, "duplicates": 0, "conflicts": 0, "withheld": 0,
            "widened": 0, "bad": 0,
        }  # fmt: skip

    def land(self, chunk: Checked) -> None:
        """Write one chunk: its groups, then its bad rows."""
        self._ignored = chunk.ignored
        self._notes = tuple(dict.fromkeys((*self._notes, *chunk.notes)))
        for group in chunk.groups:
            self._land_group(group)
        self._counts["duplicates"] += chunk.duplicates
        self._counts["conflicts"] += chunk.conflicts
        self._counts["withheld"] += chunk.withheld
        self._counts["widened"] += chunk.widened
        self._counts["bad"] += len(chunk.bad)
        if self._keep_bad and len(chunk.bad):
            self._quarantine(chunk.bad)
        if self._claim.covers and len(chunk.bad):
            self._refuse(chunk.bad)

    def _refuse(self, bad: pl.DataFrame) -> None:
        """Remember the times of rows that were refused, by series."""
        for symbol, name, moment in bad.select("symbol", "timeframe", "time").iter_rows():
            with contextlib.suppress(InvalidInputError):  # of a row that names no series
                key = (check_symbol(symbol), str(Timeframe.parse(name)))
                self._refused.setdefault(key, []).append(moment)

    def finish(self, now: int) -> None:
        """Bring catalogue, history and coverage up to what is written, which is known from `now` on."""
        changed = {key: seen for key, seen in self._seen.items() if seen.changed}
        for seen in changed.values():
            self._hold_kept(seen)
        if changed:
            self._finish_changed(changed, now)
            for key, seen in changed.items():
                if seen.inserted and seen.first is not None and seen.last is not None:
                    new = filter(seen.changes.is_new, chain.from_iterable(seen.runs))
                    relisting.relist(self._con, key, seen.first, seen.last, new)
        if self._seen:
            self._settle()
        self._warnings = tuple(self._doubts())
        if self._claim.range:
            named = (self._claim.series,) if self._claim.series else ()
            for key in dict.fromkeys((*named, *self._seen, *self._refused)):
                for claim in self._claims:
                    self._cover(key, claim)
        elif self._claim.covers:
            for key, seen in self._seen.items():
                assert seen.first is not None  # noqa: S101 - a group has rows; for mypy
                assert seen.last is not None  # noqa: S101
                self._cover(key, self._claim.of(seen.first, seen.last, seen.changes.bar))

    def _doubts(self) -> Iterator[str]:
        """Say of which series a full page came, though more is covered: the rest was perhaps never fetched.

        1,240 bars became `no_trade` when a page of 200 came back for a day of minutes.
        """
        if not self._claim.range or len(self._claims) > 1:
            return
        for (symbol, timeframe), seen in self._seen.items():
            rows = sum(map(len, seen.runs))
            beside = claims.beside(self._claim, seen.changes.bar, seen.first, seen.last, self._now)
            if beside and is_full_page(rows):
                yield (
                    f"{symbol} {timeframe}: {rows:,} bars are a full page, and covers= is of {beside:,} more "
                    "before or behind them, which now count as asked for: perhaps they were not fetched. End "
                    f"covers= with the page, and ask for the rest: missing(..., page={rows}) cuts ranges so"
                )

    def _cover(self, key: tuple[str, str], claim: Claim) -> None:
        claims.enter(self._con, key, claim, self._now, self._refused.get(key, ()), of_write=True)

    def _settle(self) -> None:
        """See to the marks of bars that are stored before they have ended."""
        marked, moments = unfinished.of(self._con, list(self._seen)), self._moments()
        for key, seen in self._seen.items():
            assert seen.last is not None  # noqa: S101 - a group has rows; for mypy
            forms = seen.changed and seen.last >= seen.changes.bar.floor(moments[0])
            if key in marked:
                seen.changes.unmark(self._con, seen.runs, marked[key], moments)
            if forms:
                seen.changes.mark(self._con, seen.runs, moments)

    def _moments(self) -> list[int]:
        """Return the times at which bars that are not over were forming: now, and the end of what is covered.

        Behind that a source gives the bar that forms, which may have ended until it is written.
        """
        end = max(FOREVER if claim.range is None else claim.range[1] for claim in self._claims)
        return [self._now] if end >= self._now else [end, self._now]

    def _finish_changed(self, changed: dict[tuple[str, str], _Seen], now: int) -> None:
        at_revision = catalogue.bump(self._con, now)
        came: list[Came] = []
        alone = {key: start for key, seen in changed.items() if (start := seen.changes.alone) is not None}
        bars = [(key[0], changed[key].changes.bar, start) for key, start in alone.items()]
        grown_by_one = arrivals.come_next(self._con, bars, self._claim.source, at_revision) if bars else set()
        for (symbol, timeframe), seen in changed.items():
            if (symbol, timeframe) in grown_by_one:
                continue
            assert seen.first is not None  # noqa: S101 - a changed series has rows; for mypy
            assert seen.last is not None  # noqa: S101
            if seen.inserted:
                arrivals.spill(self._con, (symbol, timeframe))  # before the series ends elsewhere
            grown = Series(symbol, timeframe, seen.first, seen.last, seen.inserted, at_revision)
            catalogue.grow(self._con, grown)
            came += seen.changes.record(self._con, self._claim.source, at_revision)
            self._notes += tuple(_replaced(seen.changes, self._claim.source))
        for key, seen in changed.items():
            if seen.extras:
                declared_columns.hold(self._con, key, seen.extras)
        arrivals.arrive(self._con, came, self._claim.source, at_revision)
        made = self._sealer.finish()
        over = [cells.covering(self._con, c.symbol, c.timeframe, c.start, c.end - 1) for c in made]
        cells.insert(self._con, [cell for cell, others in zip(made, over, strict=True) if not others])

    def result(self) -> WriteResult:
        """Return the counts so far."""
        counts = dict(self._counts)
        bad = counts.pop("bad")
        reach = {
            key: (seen.first, seen.last)
            for key, seen in self._seen.items()
            if seen.first is not None and seen.last is not None
        }
        return WriteResult(
            **counts,
            quarantined=bad if self._keep_bad else 0,
            dropped=0 if self._keep_bad else bad,
            first=ms_to_datetime(min(first for first, _ in reach.values())) if reach else None,
            last=ms_to_datetime(max(last for _, last in reach.values())) if reach else None,
            ignored=self._ignored,
            notes=self._notes,
            warnings=self._warnings,
            reach=reach,
        )

    def _land_group(self, group: Group) -> None:
        rows = group.rows if group.moved is None else self._without_withheld(group, group.moved)
        if not len(rows):
            return
        key = (group.symbol, group.timeframe)
        seen = self._seen.get(key) or self._seen.setdefault(key, _Seen(Changes(*key)))
        if rows.width > COLUMNS or seen.given:
            rows = self._with_extras(seen, rows)
        times = rows["timestamp"]
        again = seen.again(times)
        if again is not None and again.any():
            # A key of an earlier chunk: the last wins, and its row was counted then.
            self._land_again(group, seen, rows.filter(again))
            rows = rows.filter(~again)
        end = self._end_of(group, seen) if len(rows) >= SEAL_LEAST else None
        inserted, updated = self._upsert(group, seen, rows)
        if inserted and end is not None:
            # A cell may end behind the last candle, where one beside it was deleted.
            start = max(end + 1, cells.end_of(self._con, group.symbol, group.timeframe))
            self._sealer.take(group, start, rows.filter(rows["timestamp"] >= start))
        self._counts["inserted"] += inserted
        self._counts["updated"] += updated
        self._counts["unchanged"] += len(rows) - inserted - updated
        seen.inserted += inserted
        seen.runs.append(times)
        first, last = times[0], times[-1]
        seen.first = first if seen.first is None else min(seen.first, first)
        seen.last = last if seen.last is None else max(seen.last, last)

    def _with_extras(self, seen: _Seen, rows: pl.DataFrame) -> pl.DataFrame:
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

    @cached_property
    def _kept(self) -> dict[str, Extra]:
        """The columns that are declared, as of this transaction."""
        return {one.name: one for one in declared_columns.all_declared(self._con)}

    @cached_property
    def _table_names(self) -> tuple[str, ...]:
        return tuple(declared_columns.table_names(self._con))

    def _without_withheld(self, group: Group, moved: pl.Series) -> pl.DataFrame:
        """Leave out moved rows where a bar with other values is stored; `on_conflict="last"` takes them."""
        if self._policy.on_conflict == "last":
            return group.rows
        found = read_range(self._con, group.symbol, group.timeframe, moved[0], moved[-1] + 1)
        stored = {row[0]: row[1:] for row in bars_of(found)}
        there = [time for time in moved if time in stored]
        rows = group.rows.filter(group.rows["timestamp"].is_in(there))
        other = [row[0] for row in rows.iter_rows() if row[1:COLUMNS] != stored[row[0]]]
        self._counts["withheld"] += len(other)
        return group.rows.filter(~group.rows["timestamp"].is_in(other)) if other else group.rows

    def _land_again(self, group: Group, seen: _Seen, rows: pl.DataFrame) -> None:
        """Write rows of bars that an earlier chunk has written, which differ from these or do not."""
        before = seen.changes.last_updated
        _, updated = self._upsert(group, seen, rows)
        if updated and self._policy.on_conflict == "raise":
            old = seen.changes.last_updated
            changed = self._conflict(seen, old) if old is not before else self._conflict_of_extras(seen)
            raise conflict_error(changed, updated, self._ignored)
        self._counts["conflicts"] += updated
        self._counts["duplicates"] += len(rows) - updated

    def _conflict(self, seen: _Seen, old: Values) -> Conflict:
        """Describe a bar that was changed, from what it was before and what it is now."""
        new = self._con.execute(BAR, (*seen.changes.key, old[0])).fetchone()
        assert new is not None  # noqa: S101 - it was written just now; for mypy
        later = tuple(float(value) for value in new)
        return Conflict(*seen.changes.key, old[0], old[1:], later)

    def _conflict_of_extras(self, seen: _Seen) -> Conflict:
        """Describe a bar of which a value of a declared column was changed."""
        time, before = seen.changes.last_extras
        after = declared_columns.values_at(self._con, seen.changes.key, time)
        return Conflict(*seen.changes.key, time, before, after, names=self._table_names)

    def _hold_kept(self, seen: _Seen) -> None:
        """Raise where a bar of a range that is to be kept has changed."""
        ranges = self._policy.keep.get(seen.changes.key, ())
        if not ranges:
            return
        olds = [old for old in seen.changes.olds if any(start <= old[0] < end for start, end in ranges)]
        if olds:
            raise conflict_error(replace(self._conflict(seen, min(olds)), stored=True), len(olds))
        for time, before in seen.changes.old_extras.items():
            if any(start <= time < end for start, end in ranges):
                after = declared_columns.values_at(self._con, seen.changes.key, time)
                # A value where there was none contradicts nothing.
                if any(old not in (None, new) for old, new in zip(before, after, strict=True)):
                    found = Conflict(*seen.changes.key, time, before, after, names=self._table_names)
                    raise conflict_error(replace(found, stored=True), 1)

    def _end_of(self, group: Group, seen: _Seen) -> int:
        """Return the last time of a series so far; what comes behind it is all that there is there."""
        if seen.end is None:
            stored = catalogue.find(self._con, group.symbol, group.timeframe)
            seen.end = -FOREVER - 1 if stored is None else stored.last
        return seen.end if seen.last is None else max(seen.end, seen.last)

    def _upsert(self, group: Group, seen: _Seen, rows: pl.DataFrame) -> tuple[int, int]:
        """Write rows of one series, and return how many were inserted and how many updated.

        A cell over rows that change is forgotten, and a frozen piece thawed; those over rows that are as they
        were stay.
        """
        rows = self._without_frozen(seen, rows)
        if not len(rows):
            return 0, 0
        times = rows["timestamp"]
        over = cells.covering(self._con, group.symbol, group.timeframe, times[0], times[-1])
        if not over:
            return self._upsert_rows(group, seen, rows)
        inserted = updated = 0
        for cell, part in _by_cell(rows, over):
            new, changed = self._upsert_rows(group, seen, part)
            inserted, updated = inserted + new, updated + changed
            if cell is not None and (new or changed):
                cells.forget(self._con, cell)
        return inserted, updated

    def _without_frozen(self, seen: _Seen, rows: pl.DataFrame) -> pl.DataFrame:
        """Leave out rows that are frozen as they are given; pieces that others reach into are thawed."""
        if not len(rows):
            return rows
        key, times = seen.changes.key, rows["timestamp"]
        left, at = [], 0
        for piece in frozen.pieces(self._con, key, times[0], times[-1] + 1):
            low, high = bisect_left(times, piece.start), bisect_left(times, piece.end)
            if low == high:
                continue  # there are rows on both sides of it only
            if self._is_frozen(seen, rows.slice(low, high - low), piece):
                left.append(rows.slice(at, low - at))
                at = high
            else:
                thawing.thaw(self._con, key, piece.start, piece.end)
        return pl.concat([*left, rows.slice(at)]) if left else rows

    def _is_frozen(self, seen: _Seen, rows: pl.DataFrame, piece: FrozenPiece) -> bool:
        """Tell whether rows are all in a piece, with the values that they have."""
        stored = thawing.frame_of(self._con, seen.changes.key, piece, seen.given)
        there = stored.filter(stored["timestamp"].is_in(rows["timestamp"].implode()))
        return there.equals(rows[[*CANDLE_COLUMNS, *seen.given]])

    def _upsert_rows(self, group: Group, seen: _Seen, rows: pl.DataFrame) -> tuple[int, int]:
        if len(rows) <= WATCH_ROWS:
            inserted, updated = self._watch(seen, rows)
        else:
            # What lies behind the end is new without a look; a few such rows go with those before them.
            # Python's bisect: Polars plans a query, which takes as long as to write a hundred rows.
            known = bisect_right(rows["timestamp"], self._end_of(group, seen))
            known = len(rows) if known > 0 and len(rows) - known <= WATCH_MORE else known
            inserted, updated = self._upsert_known(seen, rows.head(known))
            inserted += self._insert(seen, rows.slice(known))
        if inserted or updated:
            seen.changed = True
            self._sealer.spoil(group, rows)
        return inserted, updated

    def _upsert_known(self, seen: _Seen, rows: pl.DataFrame) -> tuple[int, int]:
        """Write rows of times up to the end of the series."""
        if not len(rows):
            return 0, 0
        key = (*seen.changes.key, rows["timestamp"][0], rows["timestamp"][-1])
        if self._con.execute(ANY, key).get is None:
            return self._insert(seen, rows), 0
        return self._watch(seen, rows)

    def _watch(self, seen: _Seen, rows: pl.DataFrame) -> tuple[int, int]:
        """Write rows some of which may be there."""
        con, key, inserted, updated = self._con, seen.changes.key, 0, 0
        for part in rows.iter_slices(PUT_ROWS) if len(rows) > PUT_ROWS else (rows,):
            candles = part[list(CANDLE_COLUMNS)] if seen.given else part
            new, changed = seen.changes.put(con, candles, partial(upsert_rows, con, key))
            if seen.given:
                write = partial(upsert_values, con, key, part, seen.given)
                changed += seen.changes.put_extras(con, (self._table_names, seen.extras), write)
            inserted, updated = inserted + new, updated + changed
        return inserted, updated

    def _insert(self, seen: _Seen, rows: pl.DataFrame) -> int:
        """Write rows between the first and last of which there are none."""
        if len(rows):
            with self._con.telling(None):
                upsert(self._con, seen.changes.key, rows, seen.given)
            seen.changes.insert(self._con, rows)
        return len(rows)

    def _quarantine(self, bad: pl.DataFrame) -> None:
        order = ("symbol", "timeframe", "row", "column", "rule", "value", "record")
        self._con.executemany(QUARANTINE, ((self._now, *row) for row in bad.select(order).iter_rows()))


class _BatchSealer:
    """Seals the new rows of one write, if they are many; the packs are no reason for a write to fail."""

    def __init__(self, packs: Packs, clock: Callable[[], float], has_room: Callable[[int], bool]) -> None:
        self._has_room = has_room
        self._sealer = Sealer(packs, clock, batch_rows=SEAL_BATCH)
        self._now = int(clock() * 1000)
        self._broken = False
        self._spoiled: list[tuple[str, str, int, int]] = []
        self._taken: dict[tuple[str, str], int] = {}

    def spoil(self, group: Group, rows: pl.DataFrame) -> None:
        """Leave out what was taken of a series, where a later chunk of the same write changes it."""
        taken = self._taken.get((group.symbol, group.timeframe))
        if taken is not None and rows["timestamp"][0] <= taken:
            first, last = rows["timestamp"][0], rows["timestamp"][-1]
            self._spoiled.append((group.symbol, group.timeframe, first, last))

    def take(self, group: Group, start: int, rows: pl.DataFrame) -> None:
        """Take the rows of a series from `start` on, behind its end, as far as their bars have ended."""
        batch = _batch(rows)
        closed = closed_rows(batch, Timeframe.parse(group.timeframe), self._now)
        if closed and not self._broken:
            self._taken[group.symbol, group.timeframe] = rows["timestamp"][-1]
            try:
                sealed = positive_zeros(batch.slice(0, closed))
                self._sealer.add(group.symbol, group.timeframe, start, FOREVER, sealed)
            except OSError:
                self._give_up()

    def finish(self) -> list[Cell]:
        """Return the cells of the pack, which is on disk; none if it was not worth one or could not be."""
        try:
            if self._sealer.rows >= SEAL_ROWS and not self._broken and self._has_room(self._sealer.rows):
                return [cell for cell in self._sealer.finish() if not self._is_spoiled(cell)]
            self._sealer.discard()
        except OSError:
            self._give_up()
        return []

    def _is_spoiled(self, cell: Cell) -> bool:
        return any(
            (symbol, timeframe) == (cell.symbol, cell.timeframe) and first < cell.end and last >= cell.start
            for symbol, timeframe, first, last in self._spoiled
        )

    def take_back(self, database: Database) -> None:
        """Take the pack back unless the file points to it."""
        self._sealer.take_back(database)

    def _give_up(self) -> None:
        # A full disk, or a folder that cannot be written: the rows are in SQLite, and are read from there.
        self._broken = True
        with contextlib.suppress(OSError):
            self._sealer.discard()


def _replaced(changes: Changes, source: str) -> Iterator[str]:
    """Say how many bars of other sources were replaced: two of different adjustment make a seam."""
    symbol, timeframe = changes.key
    for other, bars in changes.replaced.most_common():
        if other != source:
            which = "1 bar" if bars == 1 else f"{bars:,} bars"
            whose = f"from {excerpt(other)}" if other else "of which nobody said where from"
            yield f"{symbol} {timeframe}: {which} {whose} replaced by other values"


def _batch(rows: pl.DataFrame) -> pa.RecordBatch:
    """Return the columns of a group as a record batch of the schema, without a copy."""
    arrays = [rows[name].rechunk().to_arrow() for name in CANDLE_COLUMNS]
    arrays += [rows[name].fill_null(nan).rechunk().to_arrow() for name in rows.columns[COLUMNS:]]
    schema = wide_candle(rows.width - COLUMNS)
    return pa.RecordBatch.from_arrays([arrays[0].view(TIMESTAMP), *arrays[1:]], schema=schema)


def _by_cell(rows: pl.DataFrame, over: Sequence[Cell]) -> Iterator[tuple[Cell | None, pl.DataFrame]]:
    """Cut sorted rows at the ends of cells; yield each part with the cell that covers it, if one does."""
    times = rows["timestamp"]
    bounds = sorted({bound for cell in over for bound in (cell.start, cell.end)})
    at = 0
    for bound, place in zip(
        (*bounds, None), (*times.search_sorted(pl.Series(bounds, dtype=pl.Int64)), len(rows)), strict=True
    ):
        if place > at:
            first = times[at]
            cell = next((cell for cell in over if cell.start <= first < cell.end), None)
            yield cell, rows.slice(at, place - at)
            at = place
        if bound is None:
            return
