"""The flags of `mdstore freeze`: old candles compressed in the file."""

from __future__ import annotations

from typing import Annotated

import typer

from mdstore.cli.shared.console import to_stderr, to_stdout
from mdstore.cli.shared.options import FileOption, JsonOption, SeriesArgument, WaitOption
from mdstore.cli.shared.store import store_file, stored

__all__ = ["freeze"]


def freeze(
    ctx: typer.Context,
    *,
    symbols: SeriesArgument = None,
    before: Annotated[
        str, typer.Option("--before", help="Bars that start before this time: ISO 8601 or a number, UTC.")
    ],
    timeframe: Annotated[
        str | None, typer.Option("--timeframe", "-t", help="Only this one; all if left out.")
    ] = None,
    wait: WaitOption = 10.0,
    file: FileOption = None,
    json: JsonOption = False,
) -> None:
    """Compress old candles in the file: 5 to 15 bytes each in place of 75.

    They are read like all others. A write among them puts those around
    it back. Others read and write meanwhile. Ctrl-C ends it; the same
    command goes on where it was.

    For example:

      mdstore freeze --before 2024-01-01

      mdstore freeze KRW-BTC 1m --before 2024-01-01
    """
    from mdstore.cli.output.freeze import print_frozen
    from mdstore.cli.shared.progress import WorkProgress
    from mdstore.cli.shared.which_series import with_timeframe

    with stored(store_file(ctx, file), wait=wait) as store:
        symbols, timeframe = with_timeframe(store, symbols, timeframe)
        with WorkProgress(to_stderr(), "freezing", "rows") as progress:
            found = store.maintenance.freeze(
                before, symbols=symbols or None, timeframe=timeframe, progress=progress
            )
        print_frozen(found, store, to_stdout(), done="frozen", json=json)
