"""What a sync has done, while it is under way and at its end: by series, and in all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from mdstore.core.html import table_html
from mdstore.errors import ClockError, MarketDataError

if TYPE_CHECKING:
    import polars as pl

    from mdstore.sources.sync.candle_source import Wait

__all__ = ["SeriesSync", "State", "SyncResult"]

State = Literal["up to date", "waiting", "elsewhere", "at work", "done", "delisted", "failed"]
WHOLE = ("start", "end", "bars", "inserted", "updated", "unchanged", "bad")
COLUMNS = ("symbol", "timeframe", "state", "bars", "inserted", "updated", "holes", "error")


@dataclass(slots=True)
class SeriesSync:
    """What became of one series.

    `start` and `end` (ms) bound what is asked for, `missing` is how many bars that was at first, and `pages`
    in about how many answers they come; `done` and `pages_done` are those that have landed. `inserted`,
    `updated` and `unchanged` are the rows that came, `bad` the bars that are not there since their rows break
    a rule: these are in quarantine, and the bars are asked for again (with `every`, ever later).
    `holes` are the bars of that range that are not there, by reason. `state` is "elsewhere" while another
    process asks for it, and "delisted" of one that the source gave once and has no more. `error` says why it
    failed.
    """

    symbol: str
    timeframe: str
    start: int | None = None
    end: int | None = None
    missing: int = 0
    pages: int = 0
    done: int = 0
    pages_done: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    bad: int = 0
    holes: dict[str, int] = field(default_factory=dict)
    state: State = "up to date"
    error: MarketDataError | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Which series it is."""
        return self.symbol, self.timeframe

    def expect(self, missing: int, pages: int) -> None:
        """Take note of how much is left, besides what has landed."""
        self.missing, self.pages = self.done + missing, self.pages_done + pages

    def __str__(self) -> str:
        return f"{self.symbol} {self.timeframe}"


@dataclass(slots=True, repr=False)
class SyncResult:
    """What a sync has done. While it is under way it is what `progress` is called with.

    `series` are all that were meant, by timeframe and symbol. `requests` counts what was sent
    to the source, also to find out what there is; `seconds` is how long it took. `wait` is for what the
    source waits, such as the end of a ban, and None otherwise; `waiting` says it in words. `pace` is the
    requests a second that the source takes, None where nobody knows. `is_over` is false while it is under
    way. `clock` is what is wrong with this machine's clock by that of the source, if that is known.
    """

    source: str
    series: list[SeriesSync] = field(default_factory=list)
    requests: int = 0
    seconds: float = 0.0
    wait: Wait | None = None
    pace: float | None = None
    is_over: bool = False
    clock: ClockError | None = None

    @property
    def waiting(self) -> str:
        """For what the source waits, in words; empty if it does not."""
        if self.wait is None:
            return ""
        host, reason = self.wait.host, self.wait.reason
        return f"{'' if reason.startswith(host) else f'{host}: '}{reason}, {self.wait.seconds:.0f} s"

    @property
    def inserted(self) -> int:
        """The bars that are new."""
        return sum(one.inserted for one in self.series)

    @property
    def updated(self) -> int:
        """The bars that were there with other values; those before are kept as revisions."""
        return sum(one.updated for one in self.series)

    @property
    def bad(self) -> int:
        """The bars that are not there since their rows, which are in quarantine, break a rule."""
        return sum(one.bad for one in self.series)

    @property
    def missing(self) -> int:
        """The bars that were to be asked for."""
        return sum(one.missing for one in self.series)

    @property
    def done(self) -> int:
        """Those of them that were asked for, and answered."""
        return sum(one.done for one in self.series)

    @property
    def pages(self) -> int:
        """In about how many answers they come."""
        return sum(one.pages for one in self.series)

    @property
    def pages_done(self) -> int:
        """How many answers have landed."""
        return sum(one.pages_done for one in self.series)

    @property
    def holes(self) -> dict[str, int]:
        """The bars that are not there in what was asked for, by reason."""
        found: dict[str, int] = {}
        for one in self.series:
            for reason, bars in one.holes.items():
                found[reason] = found.get(reason, 0) + bars
        return found

    @property
    def failed(self) -> dict[tuple[str, str], MarketDataError]:
        """What failed, by (symbol, timeframe), and why; empty where nothing did."""
        return {one.key: one.error for one in self.series if one.error is not None}

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes at the pace so far, or at that of the source; None before that is known."""
        left = self.pages - self.pages_done
        if left <= 0:
            return 0.0
        at_best = 0.0 if self.pace is None else left / self.pace
        if not self.pages_done or not self.seconds:
            return at_best or None
        return max(at_best, left * self.seconds / self.pages_done)

    @property
    def frame(self) -> pl.DataFrame:
        """One row a series: what was asked for and came, its holes by reason, and why it failed."""
        import polars as pl  # noqa: PLC0415 - progress is shown before anything needs it

        time, texts, whole = pl.Datetime("ms", "UTC"), ("symbol", "timeframe", "state"), WHOLE
        schema = {**dict.fromkeys(texts, pl.String()), **dict.fromkeys(whole, pl.Int64())}
        rows = [
            (*one.key, one.state, one.start, one.end, one.done, *(getattr(one, name) for name in WHOLE[3:]))
            for one in self.series
        ]
        found = pl.DataFrame(rows, schema, orient="row").with_columns(pl.col("start", "end").cast(time))
        holes = [
            pl.Series(reason, [one.holes.get(reason, 0) for one in self.series], pl.Int64)
            for reason in sorted(self.holes)
        ]
        errors = [None if one.error is None else str(one.error) for one in self.series]
        return found.with_columns(*holes, pl.Series("error", errors, pl.String))

    def __repr__(self) -> str:
        counts = ("inserted", "updated", "requests", *(["bad"] if self.bad else []))
        told = ", ".join(f"{name}={getattr(self, name)}" for name in counts)
        return f"SyncResult({self.source!r}, {len(self.series)} series, {told}, failed={len(self.failed)})"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: a row for each series that was worked on."""
        shown = [one for one in self.series if one.state != "up to date"]
        rows = (
            (
                *one.key,
                one.state,
                one.done,
                one.inserted,
                one.updated,
                _said(one.holes.items()),
                one.error or "",
            )
            for one in shown
        )
        quiet = len(self.series) - len(shown)
        note = f"{quiet:,} of {len(self.series):,} series had all there is" if quiet else ""
        title = f"{self.source}: {self.inserted:,} new, {self.updated:,} changed, {self.requests:,} requests"
        return table_html(f"{title}, {self.seconds:.1f} s", COLUMNS, rows, len(shown), note)


def _said(holes: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{reason} {bars:,}" for reason, bars in holes)
