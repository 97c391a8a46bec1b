"""What a write is told to do with rows that are in doubt, and what it says of what became of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime

from mdstore.candles.ledger.claims import Claim
from mdstore.core.checked_rows import Checked, OnInvalid
from mdstore.core.duplicates import OnConflict
from mdstore.core.html import facts_html

__all__ = ["Part", "Policy", "Progress", "WriteResult"]

Progress = Callable[[int], None]
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
