"""The flags of `mdstore warm`: all candles into packs."""

from __future__ import annotations

from typing import Annotated

import typer

from mdstore.cli.shared.console import to_stderr, to_stdout
from mdstore.cli.shared.errors import ERROR
from mdstore.cli.shared.options import FileOption, JsonOption, WaitOption
from mdstore.cli.shared.store import store_file, stored

__all__ = ["warm"]


def warm(
    ctx: typer.Context,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Take what the file holds for right, and seal it anew.")
    ] = False,
    wait: WaitOption = 10.0,
    file: FileOption = None,
    json: JsonOption = False,
) -> None:
    """Put all candles into the columnar packs beside the file, for quick reads.

    Reads do so by themselves for what they read. Others read and write
    meanwhile. Ctrl-C ends it; the same command goes on where it was.
    """
    from mdstore.cli.shared.json_text import json_text
    from mdstore.cli.shared.progress import WorkProgress
    from mdstore.cli.shared.texts import count

    with stored(store_file(ctx, file), wait=wait) as store:
        with WorkProgress(to_stderr(), "sealing", "rows") as progress:
            rows = store.maintenance.warm(rebuild=rebuild, progress=progress)
        trouble = str(store.maintenance.stats()["pack_trouble"])
    if json:
        print(json_text({"rows": rows}))
    else:
        to_stdout().print(f"{count(rows, 'row')} put into packs", highlight=False)
    if trouble:
        to_stderr().print(trouble, highlight=False, markup=False)
        raise typer.Exit(ERROR)
