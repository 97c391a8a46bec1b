"""The flags of `mdstore verify`: what is wrong in the candles."""

from __future__ import annotations

from typing import Annotated

import typer

from mdstore.cli.shared.console import to_stderr, to_stdout
from mdstore.cli.shared.errors import ERROR
from mdstore.cli.shared.options import FileOption, JsonOption, SeriesArgument
from mdstore.cli.shared.store import store_file, stored

__all__ = ["verify"]


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
    from mdstore.cli.output.verify import print_findings
    from mdstore.cli.shared.which_series import with_timeframe

    with stored(store_file(ctx, file)) as store:
        symbols, timeframe = with_timeframe(store, symbols, timeframe)
        sound = print_findings(store, to_stdout(), to_stderr(), symbols, timeframe, every=every, json=json)
    if not sound:
        raise typer.Exit(ERROR)
