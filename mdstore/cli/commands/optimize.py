"""The flags of `mdstore optimize`: the SQLite file put in order, once or by schedule."""

from __future__ import annotations

from typing import Annotated

import typer

from mdstore.cli.shared.console import to_stderr, to_stdout
from mdstore.cli.shared.options import FileOption, JsonOption, WaitOption
from mdstore.cli.shared.store import store_file, stored

__all__ = ["optimize"]


def optimize(  # noqa: PLR0917 - each is a flag
    ctx: typer.Context,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and why; do nothing.")
    ] = False,
    daemon: Annotated[
        bool,
        typer.Option("--daemon", help="Go on until Ctrl-C or SIGTERM, and do what is needed when it is."),
    ] = False,
    quiet_hours: Annotated[
        str,
        typer.Option("--quiet-hours", help="With --daemon: when what takes longer is done, or 'observed'."),
    ] = "02:00-04:00",
    tz: Annotated[str, typer.Option("--tz", help="With --daemon: the zone of these hours.")] = "UTC",
    freeze_after: Annotated[
        str | None, typer.Option("--freeze-after", help="Compress candles that are older, such as 90d.")
    ] = None,
    wait: WaitOption = 10.0,
    file: FileOption = None,
    json: JsonOption = False,
) -> None:
    """Put the SQLite file in order: free pages, order of the candles, statistics.

    Others read and write meanwhile. Ctrl-C ends it; nothing is lost.
    """
    from mdstore.cli.output.optimize import keep_optimizing, print_optimized

    with stored(store_file(ctx, file), wait=wait) as store:
        if daemon:
            keep_optimizing(store, to_stderr(), quiet_hours=quiet_hours, tz=tz, freeze_after=freeze_after)
        else:
            print_optimized(
                store, to_stdout(), to_stderr(), dry_run=dry_run, freeze_after=freeze_after, json=json
            )
