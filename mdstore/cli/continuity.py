"""The commands that tell how far candles are whole and right: holes, findings, calendars, changes."""

# What reads and writes is imported by the command that needs it: help and completion stay quick.
# ruff: noqa: PLC0415

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from mdstore.cli.maintenance import app
from mdstore.cli.shell import (
    ERROR,
    EndOption,
    FileOption,
    JsonOption,
    StartOption,
    SymbolArgument,
    TimeframeArgument,
    WaitOption,
    complete_symbol,
    store_file,
    stored,
    to_stderr,
    to_stdout,
)

__all__ = ["app"]

SeriesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        help="Which, and after them a timeframe; all if none is given.", autocompletion=complete_symbol
    ),
]


class Why(StrEnum):
    """Why bars are not there, as somebody can state it."""

    NO_TRADE = "no_trade"
    EXCHANGE_DOWN = "exchange_down"
    BEFORE_LISTING = "before_listing"
    AFTER_DELISTING = "after_delisting"
    SESSION_CLOSED = "session_closed"
    FETCH_FAILED = "fetch_failed"


@app.command()
def gaps(
    ctx: typer.Context,
    *,
    symbols: SeriesArgument = None,
    timeframe: Annotated[
        str | None,
        typer.Option("--timeframe", "-t", help="Also after the symbols; may be left out."),
    ] = None,
    start: StartOption = None,
    end: EndOption = None,
    missing: Annotated[
        bool, typer.Option("--missing", help="What an update would ask a source for, up to now.")
    ] = False,
    page: Annotated[
        int | None, typer.Option(min=1, help="With --missing: bars that the source gives at a time.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Also the holes while the market was closed, one by one.")
    ] = False,
    rows: Annotated[
        int | None,
        typer.Option("--rows", "-n", min=1, help="Lines at most: 50 holes, or all series, if left out."),
    ] = None,
    file: FileOption = None,
    json: JsonOption = False,
) -> None:
    """Show which bars are missing, and why; where the others came from.

    Without symbols, or of several timeframes: series at a glance, drawn
    over time. Why bars are missing is never guessed: it was said (see
    `mdstore cover`), or asked, or is unknown. When markets are closed,
    `mdstore calendar` says.

    For example:

      mdstore gaps

      mdstore gaps KRW-BTC 1m --start 2025-09-01

      mdstore gaps KRW-BTC 1m --missing --page 200
    """
    from mdstore.cli.glance import print_glance
    from mdstore.cli.holes import print_holes, print_missing
    from mdstore.cli.queries import with_timeframe

    if page is not None and not missing:
        raise typer.BadParameter("--page is for --missing")
    out, remarks = to_stdout(), to_stderr()
    if missing and not symbols:
        raise typer.BadParameter("--missing is of series: name their symbols")
    with stored(store_file(ctx, file)) as store:
        symbols, timeframe = with_timeframe(store, symbols, timeframe)
        if missing and not symbols:
            raise typer.BadParameter("--missing is of series: name their symbols")
        if not symbols:
            print_glance(store, out, remarks, timeframe, start=start, end=end, rows=rows, json=json)
        elif missing:
            print_missing(
                store, out, remarks, symbols, timeframe, start=start, end=end, page=page, rows=rows, json=json
            )
        else:
            print_holes(
                store, out, remarks, symbols, timeframe,
                start=start, end=end, rows=rows, every=every, json=json,
            )  # fmt: skip


@app.command()
def cover(
    ctx: typer.Context,
    *,
    symbol: SymbolArgument,
    timeframe: TimeframeArgument = None,
    start: StartOption = None,
    end: EndOption = None,
    reason: Annotated[
        Why | None, typer.Option(help="Why; left out: asked for and not there, why is unknown.")
    ] = None,
    source: Annotated[str | None, typer.Option(metavar="TEXT", help="Who says so, or was asked.")] = None,
    withdrawn: Annotated[bool, typer.Option("--take-back", help="Take back what was said.")] = False,
    new: Annotated[bool, typer.Option("--new", help="Also of a series that is not stored yet.")] = False,
    wait: WaitOption = 10.0,
    file: FileOption = None,
    json: JsonOption = False,
) -> None:
    """Say why bars are missing, so that `gaps` knows and no update asks again.

    Bars that are stored stay as they are. What says more is kept: a reason
    stays where later is only said that there is no more.

    For example:

      mdstore cover KRW-BTC 1m --start 2025-09-03T19:25 --end 2025-09-03T19:26 --reason no_trade

      mdstore cover KRW-BTC --end 2017-09-25 --reason before_listing --source upbit

      mdstore cover KRW-BTC 1m --start 2025-09-03 --end 2025-09-04 --take-back
    """
    from mdstore.cli.covering import Span, say, take_back

    if withdrawn and (reason is not None or source is not None):
        raise typer.BadParameter("--take-back takes neither --reason nor --source")
    if start is None and end is None:
        raise typer.BadParameter("say of when: --start, --end or both")
    if new and timeframe is None:
        raise typer.BadParameter("--new needs a timeframe: mdstore cover SYMBOL TIMEFRAME --new")
    out = to_stdout()
    with stored(store_file(ctx, file), wait=wait) as store:
        span = Span.of(store, symbol, timeframe, start, end, new=new)
        if withdrawn:
            take_back(store, out, span, json=json)
        else:
            say(store, out, span, None if reason is None else reason.value, source, json=json)


@app.command()
def verify(
    ctx: typer.Context,
    *,
    symbols: SeriesArgument = None,
    timeframe: Annotated[
        str | None, typer.Option("--timeframe", "-t", help="Only this one; all if left out.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Tell every finding in words.")] = False,
    file: FileOption = None,
    json: JsonOption = False,
) -> None:
    """Look for what is wrong in the candles; exit with 1 if there is an error.

    An error contradicts what a candle is; a warning is to be looked at; an
    info is often how the market was. Nothing is changed. Is the file sound?
    `mdstore check` says.

    For example:

      mdstore verify

      mdstore verify KRW-BTC 1m --all
    """
    from mdstore.cli.findings import print_findings
    from mdstore.cli.queries import with_timeframe

    with stored(store_file(ctx, file)) as store:
        symbols, timeframe = with_timeframe(store, symbols, timeframe)
        sound = print_findings(store, to_stdout(), to_stderr(), symbols, timeframe, every=every, json=json)
    if not sound:
        raise typer.Exit(ERROR)


@app.command()
def calendar(
    ctx: typer.Context,
    *,
    pattern: Annotated[
        str | None,
        typer.Argument(help="A symbol, or a pattern such as 'KRX:*'.", autocompletion=complete_symbol),
    ] = None,
    name: Annotated[str | None, typer.Argument(help="Such as XNYS, XKRX or 24/7.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take the pattern away.")] = False,
    wait: WaitOption = 10.0,
    file: FileOption = None,
    json: JsonOption = False,
) -> None:
    """Say when symbols trade, so that closed sessions are no holes; or show it.

    The names are those of the package exchange_calendars. Where several
    patterns fit a symbol, the longest counts; where none does, it trades
    always. Quote patterns, lest the shell replaces them by files.

    For example:

      mdstore calendar

      mdstore calendar 'KRX:*' XKRX

      mdstore calendar AAPL

      mdstore calendar 'KRX:*' --remove
    """
    from mdstore.cli import markets

    if remove and (pattern is None or name is not None):
        raise typer.BadParameter("--remove takes a pattern, and no name")
    out = to_stdout()
    with stored(store_file(ctx, file), wait=wait) as store:
        if pattern is None:
            markets.print_calendars(store, out, json=json)
        elif remove:
            markets.remove_calendar(store, out, pattern, json=json)
        elif name is not None:
            markets.set_calendar(store, out, pattern, name, json=json)
        else:
            markets.print_calendar_of(store, out, to_stderr(), pattern, json=json)


@app.command()
def revisions(
    ctx: typer.Context,
    *,
    symbol: Annotated[
        str | None, typer.Argument(help="Which; all if left out.", autocompletion=complete_symbol)
    ] = None,
    timeframe: Annotated[str | None, typer.Argument(help="Only this one; all if left out.")] = None,
    bar: Annotated[str | None, typer.Option("--timeframe", "-t", help="The same as TIMEFRAME.")] = None,
    start: StartOption = None,
    end: EndOption = None,
    rows: Annotated[int, typer.Option("--rows", "-n", min=1, help="Changes to print at most.")] = 20,
    file: FileOption = None,
    json: JsonOption = False,
) -> None:
    """Show how bars changed after they had ended: exchanges correct history.

    `mdstore show --as-of TIME` shows the bars as they were known then.

    For example:

      mdstore revisions

      mdstore revisions KRW-BTC 1m --start 2025-09-01 -n 100
    """
    from mdstore.cli.changes import print_revisions

    if bar is not None and timeframe is not None:
        raise typer.BadParameter("the timeframe is given twice, as TIMEFRAME and as --timeframe")
    timeframe = timeframe or bar
    with stored(store_file(ctx, file)) as store:
        print_revisions(
            store, to_stdout(), to_stderr(), symbol, timeframe, start=start, end=end, rows=rows, json=json
        )
