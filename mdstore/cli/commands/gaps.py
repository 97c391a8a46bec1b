"""The flags of `mdstore gaps`: which bars are missing, and why."""

from __future__ import annotations

from typing import Annotated

import typer

from mdstore.cli.shared.console import to_stderr, to_stdout
from mdstore.cli.shared.options import EndOption, FileOption, JsonOption, SeriesArgument, StartOption
from mdstore.cli.shared.store import store_file, stored

__all__ = ["gaps"]


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
    from mdstore.cli.output.gaps import print_holes, print_missing
    from mdstore.cli.output.gaps_at_a_glance import print_glance
    from mdstore.cli.shared.which_series import with_timeframe

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
