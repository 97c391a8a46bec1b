"""When SQLite's planner is told anew what the tables hold: never before, after growth, after bulk loads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mdstore.optimization.decision import Condition
from mdstore.optimization.ownership import Owner, upkeep_of

__all__ = ["ANALYZED", "StatisticsKeeper", "StatisticsNeed"]

ANALYZED: Final = "analyze"
"""The kind of record that is kept."""
GROWTH: Final = 1.25
"""Tables are analyzed again when there are so many times as many candles, or as few."""
BULK_ROWS: Final = 1_000_000
"""Or so many more."""
DAY: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class StatisticsNeed:
    """Whether tables are to be analyzed, and why."""

    conditions: tuple[Condition, ...]

    @property
    def needed(self) -> bool:
        """Whether any condition is met."""
        return any(one.met for one in self.conditions)

    def __str__(self) -> str:
        return "\n".join(("statistics:", *(f"  {one}" for one in self.conditions)))


class StatisticsKeeper:
    """Keeps what SQLite's planner knows of tables up to date: `ANALYZE` of a bounded number of rows."""

    def __init__(self, owner: Owner) -> None:
        self._upkeep = upkeep_of(owner)

    def evaluate(self) -> StatisticsNeed:
        """Return whether tables are to be analyzed, and why; microseconds."""
        last, rows = self._upkeep.last(ANALYZED), self._upkeep.rows()
        before = 0 if last is None else int(last["rows"])
        days = (self._upkeep.now() * 1000 - last["at"]) / DAY if last else None
        times = rows / before if before else float(rows > 0) * GROWTH
        has_grown = not 1 / GROWTH < times < GROWTH and rows != before
        value = "never" if days is None else f"{days:.1f} days ago"
        more = rows - before
        return StatisticsNeed(
            (
                Condition("analyzed", value, "never", met=last is None and rows > 0),
                Condition(
                    "candles",
                    f"{rows:,} now, {before:,} then",
                    f"{GROWTH:g} times as many, or few",
                    met=has_grown,
                ),
                Condition("candles more", f"{more:,}", f">= {BULK_ROWS:,}", met=more >= BULK_ROWS),
            )
        )

    def run(self) -> str:
        """Analyze what SQLite finds worth it, or all where a rule here asks for it; say what was done."""
        need = self.evaluate()
        ran = self._upkeep.optimize()
        if need.needed:
            self._upkeep.analyze()
        elif not ran:
            return ""
        self._upkeep.record(ANALYZED, {"rows": self._upkeep.rows(), "tables": len(ran)})
        done = "statistics brought up to date"
        return done if need.needed else f"{done}: SQLite has found it worth it"
