"""When old candles are frozen: once a day those of an age, where a series has enough of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mdstore.optimization.ownership import Owner, upkeep_of
from mdstore.optimization.threads import Stop, never

if TYPE_CHECKING:
    from mdstore.candles.upkeep.file_upkeep import FileUpkeep
    from mdstore.candles.upkeep.freezing import Frozen

__all__ = ["FROZEN", "THAWED", "Freezer", "note"]

FROZEN, THAWED = "freeze", "thaw"
"""The kinds of records that are kept."""
REST_MS: Final = 20 * 3_600_000
"""It is looked once a day."""
LEAST_ROWS: Final = 1_024
"""A piece that is not full is made again with what follows: not for each day's few bars."""


class Freezer:
    """Freezes the bars of every series that start longer ago than an age (ms)."""

    def __init__(self, owner: Owner, age_ms: int) -> None:
        self._upkeep = upkeep_of(owner)
        self._age_ms = age_ms

    @property
    def is_due(self) -> bool:
        """Whether it was long ago that bars were frozen."""
        own = (one for one in reversed(self._upkeep.records(FROZEN)) if not one.get("by_hand"))
        last = next(own, None)
        return last is None or self._now() - int(last["at"]) >= REST_MS

    def evaluate(self) -> Frozen:
        """Return how many bars of how many series are old enough, where they are enough of them."""
        return self._upkeep.to_freeze(self._now() - self._age_ms, least=LEAST_ROWS)

    def run(self, *, stop: Stop = never) -> str:
        """Freeze what is old enough, and say what that was; empty where it was nothing."""
        found = self._upkeep.freeze(None, self._now() - self._age_ms, least=LEAST_ROWS, stop=stop)
        note(self._upkeep, FROZEN, found)
        return f"{found.rows:,} old candles of {found.series:,} series frozen" if found.rows else ""

    def _now(self) -> int:
        return int(self._upkeep.now() * 1000)


def note(upkeep: FileUpkeep, kind: str, found: Frozen, *, by_hand: bool = False) -> None:
    """Keep a record of what was frozen or thawed; by hand it does not count as the look of a day."""
    figures = {"rows": found.rows, "series": found.series}
    figures |= {"bytes": found.bytes} if kind == FROZEN else {}
    upkeep.record(kind, figures | ({"by_hand": True} if by_hand else {}))
