"""The flags of `mdstore top`: what goes on in a store's file, as it goes on."""

from __future__ import annotations

from typing import Annotated

import typer

from mdstore.cli.shared.console import to_stdout
from mdstore.cli.shared.options import FileOption, JsonOption
from mdstore.cli.shared.store import store_file, stored

__all__ = ["top"]


def top(
    ctx: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Print it once, and end.")] = False,
    every: Annotated[float, typer.Option("--every", min=0.1, help="Seconds between two looks.")] = 1.0,
    file: FileOption = None,
    json: JsonOption = False,
) -> None:
    """Watch a store: size, log and who holds it, what is being written, upkeep, alarms.

    It shows what the file tells, whoever uses it. How long reads take and
    how many of them memory answers, each process knows of itself alone:
    store.stats() there. Without a terminal, or with --json, it is printed
    once. Ctrl-C ends it.
    """
    from mdstore.cli.output.top import print_top, watch_top

    out = to_stdout()
    with stored(store_file(ctx, file)) as store:
        if once or json or not out.is_terminal:
            print_top(store, out, json=json)
        else:
            watch_top(store, out, every=every)
