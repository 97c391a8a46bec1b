"""The flags of `mdstore series`: what is stored."""

from __future__ import annotations

import typer

from mdstore.cli.shared.console import to_stderr, to_stdout
from mdstore.cli.shared.options import FileOption, JsonOption
from mdstore.cli.shared.store import store_file, stored

__all__ = ["series"]


def series(ctx: typer.Context, file: FileOption = None, json: JsonOption = False) -> None:
    """List what is stored: symbols, timeframes, first and last bar, rows, size."""
    from mdstore.cli.output.series import print_series

    with stored(store_file(ctx, file)) as store:
        print_series(store, to_stdout(), to_stderr(), json=json)
