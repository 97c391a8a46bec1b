"""Answers of a service: a frame, and beside it what is known of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import polars as pl
import pyarrow as pa

from mdstore.core.once import once
from mdstore.core.timestamps import ms_to_datetime

__all__ = ["About", "Facts", "MarketAnswer", "Step", "ranges_frame"]

TIME = pl.Datetime("ms", "UTC")


@dataclass(frozen=True, slots=True)
class Step:
    """A tier that was asked: what it had, and how long it took."""

    tier: str
    had: str
    microseconds: float


@dataclass(frozen=True, slots=True)
class Facts:
    """How an answer came to be, and what gives the rest when it is looked at."""

    tiers: tuple[str, ...]
    rows_by_tier: Mapping[str, int]
    ranges: Callable[[], pl.DataFrame]
    at: int
    """When, in ms."""
    why_stale: Mapping[str, str]
    """By symbol, why something may be missing that an upstream has."""
    steps: tuple[Step, ...] = ()
    made_of: Callable[[], Mapping[str, str]] = dict
    """By symbol, the timeframe that its bars are made of, where they are not stored."""
    holes: Callable[[], pl.DataFrame] | None = None
    provenance: Callable[[], pl.DataFrame] | None = None
    newest: Callable[[], int | None] | None = None
    """The end of the newest bar that has ended, or the time of the newest row, in ms."""
    lacks: Callable[[], Mapping[str, str]] | None = None
    """By symbol, which bars are missing that nobody has been asked for."""


class About:
    """What is known of an answer; whatever costs anything is worked out when it is looked at, and once.

    Of the answer itself are `at`, `tiers`, `rows_by_tier`, `ranges`, `made_of`, `steps`, `newest`, `age` and
    `fingerprint`, whenever they are looked at. What the store knows of its bars is what it knows when it is
    first looked at: `holes`, `provenance`, `sources` and `collected`. `is_stale` and `why_stale` compare the
    answer with the store of that moment, and say so where this has other bars by then.
    """

    def __init__(self, facts: Facts, table: Callable[[], pa.Table]) -> None:
        self._facts = facts
        self._table = table

    @property
    def tiers(self) -> tuple[str, ...]:
        """The tiers that gave rows, e.g. `("memory",)` or `("packs", "sqlite", "coordinator")`.

        Memory is asked first. Bars that form are of "live" or "router", those of shorter ones "made".
        """
        return self._facts.tiers

    @property
    def rows_by_tier(self) -> Mapping[str, int]:
        """The rows that came from an upstream for this call, by tier."""
        return self._facts.rows_by_tier

    @once
    def ranges(self) -> pl.DataFrame:
        """Which tier gave which range of which symbol: `symbol`, `start`, `end`, `tier` and `rows`.

        What an upstream was asked for comes first, in that order; then what was here, by symbol.
        """
        return self._facts.ranges()

    @once
    def made_of(self) -> Mapping[str, str]:
        """By symbol, the stored timeframe that its bars are made of; those that are stored are not in it."""
        return self._facts.made_of()

    @property
    def at(self) -> datetime:
        """When the answer was given."""
        return ms_to_datetime(self._facts.at)

    @property
    def steps(self) -> tuple[Step, ...]:
        """Each tier that was asked, what it had and how long it took; with `explain=True`.

        Where memory had nothing, the time that took is in that of the next step.
        """
        return self._facts.steps

    @once
    def holes(self) -> pl.DataFrame:
        """The holes of the range now, with reasons, as `store.gaps` gives them; empty for realtime rows."""
        return pl.DataFrame() if self._facts.holes is None else self._facts.holes()

    @once
    def provenance(self) -> pl.DataFrame:
        """Where the bars of its range that are stored now came from and when, as `store.provenance` says it.

        Empty for realtime rows.
        """
        return pl.DataFrame() if self._facts.provenance is None else self._facts.provenance()

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources of the bars, each once."""
        found = self.provenance
        return tuple(found["source"].drop_nulls().unique().sort()) if len(found) else ()

    @property
    def collected(self) -> datetime | None:
        """When the last of the bars arrived; None where nobody noted it."""
        found = self.provenance
        value = found["arrived_last"].max() if len(found) else None
        return value if isinstance(value, datetime) else None

    @once
    def newest(self) -> datetime | None:
        """Where the newest bar ends that has ended, or the time of the newest row; None of nothing."""
        found = None if self._facts.newest is None else self._facts.newest()
        return None if found is None else ms_to_datetime(found)

    @property
    def age(self) -> float | None:
        """How old the newest was when the answer was given, in seconds."""
        return None if self.newest is None else (self.at - self.newest).total_seconds()

    @once
    def fingerprint(self) -> str:
        """A hash of the content, as `mdstore.fingerprint(answer.frame)` gives it."""
        from mdstore.analysis.fingerprints import fingerprint  # noqa: PLC0415

        return fingerprint(self._table())

    @once
    def is_stale(self) -> bool:
        """Whether something newer or more could be had when this is first looked at, see `why_stale`."""
        return bool(self.why_stale)

    @once
    def why_stale(self) -> Mapping[str, str]:
        """By symbol, what the answer lacks and why: what failed, what nobody has or was asked for.

        Under no symbol ("") is what is true of all: offline, or that the store has other bars by now.
        """
        known = self._facts.why_stale
        if "" in known or self._facts.lacks is None:
            return known
        return {**self._facts.lacks(), **known}  # what failed of one symbol says nothing of the others

    def __repr__(self) -> str:
        stale = f", stale: {'; '.join(self._facts.why_stale.values())}" if self._facts.why_stale else ""
        return f"<About: by {' + '.join(self.tiers) or 'nothing'}{stale}>"


@dataclass(eq=False, repr=False)
class MarketAnswer:
    """What a service answers: `frame` (Polars) or `table` (Arrow), and `about` it."""

    _table: Callable[[], pa.Table]
    _frame: Callable[[], pl.DataFrame]
    """Gives another frame each time."""
    facts: Callable[[], Facts]
    """Gives what `about` tells; most answers are never asked."""
    size: tuple[int, int]
    """Rows and bytes."""

    def own(self) -> MarketAnswer:
        """Return the same answer for another caller, who may change the frame in place."""
        return replace(self)

    @once
    def frame(self) -> pl.DataFrame:
        """The rows as a Polars frame, the caller's own."""
        return self._frame()

    @once
    def table(self) -> pa.Table:
        """The rows as an Arrow table."""
        return self._table()

    @once
    def about(self) -> About:
        """What is known of the rows."""
        return About(self.facts(), lambda: self.table)

    def __len__(self) -> int:
        return len(self.frame)

    def __repr__(self) -> str:
        return f"<MarketAnswer: {len(self):,} rows, {self.about!r}>"

    def _repr_html_(self) -> str:
        html: Any = self.frame._repr_html_()
        return str(html)


def ranges_frame(rows: Sequence[tuple[str, int, int, str, int]]) -> pl.DataFrame:
    """Return symbol, start, end (ms), tier and rows as a frame."""
    schema = {"symbol": pl.String, "start": pl.Int64, "end": pl.Int64, "tier": pl.String, "rows": pl.Int64}
    return pl.DataFrame(rows, schema, orient="row").with_columns(pl.col("start", "end").cast(TIME))
