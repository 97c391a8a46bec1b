"""The flags of `mdstore demo`: where the sample candles go."""

from __future__ import annotations

from typing import Annotated

import typer

from mdstore.cli.shared.console import to_stderr, to_stdout
from mdstore.cli.shared.options import FileOption
from mdstore.cli.shared.store import store_file

__all__ = ["demo"]


def demo(
    ctx: typer.Context,
    *,
    sync: Annotated[
        bool, typer.Option("--sync", help="Instead: fetch candles from an exchange on this machine.")
    ] = False,
    file: FileOption = None,
) -> None:
    """Store and query real candles of five stocks: seconds, offline.

    Writes demo.sqlite3 in this folder, or the file that --store names,
    never your market_data.sqlite3.
    """
    from mdstore.cli.output.demo import DEMO_FILE, run_demo

    source = ctx.find_root().get_parameter_source("file")
    named = source is not None and source.name == "COMMANDLINE"
    where = store_file(ctx, file) if named or file else DEMO_FILE
    if sync:
        from mdstore.cli.output.demo_sync import run_demo_sync

        run_demo_sync(where, to_stdout(), to_stderr())
    else:
        run_demo(where, to_stdout(), to_stderr())
