"""The flags of `mdstore thaw`: candles that are frozen, put back into the table."""

from __future__ import annotations

from typing import Annotated

import typer

from mdstore.cli.shared.console import to_stderr, to_stdout
from mdstore.cli.shared.options import FileOption, JsonOption, SeriesArgument, WaitOption
from mdstore.cli.shared.store import store_file, stored

__all__ = ["thaw"]


def thaw(
    ctx: typer.Context,
    *,
    symbols: SeriesArgument = None,
    timeframe: Annotated[
        str | None, typer.Option("--timeframe", "-t", help="Only this one; all if left out.")
    ] = None,
    wait: WaitOption = 10.0,
    file: FileOption = None,
    json: JsonOption = False,
) -> None:
    """Put frozen candles back into the table, where other programs see them.

    What `mdstore freeze` has compressed is read by every command, and
    changed by writes, without this.
    """
    from mdstore.cli.output.freeze import print_frozen
    from mdstore.cli.shared.progress import WorkProgress
    from mdstore.cli.shared.which_series import with_timeframe

    with stored(store_file(ctx, file), wait=wait) as store:
        symbols, timeframe = with_timeframe(store, symbols, timeframe)
        with WorkProgress(to_stderr(), "thawing", "rows") as progress:
            found = store.maintenance.thaw(symbols=symbols or None, timeframe=timeframe, progress=progress)
        print_frozen(found, store, to_stdout(), done="thawed", json=json)
