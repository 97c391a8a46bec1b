"""One run of upkeep: what is found, what is decided and why, what was done, and what that changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mdstore.optimization.decision import Decision
from mdstore.optimization.freezing import Freezer
from mdstore.optimization.ownership import Owner, upkeep_of
from mdstore.optimization.statistics import StatisticsKeeper, StatisticsNeed
from mdstore.optimization.threads import Stop, never
from mdstore.optimization.vacuum import SmartVacuumScheduler

if TYPE_CHECKING:
    from mdstore.candles.upkeep.freezing import Frozen

__all__ = ["Optimized", "State", "optimize"]

ALL: dict[str, str] = {
    "a range of a series": (
        "SELECT * FROM candles WHERE symbol = ? AND timeframe = ? AND timestamp >= ? AND timestamp < ?"
    ),
    "the latest bars": (
        "SELECT * FROM candles WHERE symbol = ? AND timeframe = ? ORDER BY timestamp DESC LIMIT 200"
    ),
    "all series": "SELECT * FROM series ORDER BY symbol, timeframe",
}
"""Statements whose plans are shown."""


@dataclass(frozen=True, slots=True)
class State:
    """The file at one moment: bytes, pages, how many are free, how much of `candles` is in order (0 to 1).

    `cold_ms` and `warm_ms` are of a read of half a million rows, from the disk and from memory; None where
    that cannot be measured. `plans` are those of the statements that every store runs.
    """

    bytes: int
    pages: int
    free: int
    in_order: float
    cold_ms: float | None
    warm_ms: float | None
    plans: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Optimized:
    """What a run found and did. `done` is empty where nothing was needed, and in a dry run.

    `freezes` is how many candles of how many series are old enough to be frozen; None where no age was given.
    """

    decision: Decision
    statistics: StatisticsNeed
    before: State
    after: State
    done: tuple[str, ...] = ()
    freezes: Frozen | None = None

    def __str__(self) -> str:
        told = "\n".join(self.done) or "nothing was done"
        return f"{self.reasons}\n{told}"

    @property
    def reasons(self) -> str:
        """What was found, in lines."""
        lines, old = [str(self.decision), str(self.statistics)], self.freezes
        if old is not None:
            lines.append(f"freezing: {old.rows:,} candles of {old.series:,} series are old enough")
        return "\n".join(lines)


def optimize(
    owner: Owner,
    scheduler: SmartVacuumScheduler | None = None,
    *,
    dry_run: bool = False,
    freezer: Freezer | None = None,
    stop: Stop = never,
    progress: Callable[[str], Any] | None = None,
) -> Optimized:
    """Decide what the file needs and do it; in a dry run only say so.

    What a `freezer` finds old is frozen first. Whoever asks has chosen the time: quiet hours and the last
    VACUUM are no matter. Raises `StoreBusyError` where another is at it, `MaintenanceStoppedError`,
    `StoreFileError`.
    """
    upkeep = upkeep_of(owner)
    scheduler = scheduler or SmartVacuumScheduler(owner)
    keeper = StatisticsKeeper(owner)
    told = progress or (lambda _: None)
    told("looking")
    before = _state(owner)
    freezes = None if freezer is None else freezer.evaluate()
    if dry_run:
        decision = scheduler.evaluate(at_once=True, stop=stop)
        return Optimized(decision, keeper.evaluate(), before, before, freezes=freezes)
    with upkeep.holding():
        frozen = ""
        if freezer is not None:
            told("freezing")
            frozen = freezer.run(stop=stop)
        decision, need = scheduler.evaluate(at_once=True, stop=stop), keeper.evaluate()
        told(decision.action)
        done = scheduler.act(decision, stop=stop)
        told("statistics")
        analyzed = keeper.run()
    all_done = tuple(filter(None, (frozen, done, analyzed)))
    return Optimized(decision, need, before, _state(owner), all_done, freezes)


def _state(owner: Owner) -> State:
    upkeep = upkeep_of(owner)
    pages, tables, scan = upkeep.pages(), upkeep.tables(("candles",)), upkeep.scan() or {}
    return State(
        bytes=pages.bytes,
        pages=pages.count,
        free=pages.free,
        in_order=tables[0].in_order if tables else 1.0,
        cold_ms=scan.get("cold"),
        warm_ms=scan.get("warm"),
        plans={name: "; ".join(upkeep.plan(sql)) for name, sql in ALL.items()},
    )
