"""What `mdstore sync` does and prints: progress, the table at the end, and what to do about what failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.markup import escape

from mdstore.cli.output.sync_progress import SyncProgress, duration
from mdstore.cli.shared.errors import said
from mdstore.cli.shared.json_text import json_text, records
from mdstore.cli.shared.table import Column, print_grid, room
from mdstore.cli.shared.texts import count
from mdstore.cli.shared.which_series import names_and_timeframes
from mdstore.errors import (
    ClockError,
    InvalidInputError,
    MarketDataError,
    NoSuchMarketError,
    NoSuchSeriesError,
)

if TYPE_CHECKING:
    from mdstore.sources.sync.result import SeriesSync, SyncResult
    from mdstore.store.store import MarketDataStore

__all__ = ["Command", "run_sync", "series_in"]

MOST_SERIES = 60
SPARE = ("bars", "updated", "holes")
TOTALS = ("source", "inserted", "updated", "bad", "requests", "seconds", "missing", "pages")
PLANNED = ("symbol", "timeframe", "start", "end")
GO_ON = "What has come is stored. Run the same command again: it goes on from there, and asks nothing twice"
BAD = "{} broke a rule and came into quarantine; a later sync asks for these bars again"
AGAIN = "Run the same command again: it asks for what failed, and for nothing else"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    since: str | None
    until: str | None
    every: str | None
    dry_run: bool
    base_url: str | None
    offline: bool


@dataclass(frozen=True, slots=True)
class Command(_Options):
    """What was typed: the arguments of `store.sync`."""

    source: str
    symbols: Sequence[str]
    timeframes: Sequence[str]


def series_in(words: Sequence[str], *, whole: bool) -> tuple[list[str], list[str]]:
    """Return the symbols and the timeframes among what was typed; these come last."""
    symbols, timeframes = names_and_timeframes(words)
    if not timeframes:
        raise typer.BadParameter("name a timeframe at the end: mdstore sync upbit KRW-BTC 1m")
    if whole and symbols:
        raise typer.BadParameter("--all is every market: leave out the symbols, or name a pattern as 'KRW-*'")
    if not whole and not symbols:
        raise typer.BadParameter("say of which: symbols, a pattern such as 'KRW-*', or --all")
    return (["*"] if whole else symbols), timeframes


def run_sync(
    store: MarketDataStore, command: Command, out: Console | None, remarks: Console
) -> tuple[SyncResult, bool]:
    """Sync, and print what came of it on `out`, as JSON without one; return that, and whether Ctrl-C came.

    With `every` a line is printed for each round. As JSON that is the same record as without it.
    """
    told = _Rounds(out, remarks)
    with SyncProgress(remarks, rounds=told if command.every and not command.dry_run else None) as progress:
        try:
            result = store.sync(
                command.source, command.symbols, command.timeframes, since=command.since, until=command.until,
                every=command.every, dry_run=command.dry_run, base_url=command.base_url,
                offline=command.offline, progress=progress,
            )  # fmt: skip
            interrupted = False
        except KeyboardInterrupt:
            if progress.latest is None:
                raise
            result, interrupted = progress.latest, True
    if command.dry_run:
        _print_plan(result, out)
    elif out is not None:
        _print_summary(result, out)
    elif not command.every:
        _print_json(result)
    if result.clock is not None and not command.every:
        _print_clock(result.clock, remarks)
    for one in result.series:
        if one.error is not None:
            remarks.print(f"[bold red]error:[/] {escape(_error_of(one, one.error))}", highlight=False)
        elif one.bad:
            remarks.print(
                f"[bold red]error:[/] {escape(str(one))}: {BAD.format(count(one.bad, 'row'))}",
                highlight=False,
            )
    if interrupted:
        remarks.print(f"interrupted. {GO_ON}", highlight=False)
    elif result.failed and not command.dry_run:
        whole = len(result.series) - len(result.failed)
        came = f"{whole:,} of {len(result.series):,} series came whole"
        helps = not command.offline and any(_is_worth_repeating(error) for error in result.failed.values())
        remarks.print(f"{came}. {AGAIN}" if helps else came, highlight=False)
    return result, interrupted


def _error_of(one: SeriesSync, error: MarketDataError) -> str:
    """Return an error with the series that it is of, which the error may begin with."""
    text = said(error)
    return text if text.startswith(f"{one} ") else f"{one}: {text}"


def _is_worth_repeating(error: MarketDataError) -> bool:
    """Tell whether the same command may do better later: not where it asks for what there is not."""
    return not isinstance(error, InvalidInputError | NoSuchMarketError | NoSuchSeriesError)


def _print_json(result: SyncResult, *, planned: bool = False) -> None:
    """Print a result as a line of JSON: whoever reads it has it at once."""
    facts = {name: getattr(result, name) for name in TOTALS}
    rows = records(result.frame)
    if planned:
        plans = [{"bars": one.missing, "pages": one.pages} for one in result.series]
        rows = [
            {**{name: row[name] for name in PLANNED}, **plan} for row, plan in zip(rows, plans, strict=True)
        ]
    ended = datetime.now(UTC).replace(microsecond=0)
    print(json_text({**facts, "ended": ended, "holes": result.holes, "series": rows}), flush=True)


class _Rounds:
    """Prints each round of a sync that goes on; what is wrong with the clock once."""

    def __init__(self, out: Console | None, remarks: Console) -> None:
        self._out, self._remarks, self._told = out, remarks, False

    def __call__(self, result: SyncResult) -> None:
        if self._out is None:
            _print_json(result)
        else:
            _print_round(self._out, result)
        if result.clock is not None and not self._told:
            _print_clock(result.clock, self._remarks)
            self._told = True


def _print_clock(error: ClockError, remarks: Console) -> None:
    remarks.print(f"[bold yellow]warning:[/] {escape(said(error))}", highlight=False)


def _print_round(out: Console, result: SyncResult) -> None:
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
    failed = f", {len(result.failed):,} failed" if result.failed else ""
    came = f"{result.inserted:,} new, {result.updated:,} changed, {count(result.requests, 'request')}"
    bad = f", {count(result.bad, 'bar')} bad" if result.bad else ""
    delisted = [one.symbol for one in result.series if one.state == "delisted"]
    gone = f", delisted: {', '.join(dict.fromkeys(delisted))}" if delisted else ""
    out.print(escape(f"{now} {came}, {duration(result.seconds)}{failed}{bad}{gone}"), highlight=False)


# ---- at the end


def _print_summary(result: SyncResult, out: Console) -> None:
    worked = [one for one in result.series if one.state != "up to date"]
    if worked:
        print_grid(out, _columns(worked[:MOST_SERIES], result), room(out))
    if len(worked) > MOST_SERIES:
        out.print(f"... and {len(worked) - MOST_SERIES:,} more series", highlight=False)
    quiet = len(result.series) - len(worked)
    if quiet:
        out.print(f"{quiet:,} of {len(result.series):,} series: nothing was missing", highlight=False)
    rate = result.done / result.seconds if result.seconds and result.done else 0
    text = (
        f"{result.inserted:,} new, {result.updated:,} changed, {count(result.requests, 'request')}, "
        f"{duration(result.seconds)}"
    )
    out.print(f"{text}, {rate:,.0f} bars/s" if rate else text, highlight=False)


def _columns(series: Sequence[SeriesSync], result: SyncResult) -> list[Column]:
    def counts(name: str, field: str, total: int) -> Column:
        cells = [f"{getattr(one, field):,}" for one in series]
        return Column(name, cells, right=True, footer=f"{total:,}", spare=_spare(name))

    return [
        Column("symbol", [one.symbol for one in series], cut="end", footer="in all"),
        Column("timeframe", [one.timeframe for one in series]),
        counts("bars", "done", result.done),
        counts("inserted", "inserted", result.inserted),
        counts("updated", "updated", result.updated),
        Column(
            "holes", [_holes(one.holes) for one in series], cut="end", footer=_holes(result.holes), spare=2
        ),
        Column("state", [one.state for one in series]),
    ]


def _spare(name: str) -> int | None:
    return SPARE.index(name) if name in SPARE else None


def _holes(holes: dict[str, int]) -> str:
    return ", ".join(f"{bars:,} {reason}" for reason, bars in sorted(holes.items()))


# ---- a dry run


def _print_plan(result: SyncResult, out: Console | None) -> None:
    if out is None:
        _print_json(result, planned=True)
        return
    lacking = [one for one in result.series if one.state != "up to date"]
    shown = lacking[:MOST_SERIES]
    columns = [
        Column("symbol", [one.symbol for one in shown], cut="end", footer="in all"),
        Column("timeframe", [one.timeframe for one in shown]),
        Column("bars", [f"{one.missing:,}" for one in shown], right=True, footer=f"{result.missing:,}"),
        Column("pages", [f"{one.pages:,}" for one in shown], right=True, footer=f"{result.pages:,}"),
    ]
    if lacking:
        print_grid(out, columns, room(out))
    left = result.seconds_left
    pace = f", {duration(left)} at {result.pace:g} requests a second" if result.pace and left else ""
    out.print(
        f"{count(result.missing, 'bar')} in {count(result.pages, 'page')} at most{pace}; nothing was fetched",
        highlight=False,
    )
