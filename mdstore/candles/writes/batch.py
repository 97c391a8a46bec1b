"""One write transaction: chunks land, and at its end the catalogue, the ledger and the packs follow."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import polars as pl

from mdstore.candles.file import catalogue, declared_columns
from mdstore.candles.file.carried import Writer
from mdstore.candles.file.catalogue import Series
from mdstore.candles.ledger import arrivals, claims, relisting, unfinished
from mdstore.candles.ledger.arrivals import Came
from mdstore.candles.ledger.claims import Claim
from mdstore.candles.packs import cells
from mdstore.candles.writes import conflicts
from mdstore.candles.writes.bar_changes import Changes
from mdstore.candles.writes.batch_sealer import BatchSealer
from mdstore.candles.writes.landing import Landing
from mdstore.candles.writes.preparing import plain
from mdstore.candles.writes.results import Policy, WriteResult
from mdstore.candles.writes.seen import Seen
from mdstore.candles.writes.written import MOST_ROWS, Appended, count_rows
from mdstore.core.checked_rows import Checked, Group, Stack
from mdstore.core.excerpts import excerpt
from mdstore.core.page_sizes import is_full_page
from mdstore.core.symbols import check_symbol
from mdstore.core.time_bounds import FOREVER
from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import ms_to_datetime
from mdstore.errors import InvalidInputError

__all__ = ["Batch"]

QUARANTINE = """
INSERT OR IGNORE INTO quarantine (quarantined_at, symbol, timeframe, row, "column", rule, value, record)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
REVISION = "SELECT revision FROM revision"
OF_CHUNK = ("duplicates", "conflicts", "withheld", "widened")


class Batch:
    """The state of one write transaction."""

    def __init__(
        self, con: Writer, claims: Sequence[Claim], policy: Policy, sealer: BatchSealer, now: int
    ) -> None:
        self._con = con
        self._claim, self._claims = claims[0], claims
        self._sealer = sealer
        self._now = now
        self._refused: dict[tuple[str, str], list[int | None]] = {}
        self._policy = policy
        self._keep_bad = policy.on_invalid == "quarantine"
        source = None if any(claim.covers for claim in claims) else self._claim.source
        self._landing = Landing(con, policy, sealer, source)
        self._notes: tuple[str, ...] = ()
        self._warnings: tuple[str, ...] = ()
        self._bad = 0
        self._taken: list[Group | Stack] = []
        self._taken_rows = 0
        self._revisions: tuple[int, int] | None = None

    def land(self, chunk: Checked) -> None:
        """Write one chunk: its groups, then its bad rows."""
        self._landing.ignored = chunk.ignored
        self._notes = tuple(dict.fromkeys((*self._notes, *chunk.notes)))
        for group in chunk.groups:
            self._landing.land(group)
        self._taken_rows += count_rows(chunk.groups)
        self._taken = [*self._taken, *map(plain, chunk.groups)] if self._taken_rows <= MOST_ROWS else []
        for name in OF_CHUNK:
            self._landing.counts[name] += getattr(chunk, name)
        self._bad += len(chunk.bad)
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
        before = int(self._con.execute(REVISION).get)
        self._landing.see_late(max(before + 1, now))
        changed = {key: seen for key, seen in self._landing.seen.items() if seen.changed}
        for key, ranges in self._policy.keep.items():
            if key in changed:
                conflicts.hold_kept(self._con, changed[key], ranges)
        if changed or self._landing.next:
            self._revisions = before, catalogue.bump(self._con, now)
            self._enter(changed, self._revisions[1])
            self._relist(changed)
        if self._landing.seen:
            self._settle()
        self._warnings = tuple(self._doubts())
        if self._claim.range:
            named = (self._claim.series,) if self._claim.series else ()
            for key in dict.fromkeys((*named, *self._landing.seen, *self._refused)):
                for claim in self._claims:
                    self._cover(key, claim)
        elif self._claim.covers:
            for key, seen in self._landing.seen.items():
                self._cover(key, self._claim.of(*seen.reach, seen.changes.bar))

    def _doubts(self) -> Iterator[str]:
        """Say of which series a full page came, though more is covered: the rest was perhaps never fetched.

        1,240 bars became `no_trade` when a page of 200 came back for a day of minutes.
        """
        if not self._claim.range or len(self._claims) > 1:
            return
        for (symbol, timeframe), seen in self._landing.seen.items():
            rows = sum(end - start for _, start, end in seen.parts)
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
        marked, moments = unfinished.of(self._con, list(self._landing.seen)), self._moments()
        floors: dict[str, int] = {}
        for key, seen in self._landing.seen.items():
            if key in marked:
                seen.changes.unmark(self._con, seen.runs, marked[key], moments)
            if key[1] not in floors:
                floors[key[1]] = seen.changes.bar.floor(moments[0])
            if seen.changed and seen.reach[1] >= floors[key[1]]:
                seen.changes.mark(self._con, seen.runs, moments)

    def _moments(self) -> list[int]:
        """Return the times at which bars that are not over were forming: now, and the end of what is covered.

        Behind that a source gives the bar that forms, which may have ended until it is written.
        """
        end = max(FOREVER if claim.range is None else claim.range[1] for claim in self._claims)
        return [self._now] if end >= self._now else [end, self._now]

    def _relist(self, changed: dict[tuple[str, str], Seen]) -> None:
        reach = {key: seen.reach for key, seen in changed.items() if seen.inserted}
        for bars in self._landing.next:
            reach |= bars.reach
        relisting.relist(
            self._con, reach, lambda key: changed[key].new_times() if key in changed else reach[key][:1]
        )

    def _enter(self, changed: dict[tuple[str, str], Seen], at_revision: int) -> None:
        for bars in self._landing.next:
            bars.enter(self._con, at_revision, self._now)
        came: list[Came] = []
        alone = [one for seen in changed.values() if (one := seen.changes.alone) is not None]
        grown_by_one = arrivals.come_next(self._con, alone, self._claim.source, at_revision)
        others = {key: seen for key, seen in changed.items() if key not in grown_by_one}
        # Before the series end elsewhere.
        if longer := [key for key, seen in others.items() if seen.inserted]:
            arrivals.spill(self._con, longer)
        catalogue.grow(
            self._con,
            (Series(*key, *seen.reach, seen.inserted, at_revision) for key, seen in others.items()),
        )
        for seen in others.values():
            came += seen.changes.record(self._con, self._claim.source, at_revision)
            self._notes += tuple(_replaced(seen.changes, self._claim.source))
        for key, seen in changed.items():
            if seen.extras:
                declared_columns.hold(self._con, key, seen.extras)
        arrivals.arrive(self._con, came, self._claim.source, at_revision)
        made = self._sealer.finish()
        over = [cells.covering(self._con, c.symbol, c.timeframe, c.start, c.end - 1) for c in made]
        cells.insert(self._con, [cell for cell, others in zip(made, over, strict=True) if not others])

    def appended(self) -> Appended[Group | Stack] | None:
        """Return the rows if they are not many, and all were new."""
        is_all_new = self._taken_rows == self._landing.counts["inserted"] <= MOST_ROWS
        return Appended(*self._revisions, self._taken) if self._revisions and is_all_new else None

    def result(self) -> WriteResult:
        """Return the counts so far."""
        reach = {key: seen.reach for key, seen in self._landing.seen.items() if seen.parts}
        for bars in self._landing.next:
            reach |= bars.reach
        return WriteResult(
            **self._landing.counts,
            quarantined=self._bad if self._keep_bad else 0,
            dropped=0 if self._keep_bad else self._bad,
            first=ms_to_datetime(min(first for first, _ in reach.values())) if reach else None,
            last=ms_to_datetime(max(last for _, last in reach.values())) if reach else None,
            ignored=self._landing.ignored,
            notes=self._notes,
            warnings=self._warnings,
            reach=reach,
        )

    def _quarantine(self, bad: pl.DataFrame) -> None:
        order = ("symbol", "timeframe", "row", "column", "rule", "value", "record")
        self._con.executemany(QUARANTINE, ((self._now, *row) for row in bad.select(order).iter_rows()))


def _replaced(changes: Changes, source: str) -> Iterator[str]:
    """Say how many bars of other sources were replaced: two of different adjustment make a seam."""
    symbol, timeframe = changes.key
    for other, bars in changes.replaced.most_common():
        if other != source:
            which = "1 bar" if bars == 1 else f"{bars:,} bars"
            whose = f"from {excerpt(other)}" if other else "of which nobody said where from"
            yield f"{symbol} {timeframe}: {which} {whose} replaced by other values"
