"""The flags of `mdstore cover`: the range, and why there are no bars in it."""

from __future__ import annotations

from typing import Annotated

import typer

from mdstore.cli.shared.console import to_stdout
from mdstore.cli.shared.options import (
    EndOption,
    FileOption,
    JsonOption,
    SeriesArgument,
    StartOption,
    WaitOption,
)
from mdstore.cli.shared.store import store_file, stored
from mdstore.core.hole_reasons import Stated

__all__ = ["cover"]


def cover(
    ctx: typer.Context,
    *,
    symbols: SeriesArgument = None,
    timeframe: Annotated[
        str | None,
        typer.Option("--timeframe", "-t", help="Also after the symbols; may be left out."),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="All symbols that are stored, in one timeframe.")
    ] = False,
    start: StartOption = None,
    end: EndOption = None,
    reason: Annotated[
        Stated | None, typer.Option(help="Why; left out: asked for and not there, why is unknown.")
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

      mdstore cover KRW-BTC KRW-ETH 1m --start 2025-09-03 --end 2025-09-04 --take-back

      mdstore cover --all -t 1m --start 2025-09-03T02:00 --end 2025-09-03T03:00 --reason exchange_down
    """
    from mdstore.cli.output.cover import Span, say, take_back
    from mdstore.cli.shared.which_series import with_timeframe

    if withdrawn and (reason is not None or source is not None):
        raise typer.BadParameter("--take-back takes neither --reason nor --source")
    if start is None and end is None:
        raise typer.BadParameter("say of when: --start, --end or both")
    if every == bool(symbols):
        raise typer.BadParameter("say of which: symbols, or --all")
    out = to_stdout()
    with stored(store_file(ctx, file), wait=wait) as store:
        named, timeframe = with_timeframe(store, symbols, timeframe)
        if new and timeframe is None:
            raise typer.BadParameter("--new needs a timeframe: mdstore cover SYMBOL TIMEFRAME --new")
        span = Span.of(store, named, timeframe, start, end, new=new)
        if withdrawn:
            take_back(store, out, span, json=json)
        else:
            say(store, out, span, reason, source, json=json)
