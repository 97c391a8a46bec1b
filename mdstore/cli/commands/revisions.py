"""The flags of `mdstore revisions`: which changes of bars."""

from __future__ import annotations

from typing import Annotated

import typer

from mdstore.cli.shared.console import to_stderr, to_stdout
from mdstore.cli.shared.options import EndOption, FileOption, JsonOption, StartOption, complete_symbol
from mdstore.cli.shared.store import store_file, stored

__all__ = ["revisions"]


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
    rows: Annotated[
        int | None,
        typer.Option(
            "--rows", "-n", min=1, help="Changes at most, the latest: 20, with --json all, if left out."
        ),
    ] = None,
    file: FileOption = None,
    json: JsonOption = False,
) -> None:
    """Show how bars changed after they had ended: exchanges correct history.

    `mdstore show --as-of TIME` shows the bars as they were known then.

    For example:

      mdstore revisions

      mdstore revisions KRW-BTC 1m --start 2025-09-01 -n 100
    """
    from mdstore.cli.output.revisions import print_revisions

    if bar is not None and timeframe is not None:
        raise typer.BadParameter("the timeframe is given twice, as TIMEFRAME and as --timeframe")
    timeframe = timeframe or bar
    with stored(store_file(ctx, file)) as store:
        print_revisions(
            store, to_stdout(), to_stderr(), symbol, timeframe, start=start, end=end, rows=rows, json=json
        )
