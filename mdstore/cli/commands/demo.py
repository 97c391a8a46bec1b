"""The flags of `mdstore demo`: where the sample candles go."""

from __future__ import annotations

import typer

from mdstore.cli.shared.console import to_stderr, to_stdout
from mdstore.cli.shared.options import FileOption
from mdstore.cli.shared.store import store_file

__all__ = ["demo"]


def demo(ctx: typer.Context, file: FileOption = None) -> None:
    """Store and query real candles of five stocks: seconds, offline.

    Writes demo.sqlite3 in this folder, or the file that --store names,
    never your market_data.sqlite3.
    """
    from mdstore.cli.output.demo import DEMO_FILE, run_demo

    source = ctx.find_root().get_parameter_source("file")
    named = source is not None and source.name == "COMMANDLINE"
    run_demo(store_file(ctx, file) if named or file else DEMO_FILE, to_stdout(), to_stderr())
