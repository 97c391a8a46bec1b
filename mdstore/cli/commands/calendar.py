"""The flags of `mdstore calendar`: patterns of symbols, and when they trade."""

from __future__ import annotations

from typing import Annotated

import typer

from mdstore.cli.shared.console import to_stderr, to_stdout
from mdstore.cli.shared.options import FileOption, JsonOption, WaitOption, complete_symbol
from mdstore.cli.shared.store import store_file, stored

__all__ = ["calendar"]


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
    always. Quote patterns: a shell puts names of files in their place.

    For example:

      mdstore calendar

      mdstore calendar 'KRX:*' XKRX

      mdstore calendar AAPL

      mdstore calendar 'KRX:*' --remove
    """
    from mdstore.cli.output import calendar as output

    if remove and (pattern is None or name is not None):
        raise typer.BadParameter("--remove takes a pattern, and no name")
    out = to_stdout()
    with stored(store_file(ctx, file), wait=wait) as store:
        if pattern is None:
            output.print_calendars(store, out, json=json)
        elif remove:
            output.remove_calendar(store, out, pattern, json=json)
        elif name is not None:
            output.set_calendar(store, out, pattern, name, json=json)
        else:
            output.print_calendar_of(store, out, to_stderr(), pattern, json=json)
