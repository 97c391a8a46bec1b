"""The flags of `mdstore stats`: what the file and its packs take."""

from __future__ import annotations

import typer

from mdstore.cli.shared.console import to_stdout
from mdstore.cli.shared.options import FileOption, JsonOption
from mdstore.cli.shared.store import store_file, stored

__all__ = ["stats"]


def stats(ctx: typer.Context, file: FileOption = None, json: JsonOption = False) -> None:
    """Say what the file and its packs take, and how much lies in packs."""
    from mdstore.cli.output.stats import print_stats

    with stored(store_file(ctx, file)) as store:
        print_stats(store, to_stdout(), json=json)
